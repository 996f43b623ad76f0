/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers, MSRs, debug registers, ports and privilege of system instructions.
 */
#include "sys_guest.h"

#include "engine/soft/system.h"

static void set_reg(struct sys_guest *g, uint64_t rax, uint64_t rcx, uint64_t rdx)
{
	struct kvm_regs regs;

	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rax = rax;
	regs.rcx = rcx;
	regs.rdx = rdx;
	engine_vcpu_set_regs(g->vcpu, &regs);
}

/* ---- control registers ---- */

GUEST_CODE(write_cr0, ".code32\n movl %eax, %cr0\n movl %cr0, %ebx\n int $0x80\n");
GUEST_CODE(write_cr4, ".code32\n movl %eax, %cr4\n movl %cr4, %ebx\n int $0x80\n");
GUEST_CODE(write_cr0_64, ".code64\n movq %rax, %cr0\n int $0x80\n");
GUEST_CODE(write_cr3_64, ".code64\n movq %rax, %cr3\n int $0x80\n");
GUEST_CODE(write_cr4_64, ".code64\n movq %rax, %cr4\n int $0x80\n");
GUEST_CODE(write_cr8_64, ".code64\n movq %rax, %cr8\n movq %cr8, %rbx\n int $0x80\n");

static unsigned protected_write(struct sys_guest *g, uint64_t code, uint64_t value)
{
	sys_guest_protected(g, code, 0, 0);
	set_reg(g, value, 0, 0);
	return sys_guest_run(g);
}

static unsigned long_write(struct sys_guest *g, uint64_t code, uint64_t value)
{
	sys_guest_long(g, code, 0, 0);
	set_reg(g, value, 0, 0);
	return sys_guest_run(g);
}

static void cr0_refuses_impossible_values(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, write_cr0), code64 = LOAD(g, write_cr0_64);

	assert_int_equal(protected_write(g, code, CR0_PE | CR0_WP), 0x80);
	assert_int_equal(g->regs.rbx, CR0_PE | CR0_WP | CR0_ET);
	assert_int_equal(protected_write(g, code, CR0_PG), VEC_GP);
	assert_int_equal(protected_write(g, code, CR0_PE | CR0_NW), VEC_GP);
	assert_int_equal(long_write(g, code64, BIT64(32) | CR0_PE | CR0_PG), VEC_GP);
	assert_int_equal(long_write(g, code64, CR0_PE), VEC_GP); /* paging off in 64-bit mode */
	assert_int_equal(long_write(g, code64, CR0_PE | CR0_PG | CR0_CD), 0x80);
}

static void cr4_refuses_unknown_bits_and_lost_pae(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, write_cr4), code64 = LOAD(g, write_cr4_64);

	assert_int_equal(protected_write(g, code, CR4_PSE | CR4_PGE), 0x80);
	assert_int_equal(g->regs.rbx, CR4_PSE | CR4_PGE);
	assert_int_equal(protected_write(g, code, BIT(31)), VEC_GP);
	assert_int_equal(protected_write(g, code, CR4_LA57), VEC_GP);
	assert_int_equal(protected_write(g, code, CR4_PCIDE), VEC_GP); /* long mode only */
	assert_int_equal(long_write(g, code64, CR4_PGE), VEC_GP);
	assert_int_equal(long_write(g, code64, CR4_PAE | CR4_PGE), 0x80);
	assert_int_equal(long_write(g, code64, CR4_PAE | BIT64(40)), VEC_GP);
}

static void cr3_refuses_bits_above_the_address_width(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, write_cr3_64);

	assert_int_equal(long_write(g, code, AT_PML4), 0x80);
	assert_int_equal(long_write(g, code, AT_PML4 | BIT64(62)), VEC_GP);
	assert_int_equal(long_write(g, code, AT_PML4 | CR3_NOFLUSH), VEC_GP);
}

static void cr8_has_four_bits(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, write_cr8_64);

	assert_int_equal(long_write(g, code, 9), 0x80);
	assert_int_equal(g->regs.rbx, 9);
	assert_int_equal(long_write(g, code, 16), VEC_GP);
}

