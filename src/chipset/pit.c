/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The i8254 programmable interval timer (Intel 8254 data sheet) and port 0x61 of a PC. Nothing
 * ticks: a counter's value and output follow from the guest time since it was loaded, and only
 * counter 0 has a timer, for its interrupt. Interrupts come no faster than PERIOD_MIN_NS; the
 * counters themselves do. Left out: sound, and the refresh requests of counter 1, whose toggling
 * bit 4 of port 0x61 runs on its own. Entered by vCPU threads and the main loop.
 */
#include "chipset/pit.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "chipset/pit_counter.h"

#define NR_COUNTERS 3

/* A guest may ask for a tick every 838 ns; serving that would keep the main loop from all else. */
#define PERIOD_MIN_NS (50 * NS_PER_US)

#define REFRESH_HALF_NS 15085u /* 66.3 kHz, the rate of memory refresh */

#define CONTROL_PORT	 3
#define CONTROL_READBACK 3 /* in the place of a counter's number */

#define SPEAKER_GATE	 BIT(0)
#define SPEAKER_WRITABLE 0x0fu
#define SPEAKER_REFRESH	 BIT(4)
#define SPEAKER_OUT	 BIT(5)

struct pit {
	struct device dev;
	pthread_mutex_t lock; /* guards all; the line is driven under it */
	struct pit_params params;
	struct bus_region ports, speaker_port;
	struct counter counters[NR_COUNTERS];
	uint8_t speaker; /* writable bits of port 0x61 */
	struct clock_timer timer;
	uint64_t ticks_done; /* rising edges of counter 0 since start_ns that were dealt with */
};

/* ---- the interrupt of counter 0; lock held ---- */

/* Arms the timer for the next edge, or takes owed ones at twice the rate. */
static void arm(struct pit *pit, uint64_t now)
{
	struct counter *c = &pit->counters[0];
	uint64_t half = pit_ticks_to_ns(c->reload) / 2;
	uint64_t at;

	if (!counter_edge_time(c, pit->ticks_done + 1, &at)) {
		clock_timer_disarm(&pit->timer);
		return;
	}
	if (at <= now)
		at = now + half;
	clock_timer_arm(&pit->timer, max(at, now + PERIOD_MIN_NS));
}

/* The counter was programmed: edges count anew, the line shows the output. */
static void restart_irq(struct pit *pit, uint64_t now)
{
	pit->ticks_done = 0;
	irq_set(&pit->params.irq, counter_output(&pit->counters[0], now));
	arm(pit, now);
}

static void expired(struct clock_timer *t)
{
	struct pit *pit = container_of(t, struct pit, timer);
	struct counter *c = &pit->counters[0];
	uint64_t now, due;

	pthread_mutex_lock(&pit->lock);
	now = clock_now_ns(pit->params.clock);
	due = counter_edges(c, now);
	if (tick_take(pit->params.missed, &pit->ticks_done, due)) {
		irq_lower(&pit->params.irq);
		irq_raise(&pit->params.irq);
	}
	if (c->next_reload && counter_is_periodic(c) && due && pit->ticks_done >= due) {
		counter_settle(c, now);
		pit->ticks_done = counter_edges(c, now);
	}
	arm(pit, now);
	pthread_mutex_unlock(&pit->lock);
}

/* ---- ports; lock held ---- */

static void latch_count(struct counter *c, uint64_t now)
{
	if (c->count_latch)
		return;
	c->latched_count = counter_value(c, now);
	c->count_latch = counter_access(c) == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct counter *c, uint64_t now)
{
	if (c->has_status_latch)
		return;
	c->latched_status =
		(counter_output(c, now) ? BIT(7) : 0) | (c->is_null ? BIT(6) : 0) | c->control;
	c->has_status_latch = true;
}

