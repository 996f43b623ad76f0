/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comparing single user instructions with the host cannot show of x87, MMX, SSE and AVX: when
 * they may run at all, exceptions, the formats of FXSAVE and the XSAVE family, MMIO operands, and
 * the exchange of state through engine.h. Small guests in 64-bit mode at CPL 0, on any engine.
 */
#include "engine/soft/interp/thunk_impl.h"
#include "unit/engine/tiny_guest.h"

#define VECTOR_PORT   0xe1
#define PHYS_HANDLERS 0x9000

/* Where guests find and leave things; PHYS_DATA as an address in assembly. */
#define AREA	  "0x10000"
#define AREA_SIZE 4096

struct legacy_area {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16], xmm[16][16], rest[96];
};

struct area {
	struct legacy_area legacy;
	uint64_t xstate_bv, xcomp_bv, reserved[6];
	uint8_t ymm_high[16][16];
};

static void open_guest(struct tiny *t, const uint8_t *code, const uint8_t *end)
{
	struct kvm_sregs s;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = 1}};

	tiny_open(t, 1);
	tiny_long_mode(t);
	for (unsigned v = 0; v < 32; v++) {
		const uint8_t handler[] = {0xb0, v, 0xe6, VECTOR_PORT, 0xf4};

		mem_write(t->mem, PHYS_HANDLERS + v * 16, handler, sizeof(handler));
		tiny_gate64(t, v, PHYS_HANDLERS + v * 16);
	}
	mem_write(t->mem, PHYS_CODE, code, (size_t)(end - code));
	memset(t->ram + PHYS_DATA, 0xcc, AREA_SIZE);
	engine_vcpu_get_sregs(t->vcpu[0], &s);
	s.cr4 |= CR4_OSXSAVE;
	assert_int_equal(engine_vcpu_set_sregs(t->vcpu[0], &s), 0);
	xcrs.xcrs[0].value = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	assert_int_equal(engine_vcpu_set_xcrs(t->vcpu[0], &xcrs), 0);
}

#define OPEN(t, name) open_guest(t, name, name##_end)

static struct area *area_of(struct tiny *t)
{
	return (struct area *)(t->ram + PHYS_DATA);
}

/* The first quadword of the interrupted state: RIP of the faulting instruction. */
static uint64_t fault_rip(struct tiny *t, bool has_error)
{
	struct kvm_regs regs;

	engine_vcpu_get_regs(t->vcpu[0], &regs);
	return tiny_get64(t, regs.rsp + (has_error ? 8 : 0));
}

static void expect_vector(struct tiny *t, unsigned vector)
{
	assert_int_equal(tiny_expect_out(t, VECTOR_PORT), vector);
}

static void expect_end(struct tiny *t)
{
	tiny_expect_out(t, STOP_PORT);
}

static void get_area(struct tiny *t, struct area *a)
{
	struct kvm_xsave xsave;

	assert_int_equal(engine_vcpu_get_xsave(t->vcpu[0], &xsave), 0);
	memcpy(a, &xsave, sizeof(*a));
}

/* ---- SSE exceptions ---- */

GUEST_CODE(divide_guest, 64,
	   "movl $0x1d80, " AREA "\n" /* divide by zero unmasked */
	   "ldmxcsr " AREA "\n"
	   "mov $0x3ff0000000000000, %rax\n"
	   "movq %rax, %xmm1\n"
	   "pxor %xmm2, %xmm2\n"
	   "divsd %xmm2, %xmm1\n"
	   "out %al, $0xf0\n");

static void unmasked_sse_exception_raises_xm_and_keeps_the_destination(void **state)
{
	struct tiny t;
	struct area a;

	OPEN(&t, divide_guest);
	expect_vector(&t, VEC_XM);
	get_area(&t, &a);
	assert_int_equal(a.legacy.mxcsr, 0x1d84);
	assert_int_equal(a.legacy.xmm[1][7], 0x3f);
	assert_int_equal(a.legacy.xmm[1][6], 0xf0);
	tiny_close(&t);
}

static void sse_exception_is_ud_without_osxmmexcpt(void **state)
{
	struct tiny t;
	struct kvm_sregs s;

	OPEN(&t, divide_guest);
	engine_vcpu_get_sregs(t.vcpu[0], &s);
	s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	engine_vcpu_set_sregs(t.vcpu[0], &s);
	expect_vector(&t, VEC_UD);
	tiny_close(&t);
}