/* EFER.LME is set; AX says whether CR4.PAE is too. Then paging is switched on. */
GUEST_CODE(enter_long, ".code32\n movl %eax, %cr4\n movl $0x20000, %eax\n movl %eax, %cr3\n"
		       "movl $0xc0000080, %ecx\n movl $0x100, %eax\n xorl %edx, %edx\n wrmsr\n"
		       "movl $0x80000011, %eax\n movl %eax, %cr0\n"
		       "movl $0xc0000080, %ecx\n rdmsr\n movl %eax, %ebx\n"
		       "ljmpl $0x08, $0x10400\n");
GUEST_CODE(in_long, ".code64\n movq $0x123456789abc, %rdx\n" REPORT(0x91));

static void start_enter_long(struct sys_guest *g, uint32_t cr4)
{
	LOAD_AT(g, AT_CODE, enter_long);
	LOAD_AT(g, AT_CODE + 0x400, in_long);
	/* Builds the page tables too; then back to protected mode. */
	sys_guest_long(g, AT_CODE, 0, 0);
	engine_vcpu_get_sregs(g->vcpu, &g->sregs);
	g->sregs.cr0 &= ~(uint64_t)CR0_PG;
	g->sregs.efer = 0;
	g->sregs.cr4 = 0;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	sys_guest_protected(g, AT_CODE, 0, 0);
	set_reg(g, cr4, 0, 0);
}

static void long_mode_needs_pae(void **state)
{
	struct sys_guest *g = *state;

	start_enter_long(g, CR4_PAE);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, EFER_LME | EFER_LMA);
	assert_int_equal(g->regs.rdx, 0x123456789abc);
	assert_true(g->sregs.efer & EFER_LMA);

	start_enter_long(g, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_false(g->sregs.cr0 & CR0_PG);
	assert_false(g->sregs.efer & EFER_LMA);
}

GUEST_CODE(do_lmsw, ".code32\n lmsw %ax\n smsw %ebx\n int $0x80\n");

static void lmsw_cannot_leave_protected_mode(void **state)
{
	struct sys_guest *g = *state;

	assert_int_equal(protected_write(g, LOAD(g, do_lmsw), CR0_TS), 0x80);
	assert_true(g->regs.rbx & CR0_PE);
	assert_true(g->regs.rbx & CR0_TS);
}

/* ---- privilege ---- */

GUEST_CODE(p_hlt, ".code64\n hlt\n");
GUEST_CODE(p_cr0, ".code64\n movq %cr0, %rax\n");
GUEST_CODE(p_wrmsr, ".code64\n wrmsr\n");
GUEST_CODE(p_lgdt, ".code64\n lgdt (%rsp)\n");
GUEST_CODE(p_invlpg, ".code64\n invlpg (%rsp)\n");
GUEST_CODE(p_cli, ".code64\n cli\n");
GUEST_CODE(p_swapgs, ".code64\n swapgs\n");
GUEST_CODE(p_clts, ".code64\n clts\n");
GUEST_CODE(p_dr, ".code64\n movq %dr0, %rax\n");
GUEST_CODE(p_wbinvd, ".code64\n wbinvd\n");
GUEST_CODE(p_sysret, ".code64\n sysretq\n");
GUEST_CODE(p_ltr, ".code64\n ltr %ax\n");

static void system_instructions_need_cpl0(void **state)
{
	struct sys_guest *g = *state;
	const uint64_t codes[] = {
		LOAD(g, p_hlt),	   LOAD(g, p_cr0),    LOAD(g, p_wrmsr),	 LOAD(g, p_lgdt),
		LOAD(g, p_invlpg), LOAD(g, p_cli),    LOAD(g, p_swapgs), LOAD(g, p_clts),
		LOAD(g, p_dr),	   LOAD(g, p_wbinvd), LOAD(g, p_sysret), LOAD(g, p_ltr),
	};

	for (unsigned k = 0; k < ARRAY_SIZE(codes); k++) {
		sys_guest_long(g, codes[k], 3, 0);
		assert_int_equal(sys_guest_run(g), VEC_GP);
		assert_int_equal(get64(g, AT_STACK - 48), 0);
		assert_int_equal(get64(g, AT_STACK - 40), codes[k]);
	}
}

