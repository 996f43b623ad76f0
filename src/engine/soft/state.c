/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a software vCPU in KVM's structs. vCPU thread, or any thread while it is stopped.
 */
#include <string.h>

#include "engine/soft/fpu.h"
#include "engine/soft/mmio.h"
#include "engine/soft/mmu.h"
#include "engine/soft/system.h"
#include "engine/soft/vcpu.h"

/* The CPU with every signal it has been sent taken into its state. */
static struct cpu *settled(struct engine_vcpu *v)
{
	struct cpu *c = soft_cpu_of(v);

	soft_vcpu_settle(c);
	return c;
}

/* ---- general registers ---- */

/* The fields of kvm_regs in the order of the encoding. */
#define FOR_EACH_GPR(DO) \
	DO(RAX, rax)     \
	DO(RCX, rcx)     \
	DO(RDX, rdx)     \
	DO(RBX, rbx)     \
	DO(RSP, rsp)     \
	DO(RBP, rbp)     \
	DO(RSI, rsi)     \
	DO(RDI, rdi)     \
	DO(R8, r8)       \
	DO(R9, r9)       \
	DO(R10, r10)     \
	DO(R11, r11)     \
	DO(R12, r12)     \
	DO(R13, r13)     \
	DO(R14, r14)     \
	DO(R15, r15)

int soft_get_regs(struct engine_vcpu *v, struct kvm_regs *regs)
{
	struct cpu *c = settled(v);

#define GET(number, field) regs->field = c->gpr[number];
	FOR_EACH_GPR(GET)
#undef GET
	regs->rip = c->rip;
	regs->rflags = c->rflags;
	return 0;
}

int soft_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs)
{
	struct cpu *c = soft_cpu_of(v);

#define SET(number, field) c->gpr[number] = regs->field;
	FOR_EACH_GPR(SET)
#undef SET
	/* Another instruction must not find what the one in progress had done. */
	if (c->rip != regs->rip)
		mmio_forget(c);
	c->rip = regs->rip;
	c->rflags = regs->rflags | FLAG_FIXED;
	c->exception.is_pending = false;
	cpu_update_mode(c);
	return 0;
}

/* ---- system registers ---- */

static void get_segment(const struct segment *s, struct kvm_segment *k)
{
	*k = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attr & SEG_ATTR_TYPE,
		.s = !!(s->attr & SEG_ATTR_S),
		.dpl = (s->attr & SEG_ATTR_DPL) >> 5,
		.present = !!(s->attr & SEG_ATTR_P),
		.avl = !!(s->attr & SEG_ATTR_AVL),
		.l = !!(s->attr & SEG_ATTR_L),
		.db = !!(s->attr & SEG_ATTR_DB),
		.g = !!(s->attr & SEG_ATTR_G),
		.unusable = !!(s->attr & SEG_ATTR_UNUSABLE),
	};
}

static void set_segment(struct segment *s, const struct kvm_segment *k)
{
	*s = (struct segment){
		.base = k->base,
		.limit = k->limit,
		.selector = k->selector,
		.attr = (uint16_t)((k->type & 15) | (k->s ? SEG_ATTR_S : 0) | (k->dpl & 3) << 5 |
				   (k->present ? SEG_ATTR_P : 0) | (k->avl ? SEG_ATTR_AVL : 0) |
				   (k->l ? SEG_ATTR_L : 0) | (k->db ? SEG_ATTR_DB : 0) |
				   (k->g ? SEG_ATTR_G : 0) |
				   (k->unusable || !k->present ? SEG_ATTR_UNUSABLE : 0)),
	};
}

#define FOR_EACH_SEGMENT(DO) \
	DO(SEG_ES, es)       \
	DO(SEG_CS, cs)       \
	DO(SEG_SS, ss)       \
	DO(SEG_DS, ds)       \
	DO(SEG_FS, fs)       \
	DO(SEG_GS, gs)       \
	DO(SEG_LDTR, ldt)    \
	DO(SEG_TR, tr)

int soft_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs)
{
	struct cpu *c = settled(v);

	memset(sregs, 0, sizeof(*sregs));
#define GET(number, field) get_segment(&c->seg[number], &sregs->field);
	FOR_EACH_SEGMENT(GET)
#undef GET
	/* The level of privilege travels in SS. */
	sregs->ss.dpl = c->cpl;
	sregs->gdt.base = c->gdtr.base;
	sregs->gdt.limit = c->gdtr.limit;
	sregs->idt.base = c->idtr.base;
	sregs->idt.limit = c->idtr.limit;
	sregs->cr0 = c->cr0;
	sregs->cr2 = c->cr2;
	sregs->cr3 = c->cr3;
	sregs->cr4 = c->cr4;
	sregs->cr8 = lapic_cr8(c->lapic);
	sregs->efer = c->efer;
	sregs->apic_base = lapic_base(c->lapic);
	if (c->interrupt.is_pending)
		sregs->interrupt_bitmap[c->interrupt.vector / 64] = BIT64(c->interrupt.vector % 64);
	return 0;
}

