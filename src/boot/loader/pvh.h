/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PVH boot protocol (Xen's docs/misc/pvh.pandoc): an ELF note names a 32-bit entry point, which
 * is given a small structure with memory map, modules, command line and the RSDP's address.
 */
#ifndef BOOT_LOADER_PVH_H
#define BOOT_LOADER_PVH_H

#include "boot/loader/elf.h"

/* Returns 0 with the entry point, -ENOENT (no PVH kernel; err untouched) or another errno. */
int pvh_find_entry(const struct image *img, const struct elf *elf, uint64_t *entry,
		   struct error *err);

/* See boot_load(). pvh_entry comes from pvh_find_entry(). */
int pvh_load(struct mem *m, const struct boot_config *cfg, const struct elf *elf,
	     uint64_t pvh_entry, struct boot_entry *entry, struct error *err);

#endif
