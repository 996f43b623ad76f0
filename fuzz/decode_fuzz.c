/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: any bytes, as instructions of each code size. Checks what decode() and disassemble()
 * promise about lengths, and that they agree.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(const uint8_t *bytes, unsigned avail, enum code_size code_size,
		       const uint32_t features[NR_CPUID_WORDS])
{
	char text[24]; /* short, so that texts are cut too */
	struct insn i;
	unsigned off = 0, len;

	while ((len = decode(bytes + off, avail - off, code_size, features, off, &i))) {
		BUG_ON(len > 15 || len > avail - off || len != i.len || !i.exec || i.off != off);
		BUG_ON(i.row > nr_insn_rows || i.base >= NR_SLOTS || (i.index & 31) >= NR_SLOTS);
		BUG_ON(disassemble(bytes + off, avail - off, code_size, off, text, sizeof(text)) >
		       15);
		BUG_ON(strlen(text) >= sizeof(text));
		off += len;
	}
	BUG_ON(avail - off >= 15);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t features[NR_CPUID_WORDS];
	unsigned avail = size < 4096 ? (unsigned)size : 4096;
	uint8_t *exact;

	decode_init();
	if (!avail)
		return 0;
	/* The first byte chooses features; the rest is copied, so that reads past its end are seen.
	 */
	memset(features, data[0] & 1 ? 0xff : data[0], sizeof(features));
	exact = malloc(avail);
	BUG_ON(!exact);
	memcpy(exact, data, avail);
	for (unsigned code_size = CODE_16; code_size <= CODE_64; code_size++)
		decode_all(exact, avail, (enum code_size)code_size, features);
	free(exact);
	return 0;
}
