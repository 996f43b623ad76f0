/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decimal adjustments (SDM vol. 2, AAA, DAA and their like): not in 64-bit mode, so the host cannot
 * perform them. Flags the manual leaves undefined are cleared or come from the result.
 */
#include "engine/soft/interp/int_impl.h"

/* SF, ZF and PF of a byte. */
static uint32_t byte_flags(uint8_t v)
{
	return (v & 0x80 ? FLAG_SF : 0) | (v ? 0 : FLAG_ZF) | (__builtin_parity(v) ? 0 : FLAG_PF);
}

/* AL and AH as a pair. */
static uint16_t ax(struct cpu *c)
{
	return get16(c, GPR(RAX));
}

static bool needs_low_digit(struct cpu *c)
{
	return (ax(c) & 15) > 9 || (c->rflags & FLAG_AF);
}

/* AAA and AAS: delta is added to AX when the low digit is no digit. */
static void ascii_adjust(struct cpu *c, int delta)
{
	bool is_carry = needs_low_digit(c);
	uint16_t v = (uint16_t)(ax(c) + (is_carry ? delta : 0)) & 0xff0f;

	set16(c, GPR(RAX), v);
	set_flags(c, byte_flags((uint8_t)v) | (is_carry ? FLAG_AF | FLAG_CF : 0), FLAGS_STATUS);
}

void x_aaa(struct cpu *c, const struct insn *i)
{
	ascii_adjust(c, 0x106);
	NEXT(c, i);
}

void x_aas(struct cpu *c, const struct insn *i)
{
	ascii_adjust(c, -0x106);
	NEXT(c, i);
}

void x_aam(struct cpu *c, const struct insn *i)
{
	uint8_t base = (uint8_t)i->imm, al = (uint8_t)ax(c);

	if (!base)
		cpu_fault(c, i, VEC_DE);
	set16(c, GPR(RAX), (uint16_t)(al / base << 8 | al % base));
	set_flags(c, byte_flags(al % base), FLAGS_STATUS);
	NEXT(c, i);
}

void x_aad(struct cpu *c, const struct insn *i)
{
	uint8_t v = (uint8_t)(ax(c) + (ax(c) >> 8) * (uint8_t)i->imm);

	set16(c, GPR(RAX), v);
	set_flags(c, byte_flags(v), FLAGS_STATUS);
	NEXT(c, i);
}

/* DAA and DAS: sign is 1 or -1. */
static void decimal_adjust(struct cpu *c, int sign)
{
	uint8_t old = (uint8_t)ax(c);
	bool has_low = needs_low_digit(c), has_high = old > 0x99 || (c->rflags & FLAG_CF);
	int v = old + sign * ((has_low ? 6 : 0) + (has_high ? 0x60 : 0));
	/* DAS also borrows when taking 6 from a byte below it. */
	bool is_carry = has_high || (has_low && sign < 0 && old < 6);

	set8(c, GPR(RAX), (uint8_t)v);
	set_flags(c, byte_flags((uint8_t)v) | (has_low ? FLAG_AF : 0) | (is_carry ? FLAG_CF : 0),
		  FLAGS_STATUS);
}

void x_daa(struct cpu *c, const struct insn *i)
{
	decimal_adjust(c, 1);
	NEXT(c, i);
}

void x_das(struct cpu *c, const struct insn *i)
{
	decimal_adjust(c, -1);
	NEXT(c, i);
}
