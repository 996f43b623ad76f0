/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32 by table, a byte at a time: a chain of dependent loads. */
#include "programs.h"

enum { SIZE = 1 << 16 };

uint64_t run_crc(uint64_t count)
{
	static uint32_t table[256];
	static uint8_t data[SIZE];
	uint64_t seed = 88172645463325252, sum = 0;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)next_random(&seed);

	for (uint64_t round = 0; round < count; round++) {
		uint32_t crc = ~(uint32_t)round;
		for (size_t i = 0; i < SIZE; i++)
			crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
		sum = mix(sum, ~crc);
	}
	return sum;
}
