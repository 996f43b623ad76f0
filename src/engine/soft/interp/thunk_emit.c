// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes the code of a thunk: load operands, the guest's instruction with its registers replaced,
 * store results. Host registers:
 *
 *   rdi	memory operand, addressed as [rdi]
 *   rsi, rdx, rcx, r9	pointers to the operands in ModRM.reg, vvvv, ModRM.rm and imm8[7:4]
 *   r8		struct cpu
 *   1, 3, 2, 4	vector (or MMX) registers for the same four; 0 is the implicit XMM0
 *   rax, rdx	general registers for ModRM.reg and ModRM.rm
 *
 * x87 instructions run on a whole FXSAVE image at rsi, with the guest's own control word: an
 * unmasked exception then only becomes pending, as on hardware, and FNINIT forgets it.
 */
#include "engine/soft/interp/thunk_impl.h"

#include "engine/soft/decode/operand.h"

enum { HOST_RAX, HOST_RCX, HOST_RDX, HOST_RSI = 6, HOST_RDI, HOST_R8, HOST_R9 };
enum { VECTOR_XMM0, VECTOR_REG, VECTOR_RM, VECTOR_VVVV, VECTOR_IS4 };

#define XMM_OFFSET	 offsetof(struct cpu, fpu.xmm)
#define HIGH_DISTANCE	 (offsetof(struct xsave_area, ymm_high) - offsetof(struct xsave_area, xmm))
#define NO_BASE		 0xff
#define STATUS_AND_FIXED (FLAGS_STATUS | FLAG_FIXED)

/* One host instruction. */
struct encoding {
	uint8_t map, prefix, opcode; /* enum insn_map, enum insn_prefix */
	bool is_vex, l, w;
	uint8_t reg, vvvv;
	uint8_t base, rm; /* memory at base + disp, or register rm when base is NO_BASE */
	uint32_t disp;
};

static void emit8(struct thunk_code *code, uint8_t byte)
{
	BUG_ON(code->len == sizeof(code->bytes));
	code->bytes[code->len++] = byte;
}

static void emit32(struct thunk_code *code, uint32_t value)
{
	for (unsigned n = 0; n < 4; n++)
		emit8(code, value >> n * 8);
}

static void emit_vex_prefix(struct thunk_code *code, const struct encoding *e, bool b)
{
	static const uint8_t pp[] = {[P_ANY] = 0, [P_NONE] = 0, [P_66] = 1, [P_F3] = 2, [P_F2] = 3};

	emit8(code, 0xc4);
	emit8(code, 0xc0 | (b ? 0 : 0x20) | e->map);
	emit8(code, (e->w ? 0x80 : 0) | (~e->vvvv & 15) << 3 | (e->l ? 4 : 0) | pp[e->prefix]);
}

static void emit_legacy_prefix(struct thunk_code *code, const struct encoding *e, bool b)
{
	static const uint8_t bytes[] = {[P_66] = 0x66, [P_F3] = 0xf3, [P_F2] = 0xf2};

	if (e->prefix > P_NONE)
		emit8(code, bytes[e->prefix]);
	if (e->w || b)
		emit8(code, 0x40 | (e->w ? 8 : 0) | b);
	if (e->map != MAP_1)
		emit8(code, 0x0f);
	if (e->map == MAP_0F38)
		emit8(code, 0x38);
	if (e->map == MAP_0F3A)
		emit8(code, 0x3a);
}

/* Everything but an immediate. No base register here needs a SIB byte. */
static void emit(struct thunk_code *code, const struct encoding *e)
{
	bool is_mem = e->base != NO_BASE, b = is_mem && e->base >= 8;

	if (e->is_vex)
		emit_vex_prefix(code, e, b);
	else
		emit_legacy_prefix(code, e, b);
	emit8(code, e->opcode);
	if (!is_mem) {
		emit8(code, 0xc0 | e->reg << 3 | e->rm);
		return;
	}
	emit8(code, (e->disp ? 0x80 : 0) | e->reg << 3 | (e->base & 7));
	if (e->disp)
		emit32(code, e->disp);
}

