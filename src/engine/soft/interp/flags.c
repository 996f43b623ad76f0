/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on the flags themselves: single flags, LAHF and SAHF, PUSHF and POPF with the rules
 * of privilege and virtual-8086 mode (SDM vol. 2, POPF; vol. 3, 20.3.3). CLI and STI are system
 * instructions.
 */
#include "engine/soft/interp/int_impl.h"

#define FLAGS_AH (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

void x_lahf(struct cpu *c, const struct insn *i)
{
	set8(c, GPR(RAX) + 1, (uint8_t)(c->rflags & FLAGS_AH) | FLAG_FIXED);
	NEXT(c, i);
}

void x_sahf(struct cpu *c, const struct insn *i)
{
	set_flags(c, get8(c, GPR(RAX) + 1), FLAGS_AH);
	NEXT(c, i);
}

void x_clc(struct cpu *c, const struct insn *i)
{
	c->rflags &= ~(uint64_t)FLAG_CF;
	NEXT(c, i);
}

void x_stc(struct cpu *c, const struct insn *i)
{
	c->rflags |= FLAG_CF;
	NEXT(c, i);
}

void x_cmc(struct cpu *c, const struct insn *i)
{
	c->rflags ^= FLAG_CF;
	NEXT(c, i);
}

void x_cld(struct cpu *c, const struct insn *i)
{
	c->rflags &= ~(uint64_t)FLAG_DF;
	NEXT(c, i);
}

void x_std(struct cpu *c, const struct insn *i)
{
	c->rflags |= FLAG_DF;
	NEXT(c, i);
}

/* Not in the manuals, yet in every CPU: AL becomes 0xff or 0 by CF. */
void x_salc(struct cpu *c, const struct insn *i)
{
	set8(c, GPR(RAX), c->rflags & FLAG_CF ? 0xff : 0);
	NEXT(c, i);
}

static unsigned iopl(const struct cpu *c)
{
	return (c->rflags & FLAG_IOPL) >> 12;
}

/* Virtual-8086 mode without the right to the interrupt flag. */
static bool lacks_iopl(const struct cpu *c)
{
	return (c->mode & MODE_VM86) && iopl(c) < 3;
}

/* Whether the 16-bit forms then work on VIF instead. */
static bool has_virtual_interrupts(const struct cpu *c, unsigned size)
{
	return size == 2 && (c->cr4 & CR4_VME);
}

static void pushf(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t image = c->rflags & ~(uint64_t)(FLAG_VM | FLAG_RF);

	if (lacks_iopl(c)) {
		if (!has_virtual_interrupts(c, size))
			cpu_fault_code(c, i, VEC_GP, 0);
		image |= FLAG_IOPL;
		image &= ~(uint64_t)FLAG_IF;
		if (c->rflags & FLAG_VIF)
			image |= FLAG_IF;
	}
	stack_push(c, i, size, image);
}

static void popf(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t writable = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
	uint64_t kept = c->rflags & ~(uint64_t)FLAG_RF;
	uint64_t image;

	if (lacks_iopl(c) && !has_virtual_interrupts(c, size))
		cpu_fault_code(c, i, VEC_GP, 0);
	image = stack_peek(c, i, size, 0);
	if (lacks_iopl(c)) {
		if ((image & FLAG_TF) || ((image & FLAG_IF) && (c->rflags & FLAG_VIP)))
			cpu_fault_code(c, i, VEC_GP, 0);
		kept &= ~(uint64_t)FLAG_VIF;
		if (image & FLAG_IF)
			kept |= FLAG_VIF;
	} else if (c->cpl <= iopl(c)) {
		writable |= FLAG_IF;
	}
	if (c->cpl == 0)
		writable |= FLAG_IOPL;
	if (size > 2)
		writable |= FLAG_AC | FLAG_ID;
	stack_adjust(c, size);
	cpu_set_rflags(c, (kept & ~writable) | (image & writable));
}

#define FLAGS_FORMS(bits, s)                                     \
	void x_pushf_##bits(struct cpu *c, const struct insn *i) \
	{                                                        \
		pushf(c, i, bits / 8);                           \
		NEXT(c, i);                                      \
	}                                                        \
	void x_popf_##bits(struct cpu *c, const struct insn *i)  \
	{                                                        \
		popf(c, i, bits / 8);                            \
		END(c, i);                                       \
	}
FOR_V(FLAGS_FORMS)