GUEST_CODE(u_sgdt, ".code64\n sgdt -16(%rsp)\n int $0x80\n");
GUEST_CODE(u_smsw, ".code64\n smsw %eax\n int $0x80\n");
GUEST_CODE(u_str, ".code64\n str %eax\n int $0x80\n");

static void umip_hides_tables_from_users(void **state)
{
	struct sys_guest *g = *state;
	const uint64_t codes[] = {LOAD(g, u_sgdt), LOAD(g, u_smsw), LOAD(g, u_str)};

	for (unsigned k = 0; k < ARRAY_SIZE(codes); k++) {
		sys_guest_long(g, codes[k], 3, 0);
		put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
		assert_int_equal(sys_guest_run(g), 0x80);
		sys_guest_long(g, codes[k], 3, 0);
		g->sregs.cr4 |= CR4_UMIP;
		assert_int_equal(engine_vcpu_set_sregs(g->vcpu, &g->sregs), 0);
		assert_int_equal(sys_guest_run(g), VEC_GP);
	}
	assert_int_equal(get16(g, AT_USER_STACK - 16), GDT_SIZE - 1);
	assert_int_equal(get64(g, AT_USER_STACK - 14), AT_GDT);
}

GUEST_CODE(t_rdtsc, ".code64\n rdtsc\n int $0x80\n");

static void tsd_keeps_the_tsc_from_users(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, t_rdtsc);

	sys_guest_long(g, code, 3, 0);
	g->sregs.cr4 |= CR4_TSD;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

/* ---- MSRs ---- */

GUEST_CODE(do_wrmsr, ".code64\n wrmsr\n rdmsr\n movl %eax, %esi\n movl %edx, %edi\n int $0x80\n");
GUEST_CODE(do_rdmsr, ".code64\n rdmsr\n movl %eax, %esi\n movl %edx, %edi\n int $0x80\n");

static unsigned guest_wrmsr(struct sys_guest *g, uint32_t index, uint64_t value)
{
	LOAD_AT(g, AT_CODE, do_wrmsr);
	sys_guest_long(g, AT_CODE, 0, 0);
	set_reg(g, (uint32_t)value, index, value >> 32);
	return sys_guest_run(g);
}

static unsigned guest_rdmsr(struct sys_guest *g, uint32_t index, uint64_t *value)
{
	unsigned result;

	LOAD_AT(g, AT_CODE, do_rdmsr);
	sys_guest_long(g, AT_CODE, 0, 0);
	set_reg(g, 0, index, 0);
	result = sys_guest_run(g);
	*value = (uint32_t)g->regs.rsi | g->regs.rdi << 32;
	return result;
}

static void msr_writes_are_checked(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
		unsigned result;
	} cases[] = {
		{MSR_LSTAR, 0xffff800000000000, 0x80},
		{MSR_LSTAR, 0x0000800000000000, VEC_GP},
		{MSR_CSTAR, 0x8000000000000000, VEC_GP},
		{MSR_KERNEL_GS_BASE, 0x0000800000000000, VEC_GP},
		{MSR_FS_BASE, 0x00007fffffffffff, 0x80},
		{MSR_FS_BASE, 0x0000800000000000, VEC_GP},
		{MSR_IA32_SYSENTER_EIP, 0x0000800000000000, VEC_GP},
		{MSR_IA32_PAT, 0x0007040600070406, 0x80},
		{MSR_IA32_PAT, 0x0007040600070402, VEC_GP},
		{MSR_IA32_PAT, 0x0807040600070406, VEC_GP},
		{MSR_IA32_MTRR_DEF_TYPE, 0xc06, 0x80},
		{MSR_IA32_MTRR_DEF_TYPE, 0xc02, VEC_GP},
		{MSR_IA32_MTRR_DEF_TYPE, 0x1c06, VEC_GP},
		{MSR_IA32_MTRR_PHYSBASE0, 0x80000006, 0x80},
		{MSR_IA32_MTRR_PHYSBASE0, 0x80000002, VEC_GP},
		{MSR_IA32_MTRR_PHYSBASE0 + 1, 0x80000800, 0x80},
		{MSR_IA32_MTRR_PHYSBASE0 + 1, 0x80000400, VEC_GP},
		{MSR_IA32_MTRR_PHYSBASE0 + 1, BIT64(60), VEC_GP},
		{MSR_IA32_MTRR_FIX64K, 0x0606060606060606, 0x80},
		{MSR_IA32_MTRR_FIX64K, 0x0606060606060607, VEC_GP},
		{MSR_IA32_MTRRCAP, 0, VEC_GP},
		{MSR_IA32_MC0_CTL, ~0ull, 0x80},
		{MSR_IA32_MC0_CTL, 1, VEC_GP},
		{MSR_IA32_MC0_CTL + 1, 0, 0x80},
		{MSR_IA32_MC0_CTL + 1, 1, VEC_GP},
		{MSR_IA32_FEATURE_CONTROL, 0, VEC_GP},
		{MSR_TSC_AUX, BIT64(32), VEC_GP},
		{MSR_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE, 0x80},
		{MSR_EFER, EFER_SCE | EFER_NXE, VEC_GP}, /* LME with paging on */
		{MSR_EFER, EFER_SVME | EFER_LME | EFER_LMA, VEC_GP},
		{MSR_IA32_MC0_CTL + 2, 1, 0x80},
		{MSR_IA32_APICBASE, 0xfee00900, 0x80},
		{MSR_IA32_APICBASE, 0xfee00900 | BIT64(60), VEC_GP},
		{0x12345678, 0, VEC_GP},
		{0x4b564d02, 1, VEC_GP}, /* KVM's async page faults are not offered */
	};
	struct sys_guest *g = *state;

	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		assert_int_equal(guest_wrmsr(g, cases[k].index, cases[k].value), cases[k].result);
		if (cases[k].result == 0x80)
			assert_int_equal((uint32_t)g->regs.rsi | g->regs.rdi << 32, cases[k].value);
	}
}

