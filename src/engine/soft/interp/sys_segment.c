/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that move segment registers and their bases: MOV, POP, LxS, SWAPGS, RDFSBASE
 * and its kin. The checks of loading are in system/segment.c.
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"

void x_mov_E_S(struct cpu *c, const struct insn *i)
{
	unsigned seg = i->reg / 8;

	if (seg > SEG_GS)
		cpu_fault(c, i, VEC_UD);
	store_selector(c, i, c->seg[seg].selector);
	NEXT(c, i);
}

/* After SS is loaded one more instruction runs before any interrupt: the one that loads SP. */
static void shadow_if_ss(struct cpu *c, enum x86_seg seg)
{
	if (seg == SEG_SS)
		c->in_shadow = c->in_ss_shadow = true;
}

void x_mov_S_E(struct cpu *c, const struct insn *i)
{
	unsigned seg = i->reg / 8;

	if (seg > SEG_GS || seg == SEG_CS)
		cpu_fault(c, i, VEC_UD);
	segment_load(c, i, seg, load_selector(c, i));
	shadow_if_ss(c, seg);
	END(c, i);
}

static void pop_segment(struct cpu *c, const struct insn *i, enum x86_seg seg)
{
	unsigned size = PFX_SIZE(i->prefix);
	/* Intel's CPUs read no more than the selector. */
	uint16_t selector = (uint16_t)stack_peek(c, i, cpu_is_amd(c) ? size : 2, 0);
	uint64_t rsp = c->gpr[RSP], popped;

	/* RSP moves by the size of the old stack, yet not at all when the load faults. */
	stack_adjust(c, size);
	popped = c->gpr[RSP];
	c->gpr[RSP] = rsp;
	segment_load(c, i, seg, selector);
	c->gpr[RSP] = popped;
	shadow_if_ss(c, seg);
}

#define DEFINE_POP(name, seg)                                  \
	void x_pop_##name(struct cpu *c, const struct insn *i) \
	{                                                      \
		pop_segment(c, i, seg);                        \
		END(c, i);                                     \
	}
DEFINE_POP(es, SEG_ES)
DEFINE_POP(ss, SEG_SS)
DEFINE_POP(ds, SEG_DS)
DEFINE_POP(fs, SEG_FS)
DEFINE_POP(gs, SEG_GS)

static void load_far(struct cpu *c, const struct insn *i, enum x86_seg seg)
{
	unsigned size = PFX_SIZE(i->prefix);
	uint64_t offset;

	segment_load(c, i, seg, load_far_pointer(c, i, &offset));
	set_sized(c, i->reg, size, offset);
	shadow_if_ss(c, seg);
}

#define DEFINE_LOAD_FAR(name, seg)                         \
	void x_##name(struct cpu *c, const struct insn *i) \
	{                                                  \
		load_far(c, i, seg);                       \
		END(c, i);                                 \
	}
DEFINE_LOAD_FAR(les, SEG_ES)
DEFINE_LOAD_FAR(lds, SEG_DS)
DEFINE_LOAD_FAR(lss, SEG_SS)
DEFINE_LOAD_FAR(lfs, SEG_FS)
DEFINE_LOAD_FAR(lgs, SEG_GS)

static void require_fsgsbase(struct cpu *c, const struct insn *i)
{
	if (!(c->cr4 & CR4_FSGSBASE))
		cpu_fault(c, i, VEC_UD);
}

static void read_base(struct cpu *c, const struct insn *i, enum x86_seg seg)
{
	require_fsgsbase(c, i);
	set_sized(c, i->rm, i->prefix & PFX_W ? 8 : 4, c->seg[seg].base);
}

static void write_base(struct cpu *c, const struct insn *i, enum x86_seg seg)
{
	uint64_t base = i->prefix & PFX_W ? *reg64(c, i->rm) : get32(c, i->rm);

	require_fsgsbase(c, i);
	if (!is_canonical(base))
		cpu_fault_code(c, i, VEC_GP, 0);
	c->seg[seg].base = base;
}

void x_rdfsbase(struct cpu *c, const struct insn *i)
{
	read_base(c, i, SEG_FS);
	NEXT(c, i);
}

void x_rdgsbase(struct cpu *c, const struct insn *i)
{
	read_base(c, i, SEG_GS);
	NEXT(c, i);
}

void x_wrfsbase(struct cpu *c, const struct insn *i)
{
	write_base(c, i, SEG_FS);
	NEXT(c, i);
}

void x_wrgsbase(struct cpu *c, const struct insn *i)
{
	write_base(c, i, SEG_GS);
	NEXT(c, i);
}

void x_swapgs(struct cpu *c, const struct insn *i)
{
	uint64_t base = c->seg[SEG_GS].base;

	require_cpl0(c, i);
	c->seg[SEG_GS].base = c->kernel_gs_base;
	c->kernel_gs_base = base;
	NEXT(c, i);
}
