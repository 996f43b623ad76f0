/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faster stand-ins for exec functions, which refine.c puts into blocks where their conditions hold:
 *   q_NAME  x_NAME when nobody will read the status flags it writes (quiet.c);
 *   d_NAME  x_NAME with a flat memory operand of base and displacement only (direct.c);
 *   f_NAME_CC  the comparison x_NAME and the J<CC> behind it in one (fused.c).
 * Also t_jCC, t_jmp and t_call: relative branches in 64-bit mode whose imm counts from the start of
 * the block (fused.c); t_call has the place to return to in disp, counted the same way.
 */
#ifndef ENGINE_SOFT_INTERP_REFINE_IMPL_H
#define ENGINE_SOFT_INTERP_REFINE_IMPL_H

#include "engine/soft/interp/int_impl.h"

/* clang-format off */

/* The functions with quiet stand-ins: DO(name of the exec function without x_). */
#define QUIET_ALU(DO, op)                                                                     \
	DO(op##_E_G_r32) DO(op##_E_G_r64) DO(op##_G_E_r32) DO(op##_G_E_r64) DO(op##_E_I_r32)  \
	DO(op##_E_I_r64) DO(op##_A_I_32) DO(op##_A_I_64)
#define QUIET_ALU_MEM(DO, op) DO(op##_G_E_m32) DO(op##_G_E_m64)
#define QUIET_UNARY(DO, op)   DO(op##_r32) DO(op##_r64)
#define QUIET_SHIFT(DO, op)   DO(op##_E_I_r32) DO(op##_E_I_r64) DO(op##_E_1_r32) DO(op##_E_1_r64)
#define QUIET_SAFE(DO)                                                                        \
	QUIET_ALU(DO, add) QUIET_ALU(DO, or) QUIET_ALU(DO, adc) QUIET_ALU(DO, sbb)            \
	QUIET_ALU(DO, and) QUIET_ALU(DO, sub) QUIET_ALU(DO, xor)                              \
	QUIET_UNARY(DO, inc) QUIET_UNARY(DO, dec) QUIET_UNARY(DO, neg)                        \
	QUIET_SHIFT(DO, shl) QUIET_SHIFT(DO, shr) QUIET_SHIFT(DO, sar)                        \
	QUIET_SHIFT(DO, rol) QUIET_SHIFT(DO, ror)                                             \
	DO(imul_G_E_r32) DO(imul_G_E_r64) DO(imul_G_E_I_r32) DO(imul_G_E_I_r64)               \
	DO(mul_r32) DO(mul_r64)
#define QUIET_FAULTING(DO)                                                                    \
	QUIET_ALU_MEM(DO, add) QUIET_ALU_MEM(DO, or) QUIET_ALU_MEM(DO, adc)                   \
	QUIET_ALU_MEM(DO, sbb) QUIET_ALU_MEM(DO, and) QUIET_ALU_MEM(DO, sub)                  \
	QUIET_ALU_MEM(DO, xor) DO(imul_G_E_m32) DO(imul_G_E_m64)

/* Comparisons whose result nobody reads do nothing. */
#define QUIET_COMPARE(DO)                                                                     \
	DO(cmp_E_G_r8) DO(cmp_E_G_r32) DO(cmp_E_G_r64) DO(cmp_G_E_r32) DO(cmp_G_E_r64)        \
	DO(cmp_E_I_r8) DO(cmp_E_I_r32) DO(cmp_E_I_r64) DO(cmp_A_I_8) DO(cmp_A_I_32)           \
	DO(cmp_A_I_64) DO(test_E_G_r8) DO(test_E_G_r32) DO(test_E_G_r64) DO(test_E_I_r8)      \
	DO(test_E_I_r32) DO(test_E_I_r64) DO(test_A_I_8) DO(test_A_I_32) DO(test_A_I_64)

/* Register instructions without stand-in that cannot fault either: flags stay dead across them. */
#define SAFE_V(DO, name) DO(name##_r16) DO(name##_r32) DO(name##_r64)
#define SAFE_OTHERS(DO)                                                                       \
	DO(mov_E_G_r8) SAFE_V(DO, mov_E_G) DO(mov_G_E_r8) SAFE_V(DO, mov_G_E) DO(mov_E_I_r8)  \
	SAFE_V(DO, mov_E_I) DO(mov_Z_I_8) DO(mov_Z_I_16) DO(mov_Z_I_32) DO(mov_Z_I_64)        \
	SAFE_V(DO, movzx_b) SAFE_V(DO, movzx_w) SAFE_V(DO, movsx_b) SAFE_V(DO, movsx_w)       \
	SAFE_V(DO, movsx_d) DO(lea_m16) DO(lea_m32) DO(lea_m64) DO(cbw_16) DO(cbw_32)         \
	DO(cbw_64) DO(cwd_16) DO(cwd_32) DO(cwd_64) DO(bswap_32) DO(bswap_64) DO(nop)         \
	DO(not_r8) SAFE_V(DO, not) SAFE_V(DO, bt_E_G) SAFE_V(DO, bt_E_I)                      \
	DO(add_E_G_r8) DO(or_E_G_r8) DO(and_E_G_r8) DO(sub_E_G_r8) DO(xor_E_G_r8)             \
	DO(add_E_I_r8) DO(or_E_I_r8) DO(and_E_I_r8) DO(sub_E_I_r8) DO(xor_E_I_r8)

/* Memory operands without an index. */
#define DIRECT(DO)                                                                            \
	DO(mov_G_E_m8) DO(mov_G_E_m16) DO(mov_G_E_m32) DO(mov_G_E_m64)                        \
	DO(mov_E_G_m8) DO(mov_E_G_m16) DO(mov_E_G_m32) DO(mov_E_G_m64)                        \
	DO(mov_E_I_m8) DO(mov_E_I_m32) DO(mov_E_I_m64)                                        \
	DO(movzx_b_m32) DO(movzx_w_m32) DO(movsx_d_m64) DO(lea_m32) DO(lea_m64)

/* Comparisons that are fused with the branch behind them: DO(name, expression of the flags). */
#define FUSED(DO)                                                                             \
	DO(cmp_E_G_r32) DO(cmp_E_G_r64) DO(cmp_E_I_r8) DO(cmp_E_I_r32) DO(cmp_E_I_r64)        \
	DO(cmp_A_I_8) DO(cmp_E_I_m8) DO(cmp_E_I_m32) DO(cmp_E_I_m64)                          \
	DO(cmp_G_E_m32) DO(cmp_G_E_m64) DO(cmp_E_G_m32) DO(cmp_E_G_m64)                       \
	DO(test_E_G_r8) DO(test_E_G_r32) DO(test_E_G_r64) DO(test_E_I_r8) DO(test_E_I_r32)    \
	DO(test_A_I_8) DO(test_E_I_m8) DO(test_E_I_m32)

/* clang-format on */

#define DECLARE_QUIET(name)   X_ONE(q_##name)
#define DECLARE_DIRECT(name)  X_ONE(d_##name)
#define DECLARE_FUSED(name)   extern const exec_fn f_##name[16];
#define DECLARE_BRANCH(cc, n) X_ONE(t_j##cc)

QUIET_SAFE(DECLARE_QUIET)
QUIET_FAULTING(DECLARE_QUIET)
DIRECT(DECLARE_DIRECT)
FUSED(DECLARE_FUSED)
X_CONDITIONS(DECLARE_BRANCH)
X_ONE(t_jmp)
X_ONE(t_call)

#endif
