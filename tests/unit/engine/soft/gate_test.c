/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far transfers: direct, through call gates, task switches, SYSCALL and SYSENTER with their
 * returns.
 */
#include "engine/soft/cache.h"
#include "sys_guest.h"

static void put_call_gate(struct sys_guest *g, uint16_t selector, uint64_t offset, unsigned type,
			  unsigned params)
{
	put64(g, AT_GDT + SEL_GATE,
	      (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)params << 32 |
		      (uint64_t)type << 40 | (offset >> 16 & 0xffff) << 48);
}

/* ---- direct ---- */

GUEST_CODE(jmp_conforming, ".code32\n ljmpl $0x80, $0x10400\n");
GUEST_CODE(report_cs, ".code32\n movl %cs, %ebx\n" REPORT(0x91));
GUEST_CODE(jmp_kernel, ".code32\n ljmpl $0x18, $0x10400\n");
GUEST_CODE(call_far, ".code32\n lcall $0x18, $0x10400\n movl %esp, %ecx\n" REPORT(0x92));
GUEST_CODE(lret_4, ".code32\n movl %esp, %ebx\n lret $4\n");

static void conforming_code_keeps_cpl(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_conforming);
	LOAD(g, report_cs);
	sys_guest_protected(g, AT_CODE, 3, FLAG_IOPL);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, SEL_CONFORMING | 3);
	assert_true(get64(g, AT_GDT + SEL_CONFORMING) >> 40 & 1);
}

static void jump_to_inner_code_is_gp(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_kernel);
	sys_guest_protected(g, AT_CODE, 3, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), KERNEL_CS32);
}

static void far_call_and_return_with_pop(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_far);
	LOAD(g, lret_4);
	sys_guest_protected(g, AT_CODE, 0, 0);
	assert_int_equal(sys_guest_run(g), 0x92);
	assert_int_equal(g->regs.rbx, AT_STACK - 8);
	assert_int_equal(g->regs.rcx, AT_STACK + 4);
	assert_int_equal(get_u32(g, AT_STACK - 8), AT_CODE + 7);
}

static void far_jump_past_the_limit_is_gp(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_kernel);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put64(g, AT_GDT + KERNEL_CS32, 0x00409b000000ffff);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0);
}

/* ---- call gates ---- */

GUEST_CODE(call_gate, ".code32\n pushl $0x11\n pushl $0x22\n lcall $0x58, $0\n"
		      "movl %esp, %ecx\n" REPORT(0x92));
GUEST_CODE(gate_target, ".code32\n movl %esp, %ebx\n movl 8(%esp), %edx\n lret $8\n");
GUEST_CODE(jmp_gate, ".code32\n ljmpl $0x58, $0\n");

static void call_gate_copies_parameters(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_gate);
	LOAD(g, gate_target);
	sys_guest_protected(g, AT_CODE, 3, FLAG_IOPL);
	put_call_gate(g, KERNEL_CS32, AT_CODE + 0x400, 0xec, 2);
	assert_int_equal(sys_guest_run(g), 0x92);
	/* SS, ESP, two parameters, CS, EIP. */
	assert_int_equal(g->regs.rbx, AT_STACK - 24);
	assert_int_equal(g->regs.rdx, 0x22);
	assert_int_equal(get_u32(g, AT_STACK - 12), 0x11);
	assert_int_equal(get_u32(g, AT_STACK - 8), AT_USER_STACK - 8);
	assert_int_equal(get_u32(g, AT_STACK - 4), USER_DS);
	/* RET 8 drops the parameters from both stacks. */
	assert_int_equal(g->regs.rcx, AT_USER_STACK);
	assert_int_equal(g->sregs.cs.selector, USER_CS32);
}

static void call_gate_checks_its_dpl(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_gate);
	sys_guest_protected(g, AT_CODE, 3, 0);
	put_call_gate(g, KERNEL_CS32, AT_CODE + 0x400, 0x8c, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), SEL_GATE);
}

static void absent_call_gate_is_np(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_gate);
	sys_guest_protected(g, AT_CODE, 3, 0);
	put_call_gate(g, KERNEL_CS32, AT_CODE + 0x400, 0x6c, 0);
	assert_int_equal(sys_guest_run(g), VEC_NP);
	assert_int_equal(get_u32(g, AT_STACK - 24), SEL_GATE);
}

