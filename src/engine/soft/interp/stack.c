/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PUSH and POP in all forms, PUSHA, POPA, ENTER and LEAVE (SDM vol. 1, chapter 6; vol. 2). An
 * operand size of 64 bits implies a 64-bit stack. Instructions that store more than once check all
 * their stores before the first.
 */
#include "engine/soft/interp/int_impl.h"

#define ENTER_LEVEL_MASK 31

#define PUSH_FORMS(bits, s)                                        \
	void x_push_Z_##bits(struct cpu *c, const struct insn *i)  \
	{                                                          \
		stack_push_near##bits(c, i, get##bits(c, i->reg)); \
		NEXT(c, i);                                        \
	}                                                          \
	void x_push_I_##bits(struct cpu *c, const struct insn *i)  \
	{                                                          \
		stack_push_near##bits(c, i, i->imm);               \
		NEXT(c, i);                                        \
	}                                                          \
	void x_push_E_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		stack_push_near##bits(c, i, get##bits(c, i->rm));  \
		NEXT(c, i);                                        \
	}                                                          \
	void x_push_E_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		uint64_t v = LOAD(bits);                           \
                                                                   \
		stack_push_near##bits(c, i, v);                    \
		NEXT(c, i);                                        \
	}
FOR_V(PUSH_FORMS)

static uint16_t pushed_selector(const struct cpu *c, const struct insn *i)
{
	return c->seg[insn_rows[i->row].op[0] - O_ES].selector;
}

void x_push_S_16(struct cpu *c, const struct insn *i)
{
	stack_push_near16(c, i, pushed_selector(c, i));
	NEXT(c, i);
}

/* Of the four bytes two are written, on AMD's CPUs all. */
void x_push_S_32(struct cpu *c, const struct insn *i)
{
	if (cpu_has(c, FEAT_AMD)) {
		stack_push_near32(c, i, pushed_selector(c, i));
		NEXT(c, i);
		return;
	}
	mmu_store16(c, i, stack_at(c, i, c->gpr[RSP] - 4, 2, true), pushed_selector(c, i));
	stack_adjust(c, -4);
	NEXT(c, i);
}

void x_push_S_64(struct cpu *c, const struct insn *i)
{
	stack_push_near64(c, i, pushed_selector(c, i));
	NEXT(c, i);
}

/* The pointer moves first: what POP (E)SP loads stays. */
#define POP_Z_FORM(bits)                                         \
	void x_pop_Z_##bits(struct cpu *c, const struct insn *i) \
	{                                                        \
		uint64_t v = stack_peek(c, i, bits / 8, 0);      \
                                                                 \
		stack_adjust(c, bits / 8);                       \
		set##bits(c, i->reg, (uint##bits##_t)v);         \
		NEXT(c, i);                                      \
	}
POP_Z_FORM(16)
POP_Z_FORM(32)

void x_pop_Z_64(struct cpu *c, const struct insn *i)
{
	uint64_t v = stack_load64(c, i, c->gpr[RSP]);

	c->gpr[RSP] += 8;
	set64(c, i->reg, v);
	NEXT(c, i);
}

/* Linear address of POP's memory operand: one based on rSP counts from after the pop. */
static gva_t pop_destination(struct cpu *c, const struct insn *i, unsigned size)
{
	return ea_plus(c, i, i->base == RSP ? size : 0, size, true);
}

#define POP_E_FORMS(bits, s)                                                               \
	void x_pop_E_r##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                  \
		uint64_t v = stack_peek(c, i, bits / 8, 0);                                \
                                                                                           \
		stack_adjust(c, bits / 8);                                                 \
		set##bits(c, i->rm, (uint##bits##_t)v);                                    \
		NEXT(c, i);                                                                \
	}                                                                                  \
	void x_pop_E_m##bits(struct cpu *c, const struct insn *i)                          \
	{                                                                                  \
		uint64_t v = stack_peek(c, i, bits / 8, 0);                                \
                                                                                           \
		mmu_store##bits(c, i, pop_destination(c, i, bits / 8), (uint##bits##_t)v); \
		stack_adjust(c, bits / 8);                                                 \
		NEXT(c, i);                                                                \
	}
FOR_V(POP_E_FORMS)

/* Linear address of the place of the k-th value pushed from here on, k from 1. */
static gva_t push_place(struct cpu *c, const struct insn *i, unsigned size, unsigned k)
{
	return stack_at(c, i, c->gpr[RSP] - k * size, size, true);
}

