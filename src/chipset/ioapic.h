/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O APIC (82093AA with the EOI register of version 0x20): 24 inputs, each turned into a
 * message by its redirection entry.
 */
#ifndef CHIPSET_IOAPIC_H
#define CHIPSET_IOAPIC_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

#define IOAPIC_PINS    24
#define IOAPIC_ADDRESS 0xfec00000u
#define IOAPIC_SIZE    0x1000u

struct ioapic;

/* The message of a pin. A masked pin keeps it: an EOI of an earlier interrupt may be on its way. */
struct ioapic_route {
	uint64_t addr;
	uint32_t data; /* bit 15: level-triggered */
	bool is_masked;
};

struct ioapic_params {
	struct bus *mmio;
	uint64_t base;	     /* 0: IOAPIC_ADDRESS */
	uint8_t id;	     /* shown in the id register until the guest writes it */
	struct msi_sink msi; /* called with the IOAPIC's lock held; must not call back */

	/* A redirection entry changed, or all did; ioapic_new() calls it too. As msi. May be NULL.
	 */
	void (*routes_changed)(void *ctx, const struct ioapic_route routes[IOAPIC_PINS]);
	void *ctx;
};

struct ioapic *ioapic_new(const struct ioapic_params *params, struct error *err);
struct device *ioapic_device(struct ioapic *io);

/* Input pin 0-23 as a line to drive. Any thread. */
struct irq_line ioapic_line(struct ioapic *io, unsigned pin);

/* A CPU ended the interrupt with this vector: level-triggered pins still high ask again. Any
 * thread. */
void ioapic_eoi(struct ioapic *io, unsigned vector);

#endif
