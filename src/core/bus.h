/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two address spaces devices live in: ports (PIO) and memory-mapped registers (MMIO). A bus is
 * a sorted table of regions. Regions are added and removed by any thread at any time; lookups need
 * no lock and run on vCPU threads. An access that was looked up before its region was removed may
 * still be under way after that: a device is freed only when all vCPUs have stood still since.
 *
 * A device sees only accesses of the sizes it declared: the bus splits larger ones in ascending
 * order of address, little-endian, and answers smaller or refused ones like an empty bus (reads
 * give all ones, writes are dropped). An access that crosses the end of a region is treated byte
 * by byte.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum bus_space { BUS_PIO, BUS_MMIO };

/*
 * What a device answers. offset counts from the region's base; size is 1, 2, 4 or 8 and within
 * [min_size, max_size]; offset is a multiple of size. Called on vCPU threads, several at once: the
 * device locks itself. A NULL read gives all ones, a NULL write drops.
 */
struct bus_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
	void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
	uint8_t min_size; /* 0 means 1 */
	uint8_t max_size; /* 0 means 1 */
};

/* Embedded in the device; filled by it before bus_add() and constant while on the bus. */
struct bus_region {
	const char *name; /* for traces: "serial0" */
	uint64_t base, size;
	const struct bus_ops *ops;
	void *dev;
};

struct bus;

struct bus *bus_new(enum bus_space space);
void bus_free(struct bus *bus); /* does not free regions; NULL is fine */

/*
 * Returns 0, or with err filled -EEXIST when the range overlaps a region already there (both are
 * named), or -ENOSPC. A region that is not on the bus is ignored by bus_remove().
 */
int bus_add(struct bus *bus, struct bus_region *region, struct error *err);
void bus_remove(struct bus *bus, struct bus_region *region);

/*
 * One guest access of size 1..8 bytes at any alignment; data is little-endian.
 * Returns true if a device answered every byte.
 */
bool bus_read(struct bus *bus, uint64_t addr, void *data, unsigned size);
bool bus_write(struct bus *bus, uint64_t addr, const void *data, unsigned size);

/* Logs every access (level info) when on: --debug-ioport and --debug-mmio. */
void bus_set_trace(struct bus *bus, bool on);

#endif
