/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of guest memory as the BIOS call E820h gives it, and the questions a loader asks of it.
 * Entries are sorted and do not overlap. Pure functions, any thread.
 */
#ifndef BOOT_TABLES_E820_H
#define BOOT_TABLES_E820_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mem.h"

/* ACPI 6.5, table 15.2. */
enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
};

/* Twice what fits a zero page; a map of mem's few regions never comes near it. */
#define E820_ENTRIES_MAX 256

struct e820_map {
	unsigned nr;
	struct e820_entry entries[E820_ENTRIES_MAX];
};

/* What KVM on Intel hardware needs for itself: an identity map and a three-page TSS. */
#define KVM_PAGES_START 0xfeffc000u
#define KVM_PAGES_SIZE	0x4000u

/*
 * The map of a PC with this memory: RAM except the EBDA (0x9fc00-0x9ffff), the adapter area
 * (0xa0000-0xdffff, no entry) and the BIOS area (0xe0000-0xfffff, reserved); KVM's pages reserved.
 */
void e820_from_mem(struct e820_map *map, const struct mem *m);

/*
 * Adds [addr, addr + size) with a type; what the map said about that range before is replaced, and
 * neighbours of one type are joined. size 0 changes nothing; a range past the end of the address
 * space is cut there. Returns 0 or -ENOSPC, with the map unchanged.
 */
int e820_set(struct e820_map *map, uint64_t addr, uint64_t size, enum e820_type type);

/* True when all of [addr, addr + size) is RAM. */
bool e820_is_ram(const struct e820_map *map, uint64_t addr, uint64_t size);

/*
 * Finds the highest place for size bytes of RAM, aligned to align (a power of two), that ends at or
 * below limit, starts at or above floor and does not touch [avoid, avoid_end).
 * Returns 0 with *addr, or -ENOSPC with *largest (may be NULL) the size of the largest such run.
 */
struct e820_wish {
	uint64_t size, align;
	uint64_t floor, limit;
	uint64_t avoid, avoid_end;
};
int e820_find_high(const struct e820_map *map, const struct e820_wish *wish, uint64_t *addr,
		   uint64_t *largest);

/* Bytes of RAM in the map. */
uint64_t e820_ram_size(const struct e820_map *map);

#endif
