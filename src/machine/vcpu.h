/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's thread and its run loop: the same for every engine.
 *
 * Asynchronous causes are bits of one atomic word per vCPU; whoever sets one kicks the vCPU out of
 * the engine. Pausing parks the thread between two entries of the engine, where its state is whole.
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/engine.h"

struct vm;

/* vcpu.requests */
#define VCPU_REQ_STOP  BIT(0) /* leave the loop, end the thread */
#define VCPU_REQ_PAUSE BIT(1) /* park until it is cleared */
#define VCPU_REQ_PIC   BIT(2) /* the PIC's output changed: look at it (vCPU 0) */

struct vcpu {
	struct vm *vm;
	unsigned number; /* 0 is the boot processor */
	struct engine_vcpu *engine;
	struct kvm_run *run;
	struct cpuid_table cpuid;  /* what the engine was given */
	_Atomic uint32_t requests; /* any thread */
	uint64_t nr_exits;	   /* returns of the engine; its own thread */

	pthread_t thread;
	bool has_thread;
	cpu_set_t *pinned; /* host CPUs it may run on, or NULL */
};

/* Makes the engine's vCPU; the thread comes with vcpu_start(). Main loop thread. */
int vcpu_init(struct vcpu *v, struct vm *vm, unsigned number, unsigned apic_id,
	      const struct cpuid_table *cpuid, struct error *err);
void vcpu_fini(struct vcpu *v);

int vcpu_start(struct vcpu *v, struct error *err);
void vcpu_join(struct vcpu *v); /* after VCPU_REQ_STOP */

/* Prints the vCPU on stderr: DUMP_* of debug/dump.h. Its own thread, or while it stands still. */
void vcpu_dump(struct vcpu *v, unsigned what);

/* Sets request bits and kicks. Any thread. */
void vcpu_request(struct vcpu *v, uint32_t bits);

#endif