GUEST_CODE(masked_guest, 64,
	   "movl $0x1f80, " AREA "\n"
	   "ldmxcsr " AREA "\n"
	   "mov $1, %eax\n"
	   "cvtsi2sd %eax, %xmm1\n"
	   "mov $3, %eax\n"
	   "cvtsi2sd %eax, %xmm2\n"
	   "divsd %xmm2, %xmm1\n"
	   "stmxcsr " AREA "\n"
	   "pxor %xmm3, %xmm3\n"
	   "divsd %xmm3, %xmm2\n"
	   "stmxcsr " AREA " + 4\n"
	   "movl $0x7f80, " AREA " + 8\n" /* round to zero */
	   "ldmxcsr " AREA " + 8\n"
	   "mov $1, %eax\n"
	   "cvtsi2ss %eax, %xmm4\n"
	   "mov $3, %eax\n"
	   "cvtsi2ss %eax, %xmm5\n"
	   "divss %xmm5, %xmm4\n"
	   "movd %xmm4, " AREA " + 12\n"
	   "out %al, $0xf0\n");

static void masked_sse_exceptions_add_up_and_rounding_is_the_guests(void **state)
{
	struct tiny t;
	const uint32_t *data;

	OPEN(&t, masked_guest);
	expect_end(&t);
	data = (const uint32_t *)(t.ram + PHYS_DATA);
	assert_int_equal(data[0], 0x1fa0);     /* PE */
	assert_int_equal(data[1], 0x1fa4);     /* ZE and PE */
	assert_int_equal(data[3], 0x3eaaaaaa); /* 1/3 to nearest ends in b */
	tiny_close(&t);
}

GUEST_CODE(bad_mxcsr_guest, 64,
	   "movl $0x80001f80, " AREA "\n"
	   "ldmxcsr " AREA "\n");
GUEST_CODE(misaligned_guest, 64, "movaps " AREA " + 8, %xmm0\n");
GUEST_CODE(misaligned_vex_guest, 64, "vpaddb " AREA " + 8, %xmm0, %xmm1\nout %al, $0xf0\n");

static void reserved_mxcsr_bits_fault(void **state)
{
	struct tiny t;

	OPEN(&t, bad_mxcsr_guest);
	expect_vector(&t, VEC_GP);
	tiny_close(&t);
}

static void misaligned_operand_faults_only_in_legacy_encoding(void **state)
{
	struct tiny t;

	OPEN(&t, misaligned_guest);
	expect_vector(&t, VEC_GP);
	assert_int_equal(fault_rip(&t, true), PHYS_CODE);
	tiny_close(&t);
	OPEN(&t, misaligned_vex_guest);
	expect_end(&t);
	tiny_close(&t);
}

/* ---- control registers ---- */

GUEST_CODE(sse_guest, 64, "paddb %xmm0, %xmm1\nout %al, $0xf0\n");
GUEST_CODE(avx_guest, 64, "vpaddb %xmm0, %xmm1, %xmm2\nout %al, $0xf0\n");
GUEST_CODE(mmx_guest, 64, "paddb %mm0, %mm1\nout %al, $0xf0\n");
GUEST_CODE(x87_guest, 64, "fld1\nout %al, $0xf0\n");
GUEST_CODE(wait_guest, 64, "fwait\nout %al, $0xf0\n");
GUEST_CODE(xsave_guest, 64, "xsave " AREA "\nout %al, $0xf0\n");

#define RUNS 0xff

static unsigned vector_with(const uint8_t *code, const uint8_t *end, uint64_t cr0_set,
			    uint64_t cr4_clear)
{
	struct tiny t;
	struct kvm_sregs s;
	unsigned result;

	open_guest(&t, code, end);
	engine_vcpu_get_sregs(t.vcpu[0], &s);
	s.cr0 |= cr0_set;
	s.cr4 &= ~cr4_clear;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &s), 0);
	tiny_expect(&t, KVM_EXIT_IO);
	result = t.run->io.port == STOP_PORT ? RUNS : *tiny_io_data(&t);
	tiny_close(&t);
	return result;
}

#define VECTOR_WITH(name, cr0, cr4) vector_with(name, name##_end, cr0, cr4)

