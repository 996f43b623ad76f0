/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A high precision event timer (IA-PC HPET specification 1.0a): a 64-bit counter of 10 ns and
 * three comparators, with legacy replacement: timer 0 takes the place of the PIT at IRQ 0 and
 * timer 1 that of the RTC at IRQ 8, which is why their lines pass through here.
 */
#ifndef CHIPSET_HPET_H
#define CHIPSET_HPET_H

#include "base/error.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

#define HPET_ADDRESS   0xfed00000u
#define HPET_SIZE      0x400u
#define HPET_BLOCK_ID  0x8086a201u /* low half of the capabilities, for the ACPI table */
#define HPET_NR_TIMERS 3
#define HPET_NR_PINS   24

struct hpet;

struct hpet_params {
	struct bus *mmio;
	struct clock *clock;
	uint64_t base;			    /* 0: HPET_ADDRESS */
	struct irq_line pins[HPET_NR_PINS]; /* IOAPIC inputs a timer may be routed to */
	uint32_t routable;		    /* which of them: a bit each */
	struct irq_line irq0, irq8;	    /* where the PIT's and the RTC's lines lead */
	struct msi_sink msi;		    /* not connected: no FSB delivery is offered */
};

struct hpet *hpet_new(const struct hpet_params *params, struct error *err);
struct device *hpet_device(struct hpet *hpet);

/* What PIT and RTC drive: passed on to irq0 and irq8 unless legacy replacement is on. */
struct irq_line hpet_pit_line(struct hpet *hpet);
struct irq_line hpet_rtc_line(struct hpet *hpet);

#endif
