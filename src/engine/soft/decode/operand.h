/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operand kind of insn.h means: where in the encoding it stands, which registers it names
 * and how wide it is. Decoder, disassembler and generated tests read the one table. Any thread.
 */
#ifndef ENGINE_SOFT_DECODE_OPERAND_H
#define ENGINE_SOFT_DECODE_OPERAND_H

#include "engine/soft/insn.h"

/* Where the operand is found. AT_NONE only for O_none. */
enum operand_place {
	AT_NONE,
	AT_REG,	   /* ModRM.reg */
	AT_RM,	   /* ModRM.rm: register or memory */
	AT_OPCODE, /* low three bits of the opcode */
	AT_VVVV,
	AT_IS4, /* bits 4-7 of an immediate byte */
	AT_IMM,
	AT_REL,	   /* relative branch target */
	AT_FAR,	   /* far pointer in the instruction */
	AT_MOFFS,  /* address in the instruction */
	AT_SRC,	   /* memory at rSI */
	AT_DST,	   /* memory at ES:rDI */
	AT_SRC_DI, /* memory at rDI, in DS or the override */
	AT_FIXED,  /* one register or constant, see operand_info.number */
};

enum register_file {
	FILE_NONE,
	FILE_GPR,
	FILE_SEG,
	FILE_CR,
	FILE_DR,
	FILE_ST,
	FILE_MMX,
	FILE_XMM,   /* XMM or YMM by width */
	FILE_FLAGS, /* O_Fv */
	FILE_CONST, /* the number itself */
};

/* Widths; those in lower case depend on prefixes or mode. */
enum operand_width {
	WIDTH_0, /* no size: LEA, prefetches */
	WIDTH_8,
	WIDTH_16,
	WIDTH_32,
	WIDTH_64,
	WIDTH_80,
	WIDTH_128,
	WIDTH_256,
	WIDTH_v,     /* 16, 32 or 64 by operand size */
	WIDTH_y,     /* 32, or 64 with W in 64-bit mode */
	WIDTH_z,     /* 16 or 32 by operand size */
	WIDTH_addr,  /* 64 in 64-bit mode, else 32: control and debug register moves */
	WIDTH_x,     /* 128, or 256 with VEX.L */
	WIDTH_xhalf, /* half, quarter and eighth of it */
	WIDTH_xquarter,
	WIDTH_xeighth,
	WIDTH_far,    /* 16-bit selector and an offset of the operand size */
	WIDTH_pair,   /* two operands of the operand size */
	WIDTH_table,  /* limit and base: 6 bytes, 10 in 64-bit mode */
	WIDTH_fenv,   /* 14 or 28 bytes by operand size */
	WIDTH_fstate, /* 94 or 108 bytes */
	NR_WIDTHS,
};

struct operand_info {
	uint8_t place;	   /* enum operand_place */
	uint8_t file;	   /* enum register_file */
	uint8_t width;	   /* of a register, immediate or memory operand */
	uint8_t mem_width; /* AT_RM in memory, when it differs from the register; else 0 */
	uint8_t mod;	   /* enum insn_mod: the ModRM forms it exists in */
	uint8_t number;	   /* AT_FIXED: register or constant */
	bool is_vsib;	   /* memory addressed by a vector of indexes */
};

extern const struct operand_info operand_info[NR_OPERANDS];

/* Bytes of a memory operand or register of this width. op_log2: log2 of the operand size. */
unsigned width_bytes(enum operand_width width, unsigned op_log2, enum code_size size, bool is_256);

/* Bytes of the row's memory operand at ModRM.rm, 0 when it has none or it has no size. */
unsigned row_mem_bytes(const struct insn_row *row, unsigned op_log2, enum code_size size,
		       bool is_256);

#endif
