/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Effective addresses, segments, stack and branch targets in all modes (SDM vol. 1, 3.3 and 3.7;
 * vol. 3, 5.3), for every family of instructions. The 64-bit flat cases are inline in exec.h and
 * int_impl.h; here is the rest. Canonical form of data addresses is checked by the MMU, except on
 * the stack, where the fault is #SS.
 */
#include "engine/soft/interp/int_impl.h"

uint64_t ea_offset(const struct cpu *c, const struct insn *i)
{
	uint64_t offset =
		c->gpr[i->base] + (c->gpr[i->index & 31] << (i->index >> 6)) + (int64_t)i->disp;

	if (i->ea & EA_FAR_DISP)
		offset += i->off + i->len;
	return offset & ea_mask(i);
}

gva_t ea_at(struct cpu *c, const struct insn *i, uint64_t offset, unsigned size, bool is_write)
{
	offset &= ea_mask(i);
	if (!(i->ea & EA_SEGMENTED))
		return offset;
	return seg_linear(c, i, EA_SEG(i->ea), offset, size, is_write);
}

gva_t ea_slow(struct cpu *c, const struct insn *i, unsigned size, bool is_write)
{
	return ea_at(c, i, ea_offset(c, i), size, is_write);
}

gva_t ea_plus(struct cpu *c, const struct insn *i, int64_t delta, unsigned size, bool is_write)
{
	return ea_at(c, i, ea_offset(c, i) + (uint64_t)delta, size, is_write);
}

/* Whether the hidden part of a protected-mode segment allows the access (SDM vol. 3, 5.4.1). */
static bool segment_allows(const struct segment *s, bool is_write)
{
	if (s->attr & SEG_ATTR_UNUSABLE)
		return false;
	if (s->attr & SEG_TYPE_CODE)
		return !is_write && (s->attr & SEG_TYPE_RW);
	return !is_write || (s->attr & SEG_TYPE_RW);
}

/* Whether size bytes at offset lie inside the limit; expand-down segments lie above it. */
static bool segment_covers(const struct segment *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if ((s->attr & (SEG_TYPE_CODE | SEG_TYPE_CONFORM)) == SEG_TYPE_CONFORM)
		return offset > s->limit &&
		       last <= (s->attr & SEG_ATTR_DB ? UINT32_MAX : UINT16_MAX);
	return last <= s->limit;
}

gva_t seg_linear(struct cpu *c, const struct insn *i, enum x86_seg seg, uint64_t offset,
		 unsigned size, bool is_write)
{
	const struct segment *s = &c->seg[seg];

	if (cpu_in_64bit(c))
		return seg == SEG_FS || seg == SEG_GS ? s->base + offset : offset;
	if ((!cpu_is_real_or_vm86(c) && !segment_allows(s, is_write)) ||
	    !segment_covers(s, offset, size))
		cpu_fault_code(c, i, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
	return (uint32_t)(s->base + offset);
}

void *rmw_split_begin(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	mmu_split_lock(c);
	c->rmw_old = c->rmw_value = mmu_load_for_write(c, i, va, size);
	return &c->rmw_value;
}

void rmw_split_end(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	mmu_store_split(c, i, va, size, c->rmw_old, c->rmw_value);
	mmu_split_unlock(c);
}

/* ---- the stack ---- */

static enum code_size stack_size(const struct cpu *c)
{
	return (enum code_size)((c->mode >> MODE_STACK_SHIFT) & 3);
}

/* Linear address delta bytes from the top of the stack. */
static gva_t stack_linear(struct cpu *c, const struct insn *i, int64_t delta, unsigned size,
			  bool is_write)
{
	uint64_t sp = c->gpr[RSP] + (uint64_t)delta;

	if (stack_size(c) == CODE_64) {
		if (unlikely(!is_canonical(sp) || !is_canonical(sp + size - 1)))
			cpu_fault_code(c, i, VEC_SS, 0);
		return sp;
	}
	sp &= stack_size(c) == CODE_32 ? UINT32_MAX : UINT16_MAX;
	return seg_linear(c, i, SEG_SS, sp, size, is_write);
}

void stack_push(struct cpu *c, const struct insn *i, unsigned size, uint64_t value)
{
	gva_t va = stack_linear(c, i, -(int64_t)size, size, true);

	store_sized(c, i, va, size, value);
	stack_adjust(c, -(int64_t)size);
}

uint64_t stack_peek(struct cpu *c, const struct insn *i, unsigned size, unsigned skip)
{
	return load_sized(c, i, stack_linear(c, i, skip, size, false), size);
}

void stack_adjust(struct cpu *c, int64_t delta)
{
	stack_set(c, c->gpr[RSP] + (uint64_t)delta);
}

void stack_set(struct cpu *c, uint64_t sp)
{
	switch (stack_size(c)) {
	case CODE_64:
		c->gpr[RSP] = sp;
		break;
	case CODE_32:
		c->gpr[RSP] = (uint32_t)sp;
		break;
	default:
		*reg16(c, GPR(RSP)) = (uint16_t)sp;
		break;
	}
}

uint64_t stack_mask(const struct cpu *c)
{
	static const uint64_t masks[] = {UINT16_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX};

	return masks[stack_size(c)];
}

gva_t stack_at(struct cpu *c, const struct insn *i, uint64_t offset, unsigned size, bool is_write)
{
	return stack_linear(c, i, (int64_t)(offset - c->gpr[RSP]), size, is_write);
}

void stack_store64_slow(struct cpu *c, const struct insn *i, gva_t va, uint64_t value)
{
	if (!is_canonical(va) || !is_canonical(va + 7))
		cpu_fault_code(c, i, VEC_SS, 0);
	mmu_store_slow(c, i, va, 8, value);
}

uint64_t stack_load64_slow(struct cpu *c, const struct insn *i, gva_t va)
{
	if (!is_canonical(va) || !is_canonical(va + 7))
		cpu_fault_code(c, i, VEC_SS, 0);
	return mmu_load_slow(c, i, va, 8);
}

/* ---- branches ---- */

uint64_t branch_target(struct cpu *c, const struct insn *i, unsigned size, uint64_t target)
{
	if (size == 2)
		target = (uint16_t)target;
	else if (size == 4)
		target = (uint32_t)target;
	if (cpu_in_64bit(c) ? !is_canonical(target) : target > c->seg[SEG_CS].limit)
		cpu_fault_code(c, i, VEC_GP, 0);
	return target;
}

void x_ud(struct cpu *c, const struct insn *i)
{
	cpu_fault(c, i, VEC_UD);
}

void x_gp(struct cpu *c, const struct insn *i)
{
	cpu_fault_code(c, i, VEC_GP, 0);
}

void x_block_end(struct cpu *c, const struct insn *i)
{
	if (cpu_in_64bit(c))
		BRANCH_64(c, i, insn_rip(c, i), );
	BRANCH(c, ip_mask(c, insn_rip(c, i)));
}
