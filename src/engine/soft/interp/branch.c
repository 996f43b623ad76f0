/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Near jumps, calls and returns, and BOUND (SDM vol. 2). Far transfers are system instructions.
 */
#include "engine/soft/interp/int_impl.h"

/* Outside 64-bit mode the target is checked before the stack is touched. */
static inline void call_near16(struct cpu *c, const struct insn *i, uint64_t target)
{
	target = branch_near16(c, i, target);
	stack_push(c, i, 2, insn_next_rip(c, i));
	BRANCH(c, target);
}

static inline void call_near32(struct cpu *c, const struct insn *i, uint64_t target)
{
	target = branch_near32(c, i, target);
	stack_push(c, i, 4, insn_next_rip(c, i));
	BRANCH(c, target);
}

/* As CPUs do it: the return address is in memory even when the target then faults. */
static inline void call_near64(struct cpu *c, const struct insn *i, uint64_t target)
{
	gva_t va = c->gpr[RSP] - 8;

	stack_store64(c, i, va, insn_next_rip(c, i));
	BRANCH_64(c, i, target, c->gpr[RSP] = va);
}

#define RELATIVE_FORMS(bits, s)                                      \
	void x_jmp_J_##bits(struct cpu *c, const struct insn *i)     \
	{                                                            \
		BRANCH_##bits(c, i, insn_next_rip(c, i) + i->imm, ); \
	}                                                            \
	void x_call_J_##bits(struct cpu *c, const struct insn *i)    \
	{                                                            \
		call_near##bits(c, i, insn_next_rip(c, i) + i->imm); \
	}
FOR_V(RELATIVE_FORMS)

#define INDIRECT_FORMS(bits, s)                                    \
	void x_jmp_E_r##bits(struct cpu *c, const struct insn *i)  \
	{                                                          \
		BRANCH_##bits(c, i, get##bits(c, i->rm), );        \
	}                                                          \
	void x_jmp_E_m##bits(struct cpu *c, const struct insn *i)  \
	{                                                          \
		BRANCH_##bits(c, i, LOAD(bits), );                 \
	}                                                          \
	void x_call_E_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		call_near##bits(c, i, get##bits(c, i->rm));        \
	}                                                          \
	void x_call_E_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		call_near##bits(c, i, LOAD(bits));                 \
	}
FOR_V(INDIRECT_FORMS)

/* RET n drops n bytes of parameters, 0-65535. */
void x_ret_64(struct cpu *c, const struct insn *i)
{
	BRANCH_64(c, i, stack_load64(c, i, c->gpr[RSP]), c->gpr[RSP] += 8);
}

void x_ret_I_64(struct cpu *c, const struct insn *i)
{
	BRANCH_64(c, i, stack_load64(c, i, c->gpr[RSP]), c->gpr[RSP] += 8 + (uint16_t)i->imm);
}

#define RET_FORMS(bits)                                                                   \
	void x_ret_##bits(struct cpu *c, const struct insn *i)                            \
	{                                                                                 \
		uint64_t target = branch_near##bits(c, i, stack_peek(c, i, bits / 8, 0)); \
                                                                                          \
		stack_adjust(c, bits / 8);                                                \
		BRANCH(c, target);                                                        \
	}                                                                                 \
	void x_ret_I_##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                 \
		uint64_t target = branch_near##bits(c, i, stack_peek(c, i, bits / 8, 0)); \
                                                                                          \
		stack_adjust(c, bits / 8 + (uint16_t)i->imm);                             \
		BRANCH(c, target);                                                        \
	}
RET_FORMS(16)
RET_FORMS(32)

/* The bounds are two signed numbers side by side. */
#define BOUND_FORM(bits)                                                                        \
	void x_bound_m##bits(struct cpu *c, const struct insn *i)                               \
	{                                                                                       \
		int##bits##_t index = (int##bits##_t)get##bits(c, i->reg);                      \
		int##bits##_t low = (int##bits##_t)LOAD(bits);                                  \
		int##bits##_t high;                                                             \
                                                                                                \
		if (index < low && !cpu_has(c, FEAT_AMD))                                       \
			cpu_fault(c, i, VEC_BR);                                                \
		high = (int##bits##_t)mmu_load##bits(c, i,                                      \
						     ea_plus(c, i, bits / 8, bits / 8, false)); \
		if (index < low || index > high)                                                \
			cpu_fault(c, i, VEC_BR);                                                \
		NEXT(c, i);                                                                     \
	}
BOUND_FORM(16)
BOUND_FORM(32)
