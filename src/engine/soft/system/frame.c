/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack frames of control transfers: pushes and pops on a stack that becomes the current one only
 * when everything has succeeded, so that a fault in the middle leaves the registers as they were.
 * What a faulting push has already stored lies below the stack pointer and is nobody's.
 */
#include "engine/soft/system.h"

#include "engine/soft/mmu.h"

void frame_current(const struct cpu *c, struct frame *f)
{
	*f = (struct frame){.ss = c->seg[SEG_SS], .sp = c->gpr[RSP], .is_64 = cpu_in_64bit(c)};
	if (f->is_64)
		f->mask = ~0ull;
	else
		f->mask = f->ss.attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
}

/* Linear address of a checked access. */
static gva_t frame_va(struct cpu *c, const struct insn *i, const struct frame *f, uint64_t off,
		      unsigned size)
{
	if (f->is_64) {
		if (!is_canonical(off) || !is_canonical(off + size - 1))
			cpu_fault_code(c, i, VEC_SS, f->ss_error);
		return off;
	}
	if (!segment_covers(&f->ss, off, size))
		cpu_fault_code(c, i, VEC_SS, f->ss_error);
	return (uint32_t)(f->ss.base + off);
}

static void store(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t v)
{
	if (size == 8)
		mmu_store64(c, i, va, v);
	else if (size == 4)
		mmu_store32(c, i, va, (uint32_t)v);
	else
		mmu_store16(c, i, va, (uint16_t)v);
}

void frame_push(struct cpu *c, const struct insn *i, struct frame *f, unsigned size, uint64_t v)
{
	uint64_t off = (f->sp - size) & f->mask;
	gva_t va = frame_va(c, i, f, off, size);

	if (f->is_system)
		mmu_store_system(c, i, va, size, v);
	else
		store(c, i, va, size, v);
	f->sp = (f->sp & ~f->mask) | off;
}

uint64_t frame_pop(struct cpu *c, const struct insn *i, struct frame *f, unsigned size)
{
	uint64_t off = f->sp & f->mask;
	gva_t va = frame_va(c, i, f, off, size);
	uint64_t v;

	if (size == 8)
		v = mmu_load64(c, i, va);
	else if (size == 4)
		v = mmu_load32(c, i, va);
	else
		v = mmu_load16(c, i, va);
	f->sp = (f->sp & ~f->mask) | ((off + size) & f->mask);
	return v;
}

void frame_commit(struct cpu *c, const struct frame *f)
{
	c->gpr[RSP] = f->sp;
}
