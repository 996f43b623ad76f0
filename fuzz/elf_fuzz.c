/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an ELF kernel of either class. */
#include "boot_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 16 || len > 64 * 1024)
		return 0;
	uint8_t *exact = malloc(len);
	memcpy(exact, data, len);
	memcpy(exact, "\177ELF", 4);
	exact[5] = 1;
	fuzz_load(exact, len, (const uint8_t *)"initrd", 6);
	free(exact);
	return 0;
}
