/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delivery of exceptions, interrupts and software interrupts, and IRET: frames, error codes, stacks
 * and flags in each mode, and what becomes of faults on the way (SDM vol. 3, chapter 6).
 */
#include "sys_guest.h"

/* ---- real mode ---- */

GUEST_CODE(real_int, ".code16\n int $0x40\n");
GUEST_CODE(real_div, ".code16\n nop\n xorw %cx, %cx\n divw %cx\n");
GUEST_CODE(real_iret, ".code16\n pushw $0x0a02\n pushw $0x1000\n pushw $0x10\n iretw\n");
GUEST_CODE(real_report, ".code16\n pushfw\n popw %bx\n" REPORT(0x91));

static void real_interrupt_pushes_three_words(void **state)
{
	struct sys_guest *g = *state;

	LOAD_AT(g, 0x7000, real_int);
	sys_guest_real(g, 0x7000, FLAG_IF | FLAG_CF);
	assert_int_equal(sys_guest_run(g), 0x40);
	assert_int_equal(g->regs.rsp, AT_STACK - 6);
	assert_int_equal(get16(g, AT_STACK - 6), 0x7002);
	assert_int_equal(get16(g, AT_STACK - 4), 0);
	assert_int_equal(get16(g, AT_STACK - 2), FLAG_IF | FLAG_CF | FLAG_FIXED);
	assert_int_equal(g->regs.rflags & (FLAG_IF | FLAG_TF), 0);
}

static void real_fault_returns_to_the_instruction(void **state)
{
	struct sys_guest *g = *state;

	LOAD_AT(g, 0x7000, real_div);
	sys_guest_real(g, 0x7000, 0);
	assert_int_equal(sys_guest_run(g), VEC_DE);
	assert_int_equal(get16(g, AT_STACK - 6), 0x7003);
}

static void real_iret_loads_ip_cs_flags(void **state)
{
	struct sys_guest *g = *state;

	LOAD_AT(g, 0x7000, real_iret);
	LOAD_AT(g, 0x10010, real_report);
	sys_guest_real(g, 0x7000, 0);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx & 0xffff, 0x0a02);
	assert_int_equal(g->sregs.cs.base, 0x10000);
	assert_int_equal(g->regs.rsp, AT_STACK);
}

static void real_vector_past_idt_limit_is_a_fault(void **state)
{
	struct sys_guest *g = *state;

	LOAD_AT(g, 0x7000, real_int);
	sys_guest_real(g, 0x7000, 0);
	engine_vcpu_get_sregs(g->vcpu, &g->sregs);
	g->sregs.idt.limit = 0x40 * 4 + 2;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get16(g, AT_STACK - 6), 0x7000);
}

/* ---- protected mode ---- */

GUEST_CODE(int80, ".code32\n int $0x80\n");
GUEST_CODE(ud2, ".code32\n ud2\n");
GUEST_CODE(int3, ".code32\n int3\n");
GUEST_CODE(load_bad, ".code32\n movw $0x1234, %ax\n movw %ax, %ds\n");
GUEST_CODE(spin, ".code32\n 1: jmp 1b\n");

static void interrupt_gate_clears_if(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 0, FLAG_IF);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, AT_STACK - 12);
	assert_int_equal(get_u32(g, AT_STACK - 12), AT_CODE + 2);
	assert_int_equal(get_u32(g, AT_STACK - 8), KERNEL_CS32);
	assert_int_equal(get_u32(g, AT_STACK - 4), FLAG_IF | FLAG_FIXED);
	assert_false(g->regs.rflags & FLAG_IF);
}

static void trap_gate_keeps_if(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 0, FLAG_IF);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0x8f, 0, false);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_true(g->regs.rflags & FLAG_IF);
}

static void gate_16_pushes_words(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 0, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0x86, 0, false);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, AT_STACK - 6);
	assert_int_equal(get16(g, AT_STACK - 4), KERNEL_CS32);
}

