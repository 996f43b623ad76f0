/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arithmetic: the host's own instruction on the guest's registers.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define ALU_ADC 2
#define ALU_SBB 3
#define ALU_CMP 7

/* An operation on a register with the register or memory operand as source: 03 and its like. */
static void op_reg_mem(struct emitter *e, const struct insn *i, unsigned opcode, struct mem_ref m,
		       bool is_stored)
{
	unsigned reg = reg_get(e, i->reg, e->scratch);

	asm_rm(&e->o, size_of(i), opcode, reg, m);
	if (is_stored)
		reg_put(e, i->reg, reg);
}

/* ---- two operands ---- */

/*
 * CMP and TEST with memory, when flags will be needed after they had to be clobbered: the value is
 * kept, and they can be worked out again. The interpreter does not keep it, so its way is another.
 */
static bool wants_value(const struct emitter *e, const struct insn *i, bool has_imm)
{
	if (has_imm)
		return recipe_is_wanted(e, 0);
	return !REG_IS_HIGH(i->reg) && recipe_is_wanted(e, 1u << i->reg / 8);
}

static void compare_kept(struct emitter *e, const struct insn *i, bool is_test, bool has_imm,
			 bool is_value_first)
{
	struct mem_ref m = mem_access(e, i, size_of(i), MEM_READ | MEM_LEAVE);
	unsigned size = size_of(i), is_byte = size == 1, value = e->scratch, reg = i->reg;
	unsigned regs = has_imm ? 0 : 1u << reg / 8;
	struct asm_out *o = &e->o;
	struct recipe recipe = {.is_valid = true,
				.has_imm = has_imm,
				.has_value = true,
				.is_value_first = is_value_first,
				.kind = is_test ? RECIPE_TEST : RECIPE_COMPARE,
				.insn = i,
				.size = (uint8_t)size,
				.dst = (uint8_t)reg,
				.regs = (uint16_t)regs,
				.imm = (int32_t)i->imm};

	if (size < 4)
		asm_rm(o, 4, is_byte ? 0x0fb6 : 0x0fb7, value, m);
	else
		asm_load(o, size, value, m);
	asm_store(o, 8, FRAME(FRAME_VALUE), value);
	if (has_imm && is_test) {
		asm_rr(o, size, 0xf7 - is_byte, 0, value);
		asm_imm(o, size, i->imm);
	} else if (has_imm) {
		asm_alu_ri(o, size, ALU_CMP, value, (int32_t)i->imm);
	} else if (reg_is_in_frame(reg)) {
		/* There is one scratch register: the value is used where it is kept. */
		unsigned opcode = is_test ? 0x85 : is_value_first ? 0x39 : 0x3b;

		asm_rm(o, size, opcode - is_byte, reg_get(e, reg, value), FRAME(FRAME_VALUE));
	} else {
		unsigned opcode = is_test ? 0x85 : is_value_first ? 0x39 : 0x3b;

		asm_rr(o, size, opcode - is_byte, reg_get(e, reg, value), value);
	}
	flags_written(e);
	e->recipe = recipe;
}

static bool alu_with_imm(struct emitter *e, const struct insn *i, unsigned n, unsigned target)
{
	unsigned size = size_of(i);
	bool reads = n == ALU_ADC || n == ALU_SBB;

	if (is_mem(i)) {
		unsigned how = (n == ALU_CMP ? MEM_READ : MEM_WRITE) | (reads ? MEM_FLAGS : 0);
		struct mem_ref m;

		if (n == ALU_CMP && wants_value(e, i, true)) {
			compare_kept(e, i, false, true, true);
			return true;
		}
		m = mem_access(e, i, size, how);
		emit_lock(e, i);
		asm_alu_mi(&e->o, size, n, m, (int32_t)i->imm);
	} else {
		unsigned reg;

		if (reads)
			flags_need(e);
		if (REG_IS_HIGH(target)) {
			high_begin(e, target);
			asm_ah(e, 0x80, n);
			asm8(&e->o, (uint8_t)i->imm);
			if (n != ALU_CMP)
				high_end(e, target);
			flags_written(e);
			return true;
		}
		reg = reg_get(e, target, H_RCX);
		asm_alu_ri(&e->o, size, n, reg, (int32_t)i->imm);
		if (n != ALU_CMP)
			reg_put(e, target, reg);
	}
	flags_written(e);
	recipe_set(e, i);
	return true;
}

