/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer instructions where the host CPU cannot be asked: 16- and 32-bit modes, segments, stack
 * forms, decimal instructions, and faults in the middle of instructions.
 */
#include "unit/engine/soft/code_machine.h"

/* ---- addresses ---- */

CODE_BYTES(load_bx_si, 16, "movw 0x10(%bx,%si), %ax");
static void address_of_16_bits_wraps(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->regs.rbx = 0xfff0;
	m->regs.rsi = 0x0104;
	machine_put(m, DATA + 0x104, 2, 0xabcd);
	assert_int_equal(RUN(m, load_bx_si), VEC_UD);
	assert_int_equal(m->regs.rax, 0xabcd);
}

CODE_BYTES(load_bp, 16, "movw 2(%bp), %ax\n movw %ds:2(%bp), %cx");
static void bp_addresses_the_stack_segment(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->regs.rbp = 0x100;
	machine_put(m, STACK + 0x102, 2, 0x1111);
	machine_put(m, DATA + 0x102, 2, 0x2222);
	assert_int_equal(RUN(m, load_bp), VEC_UD);
	assert_int_equal(m->regs.rax, 0x1111);
	assert_int_equal(m->regs.rcx, 0x2222);
}

CODE_BYTES(load_addr32, 64, "movq (%ebx,%ecx,4), %rax");
static void address_of_32_bits_is_cut_in_long_mode(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rbx = 0xffffffff00000000 | DATA;
	m->regs.rcx = 0x4000000040000002;
	machine_put(m, DATA + 8, 8, 0x0123456789abcdef);
	assert_int_equal(RUN(m, load_addr32), VEC_UD);
	assert_int_equal(m->regs.rax, 0x0123456789abcdef);
}

CODE_BYTES(lea_forms, 16,
	   "leaw 5(%bx,%di), %ax\n leal 5(%bx,%di), %ecx\n leal (%ebx,%edi,2), %edx");
static void lea_cuts_to_address_and_operand_size(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->regs.rax = 0xaaaaaaaa;
	m->regs.rbx = 0x1fff0;
	m->regs.rdi = 0x10020;
	assert_int_equal(RUN(m, lea_forms), VEC_UD);
	assert_int_equal(m->regs.rax, 0xaaaa0015);
	assert_int_equal(m->regs.rcx, 0x15);
	assert_int_equal(m->regs.rdx, 0x1fff0 + 2 * 0x10020);
}

CODE_BYTES(moffs_xlat, 16, "movw 0x1234, %ax\n movb %al, %es:0x20\n xlat");
static void moffs_and_xlat_use_the_data_segment(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->sregs.es.base = DATA + 0x1000;
	m->regs.rbx = 0xff80;
	machine_put(m, DATA + 0x1234, 2, 0x5590);
	machine_put(m, DATA + 0x10, 1, 0x77);
	assert_int_equal(RUN(m, moffs_xlat), VEC_UD);
	assert_int_equal(m->regs.rax, 0x5577);
	assert_int_equal(machine_get(m, DATA + 0x1020, 1), 0x90);
}

/* ---- segments ---- */

CODE_BYTES(load_ebx, 32, "movl (%ebx), %eax");
CODE_BYTES(store_ebx, 32, "movl %eax, (%ebx)");
CODE_BYTES(load_ebp, 32, "movl (%ebp), %eax");

static void limit_is_checked_for_every_byte(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.ds.limit = DATA + 0xfff;
	m->sregs.ds.g = 0;
	m->regs.rbx = DATA + 0xffc;
	assert_int_equal(RUN(m, load_ebx), VEC_UD);
	machine_reset(m, PROT32);
	m->sregs.ds.limit = DATA + 0xfff;
	m->sregs.ds.g = 0;
	m->regs.rbx = DATA + 0xffd;
	assert_int_equal(RUN(m, load_ebx), VEC_GP);
	assert_int_equal(m->error, 0);
	assert_int_equal(m->regs.rip, CODE);
}

