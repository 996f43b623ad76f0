/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves with the commonest memory operand: flat, a base and a displacement.
 */
#include "engine/soft/interp/refine_impl.h"

static inline gva_t direct_ea(const struct cpu *c, const struct insn *i)
{
	return c->gpr[i->base] + (uint64_t)(int64_t)i->disp;
}

#define DIRECT_MOV(bits, s)                                                   \
	void d_mov_G_E_m##bits(struct cpu *c, const struct insn *i)           \
	{                                                                     \
		set##bits(c, i->reg, mmu_load##bits(c, i, direct_ea(c, i)));  \
		NEXT(c, i);                                                   \
	}                                                                     \
	void d_mov_E_G_m##bits(struct cpu *c, const struct insn *i)           \
	{                                                                     \
		mmu_store##bits(c, i, direct_ea(c, i), get##bits(c, i->reg)); \
		NEXT(c, i);                                                   \
	}
FOR_BV(DIRECT_MOV)

#define DIRECT_MOV_I(bits)                                                      \
	void d_mov_E_I_m##bits(struct cpu *c, const struct insn *i)             \
	{                                                                       \
		mmu_store##bits(c, i, direct_ea(c, i), (uint##bits##_t)i->imm); \
		NEXT(c, i);                                                     \
	}
DIRECT_MOV_I(8)
DIRECT_MOV_I(32)
DIRECT_MOV_I(64)

void d_movzx_b_m32(struct cpu *c, const struct insn *i)
{
	set32(c, i->reg, mmu_load8(c, i, direct_ea(c, i)));
	NEXT(c, i);
}

void d_movzx_w_m32(struct cpu *c, const struct insn *i)
{
	set32(c, i->reg, mmu_load16(c, i, direct_ea(c, i)));
	NEXT(c, i);
}

void d_movsx_d_m64(struct cpu *c, const struct insn *i)
{
	set64(c, i->reg, (uint64_t)(int32_t)mmu_load32(c, i, direct_ea(c, i)));
	NEXT(c, i);
}

void d_lea_m32(struct cpu *c, const struct insn *i)
{
	set32(c, i->reg, (uint32_t)direct_ea(c, i));
	NEXT(c, i);
}

void d_lea_m64(struct cpu *c, const struct insn *i)
{
	set64(c, i->reg, direct_ea(c, i));
	NEXT(c, i);
}
