/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which local APICs an interrupt message reaches (SDM vol. 3, 11.6.2 and 11.12.9): physical and
 * logical destinations in flat, cluster and x2APIC cluster form, broadcast, shorthands, lowest
 * priority. Any thread; the set of LAPICs is fixed while messages travel. Left out: the priority
 * arbitration of a real bus; among equal priorities the turn goes round.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "engine/soft/lapic_impl.h"

#define LAPIC_BUS_MAX 256 /* the xAPIC's address space; engines make fewer vCPUs than that */

struct lapic_bus {
	struct lapic *lapics[LAPIC_BUS_MAX];
	_Atomic unsigned nr; /* pairs with the release in lapic_bus_attach() */
	uint32_t tsc_khz;
	_Atomic unsigned turn; /* who starts the search for the lowest priority */
	_Atomic uint64_t eoi_exits[4];
};

struct lapic_bus *lapic_bus_new(uint32_t tsc_khz)
{
	struct lapic_bus *bus = mem_alloc_zero(sizeof(*bus));

	BUG_ON(!tsc_khz);
	bus->tsc_khz = tsc_khz;
	return bus;
}

void lapic_bus_free(struct lapic_bus *bus)
{
	free(bus);
}

void lapic_bus_attach(struct lapic_bus *bus, struct lapic *l)
{
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_relaxed);

	BUG_ON(nr == LAPIC_BUS_MAX);
	bus->lapics[nr] = l;
	atomic_store_explicit(&bus->nr, nr + 1, memory_order_release);
}

void lapic_bus_detach(struct lapic_bus *bus, struct lapic *l)
{
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_relaxed);

	for (unsigned i = 0; i < nr; i++) {
		if (bus->lapics[i] != l)
			continue;
		bus->lapics[i] = bus->lapics[nr - 1];
		atomic_store_explicit(&bus->nr, nr - 1, memory_order_release);
		return;
	}
}

uint32_t lapic_bus_tsc_khz(const struct lapic_bus *bus)
{
	return bus->tsc_khz;
}

void lapic_bus_set_eoi_exits(struct lapic_bus *bus, const uint64_t vectors[4])
{
	for (unsigned i = 0; i < 4; i++)
		atomic_store_explicit(&bus->eoi_exits[i], vectors[i], memory_order_release);
}

bool lapic_bus_wants_eoi(struct lapic_bus *bus, unsigned vector)
{
	uint64_t word = atomic_load_explicit(&bus->eoi_exits[vector / 64], memory_order_acquire);

	return word >> (vector % 64) & 1;
}

static bool is_broadcast(const struct lapic_msg *msg)
{
	return msg->dest == (msg->is_x2apic ? LAPIC_BROADCAST_X2APIC : LAPIC_BROADCAST_XAPIC);
}

static bool matches_logical(const struct lapic *l, enum lapic_mode mode, uint32_t dest)
{
	uint32_t logical = atomic_load_explicit(&l->logical, memory_order_acquire);

	if (mode == LAPIC_X2APIC)
		return logical >> 16 == dest >> 16 && (logical & dest & 0xffff);
	logical >>= 24;
	switch (atomic_load_explicit(&l->format, memory_order_acquire) >> 28) {
	case 0xf:
		return logical & dest & 0xff;
	case 0x0:
		return logical >> 4 == dest >> 4 && (logical & dest & 0xf);
	default:
		return false;
	}
}

static bool matches(const struct lapic *l, const struct lapic_msg *msg)
{
	enum lapic_mode mode = atomic_load_explicit(&l->mode, memory_order_acquire);

	if (mode == LAPIC_DISABLED)
		return false;
	if (is_broadcast(msg))
		return true;
	if (msg->is_logical)
		return matches_logical(l, mode, msg->dest);
	return atomic_load_explicit(&l->address, memory_order_acquire) == msg->dest;
}

