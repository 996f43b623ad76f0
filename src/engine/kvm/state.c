/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's state in and out: each call is KVM's own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/kvm/kvm_impl.h"
#include "x86/regs.h"

static int vcpu_ioctl(struct engine_vcpu *v, unsigned long request, const void *arg)
{
	/* The setters only read; KVM's interface has no const. */
	return kvm_ioctl(container_of(v, struct kvm_vcpu, base)->fd, request, (void *)arg);
}

int kvm_vcpu_get_regs(struct engine_vcpu *v, struct kvm_regs *regs)
{
	return vcpu_ioctl(v, KVM_GET_REGS, regs);
}

int kvm_vcpu_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs)
{
	return vcpu_ioctl(v, KVM_SET_REGS, regs);
}

int kvm_vcpu_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs)
{
	return vcpu_ioctl(v, KVM_GET_SREGS, sregs);
}

int kvm_vcpu_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs)
{
	return vcpu_ioctl(v, KVM_SET_SREGS, sregs);
}

/*
 * The 4096 bytes always suffice: components that need more (AMX) have to be asked for by the
 * process, which is not done.
 */
int kvm_vcpu_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave)
{
	return vcpu_ioctl(v, KVM_GET_XSAVE, xsave);
}

int kvm_vcpu_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave)
{
	return vcpu_ioctl(v, KVM_SET_XSAVE, xsave);
}

static bool has_xcrs(struct engine_vcpu *v)
{
	return container_of(v, struct kvm_vcpu, base)->vm->engine->has_xcrs;
}

/* A host without XSAVE has guests whose XCR0 is what it is after reset, for good. */
int kvm_vcpu_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs)
{
	if (has_xcrs(v))
		return vcpu_ioctl(v, KVM_GET_XCRS, xcrs);
	*xcrs = (struct kvm_xcrs){.nr_xcrs = 1, .xcrs[0].value = XCR0_X87};
	return 0;
}

int kvm_vcpu_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs)
{
	if (has_xcrs(v))
		return vcpu_ioctl(v, KVM_SET_XCRS, xcrs);
	for (unsigned i = 0; i < min(xcrs->nr_xcrs, (uint32_t)KVM_MAX_XCRS); i++)
		if (xcrs->xcrs[i].xcr || xcrs->xcrs[i].value != XCR0_X87)
			return -EINVAL;
	return 0;
}

int kvm_vcpu_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr)
{
	return vcpu_ioctl(v, KVM_GET_DEBUGREGS, dr);
}

int kvm_vcpu_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr)
{
	return vcpu_ioctl(v, KVM_SET_DEBUGREGS, dr);
}

int kvm_vcpu_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev)
{
	return vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, ev);
}

/*
 * A KVM without exception payloads tells no pending exception from an injected one, and cannot take
 * one whose CR2 or DR6 is still to be written.
 */
int kvm_vcpu_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev)
{
	struct kvm_vcpu_events copy = *ev;

	if (!container_of(v, struct kvm_vcpu, base)->vm->engine->has_payload) {
		if ((copy.flags & KVM_VCPUEVENT_VALID_PAYLOAD) && copy.exception_has_payload)
			return -EINVAL;
		if (copy.flags & KVM_VCPUEVENT_VALID_PAYLOAD)
			copy.exception.injected |= copy.exception.pending;
		copy.flags &= ~(uint32_t)KVM_VCPUEVENT_VALID_PAYLOAD;
	}
	return vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &copy);
}

int kvm_vcpu_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic)
{
	return vcpu_ioctl(v, KVM_GET_LAPIC, lapic);
}

int kvm_vcpu_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic)
{
	return vcpu_ioctl(v, KVM_SET_LAPIC, lapic);
}

int kvm_vcpu_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp)
{
	return vcpu_ioctl(v, KVM_GET_MP_STATE, mp);
}

int kvm_vcpu_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp)
{
	return vcpu_ioctl(v, KVM_SET_MP_STATE, mp);
}

static struct kvm_msrs *pack_msrs(const struct kvm_msr_entry *entries, unsigned nr)
{
	struct kvm_msrs *msrs = mem_alloc_zero(sizeof(*msrs) + nr * sizeof(entries[0]));

	msrs->nmsrs = nr;
	memcpy(msrs->entries, entries, nr * sizeof(entries[0]));
	return msrs;
}

int kvm_vcpu_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr)
{
	struct kvm_msrs *msrs = pack_msrs(entries, nr);
	int done = vcpu_ioctl(v, KVM_GET_MSRS, msrs);

	if (done > 0)
		memcpy(entries, msrs->entries, done * sizeof(entries[0]));
	free(msrs);
	return done;
}

/*
 * KVM takes a TSC that is written within a second of what it expects for an attempt to bring the
 * vCPUs together, and gives this one the offset of the last one written. That serves the vCPUs after
 * the first. The first, though, some KVMs compare with the 0 the vCPU was made with: a guest in its
 * first second would get that 0 instead of its TSC, and wait for a deadline that never comes. So
 * before the first a value is written that is near to neither.
 */
static void forget_tsc_of_creation(struct engine_vcpu *v, uint64_t tsc)
{
	struct kvm_vm *vm = container_of(v, struct kvm_vcpu, base)->vm;
	struct kvm_msr_entry far = {.index = MSR_IA32_TSC, .data = tsc + BIT64(62)};

	if (atomic_exchange(&vm->was_tsc_set, true))
		return;
	struct kvm_msrs *msrs = pack_msrs(&far, 1);
	vcpu_ioctl(v, KVM_SET_MSRS, msrs);
	free(msrs);
}

int kvm_vcpu_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (entries[i].index == MSR_IA32_TSC)
			forget_tsc_of_creation(v, entries[i].data);
	struct kvm_msrs *msrs = pack_msrs(entries, nr);
	int done = vcpu_ioctl(v, KVM_SET_MSRS, msrs);

	free(msrs);
	return done;
}

int kvm_vcpu_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg)
{
	if (!container_of(v, struct kvm_vcpu, base)->vm->engine->has_debug)
		return -ENOTSUP;
	return vcpu_ioctl(v, KVM_SET_GUEST_DEBUG, dbg);
}

int kvm_vcpu_translate(struct engine_vcpu *v, struct kvm_translation *tr)
{
	return vcpu_ioctl(v, KVM_TRANSLATE, tr);
}

uint32_t kvm_vcpu_tsc_khz(struct engine_vcpu *v)
{
	return container_of(v, struct kvm_vcpu, base)->tsc_khz;
}
