/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One counter of an i8254 as a function of guest time, private to pit.c. No locking.
 */
#ifndef CHIPSET_PIT_COUNTER_H
#define CHIPSET_PIT_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "chipset/pit.h"

/* Which bytes of a count are read and written. */
enum access { ACCESS_LATCH, ACCESS_LSB, ACCESS_MSB, ACCESS_BOTH };

struct counter {
	uint8_t control; /* bits 5-0 of the control word: access, mode, BCD */
	bool gate;
	bool is_loaded;	      /* a count was written since the control word */
	bool is_running;      /* counting: loaded, gate allows it, triggered where that is needed */
	bool is_null;	      /* the count written last is not in the counting element yet */
	uint64_t start_ns;    /* running: when the period counted from began */
	uint64_t frozen_ns;   /* not running: how long it had run */
	uint32_t reload;      /* ticks, 1-65536 */
	uint32_t next_reload; /* takes effect at the end of the period (modes 2, 3) or at the
				 trigger (1, 5); 0: none */
	uint8_t low_byte;     /* written, the high one still to come */
	bool writes_high, reads_high;
	uint16_t latched_count;
	uint8_t latched_status;
	uint8_t count_latch; /* bytes of latched_count still to be read */
	bool has_status_latch;
};

/* The fields of the control word. */
unsigned counter_mode(const struct counter *c); /* 0-5 */
enum access counter_access(const struct counter *c);
bool counter_is_periodic(const struct counter *c); /* modes 2 and 3 */

/* The first nanosecond, counted from the start, at which that many ticks have passed. */
uint64_t pit_ticks_to_ns(uint64_t ticks);

/* A control word, a complete count, the gate input. */
void counter_set_control(struct counter *c, uint8_t control);
void counter_load(struct counter *c, uint16_t value, uint64_t now);
void counter_set_gate(struct counter *c, bool gate, uint64_t now);

/* Stops counting; the value stays. */
void counter_freeze(struct counter *c, uint64_t now);

/* Takes a new reload value into use once the period it waited for has ended. */
void counter_settle(struct counter *c, uint64_t now);

/* What can be read: the count (in BCD if so programmed) and the OUT pin. */
uint16_t counter_value(const struct counter *c, uint64_t now);
bool counter_output(const struct counter *c, uint64_t now);

/* Rising edges of OUT since start_ns, and when edge n (from 1) comes; false: never. */
uint64_t counter_edges(const struct counter *c, uint64_t now);
bool counter_edge_time(const struct counter *c, uint64_t n, uint64_t *ns);

#endif
