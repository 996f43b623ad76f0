/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading and inspecting segments: every check of a data segment and of SS, limits, null selectors,
 * table registers, LAR, LSL, VERR, VERW, ARPL.
 */
#include "sys_guest.h"

GUEST_CODE(load_ds, ".code32\n movw %ax, %ds\n movw %ds, %bx\n int $0x80\n");
GUEST_CODE(load_ss, ".code32\n movw %ax, %ss\n nop\n int $0x80\n");
GUEST_CODE(load_cs, ".code32\n .byte 0x8e, 0xc8\n");

/* Runs code with AX = selector; returns what it reports, the error code in *error. */
static unsigned run_with(struct sys_guest *g, uint64_t code, unsigned cpl, uint16_t selector,
			 uint32_t *error)
{
	struct kvm_regs regs;
	unsigned result;

	sys_guest_protected(g, code, cpl, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rax = selector;
	engine_vcpu_set_regs(g->vcpu, &regs);
	result = sys_guest_run(g);
	*error = get_u32(g, g->regs.rsp);
	return result;
}

static void ds_load_checks(void **state)
{
	static const struct {
		uint16_t selector;
		unsigned cpl, vector, error;
	} cases[] = {
		{KERNEL_DS, 0, 0x80, 0},
		{USER_DS, 0, 0x80, 0},
		{USER_DS, 3, 0x80, 0},
		{0, 0, 0x80, 0},		       /* null */
		{3, 3, 0x80, 0},		       /* null with an RPL */
		{KERNEL_DS, 3, VEC_GP, KERNEL_DS},     /* CPL above DPL */
		{KERNEL_DS | 3, 0, VEC_GP, KERNEL_DS}, /* RPL above DPL */
		{KERNEL_CS32, 0, 0x80, 0},	       /* readable code */
		{SEL_EXEC_ONLY, 0, VEC_GP, SEL_EXEC_ONLY},
		{SEL_CONFORMING, 3, 0x80, 0}, /* conforming: DPL does not matter */
		{SEL_READ_ONLY, 0, 0x80, 0},
		{SEL_ABSENT, 0, VEC_NP, SEL_ABSENT},
		{SEL_TSS2, 0, VEC_GP, SEL_TSS2}, /* a system segment */
		{GDT_SIZE, 0, VEC_GP, GDT_SIZE}, /* past the limit */
		{0x24, 0, VEC_GP, 0x24},	 /* past the LDT's limit */
	};
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, load_ds);

	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		uint32_t error;

		assert_int_equal(run_with(g, code, cases[k].cpl, cases[k].selector, &error),
				 cases[k].vector);
		if (cases[k].vector == 0x80)
			assert_int_equal(g->regs.rbx & 0xffff, cases[k].selector);
		else
			assert_int_equal(error, cases[k].error);
	}
}

static void ss_load_checks(void **state)
{
	static const struct {
		uint16_t selector;
		unsigned cpl, vector, error;
	} cases[] = {
		{KERNEL_DS, 0, 0x80, 0},
		{USER_DS, 3, 0x80, 0},
		{0, 0, VEC_GP, 0},			 /* null outside 64-bit mode */
		{USER_DS, 0, VEC_GP, USER_DS & ~3},	 /* RPL and DPL are not CPL */
		{USER_DS & ~3, 3, VEC_GP, USER_DS & ~3}, /* RPL is not CPL */
		{KERNEL_DS | 3, 3, VEC_GP, KERNEL_DS},	 /* DPL is not CPL */
		{SEL_READ_ONLY, 0, VEC_GP, SEL_READ_ONLY},
		{KERNEL_CS32, 0, VEC_GP, KERNEL_CS32},
		{SEL_ABSENT, 0, VEC_SS, SEL_ABSENT},
	};
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, load_ss);

	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		uint32_t error;

		assert_int_equal(run_with(g, code, cases[k].cpl, cases[k].selector, &error),
				 cases[k].vector);
		if (cases[k].vector != 0x80)
			assert_int_equal(error, cases[k].error);
	}
}

static void mov_to_cs_is_ud(void **state)
{
	struct sys_guest *g = *state;
	uint32_t error;

	assert_int_equal(run_with(g, LOAD(g, load_cs), 0, KERNEL_CS32, &error), VEC_UD);
}

static void load_sets_the_accessed_bit(void **state)
{
	struct sys_guest *g = *state;
	uint32_t error;

	assert_int_equal(run_with(g, LOAD(g, load_ds), 0, SEL_SMALL, &error), 0x80);
	assert_true(get64(g, AT_GDT + SEL_SMALL) >> 40 & 1);
}

GUEST_CODE(limit_ok, ".code32\n movw %ax, %ds\n movl 0xc, %ebx\n int $0x80\n");
GUEST_CODE(limit_bad, ".code32\n movw %ax, %ds\n movl 0xd, %ebx\n int $0x80\n");
GUEST_CODE(null_use, ".code32\n xorl %eax, %eax\n movw %ax, %ds\n movl 0xc, %ebx\n");
GUEST_CODE(write_bad, ".code32\n movw %ax, %ds\n movl %ebx, 0xc\n");

