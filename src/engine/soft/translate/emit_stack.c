/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stack with operands of 8 bytes. Those of 2 bytes are left to the interpreter.
 */
#include "engine/soft/translate/emit.h"
#include "engine/soft/translate/emitters.h"

#define GUEST_RSP H_R11 /* where guest RSP is */
#define RSP_OFF	  (RSP * 8)

static void move_rsp(struct emitter *e, int32_t delta)
{
	asm_lea(&e->o, 8, GUEST_RSP, MEM_BASE(GUEST_RSP, delta));
}

static void push_mem(struct emitter *e, const struct insn *i)
{
	struct mem_ref m = mem_access(e, i, 8, MEM_READ);

	asm_load(&e->o, 8, e->scratch, m);
	asm_store(&e->o, 8, FRAME(FRAME_TMP), e->scratch);
	m = mem_access_at(e, i, RSP_OFF, -8, 8, MEM_WRITE);
	asm_load(&e->o, 8, e->scratch, FRAME(FRAME_TMP));
	asm_store(&e->o, 8, m, e->scratch);
	move_rsp(e, -8);
}

bool e_push(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool has_imm = row->opcode == 0x68 || row->opcode == 0x6a;
	struct mem_ref m;

	if (PFX_SIZE(i->prefix) != 8)
		return false;
	if (i->prefix & PFX_MEM) {
		push_mem(e, i);
		return true;
	}
	m = mem_access_at(e, i, RSP_OFF, -8, 8, MEM_WRITE);
	if (has_imm) {
		asm_rm(&e->o, 8, 0xc7, 0, m);
		asm_imm(&e->o, 8, i->imm);
	} else {
		unsigned off = row->opcode == 0xff ? i->rm : i->reg;

		asm_store(&e->o, 8, m, reg_get(e, off, e->scratch));
	}
	move_rsp(e, -8);
	return true;
}

bool e_pop(struct emitter *e, const struct insn *i)
{
	unsigned off = insn_rows[i->row].opcode == 0x8f ? i->rm : i->reg, reg;
	struct mem_ref m;

	if (PFX_SIZE(i->prefix) != 8 || i->prefix & PFX_MEM)
		return false;
	m = mem_access_at(e, i, RSP_OFF, 0, 8, MEM_READ);
	reg = reg_dst(e, off, e->scratch);
	asm_load(&e->o, 8, reg, m);
	reg_put(e, off, reg);
	if (off != RSP_OFF)
		move_rsp(e, 8);
	return true;
}

bool e_leave(struct emitter *e, const struct insn *i)
{
	struct mem_ref m;

	if (PFX_SIZE(i->prefix) != 8)
		return false;
	m = mem_access_at(e, i, RBP * 8, 0, 8, MEM_READ);
	asm_lea(&e->o, 8, GUEST_RSP, MEM_BASE(H_RBP, 8));
	asm_load(&e->o, 8, H_RBP, m);
	return true;
}
