/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes the bytes of one instruction apart: prefixes, REX and VEX, ModRM, SIB, displacement,
 * immediate (SDM vol. 2, chapter 2), and finds its row. EVEX and XOP are no instructions here.
 */
#include "engine/soft/decode/decode_impl.h"

#include <string.h>

#define INSN_BYTES_MAX 15

/* Whether n more bytes are there; the caller then reads them at bytes + pos and advances. */
static inline bool has_bytes(const struct parsed *p, unsigned n)
{
	return p->pos + n <= p->limit;
}

/* What running out of bytes means. */
static enum parse_result out_of_bytes(const struct parsed *p)
{
	return p->limit == INSN_BYTES_MAX ? PARSE_TOO_LONG : PARSE_SHORT;
}

static inline int64_t sign_extended(const uint8_t *bytes, unsigned size)
{
	union {
		int8_t s8;
		int16_t s16;
		int32_t s32;
		int64_t s64;
	} v;

	switch (size) {
	case 1:
		memcpy(&v.s8, bytes, 1);
		return v.s8;
	case 2:
		memcpy(&v.s16, bytes, 2);
		return v.s16;
	case 4:
		memcpy(&v.s32, bytes, 4);
		return v.s32;
	default:
		memcpy(&v.s64, bytes, 8);
		return v.s64;
	}
}

/* Legacy prefixes and REX. In 64-bit mode ES, CS, SS and DS overrides mean nothing. */
static enum parse_result parse_prefixes(struct parsed *p)
{
	bool is_64 = p->size == CODE_64;

	for (;; p->pos++) {
		if (!has_bytes(p, 1))
			return out_of_bytes(p);

		uint8_t byte = p->bytes[p->pos];

		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (!is_64)
				p->segment = SEG_ES + ((byte >> 3) & 3);
			break;
		case 0x64:
		case 0x65:
			p->segment = SEG_FS + (byte & 1);
			break;
		case 0x66:
			p->has_66 = true;
			break;
		case 0x67:
			p->has_67 = true;
			break;
		case 0xf0:
			p->has_lock = true;
			break;
		case 0xf2:
		case 0xf3:
			p->rep = byte;
			break;
		default:
			if (!is_64 || (byte & 0xf0) != 0x40)
				return PARSE_OK;
			/* REX counts only right before the opcode. */
			p->has_rex = true;
			p->w = byte & 8;
			p->r = byte & 4;
			p->x = byte & 2;
			p->b = byte & 1;
			continue;
		}
		p->has_rex = p->w = p->r = p->x = p->b = false;
	}
}

/* C4 and C5; pos is behind the first byte. Sets map, opcode's prefix and the VEX fields. */
static enum parse_result parse_vex(struct parsed *p, bool is_long, enum insn_prefix *prefix)
{
	static const uint8_t prefixes[] = {P_NONE, P_66, P_F3, P_F2};

	if (!has_bytes(p, is_long ? 2 : 1))
		return out_of_bytes(p);

	uint8_t first = p->bytes[p->pos], last = p->bytes[p->pos + is_long];

	p->pos += 1 + is_long;
	if (p->has_lock || p->has_66 || p->rep || p->has_rex)
		return PARSE_BAD;
	p->has_vex = true;
	p->r = !(first & 0x80);
	p->map = MAP_0F;
	if (is_long) {
		unsigned map = first & 0x1f;

		if (map < MAP_0F || map > MAP_0F3A)
			return PARSE_BAD;
		p->map = map;
		p->x = !(first & 0x40);
		p->b = !(first & 0x20) && p->size == CODE_64;
		p->w = last & 0x80;
	}
	p->vvvv = (~last >> 3) & (p->size == CODE_64 ? 15 : 7);
	p->l = last & 4;
	*prefix = prefixes[last & 3];
	return PARSE_OK;
}

static enum parse_result parse_opcode(struct parsed *p, enum insn_prefix *prefix)
{
	uint8_t byte = p->bytes[p->pos++];

	*prefix = p->rep == 0xf3 ? P_F3 : p->rep == 0xf2 ? P_F2 : p->has_66 ? P_66 : P_NONE;
	p->map = MAP_1;
	if (byte == 0xc4 || byte == 0xc5) {
		bool is_vex = p->size == CODE_64;

		if (!is_vex) {
			if (!has_bytes(p, 1))
				return out_of_bytes(p);
			is_vex = (p->bytes[p->pos] & 0xc0) == 0xc0;
		}
		if (is_vex) {
			enum parse_result result = parse_vex(p, byte == 0xc4, prefix);

			if (result != PARSE_OK)
				return result;
			if (!has_bytes(p, 1))
				return out_of_bytes(p);
			byte = p->bytes[p->pos++];
		}
	} else if (byte == 0x0f) {
		if (!has_bytes(p, 1))
			return out_of_bytes(p);
		byte = p->bytes[p->pos++];
		p->map = MAP_0F;
		if (byte == 0x38 || byte == 0x3a) {
			p->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
			if (!has_bytes(p, 1))
				return out_of_bytes(p);
			byte = p->bytes[p->pos++];
		}
	}
	p->opcode = byte;
	return PARSE_OK;
}

