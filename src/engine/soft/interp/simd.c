// SPDX-License-Identifier: BSD-2-Clause
/*
 * MMX, SSE and AVX instructions as the host's own, by thunks (thunk.h): the checks before, the
 * memory operand, MXCSR and its exceptions (SDM vol. 1, 11.5), and the registers. Exceptions run
 * masked on the host; one the guest has not masked is found afterwards in the flags, and its
 * results undone. Left out: MXCSR's misaligned mode of AMD. The bodies are functions of their own,
 * because locals whose address is known would keep NEXT() from being a tail call.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"
#include "engine/soft/interp/simd_trap.h"
#include "engine/soft/interp/thunk.h"

void sse_blocked(struct cpu *c, const struct insn *i)
{
	if (c->cr0 & CR0_EM || !(c->cr4 & CR4_OSFXSR))
		cpu_fault(c, i, VEC_UD);
	cpu_fault(c, i, VEC_NM);
}

void avx_blocked(struct cpu *c, const struct insn *i)
{
	const uint64_t needed = XCR0_SSE | XCR0_AVX;

	if (!(c->cr4 & CR4_OSXSAVE) || (c->xcr0 & needed) != needed || cpu_is_real_or_vm86(c))
		cpu_fault(c, i, VEC_UD);
	cpu_fault(c, i, VEC_NM);
}

void mmx_blocked(struct cpu *c, const struct insn *i)
{
	if (c->cr0 & CR0_EM)
		cpu_fault(c, i, VEC_UD);
	if (c->cr0 & CR0_TS)
		cpu_fault(c, i, VEC_NM);
	cpu_fault(c, i, VEC_MF);
}

static inline void *thunk_operand(struct cpu *c, struct thunk_register r, unsigned off)
{
	return (uint8_t *)c + r.base + ((off & r.mask) << r.shift);
}

static inline uint64_t thunk_run(struct cpu *c, const struct insn *i, const struct thunk *t,
				 void *mem)
{
	return t->run(mem, thunk_operand(c, t->reg, i->reg), c->fpu.xmm[INSN_VVVV(i)],
		      thunk_operand(c, t->rm, i->rm), c, c->fpu.xmm[(i->imm >> 4) & 15]);
}

/* The memory operand of a row, found and, for a source, read. */
struct operand {
	gva_t va;
	void *at;
	uint8_t bounce[VECTOR_BYTES_MAX] __attribute__((aligned(16)));
};

/* While #AC may be due: Intel exempts VCVTPH2PS and VCVTPS2PH from it even with 8 bytes. */
static inline bool is_bytewise(const struct cpu *c, const struct thunk *t)
{
	return c->tlb == c->tlb_slow && t->is_exempt_from_ac && !cpu_has(c, FEAT_AMD);
}

/* AMD's CPUs let the operand of SHA instructions lie anywhere, unlike all other 16 bytes of SSE. */
static void not_aligned(struct cpu *c, const struct insn *i)
{
	if (insn_rows[i->row].feature != FEAT_SHA || !cpu_has(c, FEAT_AMD))
		cpu_fault_code(c, i, VEC_GP, 0);
}

static inline void operand_locate(struct cpu *c, const struct insn *i, const struct thunk *t,
				  struct operand *o)
{
	o->va = ea(c, i, t->mem_size, t->is_store);
	if (unlikely(o->va & t->mem_align))
		not_aligned(c, i);
}

static inline __attribute__((always_inline)) void
operand_prepare(struct cpu *c, const struct insn *i, const struct thunk *t, struct operand *o)
{
	o->at = o->bounce;
	if (!t->mem_size || t->is_store)
		return;
	operand_locate(c, i, t, o);
	if (unlikely(is_bytewise(c, t)))
		for (unsigned n = 0; n < t->mem_size; n++)
			o->bounce[n] = mmu_load8(c, i, o->va + n);
	else if (unlikely(o->va & t->mem_align))
		mmu_load_bytes(c, i, o->va, o->bounce, t->mem_size);
	else
		o->at = simd_source(c, i, o->va, t->mem_size, o->bounce);
}

/* Each size is a case of its own, so that it becomes host stores instead of a copy loop. */
static void store_by_size(struct cpu *c, const struct insn *i, gva_t va, const void *from,
			  unsigned size)
{
	switch (size) {
	case 1:
		simd_store(c, i, va, from, 1);
		break;
	case 2:
		simd_store(c, i, va, from, 2);
		break;
	case 4:
		simd_store(c, i, va, from, 4);
		break;
	case 8:
		simd_store(c, i, va, from, 8);
		break;
	case 16:
		simd_store(c, i, va, from, 16);
		break;
	default:
		simd_store(c, i, va, from, 32);
		break;
	}
}

static void store_bytewise(struct cpu *c, const struct insn *i, gva_t va, const uint8_t *from,
			   unsigned size)
{
	simd_check_write(c, i, va, size);
	for (unsigned n = 0; n < size; n++)
		mmu_store8(c, i, va + n, from[n]);
}

static inline void operand_finish(struct cpu *c, const struct insn *i, const struct thunk *t,
				  struct operand *o)
{
	if (likely(!t->is_store))
		return;
	/* Exceptions of the computation come before those of the address. */
	operand_locate(c, i, t, o);
	if (unlikely(is_bytewise(c, t)))
		store_bytewise(c, i, o->va, o->bounce, t->mem_size);
	else
		store_by_size(c, i, o->va, o->bounce, t->mem_size);
}

static inline const struct thunk *thunk_or_ud(struct cpu *c, const struct insn *i)
{
	const struct thunk *t = thunk_find(i);

	if (unlikely(!t->run))
		cpu_fault(c, i, VEC_UD);
	return t;
}

