/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF executables of both classes as containers of kernels: program headers, notes, loading by
 * physical address. Little-endian x86 only; sections and symbols are of no interest here.
 */
#ifndef BOOT_LOADER_ELF_H
#define BOOT_LOADER_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"

/* Program headers of class 32 widened to those of class 64. */
struct elf_segment {
	uint32_t type;
	uint64_t offset, file_size; /* in the file */
	uint64_t vaddr, paddr, mem_size;
	uint64_t align;
};

/* Kernels have about five; anything near this is damaged. */
#define ELF_SEGMENTS_MAX 64

struct elf {
	bool is_64;
	uint16_t machine;
	uint64_t entry;
	unsigned nr;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/* True when the image begins with the ELF magic. */
bool elf_matches(const struct image *img);

/* Reads and checks the headers. Returns 0, -EINVAL or an error of reading, with err filled. */
int elf_read(const struct image *img, struct elf *elf, struct error *err);

/*
 * Loads every PT_LOAD segment to its physical address, which must be RAM at or above floor, where
 * what the loader hands over ends; *start and *end span them all. Returns 0 or a negative errno with err filled.
 */
int elf_load(const struct image *img, const struct elf *elf, struct mem *m,
	     const struct e820_map *map, uint64_t floor, uint64_t *start, uint64_t *end,
	     struct error *err);

/*
 * The entry point as a physical address: kernels give either that or a virtual one of a segment.
 * Returns 0 or -EINVAL when it lies in no segment.
 */
int elf_entry(const struct image *img, const struct elf *elf, uint64_t *entry, struct error *err);

/*
 * Looks for a note by name and type and reads its number, of 4 or 8 bytes.
 * Returns 0, -ENOENT (no such note; err untouched), or another errno with err filled.
 */
int elf_note_number(const struct image *img, const struct elf *elf, const char *name, uint32_t type,
		    uint64_t *number, struct error *err);

/*
 * Boots a Linux vmlinux that has neither PVH note nor multiboot header, by its 64-bit entry with a
 * zero page. See boot_load().
 */
int elf_load_linux(struct mem *m, const struct boot_config *cfg, const struct elf *elf,
		   struct boot_entry *entry, struct error *err);

#endif