static bool sregs_are_consistent(const struct kvm_sregs *s)
{
	bool is_paging = s->cr0 & CR0_PG;
	bool is_long = s->efer & EFER_LMA;

	if (s->cr8 > 15)
		return false;
	if (is_long != (is_paging && s->efer & EFER_LME))
		return false;
	if (is_long)
		return s->cr4 & CR4_PAE;
	return !(s->cr4 & CR4_PCIDE) && !(s->cs.l && is_paging && s->efer & EFER_LME);
}

static bool set_control_registers(struct cpu *c, const struct kvm_sregs *s)
{
	return efer_write(c, s->efer, true) && cr4_write(c, s->cr4, true) &&
	       cr0_write(c, s->cr0, true) && cr3_write(c, s->cr3, true);
}

static unsigned cpl_of(const struct cpu *c)
{
	if (!(c->cr0 & CR0_PE))
		return 0;
	if (c->rflags & FLAG_VM)
		return 3;
	return (c->seg[SEG_SS].attr & SEG_ATTR_DPL) >> 5;
}

static void set_interrupt_bitmap(struct cpu *c, const struct kvm_sregs *s)
{
	for (unsigned n = 0; n < ARRAY_SIZE(s->interrupt_bitmap); n++) {
		if (!s->interrupt_bitmap[n])
			continue;
		c->interrupt = (struct cpu_event){
			.is_pending = true,
			.vector = (uint8_t)(n * 64 +
					    (unsigned)__builtin_ctzll(s->interrupt_bitmap[n]))};
		return;
	}
}

int soft_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs)
{
	struct cpu *c = soft_cpu_of(v);
	uint64_t old[] = {c->efer, c->cr4, c->cr0, c->cr3};

	if (!sregs_are_consistent(sregs))
		return -EINVAL;
	if (!set_control_registers(c, sregs) || !lapic_set_base(c->lapic, sregs->apic_base, true)) {
		c->efer = old[0];
		c->cr4 = old[1];
		c->cr0 = old[2];
		c->cr3 = old[3];
		cpu_update_mode(c);
		mmu_flush_all(c);
		return -EINVAL;
	}
#define SET(number, field) set_segment(&c->seg[number], &sregs->field);
	FOR_EACH_SEGMENT(SET)
#undef SET
	c->gdtr.base = sregs->gdt.base;
	c->gdtr.limit = sregs->gdt.limit;
	c->idtr.base = sregs->idt.base;
	c->idtr.limit = sregs->idt.limit;
	c->cr2 = sregs->cr2;
	lapic_set_cr8(c->lapic, (unsigned)sregs->cr8);
	c->cpl = (uint8_t)cpl_of(c);
	set_interrupt_bitmap(c, sregs);
	cpu_update_mode(c);
	mmu_flush_all(c);
	return 0;
}

/* ---- floating point and vectors ---- */

int soft_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave)
{
	fpu_get_xsave(soft_cpu_of(v), xsave);
	return 0;
}

int soft_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave)
{
	return fpu_set_xsave(soft_cpu_of(v), xsave);
}

int soft_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs)
{
	const struct cpu *c = soft_cpu_of(v);

	memset(xcrs, 0, sizeof(*xcrs));
	if (!cpu_has(c, FEAT_XSAVE))
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].value = c->xcr0;
	return 0;
}

int soft_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs)
{
	struct cpu *c = soft_cpu_of(v);

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (unsigned n = 0; n < xcrs->nr_xcrs; n++) {
		/* Without XSAVE nothing can be written, and XCR0 stays as it is after reset. */
		if (xcrs->xcrs[n].xcr || xcrs->xcrs[n].value == c->xcr0)
			continue;
		if (!xcr0_write(c, xcrs->xcrs[n].value))
			return -EINVAL;
	}
	return 0;
}

/* ---- debug registers ---- */

int soft_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr)
{
	struct cpu *c = settled(v);

	memset(dr, 0, sizeof(*dr));
	memcpy(dr->db, c->dr, sizeof(dr->db));
	dr->dr6 = c->dr6;
	dr->dr7 = c->dr7;
	return 0;
}

int soft_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr)
{
	struct cpu *c = soft_cpu_of(v);

	if (dr->flags || dr->dr6 >> 32 || dr->dr7 >> 32)
		return -EINVAL;
	memcpy(c->dr, dr->db, sizeof(c->dr));
	c->dr6 = dr->dr6;
	debug_write_dr7(c, dr->dr7);
	return 0;
}

