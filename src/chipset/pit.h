/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The i8254 interval timer of a PC: three counters at 1.193182 MHz, ports 0x40-0x43, and the
 * speaker and timer bits of port 0x61. Counter 0 drives IRQ 0.
 */
#ifndef CHIPSET_PIT_H
#define CHIPSET_PIT_H

#include "base/error.h"
#include "chipset/tick_policy.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

#define PIT_HZ 1193182u

struct pit;

struct pit_params {
	struct bus *pio;
	struct clock *clock;
	struct irq_line irq; /* output of counter 0 */
	enum tick_policy missed;
};

struct pit *pit_new(const struct pit_params *params, struct error *err);
struct device *pit_device(struct pit *pit);

#endif