/* Checks that nr values can be pushed. */
static void check_pushes(struct cpu *c, const struct insn *i, unsigned size, unsigned nr)
{
	for (unsigned k = 1; k <= nr; k++)
		mmu_check_write(c, i, push_place(c, i, size, k), size);
}

static void pusha(struct cpu *c, const struct insn *i, unsigned size)
{
	check_pushes(c, i, size, 8);
	for (unsigned k = 1; k <= 8; k++)
		store_sized(c, i, push_place(c, i, size, k), size, c->gpr[k - 1]);
	stack_adjust(c, -(int64_t)size * 8);
}

void x_pusha_16(struct cpu *c, const struct insn *i)
{
	pusha(c, i, 2);
	NEXT(c, i);
}

void x_pusha_32(struct cpu *c, const struct insn *i)
{
	pusha(c, i, 4);
	NEXT(c, i);
}

/* The place of rSP is read and dropped. */
#define POPA_FORM(bits)                                                                        \
	void x_popa_##bits(struct cpu *c, const struct insn *i)                                \
	{                                                                                      \
		uint##bits##_t v[8];                                                           \
                                                                                               \
		for (unsigned k = 0; k < 8; k++)                                               \
			v[RDI - k] = (uint##bits##_t)stack_peek(c, i, bits / 8, k * bits / 8); \
		for (unsigned k = RAX; k <= RDI; k++)                                          \
			if (k != RSP)                                                          \
				set##bits(c, GPR(k), v[k]);                                    \
		stack_adjust(c, bits);                                                         \
		NEXT(c, i);                                                                    \
	}
POPA_FORM(16)
POPA_FORM(32)

/* The frame pointer of the k-th enclosing procedure, k from 1. */
static uint64_t outer_frame(struct cpu *c, const struct insn *i, unsigned size, unsigned k)
{
	return load_sized(c, i, stack_at(c, i, c->gpr[RBP] - k * size, size, false), size);
}

/*
 * The new frame: the old rBP, then for nested levels copies of the frame pointers of the enclosing
 * procedures and the address of this frame. Reads and writes alternate, since they may overlap;
 * so all are tried first. Returns the address of the frame.
 */
static uint64_t enter(struct cpu *c, const struct insn *i, unsigned size)
{
	unsigned level = (i->imm >> 16) & ENTER_LEVEL_MASK, nr = level + 1;
	uint64_t frame = c->gpr[RSP] - size;
	uint64_t sp = c->gpr[RSP] - nr * size - (uint16_t)i->imm;

	for (unsigned k = 1; k <= nr; k++) {
		mmu_check_write(c, i, push_place(c, i, size, k), size);
		if (k < level)
			outer_frame(c, i, size, k);
	}
	store_sized(c, i, push_place(c, i, size, 1), size, c->gpr[RBP]);
	for (unsigned k = 1; k < level; k++)
		store_sized(c, i, push_place(c, i, size, k + 1), size, outer_frame(c, i, size, k));
	if (level)
		store_sized(c, i, push_place(c, i, size, nr), size, frame);
	/* The new top of the stack must be writable, though nothing is stored there. */
	mmu_check_write(c, i, stack_at(c, i, sp, size, true), size);
	stack_set(c, sp);
	return frame;
}

#define ENTER_FORM(bits, s)                                                    \
	void x_enter_##bits(struct cpu *c, const struct insn *i)               \
	{                                                                      \
		set##bits(c, GPR(RBP), (uint##bits##_t)enter(c, i, bits / 8)); \
		NEXT(c, i);                                                    \
	}
FOR_V(ENTER_FORM)

void x_leave_64(struct cpu *c, const struct insn *i)
{
	uint64_t frame = c->gpr[RBP];
	uint64_t v = stack_load64(c, i, frame);

	c->gpr[RSP] = frame + 8;
	c->gpr[RBP] = v;
	NEXT(c, i);
}

#define LEAVE_FORM(bits)                                           \
	void x_leave_##bits(struct cpu *c, const struct insn *i)   \
	{                                                          \
		uint64_t frame = c->gpr[RBP];                      \
		gva_t va = stack_at(c, i, frame, bits / 8, false); \
		uint##bits##_t v = mmu_load##bits(c, i, va);       \
                                                                   \
		stack_set(c, frame + bits / 8);                    \
		set##bits(c, GPR(RBP), v);                         \
		NEXT(c, i);                                        \
	}
LEAVE_FORM(16)
LEAVE_FORM(32)
