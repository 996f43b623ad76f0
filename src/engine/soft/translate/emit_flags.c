/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on the flags themselves. POPF, which changes what the interpreter looks at, is left
 * to it.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define GUEST_RSP H_R11
#define ALU_OR	  1
#define ALU_AND	  4
#define AH_FLAGS  0xd5 /* SF ZF AF PF CF */

/* Makes the frame hold the guest's flags, and the host's free. */
static void flags_to_memory(struct emitter *e)
{
	flags_to_frame(e);
	flags_clobber(e);
}

/* The byte of FRAME_FLAGS that is as LAHF gives it, to AH or from it. */
static void move_ah(struct emitter *e, bool is_store)
{
	asm8(&e->o, is_store ? 0x88 : 0x8a);
	asm8(&e->o, 0xa4);
	asm8(&e->o, 0x24);
	asm32(&e->o, FRAME_FLAGS + 1);
}

bool e_lahf(struct emitter *e, const struct insn *i)
{
	flags_to_memory(e);
	load_rax(e);
	move_ah(e, false);
	asm_mov_rr(&e->o, 8, GUEST_RAX, H_RAX);
	return true;
}

/* OF stays. */
bool e_sahf(struct emitter *e, const struct insn *i)
{
	flags_to_memory(e);
	load_rax(e);
	asm_ah(e, 0x80, ALU_AND);
	asm8(&e->o, AH_FLAGS);
	asm_ah(e, 0x80, ALU_OR);
	asm8(&e->o, FLAG_FIXED);
	move_ah(e, true);
	e->recipe.is_valid = false;
	return true;
}

/* CLC, STC, CMC. */
bool e_carry(struct emitter *e, const struct insn *i)
{
	flags_need(e);
	asm8(&e->o, insn_rows[i->row].opcode);
	flags_written(e);
	return true;
}

/* CLD, STD. */
bool e_direction(struct emitter *e, const struct insn *i)
{
	bool is_set = insn_rows[i->row].opcode == 0xfd;

	flags_clobber(e);
	load_cpu(e);
	asm_alu_mi(&e->o, 4, is_set ? ALU_OR : ALU_AND, CPU_AT_RCX(rflags),
		   is_set ? (int32_t)FLAG_DF : ~(int32_t)FLAG_DF);
	return true;
}

bool e_pushf(struct emitter *e, const struct insn *i)
{
	struct mem_ref m;

	if (size_of(i) != 8)
		return false;
	flags_to_memory(e);
	load_cpu(e);
	asm_load(&e->o, 4, H_RCX, CPU_AT_RCX(rflags));
	asm_alu_ri(&e->o, 4, ALU_AND, H_RCX, ~(int32_t)(FLAGS_STATUS | FLAG_VM | FLAG_RF));
	asm_rm(&e->o, 4, 0x0fb6, H_RAX, FRAME(FRAME_FLAGS + 1));
	asm_rr(&e->o, 4, 0x09, H_RAX, H_RCX);
	asm_rm(&e->o, 4, 0x0fb6, H_RAX, FRAME(FRAME_FLAGS));
	asm_shift_ri(&e->o, 4, 4, H_RAX, 11); /* OF */
	asm_rr(&e->o, 4, 0x09, H_RAX, H_RCX);
	asm_store(&e->o, 8, FRAME(FRAME_TMP), H_RCX);
	m = mem_access_at(e, i, RSP * 8, -8, 8, MEM_WRITE);
	asm_load(&e->o, 8, e->scratch, FRAME(FRAME_TMP));
	asm_store(&e->o, 8, m, e->scratch);
	asm_lea(&e->o, 8, GUEST_RSP, MEM_BASE(GUEST_RSP, -8));
	return true;
}
