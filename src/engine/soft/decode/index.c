/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index over the instruction table: for each opcode map and opcode the rows that use it, with
 * everything worked out that the decoder would otherwise look up per operand. Built once per
 * process.
 */
#include "engine/soft/decode/decode_impl.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/soft/decode/operand.h"

#define NR_MAPS	     4
#define GROUP_DIGIT  0x000000ffu
#define GROUP_RM     0x0000ff00u
#define GROUP_PREFIX (SIT_PREFIX(P_NONE) | SIT_PREFIX(P_66) | SIT_PREFIX(P_F3) | SIT_PREFIX(P_F2))

/* Written under built, read-only afterwards. */
static pthread_once_t built = PTHREAD_ONCE_INIT;
static struct opcode_forms opcodes[NR_MAPS][256];
static struct form *forms;

static bool row_has_opcode_register(const struct insn_row *row)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (operand_info[row->op[n]].place == AT_OPCODE)
			return true;
	return false;
}

static bool row_needs_modrm(const struct insn_row *row)
{
	if (row->digit || row->rm || row->mod)
		return true;
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		enum operand_place place = operand_info[row->op[n]].place;

		if (place == AT_REG || place == AT_RM)
			return true;
	}
	return false;
}

static uint32_t row_accepts(const struct insn_row *row)
{
	static const uint32_t mod[] = {SIT_REG | SIT_MEM, SIT_REG, SIT_MEM};
	static const uint32_t mode[] = {SIT_64 | SIT_NOT64, SIT_64, SIT_NOT64};
	static const uint32_t w[] = {SIT_W0 | SIT_W1, SIT_W0, SIT_W1};
	static const uint32_t vex[] = {SIT_LEGACY, SIT_L0, SIT_L1, SIT_L0 | SIT_L1};
	uint32_t accepts = SIT_B0 | SIT_B1;

	accepts |= mod[row->mod] | mode[row->mode] | w[row->w] | vex[row->vex];
	accepts |= row->digit ? SIT_DIGIT(row->digit - 1) : GROUP_DIGIT;
	accepts |= row->rm ? SIT_RM(row->rm - 1) : GROUP_RM;
	accepts |= row->prefix == P_ANY ? GROUP_PREFIX : SIT_PREFIX(row->prefix);
	if (row->map == MAP_1 && row->opcode == 0x90 && !row_has_opcode_register(row))
		accepts &= ~SIT_B1;
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->mod)
			accepts &= ~(SIT_REG | SIT_MEM) | mod[o->mod];
	}
	return accepts;
}

/* v wins over y, z and byte operands: MOVZX Gv, Eb has the size of its destination. */
static enum size_rule row_size_rule(const struct insn_row *row)
{
	bool has_v = false, has_y = false, has_z = false, has_8 = false;

	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		/* Immediates, CL and constants follow another operand. */
		if (o->place == AT_IMM || o->place == AT_REL || o->file == FILE_CONST ||
		    row->op[n] == O_CL)
			continue;
		has_v |= o->width == WIDTH_v || o->mem_width == WIDTH_v;
		has_y |= o->width == WIDTH_y;
		has_z |= o->width == WIDTH_z;
		has_8 |= o->width == WIDTH_8;
	}
	if (has_v)
		return SIZE_V;
	if (has_y)
		return SIZE_Y;
	if (has_z)
		return SIZE_Z;
	return has_8 ? SIZE_B : SIZE_DEFAULT;
}

static enum imm_rule row_imm_rule(const struct insn_row *row)
{
	enum imm_rule rule = IMM_NONE;

	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		switch (o->place) {
		case AT_IS4:
			rule = IMM_IS4;
			break;
		case AT_FAR:
			rule = IMM_FAR;
			break;
		case AT_MOFFS:
			rule = IMM_MOFFS;
			break;
		case AT_IMM:
		case AT_REL:
			if (o->width == WIDTH_8)
				rule = rule == IMM_16 ? IMM_16_8 : IMM_8;
			else if (o->width == WIDTH_16)
				rule = IMM_16;
			else
				rule = o->width == WIDTH_z ? IMM_Z : IMM_V;
			break;
		default:
			break;
		}
	}
	return rule;
}

static uint8_t row_form_flags(const struct insn_row *row)
{
	uint8_t flags = row->attr & A_LOCK ? FORM_LOCK : 0;

	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];
		bool is_byte = o->file == FILE_GPR && o->width == WIDTH_8;
		bool is_eight = o->file == FILE_MMX || o->file == FILE_SEG || o->file == FILE_ST;

		/* A kind without a line in the table of operands would decode as nothing. */
		BUG_ON(row->op[n] != O_none && o->place == AT_NONE);
		if (o->place == AT_REG)
			flags |= (is_byte ? FORM_REG8 : 0) | (is_eight ? FORM_REG3 : 0);
		if (o->place == AT_RM)
			flags |= (is_byte ? FORM_RM8 : 0) | (is_eight ? FORM_RM3 : 0) |
				 (o->is_vsib ? FORM_VSIB : 0);
		if (o->place == AT_OPCODE)
			flags |= FORM_OPCODE | (is_byte ? FORM_REG8 : 0);
		if (o->place == AT_VVVV)
			flags |= FORM_VVVV;
	}
	return flags;
}

static struct form row_form(const struct insn_row *row)
{
	return (struct form){
		.accepts = row_accepts(row),
		.row = (uint16_t)(row - insn_rows),
		.feature = row->feature,
		.size_rule = row_size_rule(row),
		.imm_rule = row_imm_rule(row),
		.flags = row_form_flags(row),
		.attr = row->attr & (A_D64 | A_F64),
	};
}

static void build(void)
{
	unsigned nr = 0;

	BUG_ON(nr_insn_rows >= UINT16_MAX / 8);
	forms = calloc(nr_insn_rows * 8 + 1, sizeof(*forms));
	BUG_ON(!forms);
	for (const struct insn_row *row = insn_rows; row < insn_rows + nr_insn_rows; row++) {
		unsigned span = row_has_opcode_register(row) ? 8 : 1;

		BUG_ON(row->map >= NR_MAPS || row->opcode + span > 256);
		for (unsigned n = 0; n < span; n++)
			opcodes[row->map][row->opcode + n].nr++;
	}
	for (unsigned n = 0; n < NR_MAPS * 256; n++) {
		struct opcode_forms *o = &opcodes[n / 256][n % 256];

		o->first = nr;
		nr += o->nr;
		o->nr = 0;
	}
	for (const struct insn_row *row = insn_rows; row < insn_rows + nr_insn_rows; row++) {
		unsigned span = row_has_opcode_register(row) ? 8 : 1;
		struct form form = row_form(row);

		for (unsigned n = 0; n < span; n++) {
			struct opcode_forms *o = &opcodes[row->map][row->opcode + n];

			forms[o->first + o->nr++] = form;
			o->has_modrm |= row_needs_modrm(row);
		}
	}
}

void decode_init(void)
{
	pthread_once(&built, build);
}

const struct opcode_forms *opcode_forms(unsigned map, unsigned opcode)
{
	return &opcodes[map][opcode];
}

const struct form *form_at(unsigned n)
{
	return &forms[n];
}