static void limits_are_checked(void **state)
{
	struct sys_guest *g = *state;
	uint32_t error;

	put32(g, AT_DATA + 0xc, 0x12345678);
	assert_int_equal(run_with(g, LOAD(g, limit_ok), 0, SEL_SMALL, &error), 0x80);
	assert_int_equal(g->regs.rbx, 0x12345678);
	assert_int_equal(run_with(g, LOAD(g, limit_bad), 0, SEL_SMALL, &error), VEC_GP);
	assert_int_equal(error, 0);
	assert_int_equal(run_with(g, LOAD(g, null_use), 0, 0, &error), VEC_GP);
	assert_int_equal(run_with(g, LOAD(g, write_bad), 0, SEL_READ_ONLY, &error), VEC_GP);
	assert_int_equal(error, 0);
}

static void expand_down_lies_above_its_limit(void **state)
{
	struct sys_guest *g = *state;
	uint32_t error;

	/* Expand-down, 32-bit, limit 0xc: offsets from 0xd on are inside. */
	put64(g, AT_GDT + SEL_GATE, 0);
	assert_int_equal(run_with(g, LOAD(g, limit_bad), 0, 0, &error), VEC_GP);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put64(g, AT_GDT + SEL_GATE, 0x004096000000000c | (uint64_t)AT_DATA << 16);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	struct kvm_regs regs;
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rax = SEL_GATE;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), 0x80);
	regs.rip = LOAD(g, limit_ok);
	regs.rsp = AT_STACK;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

/* ---- LDT and TR ---- */

GUEST_CODE(do_lldt, ".code32\n lldt %ax\n sldt %bx\n int $0x80\n");
GUEST_CODE(do_ltr, ".code32\n ltr %ax\n str %bx\n int $0x80\n");

static void lldt_checks(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, do_lldt);
	uint32_t error;

	assert_int_equal(run_with(g, code, 0, SEL_LDT, &error), 0x80);
	assert_int_equal(g->regs.rbx & 0xffff, SEL_LDT);
	assert_int_equal(run_with(g, code, 0, 0, &error), 0x80);
	assert_int_equal(run_with(g, code, 0, SEL_TSS2, &error), VEC_GP);
	assert_int_equal(error, SEL_TSS2);
	assert_int_equal(run_with(g, code, 0, SEL_LDT | 4, &error), VEC_GP);
	assert_int_equal(run_with(g, code, 3, SEL_LDT, &error), VEC_GP);
	assert_int_equal(error, 0);
}

static void ltr_marks_busy_and_refuses_busy(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, do_ltr);
	uint32_t error;

	assert_int_equal(run_with(g, code, 0, SEL_TSS2, &error), 0x80);
	assert_int_equal(get64(g, AT_GDT + SEL_TSS2) >> 40 & 15, SYS_TSS_BUSY);
	assert_int_equal(run_with(g, code, 0, SEL_TSS, &error), VEC_GP);
	assert_int_equal(error, SEL_TSS);
	assert_int_equal(run_with(g, code, 0, 0, &error), VEC_GP);
}

GUEST_CODE(long_lldt, ".code64\n lldt %ax\n int $0x80\n");

static void long_ldt_base_has_64_bits(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_regs regs;

	sys_guest_long(g, LOAD(g, long_lldt), 0, 0);
	put64(g, AT_GDT + SEL_LDT + 8, 0xffff8000);
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rax = SEL_LDT;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->sregs.ldt.base, 0xffff800000000000 | AT_LDT);

	sys_guest_long(g, AT_CODE, 0, 0);
	put64(g, AT_GDT + SEL_LDT + 8, 0x80000000);
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

/* ---- looking ---- */

GUEST_CODE(do_lar, ".code32\n movl $-1, %ebx\n larl %eax, %ebx\n pushfl\n popl %ecx\n int $0x80\n");
GUEST_CODE(do_lsl, ".code32\n movl $-1, %ebx\n lsll %eax, %ebx\n pushfl\n popl %ecx\n int $0x80\n");
GUEST_CODE(do_verr, ".code32\n verr %ax\n pushfl\n popl %ecx\n int $0x80\n");
GUEST_CODE(do_verw, ".code32\n verw %ax\n pushfl\n popl %ecx\n int $0x80\n");
GUEST_CODE(do_arpl, ".code32\n movw $3, %bx\n arpl %bx, %ax\n movl %eax, %edx\n pushfl\n popl "
		    "%ecx\n int $0x80\n");

static bool sets_zf(struct sys_guest *g, uint64_t code, unsigned cpl, uint16_t selector)
{
	uint32_t error;

	assert_int_equal(run_with(g, code, cpl, selector, &error), 0x80);
	return g->regs.rcx & FLAG_ZF;
}

