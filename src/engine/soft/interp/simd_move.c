// SPDX-License-Identifier: BSD-2-Clause
/*
 * Vector moves and 128-bit logic in C: what compiled code and memory copies consist of.
 * Non-temporal hints are ignored.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"

typedef uint64_t vec128 __attribute__((vector_size(16), may_alias, aligned(1)));

static inline vec128 *xmm(struct cpu *c, unsigned off)
{
	return (vec128 *)xmm_low(c, off);
}

static inline vec128 *high(struct cpu *c, unsigned off)
{
	return (vec128 *)ymm_high(c, off);
}

/* The operand in ModRM.rm, 16 bytes, read. */
static inline vec128 source128(struct cpu *c, const struct insn *i, bool is_aligned)
{
	uint8_t bounce[16];

	if (!(i->prefix & PFX_MEM))
		return *xmm(c, i->rm);

	gva_t va = ea(c, i, 16, false);

	if (is_aligned)
		require_aligned(c, i, va, 16);
	return *(const vec128 *)simd_source(c, i, va, 16, bounce);
}

static inline void store128(struct cpu *c, const struct insn *i, bool is_aligned)
{
	gva_t va = ea(c, i, 16, true);

	if (is_aligned)
		require_aligned(c, i, va, 16);
	simd_store(c, i, va, xmm(c, i->reg), 16);
}