/* MOV between a general register and 64 bits of memory. */
static void emit_gpr(struct thunk_code *code, bool is_store, unsigned reg, unsigned base,
		     uint32_t disp)
{
	const struct encoding e = {
		.map = MAP_1,
		.opcode = is_store ? 0x89 : 0x8b,
		.w = true,
		.reg = reg,
		.base = base,
		.disp = disp,
	};

	emit(code, &e);
}

static void emit_mmx(struct thunk_code *code, bool is_store, unsigned reg, unsigned base)
{
	const struct encoding e = {
		.map = MAP_0F,
		.opcode = is_store ? 0x7f : 0x6f,
		.reg = reg,
		.base = base,
	};

	emit(code, &e);
	if (!is_store)
		return;
	/* A write to an MMX register sets the exponent: mov word [base + 8], 0xffff. */
	const struct encoding exponent = {
		.map = MAP_1,
		.prefix = P_66,
		.opcode = 0xc7,
		.base = base,
		.disp = 8,
	};

	emit(code, &exponent);
	emit8(code, 0xff);
	emit8(code, 0xff);
}

/* MOVDQU of the low half, and VINSERTF128 or VEXTRACTF128 of the high one. */
static void emit_vector(struct thunk_code *code, bool is_store, bool is_vex, bool is_wide,
			unsigned reg, unsigned base, uint32_t disp)
{
	const struct encoding low = {
		.map = MAP_0F,
		.prefix = P_F3,
		.opcode = is_store ? 0x7f : 0x6f,
		.is_vex = is_vex,
		.reg = reg,
		.base = base,
		.disp = disp,
	};
	const struct encoding high = {
		.map = MAP_0F3A,
		.prefix = P_66,
		.opcode = is_store ? 0x19 : 0x18,
		.is_vex = true,
		.l = true,
		.reg = reg,
		.vvvv = is_store ? 0 : reg,
		.base = base,
		.disp = disp + HIGH_DISTANCE,
	};

	emit(code, &low);
	if (!is_wide)
		return;
	emit(code, &high);
	emit8(code, 1);
}

static unsigned host_vector(const struct operand_info *o)
{
	switch (o->place) {
	case AT_REG:
		return VECTOR_REG;
	case AT_RM:
		return VECTOR_RM;
	case AT_VVVV:
		return VECTOR_VVVV;
	case AT_IS4:
		return VECTOR_IS4;
	default:
		return VECTOR_XMM0;
	}
}

static unsigned host_pointer(const struct operand_info *o)
{
	switch (o->place) {
	case AT_REG:
		return HOST_RSI;
	case AT_RM:
		return HOST_RCX;
	case AT_VVVV:
		return HOST_RDX;
	case AT_IS4:
		return HOST_R9;
	default:
		return HOST_R8; /* XMM0 */
	}
}

static bool operand_is_wide(const struct operand_info *o, bool l)
{
	return o->width == WIDTH_256 || (o->width == WIDTH_x && l);
}

static bool row_has(const struct insn_row *row, bool (*is)(const struct operand_info *o))
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (is(&operand_info[row->op[n]]))
			return true;
	return false;
}

static bool is_immediate(const struct operand_info *o)
{
	return o->place == AT_IMM;
}

static bool is_y(const struct operand_info *o)
{
	return o->width == WIDTH_y;
}

static bool is_mmx(const struct operand_info *o)
{
	return o->file == FILE_MMX;
}

static bool is_scaled_by_l(const struct operand_info *o)
{
	return o->width == WIDTH_x || o->width == WIDTH_256;
}

/* PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI: implicit RAX, RDX; results in XMM0 or ECX. */
static bool row_is_pcmpstr(const struct insn_row *row)
{
	return row->map == MAP_0F3A && (row->opcode & 0xfc) == 0x60;
}

static bool row_is_fma(const struct insn_row *row)
{
	return row->map == MAP_0F38 && row->opcode >= 0x96 && row->opcode <= 0xbf;
}

