/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads fuzzed bytes into a guest of 96 MiB with memory on both sides of the hole. The guest's
 * memory is not cleared between inputs: loaders never read it.
 */
#ifndef FUZZ_BOOT_FUZZ_H
#define FUZZ_BOOT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline void fuzz_load(const uint8_t *kernel_bytes, size_t kernel_len,
			     const uint8_t *initrd_bytes, size_t initrd_len)
{
	static const uint32_t apic_ids[] = {0, 1};
	static struct mem *mem;
	static struct e820_map map;
	struct image kernel, initrd;
	struct boot_entry entry;
	struct error err = {0};

	if (!mem) {
		mem = mem_new();
		BUG_ON(mem_add_region(mem, 0, 64 * MIB, false, NULL));
		BUG_ON(mem_add_region(mem, 4 * GIB, 32 * MIB, false, NULL));
		e820_from_mem(&map, mem);
	}
	image_from_bytes(&kernel, "kernel", "k", kernel_bytes, kernel_len);
	image_from_bytes(&initrd, "initrd", "i", initrd_bytes, initrd_len);
	const struct boot_config cfg = {
		.kernel = &kernel,
		.initrd = initrd_len ? &initrd : NULL,
		.cmdline = "console=ttyS0",
		.e820 = &map,
		.apic_ids = apic_ids,
		.nr_cpus = ARRAY_SIZE(apic_ids),
	};
	int ret = boot_load(mem, &cfg, &entry, &err);
	/* Every failure has its sentence, every success an entry point in RAM. */
	BUG_ON(ret < 0 ? !*err.text : !e820_is_ram(&map, entry.rip, 1));
	image_close(&kernel);
	image_close(&initrd);
}

#endif
