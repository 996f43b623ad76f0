// SPDX-License-Identifier: BSD-2-Clause
/*
 * Vector instructions that touch single elements of memory: masked moves and gathers (SDM vol. 2,
 * MASKMOVDQU, VMASKMOV, VPMASKMOV, VGATHER, VPGATHER). Elements that are masked off never fault.
 * Stores check every element before the first is stored; a gather that faults has changed nothing
 * and starts over, where hardware may keep the elements it has.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"

/* A vector register as one run of bytes. */
struct vector {
	uint8_t bytes[VECTOR_BYTES_MAX];
};

static struct vector vector_get(struct cpu *c, unsigned off)
{
	struct vector v;

	memcpy(v.bytes, xmm_low(c, off), 16);
	memcpy(v.bytes + 16, ymm_high(c, off), 16);
	return v;
}

static void vector_set(struct cpu *c, unsigned off, const struct vector *v)
{
	memcpy(xmm_low(c, off), v->bytes, 16);
	memcpy(ymm_high(c, off), v->bytes + 16, 16);
	simd_touch(c, XCR0_SSE | XCR0_AVX);
}

static bool sign_is_set(const struct vector *v, unsigned n, unsigned size)
{
	return v->bytes[n * size + size - 1] & 0x80;
}

/*
 * Elements are parts of a vector, which #AC does not concern: while accesses are looked at one by
 * one, they go byte by byte.
 */
static uint64_t load_element(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	uint64_t value = 0;

	if (c->tlb != c->tlb_slow)
		return size == 4 ? mmu_load32(c, i, va) : mmu_load64(c, i, va);
	for (unsigned n = 0; n < size; n++)
		value |= (uint64_t)mmu_load8(c, i, va + n) << n * 8;
	return value;
}

static void store_element(struct cpu *c, const struct insn *i, gva_t va, const uint8_t *from,
			  unsigned size)
{
	if (c->tlb != c->tlb_slow) {
		mmu_store_bytes(c, i, va, from, size);
		return;
	}
	for (unsigned n = 0; n < size; n++)
		mmu_store8(c, i, va + n, from[n]);
}

static void vector_put(struct vector *v, unsigned n, unsigned size, uint64_t value)
{
	memcpy(v->bytes + n * size, &value, size);
}

/* ---- VMASKMOV, VPMASKMOV ---- */

/* With nothing selected, not even the segment is looked at. */
static bool any_sign_is_set(const struct vector *v, unsigned len, unsigned size)
{
	for (unsigned n = 0; n < len / size; n++)
		if (sign_is_set(v, n, size))
			return true;
	return false;
}

static inline void maskmov_load(struct cpu *c, const struct insn *i, unsigned size)
{
	unsigned len = 16 + INSN_L(i) * 16;
	struct vector result = {};

	avx_check(c, i);

	struct vector mask = vector_get(c, INSN_VVVV(i) * 8);
	gva_t va = any_sign_is_set(&mask, len, size) ? ea(c, i, len, false) : 0;

	for (unsigned n = 0; n < len / size; n++)
		if (sign_is_set(&mask, n, size))
			vector_put(&result, n, size, load_element(c, i, va + n * size, size));
	vector_set(c, i->reg, &result);
}

static inline void maskmov_store(struct cpu *c, const struct insn *i, unsigned size)
{
	unsigned len = 16 + INSN_L(i) * 16;

	avx_check(c, i);

	struct vector mask = vector_get(c, INSN_VVVV(i) * 8), from = vector_get(c, i->reg);
	gva_t va = any_sign_is_set(&mask, len, size) ? ea(c, i, len, true) : 0;

	for (unsigned n = 0; n < len / size; n++)
		if (sign_is_set(&mask, n, size))
			simd_check_write(c, i, va + n * size, size);
	for (unsigned n = 0; n < len / size; n++)
		if (sign_is_set(&mask, n, size))
			store_element(c, i, va + n * size, from.bytes + n * size, size);
}

void x_vmaskmov_load32(struct cpu *c, const struct insn *i)
{
	maskmov_load(c, i, 4);
	NEXT(c, i);
}

void x_vmaskmov_load64(struct cpu *c, const struct insn *i)
{
	maskmov_load(c, i, 8);
	NEXT(c, i);
}

void x_vmaskmov_store32(struct cpu *c, const struct insn *i)
{
	maskmov_store(c, i, 4);
	NEXT(c, i);
}

void x_vmaskmov_store64(struct cpu *c, const struct insn *i)
{
	maskmov_store(c, i, 8);
	NEXT(c, i);
}

/* ---- MASKMOVDQU, MASKMOVQ: bytes, to DS:rDI ---- */

static gva_t implicit_address(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t offset = c->gpr[RDI];

	if (i->ea & EA_ADDR32)
		offset = (uint32_t)offset;
	if (i->ea & EA_ADDR16)
		offset = (uint16_t)offset;
	if (!(i->ea & EA_SEGMENTED))
		return offset;
	return seg_linear(c, i, EA_SEG(i->ea), offset, size, true);
}