/* The matching LAPIC with the lowest processor priority; the first of equals after the turn. */
static bool deliver_lowest(struct lapic_bus *bus, const struct lapic_msg *msg)
{
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_acquire);
	unsigned turn = atomic_fetch_add_explicit(&bus->turn, 1, memory_order_relaxed);
	struct lapic *best = NULL;
	unsigned best_priority = 0;

	for (unsigned i = 0; i < nr; i++) {
		struct lapic *l = bus->lapics[(turn + i) % nr];
		unsigned priority;

		if (!matches(l, msg))
			continue;
		priority = lapic_priority(l);
		if (!best || priority < best_priority) {
			best = l;
			best_priority = priority;
		}
	}
	return best && lapic_deliver(best, msg);
}

static bool deliver(struct lapic_bus *bus, const struct lapic_msg *msg)
{
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_acquire);
	bool is_taken = false;

	if (msg->mode == DELIVER_LOWEST)
		return deliver_lowest(bus, msg);
	for (unsigned i = 0; i < nr; i++)
		if (matches(bus->lapics[i], msg))
			is_taken |= lapic_deliver(bus->lapics[i], msg);
	return is_taken;
}

/*
 * Address bits 31-20 are 0xfee, 19-12 the destination, 3 the redirection hint, 2 logical mode; the
 * upper half carries destination bits 31-8 as KVM defines them for more than 255 CPUs.
 */
int lapic_bus_msi(struct lapic_bus *bus, uint64_t addr, uint32_t data)
{
	uint32_t high = (uint32_t)(addr >> 32) & 0xffffff00u;
	struct lapic_msg msg = {
		.dest = (uint32_t)(addr >> 12 & 0xff) | high,
		.is_logical = addr >> 2 & 1,
		.is_x2apic = high != 0,
		.is_level = data >> 15 & 1,
		.mode = data >> 8 & 7,
		.vector = (uint8_t)data,
	};

	if ((addr & 0xfff00000u) != 0xfee00000u)
		return -EINVAL;
	if ((addr >> 3 & 1) && msg.mode == DELIVER_FIXED)
		msg.mode = DELIVER_LOWEST;
	return deliver(bus, &msg) ? 0 : -EINVAL;
}

void lapic_bus_ipi(struct lapic_bus *bus, struct lapic *source, uint32_t icr, uint32_t dest,
		   bool is_x2apic)
{
	unsigned shorthand = icr >> 18 & 3;
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_acquire);
	struct lapic_msg msg = {
		.dest = dest,
		.is_logical = icr >> 11 & 1,
		.is_x2apic = is_x2apic,
		.mode = icr >> 8 & 7,
		.vector = (uint8_t)icr,
	};

	/* INIT level de-assert set arbitration ids on old buses; nothing to do since. */
	if (msg.mode == DELIVER_INIT && (icr >> 15 & 1) && !(icr >> 14 & 1))
		return;
	if (shorthand == 0) {
		deliver(bus, &msg);
		return;
	}
	/* A shorthand names its targets: lowest priority has nothing to choose from. */
	if (msg.mode == DELIVER_LOWEST)
		msg.mode = DELIVER_FIXED;
	if (shorthand == 1) {
		lapic_deliver(source, &msg);
		return;
	}
	for (unsigned i = 0; i < nr; i++) {
		struct lapic *l = bus->lapics[i];

		if (l == source && shorthand == 3)
			continue;
		if (atomic_load_explicit(&l->mode, memory_order_acquire) != LAPIC_DISABLED)
			lapic_deliver(l, &msg);
	}
}

int lapic_bus_multi_ipi(struct lapic_bus *bus, uint32_t first, uint64_t ids, uint32_t icr)
{
	unsigned nr = atomic_load_explicit(&bus->nr, memory_order_acquire);
	struct lapic_msg msg = {.mode = icr >> 8 & 7, .vector = (uint8_t)icr};
	int nr_taken = 0;

	if (icr & ~0x7ffu || (msg.mode != DELIVER_FIXED && msg.mode != DELIVER_NMI))
		return -EINVAL;
	for (unsigned i = 0; i < nr; i++) {
		struct lapic *l = bus->lapics[i];
		uint32_t id = atomic_load_explicit(&l->address, memory_order_acquire);

		if (atomic_load_explicit(&l->mode, memory_order_acquire) == LAPIC_DISABLED)
			continue;
		if (id >= first && id - first < 64 && ids >> (id - first) & 1)
			nr_taken += lapic_deliver(l, &msg);
	}
	return nr_taken;
}
