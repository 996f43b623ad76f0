/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a bzImage: the two signatures are put in so that no time is lost finding them. */
#include "boot_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t image[64 * 1024];

	if (len < 0x206 || len > sizeof(image))
		return 0;
	memcpy(image, data, len);
	memcpy(image + 0x1fe, "\x55\xaa", 2);
	memcpy(image + 0x202, "HdrS", 4);
	/* In a buffer of its exact length, where a read past the end is seen. */
	uint8_t *exact = malloc(len);
	memcpy(exact, image, len);
	fuzz_load(exact, len, (const uint8_t *)"initrd", 6);
	free(exact);
	return 0;
}