static void control_registers_decide_what_may_run(void **state)
{
	assert_int_equal(VECTOR_WITH(sse_guest, 0, 0), RUNS);
	assert_int_equal(VECTOR_WITH(sse_guest, CR0_TS, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(sse_guest, CR0_EM, 0), VEC_UD);
	assert_int_equal(VECTOR_WITH(sse_guest, CR0_TS, CR4_OSFXSR), VEC_UD);
	assert_int_equal(VECTOR_WITH(mmx_guest, 0, 0), RUNS);
	assert_int_equal(VECTOR_WITH(mmx_guest, CR0_TS, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(mmx_guest, CR0_EM, 0), VEC_UD);
	assert_int_equal(VECTOR_WITH(x87_guest, 0, 0), RUNS);
	assert_int_equal(VECTOR_WITH(x87_guest, CR0_TS, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(x87_guest, CR0_EM, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(wait_guest, CR0_TS, 0), RUNS);
	assert_int_equal(VECTOR_WITH(wait_guest, CR0_TS | CR0_MP, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(xsave_guest, 0, 0), RUNS);
	assert_int_equal(VECTOR_WITH(xsave_guest, CR0_TS, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(xsave_guest, 0, CR4_OSXSAVE), VEC_UD);
}

static void avx_needs_osxsave_and_no_ts(void **state)
{
	assert_int_equal(VECTOR_WITH(avx_guest, 0, 0), RUNS);
	assert_int_equal(VECTOR_WITH(avx_guest, CR0_TS, 0), VEC_NM);
	assert_int_equal(VECTOR_WITH(avx_guest, CR0_TS, CR4_OSXSAVE), VEC_UD);
}

/* ---- x87 ---- */

GUEST_CODE(x87_pending_guest, 64,
	   "fninit\n"
	   "movw $0x37b, " AREA "\n" /* divide by zero unmasked */
	   "fldcw " AREA "\n"
	   "fld1\n"
	   "fldz\n"
	   "x87_divides: fdivrp %st, %st(1)\n" /* AT&T: fdivp of Intel */
	   "fnstsw %ax\n"
	   "mov %ax, " AREA " + 2\n"
	   "fnstcw " AREA " + 4\n"
	   "x87_notices: fld1\n");
extern const uint8_t x87_divides[], x87_notices[];

static void x87_exception_is_taken_by_the_next_waiting_instruction(void **state)
{
	struct tiny t;
	struct area a;
	uint16_t fsw;

	OPEN(&t, x87_pending_guest);
	expect_vector(&t, VEC_MF);
	assert_int_equal(fault_rip(&t, false), PHYS_CODE + (x87_notices - x87_pending_guest));
	mem_read(t.mem, PHYS_DATA + 2, &fsw, 2);
	assert_int_equal(fsw & 0x80ff, 0x8084); /* B, ES, ZE */
	assert_int_equal(fsw >> 11 & 7, 6);	/* nothing was popped */
	get_area(&t, &a);
	assert_int_equal(a.legacy.fip, PHYS_CODE + (x87_divides - x87_pending_guest));
	tiny_close(&t);
}

GUEST_CODE(x87_clear_guest, 64,
	   "fninit\n"
	   "movw $0x37b, " AREA "\n"
	   "fldcw " AREA "\n"
	   "fld1\n"
	   "fldz\n"
	   "fdivrp %st, %st(1)\n"
	   "fnclex\n"
	   "fld1\n"
	   "fnstsw " AREA "\n"
	   "fld1\n" /* loading a control word can make an old flag pending */
	   "fldz\n"
	   "movw $0x37f, " AREA " + 2\n"
	   "fldcw " AREA " + 2\n"
	   "fdivrp %st, %st(1)\n"
	   "movw $0x37b, " AREA " + 2\n"
	   "fldcw " AREA " + 2\n"
	   "fwait\n");

static void x87_exceptions_can_be_cleared_and_unmasked_later(void **state)
{
	struct tiny t;
	uint16_t fsw;

	OPEN(&t, x87_clear_guest);
	expect_vector(&t, VEC_MF);
	assert_int_equal(fault_rip(&t, false),
			 PHYS_CODE + (x87_clear_guest_end - x87_clear_guest) - 1);
	mem_read(t.mem, PHYS_DATA, &fsw, 2);
	assert_int_equal(fsw & 0x80ff, 0);
	tiny_close(&t);
}

GUEST_CODE(x87_save_guest, 64,
	   "fninit\n"
	   "fldpi\n"
	   "fldz\n"
	   "fld1\n"
	   "ffree %st(1)\n"
	   "fnsave " AREA "\n"
	   "fnstsw " AREA " + 0x100\n"
	   "frstor " AREA "\n"
	   "fnstenv " AREA " + 0x200\n"
	   "fstpt " AREA " + 0x240\n"
	   "fincstp\n"
	   "fstpt " AREA " + 0x250\n"
	   "out %al, $0xf0\n");

static void x87_state_survives_fnsave_and_frstor(void **state)
{
	static const uint8_t one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
	static const uint8_t pi[10] = {0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0, 0x40};
	struct tiny t;
	uint32_t env[7];
	uint16_t fsw;

	OPEN(&t, x87_save_guest);
	expect_end(&t);
	mem_read(t.mem, PHYS_DATA, env, sizeof(env));
	assert_int_equal(env[0], 0xffff037f);
	assert_int_equal(env[1] & 0x3800, 5 << 11);
	/* Registers 7, 6 and 5: pi is valid, the one freed empty, 1.0 valid. */
	assert_int_equal(env[2], 0xffff33ff);
	mem_read(t.mem, PHYS_DATA + 0x100, &fsw, 2);
	assert_int_equal(fsw, 0);
	mem_read(t.mem, PHYS_DATA + 0x200, env, sizeof(env));
	assert_int_equal(env[2], 0xffff33ff);
	assert_memory_equal(t.ram + PHYS_DATA + 28, one, 10);
	assert_memory_equal(t.ram + PHYS_DATA + 0x240, one, 10);
	assert_memory_equal(t.ram + PHYS_DATA + 0x250, pi, 10);
	tiny_close(&t);
}

GUEST_CODE(mmx_alias_guest, 64,
	   "fninit\n"
	   "fld1\n"
	   "fldpi\n" /* TOP is 6: pi in register 6, 1.0 in 7 */
	   "mov $0x1122334455667788, %rax\n"
	   "movq %rax, %mm3\n"
	   "fxsave64 " AREA "\n"
	   "emms\n"
	   "fxsave64 " AREA " + 0x400\n"
	   "out %al, $0xf0\n");

static void mmx_registers_are_the_physical_x87_registers(void **state)
{
	struct tiny t;
	const struct legacy_area *a, *after;

	OPEN(&t, mmx_alias_guest);
	expect_end(&t);
	a = &area_of(&t)->legacy;
	after = (const struct legacy_area *)(t.ram + PHYS_DATA + 0x400);
	assert_int_equal(a->fsw >> 11 & 7, 0);
	assert_int_equal(a->ftw, 0xff);
	assert_int_equal(a->st[3][0], 0x88);
	assert_int_equal(a->st[3][8] & a->st[3][9], 0xff);
	assert_int_equal(a->st[6][9], 0x40);
	assert_int_equal(a->st[7][9], 0x3f);
	assert_int_equal(after->ftw, 0);
	tiny_close(&t);
}

/* ---- FXSAVE ---- */

GUEST_CODE(fxsave_guest, 64,
	   "fninit\n"
	   "fldpi\n"
	   "mov $0x0123456789abcdef, %rax\n"
	   "movq %rax, %xmm0\n"
	   "movq %rax, %xmm15\n"
	   "fxsave64 " AREA "\n"
	   "out %al, $0xf0\n");

static void fxsave_writes_its_fields_and_nothing_else(void **state)
{
	struct tiny t;
	const struct legacy_area *a;

	OPEN(&t, fxsave_guest);
	expect_end(&t);
	a = &area_of(&t)->legacy;
	assert_int_equal(a->fcw, 0x37f);
	assert_int_equal(a->fsw, 7 << 11);
	assert_int_equal(a->ftw, 0x80);
	assert_int_equal(a->mxcsr, 0x1f80);
	assert_int_not_equal(a->mxcsr_mask, 0);
	assert_int_equal(a->st[0][9], 0x40);
	assert_int_equal(a->xmm[0][0], 0xef);
	assert_int_equal(a->xmm[15][7], 0x01);
	for (unsigned n = 0; n < 48; n++)
		assert_int_equal(a->rest[48 + n], 0xcc);
	tiny_close(&t);
}

GUEST_CODE(fxrstor_bad_guest, 64,
	   "fxsave64 " AREA "\n"
	   "movl $0xffff0000, " AREA " + 24\n"
	   "fxrstor64 " AREA "\n");
GUEST_CODE(fxsave_misaligned_guest, 64, "fxsave64 " AREA " + 8\n");

static void fxrstor_refuses_reserved_mxcsr_bits(void **state)
{
	struct tiny t;

	OPEN(&t, fxrstor_bad_guest);
	expect_vector(&t, VEC_GP);
	tiny_close(&t);
}

static void fxsave_needs_alignment(void **state)
{
	struct tiny t;

	OPEN(&t, fxsave_misaligned_guest);
	expect_vector(&t, VEC_GP);
	tiny_close(&t);
}

GUEST_CODE(fxsave32_guest, 32,
	   "fxsave " AREA "\n"
	   "out %al, $0xf0\n");

static void fxsave_outside_long_mode_has_eight_registers(void **state)
{
	struct tiny t;
	struct kvm_sregs s;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, fxsave32_guest);
	memset(t.ram + PHYS_DATA, 0xcc, AREA_SIZE);
	tiny_protected_mode(&t);
	engine_vcpu_get_sregs(t.vcpu[0], &s);
	s.cr4 = CR4_OSFXSR;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &s), 0);
	expect_end(&t);
	assert_int_equal(area_of(&t)->legacy.xmm[7][0], 0);
	for (unsigned n = 0; n < 16; n++)
		assert_int_equal(area_of(&t)->legacy.xmm[8][n], 0xcc);
	tiny_close(&t);
}

/* ---- XSAVE ---- */

#define ALL_COMPONENTS "mov $7, %eax\nxor %edx, %edx\n"
#define FILL_YMM                          \
	"mov $0x0123456789abcdef, %rcx\n" \
	"movq %rcx, %xmm1\n"              \
	"vinsertf128 $1, %xmm1, %ymm1, %ymm1\n"

GUEST_CODE(xsave_all_guest, 64,
	   "fninit\nfldpi\n" FILL_YMM ALL_COMPONENTS "movq $0, " AREA " + 512\n"
	   "xsave64 " AREA "\n"
	   "out %al, $0xf0\n");

static void xsave_writes_all_requested_components(void **state)
{
	struct tiny t;
	const struct area *a;

	OPEN(&t, xsave_all_guest);
	expect_end(&t);
	a = area_of(&t);
	assert_int_equal(a->xstate_bv, 7);
	assert_int_equal(a->xcomp_bv, 0xcccccccccccccccc);
	assert_int_equal(a->legacy.st[0][9], 0x40);
	assert_int_equal(a->legacy.xmm[1][0], 0xef);
	assert_int_equal(a->ymm_high[1][0], 0xef);
	assert_int_equal(a->ymm_high[2][0], 0);
	tiny_close(&t);
}

GUEST_CODE(xsave_some_guest, 64,
	   FILL_YMM "mov $4, %eax\nxor %edx, %edx\n"
		    "movq $3, " AREA " + 512\n"
		    "xsave64 " AREA "\n"
		    "out %al, $0xf0\n");

static void xsave_leaves_other_components_alone(void **state)
{
	struct tiny t;
	const struct area *a;

	OPEN(&t, xsave_some_guest);
	expect_end(&t);
	a = area_of(&t);
	assert_int_equal(a->xstate_bv, 7);
	assert_int_equal(a->legacy.fcw, 0xcccc);
	assert_int_equal(a->legacy.mxcsr, 0x1f80);
	assert_int_equal(a->legacy.xmm[1][0], 0xcc);
	assert_int_equal(a->ymm_high[1][0], 0xef);
	tiny_close(&t);
}

GUEST_CODE(xsaveopt_guest, 64,
	   FILL_YMM ALL_COMPONENTS "movq $0, " AREA " + 512\n"
				   "movq $0, " AREA " + 520\n"
				   "movq $0, " AREA " + 528\n"
				   "xrstor64 " AREA "\n" /* everything initial */
				   "paddb %xmm1, %xmm1\n"
				   "movq $0xff, " AREA " + 0x400 + 512\n"
				   "xsaveopt64 " AREA " + 0x400\n"
				   "out %al, $0xf0\n");

static void xsaveopt_skips_initial_components(void **state)
{
	struct tiny t;
	const struct area *a;

	OPEN(&t, xsaveopt_guest);
	/* XRSTOR takes MXCSR from the area whatever XSTATE_BV says. */
	area_of(&t)->legacy.mxcsr = 0x1f80;
	expect_end(&t);
	a = (const struct area *)(t.ram + PHYS_DATA + 0x400);
	assert_int_equal(a->xstate_bv & 4, 0);
	assert_int_equal(a->xstate_bv & ~7ull, 0xf8);
	assert_int_equal(a->ymm_high[1][0], 0xcc);
	tiny_close(&t);
}

GUEST_CODE(xsavec_guest, 64,
	   FILL_YMM ALL_COMPONENTS "xsavec64 " AREA "\n"
				   "vzeroall\n"
				   "movq $0, " AREA " + 528\n"
				   "movq $0, " AREA " + 536\n"
				   "movq $0, " AREA " + 544\n"
				   "movq $0, " AREA " + 552\n"
				   "movq $0, " AREA " + 560\n"
				   "movq $0, " AREA " + 568\n"
				   "xrstor64 " AREA "\n"
				   "vextractf128 $1, %ymm1, " AREA " + 0x800\n"
				   "out %al, $0xf0\n");

static void xsavec_writes_compacted_format_that_xrstor_reads(void **state)
{
	struct tiny t;
	const struct area *a;

	OPEN(&t, xsavec_guest);
	expect_end(&t);
	a = area_of(&t);
	assert_int_equal(a->xcomp_bv, 7 | BIT64(63));
	assert_int_equal(a->xstate_bv & 6, 6);
	assert_int_equal(a->ymm_high[1][0], 0xef);
	assert_int_equal(tiny_get64(&t, PHYS_DATA + 0x800), 0x0123456789abcdef);
	tiny_close(&t);
}

GUEST_CODE(xsaves_guest, 64,
	   FILL_YMM ALL_COMPONENTS "movl $0xccccff80, " AREA " + 24\n"
				   "xsaves64 " AREA "\n"
				   "vzeroall\n"
				   "movq $0, " AREA " + 528\n"
				   "movq $0, " AREA " + 536\n"
				   "movq $0, " AREA " + 544\n"
				   "movq $0, " AREA " + 552\n"
				   "movq $0, " AREA " + 560\n"
				   "movq $0, " AREA " + 568\n"
				   "xrstors64 " AREA "\n"
				   "vextractf128 $1, %ymm1, " AREA " + 0x800\n"
				   "out %al, $0xf0\n");

/* The named models have no XSAVES: it is #UD there, and does its work where a guest sees it. */
static void xsaves_round_trips_where_the_guest_has_it(void **state)
{
	struct tiny t;

	OPEN(&t, xsaves_guest);
	tiny_expect(&t, KVM_EXIT_IO);
	if (t.run->io.port == VECTOR_PORT) {
		assert_int_equal(*tiny_io_data(&t), VEC_UD);
	} else {
		assert_int_equal(area_of(&t)->xcomp_bv, 7 | BIT64(63));
		assert_int_equal(tiny_get64(&t, PHYS_DATA + 0x800), 0x0123456789abcdef);
	}
	tiny_close(&t);
}

GUEST_CODE(xrstor_guest, 64,
	   FILL_YMM ALL_COMPONENTS "xrstor64 " AREA "\n"
				   "xrstor_done: out %al, $0xf0\n");

static struct area *open_xrstor(struct tiny *t)
{
	struct area *a;

	OPEN(t, xrstor_guest);
	a = area_of(t);
	memset(a, 0, sizeof(*a));
	a->legacy.fcw = 0x37f;
	a->legacy.mxcsr = 0x1f80;
	return a;
}

static void xrstor_makes_absent_components_initial(void **state)
{
	struct tiny t;
	struct area *a = open_xrstor(&t), now;

	a->xstate_bv = XCR0_SSE;
	a->legacy.mxcsr = 0x3f80;
	a->legacy.xmm[1][3] = 0x77;
	a->legacy.fcw = 0x27f; /* not loaded: x87 is absent */
	expect_end(&t);
	get_area(&t, &now);
	assert_int_equal(now.legacy.xmm[1][3], 0x77);
	assert_int_equal(now.legacy.xmm[1][0], 0);
	assert_int_equal(now.legacy.mxcsr, 0x3f80);
	assert_int_equal(now.legacy.fcw, 0x37f);
	assert_int_equal(now.legacy.ftw, 0);
	assert_int_equal(now.ymm_high[1][0], 0);
	tiny_close(&t);
}

static void xrstor_refuses_each_bad_header(void **state)
{
	for (unsigned n = 0; n < 7; n++) {
		struct tiny t;
		struct area *a = open_xrstor(&t);

		switch (n) {
		case 0:
			a->xstate_bv = BIT64(9);
			break;
		case 1:
			a->xcomp_bv = 1;
			break;
		case 2:
			a->reserved[0] = 1;
			break;
		case 3:
			a->legacy.mxcsr = 0x10000;
			break;
		case 4:
			a->xcomp_bv = BIT64(63) | 1;
			a->xstate_bv = 2;
			break;
		case 5:
			a->xcomp_bv = BIT64(63) | BIT64(9);
			break;
		case 6:
			a->xcomp_bv = BIT64(63) | 7;
			a->reserved[5] = 1;
			break;
		}
		expect_vector(&t, VEC_GP);
		tiny_close(&t);
	}
}

/* ---- devices as operands ---- */

GUEST_CODE(mmio_guest, 64,
	   "mov $0xd0000000, %ebx\n"
	   "movdqu (%rbx), %xmm1\n"
	   "movdqu %xmm1, 0x20(%rbx)\n"
	   "fninit\n"
	   "fld1\n"
	   "fstpl 0x40(%rbx)\n"
	   "fnstsw %ax\n"
	   "mov %ax, " AREA "\n"
	   "out %al, $0xf0\n");

static void vector_operands_reach_devices_in_pieces(void **state)
{
	struct tiny t;
	struct area a;

	OPEN(&t, mmio_guest);
	for (uint64_t n = 0; n < 2; n++) {
		uint64_t value = 0x1111111111111111 * (n + 1);

		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_false(t.run->mmio.is_write);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + n * 8);
		assert_int_equal(t.run->mmio.len, 8);
		memcpy(t.run->mmio.data, &value, 8);
	}
	for (uint64_t n = 0; n < 2; n++) {
		uint64_t value;

		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_true(t.run->mmio.is_write);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x20 + n * 8);
		memcpy(&value, t.run->mmio.data, 8);
		assert_int_equal(value, 0x1111111111111111 * (n + 1));
	}
	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x40);
	assert_int_equal(t.run->mmio.data[7], 0x3f);
	expect_end(&t);
	get_area(&t, &a);
	assert_int_equal(a.legacy.xmm[1][15], 0x22);
	assert_int_equal(tiny_get64(&t, PHYS_DATA) & 0xffff, 0); /* popped once */
	tiny_close(&t);
}