static void jump_through_gate_stays_at_its_level(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_gate);
	LOAD(g, report_cs);
	sys_guest_protected(g, AT_CODE, 3, 0);
	put_call_gate(g, KERNEL_CS32, AT_CODE + 0x400, 0xec, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), KERNEL_CS32);

	sys_guest_protected(g, AT_CODE, 0, 0);
	put_call_gate(g, KERNEL_CS32, AT_CODE + 0x400, 0xec, 0);
	assert_int_equal(sys_guest_run(g), 0x91);
}

GUEST_CODE(call_gate64,
	   ".code64\n leaq 1f(%rip), %rax\n lcall *(%rax)\n 1: .long 0\n .word 0x58\n");
GUEST_CODE(gate64_target, ".code64\n movl %ss, %ebx\n movq %rsp, %rcx\n" REPORT(0x91));

static void long_call_gate_pushes_quadwords(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_gate64);
	LOAD(g, gate64_target);
	sys_guest_long(g, AT_CODE, 3, 0);
	put_call_gate(g, KERNEL_CS64, AT_CODE + 0x400, 0xec, 0);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, 0);
	assert_int_equal(g->regs.rcx, AT_STACK - 32);
	assert_int_equal(get64(g, AT_STACK - 8), USER_DS);
	assert_int_equal(get64(g, AT_STACK - 16), AT_USER_STACK);
	assert_int_equal(get64(g, AT_STACK - 24), USER_CS64);
	assert_int_equal(get64(g, AT_STACK - 32), AT_CODE + 9);
}

GUEST_CODE(lretq_user, ".code64\n pushq $0x2b\n pushq $0x9990\n pushq $0x23\n pushq $0x10400\n"
		       "rex.W lret\n");

static void far_return_to_compatibility_mode(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, lretq_user);
	LOAD(g, report_cs);
	sys_guest_long(g, AT_CODE, 0, FLAG_IOPL);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rbx, USER_CS32);
	assert_int_equal(g->regs.rsp, 0x9990);
	assert_int_equal(g->sregs.ss.selector, USER_DS);
}

/* ---- task switches ---- */

GUEST_CODE(jmp_tss, ".code32\n movl $0x5555, %ebx\n ljmpl $0x68, $0\n" REPORT(0x93));
GUEST_CODE(call_tss, ".code32\n movl $0x5555, %ebx\n lcall $0x68, $0\n" REPORT(0x93));
GUEST_CODE(task_code, ".code32\n pushfl\n popl %edx\n str %cx\n" REPORT(0x91) "iretl\n");

/* A task at CPL 0 whose code is at rip. */
static void put_task(struct sys_guest *g, uint32_t rip)
{
	static const uint16_t selectors[] = {KERNEL_DS, KERNEL_CS32, KERNEL_DS,
					     KERNEL_DS, KERNEL_DS,   0};

	put32(g, AT_TSS2 + 0x20, rip);
	put32(g, AT_TSS2 + 0x24, FLAG_FIXED);
	put32(g, AT_TSS2 + 0x28, 0x1111);
	put32(g, AT_TSS2 + 0x38, AT_IST);
	for (unsigned k = 0; k < 6; k++)
		put32(g, AT_TSS2 + 0x48 + k * 4, selectors[k]);
}

static bool is_busy(struct sys_guest *g, uint16_t selector)
{
	return get64(g, AT_GDT + selector) >> 41 & 1;
}

static void jump_to_a_task_saves_and_loads(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_tss);
	LOAD(g, task_code);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_task(g, AT_CODE + 0x400);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_int_equal(g->regs.rax & ~0xff, 0x1100);
	assert_int_equal(g->regs.rcx & 0xffff, SEL_TSS2);
	assert_int_equal(g->regs.rsp, AT_IST);
	assert_false(g->regs.rdx & FLAG_NT);
	assert_false(is_busy(g, SEL_TSS));
	assert_true(is_busy(g, SEL_TSS2));
	assert_int_equal(get_u32(g, AT_TSS + 0x34), 0x5555);
	assert_int_equal(get_u32(g, AT_TSS + 0x20), AT_CODE + 12);
	assert_int_equal(get16(g, AT_TSS + 0x4c), KERNEL_CS32);
	assert_true(g->sregs.cr0 & CR0_TS);
}

