/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of QEMU's that its users try here. Taken letter by letter they would be something else: -drive
 * would be a disk of the name "rive".
 */
#ifndef CLI_QEMU_WORDS_H
#define CLI_QEMU_WORDS_H

#include "cli/options.h"

extern const struct foreign_words qemu_words;

#endif
