/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the emitters of integer instructions share. Where guest RAX and RCX are is written out here:
 * instructions that use them implicitly need the host's, which are scratch.
 */
#ifndef ENGINE_SOFT_TRANSLATE_EMIT_INT_H
#define ENGINE_SOFT_TRANSLATE_EMIT_INT_H

#include "engine/soft/translate/emit.h"

#define GUEST_RAX H_R14
#define GUEST_RCX H_R15

#define CC_AE 3
#define CC_E  4
#define CC_NE 5
#define CC_BE 6
#define CC_A  7

static inline unsigned size_of(const struct insn *i)
{
	return PFX_SIZE(i->prefix);
}

static inline bool is_mem(const struct insn *i)
{
	return i->prefix & PFX_MEM;
}

static inline unsigned digit_of(const struct insn *i)
{
	return insn_rows[i->row].digit - 1u;
}

static inline void emit_lock(struct emitter *e, const struct insn *i)
{
	if (i->prefix & PFX_LOCK)
		asm8(&e->o, 0xf0);
}

static inline void load_rax(struct emitter *e)
{
	asm_mov_rr(&e->o, 8, H_RAX, GUEST_RAX);
}

/* RCX = the vCPU. */
static inline void load_cpu(struct emitter *e)
{
	asm_load(&e->o, 8, H_RCX, FRAME(FRAME_CPU));
}

#define CPU_AT_RCX(field) MEM_BASE(H_RCX, offsetof(struct cpu, field))

/* The jump to the slow path of i on condition cc; flags are in the frame, the state is unchanged. */
static inline void slow_if(struct emitter *e, const struct insn *i, unsigned cc)
{
	emit_slow(e, i, asm_jcc(&e->o, cc), 0);
}

/* The byte register off, AH to BH too, to scratch (RAX or RCX) with zeroes above; flags stay. */
static inline void load_byte(struct emitter *e, unsigned off, unsigned scratch)
{
	unsigned home = reg_get(e, off, scratch);

	if (!REG_IS_HIGH(off)) {
		asm_rr(&e->o, 4, 0x0fb6, scratch, home);
		return;
	}
	/* Named without REX, registers 4 and 5 are AH and CH. */
	asm_mov_rr(&e->o, 4, scratch, home);
	asm8(&e->o, 0x0f);
	asm8(&e->o, 0xb6);
	asm8(&e->o, 0xc0 | scratch << 3 | (4 + scratch));
}

/* ---- AH, CH, DH, BH as destination: the register goes to RAX, where the byte is AH ---- */

static inline void high_begin(struct emitter *e, unsigned off)
{
	asm_mov_rr(&e->o, 8, H_RAX, reg_get(e, off, H_RAX));
}

static inline void high_end(struct emitter *e, unsigned off)
{
	asm_mov_rr(&e->o, 8, reg_dst(e, off, H_RAX), H_RAX);
	reg_put(e, off, H_RAX);
}

/* opcode AH, CL, of a form that has ModRM.rm first. */
static inline void asm_ah_cl(struct emitter *e, unsigned opcode)
{
	asm8(&e->o, opcode);
	asm8(&e->o, 0xcc);
}

/* opcode AH, with a digit. */
static inline void asm_ah(struct emitter *e, unsigned opcode, unsigned digit)
{
	asm8(&e->o, opcode);
	asm8(&e->o, 0xc4 | digit << 3);
}

#endif
