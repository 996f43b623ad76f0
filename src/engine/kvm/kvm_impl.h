/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The KVM accelerator's parts as its own files see them. Capabilities are asked for one by one
 * (KVM_CHECK_EXTENSION), never concluded from a version.
 */
#ifndef ENGINE_KVM_KVM_IMPL_H
#define ENGINE_KVM_KVM_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "engine/engine_impl.h"

/* Where KVM keeps what Intel hardware needs for real mode: not RAM, reserved in the E820 map. */
#define KVM_IDENTITY_MAP_GPA 0xfeffc000u
#define KVM_TSS_GPA	     0xfeffd000u

#define KVM_MSRS_MAX 512 /* twice what any KVM lists */

struct kvm_engine {
	struct engine base;
	int fd;
	size_t run_size; /* bytes of a vCPU's shared page */
	unsigned max_vcpus, max_vcpu_id;
	bool has_xcrs, has_read_only_memory, has_x2apic_api, has_debug, has_payload;
	bool has_doorbells, has_doorbells_of_any_size, has_calls;
	uint32_t clock_flags; /* those KVM_SET_CLOCK takes */
	/* MSRs that make up a vCPU's state, without the clock's own (see kvm_vcpu_reset()). */
	unsigned nr_msrs;
	uint32_t msrs[KVM_MSRS_MAX];
};

/* An eventfd whose signals KVM sends as a message: the route of one GSI behind the IOAPIC's pins. */
struct kvm_call {
	int fd; /* -1: free */
	struct engine_message message;
};

/* See routes.c. lock guards all of it and its installation; order: innermost. */
struct kvm_routes {
	pthread_mutex_t lock;
	struct engine_message pins[IOAPIC_NR_PINS];
	struct kvm_call *calls;
	unsigned nr_calls;
	struct kvm_irq_routing *installed; /* NULL: none yet */
};

struct kvm_vm {
	struct engine_vm base;
	struct kvm_engine *engine;
	struct mem *mem;
	int fd;
	struct kvm_routes routes;
	atomic_bool was_tsc_set; /* a vCPU's TSC by the caller; see kvm_vcpu_set_msrs() */
};

static inline struct kvm_vm *kvm_vm_of(struct engine_vm *vm)
{
	return container_of(vm, struct kvm_vm, base);
}

/* A vCPU's state after creation, to go back to on reset. */
struct kvm_initial_state;

struct kvm_vcpu {
	struct engine_vcpu base;
	struct kvm_vm *vm;
	int fd;
	struct kvm_run *run;
	uint32_t tsc_khz;
	struct kvm_initial_state *initial;

	_Atomic pid_t runner;	     /* thread inside engine_vcpu_run(), else 0 */
	_Atomic bool is_nmi_pending; /* asked for while it ran */
};

/* ioctl() with negative errno, repeated when a signal came between; not for KVM_RUN. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* As kvm_ioctl(), for requests whose argument is a number. */
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

/* 0 or the capability's positive value. */
int kvm_check(int fd, unsigned cap);

/* The signal that takes a vCPU thread out of KVM_RUN; its handler does nothing. */
int kvm_kick_signal(void);
int kvm_install_kick_signal(void);

/* See probe.c. Returns 0 when KVM runs code at hardware speed, else -ENODEV with err filled. */
int kvm_probe(int kvm_fd, size_t run_size, const char *device, struct error *err);

/* ---- routes.c ---- */

void kvm_routes_init(struct kvm_routes *r);
void kvm_routes_fini(struct kvm_routes *r);
int kvm_vm_set_ioapic_routes(struct engine_vm *vm,
			     const struct engine_route routes[IOAPIC_NR_PINS]);
int kvm_vm_set_call(struct engine_vm *vm, int eventfd, const struct engine_message *message);

int kvm_filter_cpuid(struct engine *e, struct cpuid_table *table, struct error *err);
int kvm_set_cpuid(int vcpu_fd, const struct cpuid_table *table);

struct engine_vcpu *kvm_vcpu_new(struct engine_vm *vm, unsigned id, const struct cpuid_table *cpuid,
				 struct error *err);
void kvm_vcpu_free(struct engine_vcpu *v);
int kvm_vcpu_reset(struct engine_vcpu *v);
struct kvm_run *kvm_vcpu_shared(struct engine_vcpu *v);
int kvm_vcpu_run(struct engine_vcpu *v);
int kvm_vcpu_settle(struct engine_vcpu *v);
void kvm_vcpu_kick(struct engine_vcpu *v);
int kvm_vcpu_interrupt(struct engine_vcpu *v, unsigned vector);
int kvm_vcpu_nmi(struct engine_vcpu *v);

int kvm_vcpu_get_regs(struct engine_vcpu *v, struct kvm_regs *regs);
int kvm_vcpu_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs);
int kvm_vcpu_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs);
int kvm_vcpu_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs);
int kvm_vcpu_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave);
int kvm_vcpu_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave);
int kvm_vcpu_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs);
int kvm_vcpu_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs);
int kvm_vcpu_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr);
int kvm_vcpu_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr);
int kvm_vcpu_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev);
int kvm_vcpu_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev);
int kvm_vcpu_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic);
int kvm_vcpu_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic);
int kvm_vcpu_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp);
int kvm_vcpu_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp);
int kvm_vcpu_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr);
int kvm_vcpu_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr);
int kvm_vcpu_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg);
int kvm_vcpu_translate(struct engine_vcpu *v, struct kvm_translation *tr);
uint32_t kvm_vcpu_tsc_khz(struct engine_vcpu *v);

#endif