static void msr_constants(void **state)
{
	struct sys_guest *g = *state;
	uint64_t v;

	assert_int_equal(guest_rdmsr(g, MSR_IA32_MTRRCAP, &v), 0x80);
	assert_int_equal(v, 0x508);
	assert_int_equal(guest_rdmsr(g, MSR_IA32_FEATURE_CONTROL, &v), 0x80);
	assert_int_equal(v, 1);
	assert_int_equal(guest_rdmsr(g, MSR_IA32_APICBASE, &v), 0x80);
	assert_int_equal(v, 0xfee00900);
	assert_int_equal(guest_rdmsr(g, 0x12345678, &v), VEC_GP);
}

static void tsc_write_moves_the_tsc_and_its_adjustment(void **state)
{
	struct sys_guest *g = *state;
	uint64_t before, after;

	assert_int_equal(guest_rdmsr(g, MSR_IA32_TSC_ADJUST, &before), 0x80);
	assert_int_equal(guest_wrmsr(g, MSR_IA32_TSC, 0x1000000000000), 0x80);
	assert_int_equal(g->regs.rdi >> 16, 1);
	assert_int_equal(guest_rdmsr(g, MSR_IA32_TSC_ADJUST, &after), 0x80);
	assert_true(after - before > 0xff0000000000 && after - before <= 0x1000000000000);
	/* Taking the adjustment back puts the TSC where it was. */
	assert_int_equal(guest_wrmsr(g, MSR_IA32_TSC_ADJUST, before), 0x80);
	assert_int_equal(guest_rdmsr(g, MSR_IA32_TSC, &after), 0x80);
	assert_true(after < 0x10000000000);
}

static void host_msr_list_can_be_read_and_written_back(void **state)
{
	struct sys_guest *g = *state;

	for (unsigned k = 0; k < nr_msr_saved; k++) {
		struct kvm_msr_entry e = {.index = msr_saved_list[k]};

		assert_int_equal(engine_vcpu_get_msrs(g->vcpu, &e, 1), 1);
		assert_int_equal(engine_vcpu_set_msrs(g->vcpu, &e, 1), 1);
	}
}

/* ---- debug ---- */

GUEST_CODE(single_step, ".code64\n pushfq\n orq $0x100, (%rsp)\n popfq\n nop\n nop\n hlt\n");

static void single_step_traps_after_the_next_instruction(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_debugregs dr;

	sys_guest_long(g, LOAD(g, single_step), 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	/* After the NOP that follows POPF. */
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 11);
	engine_vcpu_get_debugregs(g->vcpu, &dr);
	assert_true(dr.dr6 & DR6_BS);
	assert_false(g->regs.rflags & FLAG_TF);
}

