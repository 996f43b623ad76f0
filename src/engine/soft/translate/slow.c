/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What translated code calls: the interpreter for one instruction, and the vector registers. On the
 * vCPU's thread, with the guest's state in struct cpu. The instruction may leave by cpu_unwind(),
 * past the translated code's frame.
 */
#include "engine/soft/exec.h"
#include "engine/soft/interp/simd_impl.h"
#include "engine/soft/translate/emit_impl.h"

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

int translated_interpret(struct cpu *c, const struct record *r)
{
	interpret(c, &r->insn);
	if (is_stale(r))
		c->stats.left[ENGINE_LEAVE_STALE]++;
	/* A repeated instruction that requests have stopped has left rip where it is. */
	else if (c->rip != insn_next_rip(c, &r->insn))
		c->stats.left[ENGINE_LEAVE_REQUEST]++;
	else
		return 0;
	return 1;
}

int translated_slow(struct cpu *c, const struct record *r)
{
	c->stats.slow_singles++;
	return translated_interpret(c, r);
}

int translated_interpret_end(struct cpu *c, const struct record *r)
{
	interpret(c, &r->insn);
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

int translated_simd(struct cpu *c, const struct record *r)
{
	if (!is_sse_ready(c))
		return leave_to_interpreter(c, r);
	simd_touch(c, XCR0_SSE);
	return c->fpu.xstate_bv & XCR0_AVX ? LOAD_ALL : LOAD_SSE;
}

int translated_avx(struct cpu *c, const struct record *r)
{
	if (!is_avx_ready(c))
		return leave_to_interpreter(c, r);
	simd_touch(c, XCR0_SSE | XCR0_AVX);
	return LOAD_ALL;
}
