/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The high precision event timer (IA-PC HPET specification 1.0a). The main counter is a function
 * of guest time; each comparator knows the counter value it will match next and has a timer for
 * it. A comparator set to a value already passed matches after the counter has wrapped, as in
 * hardware. Periods missed while the monitor did not run become one interrupt. Entered by vCPU
 * threads, the main loop, and the PIT and RTC through their lines.
 */
#include "chipset/hpet.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

#define TICK_NS	  10u
#define PERIOD_FS (TICK_NS * UINT64_C(1000000))

/* Faster interrupts would keep the main loop from all else. */
#define INTERVAL_MIN_NS (50 * NS_PER_US)

/* Matches further away than 360 years need no timer. */
#define DISTANCE_MAX BIT64(60)

#define REG_CAPABILITIES 0x000
#define REG_CONFIG	 0x010
#define REG_STATUS	 0x020
#define REG_COUNTER	 0x0f0
#define REG_TIMERS	 0x100
#define TIMER_STRIDE	 0x20
#define TIMER_CONFIG	 0x00
#define TIMER_COMPARATOR 0x08
#define TIMER_MESSAGE	 0x10

#define CONFIG_ENABLE BIT(0)
#define CONFIG_LEGACY BIT(1)

#define T_LEVEL		  BIT64(1)
#define T_ENABLE	  BIT64(2)
#define T_PERIODIC	  BIT64(3)
#define T_CAN_PERIODIC	  BIT64(4)
#define T_IS_64BIT	  BIT64(5)
#define T_SET_ACCUMULATOR BIT64(6)
#define T_32BIT		  BIT64(8)
#define T_ROUTE_SHIFT	  9
#define T_ROUTE		  (0x1full << T_ROUTE_SHIFT)
#define T_MESSAGE	  BIT64(14)
#define T_CAN_MESSAGE	  BIT64(15)
#define T_WRITABLE \
	(T_LEVEL | T_ENABLE | T_PERIODIC | T_SET_ACCUMULATOR | T_32BIT | T_ROUTE | T_MESSAGE)

#define NR_LEGACY 2 /* timer 0 to IRQ 0, timer 1 to IRQ 8 */

struct hpet_timer {
	struct hpet *hpet;
	unsigned index;
	uint64_t config; /* writable bits only */
	uint64_t comparator, period;
	uint64_t message; /* data below, address above */
	bool has_match;
	uint64_t next_match; /* counter value, not cut to 32 bits */
	struct clock_timer timer;
};

struct hpet {
	struct device dev;
	pthread_mutex_t lock; /* guards all; lines and messages go out under it */
	struct hpet_params params;
	struct bus_region region;
	uint64_t config, status;
	uint64_t base_count; /* the counter when it was started, or where it stands */
	uint64_t start_ns;
	struct hpet_timer timers[HPET_NR_TIMERS];
	uint32_t held_pins;	    /* pins driven high by level-triggered timers */
	bool legacy_in[NR_LEGACY];  /* levels of PIT and RTC */
	bool legacy_out[NR_LEGACY]; /* levels of irq0 and irq8 */
};

/* ---- counter; lock held ---- */

static bool is_running(const struct hpet *h)
{
	return h->config & CONFIG_ENABLE;
}

static uint64_t counter(const struct hpet *h)
{
	if (!is_running(h))
		return h->base_count;
	return h->base_count + (clock_now_ns(h->params.clock) - h->start_ns) / TICK_NS;
}

static void set_running(struct hpet *h, bool runs)
{
	if (runs == is_running(h))
		return;
	h->base_count = counter(h);
	h->start_ns = clock_now_ns(h->params.clock);
	h->config = runs ? h->config | CONFIG_ENABLE : h->config & ~CONFIG_ENABLE;
}

/* ---- lines; lock held ---- */

static bool is_legacy(const struct hpet *h, unsigned timer)
{
	return h->config & CONFIG_LEGACY && timer < NR_LEGACY;
}

static unsigned route_of(const struct hpet_timer *t)
{
	return (t->config & T_ROUTE) >> T_ROUTE_SHIFT;
}

static const struct irq_line *legacy_line(const struct hpet *h, unsigned i)
{
	return i == 0 ? &h->params.irq0 : &h->params.irq8;
}

