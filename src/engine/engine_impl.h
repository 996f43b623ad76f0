/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an accelerator implements behind engine.h. Each of them embeds the three base structs as the
 * first member of its own and fills ops; engine.c only dispatches. Threads and errors are those of
 * engine.h's function of the same name.
 */
#ifndef ENGINE_ENGINE_IMPL_H
#define ENGINE_ENGINE_IMPL_H

#include "engine/engine.h"

struct engine_ops;

struct engine {
	const struct engine_ops *ops;
};

struct engine_vm {
	const struct engine_ops *ops;
};

struct engine_vcpu {
	const struct engine_ops *ops;
};

struct engine_ops {
	const char *name;
	bool must_hear_of_writes;

	/*
	 * is_forced: the user asked for just this one, so a slow one is taken too. Returns NULL
	 * with err saying why it cannot be used. ops of the result are filled by engine.c, as are
	 * those of VMs and vCPUs.
	 */
	struct engine *(*open)(const struct engine_options *opt, bool is_forced, struct error *err);
	void (*close)(struct engine *e);
	unsigned (*max_vcpus)(const struct engine *e);
	int (*filter_cpuid)(struct engine *e, struct cpuid_table *table, struct error *err);

	struct engine_vm *(*vm_new)(struct engine *e, struct mem *mem, struct error *err);
	void (*vm_free)(struct engine_vm *vm);
	int (*vm_signal_msi)(struct engine_vm *vm, uint64_t addr, uint32_t data);
	int (*vm_set_ioapic_routes)(struct engine_vm *vm,
				    const struct engine_route routes[IOAPIC_NR_PINS]);
	int (*vm_set_doorbell)(struct engine_vm *vm, gpa_t addr, int eventfd,
			       bool on); /* NULL: -ENOTSUP */
	int (*vm_set_call)(struct engine_vm *vm, int eventfd,
			   const struct engine_message *message); /* NULL: -ENOTSUP */
	int (*vm_get_clock)(struct engine_vm *vm, struct kvm_clock_data *clock);
	int (*vm_set_clock)(struct engine_vm *vm, const struct kvm_clock_data *clock);
	int (*vm_log_dirty)(struct engine_vm *vm, unsigned region, bool on);
	int (*vm_get_dirty)(struct engine_vm *vm, unsigned region, uint64_t *bitmap);
	void (*vm_reset)(struct engine_vm *vm); /* NULL: nothing is kept */

	struct engine_vcpu *(*vcpu_new)(struct engine_vm *vm, unsigned id,
					const struct cpuid_table *cpuid, struct error *err);
	void (*vcpu_free)(struct engine_vcpu *v);
	int (*vcpu_reset)(struct engine_vcpu *v);
	struct kvm_run *(*vcpu_shared)(struct engine_vcpu *v);
	int (*vcpu_run)(struct engine_vcpu *v);
	int (*vcpu_settle)(struct engine_vcpu *v); /* NULL: a run with immediate_exit does it */
	void (*vcpu_kick)(struct engine_vcpu *v);
	int (*vcpu_interrupt)(struct engine_vcpu *v, unsigned vector);
	int (*vcpu_nmi)(struct engine_vcpu *v);

	int (*vcpu_get_regs)(struct engine_vcpu *v, struct kvm_regs *regs);
	int (*vcpu_set_regs)(struct engine_vcpu *v, const struct kvm_regs *regs);
	int (*vcpu_get_sregs)(struct engine_vcpu *v, struct kvm_sregs *sregs);
	int (*vcpu_set_sregs)(struct engine_vcpu *v, const struct kvm_sregs *sregs);
	int (*vcpu_get_xsave)(struct engine_vcpu *v, struct kvm_xsave *xsave);
	int (*vcpu_set_xsave)(struct engine_vcpu *v, const struct kvm_xsave *xsave);
	int (*vcpu_get_xcrs)(struct engine_vcpu *v, struct kvm_xcrs *xcrs);
	int (*vcpu_set_xcrs)(struct engine_vcpu *v, const struct kvm_xcrs *xcrs);
	int (*vcpu_get_debugregs)(struct engine_vcpu *v, struct kvm_debugregs *dr);
	int (*vcpu_set_debugregs)(struct engine_vcpu *v, const struct kvm_debugregs *dr);
	int (*vcpu_get_events)(struct engine_vcpu *v, struct kvm_vcpu_events *ev);
	int (*vcpu_set_events)(struct engine_vcpu *v, const struct kvm_vcpu_events *ev);
	int (*vcpu_get_lapic)(struct engine_vcpu *v, struct kvm_lapic_state *lapic);
	int (*vcpu_set_lapic)(struct engine_vcpu *v, const struct kvm_lapic_state *lapic);
	int (*vcpu_get_mp_state)(struct engine_vcpu *v, struct kvm_mp_state *mp);
	int (*vcpu_set_mp_state)(struct engine_vcpu *v, const struct kvm_mp_state *mp);
	int (*vcpu_get_msrs)(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr);
	int (*vcpu_set_msrs)(struct engine_vcpu *v, const struct kvm_msr_entry *entries,
			     unsigned nr);
	int (*vcpu_set_guest_debug)(struct engine_vcpu *v, const struct kvm_guest_debug *dbg);
	int (*vcpu_translate)(struct engine_vcpu *v, struct kvm_translation *tr);
	uint32_t (*vcpu_tsc_khz)(struct engine_vcpu *v);
	int (*vm_stats)(struct engine_vm *vm, struct engine_vm_stats *stats); /* NULL: -ENOTSUP */
	int (*vcpu_stats)(struct engine_vcpu *v, struct engine_vcpu_stats *stats); /* the same */
};

extern const struct engine_ops soft_engine_ops;
extern const struct engine_ops kvm_engine_ops;

#endif
