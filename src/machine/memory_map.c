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
