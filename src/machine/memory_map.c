/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/memory_map.h"

int memory_map_add_ram(struct mem *m, uint64_t size, struct error *err)
{
	uint64_t low = min(size, HOLE_START);
	int rc = mem_add_region(m, 0, low, false, err);

	if (!rc && size > low)
		rc = mem_add_region(m, HOLE_END, size - low, false, err);
	return rc;
}

/* As large as half the address space, up to 256 GiB, and aligned to its size. */
void memory_map_mem64(uint64_t ram_size, unsigned physical_bits, uint64_t *base, uint64_t *size)
{
	uint64_t top = BIT64(physical_bits), want = min(top / 2, 256 * GIB);

	*base = ALIGN_UP(HOLE_END + ram_size, want);
	*size = want <= top && *base <= top - want ? want : 0;
}
