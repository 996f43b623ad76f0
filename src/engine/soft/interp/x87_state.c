// SPDX-License-Identifier: BSD-2-Clause
/*
 * x87 instructions that work on control, status and tags: FLDCW to FNSAVE, and the formats of the
 * environment (SDM vol. 1, 8.1.10). FCS and FDS are stored as zero and ignored.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"

#define TAG_VALID   0
#define TAG_ZERO    1
#define TAG_SPECIAL 2
#define TAG_EMPTY   3

#define ENV_MAX	 28
#define ST_BYTES 10

void x_fwait(struct cpu *c, const struct insn *i)
{
	if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		cpu_fault(c, i, VEC_NM);
	if (c->fpu.fsw & FSW_ES)
		cpu_fault(c, i, VEC_MF);
	NEXT(c, i);
}

void x_fninit(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	x87_init(&c->fpu);
	simd_touch(c, XCR0_X87);
	NEXT(c, i);
}

void x_fnclex(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	c->fpu.fsw &= 0x7f00; /* C0 to C3 and TOP stay */
	simd_touch(c, XCR0_X87);
	NEXT(c, i);
}

void x_fldcw(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, true);
	c->fpu.fcw = mmu_load16(c, i, ea(c, i, 2, false));
	x87_normalise(&c->fpu);
	simd_touch(c, XCR0_X87);
	NEXT(c, i);
}

void x_fnstcw(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	mmu_store16(c, i, ea(c, i, 2, true), c->fpu.fcw);
	NEXT(c, i);
}

void x_fnstsw(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	mmu_store16(c, i, ea(c, i, 2, true), c->fpu.fsw);
	NEXT(c, i);
}

void x_fnstsw_ax(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	*reg16(c, RAX * 8) = c->fpu.fsw;
	NEXT(c, i);
}

/* ---- the environment ---- */