static void inner_level_switches_stacks(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, ud2), 3, FLAG_IF);
	assert_int_equal(sys_guest_run(g), VEC_UD);
	assert_int_equal(g->regs.rsp, AT_STACK - 20);
	assert_int_equal(get_u32(g, AT_STACK - 20), AT_CODE);
	assert_int_equal(get_u32(g, AT_STACK - 16), USER_CS32);
	/* A fault: RF is set in the pushed flags. */
	assert_int_equal(get_u32(g, AT_STACK - 12), FLAG_IF | FLAG_FIXED | FLAG_RF);
	assert_int_equal(get_u32(g, AT_STACK - 8), AT_USER_STACK);
	assert_int_equal(get_u32(g, AT_STACK - 4), USER_DS);
	assert_int_equal(g->sregs.ss.selector, KERNEL_DS);
	assert_int_equal(g->sregs.cs.selector, KERNEL_CS32);
	assert_int_equal(g->sregs.ds.selector, USER_DS);
}

static void selector_is_the_error_code(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, load_bad), 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0x1234 & ~3);
}

static void int_n_needs_gate_dpl(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 3, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), 0x80 * 8 + 2);
	assert_int_equal(get_u32(g, AT_STACK - 20), AT_CODE);
}

static void int_n_through_dpl3_gate(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 3, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	assert_int_equal(sys_guest_run(g), 0x80);
	/* No fault: RF stays clear. */
	assert_int_equal(get_u32(g, AT_STACK - 12), FLAG_FIXED);
}

static void int3_checks_the_gate_too(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int3), 3, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), VEC_BP * 8 + 2);
}

static void absent_gate_names_its_vector(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, int80), 0, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0x0e, 0, false);
	assert_int_equal(sys_guest_run(g), VEC_NP);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0x80 * 8 + 2);
}

static void fault_on_an_exception_has_ext(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, ud2), 0, 0);
	put_gate(g, VEC_UD, KERNEL_CS32, handler_of(VEC_UD), 0x0e, 0, false);
	assert_int_equal(sys_guest_run(g), VEC_NP);
	assert_int_equal(get_u32(g, AT_STACK - 16), VEC_UD * 8 + 3);
}

static void fault_on_nmi_has_ext(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, spin), 0, 0);
	put_gate(g, VEC_NMI, SEL_ABSENT, handler_of(VEC_NMI), 0x8e, 0, false);
	engine_vcpu_nmi(g->vcpu);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 16), SEL_ABSENT + 1);
}

static void nmi_is_delivered_and_masked(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_vcpu_events ev;

	sys_guest_protected(g, LOAD(g, spin), 0, 0);
	engine_vcpu_nmi(g->vcpu);
	assert_int_equal(sys_guest_run(g), VEC_NMI);
	assert_int_equal(engine_vcpu_get_events(g->vcpu, &ev), 0);
	assert_true(ev.nmi.masked);
}

static void two_contributory_faults_are_a_double_fault(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, load_bad), 0, 0);
	put_gate(g, VEC_GP, KERNEL_CS32, handler_of(VEC_GP), 0x0e, 0, false);
	assert_int_equal(sys_guest_run(g), VEC_DF);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0);
	assert_int_equal(get_u32(g, AT_STACK - 12), AT_CODE + 4);
}

static void fault_on_double_fault_shuts_down(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, load_bad), 0, 0);
	put_gate(g, VEC_GP, KERNEL_CS32, handler_of(VEC_GP), 0x0e, 0, false);
	put_gate(g, VEC_DF, KERNEL_CS32, handler_of(VEC_DF), 0x0e, 0, false);
	assert_int_equal(sys_guest_run(g), RAN_SHUTDOWN);
}

static void bad_inner_stack_is_ts(void **state)
{
	struct sys_guest *g = *state;

	/* The handler of #TS is conforming, so that it needs no inner stack; IOPL 3 lets it report.
	 */
	sys_guest_protected(g, LOAD(g, int80), 3, FLAG_IOPL);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	put_gate(g, VEC_TS, SEL_CONFORMING, handler_of(VEC_TS), 0x8e, 0, false);
	put16(g, AT_TSS + 8, SEL_READ_ONLY);
	assert_int_equal(sys_guest_run(g), VEC_TS);
	assert_int_equal(g->sregs.cs.selector & 3, 3);
	assert_int_equal(get_u32(g, AT_USER_STACK - 16), SEL_READ_ONLY);
	assert_int_equal(get_u32(g, AT_USER_STACK - 12), AT_CODE);
}

