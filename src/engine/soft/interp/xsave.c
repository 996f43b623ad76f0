// SPDX-License-Identifier: BSD-2-Clause
/*
 * FXSAVE, FXRSTOR and the XSAVE family (SDM vol. 1, 10.5 and chapter 13) for x87, SSE and AVX
 * state. With these three components the compacted format lies as the standard one. The modified
 * optimisation is not used: XSAVEOPT and XSAVES write all that is in use. Supervisor components
 * (IA32_XSS) do not exist.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"

#define LEGACY_BYTES	512
#define HEADER_BYTES	64
#define X87_END		24 /* control, status, tags, pointers */
#define MXCSR_AT	24
#define ST_AT		32
#define XMM_AT		160
#define YMM_AT		(LEGACY_BYTES + HEADER_BYTES)
#define AREA_BYTES	(YMM_AT + 256)
#define FXSAVE_ALIGN	16
#define XSAVE_ALIGN	64
#define XCOMP_COMPACTED BIT64(63)

_Static_assert(offsetof(struct xsave_area, xmm) == XMM_AT, "layout of the legacy region");
_Static_assert(offsetof(struct xsave_area, xstate_bv) == LEGACY_BYTES, "layout of the header");
_Static_assert(offsetof(struct xsave_area, ymm_high) == YMM_AT, "layout of the AVX component");

struct xsave_header {
	uint64_t xstate_bv, xcomp_bv, reserved[6];
};

/* Outside 64-bit mode registers 8 to 15 are neither saved nor restored. */
static unsigned vector_bytes(const struct cpu *c)
{
	return cpu_in_64bit(c) ? 256 : 128;
}

/*
 * The first 24 bytes. Without REX.W the pointers are 32 bits and a selector, which is zero; the
 * selectors' words stay zero on loading too.
 */
static void x87_pack(const struct cpu *c, const struct insn *i, uint8_t *out)
{
	memcpy(out, &c->fpu, X87_END);
	out[5] = 0;
	if (PFX_SIZE(i->prefix) == 8)
		return;
	memset(out + 12, 0, 4);
	memset(out + 20, 0, 4);
}

static void x87_unpack(struct cpu *c, const struct insn *i, const uint8_t *area)
{
	struct xsave_area *f = &c->fpu;
	bool is_64 = PFX_SIZE(i->prefix) == 8;

	memcpy(f, area, X87_END);
	f->reserved0 = 0;
	f->fop &= 0x7ff;
	f->fip = is_64 ? f->fip : (uint32_t)f->fip;
	f->fdp = is_64 ? f->fdp : (uint32_t)f->fdp;
	memcpy(f->st, area + ST_AT, sizeof(f->st));
	for (unsigned n = 0; n < 8; n++)
		memset(f->st[n] + 10, 0, 6);
	x87_normalise(f);
}

static uint32_t area_mxcsr(const uint8_t *area)
{
	uint32_t v;

	memcpy(&v, area + MXCSR_AT, sizeof(v));
	return v;
}

static void store_mxcsr(struct cpu *c, const struct insn *i, gva_t va)
{
	uint32_t words[2] = {c->fpu.mxcsr, MXCSR_MASK};

	mmu_store_bytes(c, i, va + MXCSR_AT, words, sizeof(words));
}

static void store_x87(struct cpu *c, const struct insn *i, gva_t va)
{
	uint8_t head[X87_END];

	x87_pack(c, i, head);
	mmu_store_bytes(c, i, va, head, sizeof(head));
	mmu_store_bytes(c, i, va + ST_AT, c->fpu.st, sizeof(c->fpu.st));
}

/* ---- FXSAVE, FXRSTOR ---- */

static void fx_check(struct cpu *c, const struct insn *i)
{
	if (c->cr0 & (CR0_EM | CR0_TS))
		cpu_fault(c, i, VEC_NM);
}

void x_fxsave(struct cpu *c, const struct insn *i)
{
	fx_check(c, i);

	gva_t va = ea(c, i, LEGACY_BYTES, true);

	require_aligned(c, i, va, FXSAVE_ALIGN);
	mmu_check_write(c, i, va, LEGACY_BYTES);
	store_x87(c, i, va);
	store_mxcsr(c, i, va);
	mmu_store_bytes(c, i, va + XMM_AT, c->fpu.xmm, vector_bytes(c));
	NEXT(c, i);
}

