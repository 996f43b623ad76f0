/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: work, deadlines and descriptors arrive in order, and what is taken back does not.
 */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/loop.h"

static struct loop *loop;
static char order[32];

static int open_loop(void **state)
{
	struct error err;

	loop = loop_new(&err);
	memset(order, 0, sizeof(order));
	return loop ? 0 : -1;
}

static int close_loop(void **state)
{
	loop_free(loop);
	return 0;
}

static void note(char c)
{
	size_t len = strlen(order);

	if (len < sizeof(order) - 1)
		order[len] = c;
}

static void note_a(struct loop_work *w)
{
	note('a');
}

static void note_b(struct loop_work *w)
{
	note('b');
}

static void note_stop(struct loop_work *w)
{
	note('.');
	loop_stop(loop);
}

static void work_runs_once_in_order_of_posting(void **state)
{
	struct loop_work a = {0}, b = {0}, stop = {0};

	loop_post(loop, &b, note_b);
	loop_post(loop, &a, note_a);
	loop_post(loop, &b, note_b); /* already queued */
	loop_post(loop, &stop, note_stop);
	loop_run(loop);
	assert_string_equal(order, "ba.");
}

static void cancelled_work_does_not_run(void **state)
{
	struct loop_work a = {0}, b = {0}, stop = {0};

	loop_post(loop, &a, note_a);
	loop_post(loop, &b, note_b);
	loop_cancel(loop, &a);
	loop_cancel(loop, &a); /* harmless */
	loop_post(loop, &stop, note_stop);
	loop_run(loop);
	assert_string_equal(order, "b.");
	loop_post(loop, &a, note_a); /* may be posted again */
	loop_post(loop, &stop, note_stop);
	loop_run(loop);
	assert_string_equal(order, "b.a.");
}

static void *stop_later(void *arg)
{
	usleep(20000);
	loop_stop(loop);
	return NULL;
}

static void stop_works_from_another_thread_and_before_the_run(void **state)
{
	pthread_t thread;

	loop_stop(loop);
	loop_run(loop);
	assert_int_equal(pthread_create(&thread, NULL, stop_later, NULL), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
}

static void timer_a(struct loop_timer *t)
{
	note('a');
}

static void timer_b(struct loop_timer *t)
{
	note('b');
}

static void timer_stop(struct loop_timer *t)
{
	note('.');
	loop_stop(loop);
}

static void timers_fire_by_deadline_and_not_when_disarmed(void **state)
{
	struct loop_timer a, b, c, stop;
	uint64_t now = host_now_ns();

	loop_timer_init(&a, loop, timer_a);
	loop_timer_init(&b, loop, timer_b);
	loop_timer_init(&c, loop, timer_b);
	loop_timer_init(&stop, loop, timer_stop);
	loop_timer_arm(&stop, now + 30 * NS_PER_MS);
	loop_timer_arm(&a, now + 40 * NS_PER_MS);
	loop_timer_arm(&a, now + 20 * NS_PER_MS); /* replaces */
	loop_timer_arm(&b, now + 10 * NS_PER_MS);
	loop_timer_arm(&c, now + 15 * NS_PER_MS);
	loop_timer_disarm(&c);
	loop_run(loop);
	assert_string_equal(order, "ba.");
	assert_true(host_now_ns() - now >= 30 * NS_PER_MS);
	assert_int_equal(a.deadline_ns, 0);
}

static void on_byte(struct loop_fd *w, uint32_t events)
{
	char byte;

	if (read(w->fd, &byte, 1) == 1)
		note(byte);
	if (byte == '.')
		loop_stop(loop);
}

static void descriptors_are_watched_until_removed(void **state)
{
	struct loop_fd watch = {.fn = on_byte};
	struct loop_work stop = {0};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	watch.fd = ends[0];
	assert_int_equal(loop_fd_add(loop, &watch, EPOLLIN), 0);
	assert_int_equal(write(ends[1], "xy.", 3), 3);
	loop_run(loop);
	assert_string_equal(order, "xy.");
	loop_fd_remove(loop, &watch);
	assert_int_equal(write(ends[1], "z", 1), 1);
	loop_post(loop, &stop, note_stop);
	loop_run(loop);
	assert_string_equal(order, "xy..");
	close(ends[0]);
	close(ends[1]);
}

/* Two that are readable at once, of which the first to be called silences the other, and says so. */
static struct loop_fd rivals[2];

static void silence_the_other(struct loop_fd *w, uint32_t events)
{
	loop_fd_set_events(loop, &rivals[w == &rivals[0]], 0);
	loop_fd_set_events(loop, w, 0);
	note('s');
}

static void an_event_nobody_asks_for_any_more_is_not_told(void **state)
{
	struct loop_timer stop;
	int ends[2][2];

	loop_timer_init(&stop, loop, timer_stop);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pipe(ends[i]), 0);
		assert_int_equal(write(ends[i][1], "x", 1), 1);
		rivals[i] = (struct loop_fd){.fd = ends[i][0], .fn = silence_the_other};
		assert_int_equal(loop_fd_add(loop, &rivals[i], EPOLLIN), 0);
	}
	loop_timer_arm(&stop, host_now_ns() + 10 * NS_PER_MS);
	loop_run(loop);
	assert_string_equal(order, "s.");
	/* What is asked for again is told again. */
	loop_fd_set_events(loop, &rivals[1], EPOLLIN);
	loop_timer_arm(&stop, host_now_ns() + 10 * NS_PER_MS);
	loop_run(loop);
	assert_string_equal(order, "s.s.");
	for (unsigned i = 0; i < 2; i++) {
		loop_fd_remove(loop, &rivals[i]);
		close(ends[i][0]);
		close(ends[i][1]);
	}
}

