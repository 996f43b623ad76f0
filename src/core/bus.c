/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/bus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define BUS_REGIONS_MAX 1024 /* the machine's own devices, and three BARs of 248 PCI functions */
#define LOOKUP_TRIES	4 /* before a lookup waits for the writer, which may have been preempted */

/* A region as it was when it was added: lookups never touch the caller's struct. */
struct slot {
	struct bus_region *_Atomic region;
	_Atomic uint64_t base, size;
	const char *_Atomic name;
	const struct bus_ops *_Atomic ops;
	void *_Atomic dev;
};

/*
 * The table is a sequence lock: odd while it is being changed. A lookup that finds it changed is
 * made again, so nothing is ever freed under a reader.
 */
struct bus {
	enum bus_space space;
	atomic_bool is_traced;
	pthread_mutex_t lock; /* one writer at a time; order: innermost */
	_Atomic uint32_t sequence;
	_Atomic unsigned nr;
	struct slot slots[BUS_REGIONS_MAX]; /* ascending base */
};

struct bus *bus_new(enum bus_space space)
{
	struct bus *bus = mem_alloc_zero(sizeof(*bus));

	bus->space = space;
	pthread_mutex_init(&bus->lock, NULL);
	return bus;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

#define load(field)	    atomic_load_explicit(&(field), memory_order_relaxed)
#define store(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

/* Index of the first region that ends above addr. */
static unsigned lower_bound(const struct bus *bus, uint64_t addr)
{
	unsigned lo = 0, hi = load(bus->nr);

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct slot *s = &bus->slots[mid];

		if (load(s->base) + (load(s->size) - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool look_up(const struct bus *bus, uint64_t addr, struct bus_region *found)
{
	unsigned i = lower_bound(bus, addr);

	if (i >= load(bus->nr) || load(bus->slots[i].base) > addr)
		return false;
	const struct slot *s = &bus->slots[i];
	*found = (struct bus_region){.name = load(s->name),
				     .base = load(s->base),
				     .size = load(s->size),
				     .ops = load(s->ops),
				     .dev = load(s->dev)};
	return true;
}

/* Copies the region at addr; false when there is none. */
static bool find(struct bus *bus, uint64_t addr, struct bus_region *found)
{
	bool is_there;

	for (unsigned i = 0; i < LOOKUP_TRIES; i++) {
		/* Pairs with the release in end_change(). */
		uint32_t before = atomic_load_explicit(&bus->sequence, memory_order_acquire);

		if (before & 1)
			continue;
		is_there = look_up(bus, addr, found);
		/* Pairs with the fence in begin_change(). */
		atomic_thread_fence(memory_order_acquire);
		if (load(bus->sequence) == before)
			return is_there;
	}
	pthread_mutex_lock(&bus->lock);
	is_there = look_up(bus, addr, found);
	pthread_mutex_unlock(&bus->lock);
	return is_there;
}

static void begin_change(struct bus *bus)
{
	store(bus->sequence, load(bus->sequence) + 1);
	atomic_thread_fence(memory_order_release);
}

static void end_change(struct bus *bus)
{
	atomic_store_explicit(&bus->sequence, load(bus->sequence) + 1, memory_order_release);
}

static void put(struct slot *s, struct bus_region *r)
{
	store(s->region, r);
	store(s->base, r->base);
	store(s->size, r->size);
	store(s->name, r->name);
	store(s->ops, r->ops);
	store(s->dev, r->dev);
}

static void copy(struct slot *to, const struct slot *from)
{
	store(to->region, load(from->region));
	store(to->base, load(from->base));
	store(to->size, load(from->size));
	store(to->name, load(from->name));
	store(to->ops, load(from->ops));
	store(to->dev, load(from->dev));
}

static void insert(struct bus *bus, unsigned i, struct bus_region *region)
{
	unsigned nr = load(bus->nr);

	begin_change(bus);
	for (unsigned to = nr; to > i; to--)
		copy(&bus->slots[to], &bus->slots[to - 1]);
	put(&bus->slots[i], region);
	store(bus->nr, nr + 1);
	end_change(bus);
}

int bus_add(struct bus *bus, struct bus_region *region, struct error *err)
{
	int ret = 0;

	BUG_ON(!region->size);
	pthread_mutex_lock(&bus->lock);
	unsigned i = lower_bound(bus, region->base), nr = load(bus->nr);
	const struct slot *next = &bus->slots[i];

	if (i < nr && load(next->base) <= region->base + (region->size - 1))
		ret = error_set(err, -EEXIST, "%s and %s both want address 0x%llx", region->name,
				load(next->name),
				(unsigned long long)max(region->base, load(next->base)));
	else if (nr == BUS_REGIONS_MAX)
		ret = error_set(err, -ENOSPC, "%s: no room for more than %u device regions",
				region->name, BUS_REGIONS_MAX);
	else
		insert(bus, i, region);
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

static void take_out(struct bus *bus, unsigned i)
{
	unsigned nr = load(bus->nr);

	begin_change(bus);
	for (unsigned to = i; to + 1 < nr; to++)
		copy(&bus->slots[to], &bus->slots[to + 1]);
	store(bus->nr, nr - 1);
	end_change(bus);
}

void bus_remove(struct bus *bus, struct bus_region *region)
{
	pthread_mutex_lock(&bus->lock);
	for (unsigned i = 0; i < load(bus->nr); i++) {
		if (load(bus->slots[i].region) != region)
			continue;
		take_out(bus, i);
		break;
	}
	pthread_mutex_unlock(&bus->lock);
}

void bus_set_trace(struct bus *bus, bool on)
{
	atomic_store_explicit(&bus->is_traced, on, memory_order_relaxed);
}

static void trace(struct bus *bus, bool is_write, uint64_t addr, const void *data, unsigned size)
{
	struct bus_region r;
	uint64_t value = 0;

	if (!load(bus->is_traced))
		return;
	memcpy(&value, data, size);
	log_info("%s %s 0x%llx size %u value 0x%llx (%s)", bus->space == BUS_PIO ? "port" : "mmio",
		 is_write ? "write" : "read", (unsigned long long)addr, size,
		 (unsigned long long)value, find(bus, addr, &r) ? r.name : "nothing there");
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

/* Which device answers at addr, and how many of len bytes it takes at once; 0: nobody does. */
static unsigned find_piece(struct bus *bus, uint64_t addr, unsigned len, struct bus_region *r,
			   uint64_t *offset)
{
	if (!find(bus, addr, r))
		return 0;
	*offset = addr - r->base;
	return piece_size(r->ops, *offset, (unsigned)min((uint64_t)len, r->size - *offset));
}

bool bus_read(struct bus *bus, uint64_t addr, void *data, unsigned size)
{
	uint8_t *bytes = data;
	bool is_answered = true;

	for (unsigned done = 0; done < size;) {
		struct bus_region r;
		uint64_t offset, value = UINT64_MAX;
		unsigned piece = find_piece(bus, addr + done, size - done, &r, &offset);

		if (piece && r.ops->read)
			value = r.ops->read(r.dev, offset, piece) & all_ones(piece);
		else
			is_answered = false;
		piece = piece ? piece : 1;
		memcpy(bytes + done, &value, piece);
		done += piece;
	}
	trace(bus, false, addr, data, size);
	return is_answered;
}

bool bus_write(struct bus *bus, uint64_t addr, const void *data, unsigned size)
{
	const uint8_t *bytes = data;
	bool is_answered = true;

	trace(bus, true, addr, data, size);
	for (unsigned done = 0; done < size;) {
		struct bus_region r;
		uint64_t offset, value = 0;
		unsigned piece = find_piece(bus, addr + done, size - done, &r, &offset);

		memcpy(&value, bytes + done, piece ? piece : 1);
		if (piece && r.ops->write)
			r.ops->write(r.dev, offset, piece, value);
		else
			is_answered = false;
		done += piece ? piece : 1;
	}
	return is_answered;
}
