// SPDX-License-Identifier: BSD-2-Clause
/*
 * The vector state as a whole: EMMS, VZEROUPPER, MXCSR; reset and the KVM formats; what the host
 * can run.
 */
#include "engine/soft/fpu.h"

#include <cpuid.h>
#include <pthread.h>

#include "engine/soft/interp/exec_simd.h"
#include "engine/soft/interp/simd_impl.h"

void x87_set_top(struct xsave_area *f, unsigned top)
{
	unsigned shift = top - x87_top(f);
	uint8_t st[8][16];

	for (unsigned n = 0; n < 8; n++)
		memcpy(st[n], f->st[(n + shift) & 7], sizeof(st[n]));
	memcpy(f->st, st, sizeof(f->st));
	f->fsw = (f->fsw & ~(7u << FSW_TOP_SHIFT)) | (top & 7) << FSW_TOP_SHIFT;
}

void x87_init(struct xsave_area *f)
{
	x87_set_top(f, 0);
	f->fcw = FCW_RESET;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
}

void x_emms(struct cpu *c, const struct insn *i)
{
	mmx_check(c, i);
	mmx_enter(&c->fpu);
	c->fpu.ftw = 0;
	simd_touch(c, XCR0_X87);
	NEXT(c, i);
}

static unsigned nr_vector_registers(const struct cpu *c)
{
	return cpu_in_64bit(c) ? 16 : 8;
}

void x_vzeroupper(struct cpu *c, const struct insn *i)
{
	avx_check(c, i);
	/* Upper halves that are not in use are zero. */
	if (c->fpu.xstate_bv & XCR0_AVX) {
		memset(c->fpu.ymm_high, 0, nr_vector_registers(c) * sizeof(c->fpu.ymm_high[0]));
		if (cpu_in_64bit(c))
			c->fpu.xstate_bv &= ~(uint64_t)XCR0_AVX;
	}
	NEXT(c, i);
}

void x_vzeroall(struct cpu *c, const struct insn *i)
{
	avx_check(c, i);
	memset(c->fpu.ymm_high, 0, nr_vector_registers(c) * sizeof(c->fpu.ymm_high[0]));
	memset(c->fpu.xmm, 0, nr_vector_registers(c) * sizeof(c->fpu.xmm[0]));
	if (cpu_in_64bit(c))
		c->fpu.xstate_bv &= ~(uint64_t)(XCR0_AVX | XCR0_SSE);
	NEXT(c, i);
}

static void mxcsr_check(struct cpu *c, const struct insn *i)
{
	if (i->vex & INSN_VEX)
		avx_check(c, i);
	else
		sse_check(c, i);
}

void x_ldmxcsr(struct cpu *c, const struct insn *i)
{
	mxcsr_check(c, i);

	uint32_t v = mmu_load32(c, i, ea(c, i, 4, false));

	if (v & ~MXCSR_MASK)
		cpu_fault_code(c, i, VEC_GP, 0);
	c->fpu.mxcsr = v;
	NEXT(c, i);
}

void x_stmxcsr(struct cpu *c, const struct insn *i)
{
	mxcsr_check(c, i);
	mmu_store32(c, i, ea(c, i, 4, true), c->fpu.mxcsr);
	NEXT(c, i);
}

/* ---- exchange with the monitor ---- */

void fpu_reset(struct cpu *c)
{
	memset(&c->fpu, 0, sizeof(c->fpu));
	/* After power-on FCW is 0x40 and the tags say zero; after FNINIT they differ. */
	c->fpu.fcw = 0x40;
	c->fpu.ftw = 0xff;
	c->fpu.mxcsr = MXCSR_RESET;
	c->fpu.mxcsr_mask = MXCSR_MASK;
	c->fpu.xstate_bv = XCR0_X87;
}

_Static_assert(sizeof(struct xsave_area) <= sizeof(struct kvm_xsave), "the area is one page");

void fpu_get_xsave(const struct cpu *c, struct kvm_xsave *xsave)
{
	memset(xsave, 0, sizeof(*xsave));
	memcpy(xsave, &c->fpu, sizeof(c->fpu));
}

int fpu_set_xsave(struct cpu *c, const struct kvm_xsave *xsave)
{
	struct xsave_area area;

	memcpy(&area, xsave, sizeof(area));
	if (area.xstate_bv & ~(uint64_t)(XCR0_X87 | XCR0_SSE | XCR0_AVX) || area.xcomp_bv)
		return -EINVAL;
	if (area.mxcsr & ~MXCSR_MASK)
		return -EINVAL;
	if (!(area.xstate_bv & XCR0_X87)) {
		memset(area.st, 0, sizeof(area.st));
		x87_init(&area);
	}
	if (!(area.xstate_bv & XCR0_SSE))
		memset(area.xmm, 0, sizeof(area.xmm));
	if (!(area.xstate_bv & XCR0_AVX))
		memset(area.ymm_high, 0, sizeof(area.ymm_high));
	area.mxcsr_mask = MXCSR_MASK;
	x87_normalise(&area);
	c->fpu = area;
	return 0;
}

/* ---- the host ---- */

static bool host_saves_ymm(void)
{
	uint32_t low, high;

	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & (XCR0_SSE | XCR0_AVX)) == (XCR0_SSE | XCR0_AVX);
}

static uint32_t host_words[NR_CPUID_WORDS];
static bool host_has_avx;

/* CPUID leaves the host's own virtual machine when there is one, so it is asked once per process. */
static void read_host_words(void)
{
	const uint32_t avx = BIT(FEAT_AVX % 32) | BIT(27); /* and OSXSAVE */
	uint32_t a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d)) {
		host_words[CPUID_1_ECX] = c;
		host_words[CPUID_1_EDX] = d;
	}
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		host_words[CPUID_7_EBX] = b;
		host_words[CPUID_7_ECX] = c;
	}
	host_has_avx = (host_words[CPUID_1_ECX] & avx) == avx && host_saves_ymm();
}

static bool host_bit(enum cpuid_feature f)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_host_words);
	return host_words[f / 32] >> (f % 32) & 1;
}

bool simd_host_has(enum cpuid_feature feature)
{
	switch (feature) {
	case FEAT_MMX:
	case FEAT_SSE:
	case FEAT_SSE2:
	case FEAT_SSE3:
	case FEAT_PCLMUL:
	case FEAT_SSSE3:
	case FEAT_SSE41:
	case FEAT_SSE42:
	case FEAT_AES:
	case FEAT_SHA:
		return host_bit(feature);
	case FEAT_AVX:
	case FEAT_FMA:
	case FEAT_F16C:
	case FEAT_AVX2:
	case FEAT_VAES:
	case FEAT_VPCLMUL:
		return host_bit(feature) && host_has_avx;
	default:
		return true;
	}
}
