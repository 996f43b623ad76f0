/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exec functions of system instructions, as named by the rows of insn_sys.def. One function serves
 * every operand size and looks at insn.prefix; they are rare enough.
 */
#ifndef ENGINE_SOFT_INTERP_EXEC_SYS_H
#define ENGINE_SOFT_INTERP_EXEC_SYS_H

#include "engine/soft/exec.h"

/* sys_segment.c */
void x_mov_E_S(struct cpu *c, const struct insn *i);
void x_mov_S_E(struct cpu *c, const struct insn *i);
void x_pop_es(struct cpu *c, const struct insn *i);
void x_pop_ss(struct cpu *c, const struct insn *i);
void x_pop_ds(struct cpu *c, const struct insn *i);
void x_pop_fs(struct cpu *c, const struct insn *i);
void x_pop_gs(struct cpu *c, const struct insn *i);
void x_les(struct cpu *c, const struct insn *i);
void x_lds(struct cpu *c, const struct insn *i);
void x_lss(struct cpu *c, const struct insn *i);
void x_lfs(struct cpu *c, const struct insn *i);
void x_lgs(struct cpu *c, const struct insn *i);
void x_rdfsbase(struct cpu *c, const struct insn *i);
void x_rdgsbase(struct cpu *c, const struct insn *i);
void x_wrfsbase(struct cpu *c, const struct insn *i);
void x_wrgsbase(struct cpu *c, const struct insn *i);
void x_swapgs(struct cpu *c, const struct insn *i);

/* sys_table.c */
void x_sldt(struct cpu *c, const struct insn *i);
void x_str(struct cpu *c, const struct insn *i);
void x_lldt(struct cpu *c, const struct insn *i);
void x_ltr(struct cpu *c, const struct insn *i);
void x_verr(struct cpu *c, const struct insn *i);
void x_verw(struct cpu *c, const struct insn *i);
void x_sgdt(struct cpu *c, const struct insn *i);
void x_sidt(struct cpu *c, const struct insn *i);
void x_lgdt(struct cpu *c, const struct insn *i);
void x_lidt(struct cpu *c, const struct insn *i);
void x_lar(struct cpu *c, const struct insn *i);
void x_lsl(struct cpu *c, const struct insn *i);
void x_arpl(struct cpu *c, const struct insn *i);

/* sys_flow.c */
void x_call_far_A(struct cpu *c, const struct insn *i);
void x_jmp_far_A(struct cpu *c, const struct insn *i);
void x_call_far_M(struct cpu *c, const struct insn *i);
void x_jmp_far_M(struct cpu *c, const struct insn *i);
void x_ret_far(struct cpu *c, const struct insn *i);
void x_ret_far_I(struct cpu *c, const struct insn *i);
void x_iret(struct cpu *c, const struct insn *i);
void x_int(struct cpu *c, const struct insn *i);
void x_int1(struct cpu *c, const struct insn *i);
void x_int3(struct cpu *c, const struct insn *i);
void x_into(struct cpu *c, const struct insn *i);
void x_syscall(struct cpu *c, const struct insn *i);
void x_sysret(struct cpu *c, const struct insn *i);
void x_sysenter(struct cpu *c, const struct insn *i);
void x_sysexit(struct cpu *c, const struct insn *i);
void x_hlt(struct cpu *c, const struct insn *i);
void x_cli(struct cpu *c, const struct insn *i);
void x_sti(struct cpu *c, const struct insn *i);
void x_clac(struct cpu *c, const struct insn *i);
void x_stac(struct cpu *c, const struct insn *i);
void x_vmcall(struct cpu *c, const struct insn *i);

/* sys_control.c */
void x_mov_R_C(struct cpu *c, const struct insn *i);
void x_mov_C_R(struct cpu *c, const struct insn *i);
void x_mov_R_D(struct cpu *c, const struct insn *i);
void x_mov_D_R(struct cpu *c, const struct insn *i);
void x_smsw(struct cpu *c, const struct insn *i);
void x_lmsw(struct cpu *c, const struct insn *i);
void x_clts(struct cpu *c, const struct insn *i);
void x_invlpg(struct cpu *c, const struct insn *i);
void x_invpcid(struct cpu *c, const struct insn *i);
void x_wbinvd(struct cpu *c, const struct insn *i);
void x_xgetbv(struct cpu *c, const struct insn *i);
void x_xsetbv(struct cpu *c, const struct insn *i);

/* sys_msr.c */
void x_cpuid(struct cpu *c, const struct insn *i);
void x_rdtsc(struct cpu *c, const struct insn *i);
void x_rdtscp(struct cpu *c, const struct insn *i);
void x_rdpid(struct cpu *c, const struct insn *i);
void x_rdpmc(struct cpu *c, const struct insn *i);
void x_rdmsr(struct cpu *c, const struct insn *i);
void x_wrmsr(struct cpu *c, const struct insn *i);
void x_serialize(struct cpu *c, const struct insn *i);

/* sys_io.c */
void x_in_I(struct cpu *c, const struct insn *i);
void x_in_DX(struct cpu *c, const struct insn *i);
void x_out_I(struct cpu *c, const struct insn *i);
void x_out_DX(struct cpu *c, const struct insn *i);
void x_ins(struct cpu *c, const struct insn *i);
void x_outs(struct cpu *c, const struct insn *i);

#endif
