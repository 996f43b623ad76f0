/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/tables/e820.h"

#include "base/base.h"
#include "boot/layout.h"

/* Appends to a map under construction, joining with the entry before. */
static int append(struct e820_map *map, uint64_t addr, uint64_t end, uint32_t type)
{
	if (addr >= end)
		return 0;
	struct e820_entry *last = map->nr ? &map->entries[map->nr - 1] : NULL;
	if (last && last->type == type && last->addr + last->size == addr) {
		last->size += end - addr;
		return 0;
	}
	if (map->nr == E820_ENTRIES_MAX)
		return -ENOSPC;
	map->entries[map->nr++] =
		(struct e820_entry){.addr = addr, .size = end - addr, .type = type};
	return 0;
}

int e820_set(struct e820_map *map, uint64_t addr, uint64_t size, enum e820_type type)
{
	struct e820_map out = {0};
	uint64_t end;
	bool placed = false;
	int ret = 0;

	if (!size)
		return 0;
	if (add_overflows(addr, size, &end))
		end = UINT64_MAX;
	for (unsigned i = 0; i < map->nr; i++) {
		const struct e820_entry *e = &map->entries[i];
		uint64_t e_end = e->addr + e->size;

		ret |= append(&out, e->addr, min(e_end, addr), e->type);
		if (e_end > addr && !placed) {
			ret |= append(&out, addr, end, type);
			placed = true;
		}
		ret |= append(&out, max(e->addr, end), e_end, e->type);
	}
	if (!placed)
		ret |= append(&out, addr, end, type);
	if (ret)
		return -ENOSPC;
	*map = out;
	return 0;
}

void e820_from_mem(struct e820_map *map, const struct mem *m)
{
	int ret = 0;

	map->nr = 0;
	for (unsigned i = 0; i < mem_nr_regions(m); i++) {
		const struct mem_region *r = mem_region_at(m, i);
		uint64_t end = r->gpa + r->size;

		if (r->is_rom)
			continue;
		ret |= append(map, r->gpa, min(end, (uint64_t)EBDA_START), E820_RAM);
		ret |= append(map, max(r->gpa, (gpa_t)HIGH_MEMORY), end, E820_RAM);
	}
	ret |= e820_set(map, EBDA_START, EBDA_END - EBDA_START, E820_RESERVED);
	ret |= e820_set(map, BIOS_AREA, BIOS_AREA_END - BIOS_AREA, E820_RESERVED);
	ret |= e820_set(map, KVM_PAGES_START, KVM_PAGES_SIZE, E820_RESERVED);
	BUG_ON(ret); /* MEM_REGIONS_MAX regions make far fewer entries than there is room for */
}

bool e820_is_ram(const struct e820_map *map, uint64_t addr, uint64_t size)
{
	for (unsigned i = 0; i < map->nr; i++) {
		const struct e820_entry *e = &map->entries[i];

		if (e->type == E820_RAM && addr >= e->addr &&
		    range_fits(addr - e->addr, size, e->size))
			return true;
	}
	return false;
}

/* Takes the better of what was found and the run [start, end), if the wish fits in it. */
static void try_run(const struct e820_wish *wish, uint64_t start, uint64_t end, bool *found,
		    uint64_t *addr, uint64_t *largest)
{
	start = max(start, wish->floor);
	end = min(end, wish->limit);
	if (start >= end)
		return;
	uint64_t first = ALIGN_UP(start, wish->align);
	if (first < start || first >= end)
		return;
	*largest = max(*largest, end - first);
	if (end - first < wish->size)
		return;
	uint64_t at = ALIGN_DOWN(end - wish->size, wish->align);
	if (!*found || at > *addr)
		*addr = at;
	*found = true;
}

int e820_find_high(const struct e820_map *map, const struct e820_wish *wish, uint64_t *addr,
		   uint64_t *largest)
{
	uint64_t at = 0, run = 0;
	bool found = false;

	for (unsigned i = 0; i < map->nr; i++) {
		const struct e820_entry *e = &map->entries[i];
		uint64_t end = e->addr + e->size;

		if (e->type != E820_RAM)
			continue;
		try_run(wish, e->addr, min(end, wish->avoid), &found, &at, &run);
		try_run(wish, max(e->addr, wish->avoid_end), end, &found, &at, &run);
	}
	if (largest)
		*largest = run;
	if (!found)
		return -ENOSPC;
	*addr = at;
	return 0;
}

uint64_t e820_ram_size(const struct e820_map *map)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < map->nr; i++)
		if (map->entries[i].type == E820_RAM)
			sum += map->entries[i].size;
	return sum;
}