int soft_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg)
{
	struct cpu *c = soft_cpu_of(v);
	const uint32_t known = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |
			       KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP;

	if (dbg->control & ~known)
		return -EINVAL;
	c->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	for (unsigned n = 0; n < 8; n++)
		c->guest_debug_dr[n] = dbg->arch.debugreg[n];
	cpu_update_mode(c);
	return 0;
}

/* ---- events ---- */

int soft_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev)
{
	struct cpu *c = settled(v);

	memset(ev, 0, sizeof(*ev));
	ev->exception.injected = c->exception.is_pending;
	ev->exception.nr = c->exception.vector;
	ev->exception.has_error_code = c->exception.has_error;
	ev->exception.error_code = c->exception.error;
	ev->exception_has_payload = c->exception.is_pending;
	ev->exception_payload = c->exception.payload;
	ev->interrupt.injected = c->interrupt.is_pending;
	ev->interrupt.nr = c->interrupt.vector;
	if (c->in_shadow)
		ev->interrupt.shadow =
			c->in_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : KVM_X86_SHADOW_INT_STI;
	ev->nmi.pending = c->nmi_pending;
	ev->nmi.masked = c->nmi_masked;
	ev->sipi_vector = atomic_load_explicit(&c->sipi_vector, memory_order_relaxed);
	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD;
	return 0;
}

/* Without a payload the effects on CR2 and DR6 have been made already, so they are read from there.
 */
static uint64_t payload_of(const struct cpu *c, const struct kvm_vcpu_events *ev)
{
	if (ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD && ev->exception_has_payload)
		return ev->exception_payload;
	if (ev->exception.nr == VEC_PF)
		return c->cr2;
	return ev->exception.nr == VEC_DB ? c->dr6 & 0xe00f : 0;
}

int soft_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev)
{
	struct cpu *c = soft_cpu_of(v);
	bool has_exception = ev->exception.injected || ev->exception.pending;

	if (has_exception && (ev->exception.nr > 31 || ev->exception.nr == VEC_NMI))
		return -EINVAL;
	c->exception = (struct cpu_event){
		.is_pending = has_exception,
		.vector = ev->exception.nr,
		.has_error = ev->exception.has_error_code,
		.error = ev->exception.error_code,
		.payload = payload_of(c, ev),
	};
	c->interrupt = (struct cpu_event){
		.is_pending = ev->interrupt.injected,
		.vector = ev->interrupt.nr,
		.is_soft = ev->interrupt.soft,
	};
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		c->in_shadow = ev->interrupt.shadow;
		c->in_ss_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	}
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		c->nmi_pending = min(ev->nmi.pending, (uint8_t)2);
	if (ev->nmi.injected && !c->nmi_pending)
		c->nmi_pending = 1;
	c->nmi_masked = ev->nmi.masked;
	if (ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR)
		atomic_store_explicit(&c->sipi_vector, (uint8_t)ev->sipi_vector,
				      memory_order_relaxed);
	return 0;
}

/* ---- LAPIC, state of the processor, MSRs ---- */

int soft_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic)
{
	lapic_get_state(settled(v)->lapic, lapic);
	return 0;
}

int soft_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic)
{
	return lapic_set_state(soft_cpu_of(v)->lapic, lapic);
}

int soft_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp)
{
	struct cpu *c = settled(v);

	mp->mp_state = c->is_halted ? KVM_MP_STATE_HALTED : c->mp_state;
	return 0;
}

int soft_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp)
{
	struct cpu *c = soft_cpu_of(v);

	switch (mp->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
	case KVM_MP_STATE_HALTED:
		c->mp_state = KVM_MP_STATE_RUNNABLE;
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		c->mp_state = mp->mp_state;
		break;
	case KVM_MP_STATE_SIPI_RECEIVED:
		c->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		cpu_request(c, REQ_SIPI);
		break;
	default:
		return -EINVAL;
	}
	c->is_halted = mp->mp_state == KVM_MP_STATE_HALTED;
	return 0;
}

int soft_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr)
{
	struct cpu *c = soft_cpu_of(v);
	unsigned n = 0;

	while (n < nr) {
		uint64_t value;

		if (!msr_read(c, entries[n].index, &value, true))
			break;
		entries[n++].data = value;
	}
	return (int)n;
}

int soft_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr)
{
	struct cpu *c = soft_cpu_of(v);
	unsigned n = 0;

	while (n < nr && msr_write(c, entries[n].index, entries[n].data, true))
		n++;
	return (int)n;
}

int soft_translate(struct engine_vcpu *v, struct kvm_translation *tr)
{
	uint64_t gpa;

	tr->valid = mmu_translate(soft_cpu_of(v), tr->linear_address, &gpa);
	tr->physical_address = tr->valid ? gpa : UINT64_MAX;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}
