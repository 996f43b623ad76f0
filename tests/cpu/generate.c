/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trials: noise and edge values everywhere, then the encoding and what it needs.
 */
#include "cpu/generate_impl.h"

#include <string.h>

#include "engine/soft/decode/operand.h"

static bool is_far(const struct insn_row *row)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (row->op[n] == O_Mp || row->op[n] == O_Ap)
			return true;
	return IS_NAMED(row, "retf", "lret", "iret", "iretd", "iretq", "retfq", "retfw");
}

static bool writes_segment(const struct insn_row *row)
{
	return operand_info[row->op[0]].file == FILE_SEG && !IS_NAMED(row, "push");
}

const char *row_excluded(const struct insn_row *row)
{
	if (row->mode == MODE_NOT64)
		return "not in 64-bit mode";
	if (row->attr & A_NOTEST)
		return "its result is the machine's own";
	if (IS_NAMED(row, "syscall", "sysenter", "int", "int1", "icebp", "into", "vmcall",
		     "vmmcall"))
		return "enters the host's kernel or hypervisor";
	if (IS_NAMED(row, "cpuid", "rdtsc", "rdtscp", "rdpmc", "rdpid", "rdrand", "rdseed",
		     "xgetbv"))
		return "its result is the machine's own";
	if (IS_NAMED(row, "sgdt", "sidt", "smsw", "sldt", "str"))
		return "the host's kernel emulates or forbids it";
	if (IS_NAMED(row, "wrfsbase"))
		return "FS is the C library's";
	if (IS_NAMED(row, "xsaveopt", "xsaveopt64"))
		return "may leave out what the CPU knows to be unchanged";
	if (writes_segment(row) || is_far(row))
		return "loads segment registers, whose descriptors the two sides do not share";
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

static void random_state(struct rng *r, struct trial *t)
{
	for (unsigned n = 0; n < 16; n++)
		t->in.gpr[n] = random_integer(r);
	t->in.rflags = FLAG_FIXED | FLAG_IF | (rng_next(r) & FLAGS_STATUS);
	if (rng_one_in(r, 8))
		t->in.rflags |= FLAG_DF;
	if (rng_one_in(r, 24))
		t->in.rflags |= FLAG_AC;
	t->in.gs_base = rng_below(r, 2) ? rng_below(r, 0x10000000) : rng_next(r) >> 18;
	random_fpu(r, &t->in.fpu);
	random_data(r, t->data);
}

bool generate(const struct generator *g, struct rng *r, const struct insn_row *row, struct trial *t)
{
	struct parsed p;

	do {
		if (!encode(g, r, row, t, &p))
			return false;
		random_state(r, t);
	} while (!place_operands(g, r, row, t, &p));
	return true;
}
