/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual clock for the software engine (Documentation/virt/kvm/x86/msr.rst): the guest
 * reads a shared page with a TSC stamp, a scale and an offset, and needs no exit to tell the time.
 */
#ifndef ENGINE_SOFT_PVCLOCK_H
#define ENGINE_SOFT_PVCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct pvclock;
struct pvclock_vcpu;

/* The frequency of the host's TSC in kHz, measured once in a millisecond; 0 if it is not invariant. */
uint32_t host_tsc_khz(void);

/* One per VM, at 0 ns. The guest's TSC counts at tsc_khz: the host's TSC or else the host's clock.
 */
struct pvclock *pvclock_new(uint32_t tsc_khz, bool has_host_tsc);
void pvclock_free(struct pvclock *p);

/* The VM's clock in ns, and setting it (all vCPUs stopped). Any thread. */
uint64_t pvclock_now_ns(struct pvclock *p);
void pvclock_set_ns(struct pvclock *p, uint64_t ns);

struct pvclock_vcpu *pvclock_vcpu_new(struct pvclock *p);
void pvclock_vcpu_free(struct pvclock_vcpu *v);
void pvclock_vcpu_reset(struct pvclock_vcpu *v); /* no shared page */

/*
 * MSRs 0x11, 0x12, 0x4b564d00 and 0x4b564d01; vCPU thread. false for #GP(0): the page is no RAM, or
 * reserved bits are set.
 */
bool pvclock_msr_read(struct cpu *c, uint32_t msr, uint64_t *value);
bool pvclock_msr_write(struct cpu *c, uint32_t msr, uint64_t value);

/*
 * Writes a struct kvm_clock_pairing to gpa: the host's calendar time, and the guest's TSC at that moment
 * (KVM_HC_CLOCK_PAIRING of Documentation/virt/kvm/x86/hypercalls.rst). Returns 0, -KVM_EOPNOTSUPP for
 * another clock than that, or -KVM_EFAULT where there is no RAM. vCPU thread.
 */
int pvclock_pair(struct cpu *c, uint64_t gpa, uint32_t clock_type);

/* Fills the shared page again: after the clock or the TSC offset was set. vCPU thread. */
void pvclock_refresh(struct cpu *c);

#endif