/* Rows that write flags compare: all their operands are sources. */
static bool row_has_destination(const struct insn_row *row)
{
	return !row->flags_written;
}

bool thunk_row_has_imm(const struct insn_row *row)
{
	return row_has(row, is_immediate);
}

bool thunk_row_is_x87(const struct insn_row *row)
{
	return row->map == MAP_1;
}

/* Loads every register operand that is read. General registers last: they replace pointers. */
static void emit_loads(struct thunk_code *code, const struct thunk_form *form)
{
	const struct insn_row *row = form->row;
	bool is_vex = row->vex != VEX_NO;

	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];
		bool is_destination = n == 0 && row_has_destination(row);

		if (o->place == AT_RM && form->is_mem)
			continue;
		/* Only FMA reads its destination; legacy instructions may keep part of it. */
		if (is_destination && is_vex && !row_is_fma(row))
			continue;
		if (o->file == FILE_MMX)
			emit_mmx(code, false, host_vector(o), host_pointer(o));
		if (o->file == FILE_XMM)
			emit_vector(code, false, is_vex, operand_is_wide(o, form->l),
				    host_vector(o), host_pointer(o),
				    o->place == AT_FIXED ? XMM_OFFSET : 0);
	}
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->file == FILE_GPR && o->place == AT_RM && !form->is_mem && n > 0)
			emit_gpr(code, false, HOST_RDX, HOST_RCX, 0);
	}
	if (row_is_pcmpstr(row)) {
		emit_gpr(code, false, HOST_RAX, HOST_R8, offsetof(struct cpu, gpr[RAX]));
		emit_gpr(code, false, HOST_RDX, HOST_R8, offsetof(struct cpu, gpr[RDX]));
	}
}

/* The instruction itself. */
static void emit_instruction(struct thunk_code *code, const struct thunk_form *form)
{
	const struct insn_row *row = form->row;
	bool w_matters = row_has(row, is_y) || row_is_pcmpstr(row);
	struct encoding e = {
		.map = row->map,
		.prefix = row->prefix,
		.opcode = row->opcode,
		.is_vex = row->vex != VEX_NO,
		.l = form->l && row_has(row, is_scaled_by_l),
		.w = row->w == W_1 || (row->w == W_ANY && form->w && w_matters),
		.reg = row->digit ? row->digit - 1 : 0,
		.base = form->is_mem ? HOST_RDI : NO_BASE,
		.rm = VECTOR_RM, /* RDX has the same number */
	};
	bool has_imm = false;
	uint8_t imm = form->sub;

	_Static_assert((int)VECTOR_RM == (int)HOST_RDX, "ModRM.rm serves both files");
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->place == AT_REG)
			e.reg = o->file == FILE_GPR ? HOST_RAX : VECTOR_REG;
		if (o->place == AT_VVVV)
			e.vvvv = VECTOR_VVVV;
		has_imm |= o->place == AT_IMM || o->place == AT_IS4;
		if (o->place == AT_IS4)
			imm = VECTOR_IS4 << 4;
	}
	emit(code, &e);
	if (has_imm)
		emit8(code, imm);
}

static void emit_stores(struct thunk_code *code, const struct thunk_form *form)
{
	const struct insn_row *row = form->row;
	const struct operand_info *o = &operand_info[row->op[0]];
	bool is_vex = row->vex != VEX_NO;

	if (row->flags_written) {
		emit8(code, 0x9c); /* pushfq */
		emit8(code, 0x58); /* pop rax */
	}
	if (row_is_pcmpstr(row)) {
		if (row->opcode & 1)
			emit_gpr(code, true, HOST_RCX, HOST_R8, offsetof(struct cpu, gpr[RCX]));
		else
			emit_vector(code, true, is_vex, is_vex, VECTOR_XMM0, HOST_R8, XMM_OFFSET);
	}
	if (!row_has_destination(row) || (o->place == AT_RM && form->is_mem))
		return;
	if (o->file == FILE_MMX)
		emit_mmx(code, true, host_vector(o), host_pointer(o));
	if (o->file == FILE_XMM) /* VEX instructions clear the upper half: store it always */
		emit_vector(code, true, is_vex, is_vex, host_vector(o), host_pointer(o), 0);
	if (o->file == FILE_GPR)
		emit_gpr(code, true, o->place == AT_REG ? HOST_RAX : HOST_RDX, host_pointer(o), 0);
}

