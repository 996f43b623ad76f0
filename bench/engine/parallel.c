/* SPDX-License-Identifier: BSD-2-Clause */
/* Two at once: threads that contend for a lock and a counter, and processes that share nothing. */
#include "programs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
	pthread_mutex_t lock;
	uint64_t guarded;
	atomic_uint_least64_t counter;
	uint64_t count;
};

static void *contend(void *opaque)
{
	struct shared *s = opaque;

	for (uint64_t round = 0; round < s->count * 1000; round++) {
		pthread_mutex_lock(&s->lock);
		s->guarded += round;
		pthread_mutex_unlock(&s->lock);
		atomic_fetch_add_explicit(&s->counter, round ^ 1, memory_order_relaxed);
	}
	return NULL;
}

uint64_t run_lock(uint64_t count)
{
	struct shared s = {.lock = PTHREAD_MUTEX_INITIALIZER, .count = count};
	pthread_t other;

	need(pthread_create(&other, NULL, contend, &s) == 0, "pthread_create");
	contend(&s);
	need(pthread_join(other, NULL) == 0, "pthread_join");
	return mix(mix(count, s.guarded), atomic_load(&s.counter));
}

/* Each process does all rounds, so on one CPU the pair takes twice as long as on two. */
uint64_t run_pair(uint64_t count)
{
	uint64_t theirs;
	int out[2];

	need(pipe(out) == 0, "pipe");
	pid_t pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		theirs = run_sieve(count);
		_exit(write(out[1], &theirs, sizeof(theirs)) != sizeof(theirs));
	}
	close(out[1]);
	uint64_t ours = run_sieve(count);
	need(read(out[0], &theirs, sizeof(theirs)) == sizeof(theirs), "the other process's answer");
	close(out[0]);
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
	return mix(mix(count, ours), theirs);
}
