/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What functions that execute instructions are made of: operand access, effective addresses, flags,
 * and the step to the next instruction. For .c files of interp/ only.
 *
 * Every exec function ends in one of
 *   NEXT(c, i);		 the following instruction of the block, by a tail call;
 *   BRANCH(c, target);		 rip is set, the block is over (rows with A_END);
 *   END(c, i);			 the block is over, execution goes on at the next instruction.
 */
#ifndef ENGINE_SOFT_EXEC_H
#define ENGINE_SOFT_EXEC_H

#include "engine/soft/mmu.h"

/*
 * A block's instructions lie side by side; the last is followed by one that sets rip and returns.
 * Blocks go on in each other without end, so the call has to become a jump: a function with NEXT or
 * BRANCH has no variable whose address anybody else knows (tests/tail-calls.sh).
 */
#define NEXT(c, i)                                  \
	do {                                        \
		const struct insn *_next = (i) + 1; \
                                                    \
		asm("" : "+S"(_next));              \
		return _next->exec((c), _next);     \
	} while (0)

#define BRANCH(c, target)            \
	do {                         \
		(c)->rip = (target); \
		return;              \
	} while (0)

#define END(c, i) BRANCH(c, ip_mask((c), insn_next_rip((c), (i))))

/* An instruction pointer cut to the width of the code segment. */
static inline uint64_t ip_mask(const struct cpu *c, uint64_t ip)
{
	enum code_size size = cpu_code_size(c);

	return size == CODE_64 ? ip : (uint32_t)ip;
}

/* Register operands by the offsets the decoder left in insn.reg and insn.rm. */
static inline uint8_t *reg8(struct cpu *c, unsigned off)
{
	return (uint8_t *)c->gpr + off;
}
static inline uint16_t *reg16(struct cpu *c, unsigned off)
{
	return (uint16_t *)((uint8_t *)c->gpr + off);
}
static inline uint32_t get32(const struct cpu *c, unsigned off)
{
	return *(const uint32_t *)((const uint8_t *)c->gpr + off);
}
static inline uint64_t *reg64(struct cpu *c, unsigned off)
{
	return (uint64_t *)((uint8_t *)c->gpr + off);
}
/* A 32-bit result clears the upper half. */
static inline void set32(struct cpu *c, unsigned off, uint32_t v)
{
	*reg64(c, off) = v;
}

/* Linear address of the memory operand when i->ea is not EA_FLAT: sizes, segment, limits; faults. */
gva_t ea_slow(struct cpu *c, const struct insn *i, unsigned size, bool is_write);

/* The offset only, truncated to the address size: LEA, and string instructions. */
uint64_t ea_offset(const struct cpu *c, const struct insn *i);

/* Linear address of the memory operand, of size bytes, about to be read or written. */
static inline gva_t ea(struct cpu *c, const struct insn *i, unsigned size, bool is_write)
{
	if (unlikely(i->ea != EA_FLAT))
		return keep_call4(ea_slow, c, i, size, is_write);
	return c->gpr[i->base] + (c->gpr[i->index & 31] << (i->index >> 6)) + (int64_t)i->disp;
}

/*
 * Linear address of offset in a segment for size bytes, with the checks of the mode: canonical
 * form is the MMU's business, limit and type are checked here (#GP(0), or #SS(0) for SS).
 */
gva_t seg_linear(struct cpu *c, const struct insn *i, enum x86_seg seg, uint64_t offset,
		 unsigned size, bool is_write);

/* Stores status flags as the host's PUSHF gave them; mask says which of the six are defined. */
static inline void set_flags(struct cpu *c, uint64_t host, uint32_t mask)
{
	c->rflags = (c->rflags & ~(uint64_t)mask) | (host & mask);
}

/*
 * The stack with the current stack size (64, 32 or 16 bits of RSP). push: stores below RSP, then
 * moves it. pop_peek: reads at RSP + skip without moving; stack_adjust moves RSP afterwards, so that
 * a fault in between leaves everything as it was. size is 2, 4 or 8.
 */
void stack_push(struct cpu *c, const struct insn *i, unsigned size, uint64_t value);
uint64_t stack_peek(struct cpu *c, const struct insn *i, unsigned size, unsigned skip);
void stack_adjust(struct cpu *c, int64_t delta);

/*
 * Near branch target: cut to the operand size, checked against the CS limit or for canonical form
 * (#GP(0)).
 */
uint64_t branch_target(struct cpu *c, const struct insn *i, unsigned size, uint64_t target);

/* Exec functions the decoder itself needs. */
void x_ud(struct cpu *c, const struct insn *i); /* #UD */
void x_gp(struct cpu *c, const struct insn *i); /* #GP(0): longer than 15 bytes */
void x_block_end(struct cpu *c,
		 const struct insn *i); /* follows the last of a block: END before it */

/*
 * Replaces exec functions of a decoded block by faster ones, and operands by what those want; the
 * effects stay. For blocks that are run from their start.
 */
void block_refine(struct insn *insns, unsigned nr);

/* #GP(0) unless CPL is 0: first line of privileged instructions. */
static inline void require_cpl0(struct cpu *c, const struct insn *i)
{
	if (unlikely(c->cpl))
		cpu_fault_code(c, i, VEC_GP, 0);
}

#endif
