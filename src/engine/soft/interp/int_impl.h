/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the integer families share: operands by width, read-modify-write of memory, the 64-bit
 * stack, and conditions as constants. Files that read the host's flags with PUSHF are compiled
 * without a red zone (Makefile).
 */
#ifndef ENGINE_SOFT_INTERP_INT_IMPL_H
#define ENGINE_SOFT_INTERP_INT_IMPL_H

#include "engine/soft/cache.h"
#include "engine/soft/interp/exec_int.h"

/* Calls DO(bits, letter of the assembler, ...) for each operand width. */
#define FOR_V(DO, ...)	DO(16, w, ##__VA_ARGS__) DO(32, l, ##__VA_ARGS__) DO(64, q, ##__VA_ARGS__)
#define FOR_BV(DO, ...) DO(8, b, ##__VA_ARGS__) FOR_V(DO, ##__VA_ARGS__)
#define FOR_Y(DO, ...)	DO(32, l, ##__VA_ARGS__) DO(64, q, ##__VA_ARGS__)

/* Ends the text of an asm statement: the host's flags go to operand [f]. */
#define FLAGS_TO_F "\n\tpushfq\n\tpopq %[f]"
/* Begins one: the host's CF becomes bit 0 of operand [f]. */
#define CF_FROM_F "btl $0, %k[f]\n\t"

static inline uint8_t get8(struct cpu *c, unsigned off)
{
	return *reg8(c, off);
}
static inline uint16_t get16(struct cpu *c, unsigned off)
{
	return *reg16(c, off);
}
static inline uint64_t get64(struct cpu *c, unsigned off)
{
	return *reg64(c, off);
}
static inline void set8(struct cpu *c, unsigned off, uint8_t v)
{
	*reg8(c, off) = v;
}
static inline void set16(struct cpu *c, unsigned off, uint16_t v)
{
	*reg16(c, off) = v;
}
static inline void set64(struct cpu *c, unsigned off, uint64_t v)
{
	*reg64(c, off) = v;
}

/* The value of the memory operand. */
#define LOAD(bits) mmu_load##bits(c, i, ea(c, i, (bits) / 8, false))

/* Accesses whose size is only known at run time: 2, 4 or 8 bytes. */
static inline uint64_t load_sized(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	switch (size) {
	case 2:
		return mmu_load16(c, i, va);
	case 4:
		return mmu_load32(c, i, va);
	default:
		return mmu_load64(c, i, va);
	}
}

static inline void store_sized(struct cpu *c, const struct insn *i, gva_t va, unsigned size,
			       uint64_t value)
{
	switch (size) {
	case 2:
		mmu_store16(c, i, va, (uint16_t)value);
		break;
	case 4:
		mmu_store32(c, i, va, (uint32_t)value);
		break;
	default:
		mmu_store64(c, i, va, value);
		break;
	}
}

/* Offset of a register by number, as insn.reg and insn.rm hold it. */
#define GPR(n) ((n)*8)

/* The mask of the instruction's address size. */
static inline uint64_t ea_mask(const struct insn *i)
{
	if (i->ea & EA_ADDR32)
		return 0xffffffff;
	return i->ea & EA_ADDR16 ? 0xffff : ~0ull;
}

/* Linear address of an operand at an offset the instruction gives itself (XLAT, moffs). */
gva_t ea_at(struct cpu *c, const struct insn *i, uint64_t offset, unsigned size, bool is_write);

/* Linear address delta bytes beyond the memory operand: BT with a register. */
gva_t ea_plus(struct cpu *c, const struct insn *i, int64_t delta, unsigned size, bool is_write);

/*
 * A memory operand that is read and written: rmw_begin() gives host memory to work on, rmw_end()
 * must follow before any register or flag changes. Where no host memory can serve (page crossing,
 * devices), a copy in c->rmw_value stands for it and rmw_end() stores it, all under the split lock.
 */
