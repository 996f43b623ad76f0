/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Input and output by a few threads that make the system calls, for hosts without io_uring. Threads
 * are started as they are needed and stay. The lock guards the two lists; nothing is called with it
 * held. The loop's thread is woken by posted work.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "backend/block/aio_impl.h"
#include "base/buf.h"
#include "host/loop.h"

/* Enough to keep a disk's queue busy; each costs a stack. */
#define THREADS_MAX 8

struct pool {
	struct aio *aio;
	struct loop_work work;
	pthread_mutex_t lock;
	pthread_cond_t has_work, has_result;
	struct list todo, results;
	unsigned nr_threads, nr_idle;
	bool is_ending;
	pthread_t threads[THREADS_MAX];
};

static void results_are_there(struct loop_work *w)
{
	aio_run(container_of(w, struct pool, work)->aio);
}

static void *worker(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (list_is_empty(&p->todo) && !p->is_ending) {
			p->nr_idle++;
			pthread_cond_wait(&p->has_work, &p->lock);
			p->nr_idle--;
		}
		if (list_is_empty(&p->todo))
			break;
		struct aio_req *req = list_entry(p->todo.next, struct aio_req, node);

		list_remove(&req->node);
		pthread_mutex_unlock(&p->lock);
		aio_perform(req);
		pthread_mutex_lock(&p->lock);
		bool was_empty = list_is_empty(&p->results);

		list_append(&p->results, &req->node);
		pthread_cond_signal(&p->has_result);
		if (was_empty)
			loop_post(p->aio->loop, &p->work, results_are_there);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* All signals blocked: they are the main thread's. Lock held. */
static int start_thread(struct pool *p)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&p->threads[p->nr_threads], NULL, worker, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return -rc;
	p->nr_threads++;
	return 0;
}

static int threads_open(struct aio *aio, struct error *err)
{
	struct pool *p = mem_alloc_zero(sizeof(*p));

	p->aio = aio;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->has_work, NULL);
	pthread_cond_init(&p->has_result, NULL);
	list_init(&p->todo);
	list_init(&p->results);
	int rc = start_thread(p);
	if (rc) {
		free(p);
		return error_set_errno(err, rc, "threads for disks");
	}
	aio->state = p;
	return 0;
}

static void threads_close(struct aio *aio)
{
	struct pool *p = aio->state;

	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->has_work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nr_threads; i++)
		pthread_join(p->threads[i], NULL);
	loop_cancel(aio->loop, &p->work);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->has_work);
	pthread_cond_destroy(&p->has_result);
	free(p);
}

static void threads_send(struct aio *aio)
{
	struct pool *p = aio->state;
	unsigned nr = 0;

	pthread_mutex_lock(&p->lock);
	while (!list_is_empty(&aio->queued)) {
		struct list *node = aio->queued.next;

		list_remove(node);
		list_append(&p->todo, node);
		nr++;
	}
	aio->nr_in_flight += nr;
	/* The first thread exists; that another cannot be started only makes things slower. */
	for (unsigned i = p->nr_idle; i < nr && p->nr_threads < THREADS_MAX; i++) {
		if (start_thread(p))
			break;
	}
	pthread_cond_broadcast(&p->has_work);
	pthread_mutex_unlock(&p->lock);
	aio->stats.calls++;
}

static void threads_reap(struct aio *aio, bool wait)
{
	struct pool *p = aio->state;

	pthread_mutex_lock(&p->lock);
	while (wait && list_is_empty(&p->results))
		pthread_cond_wait(&p->has_result, &p->lock);
	while (!list_is_empty(&p->results)) {
		struct list *node = p->results.next;

		list_remove(node);
		list_append(&aio->completed, node);
		aio->nr_in_flight--;
	}
	pthread_mutex_unlock(&p->lock);
}

const struct aio_way aio_way_threads = {"threads",     false,	     threads_open,
					threads_close, threads_send, threads_reap};