static inline void run_fxrstor(struct cpu *c, const struct insn *i)
{
	uint8_t area[LEGACY_BYTES];

	fx_check(c, i);

	gva_t va = ea(c, i, LEGACY_BYTES, false);

	require_aligned(c, i, va, FXSAVE_ALIGN);
	mmu_load_bytes(c, i, va, area, sizeof(area));
	if (area_mxcsr(area) & ~MXCSR_MASK)
		cpu_fault_code(c, i, VEC_GP, 0);
	x87_unpack(c, i, area);
	c->fpu.mxcsr = area_mxcsr(area);
	memcpy(c->fpu.xmm, area + XMM_AT, vector_bytes(c));
	simd_touch(c, XCR0_X87 | XCR0_SSE);
}

void x_fxrstor(struct cpu *c, const struct insn *i)
{
	run_fxrstor(c, i);
	NEXT(c, i);
}

/* ---- XSAVE ---- */

static void xsave_check(struct cpu *c, const struct insn *i)
{
	if (!(c->cr4 & CR4_OSXSAVE))
		cpu_fault(c, i, VEC_UD);
	if (c->cr0 & CR0_TS)
		cpu_fault(c, i, VEC_NM);
}

/* The requested-feature bitmap: EDX:EAX, limited to what the OS enabled. */
static uint64_t requested(const struct cpu *c)
{
	uint64_t mask = (uint32_t)c->gpr[RAX] | c->gpr[RDX] << 32;

	return mask & c->xcr0;
}

/* Components that differ from their initial state, as far as is tracked. */
static uint64_t in_use(const struct cpu *c)
{
	return c->fpu.xstate_bv & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
}

static gva_t area_for_write(struct cpu *c, const struct insn *i, uint64_t rfbm)
{
	unsigned len = rfbm & XCR0_AVX ? AREA_BYTES : YMM_AT;
	gva_t va = ea(c, i, len, true);

	require_aligned(c, i, va, XSAVE_ALIGN);
	mmu_check_write(c, i, va, len);
	return va;
}

static void store_components(struct cpu *c, const struct insn *i, gva_t va, uint64_t which)
{
	if (which & XCR0_X87)
		store_x87(c, i, va);
	if (which & XCR0_SSE)
		mmu_store_bytes(c, i, va + XMM_AT, c->fpu.xmm, vector_bytes(c));
	if (which & XCR0_AVX)
		mmu_store_bytes(c, i, va + YMM_AT, c->fpu.ymm_high, vector_bytes(c));
}

/* XSAVE writes every component asked for, XSAVEOPT those in use. */
static void save_standard(struct cpu *c, const struct insn *i, bool is_opt)
{
	xsave_check(c, i);

	uint64_t rfbm = requested(c);
	gva_t va = area_for_write(c, i, rfbm);
	uint64_t old = mmu_load64(c, i, va + LEGACY_BYTES);

	store_components(c, i, va, is_opt ? rfbm & in_use(c) : rfbm);
	if (rfbm & (XCR0_SSE | XCR0_AVX))
		store_mxcsr(c, i, va);
	mmu_store64(c, i, va + LEGACY_BYTES, (old & ~rfbm) | (rfbm & in_use(c)));
}

/* XSAVEC and XSAVES: MXCSR belongs to the SSE component and makes it count as in use. */
static void save_compacted(struct cpu *c, const struct insn *i)
{
	xsave_check(c, i);

	uint64_t rfbm = requested(c);
	uint64_t used = in_use(c) | (c->fpu.mxcsr != MXCSR_RESET ? XCR0_SSE : 0);
	gva_t va = area_for_write(c, i, rfbm);

	store_components(c, i, va, rfbm & used);
	if (rfbm & used & XCR0_SSE)
		store_mxcsr(c, i, va);
	mmu_store64(c, i, va + LEGACY_BYTES, rfbm & used);
	mmu_store64(c, i, va + LEGACY_BYTES + 8, rfbm | XCOMP_COMPACTED);
}

void x_xsave(struct cpu *c, const struct insn *i)
{
	save_standard(c, i, false);
	NEXT(c, i);
}

void x_xsaveopt(struct cpu *c, const struct insn *i)
{
	save_standard(c, i, true);
	NEXT(c, i);
}

