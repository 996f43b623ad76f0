/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exec functions of integer instructions, as named by the rows of insn_int.def:
 * x_<mnemonic>_<operands>_<r or m><bits>, r with ModRM.rm a register, m with a memory operand.
 */
#ifndef ENGINE_SOFT_INTERP_EXEC_INT_H
#define ENGINE_SOFT_INTERP_EXEC_INT_H

#include "engine/soft/exec.h"

#define X_ONE(f) void f(struct cpu *c, const struct insn *i);
#define X_B(f)	 X_ONE(f##_r8) X_ONE(f##_m8)
#define X_Y(f)	 X_ONE(f##_r32) X_ONE(f##_r64) X_ONE(f##_m32) X_ONE(f##_m64)
#define X_V(f)	 X_ONE(f##_r16) X_ONE(f##_m16) X_Y(f)
#define X_BV(f)	 X_B(f) X_V(f)
#define X_RV(f)	 X_ONE(f##_r16) X_ONE(f##_r32) X_ONE(f##_r64)
#define X_MV(f)	 X_ONE(f##_m16) X_ONE(f##_m32) X_ONE(f##_m64)
#define X_N(f)	 X_ONE(f##_16) X_ONE(f##_32) X_ONE(f##_64)
#define X_BN(f)	 X_ONE(f##_8) X_N(f)

/* The sixteen conditions by their encoding. */
/* clang-format off */
#define X_CONDITIONS(DO)                                                                           \
	DO(o, 0)  DO(no, 1) DO(b, 2)   DO(ae, 3)  DO(e, 4)  DO(ne, 5)  DO(be, 6)  DO(a, 7)          \
	DO(s, 8)  DO(ns, 9) DO(p, 10)  DO(np, 11) DO(l, 12) DO(ge, 13) DO(le, 14) DO(g, 15)
/* clang-format on */

/* alu.c */
#define X_ALU(op) X_BV(x_##op##_E_G) X_BV(x_##op##_G_E) X_BV(x_##op##_E_I) X_BN(x_##op##_A_I)
X_ALU(add)
X_ALU(or)
X_ALU(adc)
X_ALU(sbb)
X_ALU(and)
X_ALU(sub)
X_ALU(xor)
X_ALU(cmp)
X_BV(x_test_E_G)
X_BV(x_test_E_I)
X_BN(x_test_A_I)
X_BV(x_inc)
X_BV(x_dec)
X_N(x_inc_Z)
X_N(x_dec_Z)
X_BV(x_neg)
X_BV(x_not)
X_Y(x_adcx)
X_Y(x_adox)

/* shift.c */
#define X_SHIFT(op) X_BV(x_##op##_E_I) X_BV(x_##op##_E_1) X_BV(x_##op##_E_CL)
X_SHIFT(rol)
X_SHIFT(ror)
X_SHIFT(rcl)
X_SHIFT(rcr)
X_SHIFT(shl)
X_SHIFT(shr)
X_SHIFT(sar)
X_V(x_shld_I)
X_V(x_shld_CL)
X_V(x_shrd_I)
X_V(x_shrd_CL)

/* muldiv.c */
X_BV(x_mul)
X_BV(x_imul)
X_BV(x_div)
X_BV(x_idiv)
X_V(x_imul_G_E)
X_V(x_imul_G_E_I)

/* move.c */
X_BV(x_mov_E_G)
X_BV(x_mov_G_E)
X_BV(x_mov_E_I)
X_BN(x_mov_Z_I)
X_BN(x_mov_A_O)
X_BN(x_mov_O_A)
X_V(x_movzx_b)
X_V(x_movzx_w)
X_V(x_movsx_b)
X_V(x_movsx_w)
X_V(x_movsx_d)
X_MV(x_lea)
X_N(x_cbw)
X_N(x_cwd)
X_N(x_bswap)
X_MV(x_movbe_G_M)
X_MV(x_movbe_M_G)
X_ONE(x_xlat)
X_ONE(x_nop)
X_ONE(x_prefetch)
X_ONE(x_fence)
X_ONE(x_pause)
X_ONE(x_clflush)
X_ONE(x_rdrand)
X_ONE(x_rdseed)

/* cond.c */
#define X_COND(cc, n) X_B(x_set##cc) X_V(x_cmov##cc) X_N(x_j##cc)
X_CONDITIONS(X_COND)
X_N(x_loop)
X_N(x_loope)
X_N(x_loopne)
X_N(x_jcxz)

/* flags.c */
X_ONE(x_lahf)
X_ONE(x_sahf)
X_ONE(x_clc)
X_ONE(x_stc)
X_ONE(x_cmc)
X_ONE(x_salc)
X_ONE(x_cld)
X_ONE(x_std)
X_N(x_pushf)
X_N(x_popf)

/* branch.c */
X_N(x_jmp_J)
X_N(x_call_J)
X_V(x_jmp_E)
X_V(x_call_E)
X_N(x_ret)
X_N(x_ret_I)
X_ONE(x_bound_m16)
X_ONE(x_bound_m32)

/* stack.c */
X_N(x_push_Z)
X_N(x_push_I)
X_V(x_push_E)
X_N(x_push_S)
X_N(x_pop_Z)
X_V(x_pop_E)
X_ONE(x_pusha_16)
X_ONE(x_pusha_32)
X_ONE(x_popa_16)
X_ONE(x_popa_32)
X_N(x_enter)
X_N(x_leave)

/* string.c */
X_BN(x_movs)
X_BN(x_stos)
X_BN(x_lods)
X_BN(x_scas)
X_BN(x_cmps)

/* atomic.c */
X_BV(x_xchg)
X_N(x_xchg_A_Z)
X_BV(x_xadd)
X_BV(x_cmpxchg)
X_ONE(x_cmpxchg8b)
X_ONE(x_cmpxchg16b)

/* bits.c */
#define X_BIT(op) X_V(x_##op##_E_G) X_V(x_##op##_E_I)
X_BIT(bt)
X_BIT(bts)
X_BIT(btr)
X_BIT(btc)
X_V(x_bsf)
X_V(x_bsr)
X_V(x_tzcnt)
X_V(x_lzcnt)
X_V(x_popcnt)
X_BV(x_crc32)

/* bmi.c */
X_Y(x_andn)
X_Y(x_blsr)
X_Y(x_blsmsk)
X_Y(x_blsi)
X_Y(x_bextr)
X_Y(x_bzhi)
X_Y(x_pext)
X_Y(x_pdep)
X_Y(x_mulx)
X_Y(x_rorx)
X_Y(x_shlx)
X_Y(x_shrx)
X_Y(x_sarx)

/* bcd.c */
X_ONE(x_aaa)
X_ONE(x_aas)
X_ONE(x_aam)
X_ONE(x_aad)
X_ONE(x_daa)
X_ONE(x_das)

#endif
