/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Litmus tests of the memory order (SDM volume 3, 9.2, and "x86-TSO", Owens, Sarkar, Sewell, 2009).
 *
 * A test has two to four threads, each with a step of a few accesses to the variables x and y of a
 * cell. All threads go over an array of cells, waiting a little for one another before each, so that
 * their steps overlap in many ways; then what they have read and what is left in memory is judged.
 * Threads wait for a bounded time only: there may be fewer host CPUs than threads.
 */
#include "smp.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	THREADS_MAX = 4,
	CELLS = 256,
	STRIDE = 3 * 4096,
	SPINS = 1000, /* a few microseconds */
	SPINS_CROWDED = 50,
	SPINS_AWAKE = 20000, /* between offers of the CPU to other threads */
};

/* Where x and y lie in a cell, and the word for locked accesses across a boundary. */
enum place { LINES, PAGES, LINE_CROSSED, PAGE_CROSSED, NR_PLACES };
static const struct {
	const char *name;
	unsigned x, y, crossed;
} places[NR_PLACES] = {
	[LINES] = {"lines", 0, 64, 256 - 4},
	[PAGES] = {"pages", 128, 4096 + 512, 8192 - 4},
	[LINE_CROSSED] = {"x across lines", 64 - 4, 256, 512 - 2},
	[PAGE_CROSSED] = {"x across pages", 4096 - 4, 4096 + 128, 8192 - 2},
};

/* What a step gets: 8-byte variables, and room for what it reads. */
struct at {
	uint64_t *x, *y, *crossed;
	uint64_t *r;
};

/* What is judged: what thread t has read is r[t]. */
struct outcome {
	uint64_t r[THREADS_MAX][2];
	uint64_t x, y;
};

struct test;
struct run {
	const struct test *test;
	enum place place;
	char *cells;
	uint64_t (*read)[CELLS][2]; /* by thread */
	struct {
		_Alignas(64) atomic_uint at;
	} progress[THREADS_MAX];
	atomic_uint nr_finished, pass;
	uint64_t end_ns;
	atomic_bool is_over;
	bool is_crowded; /* more threads than CPUs */
	uint64_t nr_seen, nr_cells;
};

struct thread {
	struct run *run;
	unsigned number;
};

typedef void step_fn(struct at a);
struct test {
	const char *name;
	unsigned nr_threads;
	void (*run[THREADS_MAX])(struct run *u, unsigned t);
	bool (*judge)(const struct outcome *o); /* true: the outcome that is of interest */
	bool is_allowed;
	unsigned places; /* one bit each */
};

/* ---- accesses ---- */

static inline uint64_t load(const uint64_t *p)
{
	uint64_t v;

	__asm__ volatile("mov %1, %0" : "=r"(v) : "m"(*p) : "memory");
	return v;
}

static inline void store(uint64_t *p, uint64_t v)
{
	__asm__ volatile("mov %1, %0" : "=m"(*p) : "r"(v) : "memory");
}

static inline void store_xmm(uint64_t *p, uint64_t v)
{
	__asm__ volatile("movq %1, %%xmm0\n\tmovq %%xmm0, %0"
			 : "=m"(*p)
			 : "r"(v)
			 : "xmm0", "memory");
}

static inline void store_string(uint64_t *p, uint64_t v)
{
	uint64_t count = 1;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(count) : "a"(v) : "memory");
}

/* Eight stores of a byte: each may be seen alone, but none after a later store. */
static inline void store_bytes(uint64_t *p, uint64_t v)
{
	const uint64_t *from = &v;
	uint64_t count = 8;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(count) : : "memory");
}

static inline uint64_t exchange(uint64_t *p, uint64_t v)
{
	__asm__ volatile("xchg %1, %0" : "+m"(*p), "+r"(v) : : "memory");
	return v;
}

static inline void fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline void locked_stack(void)
{
	__asm__ volatile("lock addl $0, -8(%%rsp)" : : : "memory", "cc");
}

static inline void locked_add(uint64_t *p, uint64_t v)
{
	__asm__ volatile("lock addq %1, %0" : "+m"(*p) : "r"(v) : "memory", "cc");
}