static void limit_of_the_stack_segment_is_ss_fault(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.ss.limit = STACK + 0xffff;
	m->sregs.ss.g = 0;
	m->regs.rbp = STACK + 0xfffd;
	assert_int_equal(RUN(m, load_ebp), VEC_SS);
	assert_int_equal(m->error, 0);
}

static void expand_down_segment_covers_above_its_limit(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.ds.type = 7;
	m->sregs.ds.limit = DATA - 1;
	m->sregs.ds.g = 0;
	m->regs.rbx = DATA;
	assert_int_equal(RUN(m, load_ebx), VEC_UD);
	machine_reset(m, PROT32);
	m->sregs.ds.type = 7;
	m->sregs.ds.limit = DATA - 1;
	m->sregs.ds.g = 0;
	m->regs.rbx = DATA - 1;
	assert_int_equal(RUN(m, load_ebx), VEC_GP);
}

static void read_only_segment_refuses_stores(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.ds.type = 1;
	m->regs.rbx = DATA;
	assert_int_equal(RUN(m, load_ebx), VEC_UD);
	machine_reset(m, PROT32);
	m->sregs.ds.type = 1;
	m->regs.rbx = DATA;
	assert_int_equal(RUN(m, store_ebx), VEC_GP);
}

CODE_BYTES(load_cs, 32, "movl %cs:(%ebx), %eax");
static void execute_only_segment_refuses_loads(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.cs.type = 9;
	m->regs.rbx = DATA;
	assert_int_equal(RUN(m, load_cs), VEC_GP);
}

CODE_BYTES(load_word_bx, 16, "movw (%bx), %ax");
static void word_at_the_end_of_a_real_segment_faults(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->regs.rbx = 0xffff;
	assert_int_equal(RUN(m, load_word_bx), VEC_GP);
	assert_int_equal(m->regs.rip, 0);
}

CODE_BYTES(load_fs, 64, "movq %fs:8(%rbx), %rax\n movq %ds:8(%rbx), %rcx");
static void only_fs_and_gs_have_a_base_in_long_mode(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->sregs.fs.base = 0x100;
	m->sregs.ds.base = 0x200;
	m->regs.rbx = DATA;
	machine_put(m, DATA + 0x108, 8, 1);
	machine_put(m, DATA + 8, 8, 2);
	assert_int_equal(RUN(m, load_fs), VEC_UD);
	assert_int_equal(m->regs.rax, 1);
	assert_int_equal(m->regs.rcx, 2);
}

/* ---- the stack ---- */

CODE_BYTES(pusha_popa, 16, "pushaw\n movw $0, %ax\n movw $0, %bp\n popaw");
static void pusha_stores_in_order_and_popa_skips_sp(void **state)
{
	struct machine *m = *state;
	const uint16_t expected[] = {7, 6, 5, SP_START, 3, 2, 1, 0x10};

	machine_reset(m, REAL);
	m->regs.rax = 0x10;
	m->regs.rcx = 1;
	m->regs.rdx = 2;
	m->regs.rbx = 3;
	m->regs.rbp = 5;
	m->regs.rsi = 6;
	m->regs.rdi = 7;
	assert_int_equal(RUN(m, pusha_popa), VEC_UD);
	/* The frame of #UD lies over the first three words. */
	for (unsigned n = 0; n < 5; n++)
		assert_int_equal(machine_get(m, STACK + SP_START - 16 + 2 * n, 2), expected[n]);
	assert_int_equal(m->regs.rax, 0x10);
	assert_int_equal(m->regs.rbp, 5);
	assert_int_equal(m->regs.rsp, SP_START);
}

