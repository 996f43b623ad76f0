/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves, with and without a condition.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define OPCODE_MOVZX 0x0fb6
#define OPCODE_MOVSX 0x0fbe

/* EAX = guest AH, CH, DH or BH, extended. Named without REX, register 4 is AH. */
static void emit_high_byte(struct emitter *e, unsigned off, unsigned opcode)
{
	asm_mov_rr(&e->o, 4, H_RAX, reg_get(e, off, H_RAX));
	asm8(&e->o, 0x0f);
	asm8(&e->o, opcode & 0xff);
	asm8(&e->o, 0xc4);
}

/* Operands of a size that leaves the rest of the register alone have to be loaded before. */
static unsigned reg_target(struct emitter *e, unsigned off, unsigned size, unsigned scratch)
{
	return size >= 4 ? reg_dst(e, off, scratch) : reg_get(e, off, scratch);
}

static void load_to(struct emitter *e, unsigned size, unsigned reg, struct mem_ref m)
{
	asm_rm(&e->o, size, size == 1 ? 0x8a : 0x8b, reg, m);
}

static void mov_high_reg(struct emitter *e, unsigned dst, unsigned src)
{
	load_byte(e, src, H_RCX);
	if (REG_IS_HIGH(dst)) {
		high_begin(e, dst);
		asm_ah_cl(e, 0x88);
		high_end(e, dst);
	} else {
		unsigned reg = reg_get(e, dst, H_RAX);

		asm_mov_rr(&e->o, 1, reg, H_RCX);
		reg_put(e, dst, reg);
	}
}

/* Bytes, one of them AH to BH. */
static void mov_high(struct emitter *e, const struct insn *i, bool is_to_reg)
{
	struct mem_ref m;

	if (!is_mem(i)) {
		mov_high_reg(e, is_to_reg ? i->reg : i->rm, is_to_reg ? i->rm : i->reg);
		return;
	}
	m = mem_access(e, i, 1, is_to_reg ? MEM_READ : MEM_WRITE);
	if (is_to_reg) {
		asm_rm(&e->o, 4, OPCODE_MOVZX, H_RCX, m);
		high_begin(e, i->reg);
		asm_ah_cl(e, 0x88);
		high_end(e, i->reg);
	} else {
		load_byte(e, i->reg, e->scratch);
		asm_store(&e->o, 1, m, e->scratch);
	}
}

bool e_mov(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_to_reg = row->opcode & 2;
	unsigned size = PFX_SIZE(i->prefix), reg;

	if (REG_IS_HIGH(i->reg) || (!is_mem(i) && REG_IS_HIGH(i->rm))) {
		mov_high(e, i, is_to_reg);
		return true;
	}
	if (!is_mem(i)) {
		unsigned dst = is_to_reg ? i->reg : i->rm, src = is_to_reg ? i->rm : i->reg;
		unsigned from = reg_get(e, src, H_RCX);

		reg = reg_target(e, dst, size, H_RAX);
		asm_mov_rr(&e->o, size, reg, from);
		reg_put(e, dst, reg);
		return true;
	}

	struct mem_ref m = mem_access(e, i, size, is_to_reg ? MEM_READ : MEM_WRITE);

	if (is_to_reg) {
		reg = reg_target(e, i->reg, size, e->scratch);
		load_to(e, size, reg, m);
		reg_put(e, i->reg, reg);
	} else {
		asm_store(&e->o, size, m, reg_get(e, i->reg, e->scratch));
	}
	return true;
}

bool e_mov_imm(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_in_opcode = row->opcode < 0xc0;
	unsigned size = PFX_SIZE(i->prefix), off = is_in_opcode ? i->reg : i->rm, reg;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_WRITE);

		asm_rm(&e->o, size, size == 1 ? 0xc6 : 0xc7, 0, m);
		asm_imm(&e->o, size, i->imm);
		return true;
	}
	if (REG_IS_HIGH(off)) {
		high_begin(e, off);
		asm8(&e->o, 0xb4); /* mov ah, imm8 */
		asm8(&e->o, (uint8_t)i->imm);
		high_end(e, off);
		return true;
	}
	reg = reg_target(e, off, size, H_RCX);
	if (size >= 4) {
		asm_mov_imm(&e->o, reg, size == 4 ? (uint32_t)i->imm : i->imm);
	} else {
		asm_rr(&e->o, size, size == 1 ? 0xc6 : 0xc7, 0, reg);
		asm_imm(&e->o, size, i->imm);
	}
	reg_put(e, off, reg);
	return true;
}