/* The line a timer interrupts by; NULL when its route leads nowhere. */
static const struct irq_line *line_of(const struct hpet_timer *t)
{
	const struct hpet *h = t->hpet;
	unsigned route = route_of(t);

	if (is_legacy(h, t->index))
		return legacy_line(h, t->index);
	if (route >= HPET_NR_PINS || !(h->params.routable >> route & 1))
		return NULL;
	return &h->params.pins[route];
}

static bool holds_line(const struct hpet_timer *t)
{
	const uint64_t wanted = T_LEVEL | T_ENABLE;

	return is_running(t->hpet) && (t->config & wanted) == wanted && !(t->config & T_MESSAGE) &&
	       t->hpet->status >> t->index & 1;
}

/* Brings every line to the level its sources ask for. */
static void update_lines(struct hpet *h)
{
	uint32_t pins = 0;

	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		if (holds_line(&h->timers[i]) && !is_legacy(h, i) && line_of(&h->timers[i]))
			pins |= BIT(route_of(&h->timers[i]));
	for (unsigned pin = 0; pin < HPET_NR_PINS; pin++)
		if ((pins ^ h->held_pins) >> pin & 1)
			irq_set(&h->params.pins[pin], pins >> pin & 1);
	h->held_pins = pins;
	for (unsigned i = 0; i < NR_LEGACY; i++) {
		bool level = is_legacy(h, i) ? holds_line(&h->timers[i]) : h->legacy_in[i];

		if (level != h->legacy_out[i])
			irq_set(legacy_line(h, i), level);
		h->legacy_out[i] = level;
	}
}

/* An edge must leave the line as the level-triggered sources that share it want it. */
static void pulse(struct hpet_timer *t)
{
	const struct irq_line *line = line_of(t);
	struct hpet *h = t->hpet;

	if (!line)
		return;
	irq_lower(line);
	irq_raise(line);
	if (is_legacy(h, t->index))
		irq_set(line, h->legacy_out[t->index]);
	else
		irq_set(line, h->held_pins >> route_of(t) & 1);
}

static void interrupt(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;

	if (t->config & T_LEVEL) {
		h->status |= BIT(t->index);
		update_lines(h);
	} else if (t->config & T_ENABLE && !(t->config & T_MESSAGE)) {
		pulse(t);
	}
	if (t->config & T_ENABLE && t->config & T_MESSAGE)
		msi_send(&h->params.msi, t->message >> 32, (uint32_t)t->message);
}

/* ---- comparators; lock held ---- */

static uint64_t cut(const struct hpet_timer *t, uint64_t value)
{
	return t->config & T_32BIT ? (uint32_t)value : value;
}

static void arm(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	uint64_t distance = t->next_match - h->base_count;
	uint64_t now = clock_now_ns(h->params.clock);

	if (!t->has_match || !is_running(h) || distance > DISTANCE_MAX) {
		clock_timer_disarm(&t->timer);
		return;
	}
	clock_timer_arm(&t->timer, max(h->start_ns + distance * TICK_NS, now + INTERVAL_MIN_NS));
}

/* Works out the next match from the comparator and the counter as they are now. */
static void aim(struct hpet_timer *t)
{
	uint64_t now = counter(t->hpet);
	uint64_t distance = cut(t, t->comparator - now);

	t->has_match = !add_overflows(now, distance, &t->next_match);
	arm(t);
}

/* Deals with a match that has come, if one has. */
static void run_due(struct hpet_timer *t)
{
	uint64_t now = counter(t->hpet);
	uint64_t period = cut(t, t->period);

	if (!is_running(t->hpet) || !t->has_match || now < t->next_match)
		return;
	if (t->config & T_PERIODIC && period) {
		t->next_match += ((now - t->next_match) / period + 1) * period;
		t->comparator = cut(t, t->next_match);
	} else if (t->config & T_32BIT) {
		t->next_match += ((now - t->next_match) >> 32) * BIT64(32) + BIT64(32);
	} else {
		t->has_match = false;
	}
	interrupt(t);
}

static void run_all_due(struct hpet *h)
{
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		run_due(&h->timers[i]);
}

static void expired(struct clock_timer *timer)
{
	struct hpet_timer *t = container_of(timer, struct hpet_timer, timer);

	pthread_mutex_lock(&t->hpet->lock);
	run_due(t);
	arm(t);
	pthread_mutex_unlock(&t->hpet->lock);
}

/* ---- registers; lock held ---- */

static uint64_t timer_config(const struct hpet_timer *t)
{
	const struct hpet *h = t->hpet;

	return t->config | T_CAN_PERIODIC | T_IS_64BIT | (h->params.msi.send ? T_CAN_MESSAGE : 0) |
	       (uint64_t)h->params.routable << 32;
}