/* ---- IRET in protected mode ---- */

GUEST_CODE(iret_user, ".code32\n"
		      "pushl $0x2b\n pushl $0xa000\n pushl $0x202\n pushl $0x23\n"
		      "pushl $0x10400\n iretl\n");
GUEST_CODE(user_report, ".code32\n movw %ds, %bx\n movw %ss, %cx\n int $0x80\n");
GUEST_CODE(iret_same, ".code32\n pushl $0x3202\n pushl $0x18\n pushl $0x10400\n iretl\n");
GUEST_CODE(flags_report, ".code32\n pushfl\n popl %ebx\n" REPORT(0x91));

static void iret_to_outer_level_drops_inner_segments(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iret_user);
	LOAD(g, user_report);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rbx & 0xffff, 0);
	assert_int_equal(g->regs.rcx & 0xffff, USER_DS);
	assert_int_equal(get_u32(g, AT_STACK - 8), 0xa000);
}

static void iret_same_level_loads_iopl(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iret_same);
	LOAD(g, flags_report);
	sys_guest_protected(g, AT_CODE, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, 0x3202);
	assert_int_equal(g->regs.rsp, AT_STACK);
}

GUEST_CODE(iret_bad_cs, ".code32\n pushl $2\n pushl $0x10\n pushl $0x10400\n iretl\n");

static void iret_to_data_segment_faults_without_change(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_protected(g, LOAD(g, iret_bad_cs), 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	/* Error code, then EIP of the IRET itself, below the three pushed words. */
	assert_int_equal(g->regs.rsp, AT_STACK - 12 - 16);
	assert_int_equal(get_u32(g, g->regs.rsp), KERNEL_DS);
	assert_int_equal(g->ram[get_u32(g, g->regs.rsp + 4)], 0xcf);
}

/* ---- virtual-8086 mode ---- */

GUEST_CODE(enter_vm86, ".code32\n"
		       "pushl $0x1111\n pushl $0x2222\n pushl $0x3333\n pushl $0x4444\n"
		       "pushl $0x0900\n pushl $0x1000\n pushl %eax\n pushl $0x1000\n"
		       "pushl $0x400\n iretl\n");
GUEST_CODE(vm86_int, ".code16\n int $0x80\n");
GUEST_CODE(vm86_cli, ".code16\n cli\n pushfw\n popw %bx\n sti\n ud2\n");
GUEST_CODE(vm86_load, ".code16\n movw $0xb00, %ax\n movw %ax, %ds\n movw 0x10, %bx\n ud2\n");

static void start_vm86(struct sys_guest *g, uint32_t flags)
{
	struct kvm_regs regs;

	sys_guest_protected(g, AT_CODE, 0, 0);
	assert_int_equal(engine_vcpu_get_regs(g->vcpu, &regs), 0);
	regs.rax = flags | FLAG_VM | FLAG_FIXED;
	engine_vcpu_set_regs(g->vcpu, &regs);
}

static void vm86_interrupt_pushes_segments(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_int);
	start_vm86(g, FLAG_IOPL | FLAG_IF);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, AT_STACK - 36);
	assert_int_equal(get_u32(g, AT_STACK - 36), 0x402);
	assert_int_equal(get_u32(g, AT_STACK - 32), 0x1000);
	assert_int_equal(get_u32(g, AT_STACK - 28), FLAG_VM | FLAG_IOPL | FLAG_IF | FLAG_FIXED);
	assert_int_equal(get_u32(g, AT_STACK - 24), 0x1000);
	assert_int_equal(get_u32(g, AT_STACK - 20), 0x900);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0x4444);
	assert_int_equal(get_u32(g, AT_STACK - 12), 0x3333);
	assert_int_equal(get_u32(g, AT_STACK - 8), 0x2222);
	assert_int_equal(get_u32(g, AT_STACK - 4), 0x1111);
	assert_int_equal(g->sregs.ds.selector, 0);
	assert_false(g->regs.rflags & FLAG_VM);
}

static void vm86_int_n_without_iopl_faults(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_int);
	start_vm86(g, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 40), 0);
}