static void write_readback(struct pit *pit, uint8_t value, uint64_t now)
{
	for (unsigned i = 0; i < NR_COUNTERS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & BIT(5)))
			latch_count(&pit->counters[i], now);
		if (!(value & BIT(4)))
			latch_status(&pit->counters[i], now);
	}
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned which = value >> 6;
	struct counter *c = &pit->counters[which % NR_COUNTERS];

	if (which == CONTROL_READBACK) {
		write_readback(pit, value, now);
		return;
	}
	if ((value >> 4 & 3) == ACCESS_LATCH) {
		latch_count(c, now);
		return;
	}
	counter_set_control(c, value);
	if (which == 0)
		restart_irq(pit, now);
}

/* The first of two bytes. In mode 0 it stops the count and lowers the output. */
static void write_low_byte(struct pit *pit, unsigned which, uint8_t value, uint64_t now)
{
	struct counter *c = &pit->counters[which];

	c->low_byte = value;
	if (counter_mode(c) != 0)
		return;
	c->is_loaded = false;
	counter_freeze(c, now);
	if (which == 0)
		restart_irq(pit, now);
}

static void write_count(struct pit *pit, unsigned which, uint8_t value, uint64_t now)
{
	struct counter *c = &pit->counters[which];
	bool was_periodic = counter_is_periodic(c) && c->is_running;

	switch (counter_access(c)) {
	case ACCESS_LATCH: /* no control word yet */
		return;
	case ACCESS_LSB:
		counter_load(c, value, now);
		break;
	case ACCESS_MSB:
		counter_load(c, value << 8, now);
		break;
	case ACCESS_BOTH:
		c->writes_high = !c->writes_high;
		if (c->writes_high) {
			write_low_byte(pit, which, value, now);
			return;
		}
		counter_load(c, value << 8 | c->low_byte, now);
		break;
	}
	if (which != 0)
		return;
	if (was_periodic) { /* the period goes on, counted from its own beginning now */
		pit->ticks_done = 0;
		arm(pit, now);
	} else {
		restart_irq(pit, now);
	}
}

static uint8_t byte_of(struct counter *c, uint16_t count)
{
	if (counter_access(c) == ACCESS_BOTH)
		c->reads_high = !c->reads_high;
	return counter_access(c) == ACCESS_LSB || c->reads_high ? (uint8_t)count : count >> 8;
}

static uint8_t read_count(struct counter *c, uint64_t now)
{
	if (c->has_status_latch) {
		c->has_status_latch = false;
		return c->latched_status;
	}
	if (c->count_latch) {
		c->count_latch--;
		return byte_of(c, c->latched_count);
	}
	return byte_of(c, counter_value(c, now));
}

/* Counter 0 settles when its timer has dealt with the last edge of the old period. */
static uint64_t enter(struct pit *pit)
{
	uint64_t now;

	pthread_mutex_lock(&pit->lock);
	now = clock_now_ns(pit->params.clock);
	for (unsigned i = 1; i < NR_COUNTERS; i++)
		counter_settle(&pit->counters[i], now);
	return now;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;
	uint64_t now = enter(pit);

	if (offset == CONTROL_PORT)
		write_control(pit, (uint8_t)value, now);
	else
		write_count(pit, (unsigned)offset, (uint8_t)value, now);
	pthread_mutex_unlock(&pit->lock);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;
	uint64_t now = enter(pit);
	uint8_t value = 0xff; /* the control word cannot be read */

	if (offset != CONTROL_PORT)
		value = read_count(&pit->counters[offset], now);
	pthread_mutex_unlock(&pit->lock);
	return value;
}

static void speaker_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;
	uint64_t now = enter(pit);

	pit->speaker = value & SPEAKER_WRITABLE;
	counter_set_gate(&pit->counters[2], value & SPEAKER_GATE, now);
	pthread_mutex_unlock(&pit->lock);
}

static uint64_t speaker_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;
	uint64_t now = enter(pit);
	uint8_t value = pit->speaker;

	if (now / REFRESH_HALF_NS & 1)
		value |= SPEAKER_REFRESH;
	if (counter_output(&pit->counters[2], now))
		value |= SPEAKER_OUT;
	pthread_mutex_unlock(&pit->lock);
	return value;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};
static const struct bus_ops speaker_ops = {.read = speaker_read, .write = speaker_write};

