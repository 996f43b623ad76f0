/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What depends on a condition: SETcc, CMOVcc, Jcc, and the LOOP family (SDM vol. 2). A branch not
 * taken goes on inside the block.
 */
#include "engine/soft/interp/int_impl.h"

#define SETCC_FORMS(cc, n)                                                          \
	void x_set##cc##_r8(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		set8(c, i->rm, condition_const(c->rflags, n));                      \
		NEXT(c, i);                                                         \
	}                                                                           \
	void x_set##cc##_m8(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		mmu_store8(c, i, ea(c, i, 1, true), condition_const(c->rflags, n)); \
		NEXT(c, i);                                                         \
	}
X_CONDITIONS(SETCC_FORMS)

/* The source is always read, and a 32-bit destination always loses its upper half. */
#define CMOV_FORM(bits, cc, n)                                                      \
	void x_cmov##cc##_r##bits(struct cpu *c, const struct insn *i)              \
	{                                                                           \
		uint##bits##_t v = get##bits(c, i->rm), old = get##bits(c, i->reg); \
                                                                                    \
		set##bits(c, i->reg, condition_const(c->rflags, n) ? v : old);      \
		NEXT(c, i);                                                         \
	}                                                                           \
	void x_cmov##cc##_m##bits(struct cpu *c, const struct insn *i)              \
	{                                                                           \
		uint##bits##_t v = LOAD(bits), old = get##bits(c, i->reg);          \
                                                                                    \
		set##bits(c, i->reg, condition_const(c->rflags, n) ? v : old);      \
		NEXT(c, i);                                                         \
	}
#define CMOVCC_FORMS(cc, n) CMOV_FORM(16, cc, n) CMOV_FORM(32, cc, n) CMOV_FORM(64, cc, n)
X_CONDITIONS(CMOVCC_FORMS)

/* Takes a relative branch; bits is the operand size. */
#define JUMP(bits) BRANCH_##bits(c, i, insn_next_rip(c, i) + i->imm, LEAVE_OUT_REST(c, i))

#define JCC_FORM(bits, cc, n)                                      \
	void x_j##cc##_##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		if (condition_const(c->rflags, n))                 \
			JUMP(bits);                                \
		NEXT(c, i);                                        \
	}
#define JCC_FORMS(cc, n) JCC_FORM(16, cc, n) JCC_FORM(32, cc, n) JCC_FORM(64, cc, n)
X_CONDITIONS(JCC_FORMS)

/* rCX at the address size. */
static uint64_t loop_count(const struct cpu *c, const struct insn *i)
{
	return c->gpr[RCX] & ea_mask(i);
}

static void set_loop_count(struct cpu *c, const struct insn *i, uint64_t count)
{
	if (i->ea & EA_ADDR16)
		set16(c, GPR(RCX), (uint16_t)count);
	else
		c->gpr[RCX] = count & ea_mask(i);
}

#define LOOP_FORM(bits, name, and_condition)                                            \
	void x_##name##_##bits(struct cpu *c, const struct insn *i)                     \
	{                                                                               \
		uint64_t count = loop_count(c, i) - 1;                                  \
                                                                                        \
		if (!(count & ea_mask(i)) || !(and_condition)) {                        \
			set_loop_count(c, i, count);                                    \
			NEXT(c, i);                                                     \
		}                                                                       \
		BRANCH_##bits(c, i, insn_next_rip(c, i) + i->imm, LEAVE_OUT_REST(c, i); \
			      set_loop_count(c, i, count));                             \
	}
#define LOOP_FORMS(bits, s)                                     \
	LOOP_FORM(bits, loop, true)                             \
	LOOP_FORM(bits, loope, c->rflags &FLAG_ZF)              \
	LOOP_FORM(bits, loopne, !(c->rflags & FLAG_ZF))         \
	void x_jcxz_##bits(struct cpu *c, const struct insn *i) \
	{                                                       \
		if (!loop_count(c, i))                          \
			JUMP(bits);                             \
		NEXT(c, i);                                     \
	}
FOR_V(LOOP_FORMS)
