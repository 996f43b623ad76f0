/* SPDX-License-Identifier: BSD-2-Clause */
/* A flat multiboot image: the first word says where the header is put, its checksum is made right.
 */
#include "boot_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t words[3] = {0x1badb002};
	uint16_t where;

	if (len < 2 + 12 || len > 64 * 1024)
		return 0;
	memcpy(&where, data, 2);
	data += 2;
	len -= 2;
	where = where % (len - 12 + 1) & ~3u;
	uint8_t *exact = malloc(len);
	memcpy(exact, data, len);
	memcpy(&words[1], exact + where + 4, 4);
	words[2] = -(words[0] + words[1]);
	memcpy(exact + where, words, sizeof(words));
	fuzz_load(exact, len, (const uint8_t *)"initrd", 6);
	free(exact);
	return 0;
}
