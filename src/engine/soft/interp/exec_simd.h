/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exec functions of x87, MMX, SSE and AVX instructions, as named by the rows of insn.def.
 */
#ifndef ENGINE_SOFT_INTERP_EXEC_SIMD_H
#define ENGINE_SOFT_INTERP_EXEC_SIMD_H

#include "engine/soft/exec.h"

/* Native, by a thunk (simd.c): vectors; the same that may raise #XM; MMX; MMX that may raise #XM.
 */
void x_simd(struct cpu *c, const struct insn *i);
void x_simd_fp(struct cpu *c, const struct insn *i);
void x_mmx(struct cpu *c, const struct insn *i);
void x_mmx_fp(struct cpu *c, const struct insn *i);

/* Moves and bit logic (simd_move.c). */
void x_movdqu_load(struct cpu *c, const struct insn *i);
void x_movdqa_load(struct cpu *c, const struct insn *i);
void x_movdqu_store(struct cpu *c, const struct insn *i);
void x_movdqa_store(struct cpu *c, const struct insn *i);
void x_vmovdqu_load(struct cpu *c, const struct insn *i);
void x_vmovdqa_load(struct cpu *c, const struct insn *i);
void x_vmovdqu_store(struct cpu *c, const struct insn *i);
void x_vmovdqa_store(struct cpu *c, const struct insn *i);
void x_movss_load(struct cpu *c, const struct insn *i);
void x_movsd_load(struct cpu *c, const struct insn *i);
void x_movss_store(struct cpu *c, const struct insn *i);
void x_movsd_store(struct cpu *c, const struct insn *i);
void x_movd_load(struct cpu *c, const struct insn *i);
void x_movd_store(struct cpu *c, const struct insn *i);
void x_movq_load(struct cpu *c, const struct insn *i);
void x_movq_store(struct cpu *c, const struct insn *i);
void x_movnti(struct cpu *c, const struct insn *i);
void x_pand(struct cpu *c, const struct insn *i);
void x_pandn(struct cpu *c, const struct insn *i);
void x_por(struct cpu *c, const struct insn *i);
void x_pxor(struct cpu *c, const struct insn *i);
void x_pmovmskb(struct cpu *c, const struct insn *i);

/* Element by element (simd_masked.c): masked moves and gathers. */
void x_maskmovq(struct cpu *c, const struct insn *i);
void x_maskmovdqu(struct cpu *c, const struct insn *i);
void x_vmaskmov_load32(struct cpu *c, const struct insn *i);
void x_vmaskmov_load64(struct cpu *c, const struct insn *i);
void x_vmaskmov_store32(struct cpu *c, const struct insn *i);
void x_vmaskmov_store64(struct cpu *c, const struct insn *i);
void x_vgather_d32(struct cpu *c, const struct insn *i);
void x_vgather_d64(struct cpu *c, const struct insn *i);
void x_vgather_q32(struct cpu *c, const struct insn *i);
void x_vgather_q64(struct cpu *c, const struct insn *i);

/* Vector state (simd_state.c, xsave.c). */
void x_emms(struct cpu *c, const struct insn *i);
void x_vzeroupper(struct cpu *c, const struct insn *i);
void x_vzeroall(struct cpu *c, const struct insn *i);
void x_ldmxcsr(struct cpu *c, const struct insn *i);
void x_stmxcsr(struct cpu *c, const struct insn *i);
void x_fxsave(struct cpu *c, const struct insn *i);
void x_fxrstor(struct cpu *c, const struct insn *i);
void x_xsave(struct cpu *c, const struct insn *i);
void x_xsaveopt(struct cpu *c, const struct insn *i);
void x_xsavec(struct cpu *c, const struct insn *i);
void x_xsaves(struct cpu *c, const struct insn *i);
void x_xrstor(struct cpu *c, const struct insn *i);
void x_xrstors(struct cpu *c, const struct insn *i);

/* x87 (x87.c, x87_state.c): native, native with a store to memory, and the control instructions. */
void x_x87(struct cpu *c, const struct insn *i);
void x_x87_store(struct cpu *c, const struct insn *i);
void x_x87_nop(struct cpu *c, const struct insn *i);
void x_fwait(struct cpu *c, const struct insn *i);
void x_fninit(struct cpu *c, const struct insn *i);
void x_fnclex(struct cpu *c, const struct insn *i);
void x_fldcw(struct cpu *c, const struct insn *i);
void x_fnstcw(struct cpu *c, const struct insn *i);
void x_fnstsw(struct cpu *c, const struct insn *i);
void x_fnstsw_ax(struct cpu *c, const struct insn *i);
void x_fldenv(struct cpu *c, const struct insn *i);
void x_fnstenv(struct cpu *c, const struct insn *i);
void x_frstor(struct cpu *c, const struct insn *i);
void x_fnsave(struct cpu *c, const struct insn *i);

#endif
