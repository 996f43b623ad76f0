/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The complete state of a vCPU as one value: taken from one engine, put into the same or another.
 * What to get and in which order to set it is told by KVM's rules; both engines follow them. The
 * vCPU must stand still, and engine_vcpu_settle() must have been called since it ran.
 */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "engine/engine.h"

#define VCPU_STATE_MSRS_MAX 128

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	unsigned nr_msrs;
	struct kvm_msr_entry msrs[VCPU_STATE_MSRS_MAX]; /* those the engine knows */
	uint64_t host_tsc;				/* when the guest's TSC was read */
};

/* Returns 0, or a negative errno with the part that failed named in err. */
int vcpu_state_get(struct engine_vcpu *v, struct vcpu_state *s, struct error *err);

/*
 * Into a fresh vCPU with the same CPUID. The guest's TSC goes on as if it had never stopped: both
 * engines must be on this host. Unknown MSRs are left out, as they are when a state travels to an
 * engine that offers less.
 */
int vcpu_state_set(struct engine_vcpu *v, const struct vcpu_state *s, struct error *err);

#endif
