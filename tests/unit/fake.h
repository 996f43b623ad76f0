/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device test needs around the device: buses to reach it through, lines that count, a clock
 * that moves only when told, and the save/load round trip. Included once per test program: it
 * defines the clock functions of core/clock.h, in place of the library's.
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

/* ---- clock ---- */

struct clock {
	uint64_t now_ns;
	struct list timers; /* armed, in no order */
};

static inline void fake_clock_init(struct clock *c)
{
	c->now_ns = NS_PER_SEC;
	list_init(&c->timers);
}

uint64_t clock_now_ns(struct clock *c)
{
	return c->now_ns;
}

void clock_timer_init(struct clock_timer *t, struct clock *c, void (*fn)(struct clock_timer *t))
{
	*t = (struct clock_timer){.clock = c, .fn = fn};
	list_init(&t->node);
}

void clock_timer_arm(struct clock_timer *t, uint64_t deadline_ns)
{
	list_remove(&t->node);
	list_append(&t->clock->timers, &t->node);
	t->deadline_ns = deadline_ns;
	t->is_armed = true;
}

void clock_timer_disarm(struct clock_timer *t)
{
	list_remove(&t->node);
	t->is_armed = false;
}

static inline struct clock_timer *fake_clock_next(struct clock *c)
{
	struct clock_timer *first = NULL;

	list_for_each (it, &c->timers) {
		struct clock_timer *t = list_entry(it, struct clock_timer, node);

		if (!first || t->deadline_ns < first->deadline_ns)
			first = t;
	}
	return first;
}

/* Moves to now + ns, firing each timer at its time. */
static inline void fake_clock_advance(struct clock *c, uint64_t ns)
{
	uint64_t end = c->now_ns + ns;

	for (unsigned fired = 0;; fired++) {
		struct clock_timer *t = fake_clock_next(c);

		if (!t || t->deadline_ns > end)
			break;
		assert_true(fired < 1000000); /* a timer that rearms itself in the past */
		c->now_ns = max(c->now_ns, t->deadline_ns);
		clock_timer_disarm(t);
		t->fn(t);
	}
	c->now_ns = end;
}

/* As if the monitor had not run for ns: time passes first, then timers fire late. */
static inline void fake_clock_stall(struct clock *c, uint64_t ns)
{
	c->now_ns += ns;
	fake_clock_advance(c, 0);
}

/* ---- lines ---- */

struct fake_line {
	bool level;
	unsigned nr_rises;
};

static inline void fake_line_set(void *ctx, unsigned pin, bool level)
{
	struct fake_line *l = (struct fake_line *)ctx + pin;

	l->nr_rises += level && !l->level;
	l->level = level;
}

static inline struct irq_line fake_line(struct fake_line *lines, unsigned pin)
{
	return (struct irq_line){.set = fake_line_set, .ctx = lines, .pin = pin};
}

/* ---- buses ---- */

static inline void out8(struct bus *bus, uint64_t addr, uint8_t value)
{
	bus_write(bus, addr, &value, 1);
}

static inline uint8_t in8(struct bus *bus, uint64_t addr)
{
	uint8_t value = 0;

	bus_read(bus, addr, &value, 1);
	return value;
}

static inline void out16(struct bus *bus, uint64_t addr, uint16_t value)
{
	bus_write(bus, addr, &value, 2);
}

static inline uint16_t in16(struct bus *bus, uint64_t addr)
{
	uint16_t value = 0;

	bus_read(bus, addr, &value, 2);
	return value;
}

static inline void out32(struct bus *bus, uint64_t addr, uint32_t value)
{
	bus_write(bus, addr, &value, 4);
}

static inline uint32_t in32(struct bus *bus, uint64_t addr)
{
	uint32_t value = 0;

	bus_read(bus, addr, &value, 4);
	return value;
}

static inline void out64(struct bus *bus, uint64_t addr, uint64_t value)
{
	bus_write(bus, addr, &value, 8);
}

static inline uint64_t in64(struct bus *bus, uint64_t addr)
{
	uint64_t value = 0;

	bus_read(bus, addr, &value, 8);
	return value;
}

/* ---- saved state ---- */

static inline void fake_save(struct device *d, struct buf *out)
{
	struct state s;

	state_init_save(&s, out);
	state_begin(&s, d->ops->type, 1);
	d->ops->state(d, &s);
	state_end(&s);
	assert_false(state_failed(&s));
}

/* True when the device took it. */
static inline bool fake_load(struct device *d, const struct buf *in)
{
	struct state s;

	state_init_load(&s, in->data, in->len);
	state_begin(&s, d->ops->type, 1);
	d->ops->state(d, &s);
	state_end(&s);
	return !state_failed(&s);
}

/* Saves, resets, loads, saves again: the bytes must be the same. */
static inline void fake_round_trip(struct device *d)
{
	struct buf first = {0}, second = {0};

	fake_save(d, &first);
	d->ops->reset(d);
	assert_true(fake_load(d, &first));
	fake_save(d, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	buf_free(&first);
	buf_free(&second);
}

/* Every cut of a saved state is refused, and random bytes never do harm. */
static inline void fake_hostile_load(struct device *d)
{
	struct buf saved = {0};

	fake_save(d, &saved);
	for (size_t len = 0; len < saved.len; len++) {
		struct buf cut = {.data = saved.data, .len = len};

		assert_false(fake_load(d, &cut));
	}
	srand(1);
	for (unsigned i = 0; i < 200; i++) {
		struct buf noise = {0};

		buf_append(&noise, saved.data, saved.len);
		for (size_t at = 40; at < noise.len; at++)
			noise.data[at] = (uint8_t)rand();
		fake_load(d, &noise);
		buf_free(&noise);
	}
	buf_free(&saved);
}

#endif