static void called_task_returns_by_iret(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_tss);
	LOAD(g, task_code);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_task(g, AT_CODE + 0x400);
	assert_int_equal(sys_guest_run(g), 0x91);
	assert_true(g->regs.rdx & FLAG_NT);
	assert_int_equal(get16(g, AT_TSS2), SEL_TSS);
	assert_true(is_busy(g, SEL_TSS));
	assert_int_equal(sys_guest_run(g), 0x93);
	assert_int_equal(g->regs.rbx, 0x5555);
	assert_int_equal(g->sregs.tr.selector, SEL_TSS);
	assert_false(is_busy(g, SEL_TSS2));
	assert_false(g->regs.rflags & FLAG_NT);
}

GUEST_CODE(raise_ts, ".code32\n movw $0x1234, %ax\n movw %ax, %es\n");
GUEST_CODE(task_error, ".code32\n popl %ebx\n" REPORT(0x94));

static void task_gate_gets_the_error_code(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, raise_ts);
	LOAD(g, task_error);
	sys_guest_protected(g, AT_CODE, 3, 0);
	put_task(g, AT_CODE + 0x400);
	put_gate(g, VEC_GP, SEL_TSS2, 0, 0x85, 0, false);
	assert_int_equal(sys_guest_run(g), 0x94);
	assert_int_equal(g->regs.rbx, 0x1234 & ~3);
	/* The old task is saved at the faulting instruction. */
	assert_int_equal(get_u32(g, AT_TSS + 0x20), AT_CODE + 4);
	assert_int_equal(get16(g, AT_TSS2), SEL_TSS);
}

static void busy_task_is_gp(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_tss);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_task(g, AT_CODE + 0x400);
	put64(g, AT_GDT + SEL_TSS2, get64(g, AT_GDT + SEL_TSS2) | BIT64(41));
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 16), SEL_TSS2);
	assert_int_equal(g->sregs.tr.selector, SEL_TSS);
}

static void short_tss_is_ts(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_tss);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_task(g, AT_CODE + 0x400);
	put64(g, AT_GDT + SEL_TSS2, 0x0000890000000066 | (uint64_t)AT_TSS2 << 16);
	assert_int_equal(sys_guest_run(g), VEC_TS);
	assert_int_equal(get_u32(g, AT_STACK - 16), SEL_TSS2);
}

static void bad_segment_of_a_task_faults_in_it(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, jmp_tss);
	LOAD(g, task_code);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put_task(g, AT_CODE + 0x400);
	put32(g, AT_TSS2 + 0x54, SEL_EXEC_ONLY);
	assert_int_equal(sys_guest_run(g), VEC_TS);
	assert_int_equal(g->sregs.tr.selector, SEL_TSS2);
	assert_int_equal(get_u32(g, AT_IST - 16), SEL_EXEC_ONLY);
	assert_int_equal(get_u32(g, AT_IST - 12), AT_CODE + 0x400);
}

GUEST_CODE(task16_code, ".code32\n movl %esp, %ecx\n" REPORT(0x95) "iretl\n");

static void task_16_bit(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_tss);
	LOAD_AT(g, 0x7000, task16_code);
	sys_guest_protected(g, AT_CODE, 0, 0);
	put64(g, AT_GDT + SEL_TSS2, 0x000081000000002b | (uint64_t)AT_TSS2 << 16);
	put16(g, AT_TSS2 + 0x0e, 0x7000);
	put16(g, AT_TSS2 + 0x10, FLAG_FIXED);
	put16(g, AT_TSS2 + 0x1a, 0x6ff0);
	put16(g, AT_TSS2 + 0x22, KERNEL_DS);
	put16(g, AT_TSS2 + 0x24, KERNEL_CS32);
	put16(g, AT_TSS2 + 0x26, KERNEL_DS);
	put16(g, AT_TSS2 + 0x28, KERNEL_DS);
	assert_int_equal(sys_guest_run(g), 0x95);
	assert_int_equal(g->regs.rcx & 0xffff, 0x6ff0);
	assert_int_equal(sys_guest_run(g), 0x93);
	assert_int_equal(g->regs.rbx, 0x5555);
}

static void tasks_do_not_switch_in_long_mode(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, call_tss);
	sys_guest_long(g, AT_CODE, 0, 0);
	/* Compatibility mode at CPL 0. */
	g->sregs.cs = segment_of(g, KERNEL_CS32);
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get64(g, AT_STACK - 48), SEL_TSS2);
}

