/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 82093AA I/O APIC with the EOI register of ICH-era parts. Each pin's redirection entry is
 * turned into the message a local APIC would receive. As in real parts, an edge on a masked pin is
 * lost; a level-triggered pin is sent again after its EOI while it stays high. Left out: SMI and
 * ExtINT have no receiver, pin polarity (lines carry "active" already) and the arbitration id.
 * Entered by vCPU threads and by whatever thread drives a pin.
 */
#include "chipset/ioapic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define REG_EOI	   0x40

#define INDEX_ID	  0x00
#define INDEX_VERSION	  0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_REDIRECTION 0x10

#define VERSION_VALUE (0x20u | (IOAPIC_PINS - 1) << 16)

/* Redirection entry (82093AA, 3.2.4). */
#define ENTRY_VECTOR	 0xffull
#define ENTRY_LOGICAL	 BIT64(11)
#define ENTRY_PENDING	 BIT64(12) /* delivery status: never seen set, delivery is instant */
#define ENTRY_REMOTE_IRR BIT64(14)
#define ENTRY_LEVEL	 BIT64(15)
#define ENTRY_MASKED	 BIT64(16)
#define ENTRY_WRITABLE	 (0xff0000000001ffffull & ~(ENTRY_PENDING | ENTRY_REMOTE_IRR))

struct ioapic {
	struct device dev;
	pthread_mutex_t lock; /* guards all; the callbacks are made under it */
	struct ioapic_params params;
	struct bus_region region;
	uint8_t select;
	uint8_t id;
	uint32_t lines; /* input levels */
	uint64_t entries[IOAPIC_PINS];
};

/* ---- messages; lock held ---- */

static struct ioapic_route route_of(uint64_t entry)
{
	uint64_t dest = entry >> 56;
	uint32_t mode = (uint32_t)entry & 0x700;

	return (struct ioapic_route){
		.addr = 0xfee00000u | dest << 12 | (entry & ENTRY_LOGICAL ? BIT(2) : 0),
		.data = (uint32_t)(entry & ENTRY_VECTOR) | mode |
			(entry & ENTRY_LEVEL ? BIT(15) | BIT(14) : 0),
		.is_masked = entry & ENTRY_MASKED,
	};
}

static void tell_routes(struct ioapic *io)
{
	struct ioapic_route routes[IOAPIC_PINS];

	if (!io->params.routes_changed)
		return;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		routes[i] = route_of(io->entries[i]);
	io->params.routes_changed(io->params.ctx, routes);
}

static void send(struct ioapic *io, unsigned pin)
{
	struct ioapic_route route = route_of(io->entries[pin]);

	msi_send(&io->params.msi, route.addr, route.data);
}

