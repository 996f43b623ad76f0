/* SPDX-License-Identifier: BSD-2-Clause */
/* Compression of text with zlib at its usual level, and back. */
#include "programs.h"

#include <string.h>
#include <zlib.h>

enum { SIZE = 1 << 17 };

uint64_t run_deflate(uint64_t count)
{
	static char text[SIZE], back[SIZE];
	static uint8_t packed[SIZE];
	uint64_t sum = 0;

	fill_text(text, SIZE);
	for (uint64_t round = 0; round < count; round++) {
		uLongf packed_size = sizeof(packed), back_size = sizeof(back);

		text[round % SIZE] ^= 1;
		need(compress2(packed, &packed_size, (Bytef *)text, SIZE, 6) == Z_OK, "compress2");
		need(uncompress((Bytef *)back, &back_size, packed, packed_size) == Z_OK,
		     "uncompress");
		need(back_size == SIZE && memcmp(text, back, SIZE) == 0, "the text after both");
		sum = mix(sum, crc32(packed_size, packed, (uInt)packed_size));
	}
	return sum;
}
