/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest time: nanoseconds since the VM was made, standing still while the VM is paused. Timers of
 * devices count on it, so a paused guest misses no deadline. Follows the host's CLOCK_MONOTONIC.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

#include "host/loop.h"

struct clock;

struct clock *clock_new(struct loop *loop); /* starts running at 0 */
void clock_free(struct clock *c);	    /* every timer disarmed before; NULL is fine */

/* Any thread. */
uint64_t clock_now_ns(struct clock *c);

/* Main loop thread; each must follow the other. Armed timers wait while paused. */
void clock_pause(struct clock *c);
void clock_resume(struct clock *c);

/* Only while paused: sets the time, for restoring a saved VM. */
void clock_set_ns(struct clock *c, uint64_t now_ns);

/*
 * A deadline in guest time, embedded in its owner and initialised once. arm replaces an earlier
 * deadline; a deadline in the past fires at once. Any thread, also under the device's own lock. fn
 * runs on the main loop thread with no lock held; after a disarm from another thread one callback
 * that has already begun may still run, so fn takes the device's lock and looks at the state.
 */
struct clock_timer {
	struct list node;
	struct clock *clock;
	uint64_t deadline_ns;
	bool is_armed;
	void (*fn)(struct clock_timer *t);
};

void clock_timer_init(struct clock_timer *t, struct clock *c, void (*fn)(struct clock_timer *t));
void clock_timer_arm(struct clock_timer *t, uint64_t deadline_ns);
void clock_timer_disarm(struct clock_timer *t);

/*
 * a * b / c without overflow of the product, rounded down: ticks from nanoseconds and back.
 * c is not 0; the quotient must fit 64 bits (it is cut otherwise).
 */
static inline uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