/* 16-bit addressing (SDM vol. 2, table 2-1). */
static enum parse_result parse_address16(struct parsed *p)
{
	static const uint8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const uint8_t indexes[] = {RSI,	     RDI,	RSI,	   RDI,
					  SLOT_ZERO, SLOT_ZERO, SLOT_ZERO, SLOT_ZERO};
	unsigned mod = p->modrm >> 6, rm = p->modrm & 7, disp_size = mod;

	p->base = bases[rm];
	p->index = indexes[rm];
	if (mod == 0 && rm == 6) {
		p->base = SLOT_ZERO;
		disp_size = 2;
	}
	if (!disp_size)
		return PARSE_OK;
	if (!has_bytes(p, disp_size))
		return out_of_bytes(p);
	p->disp = (int32_t)sign_extended(p->bytes + p->pos, disp_size);
	p->pos += disp_size;
	return PARSE_OK;
}

/* 32-bit and 64-bit addressing (SDM vol. 2, tables 2-2 and 2-3, 2.2.1.6). */
static enum parse_result parse_address(struct parsed *p)
{
	static const uint8_t disp_sizes[] = {0, 1, 4};
	unsigned mod = p->modrm >> 6, rm = p->modrm & 7, disp_size = disp_sizes[mod];

	p->base = rm | p->b << 3;
	if (rm == 4) {
		if (!has_bytes(p, 1))
			return out_of_bytes(p);

		uint8_t sib = p->bytes[p->pos++];

		p->base = (sib & 7) | p->b << 3;
		p->index = ((sib >> 3) & 7) | p->x << 3;
		p->scale_log2 = sib >> 6;
		if (p->index == RSP && !(p->form && p->form->flags & FORM_VSIB))
			p->index = SLOT_ZERO;
		if ((sib & 7) == 5 && mod == 0) {
			p->base = SLOT_ZERO;
			disp_size = 4;
		}
	} else if (rm == 5 && mod == 0) {
		p->base = p->size == CODE_64 ? SLOT_RIP : SLOT_ZERO;
		disp_size = 4;
	}
	if (!disp_size)
		return PARSE_OK;
	if (!has_bytes(p, disp_size))
		return out_of_bytes(p);
	p->disp = (int32_t)sign_extended(p->bytes + p->pos, disp_size);
	p->pos += disp_size;
	return PARSE_OK;
}

static inline bool has_feature(const uint32_t *features, unsigned feature)
{
	return features[feature / 32] >> (feature % 32) & 1;
}

/* The first row, in table order, that takes this situation and whose feature the guest has. */
static const struct form *find_form(const struct parsed *p, const struct opcode_forms *forms,
				    uint32_t situation, const uint32_t *features)
{
	const struct form *form = form_at(forms->first);

	for (unsigned n = 0; n < forms->nr; n++, form++) {
		if ((situation & form->accepts) != situation)
			continue;

		if (form->feature == FEAT_NONE || has_feature(features, form->feature))
			return form;
	}
	return NULL;
}

/* Near branches: AMD's CPUs let 66 make them 16 bits wide, Intel's do not (APM vol. 3, 1.2.3). */
static bool is_fixed_64(const struct parsed *p, const uint32_t *features)
{
	return p->form->attr & A_F64 && !(p->has_66 && has_feature(features, FEAT_AMD));
}

static unsigned operand_size_log2(const struct parsed *p, const uint32_t *features)
{
	const struct form *form = p->form;
	unsigned size;

	if (form->size_rule == SIZE_B)
		return 0;
	if (form->size_rule == SIZE_Y)
		return p->w && p->size == CODE_64 ? 3 : 2;
	/* A mandatory 66 says nothing about the size, but MOVBE has both forms. */
	bool is_mandatory =
		form->accepts & SIT_PREFIX(P_66) && !(form->accepts & SIT_PREFIX(P_NONE));
	bool has_66 = p->has_66 && (form->size_rule == SIZE_V || !is_mandatory);

	if (p->size == CODE_16)
		size = has_66 ? 2 : 1;
	else if (p->size == CODE_32)
		size = has_66 ? 1 : 2;
	else if (p->w || is_fixed_64(p, features))
		size = 3;
	else if (has_66)
		size = 1;
	else
		size = form->attr & A_D64 ? 3 : 2;
	return form->size_rule == SIZE_Z && size == 3 ? 2 : size;
}

static enum parse_result parse_immediate(struct parsed *p)
{
	unsigned z = p->op_log2 == 1 ? 2 : 4, size = 0;

