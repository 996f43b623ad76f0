/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU of the software engine as soft.c, run.c, state.c and timer.c see it: the CPU and its
 * thread.
 */
#ifndef ENGINE_SOFT_VCPU_H
#define ENGINE_SOFT_VCPU_H

#include <time.h>

#include "engine/soft/soft.h"

/* The first page is a guard. What is called is shallow; a signal's frame with AMX takes 11 KiB. */
#define CPU_STACK_SIZE (64 * KIB)

struct soft_vcpu {
	struct engine_vcpu base;

	/* Set around the futex wait on cpu.requests: cpu_request() wakes only then. */
	atomic_bool is_sleeping;

	/*
	 * The LAPIC's deadline on CLOCK_MONOTONIC, 0 for none, and what the POSIX timer is set to.
	 * The timer may fire early; it is set anew then.
	 */
	bool has_timer;
	timer_t timer;
	pthread_t thread; /* that the timer signals */
	uint64_t deadline_ns, armed_ns;

	/* Below cpu: the stack of what translated code calls, and of signals while it runs. */
	uint8_t stack[CPU_STACK_SIZE] __attribute__((aligned(4096)));
	struct cpu cpu;
};

static inline struct soft_vcpu *soft_vcpu_of(struct cpu *c)
{
	return container_of(c, struct soft_vcpu, cpu);
}

static inline struct soft_vm *soft_vm_of(struct engine_vm *vm)
{
	return container_of(vm, struct soft_vm, base);
}

static inline struct cpu *soft_cpu_of(struct engine_vcpu *v)
{
	return &container_of(v, struct soft_vcpu, base)->cpu;
}

/* run.c */
int soft_vcpu_run(struct engine_vcpu *v);
bool soft_can_inject(struct cpu *c); /* an external interrupt by engine_vcpu_interrupt() */

/*
 * Takes INIT, SIPI and NMIs that have come since the vCPU stopped, so that they are part of its
 * state.
 */
void soft_vcpu_settle(struct cpu *c);

/*
 * timer.c: the deadline of the LAPIC timer. enter and leave are called on the vCPU's thread around
 * each run, and a failure to make the timer is a negative errno; set on it or while it is stopped;
 * due on it, after REQ_TIMER.
 */
int vcpu_timer_init(struct error *err); /* installs the signal handler */
int vcpu_timer_enter(struct soft_vcpu *v);
void vcpu_timer_leave(struct soft_vcpu *v);
void vcpu_timer_set(struct soft_vcpu *v, uint64_t host_ns);
bool vcpu_timer_is_due(struct soft_vcpu *v);
void vcpu_timer_free(struct soft_vcpu *v);

/* state.c: engine.h's functions of the same names. */
int soft_get_regs(struct engine_vcpu *v, struct kvm_regs *regs);
int soft_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs);
int soft_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs);
int soft_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs);
int soft_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave);
int soft_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave);
int soft_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs);
int soft_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs);
int soft_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr);
int soft_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr);
int soft_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev);
int soft_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev);
int soft_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic);
int soft_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic);
int soft_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp);
int soft_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp);
int soft_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr);
int soft_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr);
int soft_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg);
int soft_translate(struct engine_vcpu *v, struct kvm_translation *tr);

/* stats.c */
int soft_vm_stats(struct engine_vm *vm, struct engine_vm_stats *stats);
int soft_vcpu_stats(struct engine_vcpu *v, struct engine_vcpu_stats *stats);

/* features.c: clears what this engine cannot do. */
int soft_filter_cpuid(struct engine *e, struct cpuid_table *table, struct error *err);

#endif
