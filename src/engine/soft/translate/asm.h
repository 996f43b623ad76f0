/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small assembler for x86-64: writes host instructions to memory. Any thread.
 */
#ifndef ENGINE_SOFT_TRANSLATE_ASM_H
#define ENGINE_SOFT_TRANSLATE_ASM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/soft/insn.h"

enum host_reg {
	H_RAX,
	H_RCX,
	H_RDX,
	H_RBX,
	H_RSP,
	H_RBP,
	H_RSI,
	H_RDI,
	H_R8,
	H_R9,
	H_R10,
	H_R11,
	H_R12,
	H_R13,
	H_R14,
	H_R15,
	H_NONE = 0xff,
};

/*
 * Where code goes: at is the writable alias of the place it will run at. Writing past end only sets
 * is_full; what was written is then useless.
 */
struct asm_out {
	uint8_t *at, *end;
	int64_t exec_delta; /* executable address - writable address */
	bool is_full;
};

/* [base + index << scale + disp]; base H_NONE: absolute disp, index H_NONE: none. */
struct mem_ref {
	uint8_t base, index, scale;
	int32_t disp;
};

#define MEM_BASE(b, d) ((struct mem_ref){.base = (b), .index = H_NONE, .disp = (int32_t)(d)})

/* Opcodes are 0x00XX for the one-byte map, 0x0fXX for 0F. Others go by struct host_insn. */

/* One instruction with ModRM, in full. */
struct host_insn {
	uint8_t map, prefix, opcode; /* enum insn_map, enum insn_prefix */
	bool is_vex, l, w;
	bool needs_rex; /* byte registers 4-7 are SPL to DIL */
	bool has_66;	/* operand size 16, beside prefix */
	bool has_lock;
	uint8_t reg, vvvv;
	uint8_t rm; /* register, or H_NONE: mem */
	struct mem_ref mem;
	bool has_imm8; /* follows, so that the caller need not */
	uint8_t imm8;
};

void asm_insn(struct asm_out *o, const struct host_insn *h);

void asm8(struct asm_out *o, unsigned byte);
void asm32(struct asm_out *o, uint32_t value);
void asm64(struct asm_out *o, uint64_t value);

/* size: bytes of the operation, 1, 2, 4 or 8. For MOVZX and MOVSX it is that of the result. */
void asm_rr(struct asm_out *o, unsigned size, unsigned opcode, unsigned reg, unsigned rm);
void asm_rm(struct asm_out *o, unsigned size, unsigned opcode, unsigned reg, struct mem_ref m);

/* An immediate as wide as the operation, up to 32 bits; for opcode 0x83 and 0xc0 8 bits. */
void asm_imm(struct asm_out *o, unsigned size, uint64_t imm);

void asm_mov_rr(struct asm_out *o, unsigned size, unsigned dst, unsigned src);
void asm_load(struct asm_out *o, unsigned size, unsigned dst, struct mem_ref m);  /* 4 or 8 */
void asm_store(struct asm_out *o, unsigned size, struct mem_ref m, unsigned src); /* 1 to 8 */
void asm_lea(struct asm_out *o, unsigned size, unsigned dst, struct mem_ref m);
void asm_mov_imm(struct asm_out *o, unsigned dst, uint64_t imm); /* no flags are changed */

/* ALU operation n (0 ADD, 1 OR, 4 AND, 5 SUB, 6 XOR, 7 CMP) with an immediate of 32 bits. */
void asm_alu_ri(struct asm_out *o, unsigned size, unsigned n, unsigned rm, int32_t imm);
void asm_alu_mi(struct asm_out *o, unsigned size, unsigned n, struct mem_ref m, int32_t imm);
void asm_shift_ri(struct asm_out *o, unsigned size, unsigned n, unsigned rm, unsigned count);

/*
 * Jumps with a 32-bit displacement. asm_jump* return the place of the displacement, for
 * asm_patch(). Condition codes are those of the opcode.
 */
uint8_t *asm_jcc(struct asm_out *o, unsigned cc);
uint8_t *asm_jmp(struct asm_out *o);
uint8_t *asm_call(struct asm_out *o);
void asm_jmp_to(struct asm_out *o, const uint8_t *writable_target);
void asm_call_to(struct asm_out *o, const uint8_t *writable_target);
/* lea reg, [rip + displacement to be patched] */
uint8_t *asm_lea_rip(struct asm_out *o, unsigned reg);
/* Makes the displacement at site lead to the place that is written at target. */
void asm_patch(uint8_t *site, const uint8_t *target);

/* JRCXZ with its displacement of 8 bits patched by asm_patch8(). */
uint8_t *asm_jrcxz(struct asm_out *o);
void asm_patch8(uint8_t *site, const uint8_t *target);

/* NOPs until at + ahead is a multiple of align. */
void asm_align(struct asm_out *o, unsigned ahead, unsigned align);

#endif
