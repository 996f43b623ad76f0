/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What x87, MMX, SSE and AVX instructions share: whether they may run at all, their memory
 * operands, and the parts of the state. For simd*.c, x87*.c and xsave.c.
 */
#ifndef ENGINE_SOFT_INTERP_SIMD_IMPL_H
#define ENGINE_SOFT_INTERP_SIMD_IMPL_H

#include "engine/soft/exec.h"
#include "engine/soft/fpu.h"

#define FSW_IE	       BIT(0)
#define FSW_DE	       BIT(1)
#define FSW_ZE	       BIT(2)
#define FSW_OE	       BIT(3)
#define FSW_UE	       BIT(4)
#define FSW_PE	       BIT(5)
#define FSW_ES	       BIT(7) /* an unmasked exception is pending */
#define FSW_B	       BIT(15)
#define FSW_EXCEPTIONS 0x3fu
#define FSW_TOP_SHIFT  11

#define FCW_RESET 0x37fu

#define MXCSR_FLAGS	 0x3fu	 /* IE, DE, ZE, OE, UE, PE */
#define MXCSR_MASKS	 0x1f80u /* their masks; 7 bits further */
#define MXCSR_MASK_SHIFT 7
#define MXCSR_UE	 BIT(4)
#define MXCSR_FTZ	 BIT(15)

#define VECTOR_BYTES_MAX 32

/* ---- may it run? (SDM vol. 3, table 14-1 and 13.1; vol. 2, 2.4) ---- */

/* The slow ends: find out which fault it is. */
void sse_blocked(struct cpu *c, const struct insn *i) __attribute__((noreturn, cold));
void avx_blocked(struct cpu *c, const struct insn *i) __attribute__((noreturn, cold));
void mmx_blocked(struct cpu *c, const struct insn *i) __attribute__((noreturn, cold));

static inline void sse_check(struct cpu *c, const struct insn *i)
{
	if (unlikely(c->cr0 & (CR0_EM | CR0_TS) || !(c->cr4 & CR4_OSFXSR)))
		sse_blocked(c, i);
}

static inline void avx_check(struct cpu *c, const struct insn *i)
{
	const uint64_t needed = XCR0_SSE | XCR0_AVX;

	if (unlikely(c->cr0 & CR0_TS || !(c->cr4 & CR4_OSXSAVE) || (c->xcr0 & needed) != needed ||
		     cpu_is_real_or_vm86(c)))
		avx_blocked(c, i);
}

/* A pending x87 exception counts whatever CR0.NE says: external FERR# reporting is left out. */
static inline void mmx_check(struct cpu *c, const struct insn *i)
{
	if (unlikely(c->cr0 & (CR0_EM | CR0_TS) || c->fpu.fsw & FSW_ES))
		mmx_blocked(c, i);
}

/* x87: waiting instructions also take the pending exception. */
static inline void x87_check(struct cpu *c, const struct insn *i, bool is_waiting)
{
	if (unlikely(c->cr0 & (CR0_EM | CR0_TS)))
		cpu_fault(c, i, VEC_NM);
	if (is_waiting && unlikely(c->fpu.fsw & FSW_ES))
		cpu_fault(c, i, VEC_MF);
}

/* ---- memory operands ---- */

/* #GP(0) unless va is a multiple of align, a power of two. */
static inline void require_aligned(struct cpu *c, const struct insn *i, gva_t va, unsigned align)
{
	if (unlikely(va & (align - 1)))
		cpu_fault_code(c, i, VEC_GP, 0);
}

/* size bytes to read at va: guest memory itself if that is possible, else a copy in bounce. */
static inline void *simd_source(struct cpu *c, const struct insn *i, gva_t va, unsigned size,
				void *bounce)
{
	struct tlb_entry *e = tlb_slot(c, va);

	if (likely(((va + size - 1) & PAGE_MASK_64) == e->tag_read))
		return (void *)(va + e->addend);
	mmu_load_bytes(c, i, va, bounce, size);
	return bounce;
}

/* Stores size bytes; with a constant size the common case is one or two host stores. */
static inline __attribute__((always_inline)) void
simd_store(struct cpu *c, const struct insn *i, gva_t va, const void *src, unsigned size)
{
	struct tlb_entry *e = tlb_slot(c, va);

	if (likely(((va + size - 1) & PAGE_MASK_64) ==
		   atomic_load_explicit(&e->tag_write, memory_order_relaxed)))
		memcpy((void *)(va + e->addend), src, size);
	else
		mmu_store_bytes(c, i, va, src, size);
}

/* Faults as storing size bytes would, without #AC. */
static inline void simd_check_write(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	gva_t last = va + size - 1;

	mmu_check_write(c, i, va, 1);
	if ((va ^ last) & PAGE_MASK_64)
		mmu_check_write(c, i, last & PAGE_MASK_64, 1);
}

/* ---- registers ---- */

/* By the offset in struct insn, which is the number times 8. */
static inline uint8_t *xmm_low(struct cpu *c, unsigned off)
{
	return (uint8_t *)c->fpu.xmm + 2 * off;
}

static inline uint8_t *ymm_high(struct cpu *c, unsigned off)
{
	return (uint8_t *)c->fpu.ymm_high + 2 * off;
}

static inline void simd_touch(struct cpu *c, uint64_t components)
{
	c->fpu.xstate_bv |= components;
}

/* ---- control and status ---- */

static inline uint32_t host_mxcsr(void)
{
	return __builtin_ia32_stmxcsr();
}

static inline void host_set_mxcsr(uint32_t value)
{
	__builtin_ia32_ldmxcsr(value);
}

/* Drops reserved bits of FCW and makes FSW's ES and B fit FCW, as loading them does. */
static inline void x87_normalise(struct xsave_area *f)
{
	f->fcw = (f->fcw & 0x1f7f) | 0x40;
	f->fsw &= ~(FSW_ES | FSW_B);
	if (f->fsw & ~f->fcw & FSW_EXCEPTIONS)
		f->fsw |= FSW_ES | FSW_B;
}

static inline unsigned x87_top(const struct xsave_area *f)
{
	return f->fsw >> FSW_TOP_SHIFT & 7;
}

/* Changes TOP and keeps every physical register: st[] is in the order of the stack. */
void x87_set_top(struct xsave_area *f, unsigned top);

/* FNINIT. */
void x87_init(struct xsave_area *f);

/*
 * An MMX instruction makes TOP zero, so that st[n] is MMn, and all registers valid; a plain store
 * does the latter only once it has not faulted.
 */
static inline void mmx_enter(struct xsave_area *f)
{
	if (unlikely(x87_top(f)))
		x87_set_top(f, 0);
}

static inline void mmx_complete(struct xsave_area *f)
{
	f->ftw = 0xff;
}

#endif
