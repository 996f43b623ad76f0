/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of kvmtool's and QEMU's that their users try here and that are not offered, or not by that
 * name. Taken letter by letter QEMU's would be something else: -drive would be a disk of the name
 * "rive".
 */
#ifndef CLI_FOREIGN_WORDS_H
#define CLI_FOREIGN_WORDS_H

#include "cli/options.h"

#define FOREIGN_SYSTEMS 2

extern const struct foreign_words foreign_words[FOREIGN_SYSTEMS];

#endif