static void store_masked_bytes(struct cpu *c, const struct insn *i, const uint8_t *from,
			       const uint8_t *mask, unsigned size)
{
	gva_t va = implicit_address(c, i, size);

	/* The upper half first, as CPUs do: seen in CR2. */
	for (unsigned left = size; left; left -= 8)
		mmu_check_write(c, i, va + left - 8, 8);
	for (unsigned n = 0; n < size; n++)
		if (mask[n] & 0x80)
			mmu_store8(c, i, va + n, from[n]);
}

void x_maskmovdqu(struct cpu *c, const struct insn *i)
{
	if (i->vex & INSN_VEX)
		avx_check(c, i);
	else
		sse_check(c, i);
	store_masked_bytes(c, i, xmm_low(c, i->reg), xmm_low(c, i->rm), 16);
	NEXT(c, i);
}

void x_maskmovq(struct cpu *c, const struct insn *i)
{
	mmx_check(c, i);
	mmx_enter(&c->fpu);
	mmx_complete(&c->fpu);
	simd_touch(c, XCR0_X87);
	store_masked_bytes(c, i, c->fpu.st[i->reg / 8 & 7], c->fpu.st[i->rm / 8 & 7], 8);
	NEXT(c, i);
}

/* ---- gathers ---- */

static gva_t gather_address(struct cpu *c, const struct insn *i, int64_t index, unsigned size)
{
	uint64_t offset = c->gpr[i->base] + ((uint64_t)index << (i->index >> 6)) + (int64_t)i->disp;

	if (i->ea & EA_ADDR32)
		offset = (uint32_t)offset;
	if (!(i->ea & EA_SEGMENTED))
		return offset;
	return seg_linear(c, i, EA_SEG(i->ea), offset, size, false);
}

static int64_t gather_index(const struct vector *indexes, unsigned n, unsigned index_size)
{
	int32_t narrow;
	int64_t wide;

	if (index_size == 4) {
		memcpy(&narrow, indexes->bytes + n * 4, 4);
		return narrow;
	}
	memcpy(&wide, indexes->bytes + n * 8, 8);
	return wide;
}

/*
 * index_size and size: bytes of an index and of an element. What a fault leaves is a state from
 * which the instruction can go on, so each element is done for good: the answers of devices so far
 * are forgotten, as between the elements of a string instruction.
 */
static inline void gather(struct cpu *c, const struct insn *i, unsigned index_size, unsigned size)
{
	unsigned len = 16 + INSN_L(i) * 16, nr = len / max(index_size, size);
	unsigned index_reg = i->index & 15, mask_reg = INSN_VVVV(i);

	avx_check(c, i);
	if (i->reg / 8 == index_reg || i->reg / 8 == mask_reg || index_reg == mask_reg)
		cpu_fault(c, i, VEC_UD);

	struct vector indexes = vector_get(c, index_reg * 8), result = vector_get(c, i->reg);
	struct vector mask = vector_get(c, mask_reg * 8);

	/* All of the mask, also where there are fewer indexes: each sign spread over its element.
	 */
	for (unsigned n = 0; n < len / size; n++)
		vector_put(&mask, n, size, sign_is_set(&mask, n, size) ? UINT64_MAX : 0);
	memset(mask.bytes + len, 0, sizeof(mask.bytes) - len);
	memset(result.bytes + len, 0, sizeof(result.bytes) - len);
	vector_set(c, mask_reg * 8, &mask);
	for (unsigned n = 0; n < nr; n++) {
		if (!sign_is_set(&mask, n, size))
			continue;

		int64_t index = gather_index(&indexes, n, index_size);

		vector_put(&result, n, size,
			   load_element(c, i, gather_address(c, i, index, size), size));
		vector_put(&mask, n, size, 0);
		vector_set(c, i->reg, &result);
		vector_set(c, mask_reg * 8, &mask);
		c->mmio.nr = c->mmio.next = 0;
	}
	memset(&mask, 0, sizeof(mask));
	memset(result.bytes + nr * size, 0, sizeof(result.bytes) - nr * size);
	vector_set(c, mask_reg * 8, &mask);
	vector_set(c, i->reg, &result);
}

void x_vgather_d32(struct cpu *c, const struct insn *i)
{
	gather(c, i, 4, 4);
	NEXT(c, i);
}

void x_vgather_d64(struct cpu *c, const struct insn *i)
{
	gather(c, i, 4, 8);
	NEXT(c, i);
}

void x_vgather_q32(struct cpu *c, const struct insn *i)
{
	gather(c, i, 8, 4);
	NEXT(c, i);
}

void x_vgather_q64(struct cpu *c, const struct insn *i)
{
	gather(c, i, 8, 8);
	NEXT(c, i);
}
