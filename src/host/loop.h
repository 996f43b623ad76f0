/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An event loop: one epoll set, run by one thread, the "loop thread". Descriptors, deadlines and work
 * posted by other threads all end up in callbacks on it. The thread that created the VM runs the
 * main loop; I/O threads (host/io_thread.h) run loops of their own, to which the same applies.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct loop;

struct loop *loop_new(struct error *err);
void loop_free(struct loop *loop); /* after loop_run() returned; NULL is fine */

/* Runs callbacks until loop_stop(). The calling thread is the loop thread. */
void loop_run(struct loop *loop);

/* Any thread, and signal handlers: makes loop_run() return after the callback it is in. */
void loop_stop(struct loop *loop);

/*
 * A watched descriptor, embedded in its owner. events are EPOLLIN and EPOLLOUT bits.
 * fn runs on the loop thread and may remove or change the watch it is called for.
 */
struct loop_fd {
	int fd;
	void (*fn)(struct loop_fd *w, uint32_t events);
};

/*
 * Starts, changes and ends watching; any thread. On the loop thread fn hears of nothing from then on but
 * of events that are asked for now, errors and hang-ups; after a change or remove by another thread there
 * may be one last callback. loop_fd_add returns 0 or a negative errno; -EPERM means the descriptor cannot
 * be polled (a regular file).
 */
int loop_fd_add(struct loop *loop, struct loop_fd *w, uint32_t events);
void loop_fd_set_events(struct loop *loop, struct loop_fd *w, uint32_t events);
void loop_fd_remove(struct loop *loop, struct loop_fd *w);

/*
 * Work to be done once on the loop thread, embedded in its owner. Posting it again before it
 * ran does nothing.
 */
struct loop_work {
	struct list node;
	int is_queued;
	void (*fn)(struct loop_work *w);
};

/* Any thread. */
void loop_post(struct loop *loop, struct loop_work *w, void (*fn)(struct loop_work *w));

/*
 * Runs fn(ctx) on the loop thread and returns when it has; at once when called there. The loop must
 * be running. Nobody may wait for a loop whose thread may be waiting for the caller: vCPU threads
 * may wait for I/O threads, never for the main loop; I/O threads wait for neither.
 */
void loop_call(struct loop *loop, void (*fn)(void *ctx), void *ctx);

/* Loop thread: work posted before will not run. For owners that are about to be freed. */
void loop_cancel(struct loop *loop, struct loop_work *w);

/*
 * Makes the calling thread the loop thread until loop_give_back(), if the loop only waits for events:
 * for short work that must not wait, whose result the caller needs soonest, and which removes no watches;
 * after it has changed one there may be one last callback, as from another thread. It saves waking the
 * loop's own thread. Returns false, at once, while callbacks run.
 */
bool loop_borrow(struct loop *loop);
void loop_give_back(struct loop *loop);

/* Loop thread: whether it is one that borrowed the loop. */
bool loop_is_borrowed(const struct loop *loop);

/*
 * A deadline on CLOCK_MONOTONIC, embedded in its owner and initialised once. arm replaces an
 * earlier deadline. Any thread; fn runs on the loop thread with no lock held. A disarm from
 * another thread does not wait for a callback that has begun.
 */
struct loop_timer {
	struct list node;
	struct loop *loop;
	uint64_t deadline_ns; /* 0: not armed */
	void (*fn)(struct loop_timer *t);
};

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(struct loop_timer *t));
void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_disarm(struct loop_timer *t);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t host_now_ns(void);

#endif
