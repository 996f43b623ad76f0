/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trials: noise and edge values everywhere, then the encoding and what it needs.
 */
#include "cpu/generate_impl.h"

#include <string.h>

const char *row_excluded(const struct generator *g, const struct insn_row *row)
{
	/* SGDT and its like are emulated by the host's kernel, or forbidden. */
	if (row->attr & A_NOTEST)
		return "its result is the machine's own, or it enters the host's kernel";
	if (IS_NAMED(row, "xsaveopt", "xsaveopt64"))
		return "may leave out what the CPU knows to be unchanged";
	if (IS_NAMED(row, "wrfsbase"))
		return "FS is the C library's";
	if (IS_NAMED(row, "wrgsbase") && !g->keeps_gs_base)
		return "this host's kernel does not let programs write the base of GS themselves";
	return NULL;
}

static void random_fpu(struct rng *r, struct xsave_area *fpu)
{
	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = 0x40 | 0x3f | rng_below(r, 4) << 8 | rng_below(r, 4) << 10;
	fpu->fsw = (uint16_t)(rng_below(r, 8) << 11 | (rng_next(r) & 0x4700));
	if (rng_below(r, 2))
		fpu->fcw = 0x37f;
	/* Unmasked exceptions, or some already flagged: not both, that would be pending. */
	if (rng_one_in(r, 6))
		fpu->fcw &= ~rng_below(r, 64);
	else if (rng_below(r, 2))
		fpu->fsw |= rng_below(r, 64);
	fpu->ftw = rng_below(r, 4) ? 0xff : (uint8_t)rng_next(r);
	fpu->fop = rng_next(r) & 0x7ff;
	fpu->fip = rng_next(r) >> 17;
	fpu->fdp = rng_next(r) >> 17;
	fpu->mxcsr = 0x1f80;
	if (rng_below(r, 2))
		fpu->mxcsr |= rng_below(r, 4) << 13;
	if (rng_one_in(r, 4))
		fpu->mxcsr |= BIT(15);
	if (rng_one_in(r, 4))
		fpu->mxcsr |= BIT(6);
	if (rng_one_in(r, 4))
		fpu->mxcsr |= rng_below(r, 64);
	if (rng_one_in(r, 6))
		fpu->mxcsr &= ~(rng_below(r, 64) << 7);
	for (unsigned n = 0; n < 8; n++) {
		if (rng_below(r, 4)) {
			random_float80(r, fpu->st[n]);
		} else {
			/* As MMX instructions leave it. */
			uint64_t value = random_integer(r);

			memcpy(fpu->st[n], &value, 8);
			memset(fpu->st[n] + 8, 0xff, 2);
		}
	}
	for (unsigned n = 0; n < 16; n++) {
		random_vector(r, fpu->xmm[n]);
		random_vector(r, fpu->ymm_high[n]);
	}
	fpu->xstate_bv = XCR0_X87 | XCR0_SSE | XCR0_AVX;
}

/* Memory is made of the same values as registers. */
static void random_data(struct rng *r, uint8_t data[DATA_RW_SIZE])
{
	bool is_x87 = rng_one_in(r, 4);

	for (unsigned n = 0; n < DATA_RW_SIZE; n += 16) {
		if (n >= 256) {
			/* The rest is a shifted copy: making noise takes longer than running. */
			memcpy(data + n, data + (n & 240), 16);
			data[n + (n >> 8) % 16] ^= (uint8_t)n >> 4;
			continue;
		}
		random_vector(r, data + n);
		if (is_x87)
			random_float80(r, data + n);
	}
}

void random_state(struct rng *r, struct trial *t, uint64_t fs_base)
{
	bool is_64 = t->size == CODE_64;

	memset(t->in.selector, 0, sizeof(t->in.selector));
	t->in.selector[SEG_CS] = is_64 ? USER_CS : USER_CS32;
	t->in.selector[SEG_SS] = USER_SS;
	t->in.selector[SEG_DS] = t->in.selector[SEG_ES] = is_64 ? 0 : USER_SS;
	t->in.fs_base = fs_base;
	for (unsigned n = 0; n < 16; n++)
		t->in.gpr[n] = is_64 || n >= 8 ? random_integer(r) : (uint32_t)random_integer(r);
	t->in.rflags = FLAG_FIXED | FLAG_IF | (rng_next(r) & FLAGS_STATUS);
	if (rng_one_in(r, 8))
		t->in.rflags |= FLAG_DF;
	if (rng_one_in(r, 24))
		t->in.rflags |= FLAG_AC;
	t->in.gs_base = rng_below(r, 2) ? rng_below(r, 0x10000000) : rng_next(r) >> 18;
	random_fpu(r, &t->in.fpu);
	random_data(r, t->data);
}

/* The code size of a trial: each that the row exists in, 64 bits more often. */
static enum code_size random_size(const struct generator *g, struct rng *r,
				  const struct insn_row *row)
{
	if (row->mode != MODE_ANY)
		return row->mode == MODE_64 ? CODE_64 : CODE_32;
	return rng_one_in(r, 4) && g->has_code_32 ? CODE_32 : CODE_64;
}

/* Some rows, those that ask for W, exist in 64-bit mode only. */
static bool encode_any(const struct generator *g, struct rng *r, const struct insn_row *row,
		       struct trial *t, struct parsed *p)
{
	t->size = random_size(g, r, row);
	if (encode(g, r, row, t, p))
		return true;
	if (row->mode != MODE_ANY || !g->has_code_32)
		return false;
	t->size = t->size == CODE_32 ? CODE_64 : CODE_32;
	return encode(g, r, row, t, p);
}

bool generate(const struct generator *g, struct rng *r, const struct insn_row *row, struct trial *t)
{
	struct parsed p;

	do {
		if (!encode_any(g, r, row, t, &p))
			return false;
		random_state(r, t, g->fs_base);
	} while (!place_operands(g, r, row, t, &p));
	return true;
}