void x_xsavec(struct cpu *c, const struct insn *i)
{
	save_compacted(c, i);
	NEXT(c, i);
}

void x_xsaves(struct cpu *c, const struct insn *i)
{
	require_cpl0(c, i);
	save_compacted(c, i);
	NEXT(c, i);
}

/* ---- XRSTOR ---- */

static bool is_zero(const uint64_t *words, unsigned nr)
{
	for (unsigned n = 0; n < nr; n++)
		if (words[n])
			return false;
	return true;
}

/* Whether XRSTOR accepts the header (SDM vol. 1, 13.8 and 13.12). */
static bool header_is_valid(const struct cpu *c, const struct xsave_header *h,
			    bool must_be_compacted)
{
	if (h->xcomp_bv & XCOMP_COMPACTED) {
		uint64_t components = h->xcomp_bv & ~XCOMP_COMPACTED;

		return (must_be_compacted || cpu_has(c, FEAT_XSAVEC)) && !(components & ~c->xcr0) &&
		       !(h->xstate_bv & ~components) && is_zero(h->reserved, 6);
	}
	return !must_be_compacted && !h->xcomp_bv && !h->reserved[0] && !(h->xstate_bv & ~c->xcr0);
}

static void restore_x87(struct cpu *c, const struct insn *i, const uint8_t *area, bool is_present)
{
	if (is_present) {
		x87_unpack(c, i, area);
		return;
	}
	x87_init(&c->fpu);
	memset(c->fpu.st, 0, sizeof(c->fpu.st));
}

static void restore_vectors(struct cpu *c, void *to, const uint8_t *from, bool is_present)
{
	if (is_present)
		memcpy(to, from, vector_bytes(c));
	else
		memset(to, 0, vector_bytes(c));
}

/* MXCSR after restoring: loaded, initial, or kept. */
static uint32_t restored_mxcsr(const struct cpu *c, const struct xsave_header *h,
			       const uint8_t *area, uint64_t rfbm)
{
	if (!(h->xcomp_bv & XCOMP_COMPACTED))
		return rfbm & (XCR0_SSE | XCR0_AVX) ? area_mxcsr(area) : c->fpu.mxcsr;
	if (!(rfbm & XCR0_SSE))
		return c->fpu.mxcsr;
	return h->xstate_bv & XCR0_SSE ? area_mxcsr(area) : MXCSR_RESET;
}

static void restore(struct cpu *c, const struct insn *i, bool must_be_compacted)
{
	uint8_t area[AREA_BYTES];
	struct xsave_header header;

	xsave_check(c, i);

	uint64_t rfbm = requested(c);
	unsigned len = rfbm & XCR0_AVX ? AREA_BYTES : YMM_AT;
	gva_t va = ea(c, i, len, false);

	require_aligned(c, i, va, XSAVE_ALIGN);
	mmu_load_bytes(c, i, va, area, YMM_AT);
	memcpy(&header, area + LEGACY_BYTES, sizeof(header));
	if (!header_is_valid(c, &header, must_be_compacted))
		cpu_fault_code(c, i, VEC_GP, 0);

	uint64_t present = rfbm & header.xstate_bv;
	uint32_t mxcsr = restored_mxcsr(c, &header, area, rfbm);

	if (mxcsr & ~MXCSR_MASK)
		cpu_fault_code(c, i, VEC_GP, 0);
	if (present & XCR0_AVX)
		mmu_load_bytes(c, i, va + YMM_AT, area + YMM_AT, vector_bytes(c));

	if (rfbm & XCR0_X87)
		restore_x87(c, i, area, present & XCR0_X87);
	if (rfbm & XCR0_SSE)
		restore_vectors(c, c->fpu.xmm, area + XMM_AT, present & XCR0_SSE);
	if (rfbm & XCR0_AVX)
		restore_vectors(c, c->fpu.ymm_high, area + YMM_AT, present & XCR0_AVX);
	c->fpu.mxcsr = mxcsr;
	c->fpu.xstate_bv = (c->fpu.xstate_bv & ~rfbm) | present;
}

void x_xrstor(struct cpu *c, const struct insn *i)
{
	restore(c, i, false);
	NEXT(c, i);
}

void x_xrstors(struct cpu *c, const struct insn *i)
{
	require_cpl0(c, i);
	restore(c, i, true);
	NEXT(c, i);
}
