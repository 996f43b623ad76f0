/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of an instruction in Intel syntax, in the spelling of objdump -M intel: what a row's
 * operands say, almost without per-instruction cases. Prefixes without effect are not shown.
 */
#include "engine/soft/insn.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/soft/decode/decode_impl.h"
#include "engine/soft/decode/operand.h"

struct text {
	char *at;
	size_t left; /* with the closing zero */
};

static void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void text_add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!t->left)
		return;
	va_start(args, fmt);
	n = vsnprintf(t->at, t->left, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= t->left)
		n = (int)t->left - 1;
	t->at += n;
	t->left -= (size_t)n;
}

static const char *const segment_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};

static void add_gpr(struct text *t, unsigned number, unsigned bytes, bool has_rex)
{
	static const char *const names[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
	static const char *const low[] = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
	static const char *const high[] = {"ah", "ch", "dh", "bh"};

	if (number >= 8)
		text_add(t, "r%u%s", number,
			 bytes == 1   ? "b"
			 : bytes == 2 ? "w"
			 : bytes == 4 ? "d"
				      : "");
	else if (bytes == 1)
		text_add(t, "%s", number >= 4 && !has_rex ? high[number - 4] : low[number]);
	else
		text_add(t, "%s%s", bytes == 2 ? "" : bytes == 4 ? "e" : "r", names[number]);
}

static void add_register(struct text *t, const struct parsed *p, const struct operand_info *o,
			 unsigned number)
{
	unsigned bytes = width_bytes(o->width, p->op_log2, p->size, p->l);

	switch ((enum register_file)o->file) {
	case FILE_GPR:
		add_gpr(t, number, bytes, p->has_rex || p->has_vex);
		break;
	case FILE_SEG:
		text_add(t, "%s", segment_names[number & 7]);
		break;
	case FILE_CR:
		text_add(t, "cr%u", number);
		break;
	case FILE_DR:
		text_add(t, "dr%u", number);
		break;
	case FILE_ST:
		if (o->place == AT_FIXED)
			text_add(t, "st");
		else
			text_add(t, "st(%u)", number & 7);
		break;
	case FILE_MMX:
		text_add(t, "mm%u", number & 7);
		break;
	case FILE_XMM:
		text_add(t, "%cmm%u", bytes == 32 ? 'y' : 'x', number);
		break;
	case FILE_CONST:
		text_add(t, "%u", number);
		break;
	case FILE_FLAGS:
	case FILE_NONE:
		break;
	}
}

static const char *pointer_name(enum operand_width width, unsigned bytes)
{
	if (width == WIDTH_table || width == WIDTH_fenv || width == WIDTH_fstate)
		return "";
	switch (bytes) {
	case 1:
		return "BYTE PTR ";
	case 2:
		return "WORD PTR ";
	case 4:
		return "DWORD PTR ";
	case 6:
		return "FWORD PTR ";
	case 8:
		return "QWORD PTR ";
	case 10:
		return "TBYTE PTR ";
	case 16:
		return "XMMWORD PTR ";
	case 32:
		return "YMMWORD PTR ";
	default:
		return "";
	}
}

static void add_segment(struct text *t, const struct parsed *p, const char *without_override)
{
	if (p->segment != SEG_NO_OVERRIDE)
		text_add(t, "%s:", segment_names[p->segment]);
	else
		text_add(t, "%s", without_override);
}

static void add_memory(struct text *t, const struct parsed *p, const struct operand_info *o)
{
	unsigned addr_bytes = 1u << p->addr_log2;
	enum operand_width width = o->mem_width ? o->mem_width : o->width;
	unsigned bytes = width_bytes(width, p->op_log2, p->size, p->l);
	bool has_base = p->base != SLOT_ZERO, has_index = p->index != SLOT_ZERO;

	text_add(t, "%s", pointer_name(width, bytes));
	if (!has_base && !has_index) {
		uint64_t address = (uint64_t)(int64_t)p->disp;

		if (addr_bytes < 8)
			address &= addr_bytes == 2 ? 0xffff : 0xffffffff;
		add_segment(t, p, "ds:");
		text_add(t, "0x%" PRIx64, address);
		return;
	}
	add_segment(t, p, "");
	text_add(t, "[");
	if (p->base == SLOT_RIP)
		text_add(t, "%s", addr_bytes == 8 ? "rip" : "eip");
	else if (has_base)
		add_gpr(t, p->base, addr_bytes, true);
	if (has_index) {
		text_add(t, "%s", has_base ? "+" : "");
		if (o->is_vsib)
			text_add(t, "%cmm%u", p->l ? 'y' : 'x', p->index);
		else
			add_gpr(t, p->index, addr_bytes, true);
		if (addr_bytes != 2)
			text_add(t, "*%u", 1u << p->scale_log2);
	}
	if (p->modrm >= 0x40 || p->base == SLOT_RIP || !has_base) {
		bool is_negative = p->disp < 0;

		text_add(t, "%c0x%" PRIx32, is_negative ? '-' : '+',
			 is_negative ? -(uint32_t)p->disp : (uint32_t)p->disp);
	}
	text_add(t, "]");
}

static void add_string_operand(struct text *t, const struct parsed *p, const struct operand_info *o)
{
	unsigned bytes = width_bytes(o->width, p->op_log2, p->size, p->l);

	text_add(t, "%s", pointer_name(o->width, bytes));
	if (o->place == AT_DST)
		text_add(t, "es:");
	else
		add_segment(t, p, "ds:");
	text_add(t, "[");
	add_gpr(t, o->place == AT_SRC ? RSI : RDI, 1u << p->addr_log2, true);
	text_add(t, "]");
}

/* Immediates are shown as wide as they are used. */
static uint64_t immediate(const struct parsed *p, enum insn_operand kind)
{
	const struct operand_info *o = &operand_info[kind];
	unsigned bytes = width_bytes(o->width, p->op_log2, p->size, false);

	if (p->form->imm_rule == IMM_16_8)
		return kind == O_Iw ? (uint16_t)p->imm : (uint8_t)(p->imm >> 16);
	if (kind == O_sIb || kind == O_Iz)
		bytes = 1u << p->op_log2;
	return bytes >= 8 ? p->imm : p->imm & (BIT64(bytes * 8) - 1);
}

static void add_operand(struct text *t, const struct parsed *p, enum insn_operand kind,
			uint64_t next_rip)
{
	const struct operand_info *o = &operand_info[kind];

	switch ((enum operand_place)o->place) {
	case AT_REG:
		add_register(t, p, o, p->reg);
		break;
	case AT_OPCODE:
		add_register(t, p, o, p->rm);
		break;
	case AT_RM:
		if (p->is_mem)
			add_memory(t, p, o);
		else
			add_register(t, p, o, p->rm);
		break;
	case AT_VVVV:
		add_register(t, p, o, p->vvvv);
		break;
	case AT_IS4:
		add_register(t, p, o, (p->imm >> 4) & 15);
		break;
	case AT_FIXED:
		add_register(t, p, o, o->number);
		break;
	case AT_IMM:
		text_add(t, "0x%" PRIx64, immediate(p, kind));
		break;
	case AT_REL: {
		uint64_t target = next_rip + p->imm;

		if (p->size != CODE_64)
			target &= p->op_log2 == 1 ? 0xffff : 0xffffffff;
		text_add(t, "0x%" PRIx64, target);
		break;
	}
	case AT_FAR:
		text_add(t, "0x%x:0x%" PRIx32, (unsigned)(p->imm >> 32), (uint32_t)p->imm);
		break;
	case AT_MOFFS:
		add_segment(t, p, "ds:");
		text_add(t, "0x%" PRIx64, p->imm);
		break;
	case AT_SRC:
	case AT_DST:
	case AT_SRC_DI:
		add_string_operand(t, p, o);
		break;
	case AT_NONE:
		break;
	}
}

/* Rows whose mnemonic depends on the operand size. */
static const char *mnemonic(const struct parsed *p, const struct insn_row *row)
{
	static const struct {
		const char *name, *names[3]; /* of the row; with 16, 32, 64 bits */
	} sized[] = {
		{"cbw", {"cbw", "cwde", "cdqe"}},	{"cwd", {"cwd", "cdq", "cqo"}},
		{"iret", {"iretw", "iret", "iretq"}},	{"movd", {"movd", "movd", "movq"}},
		{"vmovd", {"vmovd", "vmovd", "vmovq"}},
	};

	for (unsigned n = 0; n < ARRAY_SIZE(sized); n++)
		if (p->op_log2 && !strcmp(row->name, sized[n].name))
			return sized[n].names[p->op_log2 - 1];
	return row->name;
}

static void add_instruction(struct text *t, const struct parsed *p, uint64_t next_rip)
{
	const struct insn_row *row = &insn_rows[p->form->row];
	const char *separator = " ";

	if (p->has_lock)
		text_add(t, "lock ");
	if (row->attr & A_REP && p->rep)
		text_add(t, "%s ", p->rep == 0xf2 ? "repnz" : "rep");
	text_add(t, "%s", mnemonic(p, row));
	for (unsigned n = 0; n < ARRAY_SIZE(row->op) && row->op[n] != O_none; n++) {
		if (row->op[n] == O_Fv)
			continue;
		text_add(t, "%s", separator);
		add_operand(t, p, (enum insn_operand)row->op[n], next_rip);
		separator = ",";
	}
}

unsigned disassemble(const uint8_t *bytes, unsigned avail, enum code_size size, uint64_t rip,
		     char *text, unsigned text_len)
{
	uint32_t features[NR_CPUID_WORDS];
	struct text t = {.at = text, .left = text_len};
	struct parsed p;

	/* Every row the table has, whatever the guest's CPUID; sizes as on an Intel CPU. */
	for (unsigned n = 0; n < NR_CPUID_WORDS; n++)
		features[n] = UINT32_MAX;
	features[CPUID_VENDOR] = BIT(FEAT_NOT_AMD % 32);
	if (text_len)
		*text = 0;
	switch (parse(&p, bytes, avail, size, features)) {
	case PARSE_OK:
		add_instruction(&t, &p, rip + p.pos);
		return p.pos;
	case PARSE_SHORT:
		return 0;
	case PARSE_TOO_LONG:
		p.pos = p.limit;
		break;
	case PARSE_BAD:
		break;
	}
	text_add(&t, "(bad)");
	return p.pos;
}
