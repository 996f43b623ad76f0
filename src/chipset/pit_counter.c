/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counting element of an i8254 (Intel 8254 data sheet, "Mode definitions"). Value and output
 * follow from the time since the count was loaded. Left out: the one-clock delays between writing,
 * loading and counting.
 */
#include "chipset/pit_counter.h"

#include "base/base.h"

unsigned counter_mode(const struct counter *c)
{
	unsigned mode = c->control >> 1 & 7;

	return mode > 5 ? mode - 4 : mode;
}

bool counter_is_periodic(const struct counter *c)
{
	return counter_mode(c) == 2 || counter_mode(c) == 3;
}

static bool is_triggered_by_gate(const struct counter *c)
{
	return counter_mode(c) == 1 || counter_mode(c) == 5;
}

enum access counter_access(const struct counter *c)
{
	return c->control >> 4 & 3;
}

static bool is_bcd(const struct counter *c)
{
	return c->control & 1;
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return mul_div_u64(ns, PIT_HZ, NS_PER_SEC);
}

uint64_t pit_ticks_to_ns(uint64_t ticks)
{
	return mul_div_u64(ticks, NS_PER_SEC, PIT_HZ) + 1;
}

static uint64_t elapsed_ticks(const struct counter *c, uint64_t now)
{
	return ns_to_ticks(c->is_running ? now - c->start_ns : c->frozen_ns);
}

void counter_settle(struct counter *c, uint64_t now)
{
	uint64_t end;

	if (!c->next_reload || !c->is_running || !counter_is_periodic(c))
		return;
	end = c->start_ns + pit_ticks_to_ns(c->reload);
	if (now < end)
		return;
	c->start_ns = end;
	c->reload = c->next_reload;
	c->next_reload = 0;
	c->is_null = false;
}

static uint16_t to_bcd(uint32_t n)
{
	return n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
}

static uint32_t from_bcd(uint16_t v)
{
	return (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

uint16_t counter_value(const struct counter *c, uint64_t now)
{
	uint64_t d = elapsed_ticks(c, now);
	uint32_t modulus = is_bcd(c) ? 10000 : 0x10000;
	uint32_t count;

	switch (counter_mode(c)) {
	case 2:
		count = c->reload - d % c->reload;
		break;
	case 3:
		count = c->reload - 2 * d % c->reload;
		break;
	default:
		count = c->reload + modulus - d % modulus;
		break;
	}
	count %= modulus;
	return is_bcd(c) ? to_bcd(count) : count;
}

bool counter_output(const struct counter *c, uint64_t now)
{
	uint64_t d = elapsed_ticks(c, now);
	unsigned mode = counter_mode(c);

	if (!c->is_loaded)
		return mode != 0;
	switch (mode) {
	case 0:
		return d >= c->reload;
	case 1:
		return !(c->is_running && d < c->reload);
	case 2:
		return !c->is_running || d % c->reload != c->reload - 1;
	case 3:
		return !c->is_running || d % c->reload < (c->reload + 1) / 2;
	default:
		return !(c->is_running && d == c->reload);
	}
}

void counter_freeze(struct counter *c, uint64_t now)
{
	if (c->is_running)
		c->frozen_ns = now - c->start_ns;
	c->is_running = false;
}

void counter_set_control(struct counter *c, uint8_t control)
{
	*c = (struct counter){
		.control = control & 0x3f,
		.gate = c->gate,
		.is_null = true,
		.reload = c->reload,
	};
}

static void start(struct counter *c, uint64_t now)
{
	if (c->next_reload)
		c->reload = c->next_reload;
	c->next_reload = 0;
	c->is_null = false;
	c->is_running = true;
	c->start_ns = now;
}

/* Counts from the beginning of the period in progress, so that its end is the next boundary. */
static void rebase(struct counter *c, uint64_t now)
{
	uint64_t periods = elapsed_ticks(c, now) / c->reload;

	c->start_ns += mul_div_u64(periods * c->reload, NS_PER_SEC, PIT_HZ);
}

void counter_load(struct counter *c, uint16_t value, uint64_t now)
{
	uint32_t reload = is_bcd(c) ? min(from_bcd(value), 10000u) : value;

	if (!reload)
		reload = is_bcd(c) ? 10000 : 0x10000;
	c->next_reload = reload;
	c->is_null = true;
	if (!c->is_loaded)
		c->reload = reload;
	if (is_triggered_by_gate(c)) {
		c->is_loaded = true;
		return;
	}
	if (counter_is_periodic(c) && c->is_loaded && c->is_running) {
		rebase(c, now);
		return;
	}
	c->is_loaded = true;
	if (c->gate) {
		start(c, now);
		return;
	}
	c->reload = reload;
	c->next_reload = 0;
	c->is_null = false;
	c->is_running = false;
	c->frozen_ns = 0;
}

void counter_set_gate(struct counter *c, bool gate, uint64_t now)
{
	bool rises = gate && !c->gate;
	bool falls = !gate && c->gate;

	c->gate = gate;
	if (!c->is_loaded)
		return;
	if (falls && !is_triggered_by_gate(c))
		counter_freeze(c, now);
	if (!rises)
		return;
	start(c, now);
	if (counter_mode(c) == 0 || counter_mode(c) == 4)
		c->start_ns = now - min(c->frozen_ns, now);
}

uint64_t counter_edges(const struct counter *c, uint64_t now)
{
	uint64_t d = elapsed_ticks(c, now);

	if (!c->is_loaded || !c->is_running)
		return 0;
	switch (counter_mode(c)) {
	case 2:
	case 3:
		return d / c->reload;
	case 0:
		return d >= c->reload;
	case 4:
		return d > c->reload;
	default:
		return 0;
	}
}

bool counter_edge_time(const struct counter *c, uint64_t n, uint64_t *ns)
{
	uint64_t ticks = c->reload;

	if (!c->is_loaded || !c->is_running || is_triggered_by_gate(c))
		return false;
	if (counter_is_periodic(c))
		ticks *= n;
	else if (n > 1)
		return false;
	else if (counter_mode(c) == 4)
		ticks++;
	*ns = c->start_ns + pit_ticks_to_ns(ticks);
	return true;
}