GUEST_CODE(break_code, ".code64\n movq %rax, %dr0\n movq %rcx, %dr7\n nop\n nop\n int $0x80\n");

static void instruction_breakpoint_is_a_fault(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_debugregs dr;

	sys_guest_long(g, LOAD(g, break_code), 0, 0);
	set_reg(g, AT_CODE + 7, 0x401, 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 7);
	engine_vcpu_get_debugregs(g->vcpu, &dr);
	assert_int_equal(dr.dr6 & 0xf, 1);
	assert_false(dr.dr6 & DR6_BS);
}

GUEST_CODE(resume, ".code64\n movq $0xb000, %rsp\n iretq\n");

static void rf_passes_an_instruction_breakpoint(void **state)
{
	const uint64_t frame[] = {AT_CODE + 0x400 + 7, KERNEL_CS64, FLAG_RF | FLAG_FIXED, AT_IST,
				  KERNEL_DS};
	struct sys_guest *g = *state;
	struct kvm_debugregs dr = {.db = {AT_CODE + 0x400 + 7}, .dr6 = DR6_FIXED, .dr7 = 0x401};

	LOAD(g, resume);
	LOAD(g, break_code);
	sys_guest_long(g, AT_CODE, 0, 0);
	memcpy(g->ram + AT_DATA, frame, sizeof(frame));
	assert_int_equal(engine_vcpu_set_debugregs(g->vcpu, &dr), 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	/* RF was used up by the first NOP. */
	assert_false(get64(g, AT_IST - 24) & FLAG_RF);
}

GUEST_CODE(watch, ".code64\n movq %rax, %dr0\n movq %rcx, %dr7\n movb %al, 0xb002\n nop\n hlt\n");

static void data_breakpoint_is_a_trap(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_debugregs dr;

	sys_guest_long(g, LOAD(g, watch), 0, 0);
	/* Four bytes at AT_DATA, writes. */
	set_reg(g, AT_DATA, 0x401 | 0xd0000, 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 13);
	engine_vcpu_get_debugregs(g->vcpu, &dr);
	assert_int_equal(dr.dr6 & 0xf, 1);
}

GUEST_CODE(watch_ss_int1, ".code64\n movq %rax, %dr0\n movq %rcx, %dr7\n movw 0xb000, %ss\n"
			  ".byte 0xf1\n nop\n hlt\n");

static void watchpoint_of_mov_ss_joins_int1(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_debugregs dr;

	sys_guest_long(g, LOAD(g, watch_ss_int1), 0, 0);
	put16(g, AT_DATA, KERNEL_DS);
	/* Two bytes at AT_DATA, reads and writes. */
	set_reg(g, AT_DATA, 0x401 | 0x70000, 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 14);
	engine_vcpu_get_debugregs(g->vcpu, &dr);
	assert_int_equal(dr.dr6 & 0xf, 1);
	/* The handler runs its own instructions: no second trap waits. */
	assert_int_equal(g->regs.rip, handler_of(VEC_DB) + 4);
}

GUEST_CODE(break_ss, ".code64\n movq %rax, %dr0\n movq %rcx, %dr7\n movw %dx, %ss\n nop\n nop\n"
		     "int $0x80\n");

/* On Intel's CPUs; on AMD's it is. */
static void instruction_after_mov_ss_is_not_broken_on(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, break_ss), 0, 0);
	set_reg(g, AT_CODE + 8, 0x401, KERNEL_DS);
	assert_int_equal(sys_guest_run(g), g->is_amd ? VEC_DB : 0x80);
}

GUEST_CODE(step_hlt, ".code64\n pushfq\n orq $0x100, (%rsp)\n popfq\n hlt\n nop\n");

static void single_stepped_hlt_traps(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, step_hlt), 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 11);
}

GUEST_CODE(general_detect, ".code64\n movq %dr1, %rax\n hlt\n");

static void general_detect_faults_and_clears_gd(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_debugregs dr = {.dr6 = DR6_FIXED, .dr7 = DR7_FIXED | DR7_GD};

	sys_guest_long(g, LOAD(g, general_detect), 0, 0);
	assert_int_equal(engine_vcpu_set_debugregs(g->vcpu, &dr), 0);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE);
	engine_vcpu_get_debugregs(g->vcpu, &dr);
	assert_true(dr.dr6 & DR6_BD);
	assert_false(dr.dr7 & DR7_GD);
}