static inline void check_by_attr(struct cpu *c, const struct insn *i, uint16_t attr)
{
	if (attr & A_AVX)
		avx_check(c, i);
	if (attr & A_SSE)
		sse_check(c, i);
	if (attr & A_MMX)
		mmx_check(c, i);
}

static inline void run_simd(struct cpu *c, const struct insn *i)
{
	const struct thunk *t = thunk_or_ud(c, i);
	struct operand o;

	check_by_attr(c, i, t->attr);
	operand_prepare(c, i, t, &o);

	uint64_t flags = thunk_run(c, i, t, o.at);

	operand_finish(c, i, t, &o);
	if (t->flags)
		set_flags(c, flags, t->flags);
	simd_touch(c, t->touches);
}

void x_simd(struct cpu *c, const struct insn *i)
{
	run_simd(c, i);
	NEXT(c, i);
}

/*
 * With an exception unmasked the host raises it as well: the only way to know which flags belong to
 * the unmasked response. The instruction has then written nothing.
 */
static uint64_t run_unmasked(struct cpu *c, const struct insn *i, const struct thunk *t, void *mem)
{
	uint32_t mxcsr = c->fpu.mxcsr, raised;
	struct simd_trap trap;

	simd_trap_arm(&trap);
	if (!sigsetjmp(trap.back, 0)) {
		host_set_mxcsr(mxcsr & ~MXCSR_FLAGS);

		uint64_t flags = thunk_run(c, i, t, mem);

		c->fpu.mxcsr |= host_mxcsr() & MXCSR_FLAGS;
		host_set_mxcsr(MXCSR_RESET);
		simd_trap_disarm();
		return flags;
	}
	host_set_mxcsr(MXCSR_RESET);
	raised = simd_trap_disarm();
	c->fpu.mxcsr |= raised & MXCSR_FLAGS;
	cpu_fault(c, i, c->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}

/* Runs t with the guest's MXCSR, which it updates. */
static inline uint64_t run_fp(struct cpu *c, const struct insn *i, const struct thunk *t, void *mem)
{
	uint32_t mxcsr = c->fpu.mxcsr;

	if (unlikely((mxcsr & MXCSR_MASKS) != MXCSR_MASKS))
		return run_unmasked(c, i, t, mem);
	/* Flags that stay set cost nothing; the monitor's own code only needs the control bits. */
	if (host_mxcsr() != mxcsr)
		host_set_mxcsr(mxcsr);

	uint64_t flags = thunk_run(c, i, t, mem);

	c->fpu.mxcsr = host_mxcsr();
	if (unlikely((mxcsr & ~MXCSR_FLAGS) != MXCSR_RESET))
		host_set_mxcsr(MXCSR_RESET);
	return flags;
}

static inline void run_simd_fp(struct cpu *c, const struct insn *i)
{
	const struct thunk *t = thunk_or_ud(c, i);
	struct operand o;

	check_by_attr(c, i, t->attr);
	operand_prepare(c, i, t, &o);
	/* On AMD's CPUs it is the other way round. */
	if (t->is_store && cpu_has(c, FEAT_AMD)) {
		operand_locate(c, i, t, &o);
		mmu_check_write(c, i, o.va, t->mem_size);
	}

	uint64_t flags = run_fp(c, i, t, o.at);

	/* A store that faults leaves the flags of VCVTPS2PH in MXCSR, as on hardware. */
	operand_finish(c, i, t, &o);
	if (t->flags)
		set_flags(c, flags, t->flags);
	simd_touch(c, t->touches);
}

void x_simd_fp(struct cpu *c, const struct insn *i)
{
	run_simd_fp(c, i);
	NEXT(c, i);
}

/* Whether the instruction leaves x87 state for MMX state: with an MMX register among its operands.
 */
static inline bool uses_mmx_register(const struct insn *i, const struct thunk *t)
{
	return t->reg.base == offsetof(struct cpu, fpu.st) ||
	       (!(i->prefix & PFX_MEM) && t->rm.base == offsetof(struct cpu, fpu.st));
}

static void mmx_prepare(struct cpu *c, const struct insn *i, const struct thunk *t,
			struct operand *o)
{
	bool is_mmx = uses_mmx_register(i, t);

	/* CVTPI2PS and CVTPI2PD of memory do not mind what x87 exception is pending. */
	check_by_attr(c, i, is_mmx ? t->attr : t->attr & (uint16_t)~A_MMX);
	operand_prepare(c, i, t, o);
	/* Before a store that may fault, as hardware does: the next attempt finds it done. */
	if (is_mmx)
		mmx_enter(&c->fpu);
}

static inline void run_mmx(struct cpu *c, const struct insn *i)
{
	const struct thunk *t = thunk_or_ud(c, i);
	struct operand o;

	mmx_prepare(c, i, t, &o);
	thunk_run(c, i, t, o.at);
	operand_finish(c, i, t, &o);
	mmx_complete(&c->fpu);
	simd_touch(c, t->touches);
}

void x_mmx(struct cpu *c, const struct insn *i)
{
	run_mmx(c, i);
	NEXT(c, i);
}

static inline void run_mmx_fp(struct cpu *c, const struct insn *i)
{
	const struct thunk *t = thunk_or_ud(c, i);
	struct operand o;

	mmx_prepare(c, i, t, &o);
	if (uses_mmx_register(i, t))
		mmx_complete(&c->fpu);
	run_fp(c, i, t, o.at);
	simd_touch(c, t->touches);
}

void x_mmx_fp(struct cpu *c, const struct insn *i)
{
	run_mmx_fp(c, i);
	NEXT(c, i);
}