void x_movdqu_load(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	*xmm(c, i->reg) = source128(c, i, false);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movdqa_load(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	*xmm(c, i->reg) = source128(c, i, true);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movdqu_store(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		store128(c, i, false);
	else
		*xmm(c, i->rm) = *xmm(c, i->reg);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movdqa_store(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		store128(c, i, true);
	else
		*xmm(c, i->rm) = *xmm(c, i->reg);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

/* ---- VEX: 128 bits clear the upper half ---- */

static inline void vector_copy(struct cpu *c, const struct insn *i, unsigned to, unsigned from)
{
	*xmm(c, to) = *xmm(c, from);
	*high(c, to) = INSN_L(i) ? *high(c, from) : (vec128){};
	simd_touch(c, INSN_L(i) ? XCR0_SSE | XCR0_AVX : XCR0_SSE);
}

static inline void vector_load(struct cpu *c, const struct insn *i, bool is_aligned)
{
	unsigned size = 16 + INSN_L(i) * 16;
	uint8_t bounce[VECTOR_BYTES_MAX];

	avx_check(c, i);
	if (!(i->prefix & PFX_MEM)) {
		vector_copy(c, i, i->reg, i->rm);
		return;
	}

	gva_t va = ea(c, i, size, false);

	if (is_aligned)
		require_aligned(c, i, va, size);

	const vec128 *from = simd_source(c, i, va, size, bounce);

	*xmm(c, i->reg) = from[0];
	*high(c, i->reg) = INSN_L(i) ? from[1] : (vec128){};
	simd_touch(c, INSN_L(i) ? XCR0_SSE | XCR0_AVX : XCR0_SSE);
}

static inline void vector_store(struct cpu *c, const struct insn *i, bool is_aligned)
{
	avx_check(c, i);
	if (!(i->prefix & PFX_MEM)) {
		vector_copy(c, i, i->rm, i->reg);
		return;
	}
	if (!INSN_L(i)) {
		store128(c, i, is_aligned);
		return;
	}

	vec128 both[2] = {*xmm(c, i->reg), *high(c, i->reg)};
	gva_t va = ea(c, i, 32, true);

	if (is_aligned)
		require_aligned(c, i, va, 32);
	simd_store(c, i, va, both, 32);
}

void x_vmovdqu_load(struct cpu *c, const struct insn *i)
{
	vector_load(c, i, false);
	NEXT(c, i);
}

void x_vmovdqa_load(struct cpu *c, const struct insn *i)
{
	vector_load(c, i, true);
	NEXT(c, i);
}

void x_vmovdqu_store(struct cpu *c, const struct insn *i)
{
	vector_store(c, i, false);
	NEXT(c, i);
}

void x_vmovdqa_store(struct cpu *c, const struct insn *i)
{
	vector_store(c, i, true);
	NEXT(c, i);
}

/* ---- scalars: a load from memory clears the rest, a register keeps it ---- */

void x_movss_load(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		*xmm(c, i->reg) = (vec128){mmu_load32(c, i, ea(c, i, 4, false))};
	else
		memcpy(xmm(c, i->reg), xmm(c, i->rm), 4);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movsd_load(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		*xmm(c, i->reg) = (vec128){mmu_load64(c, i, ea(c, i, 8, false))};
	else
		memcpy(xmm(c, i->reg), xmm(c, i->rm), 8);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movss_store(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		mmu_store32(c, i, ea(c, i, 4, true), (uint32_t)(*xmm(c, i->reg))[0]);
	else
		memcpy(xmm(c, i->rm), xmm(c, i->reg), 4);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movsd_store(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		mmu_store64(c, i, ea(c, i, 8, true), (*xmm(c, i->reg))[0]);
	else
		memcpy(xmm(c, i->rm), xmm(c, i->reg), 8);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movd_load(struct cpu *c, const struct insn *i)
{
	bool is_64 = PFX_SIZE(i->prefix) == 8;
	uint64_t v;

	sse_check(c, i);
	if (!(i->prefix & PFX_MEM))
		v = is_64 ? *reg64(c, i->rm) : get32(c, i->rm);
	else if (is_64)
		v = mmu_load64(c, i, ea(c, i, 8, false));
	else
		v = mmu_load32(c, i, ea(c, i, 4, false));
	*xmm(c, i->reg) = (vec128){v};
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movd_store(struct cpu *c, const struct insn *i)
{
	bool is_64 = PFX_SIZE(i->prefix) == 8;

	sse_check(c, i);

	uint64_t v = (*xmm(c, i->reg))[0];

	if (!(i->prefix & PFX_MEM))
		*reg64(c, i->rm) = is_64 ? v : (uint32_t)v;
	else if (is_64)
		mmu_store64(c, i, ea(c, i, 8, true), v);
	else
		mmu_store32(c, i, ea(c, i, 4, true), (uint32_t)v);
	NEXT(c, i);
}

void x_movq_load(struct cpu *c, const struct insn *i)
{
	uint64_t v;

	sse_check(c, i);
	if (i->prefix & PFX_MEM)
		v = mmu_load64(c, i, ea(c, i, 8, false));
	else
		v = (*xmm(c, i->rm))[0];
	*xmm(c, i->reg) = (vec128){v};
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_movq_store(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);

	uint64_t v = (*xmm(c, i->reg))[0];

	if (i->prefix & PFX_MEM)
		mmu_store64(c, i, ea(c, i, 8, true), v);
	else
		*xmm(c, i->rm) = (vec128){v};
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

/* Works on general registers: CR0 and CR4 do not matter. */
void x_movnti(struct cpu *c, const struct insn *i)
{
	if (PFX_SIZE(i->prefix) == 8)
		mmu_store64(c, i, ea(c, i, 8, true), *reg64(c, i->reg));
	else
		mmu_store32(c, i, ea(c, i, 4, true), get32(c, i->reg));
	NEXT(c, i);
}

/* ---- logic ---- */

void x_pand(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	*xmm(c, i->reg) &= source128(c, i, true);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_pandn(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);

	vec128 v = source128(c, i, true);

	*xmm(c, i->reg) = ~*xmm(c, i->reg) & v;
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_por(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	*xmm(c, i->reg) |= source128(c, i, true);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_pxor(struct cpu *c, const struct insn *i)
{
	sse_check(c, i);
	*xmm(c, i->reg) ^= source128(c, i, true);
	simd_touch(c, XCR0_SSE);
	NEXT(c, i);
}

void x_pmovmskb(struct cpu *c, const struct insn *i)
{
	typedef char bytes16 __attribute__((vector_size(16), may_alias));

	sse_check(c, i);
	set32(c, i->reg, (uint32_t)__builtin_ia32_pmovmskb128(*(const bytes16 *)xmm(c, i->rm)));
	NEXT(c, i);
}