static void lar_and_lsl(void **state)
{
	struct sys_guest *g = *state;
	uint64_t lar = LOAD(g, do_lar), lsl = LOAD(g, do_lsl);

	assert_true(sets_zf(g, lar, 0, KERNEL_DS));
	assert_int_equal(g->regs.rbx, 0x00cf9300 & 0x00ffff00);
	assert_false(sets_zf(g, lar, 3, KERNEL_DS));
	assert_int_equal(g->regs.rbx, 0xffffffff);
	assert_true(sets_zf(g, lar, 3, SEL_CONFORMING));
	assert_false(sets_zf(g, lar, 0, 0));
	assert_false(sets_zf(g, lar, 0, GDT_SIZE));

	assert_true(sets_zf(g, lsl, 0, KERNEL_DS));
	assert_int_equal(g->regs.rbx, 0xffffffff);
	assert_true(sets_zf(g, lsl, 0, SEL_SMALL));
	assert_int_equal(g->regs.rbx, 0x0f);
	assert_true(sets_zf(g, lsl, 0, SEL_TSS));
	assert_int_equal(g->regs.rbx, 0x13ff);
}

static void verr_and_verw(void **state)
{
	struct sys_guest *g = *state;
	uint64_t verr = LOAD(g, do_verr), verw = LOAD(g, do_verw);

	assert_true(sets_zf(g, verr, 3, USER_DS));
	assert_false(sets_zf(g, verr, 3, KERNEL_DS));
	assert_false(sets_zf(g, verr, 0, SEL_EXEC_ONLY));
	assert_true(sets_zf(g, verr, 3, SEL_CONFORMING));
	assert_true(sets_zf(g, verw, 0, KERNEL_DS));
	assert_false(sets_zf(g, verw, 0, SEL_READ_ONLY));
	assert_false(sets_zf(g, verw, 0, KERNEL_CS32));
	assert_false(sets_zf(g, verw, 0, SEL_TSS));
}

static void arpl_raises_the_rpl(void **state)
{
	struct sys_guest *g = *state;
	uint64_t arpl = LOAD(g, do_arpl);

	assert_true(sets_zf(g, arpl, 0, KERNEL_DS));
	assert_int_equal(g->regs.rdx & 0xffff, KERNEL_DS | 3);
	assert_false(sets_zf(g, arpl, 0, USER_DS));
}

/* ---- 64-bit mode ---- */

GUEST_CODE(fs_base, ".code64\n movw %ax, %fs\n movw %ax, %gs\n movq %fs:0, %rbx\n int $0x80\n");
GUEST_CODE(null_ss, ".code64\n xorl %eax, %eax\n movw %ax, %ss\n nop\n int $0x80\n");

static void fs_has_a_base_in_64_bit_mode(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_regs regs;

	put64(g, AT_DATA, 0x1122334455667788);
	sys_guest_long(g, LOAD(g, fs_base), 0, 0);
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rax = SEL_SMALL;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rbx, 0x1122334455667788);
	assert_int_equal(g->sregs.gs.base, AT_DATA);
}

static void ss_may_be_null_in_64_bit_mode(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, null_ss);

	sys_guest_long(g, code, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	sys_guest_long(g, code, 3, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

/* ---- real mode ---- */

GUEST_CODE(to_unreal, ".code16\n cli\n lgdtl %cs:0x7100\n movl %cr0, %eax\n incw %ax\n"
		      "movl %eax, %cr0\n movw $0x10, %bx\n movw %bx, %ds\n decw %ax\n"
		      "movl %eax, %cr0\n movw $0x100, %bx\n movw %bx, %ds\n"
		      "movl $0x100000, %esi\n movl (%esi), %ebx\n" REPORT(0x91));

static void limits_outlive_protected_mode(void **state)
{
	struct sys_guest *g = *state;

	LOAD_AT(g, 0x7000, to_unreal);
	sys_guest_real(g, 0x7000, 0);
	put16(g, 0x7100, GDT_SIZE - 1);
	put32(g, 0x7102, AT_GDT);
	put32(g, 0x101000, 0xcafe);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, 0xcafe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sys_test(ds_load_checks),
		sys_test(ss_load_checks),
		sys_test(mov_to_cs_is_ud),
		sys_test(load_sets_the_accessed_bit),
		sys_test(limits_are_checked),
		sys_test(expand_down_lies_above_its_limit),
		sys_test(lldt_checks),
		sys_test(ltr_marks_busy_and_refuses_busy),
		sys_test(long_ldt_base_has_64_bits),
		sys_test(lar_and_lsl),
		sys_test(verr_and_verw),
		sys_test(arpl_raises_the_rpl),
		sys_test(fs_has_a_base_in_64_bit_mode),
		sys_test(ss_may_be_null_in_64_bit_mode),
		sys_test(limits_outlive_protected_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