static void regular_file_cannot_be_watched(void **state)
{
	struct loop_fd watch = {.fn = on_byte, .fd = open("/proc/self/exe", O_RDONLY)};

	assert_int_equal(loop_fd_add(loop, &watch, EPOLLIN), -EPERM);
	close(watch.fd);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

/* ---- borrowing ---- */

static void *run_loop(void *arg)
{
	loop_run(loop);
	return NULL;
}

static void note_call(void *ctx)
{
	note('c');
}

static void try_to_borrow(struct loop_work *w)
{
	note(loop_borrow(loop) ? 'x' : '-');
}

/* The loop's thread only waits, or is about to. */
static void borrow(void)
{
	while (!loop_borrow(loop))
		usleep(100);
}

static void who_borrows_a_loop_is_its_thread(void **state)
{
	struct loop_work a = {0}, stop = {0};
	pthread_t thread;

	pthread_create(&thread, NULL, run_loop, NULL);
	borrow();
	assert_true(loop_is_borrowed(loop));
	loop_call(loop, note_call, NULL); /* at once */
	assert_string_equal(order, "c");
	loop_post(loop, &a, note_a); /* wakes the loop's thread, which has to wait */
	usleep(20000);
	assert_string_equal(order, "c");
	loop_give_back(loop);
	loop_call(loop, note_call, NULL);
	loop_post(loop, &stop, note_stop);
	pthread_join(thread, NULL);
	assert_string_equal(order, "cac.");
}

static void a_loop_that_runs_callbacks_is_not_lent(void **state)
{
	struct loop_work a = {0}, stop = {0};

	loop_post(loop, &a, try_to_borrow);
	loop_post(loop, &stop, note_stop);
	loop_run(loop);
	assert_string_equal(order, "-.");
	assert_false(loop_is_borrowed(loop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOP(work_runs_once_in_order_of_posting),
		WITH_LOOP(cancelled_work_does_not_run),
		WITH_LOOP(stop_works_from_another_thread_and_before_the_run),
		WITH_LOOP(timers_fire_by_deadline_and_not_when_disarmed),
		WITH_LOOP(descriptors_are_watched_until_removed),
		WITH_LOOP(an_event_nobody_asks_for_any_more_is_not_told),
		WITH_LOOP(regular_file_cannot_be_watched),
		WITH_LOOP(who_borrows_a_loop_is_its_thread),
		WITH_LOOP(a_loop_that_runs_callbacks_is_not_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