void *rmw_split_begin(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
void rmw_split_end(struct cpu *c, const struct insn *i, gva_t va, unsigned size);

static inline void *rmw_begin(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	void *p = mmu_rmw_fast(c, i, va, size);

	return likely(p) ? p : (void *)keep_call4(rmw_split_begin, c, i, va, size);
}

static inline void rmw_end(struct cpu *c, const struct insn *i, gva_t va, unsigned size, void *p)
{
	if (unlikely(p == &c->rmw_value))
		keep_call4(rmw_split_end, c, i, va, size);
}

/* The stack pointer at the current stack size: its mask, setting it, and an address in the stack.
 */
uint64_t stack_mask(const struct cpu *c);
void stack_set(struct cpu *c, uint64_t sp);
gva_t stack_at(struct cpu *c, const struct insn *i, uint64_t offset, unsigned size, bool is_write);

/* True for addresses whose bits 63-47 are equal. */
static inline bool is_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* The stack in 64-bit mode with 8-byte operands: as stack_push() and stack_peek(), but inline. */
void stack_store64_slow(struct cpu *c, const struct insn *i, gva_t va, uint64_t value);
uint64_t stack_load64_slow(struct cpu *c, const struct insn *i, gva_t va);

static inline void stack_store64(struct cpu *c, const struct insn *i, gva_t va, uint64_t value)
{
	struct tlb_entry *e = tlb_slot(c, va);

	if (likely(((va + 7) & PAGE_MASK_64) ==
		   atomic_load_explicit(&e->tag_write, memory_order_relaxed)))
		__builtin_memcpy((void *)(va + e->addend), &value, 8);
	else
		keep_call4(stack_store64_slow, c, i, va, value);
}

static inline void stack_push64(struct cpu *c, const struct insn *i, uint64_t value)
{
	gva_t va = c->gpr[RSP] - 8;

	stack_store64(c, i, va, value);
	c->gpr[RSP] = va;
}

static inline uint64_t stack_load64(struct cpu *c, const struct insn *i, gva_t va)
{
	struct tlb_entry *e = tlb_slot(c, va);
	uint64_t value;

	if (unlikely(((va + 7) & PAGE_MASK_64) != e->tag_read))
		return keep_call4(stack_load64_slow, c, i, va, 0);
	__builtin_memcpy(&value, (const void *)(va + e->addend), 8);
	return value;
}

/* branch_target() and stack_push() by operand size. 64 bits mean 64-bit mode: no limit to check. */
static inline uint64_t branch_near64(struct cpu *c, const struct insn *i, uint64_t target)
{
	return likely(is_canonical(target)) ? target : keep_call4(branch_target, c, i, 8, target);
}
static inline uint64_t branch_near32(struct cpu *c, const struct insn *i, uint64_t target)
{
	return branch_target(c, i, 4, target);
}
static inline uint64_t branch_near16(struct cpu *c, const struct insn *i, uint64_t target)
{
	return branch_target(c, i, 2, target);
}
static inline void stack_push_near64(struct cpu *c, const struct insn *i, uint64_t value)
{
	stack_push64(c, i, value);
}
static inline void stack_push_near32(struct cpu *c, const struct insn *i, uint64_t value)
{
	stack_push(c, i, 4, value);
}
static inline void stack_push_near16(struct cpu *c, const struct insn *i, uint64_t value)
{
	stack_push(c, i, 2, value);
}

/*
 * Near branches by operand size: checks the target, performs the assignments commit, and goes
 * there. In 64-bit mode the next block, when it is known, is run from here, and its address needs
 * no check: the run loop is for what it has to look at.
 */
#define BRANCH_64(c, i, target, commit)                                   \
	do {                                                              \
		uint64_t _rip = (target);                                 \
		struct block *_block = block_chain((c), _rip);            \
                                                                          \
		if (likely(_block)) {                                     \
			commit;                                           \
			return _block->insns[0].exec((c), _block->insns); \
		}                                                         \
		_rip = branch_near64((c), (i), _rip);                     \
		commit;                                                   \
		BRANCH(c, _rip);                                          \
	} while (0)
#define BRANCH_CHECKED(bits, c, i, target, commit)                     \
	do {                                                           \
		uint64_t _rip = branch_near##bits((c), (i), (target)); \
                                                                       \
		commit;                                                \
		BRANCH(c, _rip);                                       \
	} while (0)
#define BRANCH_32(c, i, target, commit) BRANCH_CHECKED(32, c, i, target, commit)
#define BRANCH_16(c, i, target, commit) BRANCH_CHECKED(16, c, i, target, commit)

/* The instructions of a block behind a conditional branch that is taken do not count. */
#define LEAVE_OUT_REST(c, i) ((c)->stats.interpreted -= (uint32_t)(i)->disp)

/* Condition code 0-15 (SDM vol. 2, appendix B.1.4), constant, in as few host instructions as there are. */
static inline bool condition_const(uint64_t f, unsigned cc)
{
	/* OF brought down to the place of SF: their difference is "less". */
	uint64_t less = (f >> 4 ^ f) & FLAG_SF;
	bool yes;

	switch (cc >> 1) {
	case 0:
		yes = f & FLAG_OF;
		break;
	case 1:
		yes = f & FLAG_CF;
		break;
	case 2:
		yes = f & FLAG_ZF;
		break;
	case 3:
		yes = f & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		yes = f & FLAG_SF;
		break;
	case 5:
		yes = f & FLAG_PF;
		break;
	case 6:
		yes = less;
		break;
	default:
		yes = less | (f & FLAG_ZF);
		break;
	}
	return yes != (cc & 1);
}

#endif