static void vm86_handler_must_be_cpl0(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_int);
	start_vm86(g, FLAG_IOPL);
	put_gate(g, 0x80, SEL_CONFORMING, handler_of(0x80), 0xee, 0, false);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 40), SEL_CONFORMING);
}

static void vm86_segments_are_selectors_times_16(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_load);
	start_vm86(g, 0);
	put16(g, AT_DATA + 0x10, 0xbeef);
	assert_int_equal(sys_guest_run(g), VEC_UD);
	assert_int_equal(g->regs.rbx & 0xffff, 0xbeef);
}

static void vme_redirects_to_the_vector_table(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_int);
	start_vm86(g, FLAG_VIF);
	engine_vcpu_get_sregs(g->vcpu, &g->sregs);
	g->sregs.cr4 |= CR4_VME;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	/* Redirection bitmap all clear, below an I/O bitmap that allows everything. */
	put16(g, AT_TSS + 0x66, 0x88);
	put32(g, 0x80 * 4, 0x10000500);
	g->ram[0x10500] = 0xf4; /* HLT: #GP at CPL 3 */
	mem_wrote(g->mem, 0, RAM_SIZE);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 36), 0x500);
	/* On the vm86 stack: IP, CS, and flags with VIF as IF and IOPL 3. */
	assert_int_equal(get16(g, 0xa000 - 6), 0x402);
	assert_int_equal(get16(g, 0xa000 - 2), FLAG_IF | FLAG_IOPL | FLAG_FIXED);
	assert_false(get_u32(g, AT_STACK - 28) & FLAG_VIF);
}

static void vme_cli_and_sti_use_vif(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, enter_vm86);
	LOAD(g, vm86_cli);
	start_vm86(g, FLAG_VIF | FLAG_IF);
	engine_vcpu_get_sregs(g->vcpu, &g->sregs);
	g->sregs.cr4 |= CR4_VME;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_UD);
	assert_false(g->regs.rbx & FLAG_IF);
	assert_true(get_u32(g, AT_STACK - 28) & FLAG_VIF);
	assert_true(get_u32(g, AT_STACK - 28) & FLAG_IF);
}

/* ---- long mode ---- */

GUEST_CODE(long_int80, ".code64\n int $0x80\n");
GUEST_CODE(long_ud, ".code64\n subq $4, %rsp\n ud2\n");
GUEST_CODE(long_touch, ".code64\n movq $0x100000, %rax\n movq %rax, (%rax)\n");
GUEST_CODE(long_noncanonical, ".code64\n movq $0x8000000000000000, %rax\n movb (%rax), %bl\n");

static void long_frame_is_five_quadwords_aligned(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_ud), 0, FLAG_IF);
	assert_int_equal(sys_guest_run(g), VEC_UD);
	assert_int_equal(g->regs.rsp, AT_STACK - 16 - 40);
	assert_int_equal(get64(g, g->regs.rsp), AT_CODE + 4);
	assert_int_equal(get64(g, g->regs.rsp + 8), KERNEL_CS64);
	assert_int_equal(get64(g, g->regs.rsp + 24), AT_STACK - 4);
	assert_int_equal(get64(g, g->regs.rsp + 32), KERNEL_DS);
}

static void long_inner_level_nulls_ss(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_int80), 3, FLAG_IF);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, AT_STACK - 40);
	assert_int_equal(get64(g, AT_STACK - 8), USER_DS);
	assert_int_equal(g->sregs.ss.selector, 0);
	assert_true(g->sregs.ss.unusable);
}

static void long_ist_switches_at_the_same_level(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_int80), 0, 0);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0x8e, 1, true);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, AT_IST - 40);
	assert_int_equal(get64(g, AT_IST - 16), AT_STACK);
}

static void page_fault_sets_cr2_and_error(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_touch), 3, 0);
	put64(g, AT_PT + 0x100 * 8, 0x100000 | PTE_P | PTE_U);
	assert_int_equal(sys_guest_run(g), VEC_PF);
	assert_int_equal(g->sregs.cr2, 0x100000);
	assert_int_equal(get64(g, AT_STACK - 48), PF_PRESENT | PF_WRITE | PF_USER);
}