static inline void locked_compare_exchange(uint64_t *p, uint64_t from, uint64_t to)
{
	__asm__ volatile("lock cmpxchgq %2, %0" : "+m"(*p), "+a"(from) : "r"(to) : "memory", "cc");
}

/* ---- the loop ---- */

/* Whether every thread has come to cell i. */
static inline bool have_all_come(struct run *u, unsigned i)
{
	unsigned behind = 0;

	for (unsigned k = 0; k < u->test->nr_threads; k++)
		behind += atomic_load_explicit(&u->progress[k].at, memory_order_relaxed) <= i;
	return !behind;
}

/* More than two threads may be more than the host has CPUs: sleep, so that it runs the others. */
static void let_others(const struct run *u)
{
	if (u->test->nr_threads > 2)
		usleep(1);
	else
		sched_yield();
}

/* The first wait has no bound: a thread that was asleep takes longer to come than all cells take. */
static void wait_for_all(struct run *u, unsigned t)
{
	atomic_store_explicit(&u->progress[t].at, 1, memory_order_relaxed);
	for (unsigned spins = 1; !have_all_come(u, 0); spins++)
		if (spins % SPINS_AWAKE == 0)
			let_others(u);
}

static inline __attribute__((always_inline)) void over_cells(struct run *u, unsigned t,
							     step_fn *step)
{
	unsigned max_spins = u->is_crowded ? SPINS_CROWDED : SPINS;
	char *cell = u->cells;
	uint32_t random = (uint32_t)u->nr_cells + 1;

	wait_for_all(u, t);
	for (unsigned i = 0; i < CELLS; i++, cell += STRIDE) {
		struct at a = {
			.x = (void *)(cell + places[u->place].x),
			.y = (void *)(cell + places[u->place].y),
			.crossed = (void *)(cell + places[u->place].crossed),
			.r = u->read[t][i],
		};
		atomic_store_explicit(&u->progress[t].at, i + 1, memory_order_relaxed);
		unsigned spins = 0;
		while (spins < max_spins && !have_all_come(u, i))
			spins++;
		/* Someone does not run now: no long waits until they do again. */
		max_spins = spins == max_spins || u->is_crowded ? SPINS_CROWDED : SPINS;
		/* Who came last starts first by the time a cache line takes: another order each time. */
		for (unsigned delay = random >> (t * 8) & 63; delay; delay--)
			__asm__ volatile("");
		next_random(&random);
		step(a);
	}
}

/* ---- steps ---- */

