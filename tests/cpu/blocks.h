/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs random blocks (block.h) with the interpreter, the translator and, where it can be asked, the
 * host CPU, and compares.
 */
#ifndef TESTS_CPU_BLOCKS_H
#define TESTS_CPU_BLOCKS_H

#include "cpu/generate.h"
#include "cpu/guest.h"

struct blocks_options {
	uint64_t seed, count, first; /* blocks first to first + count - 1 of the seed */
	unsigned length_min, length_max;
	unsigned failures_max; /* after so many it gives up */
};

/* native_init() has been called. Prints what differs and a summary; returns how many blocks do. */
uint64_t blocks_run(const struct blocks_options *o, const struct generator *g,
		    struct guest *interpreter, struct guest *translator);

#endif