GUEST_CODE(gather_guest, 64,
	   "mov $0xd0000000, %ebx\n"
	   "vpcmpeqd %ymm2, %ymm2, %ymm2\n"
	   "vpxor %ymm1, %ymm1, %ymm1\n"
	   "vmovdqu " AREA ", %xmm3\n"
	   "vpgatherdd %xmm2, (%rbx,%xmm3,4), %xmm1\n"
	   "out %al, $0xf0\n");

static void gather_reads_each_device_register_once(void **state)
{
	static const uint32_t indexes[4] = {3, 0, 2, 7};
	struct tiny t;
	struct area a;

	OPEN(&t, gather_guest);
	mem_write(t.mem, PHYS_DATA, indexes, sizeof(indexes));
	tiny_expect(&t, KVM_EXIT_MMIO);
	for (unsigned n = 0; n < 4; n++) {
		uint32_t value = 0xa0 + n;

		assert_int_equal(t.run->exit_reason, KVM_EXIT_MMIO);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + indexes[n] * 4);
		assert_int_equal(t.run->mmio.len, 4);
		memcpy(t.run->mmio.data, &value, 4);
		assert_int_equal(engine_vcpu_run(t.vcpu[0]), 0);
	}
	assert_int_equal(t.run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(t.run->io.port, STOP_PORT);
	get_area(&t, &a);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(a.legacy.xmm[1][n * 4], 0xa0 + n);
	for (unsigned n = 0; n < 16; n++)
		assert_int_equal(a.legacy.xmm[2][n], 0);
	tiny_close(&t);
}

