/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/state.h"

#include <x86intrin.h>

#include "x86/regs.h"

/* The TSC first: deadlines and the paravirtual clock count on it. The deadline is set apart, after
 * the LAPIC. */
static const uint32_t msr_list[] = {
	MSR_IA32_TSC,
	MSR_IA32_TSC_ADJUST,
	MSR_IA32_ARCH_CAPABILITIES,
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SFMASK,
	MSR_KERNEL_GS_BASE,
	MSR_TSC_AUX,
	MSR_IA32_PAT,
	MSR_IA32_MISC_ENABLE,
	MSR_IA32_SPEC_CTRL,
	MSR_IA32_MCG_STATUS,
	MSR_IA32_XSS,
	MSR_IA32_MTRR_DEF_TYPE,
	0x250,
	0x258,
	0x259,
	0x268,
	0x269,
	0x26a,
	0x26b,
	0x26c,
	0x26d,
	0x26e,
	0x26f,
	0x200,
	0x201,
	0x202,
	0x203,
	0x204,
	0x205,
	0x206,
	0x207,
	0x208,
	0x209,
	0x20a,
	0x20b,
	0x20c,
	0x20d,
	0x20e,
	0x20f,
	MSR_KVM_WALL_CLOCK,
	MSR_KVM_SYSTEM_TIME,
	MSR_KVM_WALL_CLOCK_NEW,
	MSR_KVM_SYSTEM_TIME_NEW,
	MSR_IA32_TSC_DEADLINE,
};

#define GET(part)                                                           \
	do {                                                                \
		int _rc = engine_vcpu_get_##part(v, &s->part);              \
		if (_rc)                                                    \
			return error_set_errno(err, _rc, "reading " #part); \
	} while (0)

int vcpu_state_get(struct engine_vcpu *v, struct vcpu_state *s, struct error *err)
{
	GET(mp_state);
	GET(regs);
	GET(sregs);
	GET(xcrs);
	GET(xsave);
	GET(debugregs);
	GET(lapic);
	GET(events);
	s->nr_msrs = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(msr_list); i++) {
		struct kvm_msr_entry e = {.index = msr_list[i]};

		if (e.index == MSR_IA32_TSC)
			s->host_tsc = __rdtsc();
		if (engine_vcpu_get_msrs(v, &e, 1) == 1)
			s->msrs[s->nr_msrs++] = e;
	}
	return 0;
}

/* A wall clock address is a command, and 0 means it was never given. */
static bool is_worth_setting(const struct kvm_msr_entry *e)
{
	return e->data || (e->index != MSR_KVM_WALL_CLOCK && e->index != MSR_KVM_WALL_CLOCK_NEW);
}

static void set_msrs(struct engine_vcpu *v, const struct vcpu_state *s)
{
	for (unsigned i = 0; i < s->nr_msrs; i++) {
		struct kvm_msr_entry e = s->msrs[i];

		if (e.index == MSR_IA32_TSC)
			e.data += __rdtsc() - s->host_tsc;
		if (is_worth_setting(&e))
			engine_vcpu_set_msrs(v, &e, 1);
	}
}

#define SET(part)                                                           \
	do {                                                                \
		int _rc = engine_vcpu_set_##part(v, &s->part);              \
		if (_rc)                                                    \
			return error_set_errno(err, _rc, "setting " #part); \
	} while (0)

int vcpu_state_set(struct engine_vcpu *v, const struct vcpu_state *s, struct error *err)
{
	SET(sregs);
	SET(regs);
	SET(xcrs);
	SET(xsave);
	SET(debugregs);
	SET(lapic);
	set_msrs(v, s);
	SET(mp_state);
	SET(events);
	return 0;
}