CODE_BYTES(pusha_32, 32, "pushal");
static void pusha_that_faults_stores_nothing(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.ss.type = 7; /* expand down: nothing below STACK + 0x8000 */
	m->sregs.ss.limit = STACK + 0x7fff;
	m->sregs.ss.g = 0;
	m->regs.rsp = STACK + 0x8010;
	m->regs.rax = 0x11111111;
	m->regs.rdi = 0x22222222;
	/* #SS cannot be delivered on that stack either. */
	memcpy(m->ram + CODE, pusha_32, (size_t)(pusha_32_end - pusha_32));
	assert_int_equal(engine_vcpu_set_regs(m->vcpu, &m->regs), 0);
	assert_int_equal(engine_vcpu_set_sregs(m->vcpu, &m->sregs), 0);
	assert_int_equal(engine_vcpu_run(m->vcpu), 0);
	assert_int_equal(m->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(m->run->io.port, M_PORTS + VEC_SS);
	for (unsigned n = 0; n < 16; n += 4)
		assert_int_not_equal(machine_get(m, STACK + 0x8000 + n, 4), 0x11111111);
}

CODE_BYTES(push_pop_sp, 32, "pushl %esp\n popl %eax\n pushl $0x1234\n popl %esp");
static void push_esp_stores_the_old_and_pop_esp_loads(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rax = 0;
	m->regs.rbx = DATA;
	memcpy(m->ram + CODE, push_pop_sp, (size_t)(push_pop_sp_end - push_pop_sp));
	machine_put(m, CODE + 3, 4, DATA + 0x800); /* the immediate of the second push */
	assert_int_equal(machine_continue(m), VEC_UD);
	assert_int_equal(m->regs.rax, STACK + SP_START);
	assert_int_equal(m->regs.rsp, DATA + 0x800);
}

CODE_BYTES(pop_sp_based, 64, "pushq $0x55\n popq 16(%rsp)\n pushw $0x66\n popw %cx");
static void pop_to_memory_counts_from_after_the_pop(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	assert_int_equal(RUN(m, pop_sp_based), VEC_UD);
	assert_int_equal(machine_get(m, STACK + SP_START + 16, 8), 0x55);
	assert_int_equal(m->regs.rcx, 0x66);
	assert_int_equal(m->regs.rsp, STACK + SP_START);
}

CODE_BYTES(enter_3, 32, "enterl $0x20, $3");
static void enter_copies_the_outer_frame_pointers(void **state)
{
	struct machine *m = *state;
	uint64_t top = STACK + SP_START, outer = DATA + 0x100;

	machine_reset(m, PROT32);
	m->regs.rbp = outer;
	machine_put(m, outer - 4, 4, 0x11111111);
	machine_put(m, outer - 8, 4, 0x22222222);
	assert_int_equal(RUN(m, enter_3), VEC_UD);
	assert_int_equal(machine_get(m, top - 4, 4), outer);
	assert_int_equal(machine_get(m, top - 8, 4), 0x11111111);
	assert_int_equal(machine_get(m, top - 12, 4), 0x22222222);
	assert_int_equal(machine_get(m, top - 16, 4), top - 4);
	assert_int_equal(m->regs.rbp, top - 4);
	assert_int_equal(m->regs.rsp, top - 16 - 0x20);
}

CODE_BYTES(enter_leave, 64, "enter $0x100, $0\n movq %rsp, %rax\n leave");
static void leave_undoes_enter(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rbp = 0x1122334455667788;
	assert_int_equal(RUN(m, enter_leave), VEC_UD);
	assert_int_equal(m->regs.rax, STACK + SP_START - 8 - 0x100);
	assert_int_equal(m->regs.rbp, 0x1122334455667788);
	assert_int_equal(m->regs.rsp, STACK + SP_START);
}

CODE_BYTES(enter_big, 64, "enter $0x2000, $0");
static void enter_checks_the_new_top_of_the_stack(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	machine_use_ist(m, VEC_PF);
	m->regs.rsp = MISSING + 0x2800; /* the push is above the read-only page, the top below it */
	m->regs.rbp = 7;
	assert_int_equal(RUN(m, enter_big), VEC_PF);
	assert_int_equal(m->cr2 & ~0xfffull, MISSING);
	assert_int_equal(m->regs.rbp, 7);
	assert_int_equal(m->regs.rsp, MISSING + 0x2800);
}

CODE_BYTES(push_wrap, 16,
	   "movw $0, %sp\n pushw $0x5678\n movw %sp, %ax\n popw %cx\n movw $0x8000, %sp");
static void a_16_bit_stack_wraps(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	m->regs.rsp = 0xabcd0000;
	assert_int_equal(RUN(m, push_wrap), VEC_UD);
	assert_int_equal(m->regs.rax, 0xfffe);
	assert_int_equal(m->regs.rcx, 0x5678);
	assert_int_equal(machine_get(m, STACK + 0xfffe, 2), 0x5678);
	assert_int_equal(m->regs.rsp >> 16, 0xabcd);
}

CODE_BYTES(push_seg, 32, "pushl %ss\n popl %eax\n pushw %fs\n popw %cx");
static void push_of_a_segment_register_stores_its_selector(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rcx = 0xffffffff;
	m->sregs.fs.selector = 0x13;
	assert_int_equal(RUN(m, push_seg), VEC_UD);
	assert_int_equal(m->regs.rax, 0x10);
	assert_int_equal(m->regs.rcx, 0xffff0013);
}

/* ---- decimal ---- */

struct decimal {
	uint16_t ax;
	uint32_t flags;
	uint16_t result;
	uint32_t flags_out; /* of AF and CF */
};

static void check_decimal(struct machine *m, const uint8_t *code, const uint8_t *end,
			  const struct decimal *d, unsigned nr)
{
	for (unsigned n = 0; n < nr; n++) {
		machine_reset(m, PROT32);
		m->regs.rax = 0xdead0000 | d[n].ax;
		m->regs.rflags |= d[n].flags;
		assert_int_equal(machine_run(m, code, end), VEC_UD);
		assert_int_equal(m->regs.rax, 0xdead0000 | d[n].result);
		assert_int_equal(m->regs.rflags & (FLAG_AF | FLAG_CF), d[n].flags_out);
	}
}
#define CHECK_DECIMAL(m, name, d) check_decimal(m, name, name##_end, d, ARRAY_SIZE(d))

CODE_BYTES(code_daa, 32, "daa");
CODE_BYTES(code_das, 32, "das");
CODE_BYTES(code_aaa, 32, "aaa");
CODE_BYTES(code_aas, 32, "aas");
CODE_BYTES(code_aam, 32, "aam");
CODE_BYTES(code_aad, 32, "aad");
CODE_BYTES(code_aam_0, 32, ".byte 0xd4, 0");

static void decimal_adjustments_give_the_manuals_results(void **state)
{
	static const struct decimal daa[] = {
		{0xae, 0, 0x14, FLAG_AF | FLAG_CF}, {0x2e, FLAG_CF, 0x94, FLAG_AF | FLAG_CF},
		{0x9a, 0, 0x00, FLAG_AF | FLAG_CF}, {0x42, 0, 0x42, 0},
		{0x12, FLAG_AF, 0x18, FLAG_AF},
	};
	static const struct decimal das[] = {
		{0xee, FLAG_AF | FLAG_CF, 0x88, FLAG_AF | FLAG_CF},
		{0x03, FLAG_AF, 0xfd, FLAG_AF | FLAG_CF},
		{0x42, 0, 0x42, 0},
		{0xa0, 0, 0x40, FLAG_CF},
	};
	static const struct decimal aaa[] = {
		{0x000b, 0, 0x0101, FLAG_AF | FLAG_CF},
		{0x0735, 0, 0x0705, 0},
		{0x00fa, 0, 0x0200, FLAG_AF | FLAG_CF},
	};
	static const struct decimal aas[] = {
		{0x02ff, FLAG_AF, 0x0109, FLAG_AF | FLAG_CF},
		{0x0535, 0, 0x0505, 0},
	};

	CHECK_DECIMAL(*state, code_daa, daa);
	CHECK_DECIMAL(*state, code_das, das);
	CHECK_DECIMAL(*state, code_aaa, aaa);
	CHECK_DECIMAL(*state, code_aas, aas);
}

static void aam_splits_and_aad_joins_digits(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rax = 0x773f;
	assert_int_equal(RUN(m, code_aam), VEC_UD);
	assert_int_equal(m->regs.rax, 0x0603);
	machine_reset(m, PROT32);
	m->regs.rax = 0x0603;
	assert_int_equal(RUN(m, code_aad), VEC_UD);
	assert_int_equal(m->regs.rax, 0x003f);
	machine_reset(m, PROT32);
	m->regs.rax = 0x0603;
	assert_int_equal(RUN(m, code_aam_0), VEC_DE);
	assert_int_equal(m->regs.rax, 0x0603);
}

/* ---- branches ---- */

CODE_BYTES(jump_far_forward, 32, "jmp . + 0x2000");
static void branch_beyond_the_code_limit_faults_in_place(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.cs.limit = CODE + 0xfff;
	m->sregs.cs.g = 0;
	assert_int_equal(RUN(m, jump_far_forward), VEC_GP);
	assert_int_equal(m->regs.rip, CODE);
}

CODE_BYTES(call_non_canonical, 64, "call *%rax");
static void call_to_a_non_canonical_address_pushes_nothing(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rax = 0x800000000000;
	assert_int_equal(RUN(m, call_non_canonical), VEC_GP);
	assert_int_equal(m->regs.rip, CODE);
	assert_int_equal(m->regs.rsp, STACK + SP_START);
}

CODE_BYTES(ret_16, 16, "pushw $0xff00\n retw");
CODE_BYTES(jump_16, 16, ".byte 0xe9; .word 0xfefd");
static void jump_of_16_bits_wraps_in_the_segment(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	machine_put(m, CODE + 0xff00, 2, 0x0b0f);
	assert_int_equal(RUN(m, jump_16), VEC_UD);
	assert_int_equal(m->regs.rip, 0xff00);
	machine_reset(m, REAL);
	machine_put(m, CODE + 0xff00, 2, 0x0b0f);
	assert_int_equal(RUN(m, ret_16), VEC_UD);
	assert_int_equal(m->regs.rip, 0xff00);
}

CODE_BYTES(push_non_canonical, 64, "push %rax");
static void push_to_a_non_canonical_stack_is_ss_fault(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	machine_use_ist(m, VEC_SS);
	m->regs.rsp = 0x800000000004;
	assert_int_equal(RUN(m, push_non_canonical), VEC_SS);
	assert_int_equal(m->regs.rip, CODE);
	assert_int_equal(m->regs.rsp, 0x800000000004);
}

CODE_BYTES(loop_addr32, 64, "addr32 loop . + 3\n nop\n nop");
static void loop_counts_at_the_address_size(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rcx = 0x500000000;
	assert_int_equal(RUN(m, loop_addr32), VEC_UD);
	assert_int_equal(m->regs.rcx, 0xffffffff);
}

CODE_BYTES(jcxz_16, 32, "jcxz 1f\n movl $1, %eax\n ud2\n 1: movl $2, %eax");
static void jcxz_looks_at_cx_only(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rcx = 0x70000;
	assert_int_equal(RUN(m, jcxz_16), VEC_UD);
	assert_int_equal(m->regs.rax, 2);
}

CODE_BYTES(bound_32, 32, "boundl %eax, (%ebx)");
static void bound_faults_outside_its_bounds(void **state)
{
	struct machine *m = *state;
	static const struct {
		uint32_t index;
		unsigned vector;
	} cases[] = {{(uint32_t)-5, VEC_UD}, {9, VEC_UD}, {(uint32_t)-6, VEC_BR}, {10, VEC_BR}};

	for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
		machine_reset(m, PROT32);
		m->regs.rax = cases[n].index;
		m->regs.rbx = DATA;
		machine_put(m, DATA, 4, (uint32_t)-5);
		machine_put(m, DATA + 4, 4, 9);
		assert_int_equal(RUN(m, bound_32), cases[n].vector);
	}
}

