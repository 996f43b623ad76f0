/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define EVENTS_PER_WAIT 16

struct loop {
	int epoll_fd;
	int wake_fd;  /* eventfd: posted work or stop */
	int timer_fd; /* set to the earliest deadline */
	atomic_bool is_stopping;
	atomic_bool is_waiting;	   /* in epoll_wait() or about to be: posting must wake it */
	_Atomic(pthread_t) thread; /* that runs callbacks, or would; 0: none */

	/* Held by the loop thread but for its wait for events; order: before all other locks. */
	pthread_mutex_t running;
	pthread_t owner;  /* while it is borrowed: whose it is */
	bool is_borrowed; /* both under running */

	pthread_mutex_t lock; /* guards what follows; never held while a callback runs */
	struct list work;
	struct list timers; /* ascending deadlines */

	/* What the last wait gave, so that a callback is not told what is no longer asked for. */
	struct epoll_event *events;
	int nr_events;
};

uint64_t host_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN means the counter is full: the loop will wake all the same. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void drain(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

static int watch_fd(struct loop *loop, int fd, void *tag, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = tag};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

struct loop *loop_new(struct error *err)
{
	struct loop *loop = mem_alloc_zero(sizeof(*loop));

	pthread_mutex_init(&loop->running, NULL);
	pthread_mutex_init(&loop->lock, NULL);
	list_init(&loop->work);
	list_init(&loop->timers);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 || loop->timer_fd < 0 ||
	    watch_fd(loop, loop->wake_fd, &loop->wake_fd, EPOLLIN | EPOLLET) ||
	    watch_fd(loop, loop->timer_fd, &loop->timer_fd, EPOLLIN)) {
		error_set_errno(err, -errno, "event loop");
		loop_free(loop);
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	pthread_mutex_destroy(&loop->lock);
	pthread_mutex_destroy(&loop->running);
	free(loop);
}

void loop_stop(struct loop *loop)
{
	atomic_store_explicit(&loop->is_stopping, true, memory_order_release);
	wake(loop);
}

int loop_fd_add(struct loop *loop, struct loop_fd *w, uint32_t events)
{
	return watch_fd(loop, w->fd, w, events);
}

/* Drops all but these of the events that w has yet to be told. */
static void keep_pending(struct loop *loop, const struct loop_fd *w, uint32_t events)
{
	if (!pthread_equal(atomic_load(&loop->thread), pthread_self()))
		return;
	for (int i = 0; i < loop->nr_events; i++) {
		if (loop->events[i].data.ptr == w)
			loop->events[i].events &= events;
	}
}

void loop_fd_set_events(struct loop *loop, struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
	keep_pending(loop, w, events | EPOLLERR | EPOLLHUP);
}

void loop_fd_remove(struct loop *loop, struct loop_fd *w)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	keep_pending(loop, w, 0);
}

void loop_post(struct loop *loop, struct loop_work *w, void (*fn)(struct loop_work *w))
{
	pthread_mutex_lock(&loop->lock);
	if (!w->is_queued) {
		w->is_queued = 1;
		w->fn = fn;
		list_append(&loop->work, &w->node);
	}
	pthread_mutex_unlock(&loop->lock);
	/* Who borrowed the loop wakes its thread when it can go on. */
	if (atomic_load(&loop->is_waiting) &&
	    !pthread_equal(atomic_load(&loop->thread), pthread_self()))
		wake(loop);
}

