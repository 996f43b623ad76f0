/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest time is host time minus an offset; one loop timer stands for the earliest deadline of all
 * timers of the clock.
 */
#include "core/clock.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

struct clock {
	pthread_mutex_t lock; /* guards everything; innermost: nothing else is locked under it but
				 the loop's */
	bool is_paused;
	uint64_t offset_ns; /* running: guest time = host time - offset */
	uint64_t paused_ns; /* paused: guest time */
	struct list timers; /* ascending deadlines */
	struct loop_timer wakeup;
};

static uint64_t now_locked(const struct clock *c)
{
	return c->is_paused ? c->paused_ns : host_now_ns() - c->offset_ns;
}

/* Arms the loop timer for the earliest deadline. Lock held. */
static void program(struct clock *c)
{
	if (c->is_paused || list_is_empty(&c->timers)) {
		loop_timer_disarm(&c->wakeup);
		return;
	}
	uint64_t guest_ns = list_entry(c->timers.next, struct clock_timer, node)->deadline_ns;
	uint64_t host_ns;

	if (!add_overflows(guest_ns, c->offset_ns, &host_ns))
		loop_timer_arm(&c->wakeup, host_ns);
	else
		loop_timer_disarm(&c->wakeup); /* five centuries away */
}

static void fire(struct loop_timer *wakeup)
{
	struct clock *c = container_of(wakeup, struct clock, wakeup);

	pthread_mutex_lock(&c->lock);
	/* What becomes due meanwhile waits for the next turn, so that the loop gets to all else. */
	uint64_t now = now_locked(c);
	while (!c->is_paused && !list_is_empty(&c->timers)) {
		struct clock_timer *t = list_entry(c->timers.next, struct clock_timer, node);

		if (t->deadline_ns > now)
			break;
		list_remove(&t->node);
		t->is_armed = false;
		pthread_mutex_unlock(&c->lock);
		t->fn(t);
		pthread_mutex_lock(&c->lock);
	}
	program(c);
	pthread_mutex_unlock(&c->lock);
}

struct clock *clock_new(struct loop *loop)
{
	struct clock *c = mem_alloc_zero(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->timers);
	loop_timer_init(&c->wakeup, loop, fire);
	c->offset_ns = host_now_ns();
	return c;
}

void clock_free(struct clock *c)
{
	if (!c)
		return;
	loop_timer_disarm(&c->wakeup);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

uint64_t clock_now_ns(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t now = now_locked(c);
	pthread_mutex_unlock(&c->lock);
	return now;
}

void clock_pause(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	BUG_ON(c->is_paused);
	c->paused_ns = now_locked(c);
	c->is_paused = true;
	program(c);
	pthread_mutex_unlock(&c->lock);
}

void clock_resume(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	BUG_ON(!c->is_paused);
	c->offset_ns = host_now_ns() - c->paused_ns;
	c->is_paused = false;
	program(c);
	pthread_mutex_unlock(&c->lock);
}

void clock_set_ns(struct clock *c, uint64_t now_ns)
{
	pthread_mutex_lock(&c->lock);
	BUG_ON(!c->is_paused);
	c->paused_ns = now_ns;
	pthread_mutex_unlock(&c->lock);
}

void clock_timer_init(struct clock_timer *t, struct clock *c, void (*fn)(struct clock_timer *t))
{
	list_init(&t->node);
	t->clock = c;
	t->deadline_ns = 0;
	t->is_armed = false;
	t->fn = fn;
}

void clock_timer_arm(struct clock_timer *t, uint64_t deadline_ns)
{
	struct clock *c = t->clock;

	pthread_mutex_lock(&c->lock);
	bool was_first = c->timers.next == &t->node;
	list_remove(&t->node);
	t->deadline_ns = deadline_ns;
	t->is_armed = true;
	struct list *at = c->timers.next;
	while (at != &c->timers &&
	       list_entry(at, struct clock_timer, node)->deadline_ns <= deadline_ns)
		at = at->next;
	list_insert_before(at, &t->node);
	if (was_first || c->timers.next == &t->node)
		program(c);
	pthread_mutex_unlock(&c->lock);
}

void clock_timer_disarm(struct clock_timer *t)
{
	pthread_mutex_lock(&t->clock->lock);
	list_remove(&t->node);
	t->is_armed = false;
	pthread_mutex_unlock(&t->clock->lock);
}
