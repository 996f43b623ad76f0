/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/io_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

struct io_thread {
	struct loop *loop;
	pthread_t thread;
	char name[16];
};

static void *run(void *arg)
{
	struct io_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	loop_run(t->loop);
	return NULL;
}

struct io_thread *io_thread_new(const char *name, struct error *err)
{
	struct io_thread *t = mem_alloc_zero(sizeof(*t));
	sigset_t all, old;

	snprintf(t->name, sizeof(t->name), "%s", name);
	t->loop = loop_new(err);
	if (!t->loop) {
		free(t);
		return NULL;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		error_set_errno(err, -rc, "I/O thread %s", name);
		loop_free(t->loop);
		free(t);
		return NULL;
	}
	return t;
}

void io_thread_free(struct io_thread *t)
{
	if (!t)
		return;
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	loop_free(t->loop);
	free(t);
}

struct loop *io_thread_loop(struct io_thread *t)
{
	return t->loop;
}
