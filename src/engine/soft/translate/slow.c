/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What translated code calls: the interpreter for one instruction, and the vector registers. On the
 * vCPU's thread, with the guest's state in struct cpu. The instruction may leave by cpu_unwind(),
 * past the translated code's frame.
 */
#include <x86intrin.h>

#include "engine/soft/exec.h"
#include "engine/soft/interp/simd_impl.h"
#include "engine/soft/soft.h"
#include "engine/soft/translate/emit_impl.h"

/* Ticks of the TSC that CONFLICTS_MANY take, or the accesses are worth sites. */
#define CONFLICTS_TICKS (CONFLICTS_MANY << 14)

static void interpret(struct cpu *c, const struct insn *i)
{
	struct insn *copy = c->single;

	copy[0] = *i;
	copy[1] = (struct insn){.exec = x_block_end, .off = (uint16_t)(i->off + i->len)};
	c->stats.interpreted++;
	c->singles[i->row]++;
	/* That of a translated STI has had its instruction, or ends with this one. */
	c->in_shadow = c->in_ss_shadow = false;
	copy->exec(c, copy);
}

/* Whether the rest of the block may not be run any more: it has been stored into. */
static bool is_stale(const struct record *r)
{
	return !atomic_load_explicit(&r->block->is_valid, memory_order_relaxed);
}

/* Called with what c->tlb_conflicts was before r was interpreted. */
static void find_conflict(struct cpu *c, const struct record *r, uint32_t before)
{
	uint64_t now;

	if (c->tlb_conflicts / CONFLICTS_MANY == before / CONFLICTS_MANY)
		return;
	now = __rdtsc();
	if (now - c->conflicts_time < CONFLICTS_TICKS) {
		c->conflict = r;
		cpu_request(c, REQ_SAFE);
	}
	c->conflicts_time = now;
}

int translated_interpret(struct cpu *c, const struct record *r)
{
	const uint32_t conflicts = c->tlb_conflicts;

	interpret(c, &r->insn);
	find_conflict(c, r, conflicts);
	if (is_stale(r))
		c->stats.left[ENGINE_LEAVE_STALE]++;
	/* A repeated instruction that requests have stopped has left rip where it is. */
	else if (c->rip != insn_next_rip(c, &r->insn))
		c->stats.left[ENGINE_LEAVE_REQUEST]++;
	else
		return 0;
	return 1;
}

/*
 * What the access has found, for the next one: by then another page may have the entry. If the entry
 * is that of another access of the instruction the site is filled in vain.
 */
static void fill_site(struct cpu *c, const struct record *r)
{
	const struct tlb_entry *e = c->tlb_filled;
	bool is_write = r->site / SITES_PER_CLASS & 1;
	uint64_t tag;

	if (!e || !r->length)
		return;
	tag = is_write ? atomic_load_explicit(&e->tag_write, memory_order_relaxed) : e->tag_read;
	if (tag == TLB_NONE)
		return;
	c->sites[r->site] = (struct site){.minus_page = -tag, .addend = e->addend};
	atomic_store_explicit(&c->site_limits[r->site], 4097u - r->length, memory_order_relaxed);
	c->has_sites = 1;
}

int translated_slow(struct cpu *c, const struct record *r)
{
	int does_leave;

	c->stats.slow_singles++;
	c->tlb_filled = NULL;
	does_leave = translated_interpret(c, r);
	fill_site(c, r);
	return does_leave;
}

int translated_interpret_end(struct cpu *c, const struct record *r)
{
	const uint32_t conflicts = c->tlb_conflicts;

	interpret(c, &r->insn);
	find_conflict(c, r, conflicts);
	if ((c->mode & (MODE_CODE_SIZE | MODE_STEP)) == CODE_64 && !c->in_shadow && !c->is_halted &&
	    !c->is_traced && !atomic_load_explicit(&c->requests, memory_order_relaxed))
		return 0;
	c->stats.left[ENGINE_LEAVE_STATE]++;
	return 1;
}

/* The interpreter meets what is in the way, and raises it. */
static int leave_to_interpreter(struct cpu *c, const struct record *r)
{
	c->rip = insn_rip(c, &r->insn);
	c->interpret_once = true;
	c->stats.left[ENGINE_LEAVE_VECTOR]++;
	return 0;
}

static bool is_sse_ready(const struct cpu *c)
{
	return !(c->cr0 & (CR0_EM | CR0_TS)) && c->cr4 & CR4_OSFXSR &&
	       (c->fpu.mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}

static bool is_avx_ready(const struct cpu *c)
{
	const uint64_t needed = XCR0_SSE | XCR0_AVX;

	return is_sse_ready(c) && c->cr4 & CR4_OSXSAVE && (c->xcr0 & needed) == needed;
}

#define LOAD_SSE 1
#define LOAD_ALL 3

/*
 * Upper halves that are zero count as not in use, as after VZEROUPPER: once loaded, every SSE
 * instruction of the host's would have to merge them.
 */
static void release_upper_halves(struct cpu *c)
{
	__uint128_t any = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(c->fpu.ymm_high); n++) {
		__uint128_t high;

		memcpy(&high, c->fpu.ymm_high[n], sizeof(high));
		any |= high;
	}
	if (!any)
		c->fpu.xstate_bv &= ~(uint64_t)XCR0_AVX;
}

int translated_simd(struct cpu *c, const struct record *r)
{
	if (!is_sse_ready(c))
		return leave_to_interpreter(c, r);
	simd_touch(c, XCR0_SSE);
	if (c->fpu.xstate_bv & XCR0_AVX)
		release_upper_halves(c);
	return c->fpu.xstate_bv & XCR0_AVX ? LOAD_ALL : LOAD_SSE;
}

int translated_avx(struct cpu *c, const struct record *r)
{
	if (!is_avx_ready(c))
		return leave_to_interpreter(c, r);
	simd_touch(c, XCR0_SSE | XCR0_AVX);
	return LOAD_ALL;
}
