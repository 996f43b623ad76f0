/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of decode/: the index over the table, and an instruction taken apart.
 */
#ifndef ENGINE_SOFT_DECODE_DECODE_IMPL_H
#define ENGINE_SOFT_DECODE_DECODE_IMPL_H

#include "engine/soft/insn.h"

/*
 * The situation a row may ask for, one bit of each group set. A row matches when all of them are
 * among the bits it accepts.
 */
#define SIT_DIGIT(n)  BIT(n)	    /* bits 0-7: ModRM.reg */
#define SIT_RM(n)     BIT(8 + (n))  /* bits 8-15: ModRM.rm */
#define SIT_PREFIX(p) BIT(15 + (p)) /* bits 16-19: enum insn_prefix, P_NONE to P_F2 */
#define SIT_REG	      BIT(20)	    /* ModRM.mod is 3, or there is no ModRM */
#define SIT_MEM	      BIT(21)
#define SIT_64	      BIT(22)
#define SIT_NOT64     BIT(23)
#define SIT_W0	      BIT(24)
#define SIT_W1	      BIT(25)
#define SIT_LEGACY    BIT(26)
#define SIT_L0	      BIT(27)
#define SIT_L1	      BIT(28)
#define SIT_B0	      BIT(29) /* REX.B: tells NOP from XCHG with R8 */
#define SIT_B1	      BIT(30)

/* Which rule gives the operand size (form.size_rule). */
enum size_rule {
	SIZE_V,
	SIZE_Y,
	SIZE_Z,
	SIZE_B,
	SIZE_DEFAULT, /* no operand asks: as V, but a mandatory 66 is no operand size */
};

/* Immediate bytes at the end of the instruction. */
enum imm_rule {
	IMM_NONE,
	IMM_8,
	IMM_16,
	IMM_Z,	   /* 16 or 32 bits */
	IMM_V,	   /* 16, 32 or 64 bits */
	IMM_FAR,   /* offset of 16 or 32 bits, selector */
	IMM_MOFFS, /* as wide as the address size */
	IMM_16_8,  /* ENTER */
	IMM_IS4,   /* a register in bits 4-7, of which bit 7 counts in 64-bit mode only */
};

/* form.flags */
#define FORM_REG8   BIT(0) /* reg names a byte register: AH to BH without REX */
#define FORM_RM8    BIT(1)
#define FORM_REG3   BIT(2) /* eight registers only: the REX bit is ignored */
#define FORM_RM3    BIT(3)
#define FORM_OPCODE BIT(4) /* register in the opcode */
#define FORM_VVVV   BIT(5)
#define FORM_VSIB   BIT(6)
#define FORM_LOCK   BIT(7)

/* One row as the decoder tries it. */
struct form {
	uint32_t accepts; /* SIT_* */
	uint16_t row;
	uint16_t feature; /* of the row */
	uint8_t size_rule, imm_rule, flags;
	uint8_t attr; /* A_D64 and A_F64 */
};

struct opcode_forms {
	uint16_t first, nr; /* in the array forms; table order */
	bool has_modrm;
};

/* The forms of an opcode, and one of them. After decode_init(). */
const struct opcode_forms *opcode_forms(unsigned map, unsigned opcode);
const struct form *form_at(unsigned n);

enum parse_result { PARSE_OK, PARSE_SHORT, PARSE_BAD, PARSE_TOO_LONG };

#define SEG_NO_OVERRIDE 0xff

/* An instruction taken apart; prefixes and fields as they stand in the bytes. */
struct parsed {
	const uint8_t *bytes;
	unsigned pos, limit; /* bytes taken, and the most there may be */
	enum code_size size;
	const struct form *form;
	uint64_t imm;
	int32_t disp;
	uint8_t map, opcode, modrm;
	uint8_t rep;	     /* 0, 0xf2 or 0xf3 */
	uint8_t segment;     /* override, or SEG_NO_OVERRIDE */
	uint8_t op_log2;     /* operand size */
	uint8_t addr_log2;   /* address size */
	uint8_t reg, rm;     /* ModRM.reg, and ModRM.rm or the opcode's register, with REX bits */
	uint8_t base, index; /* of a memory operand: slots; SLOT_ZERO: none */
	uint8_t scale_log2, vvvv;
	bool has_lock, has_66, has_67, has_rex, has_vex, has_modrm;
	bool w, l, r, x, b; /* REX or VEX bits */
	bool is_mem;
};

/*
 * Takes the instruction apart. Except with PARSE_OK only bytes, pos and the prefixes mean
 * something.
 */
enum parse_result parse(struct parsed *p, const uint8_t *bytes, unsigned avail, enum code_size size,
			const uint32_t *features);

#endif
