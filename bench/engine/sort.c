/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's qsort with a comparison function: indirect calls and unpredictable branches. */
#include "programs.h"

#include <stdlib.h>

enum { ITEMS = 1 << 15 };

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint64_t run_sort(uint64_t count)
{
	static uint32_t items[ITEMS];
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		uint64_t seed = 424242 + round;

		for (size_t i = 0; i < ITEMS; i++)
			items[i] = (uint32_t)next_random(&seed);
		qsort(items, ITEMS, sizeof(items[0]), compare);
		for (size_t i = 0; i < ITEMS; i += 97)
			sum = mix(sum, items[i]);
	}
	return sum;
}