/* ---- memory in two pieces, and faults in the middle ---- */

CODE_BYTES(lock_inc_split, 64, "lock incq (%rbx)");
static void locked_operand_may_cross_pages(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rbx = DATA + 0xffd;
	machine_put(m, DATA + 0xffd, 8, 0xffffffffffff);
	assert_int_equal(RUN(m, lock_inc_split), VEC_UD);
	assert_int_equal(machine_get(m, DATA + 0xffd, 8), 0x1000000000000);
}

CODE_BYTES(add_read_only, 64, "addq %rax, (%rbx)");
static void store_that_faults_leaves_the_flags(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rax = UINT64_MAX;
	m->regs.rbx = READONLY;
	m->regs.rflags |= FLAG_OF;
	machine_put(m, READONLY, 8, 1);
	assert_int_equal(RUN(m, add_read_only), VEC_PF);
	assert_int_equal(m->error, PF_PRESENT | PF_WRITE);
	assert_int_equal(m->regs.rflags & FLAGS_STATUS, FLAG_OF);
	assert_int_equal(machine_get(m, READONLY, 8), 1);
}

CODE_BYTES(cmpxchg16, 64, "lock cmpxchg16b (%rbx)");
static void cmpxchg16b_needs_alignment(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rbx = DATA + 8;
	assert_int_equal(RUN(m, cmpxchg16), VEC_GP);
	machine_reset(m, LONG);
	m->regs.rbx = DATA + 16;
	m->regs.rax = 1;
	m->regs.rdx = 2;
	m->regs.rcx = 9;
	machine_put(m, DATA + 16, 8, 1);
	machine_put(m, DATA + 24, 8, 2);
	assert_int_equal(RUN(m, cmpxchg16), VEC_UD);
	assert_true(m->regs.rflags & FLAG_ZF);
	assert_int_equal(machine_get(m, DATA + 16, 8), DATA + 16);
	assert_int_equal(machine_get(m, DATA + 24, 8), 9);
}