	switch ((enum imm_rule)p->form->imm_rule) {
	case IMM_NONE:
		return PARSE_OK;
	case IMM_8:
	case IMM_IS4:
		size = 1;
		break;
	case IMM_16:
		size = 2;
		break;
	case IMM_Z:
		size = z;
		break;
	case IMM_V:
		size = 1u << p->op_log2;
		break;
	case IMM_MOFFS:
		size = 1u << p->addr_log2;
		break;
	case IMM_FAR:
		size = z + 2;
		break;
	case IMM_16_8:
		size = 3;
		break;
	}
	if (!has_bytes(p, size))
		return out_of_bytes(p);

	const uint8_t *at = p->bytes + p->pos;

	p->pos += size;
	switch ((enum imm_rule)p->form->imm_rule) {
	case IMM_FAR:
		p->imm = z == 2 ? (uint16_t)sign_extended(at, 2) : (uint32_t)sign_extended(at, 4);
		p->imm |= (uint64_t)(uint16_t)sign_extended(at + z, 2) << 32;
		break;
	case IMM_16_8:
		p->imm = (uint16_t)sign_extended(at, 2) | (uint64_t)at[2] << 16;
		break;
	case IMM_MOFFS:
		p->imm = (uint64_t)sign_extended(at, size);
		if (size < 8)
			p->imm &= size == 2 ? 0xffff : 0xffffffff;
		break;
	case IMM_IS4:
		p->imm = p->size == CODE_64 ? at[0] : at[0] & 0x7f;
		break;
	default:
		p->imm = (uint64_t)sign_extended(at, size);
		break;
	}
	return PARSE_OK;
}

/* UD0 and UD1 have no ModRM on AMD's CPUs, which matters where the bytes behind them are missing. */
static bool is_bare(const struct parsed *p, const uint32_t *features)
{
	return p->map == MAP_0F && (p->opcode == 0xb9 || p->opcode == 0xff) && !p->has_vex &&
	       has_feature(features, FEAT_AMD);
}

enum parse_result parse(struct parsed *p, const uint8_t *bytes, unsigned avail, enum code_size size,
			const uint32_t *features)
{
	enum parse_result result;
	enum insn_prefix prefix;

	memset(p, 0, sizeof(*p));
	p->bytes = bytes;
	p->limit = avail < INSN_BYTES_MAX ? avail : INSN_BYTES_MAX;
	p->size = size;
	p->segment = SEG_NO_OVERRIDE;
	p->base = p->index = SLOT_ZERO;

	result = parse_prefixes(p);
	if (result != PARSE_OK)
		return result;
	result = parse_opcode(p, &prefix);
	if (result != PARSE_OK)
		return result;
	p->addr_log2 = size == CODE_64 ? 3 - p->has_67 : (size == CODE_32) ^ p->has_67 ? 2 : 1;

	const struct opcode_forms *forms = opcode_forms(p->map, p->opcode);
	uint32_t situation = SIT_PREFIX(prefix) | (size == CODE_64 ? SIT_64 : SIT_NOT64);

	situation |= p->w ? SIT_W1 : SIT_W0;
	situation |= !p->has_vex ? SIT_LEGACY : p->l ? SIT_L1 : SIT_L0;
	situation |= p->b ? SIT_B1 : SIT_B0;
	if (forms->has_modrm && !is_bare(p, features)) {
		if (!has_bytes(p, 1))
			return out_of_bytes(p);
		p->modrm = bytes[p->pos++];
		p->has_modrm = true;
		p->is_mem = p->modrm < 0xc0;
		/* Moves to and from control and debug registers ignore mod. */
		if (p->map == MAP_0F && (p->opcode & 0xfc) == 0x20 && !p->has_vex)
			p->is_mem = false;
		p->reg = ((p->modrm >> 3) & 7) | p->r << 3;
		p->rm = (p->modrm & 7) | p->b << 3;
		situation |= SIT_DIGIT((p->modrm >> 3) & 7) | SIT_RM(p->modrm & 7);
	} else {
		p->rm = (p->opcode & 7) | p->b << 3;
		situation |= SIT_DIGIT(0) | SIT_RM(0);
	}
	situation |= p->is_mem ? SIT_MEM : SIT_REG;

	p->form = find_form(p, forms, situation, features);
	if (p->is_mem) {
		result = p->addr_log2 == 1 ? parse_address16(p) : parse_address(p);
		if (result != PARSE_OK)
			return result;
	}
	if (!p->form)
		return PARSE_BAD;
	p->op_log2 = operand_size_log2(p, features);
	result = parse_immediate(p);
	if (result != PARSE_OK)
		return result;
	if (p->has_lock && !(p->form->flags & FORM_LOCK && p->is_mem))
		return PARSE_BAD;
	if (p->vvvv && !(p->form->flags & FORM_VVVV))
		return PARSE_BAD;
	if (p->form->flags & FORM_VSIB && ((p->modrm & 7) != 4 || p->addr_log2 == 1))
		return PARSE_BAD;
	return PARSE_OK;
}
