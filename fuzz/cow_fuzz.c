/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: any bytes as a COW file of User Mode Linux; only the magic is put in. */
#include "image_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[64 * 1024];
	size_t len = min(size, sizeof(image));

	if (len < 64)
		return 0;
	memcpy(image, data, len);
	memcpy(image, "OOOM\0\0\0", 7);
	image[7] = data[7] % 4;
	if (data[0] & 1) { /* fields that are as they should be, for what comes behind them */
		memcpy(image + 20, "\0\0\2\0\0\0\2\0\0\0\0\0", 12);
		memset(image + 12, 0, 5);
	}
	fuzz_image("cow", image, len);
	return 0;
}