static struct hpet_timer *timer_at(struct hpet *h, unsigned reg)
{
	unsigned i = (reg - REG_TIMERS) / TIMER_STRIDE;

	return reg >= REG_TIMERS && i < HPET_NR_TIMERS ? &h->timers[i] : NULL;
}

static uint64_t read_reg(struct hpet *h, unsigned reg)
{
	struct hpet_timer *t = timer_at(h, reg);

	if (t) {
		switch (reg % TIMER_STRIDE) {
		case TIMER_CONFIG:
			return timer_config(t);
		case TIMER_COMPARATOR:
			return t->comparator;
		case TIMER_MESSAGE:
			return t->message;
		default:
			return 0;
		}
	}
	switch (reg) {
	case REG_CAPABILITIES:
		return PERIOD_FS << 32 | HPET_BLOCK_ID;
	case REG_CONFIG:
		return h->config;
	case REG_STATUS:
		return h->status;
	case REG_COUNTER:
		return counter(h);
	default:
		return 0;
	}
}

/* A route that does not exist is not taken: software finds out by reading back. */
static void write_timer_config(struct hpet_timer *t, uint64_t value)
{
	struct hpet *h = t->hpet;
	uint64_t config = value & T_WRITABLE;
	unsigned route = (config & T_ROUTE) >> T_ROUTE_SHIFT;

	if (route >= HPET_NR_PINS || !(h->params.routable >> route & 1))
		config = (config & ~T_ROUTE) | (t->config & T_ROUTE);
	if (!h->params.msi.send)
		config &= ~T_MESSAGE;
	t->config = config;
	if (!(config & T_LEVEL))
		h->status &= ~BIT64(t->index);
	if (config & T_32BIT) {
		t->comparator = (uint32_t)t->comparator;
		t->period = (uint32_t)t->period;
	}
	aim(t);
	update_lines(h);
}

/*
 * In periodic mode a write sets the period; right after T_SET_ACCUMULATOR was set it also sets the
 * comparator itself. The bit then clears itself.
 */
static void write_comparator(struct hpet_timer *t, uint64_t value, uint64_t mask)
{
	bool is_periodic = t->config & T_PERIODIC;

	if (!is_periodic || t->config & T_SET_ACCUMULATOR)
		t->comparator = cut(t, (t->comparator & ~mask) | (value & mask));
	if (is_periodic)
		t->period = cut(t, (t->period & ~mask) | (value & mask));
	t->config &= ~T_SET_ACCUMULATOR;
	aim(t);
}

static void write_config(struct hpet *h, uint64_t value)
{
	set_running(h, value & CONFIG_ENABLE);
	h->config = (h->config & CONFIG_ENABLE) | (value & CONFIG_LEGACY);
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		aim(&h->timers[i]);
	update_lines(h);
}

static void write_counter(struct hpet *h, uint64_t value)
{
	if (is_running(h)) /* undefined in the specification; here: ignored */
		return;
	h->base_count = value;
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		aim(&h->timers[i]);
}

/* Only the bits of mask were written; value has the register's old ones elsewhere. */
static void write_reg(struct hpet *h, unsigned reg, uint64_t value, uint64_t mask)
{
	struct hpet_timer *t = timer_at(h, reg);

	if (t) {
		if (reg % TIMER_STRIDE == TIMER_CONFIG)
			write_timer_config(t, value);
		else if (reg % TIMER_STRIDE == TIMER_COMPARATOR)
			write_comparator(t, value, mask);
		else if (reg % TIMER_STRIDE == TIMER_MESSAGE)
			t->message = value;
		return;
	}
	switch (reg) {
	case REG_CONFIG:
		write_config(h, value);
		break;
	case REG_STATUS: /* ones clear */
		h->status &= ~(value & mask);
		update_lines(h);
		break;
	case REG_COUNTER:
		write_counter(h, value);
		break;
	default:
		break;
	}
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
	struct hpet *h = dev;
	uint64_t value;

	pthread_mutex_lock(&h->lock);
	run_all_due(h);
	value = read_reg(h, (unsigned)offset & ~7u) >> (8 * (offset & 7));
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct hpet *h = dev;
	unsigned reg = (unsigned)offset & ~7u, shift = 8 * (offset & 7);
	uint64_t mask = size == 8 ? UINT64_MAX : 0xffffffffull << shift;

	pthread_mutex_lock(&h->lock);
	run_all_due(h);
	write_reg(h, reg, (read_reg(h, reg) & ~mask) | (value << shift & mask), mask);
	pthread_mutex_unlock(&h->lock);
}

