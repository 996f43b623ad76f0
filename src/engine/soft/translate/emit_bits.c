/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit tests, scans and counts, double shifts, byte swaps, CRC32 and the VEX-encoded instructions
 * on general registers: the host's own. The guest has none that the host lacks.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define ALU_AND	  4
#define SHIFT_SAR 7
#define DIGIT_BT  4

static unsigned log2_of(unsigned size)
{
	return size == 8 ? 3 : size == 4 ? 2 : 1;
}

/* ---- BT, BTS, BTR, BTC: all flags but CF stay ---- */

bool e_bit_imm(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), digit = digit_of(i);

	if (is_mem(i)) {
		struct mem_ref m = mem_access(
			e, i, size, (digit == DIGIT_BT ? MEM_READ : MEM_WRITE) | MEM_FLAGS);

		emit_lock(e, i);
		asm_rm(&e->o, size, 0x0fba, digit, m);
		asm8(&e->o, (unsigned)i->imm & (size * 8 - 1));
	} else {
		unsigned reg;

		flags_need(e);
		reg = reg_get(e, i->rm, H_RCX);
		asm_rr(&e->o, size, 0x0fba, digit, reg);
		asm8(&e->o, (unsigned)i->imm & (size * 8 - 1));
		if (digit != DIGIT_BT)
			reg_put(e, i->rm, reg);
	}
	flags_written(e);
	return true;
}

/* A bit number in a register reaches beyond the operand: access to the word that holds the bit. */
static struct mem_ref access_bit(struct emitter *e, const struct insn *i, unsigned how)
{
	unsigned size = size_of(i), bit;

	flags_clobber(e);
	emit_linear(e, i);
	bit = reg_get(e, i->reg, H_RAX);
	if (size == 8)
		asm_mov_rr(&e->o, 8, H_RAX, bit);
	else
		asm_rr(&e->o, 8, size == 4 ? 0x63 : 0x0fbf, H_RAX, bit);
	asm_shift_ri(&e->o, 8, SHIFT_SAR, H_RAX, 3 + log2_of(size));
	asm_lea(&e->o, 8, H_RCX,
		(struct mem_ref){.base = H_RCX, .index = H_RAX, .scale = (uint8_t)log2_of(size)});
	asm_store(&e->o, 8, FRAME(FRAME_TMP), H_RCX);
	return mem_access_tmp(e, i, size, how | MEM_FREE_RAX);
}

static void bit_test_mem(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m = access_bit(e, i, MEM_READ);

	asm_load(&e->o, size, H_RCX, m);
	flags_need(e);
	asm_rr(&e->o, size, 0x0fa3, reg_get(e, i->reg, H_RAX), H_RCX);
}

static void bit_change_mem(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m = access_bit(e, i, MEM_WRITE);

	asm_mov_rr(&e->o, 4, H_RAX, reg_get(e, i->reg, H_RAX));
	asm_alu_ri(&e->o, 4, ALU_AND, H_RAX, (int32_t)size * 8 - 1);
	asm_store(&e->o, 4, FRAME(FRAME_TMP), H_RAX);
	flags_need(e);
	asm_load(&e->o, 4, H_RAX, FRAME(FRAME_TMP));
	emit_lock(e, i);
	asm_rm(&e->o, size, 0x0f00 | insn_rows[i->row].opcode, H_RAX, m);
}

bool e_bit_reg(struct emitter *e, const struct insn *i)
{
	unsigned opcode = insn_rows[i->row].opcode;

	if (is_mem(i)) {
		/* The address would have to be cut after the bit number has been added. */
		if (i->ea & EA_ADDR32)
			return false;
		if (opcode == 0xa3)
			bit_test_mem(e, i);
		else
			bit_change_mem(e, i);
	} else {
		unsigned reg, bit;

		flags_need(e);
		reg = reg_get(e, i->rm, H_RCX);
		bit = reg_get(e, i->reg, H_RAX);
		asm_rr(&e->o, size_of(i), 0x0f00 | opcode, bit, reg);
		if (opcode != 0xa3)
			reg_put(e, i->rm, reg);
	}
	flags_written(e);
	return true;
}

/* ---- instructions in full ---- */

static struct host_insn host_form(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	return (struct host_insn){
		.map = row->map,
		.prefix = row->prefix,
		.opcode = row->opcode,
		.has_66 = size_of(i) == 2,
		.w = size_of(i) == 8,
	};
}

/* Operand E of h; its register may come to RAX. Without memory, RCX is free afterwards. */
static void set_source(struct emitter *e, const struct insn *i, struct host_insn *h, unsigned size,
		       unsigned how)
{
	if (is_mem(i)) {
		h->rm = H_NONE;
		h->mem = mem_access(e, i, size, how);
	} else {
		if (how & MEM_FLAGS)
			flags_need(e);
		h->rm = (uint8_t)reg_get(e, i->rm, H_RAX);
		e->scratch = H_RCX;
	}
}

/* BSF, BSR, TZCNT, LZCNT, POPCNT. The scans leave the destination alone when they find nothing. */
bool e_scan(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);

	set_source(e, i, &h, size_of(i), MEM_READ);
	h.reg = (uint8_t)reg_get(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, i->reg, h.reg);
	flags_written(e);
	return true;
}

/* The destination has 32 bits, or 64 of which the upper half becomes zero: the same. */
bool e_crc32(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);

	if (!is_mem(i) && REG_IS_HIGH(i->rm))
		return false;
	set_source(e, i, &h, size_of(i), MEM_READ);
	h.needs_rex = size_of(i) == 1;
	h.reg = (uint8_t)reg_get(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, i->reg, h.reg);
	return true;
}