/* Byte operands one of which is AH to BH. */
static void alu_high(struct emitter *e, unsigned n, unsigned dst, unsigned src)
{
	load_byte(e, src, H_RCX);
	if (REG_IS_HIGH(dst)) {
		high_begin(e, dst);
		asm_ah_cl(e, n << 3);
		if (n != ALU_CMP)
			high_end(e, dst);
	} else {
		unsigned reg = reg_get(e, dst, H_RAX);

		asm_rr(&e->o, 1, n << 3, H_RCX, reg);
		if (n != ALU_CMP)
			reg_put(e, dst, reg);
	}
}

/* The same with the other in memory. */
static void alu_high_mem(struct emitter *e, const struct insn *i, unsigned n, bool is_to_reg,
			 struct mem_ref m)
{
	if (!is_to_reg) {
		load_byte(e, i->reg, e->scratch);
		emit_lock(e, i);
		asm_rm(&e->o, 1, n << 3, e->scratch, m);
		return;
	}
	asm_rm(&e->o, 4, 0x0fb6, H_RCX, m);
	high_begin(e, i->reg);
	asm_ah_cl(e, n << 3);
	if (n != ALU_CMP)
		high_end(e, i->reg);
}

static bool alu_with_reg(struct emitter *e, const struct insn *i, unsigned n, unsigned opcode)
{
	bool is_to_reg = opcode & 2, reads = n == ALU_ADC || n == ALU_SBB;
	unsigned size = size_of(i);

	if (is_mem(i)) {
		bool is_stored = !is_to_reg && n != ALU_CMP;
		struct mem_ref m;

		if (n == ALU_CMP && wants_value(e, i, false)) {
			compare_kept(e, i, false, false, !is_to_reg);
			return true;
		}
		m = mem_access(e, i, size,
			       (is_stored ? MEM_WRITE : MEM_READ) | (reads ? MEM_FLAGS : 0));
		if (REG_IS_HIGH(i->reg)) {
			alu_high_mem(e, i, n, is_to_reg, m);
		} else if (is_to_reg) {
			op_reg_mem(e, i, opcode, m, n != ALU_CMP);
		} else {
			unsigned reg = reg_get(e, i->reg, e->scratch);

			emit_lock(e, i);
			asm_rm(&e->o, size, opcode, reg, m);
		}
	} else {
		unsigned dst = is_to_reg ? i->reg : i->rm, a, b;

		if (reads)
			flags_need(e);
		if (REG_IS_HIGH(i->reg) || REG_IS_HIGH(i->rm)) {
			alu_high(e, n, dst, is_to_reg ? i->rm : i->reg);
			flags_written(e);
			return true;
		}
		a = reg_get(e, i->reg, H_RCX);
		b = i->rm == i->reg ? a : reg_get(e, i->rm, H_RAX);
		asm_rr(&e->o, size, opcode, a, b);
		if (n != ALU_CMP)
			reg_put(e, dst, is_to_reg ? a : b);
	}
	flags_written(e);
	recipe_set(e, i);
	return true;
}

bool e_alu(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	if (row->opcode >= 0x80)
		return alu_with_imm(e, i, row->digit - 1u, i->rm);
	if ((row->opcode & 7) >= 4)
		return alu_with_imm(e, i, row->opcode >> 3, RAX * 8);
	return alu_with_reg(e, i, row->opcode >> 3, row->opcode);
}

static void test_high(struct emitter *e, const struct insn *i, bool has_imm)
{
	unsigned src = i->reg, dst = i->rm;

	/* The operands may change places. */
	if (!has_imm && !REG_IS_HIGH(dst)) {
		src = i->rm;
		dst = i->reg;
	}
	if (!has_imm)
		load_byte(e, src, H_RCX);
	high_begin(e, dst);
	if (has_imm) {
		asm_ah(e, 0xf6, 0);
		asm8(&e->o, (uint8_t)i->imm);
	} else {
		asm_ah_cl(e, 0x84);
	}
	flags_written(e);
}

