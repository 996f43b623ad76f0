/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares the outcomes of one trial on two sides.
 */
#ifndef TESTS_CPU_DIFFER_H
#define TESTS_CPU_DIFFER_H

#include <stddef.h>

#include "cpu/state.h"

/* Differences as text, empty when there are none; what does not fit is left out. */
struct line {
	char text[1024];
	size_t len;
};

void line_add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * All differences. row: the instruction that ended the trial, of which some things are undefined;
 * has_run: it was executed, rather than that it faulted.
 */
void compare_outcomes(struct line *l, const struct insn_row *row, bool has_run,
		      const struct outcome *host, const struct outcome *guest);

#endif
