/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pair of i8259A interrupt controllers of a PC with its edge/level control registers: ports
 * 0x20, 0x21, 0xa0, 0xa1, 0x4d0 and 0x4d1; sixteen inputs, input 2 being the cascade.
 */
#ifndef CHIPSET_PIC_H
#define CHIPSET_PIC_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

#define PIC_PINS 16

struct pic;

struct pic_params {
	struct bus *pio;

	/* The INT output of the master changed. Any thread; called with the PIC's lock held, must
	 * not call back. */
	void (*int_changed)(void *ctx, bool level);
	void *ctx;
};

struct pic *pic_new(const struct pic_params *params, struct error *err);
struct device *pic_device(struct pic *pic);

/* Input pin 0-15 as a line to drive. Any thread. */
struct irq_line pic_line(struct pic *pic, unsigned pin);

/* The INT output now. Any thread. */
bool pic_is_raised(struct pic *pic);

/* The interrupt acknowledge cycle: the vector, a spurious one if nothing asks any more. Any thread.
 */
unsigned pic_ack(struct pic *pic);

#endif