static unsigned tag_of(const uint8_t *st)
{
	uint64_t significand;
	uint16_t exponent;

	memcpy(&significand, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (exponent == 0)
		return significand ? TAG_SPECIAL : TAG_ZERO;
	if (exponent == 0x7fff || !(significand >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

/* Two bits per physical register from the abridged form. */
static uint16_t tags_full(const struct xsave_area *f)
{
	uint16_t tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		unsigned tag = TAG_EMPTY;

		if (f->ftw >> n & 1)
			tag = tag_of(f->st[(n - x87_top(f)) & 7]);
		tags |= tag << 2 * n;
	}
	return tags;
}

static uint8_t tags_abridged(uint16_t tags)
{
	uint8_t abridged = 0;

	for (unsigned n = 0; n < 8; n++)
		if ((tags >> 2 * n & 3) != TAG_EMPTY)
			abridged |= 1u << n;
	return abridged;
}

static bool env_is_16bit(const struct insn *i)
{
	return PFX_SIZE(i->prefix) == 2;
}

static unsigned env_bytes(const struct insn *i)
{
	return env_is_16bit(i) ? 14 : 28;
}

/* The seven fields, each 16 or 32 bits wide. */
static void env_fields(const struct cpu *c, const struct insn *i, uint32_t field[7])
{
	const struct xsave_area *f = &c->fpu;
	/* Unused halves of the 32-bit form read as ones. */
	uint32_t fill = env_is_16bit(i) ? 0 : 0xffff0000;

	field[0] = f->fcw | fill;
	field[1] = f->fsw | fill;
	field[2] = tags_full(f) | fill;
	field[3] = (uint32_t)f->fip;
	field[5] = (uint32_t)f->fdp;
	if (!cpu_is_real_or_vm86(c)) {
		field[4] = env_is_16bit(i) ? 0 : (uint32_t)f->fop << 16;
		field[6] = fill;
		return;
	}
	/* Real mode: the upper bits of the addresses stand above bit 11 of the next field. */
	field[4] = (uint32_t)(f->fip >> 16) << 12 | f->fop;
	field[6] = (uint32_t)(f->fdp >> 16) << 12;
	if (env_is_16bit(i))
		return;
	field[3] = (uint16_t)f->fip | fill;
	field[5] = (uint16_t)f->fdp | fill;
}

static void env_pack(const struct cpu *c, const struct insn *i, uint8_t *image)
{
	uint32_t field[7];
	unsigned width = env_is_16bit(i) ? 2 : 4;

	env_fields(c, i, field);
	for (unsigned n = 0; n < 7; n++)
		memcpy(image + n * width, &field[n], width);
}

/* Loads control, status, tags and pointers; the registers keep their physical places. */
static void env_unpack(struct cpu *c, const struct insn *i, const uint8_t *image)
{
	struct xsave_area *f = &c->fpu;
	uint32_t field[7] = {};
	unsigned width = env_is_16bit(i) ? 2 : 4;

	for (unsigned n = 0; n < 7; n++)
		memcpy(&field[n], image + n * width, width);
	x87_set_top(f, field[1] >> FSW_TOP_SHIFT & 7);
	f->fcw = field[0];
	f->fsw = field[1];
	f->ftw = tags_abridged(field[2]);
	f->fip = field[3];
	f->fdp = field[5];
	f->fop = env_is_16bit(i) ? 0 : field[4] >> 16 & 0x7ff;
	if (cpu_is_real_or_vm86(c)) {
		f->fip = (uint16_t)field[3] | (uint64_t)(field[4] >> 12) << 16;
		f->fdp = (uint16_t)field[5] | (uint64_t)(field[6] >> 12) << 16;
		f->fop = field[4] & 0x7ff;
	}
	x87_normalise(f);
	simd_touch(c, XCR0_X87);
}

static inline void run_fnstenv(struct cpu *c, const struct insn *i)
{
	uint8_t image[ENV_MAX];

	x87_check(c, i, false);
	env_pack(c, i, image);
	mmu_store_bytes(c, i, ea(c, i, env_bytes(i), true), image, env_bytes(i));
	c->fpu.fcw |= FSW_EXCEPTIONS; /* masks all */
	x87_normalise(&c->fpu);
	simd_touch(c, XCR0_X87);
}

void x_fnstenv(struct cpu *c, const struct insn *i)
{
	run_fnstenv(c, i);
	NEXT(c, i);
}

static inline void run_fldenv(struct cpu *c, const struct insn *i)
{
	uint8_t image[ENV_MAX];

	x87_check(c, i, true);
	mmu_load_bytes(c, i, ea(c, i, env_bytes(i), false), image, env_bytes(i));
	env_unpack(c, i, image);
}

void x_fldenv(struct cpu *c, const struct insn *i)
{
	run_fldenv(c, i);
	NEXT(c, i);
}

static inline void run_fnsave(struct cpu *c, const struct insn *i)
{
	uint8_t image[ENV_MAX + 8 * ST_BYTES];
	unsigned len = env_bytes(i) + 8 * ST_BYTES;

	x87_check(c, i, false);
	env_pack(c, i, image);
	for (unsigned n = 0; n < 8; n++)
		memcpy(image + env_bytes(i) + n * ST_BYTES, c->fpu.st[n], ST_BYTES);
	mmu_store_bytes(c, i, ea(c, i, len, true), image, len);
	x87_init(&c->fpu);
	simd_touch(c, XCR0_X87);
}

void x_fnsave(struct cpu *c, const struct insn *i)
{
	run_fnsave(c, i);
	NEXT(c, i);
}

static inline void run_frstor(struct cpu *c, const struct insn *i)
{
	uint8_t image[ENV_MAX + 8 * ST_BYTES];
	unsigned len = env_bytes(i) + 8 * ST_BYTES;

	x87_check(c, i, true);
	mmu_load_bytes(c, i, ea(c, i, len, false), image, len);
	env_unpack(c, i, image);
	for (unsigned n = 0; n < 8; n++)
		memcpy(c->fpu.st[n], image + env_bytes(i) + n * ST_BYTES, ST_BYTES);
}

void x_frstor(struct cpu *c, const struct insn *i)
{
	run_frstor(c, i);
	NEXT(c, i);
}
