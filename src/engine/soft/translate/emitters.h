/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Emitters, as the rows of the instruction table name them (emit.h tells what an emitter is).
 */
#ifndef ENGINE_SOFT_TRANSLATE_EMITTERS_H
#define ENGINE_SOFT_TRANSLATE_EMITTERS_H

#include <stdbool.h>

struct emitter;
struct insn;

#define EMITTER(name) bool name(struct emitter *e, const struct insn *i);

/* emit_alu.c */
EMITTER(e_alu) /* ADD to CMP, opcodes 00-3f and 80-83 */
EMITTER(e_test)
EMITTER(e_unary) /* INC, DEC, NEG, NOT */
EMITTER(e_shift) /* by CL, 1, imm8: C0, C1, D0-D3 */
EMITTER(e_imul)	 /* 69, 6B, 0F AF */

/* emit_muldiv.c */
EMITTER(e_mul)
EMITTER(e_div)

/* emit_atomic.c */
EMITTER(e_xchg)
EMITTER(e_xadd)
EMITTER(e_cmpxchg)
EMITTER(e_cmpxchg_pair)

/* emit_bits.c */
EMITTER(e_bit_imm) /* BT, BTS, BTR, BTC */
EMITTER(e_bit_reg)
EMITTER(e_scan) /* BSF, BSR, TZCNT, LZCNT, POPCNT */
EMITTER(e_crc32)
EMITTER(e_adx)
EMITTER(e_shift_double)
EMITTER(e_bswap)
EMITTER(e_movbe)
EMITTER(e_bmi) /* ANDN, BEXTR, BZHI, PEXT, PDEP, SHLX, SHRX, SARX */
EMITTER(e_bls) /* BLSR, BLSMSK, BLSI */
EMITTER(e_rorx)
EMITTER(e_mulx)

/* emit_flags.c */
EMITTER(e_lahf)
EMITTER(e_sahf)
EMITTER(e_carry)     /* CLC, STC, CMC */
EMITTER(e_direction) /* CLD, STD */
EMITTER(e_pushf)

/* emit_string.c */
EMITTER(e_movs)
EMITTER(e_stos)
EMITTER(e_lods)
EMITTER(e_scas)
EMITTER(e_cmps)

/* emit_system.c */
EMITTER(e_cli)
EMITTER(e_sti)
EMITTER(e_stac)
EMITTER(e_clac)
EMITTER(e_swapgs)
EMITTER(e_segment_base) /* RDFSBASE and its kin */
EMITTER(e_mov_from_segment)
EMITTER(e_mov_from_control)
EMITTER(e_rdtsc) /* RDTSCP too */
EMITTER(e_rdpid)
EMITTER(e_pause)
EMITTER(e_syscall)
EMITTER(e_sysret)

/* emit_move.c */
EMITTER(e_mov)
EMITTER(e_mov_imm)
EMITTER(e_extend) /* MOVZX, MOVSX, MOVSXD */
EMITTER(e_lea)
EMITTER(e_widen) /* CBW to CQO */
EMITTER(e_nop)
EMITTER(e_setcc)
EMITTER(e_cmov)

/* emit_stack.c */
EMITTER(e_push)
EMITTER(e_pop)
EMITTER(e_leave)

/* emit_branch.c */
EMITTER(e_jcc)
EMITTER(e_jrcxz)
EMITTER(e_loop) /* LOOPNE, LOOPE, LOOP */
EMITTER(e_jmp)
EMITTER(e_call)
EMITTER(e_ret)
EMITTER(e_jmp_indirect)
EMITTER(e_call_indirect)

/* emit_simd.c */
EMITTER(e_simd) /* any row of insn_sse.def and insn_avx.def; what it cannot do it leaves */
EMITTER(e_pcmpstr)
EMITTER(e_vzero) /* VZEROUPPER, VZEROALL */
EMITTER(e_movnti)
EMITTER(e_fence)

#undef EMITTER

#endif