static inline void step_x_then_y(struct at a)
{
	store(a.x, 1);
	a.r[0] = load(a.y);
}
static inline void step_y_then_x(struct at a)
{
	store(a.y, 1);
	a.r[0] = load(a.x);
}
static inline void step_x_fence_y(struct at a)
{
	store(a.x, 1);
	fence();
	a.r[0] = load(a.y);
}
static inline void step_y_fence_x(struct at a)
{
	store(a.y, 1);
	fence();
	a.r[0] = load(a.x);
}
static inline void step_x_locked_y(struct at a)
{
	store(a.x, 1);
	locked_stack();
	a.r[0] = load(a.y);
}
static inline void step_y_locked_x(struct at a)
{
	store(a.y, 1);
	locked_stack();
	a.r[0] = load(a.x);
}
static inline void step_x_split_y(struct at a)
{
	store(a.x, 1);
	locked_add(a.crossed, 1);
	a.r[0] = load(a.y);
}
static inline void step_y_split_x(struct at a)
{
	store(a.y, 1);
	locked_add(a.crossed, 1);
	a.r[0] = load(a.x);
}
static inline void step_xchg_x_then_y(struct at a)
{
	exchange(a.x, 1);
	a.r[0] = load(a.y);
}
static inline void step_xchg_y_then_x(struct at a)
{
	exchange(a.y, 1);
	a.r[0] = load(a.x);
}
static inline void step_cas_x_then_y(struct at a)
{
	locked_compare_exchange(a.x, 0, 1);
	a.r[0] = load(a.y);
}
static inline void step_add_y_then_x(struct at a)
{
	locked_add(a.y, 1);
	a.r[0] = load(a.x);
}
/* A failed comparison is locked, too. */
static inline void step_x_failed_cas_y(struct at a)
{
	store(a.x, 1);
	locked_compare_exchange(a.crossed, 77, 78);
	a.r[0] = load(a.y);
}
static inline void step_read_x_write_y(struct at a)
{
	a.r[0] = load(a.x);
	store(a.y, 1);
}
static inline void step_read_y_write_x(struct at a)
{
	a.r[0] = load(a.y);
	store(a.x, 1);
}
static inline void step_write_both(struct at a)
{
	store(a.x, ~0ul);
	store(a.y, 1);
}
static inline void step_write_both_xmm(struct at a)
{
	store_xmm(a.x, ~0ul);
	store_xmm(a.y, 1);
}
static inline void step_write_both_string(struct at a)
{
	store_string(a.x, ~0ul);
	store(a.y, 1);
}
static inline void step_write_both_bytes(struct at a)
{
	store_bytes(a.x, ~0ul);
	store(a.y, 1);
}
static inline void step_write_both_xchg(struct at a)
{
	exchange(a.x, ~0ul);
	store(a.y, 1);
}
static inline void step_read_y_x(struct at a)
{
	a.r[0] = load(a.y);
	a.r[1] = load(a.x);
}
static inline void step_read_x_y(struct at a)
{
	a.r[0] = load(a.x);
	a.r[1] = load(a.y);
}
static inline void step_write_x(struct at a)
{
	store(a.x, 1);
}
static inline void step_write_y(struct at a)
{
	store(a.y, 1);
}
static inline void step_write_x_twice(struct at a)
{
	store(a.x, 1);
	store(a.x, 2);
}
static inline void step_read_x_x(struct at a)
{
	a.r[0] = load(a.x);
	a.r[1] = load(a.x);
}
static inline void step_x1_y2(struct at a)
{
	store(a.x, 1);
	store(a.y, 2);
}
static inline void step_y1_x2(struct at a)
{
	store(a.y, 1);
	store(a.x, 2);
}
static inline void step_x2_y1(struct at a)
{
	store(a.x, 2);
	store(a.y, 1);
}
static inline void step_x1_read_x(struct at a)
{
	store(a.x, 1);
	a.r[0] = load(a.x);
}
static inline void step_x2_read_x(struct at a)
{
	store(a.x, 2);
	a.r[0] = load(a.x);
}

