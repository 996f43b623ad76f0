/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The i8042 keyboard controller of a PC (ports 0x60 and 0x64) with an AT keyboard and a PS/2 mouse
 * plugged in, and its reset line.
 */
#ifndef DEVICE_I8042_H
#define DEVICE_I8042_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct i8042;

struct i8042_params {
	struct bus *pio;
	struct irq_line irq_keyboard; /* IRQ 1 */
	struct irq_line irq_mouse;    /* IRQ 12 */
	void (*reset)(void *ctx);     /* the reset line was pulsed; vCPU thread, no lock held */
	void *ctx;
};

struct i8042 *i8042_new(const struct i8042_params *params, struct error *err);
struct device *i8042_device(struct i8042 *c);

/*
 * A key goes down or up. code is the key's scan code of set 1: 0x01-0x7f, or 0xe001-0xe07f for the
 * keys with a prefix; 0xe11d is Pause. Unknown codes are ignored. Any thread. Returns false when
 * the keyboard's queue is full and the event is lost.
 */
bool i8042_key(struct i8042 *c, unsigned code, bool is_down);

/* The mouse moved (right and up are positive), its wheel turned, its buttons are now this set. */
#define MOUSE_LEFT   1u
#define MOUSE_RIGHT  2u
#define MOUSE_MIDDLE 4u
bool i8042_mouse(struct i8042 *c, int dx, int dy, int wheel, unsigned buttons);

#endif