CODE_BYTES(bit_reach, 64,
	   "btsq %rax, (%rbx)\n setc %dl\n btl %ecx, (%rbx)\n setc %dh\n btcw %cx, (%rbx)");
static void bit_number_reaches_beyond_the_operand(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rbx = DATA + 0x1000;
	m->regs.rax = 1000;
	m->regs.rcx = (uint64_t)-33;
	machine_put(m, DATA + 0x1000 - 8, 8, 0x8000000000000000 >> 32);
	assert_int_equal(RUN(m, bit_reach), VEC_UD);
	assert_int_equal(machine_get(m, DATA + 0x1000 + 1000 / 64 * 8, 8), BIT64(1000 % 64));
	assert_int_equal(m->regs.rdx & 0xff, 0);
	assert_int_equal(m->regs.rdx >> 8 & 0xff, 1);
	assert_int_equal(machine_get(m, DATA + 0x1000 - 8, 8), 0);
}

CODE_BYTES(nop_xchg, 64, "nop\n .byte 0x41, 0x90");
static void nop_keeps_the_upper_half_of_rax(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rax = 0x1111111122222222;
	m->regs.r8 = 0x3333333344444444;
	assert_int_equal(RUN(m, nop_xchg), VEC_UD);
	assert_int_equal(m->regs.rax, 0x44444444);
	assert_int_equal(m->regs.r8, 0x22222222);
}