bool e_adx(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);

	set_source(e, i, &h, size_of(i), MEM_READ | MEM_FLAGS);
	h.reg = (uint8_t)reg_get(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, i->reg, h.reg);
	flags_written(e);
	return true;
}

/* ---- SHLD, SHRD ---- */

/* A count of 0 changes no flags. */
static bool double_by_imm(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), opcode = 0x0f00 | insn_rows[i->row].opcode;
	bool is_nothing = !(i->imm & (size == 8 ? 63 : 31));

	if (is_mem(i)) {
		unsigned how = MEM_WRITE | (is_nothing ? MEM_FLAGS : 0);
		struct mem_ref m = mem_access(e, i, size, how);

		asm_rm(&e->o, size, opcode, reg_get(e, i->reg, e->scratch), m);
		asm8(&e->o, (uint8_t)i->imm);
	} else {
		unsigned src, dst;

		if (is_nothing)
			flags_need(e);
		src = reg_get(e, i->reg, H_RAX);
		dst = reg_get(e, i->rm, H_RCX);
		asm_rr(&e->o, size, opcode, src, dst);
		asm8(&e->o, (uint8_t)i->imm);
		reg_put(e, i->rm, dst);
	}
	flags_written(e);
	return true;
}

bool e_shift_double(struct emitter *e, const struct insn *i)
{
	unsigned opcode = 0x0f00 | insn_rows[i->row].opcode, src, dst;

	if (!(opcode & 1))
		return double_by_imm(e, i);
	/* The count takes RCX, one of the operands may take RAX. */
	if (is_mem(i) || (reg_is_in_frame(i->rm) && reg_is_in_frame(i->reg)))
		return false;
	flags_need(e);
	asm_mov_rr(&e->o, 4, H_RCX, GUEST_RCX);
	src = reg_get(e, i->reg, H_RAX);
	dst = reg_get(e, i->rm, H_RAX);
	asm_rr(&e->o, size_of(i), opcode, src, dst);
	reg_put(e, i->rm, dst);
	flags_written(e);
	return true;
}

/* ---- byte swaps ---- */

static void swap(struct emitter *e, unsigned size, unsigned reg)
{
	if (size == 8 || reg & 8)
		asm8(&e->o, 0x40 | (size == 8 ? 8 : 0) | reg >> 3);
	asm8(&e->o, 0x0f);
	asm8(&e->o, 0xc8 | (reg & 7));
}

bool e_bswap(struct emitter *e, const struct insn *i)
{
	unsigned reg;

	if (size_of(i) == 2)
		return false;
	reg = reg_get(e, i->reg, H_RCX);
	swap(e, size_of(i), reg);
	reg_put(e, i->reg, reg);
	return true;
}

/* The host's MOVBE, which may be missing, is not needed. */
bool e_movbe(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	bool is_store = insn_rows[i->row].opcode == 0xf1;
	struct mem_ref m;

	if (size == 2)
		return false;
	m = mem_access(e, i, size, is_store ? MEM_WRITE : MEM_READ);
	if (is_store) {
		asm_mov_rr(&e->o, 8, e->scratch, reg_get(e, i->reg, e->scratch));
		swap(e, size, e->scratch);
		asm_store(&e->o, size, m, e->scratch);
	} else {
		unsigned reg = reg_dst(e, i->reg, e->scratch);

		asm_load(&e->o, size, reg, m);
		swap(e, size, reg);
		reg_put(e, i->reg, reg);
	}
	return true;
}

/* ---- VEX-encoded ---- */

/* ANDN, BEXTR, BZHI, PEXT, PDEP, SHLX, SHRX, SARX: one destination, a source in vvvv. */
bool e_bmi(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	struct host_insn h = host_form(i);

	h.is_vex = true;
	set_source(e, i, &h, size_of(i), MEM_READ);
	h.vvvv = (uint8_t)reg_get(e, INSN_VVVV(i) * 8, e->scratch);
	h.reg = (uint8_t)reg_dst(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, i->reg, h.reg);
	if (row->flags_written)
		flags_written(e);
	return true;
}

/* BLSR, BLSMSK, BLSI: the destination is in vvvv. */
bool e_bls(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);
	unsigned off = INSN_VVVV(i) * 8;

	h.is_vex = true;
	h.reg = (uint8_t)digit_of(i);
	set_source(e, i, &h, size_of(i), MEM_READ);
	h.vvvv = (uint8_t)reg_dst(e, off, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, off, h.vvvv);
	flags_written(e);
	return true;
}

bool e_rorx(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);

	h.is_vex = true;
	h.has_imm8 = true;
	h.imm8 = (uint8_t)i->imm;
	set_source(e, i, &h, size_of(i), MEM_READ);
	h.reg = (uint8_t)reg_dst(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, i->reg, h.reg);
	return true;
}

/* The high half to reg, the low one to vvvv; reg last, should both be one. */
bool e_mulx(struct emitter *e, const struct insn *i)
{
	struct host_insn h = host_form(i);
	unsigned low = INSN_VVVV(i) * 8;

	if (low != i->reg && reg_is_in_frame(low) && reg_is_in_frame(i->reg))
		return false;
	h.is_vex = true;
	set_source(e, i, &h, size_of(i), MEM_READ);
	h.vvvv = (uint8_t)reg_dst(e, low, e->scratch);
	h.reg = (uint8_t)reg_dst(e, i->reg, e->scratch);
	asm_insn(&e->o, &h);
	reg_put(e, low, h.vvvv);
	reg_put(e, i->reg, h.reg);
	return true;
}
