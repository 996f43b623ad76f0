/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disassembles what it is given: reads lines "address hex-bytes", writes lines "length text". The
 * other half of objdump.py.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/soft/insn.h"

static unsigned parse_hex(const char *text, uint8_t *bytes, unsigned max)
{
	unsigned nr = 0, byte;

	while (nr < max && sscanf(text, "%2x", &byte) == 1) {
		bytes[nr++] = (uint8_t)byte;
		text += 2;
	}
	return nr;
}

int main(int argc, char **argv)
{
	enum code_size size = argc > 1 && !strcmp(argv[1], "16")   ? CODE_16
			      : argc > 1 && !strcmp(argv[1], "32") ? CODE_32
								   : CODE_64;
	char line[256], hex[64], text[160];
	uint64_t address;

	decode_init();
	while (fgets(line, sizeof(line), stdin)) {
		uint8_t bytes[15] = {0};
		unsigned nr;

		if (sscanf(line, "%" SCNx64 " %63s", &address, hex) != 2)
			return 1;
		nr = parse_hex(hex, bytes, sizeof(bytes));
		nr = disassemble(bytes, nr, size, address, text, sizeof(text));
		printf("%u\t%s\n", nr, text);
	}
	return 0;
}