/* Sends a level-triggered pin that is high, unmasked and not being served. */
static void serve_level(struct ioapic *io, unsigned pin)
{
	uint64_t *e = &io->entries[pin];

	if (!(*e & ENTRY_LEVEL) || (*e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		return;
	if (!(io->lines >> pin & 1))
		return;
	*e |= ENTRY_REMOTE_IRR;
	send(io, pin);
}

static void ioapic_set(void *ctx, unsigned pin, bool level)
{
	struct ioapic *io = ctx;
	bool was_high;

	pthread_mutex_lock(&io->lock);
	was_high = io->lines >> pin & 1;
	io->lines = (io->lines & ~BIT(pin)) | (level ? BIT(pin) : 0);
	if (level && !was_high && !(io->entries[pin] & (ENTRY_LEVEL | ENTRY_MASKED)))
		send(io, pin);
	serve_level(io, pin);
	pthread_mutex_unlock(&io->lock);
}

struct irq_line ioapic_line(struct ioapic *io, unsigned pin)
{
	BUG_ON(pin >= IOAPIC_PINS);
	return (struct irq_line){.set = ioapic_set, .ctx = io, .pin = pin};
}

static void end_vector(struct ioapic *io, unsigned vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *e = &io->entries[pin];

		if ((*e & ENTRY_VECTOR) != vector || !(*e & ENTRY_REMOTE_IRR))
			continue;
		*e &= ~ENTRY_REMOTE_IRR;
		serve_level(io, pin);
	}
}

void ioapic_eoi(struct ioapic *io, unsigned vector)
{
	pthread_mutex_lock(&io->lock);
	end_vector(io, vector);
	pthread_mutex_unlock(&io->lock);
}

/* ---- registers; lock held ---- */

static uint32_t read_indexed(const struct ioapic *io)
{
	unsigned pin = (io->select - INDEX_REDIRECTION) / 2;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return (uint32_t)io->id << 24;
	case INDEX_VERSION:
		return VERSION_VALUE;
	default:
		if (io->select < INDEX_REDIRECTION || pin >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(io->entries[pin] >> (io->select & 1 ? 32 : 0));
	}
}

/*
 * Remote IRR is read-only, but making the pin edge-triggered clears it: kernels do that to get rid
 * of a stuck one on parts without the EOI register.
 */
static void write_entry(struct ioapic *io, unsigned pin, bool is_high, uint32_t value)
{
	uint64_t old = io->entries[pin];
	uint64_t entry = is_high ? (old & 0xffffffffull) | (uint64_t)value << 32
				 : (old & ~0xffffffffull) | value;

	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
	if (!(entry & ENTRY_LEVEL))
		entry &= ~ENTRY_REMOTE_IRR;
	io->entries[pin] = entry;
	if (entry != old)
		tell_routes(io);
	serve_level(io, pin);
}

static void write_indexed(struct ioapic *io, uint32_t value)
{
	unsigned pin = (io->select - INDEX_REDIRECTION) / 2;

	if (io->select == INDEX_ID)
		io->id = value >> 24 & 0x0f;
	else if (io->select >= INDEX_REDIRECTION && pin < IOAPIC_PINS)
		write_entry(io, pin, io->select & 1, value);
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
	struct ioapic *io = dev;
	uint32_t value = 0;

	pthread_mutex_lock(&io->lock);
	if (offset == REG_SELECT)
		value = io->select;
	else if (offset == REG_WINDOW)
		value = read_indexed(io);
	pthread_mutex_unlock(&io->lock);
	return value;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *io = dev;

	pthread_mutex_lock(&io->lock);
	if (offset == REG_SELECT)
		io->select = (uint8_t)value;
	else if (offset == REG_WINDOW && size == 4)
		write_indexed(io, (uint32_t)value);
	else if (offset == REG_EOI)
		end_vector(io, value & 0xff);
	pthread_mutex_unlock(&io->lock);
}

/* Select and EOI are also written as bytes. */
static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};

/* ---- device ---- */

/* The inputs keep their levels: they belong to whoever drives them. */
static void reset(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	pthread_mutex_lock(&io->lock);
	io->select = 0;
	io->id = io->params.id;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		io->entries[i] = ENTRY_MASKED;
	tell_routes(io);
	pthread_mutex_unlock(&io->lock);
}

static void state(struct device *d, struct state *s)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	pthread_mutex_lock(&io->lock);
	state_u8(s, &io->select);
	state_u8(s, &io->id);
	state_u32(s, &io->lines);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		state_u64(s, &io->entries[i]);
		io->entries[i] &= ENTRY_WRITABLE | ENTRY_REMOTE_IRR;
	}
	if (state_is_loading(s))
		tell_routes(io);
	pthread_mutex_unlock(&io->lock);
}

static void ioapic_free(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	bus_remove(io->params.mmio, &io->region);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

static const struct device_ops device_ops = {
	.type = "ioapic",
	.reset = reset,
	.state = state,
	.free = ioapic_free,
};

struct ioapic *ioapic_new(const struct ioapic_params *params, struct error *err)
{
	struct ioapic *io = mem_alloc_zero(sizeof(*io));

	io->dev.ops = &device_ops;
	list_init(&io->dev.node);
	io->params = *params;
	pthread_mutex_init(&io->lock, NULL);
	io->region = (struct bus_region){.name = "ioapic",
					 .base = params->base ? params->base : IOAPIC_ADDRESS,
					 .size = IOAPIC_SIZE,
					 .ops = &mmio_ops,
					 .dev = io};
	if (bus_add(params->mmio, &io->region, err)) {
		ioapic_free(&io->dev);
		return NULL;
	}
	reset(&io->dev);
	return io;
}

struct device *ioapic_device(struct ioapic *io)
{
	return &io->dev;
}