static void page_fault_during_page_fault_is_double(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_touch), 3, 0);
	put64(g, AT_PT + 0x100 * 8, 0);
	/* CPL 0's stack is gone; the double fault has one of its own. */
	put64(g, AT_PT + (AT_STACK - 8) / 4096 * 8, 0);
	put_gate(g, VEC_DF, KERNEL_CS64, handler_of(VEC_DF), 0x8e, 1, true);
	assert_int_equal(sys_guest_run(g), VEC_DF);
	assert_int_equal(g->sregs.cr2, AT_STACK - 8);
	assert_int_equal(get64(g, AT_IST - 48), 0);
}

static void noncanonical_data_is_gp(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_noncanonical), 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get64(g, AT_STACK - 48), 0);
}

static void noncanonical_handler_is_gp(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_int80), 0, 0);
	put_gate(g, 0x80, KERNEL_CS64, 0x8000000000000000, 0x8e, 0, true);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get64(g, AT_STACK - 48), 0);
}

static void handler_in_32_bit_segment_is_gp(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_int80), 0, 0);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0x8e, 0, true);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get64(g, AT_STACK - 48), KERNEL_CS32);
}

static void empty_long_idt_shuts_down(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, long_int80), 0, 0);
	engine_vcpu_get_sregs(g->vcpu, &g->sregs);
	g->sregs.idt.limit = 0;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), RAN_SHUTDOWN);
}

/* IRETQ with the frame that the host puts at AT_DATA. */
GUEST_CODE(iretq, ".code64\n movq $0xb000, %rsp\n iretq\n");
GUEST_CODE(long_report, ".code64\n movw %ss, %cx\n int $0x80\n");

static void put_iretq_frame(struct sys_guest *g, uint64_t rip, uint64_t cs, uint64_t flags,
			    uint64_t rsp, uint64_t ss)
{
	const uint64_t frame[] = {rip, cs, flags, rsp, ss};

	memcpy(g->ram + AT_DATA, frame, sizeof(frame));
}

static void iretq_to_user(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iretq);
	LOAD(g, long_report);
	sys_guest_long(g, AT_CODE, 0, 0);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	put_iretq_frame(g, AT_CODE + 0x400, USER_CS64, 0x202, 0x9990, USER_DS);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rcx & 0xffff, USER_DS);
	assert_int_equal(get64(g, AT_STACK - 16), 0x9990);
	assert_int_equal(get64(g, AT_STACK - 24), 0x202);
}

static void iretq_to_compatibility_mode(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iretq);
	LOAD(g, user_report);
	sys_guest_long(g, AT_CODE, 0, 0);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	put_iretq_frame(g, AT_CODE + 0x400, USER_CS32, 0x202, 0x9990, USER_DS);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS32);
}

static void iretq_with_null_ss_only_below_cpl3(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iretq);
	LOAD(g, long_report);
	sys_guest_long(g, AT_CODE, 0, 0);
	put_iretq_frame(g, AT_CODE + 0x400, KERNEL_CS64, 0x2, 0x9990, 0);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rsp, 0x9990 - 40);

	sys_guest_long(g, AT_CODE, 0, 0);
	put_iretq_frame(g, AT_CODE + 0x400, USER_CS64, 0x2, 0x9990, 3);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

static void iretq_to_noncanonical_rip_faults_at_cpl0(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, iretq), 0, 0);
	put_iretq_frame(g, 0x800000000000, USER_CS64, 0x2, 0x9990, USER_DS);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(g->sregs.cs.selector, KERNEL_CS64);
	/* On IRETQ's own stack: the frame lies below it, aligned. */
	assert_int_equal(g->regs.rsp, AT_DATA - 48);
}

static void iretq_to_user_keeps_the_base_of_gs(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, iretq);
	LOAD(g, long_report);
	sys_guest_long(g, AT_CODE, 0, 0);
	g->sregs.gs.base = 0x123456789000;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	put_iretq_frame(g, AT_CODE + 0x400, USER_CS64, 0x2, 0x9990, USER_DS);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->sregs.gs.selector, 0);
	assert_int_equal(g->sregs.gs.base, 0x123456789000);
}

