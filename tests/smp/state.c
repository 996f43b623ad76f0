/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All registers a program has, held while timers interrupt it, their handlers use all registers
 * themselves, and other threads run on the same CPU; and programs that are started meanwhile.
 */
#include "smp.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Offsets are known to state.S. */
struct state {
	uint8_t ymm[16][32];
	uint8_t x87[8][16]; /* ten bytes each of the first five */
	uint32_t mxcsr;
	uint16_t fcw, reserved;
	uint64_t flags;
	uint64_t gpr[11];
};
void state_spin(struct state *in, struct state *out, unsigned long spins, int with_avx);

enum { STATUS_FLAGS = 0x8d5 };

static _Thread_local atomic_uint nr_signals;
static _Thread_local uint32_t handler_seed;

static void fill(struct state *s, uint32_t *seed)
{
	const int with_avx = has_avx();
	uint32_t *words = (uint32_t *)s;

	for (size_t i = 0; i < sizeof(*s) / 4; i++)
		words[i] = next_random(seed);
	for (unsigned i = 0; i < 16 && !with_avx; i++)
		memset(s->ymm[i] + 16, 0, 16);
	for (unsigned i = 0; i < 8; i++) {
		memset(s->x87[i] + 10, 0, 6);
		s->x87[i][7] |= 0x80; /* a normal number */
		s->x87[i][9] = 0x3f;
		if (i >= 5)
			memset(s->x87[i], 0, 16);
	}
	/* All exceptions masked, any rounding. */
	s->mxcsr = 0x1f80 | (s->mxcsr & 0x6000);
	s->fcw = (uint16_t)(0x37f | (s->fcw & 0x0c00));
	s->reserved = 0;
	s->flags &= STATUS_FLAGS;
}

static void check(uint32_t *seed, unsigned long spins, const char *where)
{
	struct state in, out = {0};
	const unsigned before = nr_signals;

	fill(&in, seed);
	state_spin(&in, &out, spins, has_avx());
	out.flags &= STATUS_FLAGS;
	if (memcmp(&in, &out, sizeof(in)) == 0)
		return;
	for (size_t i = 0; i < sizeof(in); i++)
		if (((uint8_t *)&in)[i] != ((uint8_t *)&out)[i])
			broken("registers changed %s: offset %zu, %02x to %02x, %u signals "
			       "meanwhile",
			       where, i, ((uint8_t *)&in)[i], ((uint8_t *)&out)[i],
			       nr_signals - before);
}

static void on_alarm(int number)
{
	check(&handler_seed, 20, "in a handler");
	atomic_fetch_add_explicit(&nr_signals, 1, memory_order_relaxed);
	if (next_random(&handler_seed) % 16 == 0)
		use_cpu(next_random(&handler_seed));
}

void setup_state(void)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

	need(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
}

void work_state(struct worker *w)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	struct itimerspec every = {.it_interval.tv_nsec = 1100000, .it_value.tv_nsec = 1100000};
	timer_t timer;

	handler_seed = w->seed ^ 0x55555555;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
	need(timer_settime(timer, 0, &every, NULL) == 0, "timer_settime");
	while (!is_over()) {
		check(&w->seed, next_random(&w->seed) % 20000, "in a thread");
		tick(&w->rounds);
		if (next_random(&w->seed) % 256 == 0)
			use_cpu(next_random(&w->seed));
	}
	timer_delete(timer);
	if (!nr_signals)
		broken("no timer has expired");
}

/* ---- programs ---- */

/* A child changes a copy of its parent's memory, then becomes another program. */
static void child(uint32_t *memory, size_t nr, uint32_t wanted)
{
	char seed[16];

	for (size_t i = 0; i < nr; i++) {
		if (memory[i] != wanted + i)
			broken("memory after fork: %x, not %zx", memory[i], wanted + i);
		memory[i] = 0;
	}
	snprintf(seed, sizeof(seed), "%u", wanted);
	execl("/proc/self/exe", "smp", "spawned", seed, (char *)NULL);
	_exit(126);
}

void work_spawn(struct worker *w)
{
	enum { WORDS = 64 << 10 };
	uint32_t *memory = calloc(WORDS, sizeof(*memory));

	need(memory != NULL, "calloc");
	while (!is_over()) {
		const uint32_t wanted = next_random(&w->seed);
		int status;

		for (size_t i = 0; i < WORDS; i++)
			memory[i] = wanted + (uint32_t)i;
		pid_t pid = fork();
		need(pid >= 0, "fork");
		if (pid == 0)
			child(memory, WORDS, wanted);
		while (waitpid(pid, &status, 0) != pid)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted % 97)
			broken("a program ended with status %#x, not %u", (unsigned)status,
			       wanted % 97);
		for (size_t i = 0; i < WORDS; i++)
			if (memory[i] != wanted + (uint32_t)i)
				broken("memory changed by a child: %x, not %zx", memory[i],
				       wanted + i);
		tick(&w->rounds);
		use_cpu(next_random(&w->seed));
	}
	free(memory);
}