CODE_BYTES(divisions, 32, "idivl %ebx");
static void idiv_faults_where_the_quotient_does_not_fit(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rax = 0x80000000;
	m->regs.rdx = 0xffffffff;
	m->regs.rbx = 0xffffffff;
	assert_int_equal(RUN(m, divisions), VEC_DE);
	assert_int_equal(m->regs.rip, CODE);
	machine_reset(m, PROT32);
	m->regs.rax = 0x80000000;
	m->regs.rdx = 0xffffffff;
	m->regs.rbx = 1;
	assert_int_equal(RUN(m, divisions), VEC_UD);
	assert_int_equal(m->regs.rax, 0x80000000);
	assert_int_equal(m->regs.rdx, 0);
}

/* ---- flags ---- */

CODE_BYTES(popf_all, 32, "pushl %eax\n popfl\n pushfl\n popl %ecx\n pushl $2\n popfl");
static void popf_at_level_0_sets_all_but_vm_and_rf(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->regs.rax = 0xffffffff & ~(FLAG_TF | FLAG_IF | FLAG_AC);
	assert_int_equal(RUN(m, popf_all), VEC_UD);
	assert_int_equal(m->regs.rcx,
			 FLAGS_STATUS | FLAG_FIXED | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_ID);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_of_16_bits_wraps),
		cmocka_unit_test(bp_addresses_the_stack_segment),
		cmocka_unit_test(address_of_32_bits_is_cut_in_long_mode),
		cmocka_unit_test(lea_cuts_to_address_and_operand_size),
		cmocka_unit_test(moffs_and_xlat_use_the_data_segment),
		cmocka_unit_test(limit_is_checked_for_every_byte),
		cmocka_unit_test(limit_of_the_stack_segment_is_ss_fault),
		cmocka_unit_test(expand_down_segment_covers_above_its_limit),
		cmocka_unit_test(read_only_segment_refuses_stores),
		cmocka_unit_test(execute_only_segment_refuses_loads),
		cmocka_unit_test(word_at_the_end_of_a_real_segment_faults),
		cmocka_unit_test(only_fs_and_gs_have_a_base_in_long_mode),
		cmocka_unit_test(pusha_stores_in_order_and_popa_skips_sp),
		cmocka_unit_test(pusha_that_faults_stores_nothing),
		cmocka_unit_test(push_esp_stores_the_old_and_pop_esp_loads),
		cmocka_unit_test(pop_to_memory_counts_from_after_the_pop),
		cmocka_unit_test(enter_copies_the_outer_frame_pointers),
		cmocka_unit_test(leave_undoes_enter),
		cmocka_unit_test(enter_checks_the_new_top_of_the_stack),
		cmocka_unit_test(a_16_bit_stack_wraps),
		cmocka_unit_test(push_of_a_segment_register_stores_its_selector),
		cmocka_unit_test(decimal_adjustments_give_the_manuals_results),
		cmocka_unit_test(aam_splits_and_aad_joins_digits),
		cmocka_unit_test(branch_beyond_the_code_limit_faults_in_place),
		cmocka_unit_test(call_to_a_non_canonical_address_pushes_nothing),
		cmocka_unit_test(jump_of_16_bits_wraps_in_the_segment),
		cmocka_unit_test(push_to_a_non_canonical_stack_is_ss_fault),
		cmocka_unit_test(loop_counts_at_the_address_size),
		cmocka_unit_test(jcxz_looks_at_cx_only),
		cmocka_unit_test(bound_faults_outside_its_bounds),
		cmocka_unit_test(locked_operand_may_cross_pages),
		cmocka_unit_test(store_that_faults_leaves_the_flags),
		cmocka_unit_test(cmpxchg16b_needs_alignment),
		cmocka_unit_test(bit_number_reaches_beyond_the_operand),
		cmocka_unit_test(nop_keeps_the_upper_half_of_rax),
		cmocka_unit_test(idiv_faults_where_the_quotient_does_not_fit),
		cmocka_unit_test(popf_at_level_0_sets_all_but_vm_and_rf),
	};

	return cmocka_run_group_tests(tests, machine_setup, machine_teardown);
}
