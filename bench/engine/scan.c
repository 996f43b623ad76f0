/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's string functions over a large text: vector loads and compares. */
#include "programs.h"

#include <string.h>

enum { SIZE = 1 << 18 };

uint64_t run_scan(uint64_t count)
{
	static char text[SIZE];
	uint64_t sum = 0;

	fill_text(text, SIZE);
	text[SIZE - 1] = 0;
	for (uint64_t round = 0; round < count; round++) {
		const char *end = text + SIZE - 1;
		uint64_t lines = 0;

		text[round % (SIZE - 2)] ^= 2;
		for (const char *at = text; (at = memchr(at, '\n', (size_t)(end - at))); at++)
			lines++;
		sum = mix(sum, lines);
		sum = mix(sum, strlen(text));
		sum = mix(sum, strstr(text, "needle that is not there") != NULL);
		sum = mix(sum, (uint64_t)(strchr(text, '#') != NULL));
		sum = mix(sum, (uint64_t)((char *)memrchr(text, '\n', SIZE) - text));
		sum = mix(sum, strcspn(text, "~"));
	}
	return sum;
}