struct call {
	struct loop_work work;
	void (*fn)(void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool is_done;
};

static void run_call(struct loop_work *w)
{
	struct call *call = container_of(w, struct call, work);

	call->fn(call->ctx);
	pthread_mutex_lock(&call->lock);
	call->is_done = true;
	pthread_cond_signal(&call->done_cond);
	pthread_mutex_unlock(&call->lock);
}

void loop_call(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	if (pthread_equal(atomic_load(&loop->thread), pthread_self())) {
		fn(ctx);
		return;
	}
	struct call call = {.fn = fn,
			    .ctx = ctx,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .done_cond = PTHREAD_COND_INITIALIZER};
	list_init(&call.work.node);
	loop_post(loop, &call.work, run_call);
	pthread_mutex_lock(&call.lock);
	while (!call.is_done)
		pthread_cond_wait(&call.done_cond, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_cond_destroy(&call.done_cond);
	pthread_mutex_destroy(&call.lock);
}

void loop_cancel(struct loop *loop, struct loop_work *w)
{
	pthread_mutex_lock(&loop->lock);
	if (w->is_queued) {
		w->is_queued = 0;
		list_remove(&w->node);
	}
	pthread_mutex_unlock(&loop->lock);
}

static void run_work(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	while (!list_is_empty(&loop->work)) {
		struct loop_work *w = list_entry(loop->work.next, struct loop_work, node);

		list_remove(&w->node);
		w->is_queued = 0;
		pthread_mutex_unlock(&loop->lock);
		w->fn(w);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* Programs the timerfd for the earliest deadline. Lock held. */
static void program_timer(struct loop *loop)
{
	struct itimerspec when = {0};

	if (!list_is_empty(&loop->timers)) {
		uint64_t ns = list_entry(loop->timers.next, struct loop_timer, node)->deadline_ns;

		when.it_value.tv_sec = (time_t)(ns / NS_PER_SEC);
		when.it_value.tv_nsec = (long)(ns % NS_PER_SEC);
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run_timers(struct loop *loop)
{
	drain(loop->timer_fd);
	pthread_mutex_lock(&loop->lock);
	uint64_t now = host_now_ns();
	while (!list_is_empty(&loop->timers)) {
		struct loop_timer *t = list_entry(loop->timers.next, struct loop_timer, node);

		if (t->deadline_ns > now)
			break;
		list_remove(&t->node);
		t->deadline_ns = 0;
		pthread_mutex_unlock(&loop->lock);
		t->fn(t);
		pthread_mutex_lock(&loop->lock);
	}
	program_timer(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(struct loop_timer *t))
{
	list_init(&t->node);
	t->loop = loop;
	t->deadline_ns = 0;
	t->fn = fn;
}

void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns)
{
	struct loop *loop = t->loop;

	pthread_mutex_lock(&loop->lock);
	list_remove(&t->node);
	t->deadline_ns = deadline_ns ? deadline_ns : 1;
	struct list *at = loop->timers.next;
	while (at != &loop->timers &&
	       list_entry(at, struct loop_timer, node)->deadline_ns <= t->deadline_ns)
		at = at->next;
	list_insert_before(at, &t->node);
	if (loop->timers.next == &t->node)
		program_timer(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_disarm(struct loop_timer *t)
{
	pthread_mutex_lock(&t->loop->lock);
	list_remove(&t->node);
	t->deadline_ns = 0;
	pthread_mutex_unlock(&t->loop->lock);
}

static bool has_work(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	bool has = !list_is_empty(&loop->work);
	pthread_mutex_unlock(&loop->lock);
	return has;
}

bool loop_borrow(struct loop *loop)
{
	if (pthread_mutex_trylock(&loop->running))
		return false;
	loop->is_borrowed = true;
	loop->owner = atomic_load_explicit(&loop->thread, memory_order_relaxed);
	atomic_store(&loop->thread, pthread_self());
	return true;
}

void loop_give_back(struct loop *loop)
{
	loop->is_borrowed = false;
	atomic_store(&loop->thread, loop->owner);
	pthread_mutex_unlock(&loop->running);
	if (has_work(loop))
		wake(loop);
}

bool loop_is_borrowed(const struct loop *loop)
{
	return loop->is_borrowed;
}

/*
 * Waits for events, or only looks for some when work is there already. Whoever posts work first
 * queues it and then looks whether the loop waits; the loop first says that it waits and then looks
 * for work: one of them sees the other.
 */
static int wait_for_events(struct loop *loop, struct epoll_event *events)
{
	loop->nr_events = 0;
	atomic_store(&loop->is_waiting, true);
	pthread_mutex_unlock(&loop->running);
	int nr = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, has_work(loop) ? 0 : -1);
	pthread_mutex_lock(&loop->running);
	atomic_store(&loop->is_waiting, false);
	return nr;
}

void loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_WAIT];

	pthread_mutex_lock(&loop->running);
	loop->events = events;
	atomic_store(&loop->thread, pthread_self());
	while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) {
		loop->nr_events = wait_for_events(loop, events);
		run_work(loop);
		for (int i = 0; i < loop->nr_events; i++) {
			void *tag = events[i].data.ptr;

			if (tag == &loop->wake_fd) {
				continue; /* edge-triggered: it need not be read */
			} else if (tag == &loop->timer_fd) {
				run_timers(loop);
			} else if (events[i].events) {
				struct loop_fd *w = tag;

				w->fn(w, events[i].events);
			}
		}
	}
	loop->nr_events = 0;
	loop->events = NULL;
	atomic_store(&loop->thread, 0);
	pthread_mutex_unlock(&loop->running);
	atomic_store_explicit(&loop->is_stopping, false, memory_order_relaxed);
}