/* ---- state through engine.h ---- */

GUEST_CODE(state_guest, 64,
	   "fstpt " AREA "\n"
	   "vmovdqu %ymm5, " AREA " + 0x20\n"
	   "stmxcsr " AREA " + 0x40\n"
	   "fnstcw " AREA " + 0x44\n"
	   "out %al, $0xf0\n");

static void xsave_state_goes_in_and_comes_out(void **state)
{
	struct tiny t;
	struct kvm_xsave in = {}, out;
	struct area *a = (struct area *)&in, *b = (struct area *)&out;

	OPEN(&t, state_guest);
	a->xstate_bv = 7;
	a->legacy.fcw = 0x27f;
	a->legacy.fsw = 7 << 11;
	a->legacy.ftw = 0x80;
	a->legacy.mxcsr = 0x9fa0;
	a->legacy.st[0][9] = 0x40;
	a->legacy.st[0][7] = 0x80;
	a->legacy.xmm[5][0] = 0x55;
	a->ymm_high[5][15] = 0x66;
	assert_int_equal(engine_vcpu_set_xsave(t.vcpu[0], &in), 0);
	assert_int_equal(engine_vcpu_get_xsave(t.vcpu[0], &out), 0);
	assert_int_equal(b->xstate_bv & 7, 7);
	assert_memory_equal(a->legacy.st, b->legacy.st, 10);
	assert_memory_equal(a->legacy.xmm, b->legacy.xmm, 256);
	assert_memory_equal(a->ymm_high, b->ymm_high, 256);
	expect_end(&t);
	assert_int_equal(t.ram[PHYS_DATA + 9], 0x40);
	assert_int_equal(t.ram[PHYS_DATA + 0x20], 0x55);
	assert_int_equal(t.ram[PHYS_DATA + 0x3f], 0x66);
	assert_int_equal(tiny_get64(&t, PHYS_DATA + 0x40) & 0xffffffffffff, 0x027f00009fa0);
	tiny_close(&t);
}

