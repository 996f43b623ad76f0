/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot kernels, version 1 (Multiboot Specification 0.6.96): a header in the first 8 KiB, the
 * image an ELF file or described by addresses in the header. The initrd becomes the one module.
 * Leaves out what the specification leaves optional beyond memory, modules, command line, memory
 * map and loader name; a video mode that is asked for is not set.
 */
#ifndef BOOT_LOADER_MULTIBOOT_H
#define BOOT_LOADER_MULTIBOOT_H

#include "boot/loader/elf.h"

/* The first part of the header is always there; addresses only with MULTIBOOT_HAS_ADDRESSES. */
struct multiboot_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	uint64_t offset; /* where in the file it was found */
};

/* Looks for the header. Returns 0 or -ENOENT. */
int multiboot_find(const struct image *img, struct multiboot_header *header);

/* See boot_load(). elf is NULL when the image is no ELF file. */
int multiboot_load(struct mem *m, const struct boot_config *cfg,
		   const struct multiboot_header *header, const struct elf *elf,
		   struct boot_entry *entry, struct error *err);

#endif
