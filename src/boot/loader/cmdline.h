/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Composes a Linux command line (KT-36, KT-37, KT-39, KT-13). Never cuts: whether the kernel takes
 * a line this long is checked when it is loaded.
 */
#ifndef BOOT_LOADER_CMDLINE_H
#define BOOT_LOADER_CMDLINE_H

#include <stdbool.h>

#include "base/buf.h"

struct cmdline_parts {
	const char *console; /* "ttyS0", "hvc0"; NULL: no console= */
	const char *user;    /* what the user gave, appended last; may be NULL */
	bool no_defaults;    /* the line is exactly user */
};

/* Appends the line to out; buf_text() then ends it. */
void cmdline_compose(struct buf *out, const struct cmdline_parts *parts);

#endif