/* ---- system calls ---- */

GUEST_CODE(do_syscall, ".code64\n syscall\n movq %rsp, %rdi\n int $0x80\n");
GUEST_CODE(on_syscall, ".code64\n pushfq\n popq %rbx\n movl %cs, %esi\n movl %ss, %edi\n"
		       "movl %edi, %r8d\n sysretq\n");
GUEST_CODE(sysret_32, ".code64\n movl $0x10800, %ecx\n movl $0x202, %r11d\n sysretl\n");
GUEST_CODE(user_int80, ".code32\n int $0x80\n");

static void set_msr(struct sys_guest *g, uint32_t index, uint64_t value)
{
	struct kvm_msr_entry e = {.index = index, .data = value};

	assert_int_equal(engine_vcpu_set_msrs(g->vcpu, &e, 1), 1);
}

static void syscall_and_sysret(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, do_syscall);
	LOAD(g, on_syscall);
	sys_guest_long(g, AT_CODE, 3, FLAG_IF | FLAG_DF);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	set_msr(g, MSR_STAR, (uint64_t)KERNEL_CS64 << 32 | 0x23ull << 48);
	set_msr(g, MSR_LSTAR, AT_CODE + 0x400);
	set_msr(g, MSR_SFMASK, FLAG_IF | FLAG_DF);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rcx, AT_CODE + 2);
	assert_int_equal(g->regs.r11, FLAG_IF | FLAG_DF | FLAG_FIXED);
	assert_int_equal(g->regs.rbx, FLAG_FIXED);
	assert_int_equal(g->regs.rsi, KERNEL_CS64);
	assert_int_equal(g->regs.r8, KERNEL_CS64 + 8);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS64);
	assert_int_equal(get64(g, AT_STACK - 24), FLAG_IF | FLAG_DF | FLAG_FIXED);
	assert_int_equal(get64(g, AT_STACK - 8), USER_DS);
}

static void sysret_to_32_bit_code(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, sysret_32);
	LOAD_AT(g, 0x10800, user_int80);
	sys_guest_long(g, AT_CODE, 0, 0);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	set_msr(g, MSR_STAR, (uint64_t)KERNEL_CS64 << 32 | 0x23ull << 48);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS32);
	assert_int_equal(get64(g, AT_STACK - 40), 0x10802);
}

static void syscall_without_sce_is_ud(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, do_syscall);
	sys_guest_long(g, AT_CODE, 3, 0);
	g->sregs.efer &= ~(uint64_t)EFER_SCE;
	engine_vcpu_set_sregs(g->vcpu, &g->sregs);
	assert_int_equal(sys_guest_run(g), VEC_UD);
}

static void syscall_in_protected_mode_is_ud(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, do_syscall);
	sys_guest_protected(g, AT_CODE, 0, 0);
	assert_int_equal(sys_guest_run(g), VEC_UD);
}

GUEST_CODE(sysret_bad, ".code64\n movq $0x800000000000, %rcx\n sysretq\n");

static void sysret_to_noncanonical_is_gp_at_cpl0(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, sysret_bad);
	sys_guest_long(g, AT_CODE, 0, 0);
	set_msr(g, MSR_STAR, 0x23ull << 48);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get64(g, AT_STACK - 32), KERNEL_CS64);
}

GUEST_CODE(sysret_tf, ".code64\n movl $0x10400, %ecx\n movl $0x102, %r11d\n sysretq\n");
GUEST_CODE(user_nops, ".code64\n nop\n nop\n");

static void tf_set_by_sysret_traps_at_once(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, sysret_tf);
	LOAD(g, user_nops);
	sys_guest_long(g, AT_CODE, 0, 0);
	set_msr(g, MSR_STAR, (uint64_t)KERNEL_CS64 << 32 | 0x23ull << 48);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(get64(g, AT_STACK - 40), AT_CODE + 0x400);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS64);
}

/* ---- system calls again and again, so that both ends are translated ---- */

#define CALLS 2000

/*
 * Or-ed together: R12 flags that differ after a call, R13 flags the kernel has, R14 selectors that are
 * wrong, R10 what RCX is off.
 */
