/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IRET in all its forms (SDM vol. 2, IRET): real mode, virtual-8086 mode with and without VME,
 * protected mode to the same and to an outer level, to virtual-8086 mode, back to the calling task,
 * and 64-bit mode, where SS:RSP is always popped. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/cache.h"
#include "engine/soft/mmu.h"

#define FLAGS_USER (FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT)

/*
 * RF is only loaded while something looks at it: else it would stay set, since nothing clears it
 * after the next instruction outside single steps.
 */
static uint64_t resume_flag(const struct cpu *c)
{
	return c->mode & MODE_STEP ? FLAG_RF : 0;
}

/* The flags an IRET at c's privilege may change, by operand size. */
static uint64_t writable_flags(const struct cpu *c, unsigned size)
{
	unsigned iopl = (unsigned)(c->rflags & FLAG_IOPL) >> 12;
	uint64_t mask = FLAGS_USER;

	if (c->cpl <= iopl)
		mask |= FLAG_IF;
	if (c->cpl == 0)
		mask |= FLAG_IOPL;
	if (size > 2) {
		mask |= resume_flag(c) | FLAG_AC | FLAG_ID;
		if (c->cpl == 0)
			mask |= FLAG_VIF | FLAG_VIP;
	}
	return mask;
}

static void iret_real(struct cpu *c, const struct insn *i, unsigned size)
{
	bool is_vm86 = c->mode & MODE_VM86;
	uint64_t mask = FLAGS_USER | FLAG_IF | FLAG_IOPL;
	uint64_t rip, cs, flags;
	struct frame f;

	frame_current(c, &f);
	if (is_vm86)
		mask &= ~(uint64_t)FLAG_IOPL;
	if (size > 2)
		mask |= resume_flag(c) | FLAG_AC | FLAG_ID;
	if (is_vm86 && (c->rflags & FLAG_IOPL) != FLAG_IOPL && (size > 2 || !(c->cr4 & CR4_VME)))
		cpu_fault_code(c, i, VEC_GP, 0);
	rip = frame_pop(c, i, &f, size);
	cs = frame_pop(c, i, &f, size);
	flags = frame_pop(c, i, &f, size);
	if (is_vm86 && (c->rflags & FLAG_IOPL) != FLAG_IOPL) {
		if (flags & FLAG_TF || (flags & FLAG_IF && c->rflags & FLAG_VIP))
			cpu_fault_code(c, i, VEC_GP, 0);
		mask = (mask & ~(uint64_t)FLAG_IF) | FLAG_VIF;
		flags = (flags & ~(uint64_t)FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
	}
	if (rip > c->seg[SEG_CS].limit)
		cpu_fault_code(c, i, VEC_GP, 0);
	segment_load_real(c, SEG_CS, (uint16_t)cs);
	c->rip = rip;
	frame_commit(c, &f);
	cpu_set_rflags(c, (c->rflags & ~mask) | (flags & mask));
	cpu_update_mode(c);
}

static void iret_to_vm86(struct cpu *c, const struct insn *i, struct frame *f, uint64_t rip,
			 uint16_t cs, uint64_t flags)
{
	static const uint8_t order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	const uint64_t mask = FLAGS_USER | FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_AC | FLAG_VIF |
			      FLAG_VIP | FLAG_ID | resume_flag(c);
	uint16_t selectors[ARRAY_SIZE(order)];
	uint64_t sp = frame_pop(c, i, f, 4);

	for (unsigned k = 0; k < ARRAY_SIZE(order); k++)
		selectors[k] = (uint16_t)frame_pop(c, i, f, 4);
	c->rflags = (flags & mask) | FLAG_FIXED;
	c->cpl = 3;
	segment_load_real(c, SEG_CS, cs);
	for (unsigned k = 0; k < ARRAY_SIZE(order); k++)
		segment_load_real(c, order[k], selectors[k]);
	c->gpr[RSP] = sp;
	c->rip = rip & 0xffff;
	cpu_update_mode(c);
}

static void iret_task(struct cpu *c, const struct insn *i)
{
	struct task_switch t = {.cause = TASK_IRET, .next_rip = insn_next_rip(c, i)};

	if (c->mode & MODE_LONG)
		cpu_fault_code(c, i, VEC_GP, 0);
	t.selector = (uint16_t)mmu_load_system(c, i, (uint32_t)c->seg[SEG_TR].base, 2);
	task_switch(c, i, &t);
}

static void iret_protected(struct cpu *c, const struct insn *i, unsigned size)
{
	struct far_return_state r = {0};
	uint64_t flags, mask;
	struct frame f;

	frame_current(c, &f);
	r.rip = frame_pop(c, i, &f, size);
	r.cs = (uint16_t)frame_pop(c, i, &f, size);
	flags = frame_pop(c, i, &f, size);
	if (size == 4 && flags & FLAG_VM && c->cpl == 0 && !(c->mode & MODE_LONG)) {
		iret_to_vm86(c, i, &f, r.rip, r.cs, flags);
		return;
	}
	return_check_code(c, i, r.cs, &r.rip, &r.cs_desc);
	if (cpu_in_64bit(c) || (r.cs & 3) != c->cpl) {
		r.has_stack = true;
		r.sp = frame_pop(c, i, &f, size);
		r.ss = (uint16_t)frame_pop(c, i, &f, size);
		r.ss_desc = return_check_stack(c, i, r.ss, r.cs_desc, r.cs & 3);
	} else {
		r.sp = f.sp;
	}
	mask = writable_flags(c, size);
	return_commit(c, i, &r);
	cpu_set_rflags(c, (c->rflags & ~mask) | (flags & mask));
}

void interrupt_return(struct cpu *c, const struct insn *i, unsigned size)
{
	if (cpu_is_real_or_vm86(c))
		iret_real(c, i, size);
	else if (c->rflags & FLAG_NT)
		iret_task(c, i);
	else
		iret_protected(c, i, size);
	c->nmi_masked = false;
	block_cache_verify(c);
}
