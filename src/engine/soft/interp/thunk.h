/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thunks: generated code that runs one x87, MMX, SSE or AVX instruction of the guest as the host's
 * own instruction. A thunk is made for a row of the table together with what its encoding holds
 * besides registers (memory or register form, VEX.L, W, immediate, x87 stack index) and is kept for
 * the life of the process. Registers are not part of it: it gets pointers into the vCPU's state,
 * loads the operands into fixed host registers, runs the instruction on them, and stores the
 * results. Any thread. Code memory is mapped twice, once writable and once executable, never both.
 */
#ifndef ENGINE_SOFT_INTERP_THUNK_H
#define ENGINE_SOFT_INTERP_THUNK_H

#include <stdatomic.h>

#include "engine/soft/exec.h"

/*
 * mem: the memory operand, read or written in place; reg, vvvv, rm, is4: the register operands by
 * where the encoding names them: an XMM register in cpu->fpu (with its upper half at the distance
 * of ymm_high), an MMX register in cpu->fpu.st or a slot of cpu->gpr. x87 thunks only use mem, and
 * reg as the 512-byte state they run on. Returns the flags of the host when the row writes flags.
 */
typedef uint64_t (*thunk_fn)(void *mem, void *reg, void *vvvv, void *rm, struct cpu *c, void *is4);

/* Where a register operand lies in struct cpu, from the register offset in struct insn. */
struct thunk_register {
	uint32_t base;
	uint8_t mask, shift;
};

struct thunk {
	thunk_fn run; /* NULL: this host cannot run the instruction */
	struct thunk_register reg, rm;
	uint8_t mem_size;  /* bytes, 0 without a memory operand */
	uint8_t mem_align; /* the alignment it needs, minus 1 */
	bool is_store;
	bool is_exempt_from_ac;
	uint8_t touches;  /* XCR0_* components it leaves in use */
	uint16_t attr;	  /* of the row */
	uint16_t flags;	  /* status flags it writes */
	bool is_by_stack; /* the table below is indexed by insn.rm, not by the immediate */
	_Atomic(struct thunk *) *by_sub; /* not a thunk, but 256 of them by immediate or ST(i) */
};

#define THUNK_ROWS_MAX 4096 /* bounds the table below; the instruction table is far smaller */

/* By row, then memory form, VEX.L and 64-bit operand size. */
extern _Atomic(struct thunk *) thunk_table[THUNK_ROWS_MAX * 8];

static inline unsigned thunk_key(const struct insn *i)
{
	unsigned is_mem = i->prefix / PFX_MEM & 1, log2_size = i->prefix >> PFX_SIZE_SHIFT & 3;

	return i->row * 8u + is_mem + INSN_L(i) * 2 + (log2_size == 3) * 4;
}

/* Makes what is missing for i. */
const struct thunk *thunk_make(const struct insn *i);

static inline const struct thunk *thunk_find(const struct insn *i)
{
	struct thunk *t = atomic_load_explicit(&thunk_table[thunk_key(i)], memory_order_acquire);

	if (unlikely(!t))
		return thunk_make(i);
	if (likely(!t->by_sub))
		return t;

	uint8_t sub = t->is_by_stack ? i->rm / 8 & 7 : (uint8_t)i->imm;

	t = atomic_load_explicit(&t->by_sub[sub], memory_order_acquire);
	return likely(t != NULL) ? t : thunk_make(i);
}

/* Bytes of code made so far, and room for it: for tests. */
size_t thunk_bytes_used(void);
size_t thunk_bytes_max(void);

#endif