/* MOVZX and MOVSX from bytes and words, MOVSXD. AH to BH are read by way of RAX. */
bool e_extend(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_dword = row->map == MAP_1;
	unsigned size = PFX_SIZE(i->prefix);
	unsigned from = is_dword ? 4 : row->opcode & 1 ? 2 : 1;
	unsigned opcode = is_dword ? 0x63 : 0x0f00 | row->opcode, reg;

	if (is_dword && size == 2)
		return false;
	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, from, MEM_READ);

		reg = reg_target(e, i->reg, size, e->scratch);
		asm_rm(&e->o, size, opcode, reg, m);
	} else if (from == 1 && REG_IS_HIGH(i->rm)) {
		if (size == 2)
			return false;
		emit_high_byte(e, i->rm, opcode);
		reg = reg_dst(e, i->reg, H_RAX);
		if (size == 8 && opcode == OPCODE_MOVSX)
			asm_rr(&e->o, 8, 0x63, reg, H_RAX);
		else if (reg != H_RAX)
			asm_mov_rr(&e->o, 4, reg, H_RAX);
	} else {
		unsigned src = reg_get(e, i->rm, H_RCX);

		reg = reg_target(e, i->reg, size, H_RAX);
		asm_rr(&e->o, size, opcode, reg, src);
	}
	reg_put(e, i->reg, reg);
	return true;
}

bool e_lea(struct emitter *e, const struct insn *i)
{
	unsigned size = PFX_SIZE(i->prefix), reg;

	if (size == 2)
		return false;
	reg = reg_dst(e, i->reg, H_RCX);
	emit_address(e, i, size, reg);
	reg_put(e, i->reg, reg);
	return true;
}

/* CBW, CWDE, CDQE; CWD, CDQ, CQO. */
bool e_widen(struct emitter *e, const struct insn *i)
{
	unsigned size = PFX_SIZE(i->prefix), rax = reg_get(e, RAX * 8, H_RAX);
	bool is_to_rdx = insn_rows[i->row].opcode == 0x99;

	if (!is_to_rdx) {
		asm_rr(&e->o, size, size == 2 ? OPCODE_MOVSX : size == 4 ? 0x0fbf : 0x63, rax, rax);
		return true;
	}
	/* RDX is where it belongs. */
	asm_mov_rr(&e->o, 8, H_RAX, rax);
	if (size == 2)
		asm8(&e->o, 0x66);
	if (size == 8)
		asm8(&e->o, 0x48);
	asm8(&e->o, 0x99);
	return true;
}

bool e_nop(struct emitter *e, const struct insn *i)
{
	return true;
}

/* ---- conditions ---- */

bool e_setcc(struct emitter *e, const struct insn *i)
{
	unsigned opcode = 0x0f00 | insn_rows[i->row].opcode;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, 1, MEM_WRITE | MEM_FLAGS);

		asm_rm(&e->o, 1, opcode, 0, m);
	} else {
		unsigned reg;

		flags_need(e);
		if (REG_IS_HIGH(i->rm)) {
			high_begin(e, i->rm);
			asm8(&e->o, 0x0f);
			asm_ah(e, opcode & 0xff, 0);
			high_end(e, i->rm);
			return true;
		}
		reg = reg_get(e, i->rm, H_RCX);
		asm_rr(&e->o, 1, opcode, 0, reg);
		reg_put(e, i->rm, reg);
	}
	return true;
}

/* With 32 bits the upper half is cleared in any case. */
bool e_cmov(struct emitter *e, const struct insn *i)
{
	unsigned size = PFX_SIZE(i->prefix), opcode = 0x0f00 | insn_rows[i->row].opcode, reg;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_READ | MEM_FLAGS);

		reg = reg_get(e, i->reg, H_RAX);
		asm_rm(&e->o, size, opcode, reg, m);
	} else {
		unsigned src;

		flags_need(e);
		src = reg_get(e, i->rm, H_RAX);
		reg = reg_get(e, i->reg, H_RCX);
		asm_rr(&e->o, size, opcode, reg, src);
	}
	reg_put(e, i->reg, reg);
	return true;
}