bool e_test(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool has_imm = row->opcode >= 0xa8, is_rax = has_imm && row->opcode < 0xf0;
	unsigned size = size_of(i), target = is_rax ? RAX * 8 : i->rm;
	unsigned opcode = size == 1 ? (has_imm ? 0xf6 : 0x84) : (has_imm ? 0xf7 : 0x85);

	if (is_mem(i)) {
		struct mem_ref m;
		unsigned reg = 0;

		if (wants_value(e, i, has_imm)) {
			compare_kept(e, i, true, has_imm, true);
			return true;
		}
		m = mem_access(e, i, size, MEM_READ);
		if (!has_imm && REG_IS_HIGH(i->reg))
			load_byte(e, i->reg, reg = e->scratch);
		else if (!has_imm)
			reg = reg_get(e, i->reg, e->scratch);
		asm_rm(&e->o, size, opcode, reg, m);
	} else {
		unsigned reg;

		if (REG_IS_HIGH(target) || (!has_imm && REG_IS_HIGH(i->reg))) {
			test_high(e, i, has_imm);
			return true;
		}
		reg = reg_get(e, target, H_RCX);
		asm_rr(&e->o, size, opcode,
		       has_imm		  ? 0
		       : i->reg == target ? reg
					  : reg_get(e, i->reg, H_RAX),
		       reg);
	}
	if (has_imm)
		asm_imm(&e->o, size, i->imm);
	flags_written(e);
	recipe_set(e, i);
	return true;
}

/* ---- one operand ---- */

bool e_unary(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned size = size_of(i), opcode = row->opcode, digit = row->digit - 1u;
	bool is_not = !row->flags_written,
	     is_partial = row->flags_written != FLAGS_STATUS && !is_not;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_WRITE | (is_partial ? MEM_FLAGS : 0));

		emit_lock(e, i);
		asm_rm(&e->o, size, opcode, digit, m);
	} else {
		if (is_partial)
			flags_need(e);
		if (REG_IS_HIGH(i->rm)) {
			high_begin(e, i->rm);
			asm_ah(e, opcode, digit);
			high_end(e, i->rm);
		} else {
			unsigned reg = reg_get(e, i->rm, H_RCX);

			asm_rr(&e->o, size, opcode, digit, reg);
			reg_put(e, i->rm, reg);
		}
	}
	if (!is_not)
		flags_written(e);
	return true;
}

/* ---- shifts ---- */

/*
 * A count of 0 changes no flags, rotations only some: then the guest's flags have to be there. Of a
 * count in CL nothing is known.
 */
bool e_shift(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned size = size_of(i), opcode = row->opcode, digit = row->digit - 1u;
	bool is_by_cl = opcode >= 0xd2, is_by_imm = opcode < 0xd0;
	unsigned count = is_by_imm ? (unsigned)i->imm & (size == 8 ? 63 : 31) : 1;
	bool needs = is_by_cl || !count || row->flags_written != FLAGS_STATUS;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_WRITE | MEM_FREE_RCX);

		if (needs) {
			/* Restoring flags takes RAX, which the address may be in. */
			asm_lea(&e->o, 8, H_RCX, m);
			flags_need(e);
			asm_mov_rr(&e->o, 8, H_RAX, H_RCX);
			m = MEM_BASE(H_RAX, 0);
		}
		if (is_by_cl)
			asm_mov_rr(&e->o, 4, H_RCX, reg_get(e, RCX * 8, H_RCX));
		asm_rm(&e->o, size, opcode, digit, m);
		if (is_by_imm)
			asm8(&e->o, (uint8_t)i->imm);
	} else {
		unsigned reg;

		if (REG_IS_HIGH(i->rm))
			return false;
		if (needs)
			flags_need(e);
		if (is_by_cl)
			asm_mov_rr(&e->o, 4, H_RCX, reg_get(e, RCX * 8, H_RCX));
		reg = reg_get(e, i->rm, H_RAX);
		asm_rr(&e->o, size, opcode, digit, reg);
		if (is_by_imm)
			asm8(&e->o, (uint8_t)i->imm);
		reg_put(e, i->rm, reg);
	}
	flags_written(e);
	return true;
}

/* ---- IMUL with two and three operands ---- */

bool e_imul(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool has_imm = row->map == MAP_1;
	unsigned size = size_of(i), opcode = has_imm ? row->opcode : 0x0faf, reg;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_READ);

		reg = has_imm && size > 2 ? reg_dst(e, i->reg, e->scratch)
					  : reg_get(e, i->reg, e->scratch);
		asm_rm(&e->o, size, opcode, reg, m);
	} else {
		unsigned rm = reg_get(e, i->rm, H_RAX);

		reg = reg_get(e, i->reg, H_RCX);
		asm_rr(&e->o, size, opcode, reg, rm);
	}
	if (has_imm && opcode == 0x6b)
		asm8(&e->o, (uint8_t)i->imm);
	else if (has_imm)
		asm_imm(&e->o, size, i->imm);
	reg_put(e, i->reg, reg);
	flags_written(e);
	return true;
}