GUEST_CODE(call_often, ".code64\n movl $2000, %ebp\n movl $0x1234, %edx\n movl $0x5678, %edi\n"
		       "1: movl $0x7fffffff, %eax\n addl $1, %eax\n pushfq\n popq %r8\n syscall\n"
		       "2: pushfq\n popq %r9\n xorq %r8, %r9\n orq %r9, %r12\n"
		       "leaq 2b(%rip), %rax\n xorq %rcx, %rax\n orq %rax, %r10\n"
		       "movl %cs, %eax\n xorl $0x33, %eax\n orl %eax, %r14d\n"
		       "movl %ss, %eax\n xorl $0x2b, %eax\n orl %eax, %r14d\n"
		       "decl %ebp\n jnz 1b\n int $0x80\n");
#define SERVE                                                   \
	".code64\n pushfq\n popq %rbx\n orq %rbx, %r13\n"       \
	"movl %cs, %eax\n xorl $0x08, %eax\n orl %eax, %r14d\n" \
	"movl %ss, %eax\n xorl $0x10, %eax\n orl %eax, %r14d\n xorl %eax, %eax\n"
GUEST_CODE(serve, SERVE "sysretq\n");
GUEST_CODE(serve_tf, SERVE "cmpl $1, %ebp\n jne 1f\n orl $0x100, %r11d\n 1: sysretq\n");
GUEST_CODE(serve_far, SERVE "cmpl $1, %ebp\n jne 1f\n btsq $47, %rcx\n 1: sysretq\n");
GUEST_CODE(serve_sce, SERVE "cmpl $1, %ebp\n jne 1f\n movl $0xc0000080, %ecx\n rdmsr\n"
			    "andl $0xfffffffe, %eax\n wrmsr\n 1: sysretq\n");

#define ADD_FLAGS (FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF)

static void start_calls(struct sys_guest *g, const uint8_t *handler, const uint8_t *handler_end,
			uint64_t flags, uint64_t mask)
{
	LOAD(g, call_often);
	sys_guest_load(g, handler, handler_end);
	sys_guest_long(g, AT_CODE, 3, flags);
	put_gate(g, 0x80, KERNEL_CS64, handler_of(0x80), 0xee, 0, true);
	set_msr(g, MSR_STAR, (uint64_t)KERNEL_CS64 << 32 | 0x23ull << 48);
	set_msr(g, MSR_LSTAR, AT_CODE + 0x400);
	set_msr(g, MSR_SFMASK, mask);
}

static void assert_calls(struct sys_guest *g, uint64_t kernel_flags)
{
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.r12, 0);
	assert_int_equal(g->regs.r13, kernel_flags);
	assert_int_equal(g->regs.r14, 0);
	assert_int_equal(g->regs.r10, 0);
	assert_int_equal(g->regs.rdx, 0x1234);
	assert_int_equal(g->regs.rdi, 0x5678);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS64);
	assert_int_equal(get64(g, AT_STACK - 8), USER_DS);
}

/* How often translated code had the interpreter run an instruction; 0 if not among the first. */
static uint64_t singles_of(struct sys_guest *g, const char *name)
{
	struct engine_vcpu_stats stats;

	assert_int_equal(engine_vcpu_stats(g->vcpu, &stats), 0);
	for (unsigned n = 0; n < stats.nr_top; n++)
		if (!strcmp(stats.top[n].name, name))
			return stats.top[n].count;
	return 0;
}

static void repeated_calls_keep_flags(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_start, serve_end, FLAG_IF, FLAG_IF);
	assert_calls(g, FLAG_FIXED | ADD_FLAGS);
	if (HAS_TSAN) {
		print_message("SKIP: in this build nothing is translated\n");
		return;
	}
	assert_in_range(singles_of(g, "syscall"), 0, CALLS / 10);
	assert_in_range(singles_of(g, "sysret"), 0, CALLS / 10);
}

static void repeated_calls_mask_flags(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_start, serve_end, FLAG_IF | FLAG_DF, FLAG_IF | FLAG_DF | FLAGS_STATUS);
	assert_calls(g, FLAG_FIXED);
}

static void repeated_calls_keep_ac(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_start, serve_end, FLAG_AC, FLAG_AC);
	assert_calls(g, FLAG_FIXED | ADD_FLAGS);
}

static void tf_set_by_the_last_of_many_sysrets_traps(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_tf_start, serve_tf_end, FLAG_IF, FLAG_IF);
	assert_int_equal(sys_guest_run(g), VEC_DB);
	assert_int_equal(g->regs.rbp, 1);
	assert_int_equal(get64(g, AT_STACK - 40), g->regs.rcx);
	assert_int_equal(get64(g, AT_STACK - 32), USER_CS64);
}

