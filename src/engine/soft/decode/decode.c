/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From an instruction taken apart to one ready to run: register offsets, effective address, exec
 * function. What depends on more than the code size (CPL, CR0, real mode) is checked when it runs.
 */
#include "engine/soft/exec.h"

#include "engine/soft/decode/decode_impl.h"

/* Byte offset of a register in cpu->gpr. Without REX, byte registers 4 to 7 are AH, CH, DH and BH.
 */
static uint8_t register_offset(unsigned number, bool is_byte, bool is_eight, bool has_rex)
{
	if (is_eight)
		number &= 7;
	if (is_byte && !has_rex && number >= 4)
		return (number - 4) * 8 + 1;
	return number * 8;
}

/*
 * Segment and address size. In 64-bit mode only FS and GS have a base, and DS and SS differ in
 * nothing but the fault they raise; elsewhere every operand is segmented.
 */
static uint8_t address_flags(const struct parsed *p)
{
	bool is_stack = p->is_mem && (p->base == RBP || p->base == RSP);
	unsigned segment = is_stack ? SEG_SS : SEG_DS;
	uint8_t flags = 0;

	if (p->segment != SEG_NO_OVERRIDE)
		segment = p->segment;
	if (p->size != CODE_64 || p->segment != SEG_NO_OVERRIDE)
		flags |= EA_SEGMENTED;
	if (p->addr_log2 == 2)
		flags |= EA_ADDR32;
	else if (p->addr_log2 == 1)
		flags |= EA_ADDR16;
	return flags ? flags | segment << EA_SEG_SHIFT : EA_FLAT;
}

static unsigned invalid(struct insn *out, const struct parsed *p, exec_fn exec, unsigned off)
{
	*out = (struct insn){
		.exec = exec,
		.row = (uint16_t)nr_insn_rows,
		.off = (uint16_t)off,
		.len = (uint8_t)p->pos,
		.base = SLOT_ZERO,
		.index = SLOT_ZERO,
	};
	return out->len;
}

static uint8_t prefix_flags(const struct parsed *p)
{
	return (p->has_lock ? PFX_LOCK : 0) | (p->rep == 0xf3 ? PFX_REPE : 0) |
	       (p->rep == 0xf2 ? PFX_REPNE : 0) | p->op_log2 << PFX_SIZE_SHIFT |
	       (p->w ? PFX_W : 0) | (p->is_mem ? PFX_MEM : 0) | (p->has_66 ? PFX_OPSIZE : 0);
}

unsigned decode(const uint8_t *bytes, unsigned avail, enum code_size size,
		const uint32_t features[NR_CPUID_WORDS], unsigned off, struct insn *out)
{
	struct parsed p;

	switch (parse(&p, bytes, avail, size, features)) {
	case PARSE_OK:
		break;
	case PARSE_SHORT:
		return 0;
	case PARSE_TOO_LONG:
		p.pos = p.limit;
		return invalid(out, &p, x_gp, off);
	case PARSE_BAD:
		return invalid(out, &p, x_ud, off);
	}

	const struct form *form = p.form;
	exec_fn exec = insn_rows[form->row].exec[p.is_mem][p.op_log2];
	bool has_rex = p.has_rex || p.has_vex;

	if (!exec)
		return invalid(out, &p, x_ud, off);
	*out = (struct insn){
		.exec = exec,
		.imm = p.imm,
		.disp = p.disp,
		.row = form->row,
		.off = (uint16_t)off,
		.len = (uint8_t)p.pos,
		.reg = register_offset(form->flags & FORM_OPCODE ? p.rm : p.reg,
				       form->flags & FORM_REG8, form->flags & FORM_REG3, has_rex),
		.rm = p.is_mem ? p.modrm
			       : register_offset(p.rm, form->flags & FORM_RM8,
						 form->flags & FORM_RM3, has_rex),
		.base = p.base,
		.index = p.index | p.scale_log2 << 6,
		.ea = address_flags(&p),
		.prefix = prefix_flags(&p),
		.vex = p.has_vex ? p.vvvv | p.l << 4 | INSN_VEX : 0,
	};
	if (p.base == SLOT_RIP) {
		int64_t disp = (int64_t)p.disp + off + p.pos;

		if (disp == (int32_t)disp)
			out->disp = (int32_t)disp;
		else
			out->ea |= EA_FAR_DISP | (out->ea == EA_FLAT ? SEG_DS << EA_SEG_SHIFT : 0);
	}
	return out->len;
}