/* ---- device ---- */

/* The chip powers up undefined; here nothing counts until firmware or kernel program it. */
static void reset(struct device *d)
{
	struct pit *pit = container_of(d, struct pit, dev);

	pthread_mutex_lock(&pit->lock);
	for (unsigned i = 0; i < NR_COUNTERS; i++)
		pit->counters[i] = (struct counter){
			.control = ACCESS_BOTH << 4 | 3 << 1,
			.gate = i != 2,
			.reload = 0x10000,
		};
	pit->speaker = 0;
	pit->ticks_done = 0;
	clock_timer_disarm(&pit->timer);
	irq_lower(&pit->params.irq);
	pthread_mutex_unlock(&pit->lock);
}

static void counter_state(struct counter *c, struct state *s, uint64_t now)
{
	state_u8(s, &c->control);
	state_bool(s, &c->gate);
	state_bool(s, &c->is_loaded);
	state_bool(s, &c->is_running);
	state_bool(s, &c->is_null);
	state_u64(s, &c->start_ns);
	state_u64(s, &c->frozen_ns);
	state_u32(s, &c->reload);
	state_u32(s, &c->next_reload);
	state_u8(s, &c->low_byte);
	state_bool(s, &c->writes_high);
	state_bool(s, &c->reads_high);
	state_u16(s, &c->latched_count);
	state_u8(s, &c->latched_status);
	state_u8(s, &c->count_latch);
	state_bool(s, &c->has_status_latch);
	if (!c->reload || c->reload > 0x10000 || c->next_reload > 0x10000 || c->start_ns > now ||
	    c->frozen_ns > now || c->count_latch > 2 || c->control > 0x3f) {
		state_fail(s, "pit: impossible counter");
		*c = (struct counter){.control = ACCESS_BOTH << 4, .reload = 0x10000};
	}
}

static void state(struct device *d, struct state *s)
{
	struct pit *pit = container_of(d, struct pit, dev);
	uint64_t now;

	pthread_mutex_lock(&pit->lock);
	now = clock_now_ns(pit->params.clock);
	for (unsigned i = 0; i < NR_COUNTERS; i++)
		counter_state(&pit->counters[i], s, now);
	state_u8(s, &pit->speaker);
	state_u64(s, &pit->ticks_done);
	if (state_is_loading(s)) {
		pit->speaker &= SPEAKER_WRITABLE;
		pit->ticks_done = min(pit->ticks_done, counter_edges(&pit->counters[0], now));
		arm(pit, now);
	}
	pthread_mutex_unlock(&pit->lock);
}

static void pit_free(struct device *d)
{
	struct pit *pit = container_of(d, struct pit, dev);

	clock_timer_disarm(&pit->timer);
	bus_remove(pit->params.pio, &pit->ports);
	bus_remove(pit->params.pio, &pit->speaker_port);
	pthread_mutex_destroy(&pit->lock);
	free(pit);
}

static const struct device_ops device_ops = {
	.type = "pit",
	.reset = reset,
	.state = state,
	.free = pit_free,
};

struct pit *pit_new(const struct pit_params *params, struct error *err)
{
	struct pit *pit = mem_alloc_zero(sizeof(*pit));

	pit->dev.ops = &device_ops;
	list_init(&pit->dev.node);
	pit->params = *params;
	pthread_mutex_init(&pit->lock, NULL);
	clock_timer_init(&pit->timer, params->clock, expired);
	pit->ports = (struct bus_region){
		.name = "pit", .base = 0x40, .size = 4, .ops = &port_ops, .dev = pit};
	pit->speaker_port = (struct bus_region){
		.name = "port 61", .base = 0x61, .size = 1, .ops = &speaker_ops, .dev = pit};
	if (bus_add(params->pio, &pit->ports, err) ||
	    bus_add(params->pio, &pit->speaker_port, err)) {
		pit_free(&pit->dev);
		return NULL;
	}
	reset(&pit->dev);
	return pit;
}

struct device *pit_device(struct pit *pit)
{
	return &pit->dev;
}