static void last_of_many_sysrets_checks_its_target(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_far_start, serve_far_end, FLAG_IF, FLAG_IF);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(g->regs.rbp, 1);
}

static void last_of_many_sysrets_looks_at_sce(void **state)
{
	struct sys_guest *g = *state;

	start_calls(g, serve_sce_start, serve_sce_end, FLAG_IF, FLAG_IF);
	assert_int_equal(sys_guest_run(g), VEC_UD);
	assert_int_equal(g->regs.rbp, 1);
}

GUEST_CODE(do_sysenter, ".code32\n movl %esp, %ecx\n movl $0x10003, %edx\n sysenter\n");
GUEST_CODE(on_sysenter, ".code32\n movl %esp, %ebx\n movl %cs, %esi\n movl %ss, %edi\n"
			"movl $0x10800, %edx\n sysexit\n");

static void sysenter_and_sysexit(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, do_sysenter);
	LOAD(g, on_sysenter);
	LOAD_AT(g, 0x10800, user_int80);
	sys_guest_protected(g, AT_CODE, 3, FLAG_IF);
	put_gate(g, 0x80, KERNEL_CS32, handler_of(0x80), 0xee, 0, false);
	set_msr(g, MSR_IA32_SYSENTER_CS, 0x10);
	set_msr(g, MSR_IA32_SYSENTER_ESP, 0x7770);
	set_msr(g, MSR_IA32_SYSENTER_EIP, AT_CODE + 0x400);
	assert_int_equal(sys_guest_run(g), 0x80);
	assert_int_equal(g->regs.rbx, 0x7770);
	assert_int_equal(g->regs.rsi, 0x10);
	assert_int_equal(g->regs.rdi, 0x18);
	assert_int_equal(get_u32(g, AT_STACK - 16), 0x23);
	assert_int_equal(get_u32(g, AT_STACK - 12), FLAG_FIXED);
	assert_int_equal(get_u32(g, AT_STACK - 8), AT_USER_STACK);
	assert_int_equal(get_u32(g, AT_STACK - 4), 0x2b);
}

static void sysenter_without_cs_is_gp(void **state)
{
	struct sys_guest *g = *state;

	LOAD(g, do_sysenter);
	sys_guest_protected(g, AT_CODE, 3, 0);
	assert_int_equal(sys_guest_run(g), VEC_GP);
	assert_int_equal(get_u32(g, AT_STACK - 24), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sys_test(conforming_code_keeps_cpl),
		sys_test(jump_to_inner_code_is_gp),
		sys_test(far_call_and_return_with_pop),
		sys_test(far_jump_past_the_limit_is_gp),
		sys_test(call_gate_copies_parameters),
		sys_test(call_gate_checks_its_dpl),
		sys_test(absent_call_gate_is_np),
		sys_test(jump_through_gate_stays_at_its_level),
		sys_test(long_call_gate_pushes_quadwords),
		sys_test(far_return_to_compatibility_mode),
		sys_test(jump_to_a_task_saves_and_loads),
		sys_test(called_task_returns_by_iret),
		sys_test(task_gate_gets_the_error_code),
		sys_test(busy_task_is_gp),
		sys_test(short_tss_is_ts),
		sys_test(bad_segment_of_a_task_faults_in_it),
		sys_test(task_16_bit),
		sys_test(tasks_do_not_switch_in_long_mode),
		sys_test(syscall_and_sysret),
		sys_test(sysret_to_32_bit_code),
		sys_test(syscall_without_sce_is_ud),
		sys_test(syscall_in_protected_mode_is_ud),
		sys_test(sysret_to_noncanonical_is_gp_at_cpl0),
		sys_test(tf_set_by_sysret_traps_at_once),
		sys_test(repeated_calls_keep_flags),
		sys_test(repeated_calls_mask_flags),
		sys_test(repeated_calls_keep_ac),
		sys_test(tf_set_by_the_last_of_many_sysrets_traps),
		sys_test(last_of_many_sysrets_checks_its_target),
		sys_test(last_of_many_sysrets_looks_at_sce),
		sys_test(sysenter_and_sysexit),
		sys_test(sysenter_without_cs_is_gp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
