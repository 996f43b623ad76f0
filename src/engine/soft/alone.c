/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of one instruction that the block cache cannot hold: those that go on in the next page,
 * that store into their own block, or that are finished after a device access. vCPU thread.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/cache_impl.h"
#include "engine/soft/exec.h"
#include "engine/soft/mmu.h"

void block_no_code(struct cpu *c, uint64_t gpa)
{
	c->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	c->run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	c->run->internal.ndata = 1;
	c->run->internal.data[0] = gpa;
	cpu_exit(c, NULL);
}

void block_check_limit(struct cpu *c)
{
	if (!cpu_in_64bit(c) && c->rip > c->seg[SEG_CS].limit)
		cpu_fault_code(c, NULL, VEC_GP, 0);
}

/*
 * Their blocks are not watched. Instead the bytes are compared at each use, so what is kept here
 * only spares the decoder.
 */
#define NR_ALONE    64
#define ALONE_BYTES ALIGN_UP(sizeof(struct block) + 2 * sizeof(struct insn) + 16, (size_t)64)

struct block *block_alone_new(void)
{
	struct block *b = aligned_alloc(64, NR_ALONE * ALONE_BYTES);

	if (b)
		memset(b, 0, NR_ALONE * ALONE_BYTES);
	return b;
}

bool block_is_alone(const struct cpu *c, const struct block *b)
{
	return (uintptr_t)b - (uintptr_t)c->alone_blocks < NR_ALONE * ALONE_BYTES;
}

static struct block *alone_slot(struct cpu *c, uint64_t gpa)
{
	return (struct block *)((uint8_t *)c->alone_blocks + gpa % NR_ALONE * ALONE_BYTES);
}

/* Whether a slot holds what the first avail bytes of code begin with, for as far as they go. */
static bool alone_matches(struct cpu *c, struct block *b, uint64_t gpa, const uint8_t *code,
			  unsigned avail)
{
	return b->nr && b->gpa == gpa && b->mode == c->mode &&
	       !memcmp(block_code(b), code, min(avail, (unsigned)b->size));
}

static struct block *alone_fill(struct cpu *c, struct block *b, uint64_t gpa, const uint8_t *code)
{
	b->gpa = gpa;
	b->mode = c->mode;
	b->nr = 1;
	b->size = (uint16_t)decode(code, 16, cpu_code_size(c), c->features, 0, &b->insns[0]);
	b->insns[1] = (struct insn){.exec = x_block_end, .off = b->size};
	memcpy(block_code(b), code, 16);
	return b;
}

/* One instruction at rip, from one page or two. */
struct block *block_alone(struct cpu *c)
{
	gva_t va = linear_rip(c);
	unsigned avail = min(4096 - (unsigned)(va & 0xfff), 16u);
	uint8_t code[16];
	const uint8_t *host;
	uint64_t gpa, next_gpa;
	struct block *b;
	struct insn i;

	block_check_limit(c);
	host = mmu_fetch_page(c, va, &gpa);
	if (!host)
		block_no_code(c, gpa);
	gpa += va & 0xfff;
	b = alone_slot(c, gpa);
	guest_copy(code, host + (va & 0xfff), avail);
	if (alone_matches(c, b, gpa, code, avail) && b->size <= avail)
		return b;
	if (avail == 16)
		return alone_fill(c, b, gpa, code);
	memset(code + avail, 0, 16 - avail);
	if (decode(code, avail, cpu_code_size(c), c->features, 0, &i))
		return alone_fill(c, b, gpa, code);
	host = mmu_fetch_page(c, (va + avail) & c->fetch_mask, &next_gpa);
	if (!host)
		block_no_code(c, next_gpa);
	guest_copy(code + avail, host, 16 - avail);
	return alone_matches(c, b, gpa, code, 16) ? b : alone_fill(c, b, gpa, code);
}

bool block_crosses_page(struct cpu *c, const uint8_t *code, uint64_t gpa)
{
	unsigned avail = GUEST_PAGE_SIZE - (gpa & 0xfff);
	struct block *b = alone_slot(c, gpa);
	uint8_t copy[16];
	struct insn i;

	if (avail >= 15)
		return false;
	guest_copy(copy, code, avail);
	if (alone_matches(c, b, gpa, copy, avail))
		return b->size > avail;
	return !decode(copy, avail, cpu_code_size(c), c->features, 0, &i);
}
