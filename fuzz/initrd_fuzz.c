/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Placement of an initrd: the input is the kernel's rules (limit, flags, address, size) and the
 * initrd's length, up to more than there is RAM.
 */
#include "boot_fuzz.h"

#include <asm/bootparam.h>
#include <sys/mman.h>

#define INITRD_MAX (100 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t *bytes;
	struct {
		uint32_t initrd_addr_max, init_size, initrd_len;
		uint64_t pref_address;
		uint16_t xloadflags, version;
	} __attribute__((packed)) in;
	uint8_t kernel[2048] = {0};
	struct setup_header *h = (struct setup_header *)(kernel + 0x1f1);

	if (len < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	if (!bytes)
		bytes = mmap(NULL, INITRD_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*h = (struct setup_header){
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = in.version,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = in.initrd_addr_max,
		.xloadflags = in.xloadflags,
		.cmdline_size = 2047,
		.pref_address = in.pref_address,
		.init_size = in.init_size,
	};
	/* Mostly small ones: copying is what takes the time. */
	uint32_t size = in.initrd_len & 0xf ? in.initrd_len % 65536 : in.initrd_len % INITRD_MAX;
	fuzz_load(kernel, sizeof(kernel), bytes, size);
	return 0;
}