static void emit_x87(struct thunk_code *code, const struct thunk_form *form)
{
	const struct insn_row *row = form->row;
	const struct encoding restore = {
		.map = MAP_0F, .opcode = 0xae, .w = true, .reg = 1, .base = HOST_RSI};
	const struct encoding save = {
		.map = MAP_0F, .opcode = 0xae, .w = true, .reg = 0, .base = HOST_RSI};
	const struct encoding instruction = {
		.map = MAP_1,
		.opcode = row->opcode,
		.reg = row->digit - 1,
		.base = form->is_mem ? HOST_RDI : NO_BASE,
		.rm = form->sub,
	};

	emit(code, &restore);
	if (row->flags_read | row->flags_written) {
		/* The status flags of the guest, nothing else of its RFLAGS. */
		emit_gpr(code, false, HOST_RAX, HOST_R8, offsetof(struct cpu, rflags));
		emit8(code, 0x25); /* and eax, imm32 */
		emit32(code, STATUS_AND_FIXED);
		emit8(code, 0x50); /* push rax */
		emit8(code, 0x9d); /* popfq */
	}
	emit(code, &instruction);
	if (row->flags_written) {
		emit8(code, 0x9c); /* pushfq */
		emit8(code, 0x58); /* pop rax */
	}
	emit(code, &save);
	emit8(code, 0xdb); /* fninit */
	emit8(code, 0xe3);
	emit8(code, 0xc3); /* ret */
}

static struct thunk_register thunk_register(uint8_t file)
{
	switch (file) {
	case FILE_XMM:
		return (struct thunk_register){.base = XMM_OFFSET, .mask = 0x78, .shift = 1};
	case FILE_MMX:
		return (struct thunk_register){
			.base = offsetof(struct cpu, fpu.st), .mask = 0x38, .shift = 1};
	default:
		return (struct thunk_register){.mask = 0x78};
	}
}

static void describe(const struct thunk_form *form, struct thunk *t)
{
	const struct insn_row *row = form->row;

	*t = (struct thunk){
		.attr = row->attr,
		.flags = row->flags_written,
		.is_exempt_from_ac = row->feature == FEAT_F16C,
	};
	if (form->is_mem) {
		/* In 64-bit code, because sizes depend on the mode for state images only. */
		t->mem_size = row_mem_bytes(row, form->w ? 3 : 2, CODE_64, form->l);
		t->is_store = operand_info[row->op[0]].place == AT_RM && row_has_destination(row);
		if (row->attr & A_ALIGN && t->mem_size >= 16)
			t->mem_align = t->mem_size - 1;
	}
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->place == AT_REG)
			t->reg = thunk_register(o->file);
		if (o->place == AT_RM && !form->is_mem)
			t->rm = thunk_register(o->file);
		if (o->file == FILE_XMM)
			t->touches |= XCR0_SSE | (operand_is_wide(o, form->l) ? XCR0_AVX : 0);
		if (o->file == FILE_MMX)
			t->touches |= XCR0_X87;
	}
}

void thunk_emit(const struct thunk_form *form, struct thunk *t, struct thunk_code *code)
{
	code->len = 0;
	describe(form, t);
	if (thunk_row_is_x87(form->row)) {
		emit_x87(code, form);
		return;
	}
	emit_loads(code, form);
	emit_instruction(code, form);
	emit_stores(code, form);
	if (row_has(form->row, is_mmx)) {
		emit8(code, 0x0f); /* emms */
		emit8(code, 0x77);
	}
	if (form->row->vex != VEX_NO) {
		emit8(code, 0xc5); /* vzeroupper */
		emit8(code, 0xf8);
		emit8(code, 0x77);
	}
	emit8(code, 0xc3); /* ret */
}