static const struct bus_ops mmio_ops = {
	.read = mmio_read, .write = mmio_write, .min_size = 4, .max_size = 8};

/* ---- the lines of PIT and RTC ---- */

static void legacy_set(void *ctx, unsigned pin, bool level)
{
	struct hpet *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->legacy_in[pin] = level;
	update_lines(h);
	pthread_mutex_unlock(&h->lock);
}

struct irq_line hpet_pit_line(struct hpet *h)
{
	return (struct irq_line){.set = legacy_set, .ctx = h, .pin = 0};
}

struct irq_line hpet_rtc_line(struct hpet *h)
{
	return (struct irq_line){.set = legacy_set, .ctx = h, .pin = 1};
}

/* ---- device ---- */

/* The first pin a timer may use, so that the route register never names one it may not. */
static uint64_t default_route(const struct hpet *h)
{
	if (!h->params.routable)
		return 0;
	return (uint64_t)__builtin_ctz(h->params.routable) << T_ROUTE_SHIFT;
}

static void reset(struct device *d)
{
	struct hpet *h = container_of(d, struct hpet, dev);

	pthread_mutex_lock(&h->lock);
	h->config = h->status = 0;
	h->base_count = 0;
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++) {
		struct hpet_timer *t = &h->timers[i];

		t->config = default_route(h);
		t->comparator = UINT64_MAX;
		t->period = t->message = 0;
		t->has_match = false;
		clock_timer_disarm(&t->timer);
	}
	update_lines(h);
	pthread_mutex_unlock(&h->lock);
}

static void timer_state(struct hpet_timer *t, struct state *s)
{
	state_u64(s, &t->config);
	state_u64(s, &t->comparator);
	state_u64(s, &t->period);
	state_u64(s, &t->message);
	state_bool(s, &t->has_match);
	state_u64(s, &t->next_match);
	t->config &= T_WRITABLE;
}

static void state(struct device *d, struct state *s)
{
	struct hpet *h = container_of(d, struct hpet, dev);

	pthread_mutex_lock(&h->lock);
	state_u64(s, &h->config);
	state_u64(s, &h->status);
	state_u64(s, &h->base_count);
	state_u64(s, &h->start_ns);
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		timer_state(&h->timers[i], s);
	for (unsigned i = 0; i < NR_LEGACY; i++)
		state_bool(s, &h->legacy_in[i]);
	h->config &= CONFIG_ENABLE | CONFIG_LEGACY;
	h->status &= BIT(HPET_NR_TIMERS) - 1;
	if (state_is_loading(s)) {
		if (h->start_ns > clock_now_ns(h->params.clock)) {
			state_fail(s, "hpet: started in the future");
			h->start_ns = 0;
		}
		for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
			arm(&h->timers[i]);
		update_lines(h);
	}
	pthread_mutex_unlock(&h->lock);
}

static void hpet_free(struct device *d)
{
	struct hpet *h = container_of(d, struct hpet, dev);

	for (unsigned i = 0; i < HPET_NR_TIMERS; i++)
		clock_timer_disarm(&h->timers[i].timer);
	bus_remove(h->params.mmio, &h->region);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const struct device_ops device_ops = {
	.type = "hpet",
	.reset = reset,
	.state = state,
	.free = hpet_free,
};

struct hpet *hpet_new(const struct hpet_params *params, struct error *err)
{
	struct hpet *h = mem_alloc_zero(sizeof(*h));

	h->dev.ops = &device_ops;
	list_init(&h->dev.node);
	h->params = *params;
	pthread_mutex_init(&h->lock, NULL);
	for (unsigned i = 0; i < HPET_NR_TIMERS; i++) {
		h->timers[i].hpet = h;
		h->timers[i].index = i;
		clock_timer_init(&h->timers[i].timer, params->clock, expired);
	}
	h->region = (struct bus_region){.name = "hpet",
					.base = params->base ? params->base : HPET_ADDRESS,
					.size = HPET_SIZE,
					.ops = &mmio_ops,
					.dev = h};
	if (bus_add(params->mmio, &h->region, err)) {
		hpet_free(&h->dev);
		return NULL;
	}
	reset(&h->dev);
	return h;
}

struct device *hpet_device(struct hpet *h)
{
	return &h->dev;
}