/* One function for each step, so that each has a loop of its own with the step inlined. */
#define LOOP(step)                                         \
	static void loop_##step(struct run *u, unsigned t) \
	{                                                  \
		over_cells(u, t, step_##step);             \
	}
LOOP(x_then_y)
LOOP(y_then_x)
LOOP(x_fence_y)
LOOP(y_fence_x)
LOOP(x_locked_y)
LOOP(y_locked_x)
LOOP(x_split_y)
LOOP(y_split_x)
LOOP(xchg_x_then_y)
LOOP(xchg_y_then_x)
LOOP(cas_x_then_y)
LOOP(add_y_then_x)
LOOP(x_failed_cas_y)
LOOP(read_x_write_y)
LOOP(read_y_write_x)
LOOP(write_both)
LOOP(write_both_xmm)
LOOP(write_both_string)
LOOP(write_both_bytes)
LOOP(write_both_xchg)
LOOP(read_y_x)
LOOP(read_x_y)
LOOP(write_x)
LOOP(write_y)
LOOP(write_x_twice)
LOOP(read_x_x)
LOOP(x1_y2)
LOOP(y1_x2)
LOOP(x2_y1)
LOOP(x1_read_x)
LOOP(x2_read_x)

/* ---- outcomes ---- */

static bool judge_both_old(const struct outcome *o)
{
	return o->r[0][0] == 0 && o->r[1][0] == 0;
}
static bool judge_both_new(const struct outcome *o)
{
	return o->r[0][0] == 1 && o->r[1][0] == 1;
}
/* x is all ones, so a part of it that is old shows. */
static bool judge_message_old(const struct outcome *o)
{
	return o->r[1][0] == 1 && o->r[1][1] != ~0ul;
}
static bool judge_two_orders(const struct outcome *o)
{
	return o->r[2][0] == 1 && o->r[2][1] == 0 && o->r[3][0] == 1 && o->r[3][1] == 0;
}
static bool judge_cause_lost(const struct outcome *o)
{
	return o->r[1][0] == 1 && o->r[2][0] == 1 && o->r[2][1] == 0;
}
static bool judge_backwards(const struct outcome *o)
{
	return o->r[1][0] > o->r[1][1];
}
static bool judge_writes_crossed(const struct outcome *o)
{
	return o->x == 1 && o->y == 1;
}
static bool judge_overwritten(const struct outcome *o)
{
	return o->r[1][0] == 1 && o->x == 2;
}
/* Thread 0 has overwritten 2, thread 1 has overwritten 1. */
static bool judge_each_last(const struct outcome *o)
{
	return o->r[0][0] == 2 && o->r[1][0] == 1;
}

#define ALL_PLACES (1u << NR_PLACES) - 1
#define WHOLE	   (1u << LINES | 1u << PAGES)

static const struct test tests[] = {
	{"SB", 2, {loop_x_then_y, loop_y_then_x}, judge_both_old, true, ALL_PLACES},
	{"SB+mfence", 2, {loop_x_fence_y, loop_y_fence_x}, judge_both_old, false, ALL_PLACES},
	{"SB+lock", 2, {loop_x_locked_y, loop_y_locked_x}, judge_both_old, false, ALL_PLACES},
	{"SB+split-lock", 2, {loop_x_split_y, loop_y_split_x}, judge_both_old, false, WHOLE},
	{"SB+xchg", 2, {loop_xchg_x_then_y, loop_xchg_y_then_x}, judge_both_old, false, ALL_PLACES},
	{"SB+cmpxchg+add",
	 2,
	 {loop_cas_x_then_y, loop_add_y_then_x},
	 judge_both_old,
	 false,
	 ALL_PLACES},
	{"SB+failed-cmpxchg",
	 2,
	 {loop_x_failed_cas_y, loop_y_fence_x},
	 judge_both_old,
	 false,
	 WHOLE},
	{"LB", 2, {loop_read_x_write_y, loop_read_y_write_x}, judge_both_new, false, ALL_PLACES},
	{"MP", 2, {loop_write_both, loop_read_y_x}, judge_message_old, false, ALL_PLACES},
	{"MP+xmm", 2, {loop_write_both_xmm, loop_read_y_x}, judge_message_old, false, ALL_PLACES},
	{"MP+stos",
	 2,
	 {loop_write_both_string, loop_read_y_x},
	 judge_message_old,
	 false,
	 ALL_PLACES},
	{"MP+movsb",
	 2,
	 {loop_write_both_bytes, loop_read_y_x},
	 judge_message_old,
	 false,
	 ALL_PLACES},
	{"MP+xchg", 2, {loop_write_both_xchg, loop_read_y_x}, judge_message_old, false, ALL_PLACES},
	{"CoRR", 2, {loop_write_x_twice, loop_read_x_x}, judge_backwards, false, WHOLE},
	{"2+2W", 2, {loop_x1_y2, loop_y1_x2}, judge_writes_crossed, false, WHOLE},
	{"S", 2, {loop_x2_y1, loop_read_y_write_x}, judge_overwritten, false, WHOLE},
	{"n5", 2, {loop_x1_read_x, loop_x2_read_x}, judge_each_last, false, WHOLE},
	{"WRC",
	 3,
	 {loop_write_x, loop_read_x_write_y, loop_read_y_x},
	 judge_cause_lost,
	 false,
	 WHOLE},
	{"IRIW",
	 4,
	 {loop_write_x, loop_write_y, loop_read_x_y, loop_read_y_x},
	 judge_two_orders,
	 false,
	 WHOLE},
};

/* Judges all cells and clears them. */
static void judge_cells(struct run *u)
{
	const struct test *test = u->test;

	for (unsigned i = 0; i < CELLS; i++) {
		char *cell = u->cells + i * STRIDE;
		uint64_t *x = (void *)(cell + places[u->place].x);
		uint64_t *y = (void *)(cell + places[u->place].y);
		struct outcome o = {.x = load(x), .y = load(y)};

		for (unsigned t = 0; t < test->nr_threads; t++)
			memcpy(o.r[t], u->read[t][i], sizeof(o.r[t]));
		if (test->judge(&o)) {
			u->nr_seen++;
			if (!test->is_allowed)
				broken("%s (%s): read %lx %lx, %lx %lx, %lx %lx, %lx %lx; left x "
				       "%lx y %lx",
				       test->name, places[u->place].name, o.r[0][0], o.r[0][1],
				       o.r[1][0], o.r[1][1], o.r[2][0], o.r[2][1], o.r[3][0],
				       o.r[3][1], o.x, o.y);
		}
		store(x, 0);
		store(y, 0);
		store((void *)(cell + places[u->place].crossed), 0);
	}
	u->nr_cells += CELLS;
	for (unsigned t = 0; t < test->nr_threads; t++)
		atomic_store(&u->progress[t].at, 0);
	if (now_ns() > u->end_ns)
		atomic_store(&u->is_over, true);
}

/* Who comes last judges. Nobody sleeps meanwhile: a thread that must be woken is late for the next. */
static void finish_pass(struct run *u)
{
	const unsigned pass = atomic_load(&u->pass);

	if (atomic_fetch_add(&u->nr_finished, 1) + 1 == u->test->nr_threads) {
		judge_cells(u);
		atomic_store(&u->nr_finished, 0);
		atomic_store(&u->pass, pass + 1);
		return;
	}
	for (unsigned spins = 1; atomic_load(&u->pass) == pass; spins++)
		if (spins % SPINS_AWAKE == 0)
			let_others(u);
}

static void *run_thread(void *opaque)
{
	struct thread *self = opaque;
	struct run *u = self->run;

	use_cpu(self->number);
	do {
		u->test->run[self->number](u, self->number);
		finish_pass(u);
	} while (!atomic_load(&u->is_over));
	return NULL;
}

static void run_test(struct run *u, unsigned milliseconds)
{
	const struct test *test = u->test;
	struct thread self[THREADS_MAX];
	pthread_t ids[THREADS_MAX];

	u->nr_seen = u->nr_cells = 0;
	u->is_crowded = test->nr_threads > count_cpus();
	u->end_ns = now_ns() + milliseconds * 1000000ul;
	atomic_store(&u->is_over, false);
	memset(u->cells, 0, (size_t)CELLS * STRIDE);
	for (unsigned t = 0; t < test->nr_threads; t++) {
		self[t] = (struct thread){u, t};
		need(pthread_create(&ids[t], NULL, run_thread, &self[t]) == 0, "pthread_create");
	}
	for (unsigned t = 0; t < test->nr_threads; t++)
		need(pthread_join(ids[t], NULL) == 0, "pthread_join");
	printf("%-18s %-15s %9lu cells", test->name, places[u->place].name, u->nr_cells);
	if (test->is_allowed)
		printf(", allowed outcome seen %lu times", u->nr_seen);
	printf("\n");
}

void run_litmus(unsigned milliseconds)
{
	unsigned nr = 0;
	struct run *u = aligned_alloc(64, sizeof(*u));

	need(u != NULL, "aligned_alloc");
	memset(u, 0, sizeof(*u));
	u->read = calloc(THREADS_MAX, sizeof(*u->read));
	u->cells = mmap(NULL, (size_t)CELLS * STRIDE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(u->read && u->cells != MAP_FAILED, "memory");
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		nr += (unsigned)__builtin_popcount(tests[i].places);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		for (unsigned place = 0; place < NR_PLACES; place++) {
			if (!(tests[i].places & 1u << place))
				continue;
			u->test = &tests[i];
			u->place = place;
			run_test(u, milliseconds / nr);
		}
	}
	munmap(u->cells, (size_t)CELLS * STRIDE);
	free(u->read);
	free(u);
}