static void xsave_state_with_reserved_bits_is_refused(void **state)
{
	struct tiny t;
	struct kvm_xsave in = {};
	struct area *a = (struct area *)&in;

	OPEN(&t, state_guest);
	a->xstate_bv = 7;
	a->legacy.mxcsr = 0x80000000;
	assert_int_equal(engine_vcpu_set_xsave(t.vcpu[0], &in), -EINVAL);
	a->legacy.mxcsr = 0x1f80;
	a->xstate_bv = BIT64(40);
	assert_int_equal(engine_vcpu_set_xsave(t.vcpu[0], &in), -EINVAL);
	tiny_close(&t);
}

/* ---- generated code ---- */

static size_t code_bytes(const struct insn_row *row, bool is_mem, bool l, bool w)
{
	struct thunk_form form = {.row = row, .is_mem = is_mem, .l = l, .w = w, .sub = 5};
	struct thunk t;
	struct thunk_code code;

	thunk_emit(&form, &t, &code);
	return ALIGN_UP((size_t)code.len, (size_t)16) * (thunk_row_has_imm(row)		    ? 256
							 : thunk_row_is_x87(row) && !is_mem ? 8
											    : 1);
}

static void every_thunk_a_guest_can_ask_for_fits_at_once(void **state)
{
	size_t total = 0;

	for (const struct insn_row *row = insn_rows; row < insn_rows + nr_insn_rows; row++) {
		if (!(row->attr & (A_FPU | A_MMX | A_SSE | A_AVX)) ||
		    (row->map == MAP_1 && !row->digit))
			continue;
		for (unsigned n = 0; n < 8; n++)
			total += code_bytes(row, n & 1, n & 2, n & 4);
	}
	assert_true(total > 0);
	assert_true(total <= thunk_bytes_max());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmasked_sse_exception_raises_xm_and_keeps_the_destination),
		cmocka_unit_test(sse_exception_is_ud_without_osxmmexcpt),
		cmocka_unit_test(masked_sse_exceptions_add_up_and_rounding_is_the_guests),
		cmocka_unit_test(reserved_mxcsr_bits_fault),
		cmocka_unit_test(misaligned_operand_faults_only_in_legacy_encoding),
		cmocka_unit_test(control_registers_decide_what_may_run),
		cmocka_unit_test(avx_needs_osxsave_and_no_ts),
		cmocka_unit_test(x87_exception_is_taken_by_the_next_waiting_instruction),
		cmocka_unit_test(x87_exceptions_can_be_cleared_and_unmasked_later),
		cmocka_unit_test(x87_state_survives_fnsave_and_frstor),
		cmocka_unit_test(mmx_registers_are_the_physical_x87_registers),
		cmocka_unit_test(fxsave_writes_its_fields_and_nothing_else),
		cmocka_unit_test(fxrstor_refuses_reserved_mxcsr_bits),
		cmocka_unit_test(fxsave_needs_alignment),
		cmocka_unit_test(fxsave_outside_long_mode_has_eight_registers),
		cmocka_unit_test(xsave_writes_all_requested_components),
		cmocka_unit_test(xsave_leaves_other_components_alone),
		cmocka_unit_test(xsaveopt_skips_initial_components),
		cmocka_unit_test(xsavec_writes_compacted_format_that_xrstor_reads),
		cmocka_unit_test(xsaves_round_trips_where_the_guest_has_it),
		cmocka_unit_test(xrstor_makes_absent_components_initial),
		cmocka_unit_test(xrstor_refuses_each_bad_header),
		cmocka_unit_test(vector_operands_reach_devices_in_pieces),
		cmocka_unit_test(gather_reads_each_device_register_once),
		cmocka_unit_test(xsave_state_goes_in_and_comes_out),
		cmocka_unit_test(xsave_state_with_reserved_bits_is_refused),
		cmocka_unit_test(every_thunk_a_guest_can_ask_for_fits_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
