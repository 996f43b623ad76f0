/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/bus.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define BUS_REGIONS_MAX 64 /* the machine's own devices; PCI windows take one each */

struct bus {
	enum bus_space space;
	atomic_bool is_traced;
	unsigned nr;
	struct bus_region *regions[BUS_REGIONS_MAX]; /* ascending base */
};

struct bus *bus_new(enum bus_space space)
{
	struct bus *bus = mem_alloc_zero(sizeof(*bus));

	bus->space = space;
	return bus;
}

void bus_free(struct bus *bus)
{
	free(bus);
}

/* Index of the first region that ends above addr. */
static unsigned lower_bound(const struct bus *bus, uint64_t addr)
{
	unsigned lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct bus_region *r = bus->regions[mid];

		if (r->base + (r->size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct bus_region *find(const struct bus *bus, uint64_t addr)
{
	unsigned i = lower_bound(bus, addr);

	return i < bus->nr && bus->regions[i]->base <= addr ? bus->regions[i] : NULL;
}

int bus_add(struct bus *bus, struct bus_region *region, struct error *err)
{
	BUG_ON(!region->size || bus->nr == BUS_REGIONS_MAX);
	unsigned i = lower_bound(bus, region->base);

	if (i < bus->nr && bus->regions[i]->base <= region->base + (region->size - 1))
		return error_set(err, -EEXIST, "%s and %s both want address 0x%llx", region->name,
				 bus->regions[i]->name,
				 (unsigned long long)max(region->base, bus->regions[i]->base));
	memmove(&bus->regions[i + 1], &bus->regions[i], (bus->nr - i) * sizeof(bus->regions[0]));
	bus->regions[i] = region;
	bus->nr++;
	return 0;
}

void bus_remove(struct bus *bus, struct bus_region *region)
{
	for (unsigned i = 0; i < bus->nr; i++) {
		if (bus->regions[i] != region)
			continue;
		bus->nr--;
		memmove(&bus->regions[i], &bus->regions[i + 1],
			(bus->nr - i) * sizeof(bus->regions[0]));
		return;
	}
}

void bus_set_trace(struct bus *bus, bool on)
{
	atomic_store_explicit(&bus->is_traced, on, memory_order_relaxed);
}

static void trace(struct bus *bus, const struct bus_region *r, bool is_write, uint64_t addr,
		  const void *data, unsigned size)
{
	uint64_t value = 0;

	if (!atomic_load_explicit(&bus->is_traced, memory_order_relaxed))
		return;
	memcpy(&value, data, size);
	log_info("%s %s 0x%llx size %u value 0x%llx (%s)", bus->space == BUS_PIO ? "port" : "mmio",
		 is_write ? "write" : "read", (unsigned long long)addr, size,
		 (unsigned long long)value, r ? r->name : "nothing there");
}

/*
 * The largest power of two the device takes that divides offset and fits len; 0 when it takes none.
 */
static unsigned piece_size(const struct bus_ops *ops, uint64_t offset, unsigned len)
{
	unsigned size = ops->max_size ? ops->max_size : 1;
	unsigned smallest = ops->min_size ? ops->min_size : 1;

	while (size > len || offset % size)
		size /= 2;
	return size < smallest ? 0 : size;
}

static uint64_t all_ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

bool bus_read(struct bus *bus, uint64_t addr, void *data, unsigned size)
{
	uint8_t *bytes = data;
	bool is_answered = true;

	for (unsigned done = 0; done < size;) {
		struct bus_region *r = find(bus, addr + done);
		uint64_t offset = r ? addr + done - r->base : 0;
		unsigned room = r ? (unsigned)min((uint64_t)(size - done), r->size - offset) : 1;
		unsigned piece = r ? piece_size(r->ops, offset, room) : 0;
		uint64_t value = UINT64_MAX;

		if (piece && r->ops->read)
			value = r->ops->read(r->dev, offset, piece) & all_ones(piece);
		else
			is_answered = false;
		piece = piece ? piece : 1;
		memcpy(bytes + done, &value, piece);
		done += piece;
	}
	trace(bus, find(bus, addr), false, addr, data, size);
	return is_answered;
}

bool bus_write(struct bus *bus, uint64_t addr, const void *data, unsigned size)
{
	const uint8_t *bytes = data;
	bool is_answered = true;

	trace(bus, find(bus, addr), true, addr, data, size);
	for (unsigned done = 0; done < size;) {
		struct bus_region *r = find(bus, addr + done);
		uint64_t offset = r ? addr + done - r->base : 0;
		unsigned room = r ? (unsigned)min((uint64_t)(size - done), r->size - offset) : 1;
		unsigned piece = r ? piece_size(r->ops, offset, room) : 0;
		uint64_t value = 0;

		memcpy(&value, bytes + done, piece ? piece : 1);
		if (piece && r->ops->write)
			r->ops->write(r->dev, offset, piece, value);
		else
			is_answered = false;
		done += piece ? piece : 1;
	}
	return is_answered;
}
