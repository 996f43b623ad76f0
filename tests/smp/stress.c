/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stress: workers that patch code, fault, take signals, change CPUs, use all registers and start
 * programs, all at once, each checking all that it does.
 */
#include "smp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_bool over;

/* At least one of each; a CPU count of four has room for more of some. */
static struct worker workers[] = {
	{.name = "code written for others", .run = work_jit_write},
	{.name = "calls of it", .run = work_jit_call},
	{.name = "calls of it", .run = work_jit_call},
	{.name = "own code changed", .run = work_jit_own},
	{.name = "much code", .run = work_jit_bulk},
	{.name = "patches by INT3", .run = work_poke},
	{.name = "calls of them", .run = work_poke_call},
	{.name = "calls of them", .run = work_poke_call},
	{.name = "faults", .run = work_faults},
	{.name = "faults", .run = work_faults},
	{.name = "pages taken away", .run = work_unmap},
	{.name = "accesses to them", .run = work_unmap_access},
	{.name = "accesses to them", .run = work_unmap_access},
	{.name = "registers and signals", .run = work_state},
	{.name = "registers and signals", .run = work_state},
	{.name = "programs started", .run = work_spawn},
};

bool is_over(void)
{
	return atomic_load_explicit(&over, memory_order_relaxed);
}

void tick(unsigned *rounds)
{
	(*rounds)++;
}

static void *run_worker(void *opaque)
{
	struct worker *w = opaque;

	w->run(w);
	return NULL;
}

void run_stress(unsigned milliseconds)
{
	const uint64_t end_ns = now_ns() + milliseconds * 1000000ul;
	pthread_t ids[ARRAY_SIZE(workers)];

	setup_faults();
	setup_jit();
	setup_poke();
	setup_state();
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i].seed = 0x9e3779b9u * (uint32_t)(i + 1);
		need(pthread_create(&ids[i], NULL, run_worker, &workers[i]) == 0, "pthread_create");
	}
	while (now_ns() < end_ns)
		usleep(20000);
	atomic_store(&over, true);
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		need(pthread_join(ids[i], NULL) == 0, "pthread_join");
		printf("%-24s %10u rounds\n", workers[i].name, workers[i].rounds);
		if (!workers[i].rounds)
			broken("%s: nothing was done", workers[i].name);
	}
}

/* Single-threaded: own code, faults and state for a few rounds each. */
int spawned(const char *seed)
{
	struct worker w = {.seed = (uint32_t)strtoul(seed, NULL, 0) | 1};

	setup_faults();
	setup_jit();
	setup_state();
	atomic_store(&over, true);
	work_faults(&w);
	work_jit_own(&w);
	return (int)(strtoul(seed, NULL, 0) % 97);
}