GUEST_CODE(read_dr4, ".code64\n movq %dr4, %rbx\n int $0x80\n");

static void dr4_is_dr6_unless_de(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, read_dr4);

	sys_guest_long(g, code, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rbx, DR6_FIXED);
	sys_guest_long(g, code, 0, 0);
	g->sregs.cr4 |= CR4_DE;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_UD);
}

/* ---- ports ---- */

GUEST_CODE(do_in, ".code32\n inw %dx, %ax\n movl %eax, %ebx\n int $0x80\n");
GUEST_CODE(do_rep_ins, ".code32\n cld\n rep insb\n int $0x80\n");

static void start_port(struct sys_guest *g, uint64_t code, uint16_t port)
{
	sys_guest_protected(g, code, 3, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	put16(g, AT_TSS + 0x66, 0x68);
	memset(g->ram + AT_TSS + 0x68, 0, 0x1000);
	set_reg(g, 0, 0, port);
	g->in_value = 0x1234abcd;
}

static void io_bitmap_decides(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, do_in);

	start_port(g, code, 0x40);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rbx, 0xabcd);

	/* The second byte of the word is denied. */
	start_port(g, code, 0x47);
	g->ram[AT_TSS + 0x68 + 0x48 / 8] = 1;
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), 0);

	/* The bitmap's two bytes must lie inside the limit. */
	start_port(g, code, (0x13ff - 0x68) * 8);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	start_port(g, code, (0x13fe - 0x68) * 8);
	assert_int_equal(sys_guest_run(g), 0x80);
}

static void rep_ins_fills_memory(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_regs regs;

	sys_guest_protected(g, LOAD(g, do_rep_ins), 0, 0);
	g->in_value = 0x5a;
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rdx = 0x40;
	regs.rcx = 5;
	regs.rdi = AT_DATA;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rcx, 0);
	assert_int_equal(g->regs.rdi, AT_DATA + 5);
	assert_int_equal(get_u32(g, AT_DATA + 2), 0x005a5a5a);
}

/* ---- interrupt shadow ---- */

GUEST_CODE(sti_shadow, ".code64\n sti\n incl %ebx\n incl %ebx\n 1: jmp 1b\n");

static void sti_lets_one_instruction_pass(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, sti_shadow), 0, 0);
	g->run->request_interrupt_window = 1;
	assert_int_equal(sys_guest_run(g), RAN_OTHER + KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(g->regs.rip, AT_CODE + 3);
	assert_int_equal(g->regs.rbx, 1);
}

/* ---- identity ---- */

GUEST_CODE(do_cpuid, ".code64\n cpuid\n movl %eax, %esi\n movl %ecx, %edi\n int $0x80\n");

static void cpuid_osxsave_follows_cr4(void **state)
{
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, do_cpuid);

	sys_guest_long(g, code, 0, 0);
	set_reg(g, 1, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_false(g->regs.rdi & BIT(27));
	sys_guest_long(g, code, 0, 0);
	g->sregs.cr4 |= CR4_OSXSAVE;
	assert_int_equal(engine_vcpu_set_sregs(g->vcpu, &g->sregs), 0);
	set_reg(g, 1, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_true(g->regs.rdi & BIT(27));
}

GUEST_CODE(do_xsetbv, ".code64\n xorl %ecx, %ecx\n xorl %edx, %edx\n xsetbv\n xgetbv\n"
		      "movl %eax, %ebx\n int $0x80\n");

static void xsetbv_checks_components(void **state)
{
	static const struct {
		uint64_t value;
		unsigned result;
	} cases[] = {
		{XCR0_X87 | XCR0_SSE, 0x80},
		{XCR0_SSE, VEC_GP},
		{XCR0_X87 | XCR0_AVX, VEC_GP},
		{XCR0_X87 | BIT(31), VEC_GP},
	};
	struct sys_guest *g = *state;
	uint64_t code = LOAD(g, do_xsetbv);

	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		sys_guest_long(g, code, 0, 0);
		g->sregs.cr4 |= CR4_OSXSAVE;
		assert_int_equal(engine_vcpu_set_sregs(g->vcpu, &g->sregs), 0);
		set_reg(g, cases[k].value, 0, 0);
		assert_int_equal(sys_guest_run(g), cases[k].result);
		if (cases[k].result == 0x80)
			assert_int_equal(g->regs.rbx, cases[k].value);
	}
	sys_guest_long(g, code, 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_UD);
}

