/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's memcpy: one block of 256 KiB, then blocks of 1 to 256 bytes over the same range. */
#include "programs.h"

#include <string.h>

enum { SIZE = 1 << 18 };

uint64_t run_copy(uint64_t count)
{
	static uint8_t from[SIZE], to[SIZE];
	uint64_t sum = 0;

	for (size_t i = 0; i < SIZE; i++)
		from[i] = (uint8_t)(i * 131 >> 3);
	for (uint64_t round = 0; round < count; round++) {
		uint64_t seed = 99 + round;
		size_t size, at;

		from[round % SIZE]++;
		for (int times = 0; times < 4; times++) {
			memcpy(to, from, SIZE);
			sum = mix(sum, to[(round * 8191 + (uint64_t)times) % SIZE]);
		}
		for (at = 0; at < SIZE - 256; at += size) {
			size = 1 + (next_random(&seed) & 0xff);
			memcpy(to + at, from + SIZE - 256 - at, size);
		}
		sum = mix(sum, to[round * 127 % SIZE]);
	}
	return sum;
}
