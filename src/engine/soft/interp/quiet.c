/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arithmetic whose flags are dead: overwritten before anything reads them or leaves the block.
 */
#include "engine/soft/interp/refine_impl.h"

#define CARRY (c->rflags & FLAG_CF)

#define QUIET_ALU_FORMS(bits, op, expression)                                                   \
	static inline uint##bits##_t op##_quiet##bits(const struct cpu *c, uint##bits##_t dst,  \
						      uint##bits##_t src)                       \
	{                                                                                       \
		return (uint##bits##_t)(expression);                                            \
	}                                                                                       \
	void q_##op##_E_G_r##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                       \
		set##bits(c, i->rm,                                                             \
			  op##_quiet##bits(c, get##bits(c, i->rm), get##bits(c, i->reg)));      \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void q_##op##_G_E_r##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                       \
		set##bits(c, i->reg,                                                            \
			  op##_quiet##bits(c, get##bits(c, i->reg), get##bits(c, i->rm)));      \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void q_##op##_G_E_m##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                       \
		uint##bits##_t src = LOAD(bits);                                                \
                                                                                                \
		set##bits(c, i->reg, op##_quiet##bits(c, get##bits(c, i->reg), src));           \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void q_##op##_E_I_r##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                       \
		set##bits(c, i->rm,                                                             \
			  op##_quiet##bits(c, get##bits(c, i->rm), (uint##bits##_t)i->imm));    \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void q_##op##_A_I_##bits(struct cpu *c, const struct insn *i)                           \
	{                                                                                       \
		set##bits(c, GPR(RAX),                                                          \
			  op##_quiet##bits(c, get##bits(c, GPR(RAX)), (uint##bits##_t)i->imm)); \
		NEXT(c, i);                                                                     \
	}
#define QUIET_ALU_BOTH(op, expression)      \
	QUIET_ALU_FORMS(32, op, expression) \
	QUIET_ALU_FORMS(64, op, expression)
QUIET_ALU_BOTH(add, dst + src)
QUIET_ALU_BOTH(or, dst | src)
QUIET_ALU_BOTH(adc, dst + src + CARRY)
QUIET_ALU_BOTH(sbb, dst - src - CARRY)
QUIET_ALU_BOTH(and, dst &src)
QUIET_ALU_BOTH(sub, dst - src)
QUIET_ALU_BOTH(xor, dst ^ src)

#define QUIET_UNARY_FORM(bits, op, expression)                     \
	void q_##op##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		uint##bits##_t v = get##bits(c, i->rm);            \
                                                                   \
		set##bits(c, i->rm, (uint##bits##_t)(expression)); \
		NEXT(c, i);                                        \
	}
#define QUIET_UNARY_BOTH(op, expression)     \
	QUIET_UNARY_FORM(32, op, expression) \
	QUIET_UNARY_FORM(64, op, expression)
QUIET_UNARY_BOTH(inc, v + 1)
QUIET_UNARY_BOTH(dec, v - 1)
QUIET_UNARY_BOTH(neg, -v)

/* n is not 0 here: then the flags would not have been written. */
#define QUIET_SHIFT_FORM(bits, op, form, count, expression)                 \
	void q_##op##_##form##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                                   \
		uint##bits##_t v = get##bits(c, i->rm);                     \
		unsigned n = (count) & (bits - 1);                          \
                                                                            \
		set##bits(c, i->rm, (uint##bits##_t)(expression));          \
		NEXT(c, i);                                                 \
	}
#define QUIET_SHIFT_BOTH(op, expression32, expression64)              \
	QUIET_SHIFT_FORM(32, op, E_I, (unsigned)i->imm, expression32) \
	QUIET_SHIFT_FORM(64, op, E_I, (unsigned)i->imm, expression64) \
	QUIET_SHIFT_FORM(32, op, E_1, 1u, expression32)               \
	QUIET_SHIFT_FORM(64, op, E_1, 1u, expression64)
QUIET_SHIFT_BOTH(shl, v << n, v << n)
QUIET_SHIFT_BOTH(shr, v >> n, v >> n)
QUIET_SHIFT_BOTH(sar, (int32_t)v >> n, (int64_t)v >> n)
QUIET_SHIFT_BOTH(rol, v << n | v >> (32 - n), v << n | v >> (64 - n))
QUIET_SHIFT_BOTH(ror, v >> n | v << (32 - n), v >> n | v << (64 - n))

#define QUIET_PRODUCT(bits)                                                         \
	void q_imul_G_E_r##bits(struct cpu *c, const struct insn *i)                \
	{                                                                           \
		set##bits(c, i->reg, get##bits(c, i->reg) * get##bits(c, i->rm));   \
		NEXT(c, i);                                                         \
	}                                                                           \
	void q_imul_G_E_m##bits(struct cpu *c, const struct insn *i)                \
	{                                                                           \
		uint##bits##_t src = LOAD(bits);                                    \
                                                                                    \
		set##bits(c, i->reg, get##bits(c, i->reg) * src);                   \
		NEXT(c, i);                                                         \
	}                                                                           \
	void q_imul_G_E_I_r##bits(struct cpu *c, const struct insn *i)              \
	{                                                                           \
		set##bits(c, i->reg, get##bits(c, i->rm) * (uint##bits##_t)i->imm); \
		NEXT(c, i);                                                         \
	}
QUIET_PRODUCT(32)
QUIET_PRODUCT(64)

void q_mul_r32(struct cpu *c, const struct insn *i)
{
	uint64_t product = (uint64_t)get32(c, GPR(RAX)) * get32(c, i->rm);

	set32(c, GPR(RAX), (uint32_t)product);
	set32(c, GPR(RDX), (uint32_t)(product >> 32));
	NEXT(c, i);
}

void q_mul_r64(struct cpu *c, const struct insn *i)
{
	unsigned __int128 product = (unsigned __int128)get64(c, GPR(RAX)) * get64(c, i->rm);

	set64(c, GPR(RAX), (uint64_t)product);
	set64(c, GPR(RDX), (uint64_t)(product >> 64));
	NEXT(c, i);
}
