/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions replaced under the CPUs that run them, the way kernels do: INT3 into the first byte, all
 * CPUs serialise, the other bytes, all serialise, the first byte, all serialise. Who meets the INT3
 * goes on with the one instruction or the other.
 */
#include "smp.h"

#include <linux/membarrier.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SITES = 32, SITE_SIZE = 48, SITE_AT = 4 };

/* sub $8,%rsp; five bytes of NOP or JMP; mov $1,%eax; jmp 1f; (target) mov $2,%eax; 1: add $8,%rsp; ret */
static const uint8_t template[] = {0x48, 0x83, 0xec, 0x08, 0x0f, 0x1f, 0x44, 0,	   0,
				   0xb8, 1,    0,    0,	   0,	 0xeb, 5,    0xb8, 2,
				   0,	 0,    0,    0x48, 0x83, 0xc4, 8,    0xc3};
static const uint8_t nop[5] = {0x0f, 0x1f, 0x44, 0, 0};
static const uint8_t jump[5] = {0xe9, 7, 0, 0, 0};

static struct site {
	/* Odd while the instruction changes; bit 1 tells which one it is. */
	_Alignas(64) atomic_uint generation;
	uint8_t *code;
} sites[SITES];
static uint8_t *code;
static atomic_uint nr_traps;

static void serialise_all(void)
{
	need(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0,
	     "membarrier");
}

static void on_trap(int signal_number, siginfo_t *info, void *opaque)
{
	ucontext_t *uc = opaque;
	greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];
	const size_t off = (size_t)(*rip - (greg_t)(uintptr_t)code);

	if (off >= SITES * SITE_SIZE || off % SITE_SIZE != SITE_AT + 1)
		broken("INT3 at %lx", (unsigned long)*rip);
	/* Either is right while it changes. */
	*rip += 4;
	if (atomic_fetch_add(&nr_traps, 1) % 2)
		*rip += 7;
}

void setup_poke(void)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	need(sigaction(SIGTRAP, &action, NULL) == 0, "sigaction");
	need(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) ==
		     0,
	     "membarrier for code");
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	need(code != MAP_FAILED, "mmap");
	for (unsigned i = 0; i < SITES; i++) {
		sites[i].code = code + i * SITE_SIZE;
		memcpy(sites[i].code, template, sizeof(template));
	}
}

static void poke(struct site *s)
{
	const bool to_jump = !(atomic_load(&s->generation) & 2);
	const uint8_t *wanted = to_jump ? jump : nop;
	volatile uint8_t *at = s->code + SITE_AT;

	atomic_fetch_add(&s->generation, 1);
	at[0] = 0xcc;
	serialise_all();
	for (unsigned i = 1; i < 5; i++)
		at[i] = wanted[i];
	serialise_all();
	at[0] = wanted[0];
	serialise_all();
	atomic_fetch_add(&s->generation, 1);
}

void work_poke(struct worker *w)
{
	while (!is_over()) {
		poke(&sites[next_random(&w->seed) % SITES]);
		tick(&w->rounds);
		if (next_random(&w->seed) % 64 == 0)
			use_cpu(next_random(&w->seed));
		if (next_random(&w->seed) % 4 == 0)
			usleep(next_random(&w->seed) % 1000);
	}
}

void work_poke_call(struct worker *w)
{
	while (!is_over()) {
		struct site *s = &sites[next_random(&w->seed) % SITES];
		unsigned (*f)(void);

		memcpy(&f, &s->code, sizeof(f));
		for (unsigned i = 0; i < 50; i++) {
			unsigned before = atomic_load(&s->generation), got = f();
			unsigned after = atomic_load(&s->generation);

			if (got != 1 && got != 2)
				broken("patched function gives %u", got);
			if (before == after && !(before & 1) && got != (before & 2 ? 2 : 1))
				broken("patched function gives %u, generation %u", got, before);
		}
		tick(&w->rounds);
		if (next_random(&w->seed) % 2048 == 0)
			use_cpu(next_random(&w->seed));
	}
}
