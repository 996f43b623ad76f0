/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a device. A constructor named x_new() returns the device's own struct, which embeds a
 * struct device as its first member; machine/ keeps them in order of creation and calls each of
 * these on the main loop thread with all vCPUs stopped. A NULL op means: nothing to do.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "base/list.h"
#include "core/state.h"

struct device;

struct device_ops {
	const char *type; /* "serial", "pit": names the section in a saved state */

	/* To power-on state; guest memory untouched. Timers disarmed, lines lowered. */
	void (*reset)(struct device *d);

	/* Saves or loads everything the guest can tell apart; paused. Re-arms timers on load. */
	void (*state)(struct device *d, struct state *s);

	/* After pause() the device touches neither guest memory nor its lines until resume(). */
	void (*pause)(struct device *d);
	void (*resume)(struct device *d);

	/* Ends workers, leaves the buses, frees. */
	void (*free)(struct device *d);
};

struct device {
	const struct device_ops *ops;
	unsigned index; /* which of its type, from 0 */
	struct list node;
};

/* A list head of devices, and the walks over it: forward, but free goes backward. */
void device_add(struct list *devices, struct device *d);
void devices_reset(struct list *devices);
void devices_pause(struct list *devices);
void devices_resume(struct list *devices);
void devices_free(struct list *devices);

/* One section per device, named "type.index". Failure is in s. */
void devices_state(struct list *devices, struct state *s);

#endif
