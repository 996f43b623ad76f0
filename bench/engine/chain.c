/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiplications and additions that each wait for the one before: latency in registers. */
#include "programs.h"

enum { STEPS = 1 << 20 };

uint64_t run_chain(uint64_t count)
{
	uint64_t x = 1, y = 2;

	for (uint64_t step = 0; step < count * STEPS; step++) {
		x = x * 6364136223846793005 + y;
		y = (y ^ x >> 33) + step;
	}
	return mix(x, y);
}
