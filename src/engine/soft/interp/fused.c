/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relative branches of 64-bit mode with their targets worked out, alone and together with the
 * comparison in front of them. A fused pair runs as one function on the comparison's instruction;
 * the branch stands behind it with its operands.
 */
#include "engine/soft/interp/refine_impl.h"

/* Takes the branch i: the target counts from the start of the block. */
#define TAKE(c, i) BRANCH_64(c, i, (c)->gpr[SLOT_RIP] + (i)->imm, LEAVE_OUT_REST(c, i))

#define BRANCH_FORM(cc, n)                                \
	void t_j##cc(struct cpu *c, const struct insn *i) \
	{                                                 \
		if (condition_const(c->rflags, n))        \
			TAKE(c, i);                       \
		NEXT(c, i);                               \
	}
X_CONDITIONS(BRANCH_FORM)

void t_jmp(struct cpu *c, const struct insn *i)
{
	BRANCH_64(c, i, c->gpr[SLOT_RIP] + i->imm, );
}

void t_call(struct cpu *c, const struct insn *i)
{
	gva_t va = c->gpr[RSP] - 8;

	stack_store64(c, i, va, c->gpr[SLOT_RIP] + (uint32_t)i->disp);
	BRANCH_64(c, i, c->gpr[SLOT_RIP] + i->imm, c->gpr[RSP] = va);
}

/* The flags of a comparison: host_cmp64() and so on. */
#define HOST_COMPARE(bits, s, op)                                                      \
	static inline uint64_t host_##op##bits(uint##bits##_t dst, uint##bits##_t src) \
	{                                                                              \
		uint64_t f;                                                            \
		asm(#op #s " %[src], %[dst]" FLAGS_TO_F                                \
		    : [f] "=r"(f)                                                      \
		    : [dst] "r"(dst), [src] "r"(src)                                   \
		    : "cc");                                                           \
		return f;                                                              \
	}
FOR_BV(HOST_COMPARE, cmp)
FOR_BV(HOST_COMPARE, test)

#define FUSE(name, cc, n, flags)                                         \
	static void f_##name##_##cc(struct cpu *c, const struct insn *i) \
	{                                                                \
		uint64_t f = (flags);                                    \
                                                                         \
		set_flags(c, f, FLAGS_STATUS);                           \
		if (condition_const(f, n))                               \
			TAKE(c, i + 1);                                  \
		NEXT(c, i + 1);                                          \
	}
/* clang-format off */
#define FUSE_ALL(name, flags)                                                                     \
	FUSE(name, o, 0, flags) FUSE(name, no, 1, flags) FUSE(name, b, 2, flags)                  \
	FUSE(name, ae, 3, flags) FUSE(name, e, 4, flags) FUSE(name, ne, 5, flags)                 \
	FUSE(name, be, 6, flags) FUSE(name, a, 7, flags) FUSE(name, s, 8, flags)                  \
	FUSE(name, ns, 9, flags) FUSE(name, p, 10, flags) FUSE(name, np, 11, flags)               \
	FUSE(name, l, 12, flags) FUSE(name, ge, 13, flags) FUSE(name, le, 14, flags)              \
	FUSE(name, g, 15, flags)                                                                  \
	const exec_fn f_##name[16] = {                                                            \
		f_##name##_o, f_##name##_no, f_##name##_b,  f_##name##_ae, f_##name##_e,          \
		f_##name##_ne, f_##name##_be, f_##name##_a, f_##name##_s,  f_##name##_ns,         \
		f_##name##_p, f_##name##_np, f_##name##_l,  f_##name##_ge, f_##name##_le,         \
		f_##name##_g,                                                                     \
	};
/* clang-format on */
#define FUSE_E_G(op, bits) \
	FUSE_ALL(op##_E_G_r##bits, host_##op##bits(get##bits(c, i->rm), get##bits(c, i->reg)))
#define FUSE_E_I(op, bits) \
	FUSE_ALL(op##_E_I_r##bits, host_##op##bits(get##bits(c, i->rm), (uint##bits##_t)i->imm))
#define FUSE_M_I(op, bits) \
	FUSE_ALL(op##_E_I_m##bits, host_##op##bits(LOAD(bits), (uint##bits##_t)i->imm))
#define FUSE_M_G(op, bits) \
	FUSE_ALL(op##_E_G_m##bits, host_##op##bits(LOAD(bits), get##bits(c, i->reg)))
#define FUSE_G_M(op, bits) \
	FUSE_ALL(op##_G_E_m##bits, host_##op##bits(get##bits(c, i->reg), LOAD(bits)))
#define FUSE_A_I(op, bits) \
	FUSE_ALL(op##_A_I_##bits, host_##op##bits(get##bits(c, GPR(RAX)), (uint##bits##_t)i->imm))

FUSE_E_G(cmp, 32)
FUSE_E_G(cmp, 64)
FUSE_E_I(cmp, 8)
FUSE_E_I(cmp, 32)
FUSE_E_I(cmp, 64)
FUSE_A_I(cmp, 8)
FUSE_M_I(cmp, 8)
FUSE_M_I(cmp, 32)
FUSE_M_I(cmp, 64)
FUSE_G_M(cmp, 32)
FUSE_G_M(cmp, 64)
FUSE_M_G(cmp, 32)
FUSE_M_G(cmp, 64)
FUSE_E_G(test, 8)
FUSE_E_G(test, 32)
FUSE_E_G(test, 64)
FUSE_E_I(test, 8)
FUSE_E_I(test, 32)
FUSE_A_I(test, 8)
FUSE_M_I(test, 8)
FUSE_M_I(test, 32)
