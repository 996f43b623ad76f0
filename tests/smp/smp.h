/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What x86 promises programs on several CPUs, asked of the CPUs this program runs on: in a guest, as
 * its init, and on the host. Each check prints one line; a broken promise ends the process with
 * "BROKEN" and what was seen.
 */
#ifndef TESTS_SMP_SMP_H
#define TESTS_SMP_SMP_H

#include <stdbool.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ends the process unless `ok`; `what` and errno say why. */
void need(int ok, const char *what);
/* Ends the process because the CPU has done what it must not. May be called in signal handlers. */
void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void);
uint32_t next_random(uint32_t *state);
unsigned count_cpus(void);
/* Binds the calling thread to one of the CPUs; any number, counted around. */
void use_cpu(unsigned number);
bool has_avx(void);

/* Each takes about that long and returns if nothing is broken. */
void run_litmus(unsigned milliseconds);
void run_atomics(unsigned milliseconds);
void run_stress(unsigned milliseconds);

/* ---- workers of the stress: each is a thread that runs until is_over() ---- */

bool is_over(void);
/* Counts one more round of the worker; the report tells how many there were. */
void tick(unsigned *rounds);

struct worker {
	const char *name;
	void (*run)(struct worker *w);
	uint32_t seed;
	unsigned rounds;
};

void work_jit_write(struct worker *w);
void work_jit_call(struct worker *w);
void work_jit_own(struct worker *w);
void work_jit_bulk(struct worker *w);
void work_poke(struct worker *w);
void work_poke_call(struct worker *w);
void work_faults(struct worker *w);
void work_unmap(struct worker *w);
void work_unmap_access(struct worker *w);
void work_state(struct worker *w);
void work_spawn(struct worker *w);

/* Before the workers start: memory and signal handlers they share. */
void setup_jit(void);
void setup_poke(void);
void setup_faults(void);
void setup_state(void);

/* What a program started by work_spawn() does: a few rounds of the others; returns its exit status. */
int spawned(const char *seed);

#endif