/* ---- translations that change under translated code ---- */

/*
 * The page at 0x100000 is AT_DATA and the page behind it in turn, which hold 1 and 2; the one at
 * 0x101000 stays. Each is loaded more than once, so that translated code notes where it is. R12: what loads
 * got wrong.
 */
#define REMAP(flush)                                                                \
	".code64\n movl $2000, %ebp\n movl $2, %ebx\n xorl %r12d, %r12d\n"          \
	"movl $0x100000, %esi\n movl $0x101000, %edi\n"                             \
	"1: xorq $0x7000, 0x23800\n" flush                                          \
	"movl $3, %ecx\n 2: movq (%rsi), %rax\n xorq %rbx, %rax\n orq %rax, %r12\n" \
	"movq (%rdi), %rax\n xorq $3, %rax\n orq %rax, %r12\n decl %ecx\n jnz 2b\n" \
	"xorl $3, %ebx\n decl %ebp\n jnz 1b\n int $0x80\n"
GUEST_CODE(remap_invlpg, REMAP("invlpg 0x100000\n"));
GUEST_CODE(remap_cr3, REMAP("movq %cr3, %rax\n movq %rax, %cr3\n"));

static void assert_remaps(struct sys_guest *g, uint64_t code)
{
	sys_guest_long(g, code, 0, 0);
	put64(g, AT_DATA, 1);
	put64(g, AT_DATA + 0x1000, 2);
	put64(g, AT_DATA + 0x2000, 3);
	put64(g, AT_PT + 0x100 * 8, AT_DATA | PTE_P | PTE_W);
	put64(g, AT_PT + 0x101 * 8, (AT_DATA + 0x2000) | PTE_P | PTE_W | PTE_G);
	g->sregs.cr4 |= CR4_PGE;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.r12, 0);
	assert_int_equal(g->regs.rbp, 0);
}

static void invlpg_is_seen_by_translated_loads(void **state)
{
	struct sys_guest *g = *state;

	assert_remaps(g, LOAD(g, remap_invlpg));
}

static void cr3_is_seen_by_translated_loads(void **state)
{
	struct sys_guest *g = *state;

	assert_remaps(g, LOAD(g, remap_cr3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sys_test(cr0_refuses_impossible_values),
		sys_test(cr4_refuses_unknown_bits_and_lost_pae),
		sys_test(cr3_refuses_bits_above_the_address_width),
		sys_test(cr8_has_four_bits),
		sys_test(long_mode_needs_pae),
		sys_test(lmsw_cannot_leave_protected_mode),
		sys_test(system_instructions_need_cpl0),
		sys_test(umip_hides_tables_from_users),
		sys_test(tsd_keeps_the_tsc_from_users),
		sys_test(msr_writes_are_checked),
		sys_test(msr_constants),
		sys_test(tsc_write_moves_the_tsc_and_its_adjustment),
		sys_test(host_msr_list_can_be_read_and_written_back),
		sys_test(single_step_traps_after_the_next_instruction),
		sys_test(instruction_breakpoint_is_a_fault),
		sys_test(rf_passes_an_instruction_breakpoint),
		sys_test(data_breakpoint_is_a_trap),
		sys_test(watchpoint_of_mov_ss_joins_int1),
		sys_test(instruction_after_mov_ss_is_not_broken_on),
		sys_test(single_stepped_hlt_traps),
		sys_test(general_detect_faults_and_clears_gd),
		sys_test(dr4_is_dr6_unless_de),
		sys_test(io_bitmap_decides),
		sys_test(rep_ins_fills_memory),
		sys_test(sti_lets_one_instruction_pass),
		sys_test(cpuid_osxsave_follows_cr4),
		sys_test(xsetbv_checks_components),
		sys_test(invlpg_is_seen_by_translated_loads),
		sys_test(cr3_is_seen_by_translated_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
