/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer of a local APIC (SDM vol. 3, 11.5.4): one-shot, periodic and TSC-deadline. It counts a
 * 1 GHz bus clock, KVM's figure, through the divider, on the host's CLOCK_MONOTONIC. Nothing ticks:
 * the engine is told the next deadline and calls lapic_timer_expired(). Periods that passed while
 * the vCPU did not run become one interrupt, as they would in a real IRR.
 */
#include "core/clock.h"
#include "engine/soft/lapic_impl.h"
#include "host/loop.h"

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE, TIMER_RESERVED };

/*
 * A shorter period only makes the host spin: KVM has the same floor. One-shot counts are not
 * limited, they cost the guest an access each.
 */
#define PERIOD_MIN_NS (100 * NS_PER_US)

/* A deadline further away is looked at again then; keeps the conversion inside 64 bits. */
#define DEADLINE_MAX_SECONDS 3600u

static enum timer_mode timer_mode(struct lapic *l)
{
	return *lapic_reg(l, LAPIC_LVTT) >> 17 & 3;
}

/* Divide configuration, bits 3, 1 and 0: 000 is 2, 001 is 4 ... 110 is 128, 111 is 1. */
static unsigned divisor(uint32_t tdcr)
{
	unsigned n = (tdcr & 3) | (tdcr >> 1 & 4);

	return 1u << ((n + 1) & 7);
}

static uint64_t count_to_ns(struct lapic *l, uint32_t count)
{
	return (uint64_t)count * divisor(*lapic_reg(l, LAPIC_TDCR));
}

static uint64_t period_ns(struct lapic *l)
{
	return max(count_to_ns(l, *lapic_reg(l, LAPIC_TMICT)), PERIOD_MIN_NS);
}

/* Never 0, which would mean no deadline. */
static uint64_t deadline_to_host_ns(struct lapic *l, uint64_t tsc_now)
{
	uint32_t khz = lapic_bus_tsc_khz(l->bus);
	uint64_t ticks = l->tsc_deadline > tsc_now ? l->tsc_deadline - tsc_now : 0;

	ticks = min(ticks, (uint64_t)khz * 1000 * DEADLINE_MAX_SECONDS);
	return host_now_ns() + mul_div_u64(ticks, 1000000, khz) + 1;
}

static void set_deadline(struct lapic *l)
{
	uint64_t host_ns = l->timer_target_ns;

	if (l->tsc_deadline)
		host_ns = deadline_to_host_ns(l, l->ops->tsc(l->cpu));
	l->ops->set_deadline(l->cpu, host_ns);
}

void lapic_timer_reset(struct lapic *l)
{
	l->timer_target_ns = 0;
	l->tsc_deadline = 0;
	set_deadline(l);
}

void lapic_timer_write_lvt(struct lapic *l, uint32_t value)
{
	bool was_deadline = timer_mode(l) == TIMER_DEADLINE;

	*lapic_reg(l, LAPIC_LVTT) = value;
	if (was_deadline == (timer_mode(l) == TIMER_DEADLINE))
		return;
	*lapic_reg(l, LAPIC_TMICT) = 0;
	lapic_timer_reset(l);
}

void lapic_timer_write_initial(struct lapic *l, uint32_t value)
{
	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	*lapic_reg(l, LAPIC_TMICT) = value;
	l->timer_target_ns = value ? host_now_ns() + count_to_ns(l, value) : 0;
	set_deadline(l);
}

/* The count in progress goes on at the new rate. */
void lapic_timer_write_divide(struct lapic *l, uint32_t value)
{
	uint32_t left = lapic_timer_current(l);

	*lapic_reg(l, LAPIC_TDCR) = value & 0xb;
	if (!l->timer_target_ns)
		return;
	l->timer_target_ns = host_now_ns() + count_to_ns(l, left);
	set_deadline(l);
}

uint32_t lapic_timer_current(struct lapic *l)
{
	uint64_t now = host_now_ns();
	uint64_t left;

	if (!l->timer_target_ns)
		return 0;
	if (l->timer_target_ns > now)
		left = l->timer_target_ns - now;
	else if (timer_mode(l) == TIMER_PERIODIC)
		left = period_ns(l) - (now - l->timer_target_ns) % period_ns(l);
	else
		left = 0;
	return (uint32_t)min(left / divisor(*lapic_reg(l, LAPIC_TDCR)),
			     (uint64_t)*lapic_reg(l, LAPIC_TMICT));
}

void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc)
{
	if (timer_mode(l) != TIMER_DEADLINE)
		return;
	l->tsc_deadline = tsc;
	if (tsc && l->ops->tsc(l->cpu) >= tsc) {
		l->tsc_deadline = 0;
		lapic_raise_lvt(l, LAPIC_LVTT);
	}
	set_deadline(l);
}

void lapic_timer_resume(struct lapic *l)
{
	uint32_t left = *lapic_reg(l, LAPIC_TMCCT);

	l->timer_target_ns = 0;
	l->tsc_deadline = 0;
	if (timer_mode(l) != TIMER_DEADLINE && left)
		l->timer_target_ns = host_now_ns() + count_to_ns(l, left);
	set_deadline(l);
}

static void expire_deadline(struct lapic *l)
{
	if (l->ops->tsc(l->cpu) < l->tsc_deadline)
		return;
	l->tsc_deadline = 0;
	lapic_raise_lvt(l, LAPIC_LVTT);
}

static void expire_count(struct lapic *l)
{
	uint64_t now = host_now_ns();

	if (now < l->timer_target_ns)
		return;
	if (timer_mode(l) == TIMER_PERIODIC)
		l->timer_target_ns +=
			((now - l->timer_target_ns) / period_ns(l) + 1) * period_ns(l);
	else
		l->timer_target_ns = 0;
	lapic_raise_lvt(l, LAPIC_LVTT);
}

void lapic_timer_expired(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->tsc_deadline)
		expire_deadline(l);
	else if (l->timer_target_ns)
		expire_count(l);
	set_deadline(l);
	pthread_mutex_unlock(&l->lock);
}

void lapic_tsc_changed(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->tsc_deadline)
		set_deadline(l);
	pthread_mutex_unlock(&l->lock);
}
