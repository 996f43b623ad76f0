/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector instructions: the host's own on the same vector registers, with another memory operand and
 * other general registers. What a row needs follows from its operands. Exceptions of MXCSR cannot
 * occur: with one of them unmasked vector registers are not loaded. Left to the interpreter: MMX,
 * gathers, MASKMOVDQU, and what reads or writes MXCSR by itself.
 */
#include "base/base.h"
#include "engine/soft/decode/operand.h"
#include "engine/soft/fpu.h"
#include "engine/soft/translate/emit.h"
#include "engine/soft/translate/emitters.h"

static bool is_mem(const struct insn *i)
{
	return i->prefix & PFX_MEM;
}

static bool is_wide(const struct insn *i)
{
	return PFX_SIZE(i->prefix) == 8;
}

/* PCMPESTRM and PCMPESTRI, whose implicit operands are EAX and EDX, or with W RAX and RDX. */
static bool is_pcmpestr(const struct insn_row *row)
{
	return row->map == MAP_0F3A && (row->opcode & 0xfe) == 0x60;
}

/* What is not aligned faults, and never comes back from the interpreter: but AMD's SHA does. */
static bool may_come_back(const struct emitter *e, const struct insn *i)
{
	return insn_rows[i->row].feature == FEAT_SHA && is_mem(i) && cpu_has(e->cpu, FEAT_AMD);
}

static bool is_possible(const struct insn_row *row)
{
	if (!simd_host_has(row->feature))
		return false;
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->file == FILE_MMX || o->is_vsib || o->place == AT_SRC_DI)
			return false;
	}
	return true;
}

/* All but a memory operand and general registers. */
static struct host_insn encoding_of(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	struct host_insn h = {
		.map = row->map,
		.prefix = row->prefix,
		.opcode = row->opcode,
		.is_vex = row->vex != VEX_NO,
		.w = row->w == W_1 || (is_pcmpestr(row) && is_wide(i)),
		.reg = row->digit ? row->digit - 1 : 0,
		.rm = H_NONE,
		.imm8 = (uint8_t)i->imm,
	};

	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->place == AT_REG)
			h.reg = i->reg / 8;
		if (o->place == AT_RM && !is_mem(i))
			h.rm = i->rm / 8;
		if (o->place == AT_VVVV)
			h.vvvv = INSN_VVVV(i);
		h.has_imm8 |= o->place == AT_IMM || o->place == AT_IS4;
		/* L and W count only where an operand follows them. */
		h.l |= INSN_L(i) && (o->width == WIDTH_x || o->width == WIDTH_256);
		h.w |= row->w == W_ANY && is_wide(i) && o->width == WIDTH_y;
	}
	return h;
}

static struct mem_ref access_operand(struct emitter *e, const struct insn *i, unsigned how)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned size = row_mem_bytes(row, is_wide(i) ? 3 : 2, CODE_64, INSN_L(i));
	/* Rows that write flags compare: none of their operands is a destination. */
	bool is_store = operand_info[row->op[0]].place == AT_RM && !row->flags_written;

	if (is_store)
		how |= MEM_WRITE;
	if (row->attr & A_ALIGN && size >= 16)
		how |= MEM_ALIGNED;
	return mem_access(e, i, size, how);
}

/* Operand n of the row, if it is a general register: puts its host register into h, and tells it. */
static unsigned choose_gpr(struct emitter *e, const struct insn *i, unsigned n, unsigned scratch,
			   struct host_insn *h)
{
	const struct operand_info *o = &operand_info[insn_rows[i->row].op[n]];
	bool is_reg = o->place == AT_REG;
	unsigned off = is_reg ? i->reg : i->rm, host;

	if (o->file != FILE_GPR || (!is_reg && is_mem(i)))
		return H_NONE;
	host = n == 0 ? reg_dst(e, off, scratch) : reg_get(e, off, scratch);
	*(is_reg ? &h->reg : &h->rm) = (uint8_t)host;
	return host;
}

/* The instruction, with vector registers loaded and its memory operand, if any, in h. */
static void emit_native(struct emitter *e, const struct insn *i, struct host_insn *h)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned scratch = is_mem(i) ? e->scratch : H_RAX;
	unsigned result = choose_gpr(e, i, 0, scratch, h);

	for (unsigned n = 1; n < ARRAY_SIZE(row->op); n++)
		choose_gpr(e, i, n, scratch, h);
	asm_insn(&e->o, h);
	if (result != H_NONE)
		reg_put(e, operand_info[row->op[0]].place == AT_REG ? i->reg : i->rm, result);
	if (row->flags_written)
		flags_written(e);
}

bool e_simd(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	struct host_insn h = encoding_of(i);

	if (!is_possible(row) || may_come_back(e, i))
		return false;
	emit_need_simd(e, h.is_vex);
	if (is_mem(i))
		h.mem = access_operand(e, i, MEM_READ);
	emit_native(e, i, &h);
	return true;
}

/* Lengths are in RAX and RDX, the index goes to ECX. */
bool e_pcmpstr(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	struct host_insn h = encoding_of(i);

	if (!is_possible(row))
		return false;
	emit_need_simd(e, h.is_vex);
	if (is_mem(i))
		h.mem = access_operand(e, i, MEM_READ | MEM_FREE_RAX);
	if (is_pcmpestr(row))
		asm_mov_rr(&e->o, 8, H_RAX, reg_get(e, RAX * 8, H_RAX));
	emit_native(e, i, &h);
	if (row->opcode & 1)
		asm_mov_rr(&e->o, 4, reg_dst(e, RCX * 8, H_RCX), H_RCX);
	return true;
}

bool e_vzero(struct emitter *e, const struct insn *i)
{
	emit_need_simd(e, true);
	asm8(&e->o, 0xc5);
	asm8(&e->o, insn_rows[i->row].vex == VEX_256 ? 0xfc : 0xf8);
	asm8(&e->o, 0x77);
	return true;
}

/* Stores a general register: the vector state does not matter. */
bool e_movnti(struct emitter *e, const struct insn *i)
{
	unsigned size = is_wide(i) ? 8 : 4;
	struct mem_ref m = mem_access(e, i, size, MEM_WRITE);

	asm_rm(&e->o, size, 0x0fc3, reg_get(e, i->reg, e->scratch), m);
	return true;
}

/* LFENCE, MFENCE, SFENCE. */
bool e_fence(struct emitter *e, const struct insn *i)
{
	asm8(&e->o, 0x0f);
	asm8(&e->o, 0xae);
	asm8(&e->o, 0xc0 | (insn_rows[i->row].digit - 1u) << 3);
	return true;
}
