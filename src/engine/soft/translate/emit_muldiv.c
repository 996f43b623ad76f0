/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MUL, IMUL, DIV and IDIV with one operand. Division leaves the flags, which are undefined after
 * it, as they were, like the interpreter.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define OPCODE_WORD  0x0fb7
#define OPCODE_SWORD 0x0fbf
#define DIGIT_IDIV   7
#define ALU_CMP	     7
#define SHIFT_SAR    7

bool e_mul(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), opcode = size == 1 ? 0xf6 : 0xf7;

	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_READ | MEM_FREE_RAX);

		load_rax(e);
		asm_rm(&e->o, size, opcode, digit_of(i), m);
	} else {
		unsigned src = H_RCX;

		if (REG_IS_HIGH(i->rm))
			load_byte(e, i->rm, H_RCX);
		else
			src = reg_get(e, i->rm, H_RCX);
		load_rax(e);
		asm_rr(&e->o, size, opcode, digit_of(i), src);
	}
	/* Of bytes the product is AX. */
	asm_mov_rr(&e->o, size == 1 ? 2 : size, GUEST_RAX, H_RAX);
	flags_written(e);
	return true;
}

/* The divisor to a register, extended if it is shorter than 32 bits; RAX stays free. */
static unsigned load_divisor(struct emitter *e, const struct insn *i, bool is_signed)
{
	unsigned size = size_of(i), word = is_signed ? OPCODE_SWORD : OPCODE_WORD;

	flags_clobber(e);
	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_READ | MEM_FREE_RAX);

		if (size == 1)
			asm_rm(&e->o, 4, 0x0fb6, H_RCX, m);
		else if (size == 2)
			asm_rm(&e->o, 4, word, H_RCX, m);
		else
			asm_load(&e->o, size, H_RCX, m);
		return H_RCX;
	}
	if (size == 1) {
		load_byte(e, i->rm, H_RCX);
		return H_RCX;
	}
	if (size == 2) {
		asm_rr(&e->o, 4, word, H_RCX, reg_get(e, i->rm, H_RCX));
		return H_RCX;
	}
	return reg_get(e, i->rm, H_RCX);
}

/* The quotient fits when the upper half is below the divisor, which then is not zero either. */
static void check_unsigned(struct emitter *e, const struct insn *i, unsigned divisor)
{
	unsigned size = size_of(i);

	if (size == 1) {
		load_rax(e);
		asm8(&e->o, 0x38); /* cmp ah, cl */
		asm8(&e->o, 0xcc);
	} else {
		asm_rr(&e->o, size, 0x3b, H_RDX, divisor);
	}
	slow_if(e, i, CC_AE);
}

/* It fits when the upper half is but the sign of the lower, and the divisor neither 0 nor -1. */
static void check_signed(struct emitter *e, const struct insn *i, unsigned divisor)
{
	unsigned size = size_of(i), wide = size == 8 ? 8 : 4;

	load_rax(e);
	asm_shift_ri(&e->o, size, SHIFT_SAR, H_RAX, size * 8 - 1);
	asm_rr(&e->o, size, 0x3b, H_RAX, H_RDX);
	slow_if(e, i, CC_NE);
	asm_lea(&e->o, wide, H_RAX, MEM_BASE(divisor, 1));
	asm_alu_ri(&e->o, wide, ALU_CMP, H_RAX, 1);
	slow_if(e, i, CC_BE);
}

bool e_div(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), divisor;
	bool is_signed = digit_of(i) == DIGIT_IDIV;

	if (is_signed && size == 1)
		return false;
	divisor = load_divisor(e, i, is_signed);
	if (is_signed)
		check_signed(e, i, divisor);
	else
		check_unsigned(e, i, divisor);
	load_rax(e);
	asm_rr(&e->o, size, size == 1 ? 0xf6 : 0xf7, digit_of(i), divisor);
	asm_mov_rr(&e->o, size == 1 ? 2 : size, GUEST_RAX, H_RAX);
	return true;
}
