/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "core/clock.h"

struct ticker {
	struct clock_timer timer;
	struct loop *loop;
	struct clock *clock;
	uint64_t fired_ns;
	int order, *sequence;
};

static void fired(struct clock_timer *t)
{
	struct ticker *k = container_of(t, struct ticker, timer);

	k->fired_ns = clock_now_ns(k->clock);
	k->order = ++*k->sequence;
	if (k->order == 2)
		loop_stop(k->loop);
}

static void timers_fire_in_order_and_not_early(void **state)
{
	struct error err;
	struct loop *loop = loop_new(&err);
	struct clock *clock = clock_new(loop);
	int sequence = 0;
	struct ticker a = {.loop = loop, .clock = clock, .sequence = &sequence}, b = a;
	uint64_t now = clock_now_ns(clock);

	clock_timer_init(&a.timer, clock, fired);
	clock_timer_init(&b.timer, clock, fired);
	clock_timer_arm(&a.timer, now + 4 * NS_PER_MS);
	clock_timer_arm(&b.timer, now + 2 * NS_PER_MS);
	loop_run(loop);
	assert_int_equal(b.order, 1);
	assert_int_equal(a.order, 2);
	assert_true(b.fired_ns >= now + 2 * NS_PER_MS);
	assert_true(a.fired_ns >= now + 4 * NS_PER_MS);
	clock_free(clock);
	loop_free(loop);
}

static void stop_loop(struct loop_timer *t)
{
	loop_stop(t->loop);
}

static void paused_clock_stands_still_and_fires_nothing(void **state)
{
	struct error err;
	struct loop *loop = loop_new(&err);
	struct clock *clock = clock_new(loop);
	int sequence = 0;
	struct ticker a = {.loop = loop, .clock = clock, .sequence = &sequence};
	struct loop_timer end;

	clock_timer_init(&a.timer, clock, fired);
	clock_timer_arm(&a.timer, clock_now_ns(clock) + NS_PER_MS);
	clock_pause(clock);
	uint64_t paused = clock_now_ns(clock);
	loop_timer_init(&end, loop, stop_loop);
	loop_timer_arm(&end, host_now_ns() + 5 * NS_PER_MS);
	loop_run(loop);
	assert_int_equal(sequence, 0);
	assert_int_equal(clock_now_ns(clock), paused);

	clock_resume(clock);
	loop_timer_arm(&end, host_now_ns() + 5 * NS_PER_MS);
	loop_run(loop);
	assert_int_equal(sequence, 1);
	clock_free(clock);
	loop_free(loop);
}

static void disarmed_timer_stays_silent(void **state)
{
	struct error err;
	struct loop *loop = loop_new(&err);
	struct clock *clock = clock_new(loop);
	int sequence = 0;
	struct ticker a = {.loop = loop, .clock = clock, .sequence = &sequence};
	struct loop_timer end;

	clock_timer_init(&a.timer, clock, fired);
	clock_timer_arm(&a.timer, clock_now_ns(clock) + NS_PER_MS);
	clock_timer_disarm(&a.timer);
	loop_timer_init(&end, loop, stop_loop);
	loop_timer_arm(&end, host_now_ns() + 4 * NS_PER_MS);
	loop_run(loop);
	assert_int_equal(sequence, 0);
	clock_free(clock);
	loop_free(loop);
}

/* A timer that is due again whenever it has run, as long as the loop is kept from ending. */
struct storm {
	struct clock_timer timer;
	uint64_t until_ns; /* host time */
	bool is_ended;
};

static void due_again(struct clock_timer *t)
{
	struct storm *s = container_of(t, struct storm, timer);

	s->is_ended = host_now_ns() >= s->until_ns;
	if (!s->is_ended)
		clock_timer_arm(t, clock_now_ns(t->clock));
}

static void timer_that_is_always_due_lets_others_run(void **state)
{
	struct error err;
	struct loop *loop = loop_new(&err);
	struct clock *clock = clock_new(loop);
	struct storm s = {.until_ns = host_now_ns() + 3 * NS_PER_SEC};
	struct loop_timer end;

	clock_timer_init(&s.timer, clock, due_again);
	clock_timer_arm(&s.timer, clock_now_ns(clock));
	loop_timer_init(&end, loop, stop_loop);
	loop_timer_arm(&end, host_now_ns() + 5 * NS_PER_MS);
	loop_run(loop);
	assert_false(s.is_ended);
	clock_timer_disarm(&s.timer);
	clock_free(clock);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_and_not_early),
		cmocka_unit_test(paused_clock_stands_still_and_fires_nothing),
		cmocka_unit_test(disarmed_timer_stays_silent),
		cmocka_unit_test(timer_that_is_always_due_lets_others_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