GUEST_CODE(sti_twice, ".code32\n sti\n incl %ebx\n 1: jmp 1b\n");

static void nmi_waits_for_the_shadow_of_sti(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_vcpu_events ev;

	sys_guest_protected(g, LOAD(g, sti_twice), 0, 0);
	assert_int_equal(engine_vcpu_get_events(g->vcpu, &ev), 0);
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	assert_int_equal(engine_vcpu_set_events(g->vcpu, &ev), 0);
	engine_vcpu_nmi(g->vcpu);
	assert_int_equal(sys_guest_run(g), VEC_NMI);
	/* STI itself ran under the shadow put there, and made one of its own. */
	assert_int_equal(get_u32(g, AT_STACK - 12), AT_CODE + 2);
}

static void second_nmi_waits_for_iret(void **state)
{
	struct sys_guest *g = *state;
	struct kvm_vcpu_events ev;

	sys_guest_protected(g, LOAD(g, spin), 0, 0);
	engine_vcpu_nmi(g->vcpu);
	engine_vcpu_nmi(g->vcpu);
	engine_vcpu_nmi(g->vcpu);
	assert_int_equal(sys_guest_run(g), VEC_NMI);
	assert_int_equal(engine_vcpu_get_events(g->vcpu, &ev), 0);
	assert_true(ev.nmi.masked);
	assert_int_equal(ev.nmi.pending, 1);
}

static void iretq_with_nt_is_gp(void **state)
{
	struct sys_guest *g = *state;

	sys_guest_long(g, LOAD(g, iretq), 0, FLAG_NT);
	assert_int_equal(sys_guest_run(g), VEC_GP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sys_test(real_interrupt_pushes_three_words),
		sys_test(real_fault_returns_to_the_instruction),
		sys_test(real_iret_loads_ip_cs_flags),
		sys_test(real_vector_past_idt_limit_is_a_fault),
		sys_test(interrupt_gate_clears_if),
		sys_test(trap_gate_keeps_if),
		sys_test(gate_16_pushes_words),
		sys_test(inner_level_switches_stacks),
		sys_test(selector_is_the_error_code),
		sys_test(int_n_needs_gate_dpl),
		sys_test(int_n_through_dpl3_gate),
		sys_test(int3_checks_the_gate_too),
		sys_test(absent_gate_names_its_vector),
		sys_test(fault_on_an_exception_has_ext),
		sys_test(fault_on_nmi_has_ext),
		sys_test(nmi_is_delivered_and_masked),
		sys_test(two_contributory_faults_are_a_double_fault),
		sys_test(fault_on_double_fault_shuts_down),
		sys_test(bad_inner_stack_is_ts),
		sys_test(iret_to_outer_level_drops_inner_segments),
		sys_test(iret_same_level_loads_iopl),
		sys_test(iret_to_data_segment_faults_without_change),
		sys_test(vm86_interrupt_pushes_segments),
		sys_test(vm86_int_n_without_iopl_faults),
		sys_test(vm86_handler_must_be_cpl0),
		sys_test(vm86_segments_are_selectors_times_16),
		sys_test(vme_redirects_to_the_vector_table),
		sys_test(vme_cli_and_sti_use_vif),
		sys_test(long_frame_is_five_quadwords_aligned),
		sys_test(long_inner_level_nulls_ss),
		sys_test(long_ist_switches_at_the_same_level),
		sys_test(page_fault_sets_cr2_and_error),
		sys_test(page_fault_during_page_fault_is_double),
		sys_test(noncanonical_data_is_gp),
		sys_test(noncanonical_handler_is_gp),
		sys_test(handler_in_32_bit_segment_is_gp),
		sys_test(empty_long_idt_shuts_down),
		sys_test(iretq_to_user),
		sys_test(iretq_to_compatibility_mode),
		sys_test(iretq_with_null_ss_only_below_cpl3),
		sys_test(iretq_to_noncanonical_rip_faults_at_cpl0),
		sys_test(iretq_to_user_keeps_the_base_of_gs),
		sys_test(nmi_waits_for_the_shadow_of_sti),
		sys_test(second_nmi_waits_for_iret),
		sys_test(iretq_with_nt_is_gp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
