/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550A serial port with a character back end behind it. Output is never lost: while the back
 * end is full the transmitter stays busy, and the guest's driver waits as it would for a slow line.
 * Input is taken from the back end only as the receiver has room.
 */
#ifndef DEVICE_SERIAL_H
#define DEVICE_SERIAL_H

#include "backend/char/char.h"
#include "base/error.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

#define SERIAL_NR_PORTS 8

struct serial;

struct serial_params {
	struct bus *pio;
	struct clock *clock;
	uint16_t base;	  /* 0x3f8, 0x2f8, 0x3e8, 0x2e8 */
	const char *name; /* for traces; not copied */
	unsigned index;
	struct irq_line irq;
	struct char_dev *chr; /* borrowed; NULL: nothing is plugged in */
};

struct serial *serial_new(const struct serial_params *params, struct error *err);
struct device *serial_device(struct serial *s);

#endif
