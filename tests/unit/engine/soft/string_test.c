/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repeated string instructions: overlap, direction, counters at the address size, and what is left
 * when they are interrupted in the middle.
 */
#include "unit/engine/soft/code_machine.h"

CODE_BYTES(rep_movsb, 64, "rep movsb");
CODE_BYTES(rep_movsq, 64, "rep movsq");
CODE_BYTES(rep_stosb, 64, "rep stosb");
CODE_BYTES(rep_stosq, 64, "rep stosq");
CODE_BYTES(rep_lodsb, 64, "rep lodsb");
CODE_BYTES(repe_cmpsb, 64, "repe cmpsb");
CODE_BYTES(repne_scasb, 64, "repne scasb");
CODE_BYTES(repe_scasl, 64, "repe scasl");

static void fill(struct machine *m, uint64_t at, unsigned len)
{
	for (unsigned n = 0; n < len; n++)
		m->ram[at + n] = (uint8_t)(n * 7 + n / 256);
}

static void copy_spans_pages(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA + 0x123, 0x3000);
	m->regs.rsi = DATA + 0x123;
	m->regs.rdi = DATA + 0x8ff1;
	m->regs.rcx = 0x3000;
	assert_int_equal(RUN(m, rep_movsb), VEC_UD);
	assert_int_equal(m->regs.rcx, 0);
	assert_int_equal(m->regs.rsi, DATA + 0x3123);
	assert_int_equal(m->regs.rdi, DATA + 0xbff1);
	assert_memory_equal(m->ram + DATA + 0x123, m->ram + DATA + 0x8ff1, 0x3000);
	assert_int_equal(m->ram[DATA + 0xbff1], 0);
}

static void elements_may_cross_pages(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA + 3, 0x2000);
	m->regs.rsi = DATA + 3;
	m->regs.rdi = DATA + 0x8005;
	m->regs.rcx = 0x2000 / 8;
	assert_int_equal(RUN(m, rep_movsq), VEC_UD);
	assert_memory_equal(m->ram + DATA + 3, m->ram + DATA + 0x8005, 0x2000);
	machine_reset(m, LONG);
	m->regs.rdi = DATA + 0x8005;
	m->regs.rax = 0x0102030405060708;
	m->regs.rcx = 0x2000 / 8;
	assert_int_equal(RUN(m, rep_stosq), VEC_UD);
	for (unsigned n = 0; n < 0x2000; n += 8)
		assert_int_equal(machine_get(m, DATA + 0x8005 + n, 8), 0x0102030405060708);
	assert_int_equal(machine_get(m, DATA + 0x8005 + 0x2000, 8), 0);
}

static void forward_copy_onto_itself_repeats_the_pattern(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	machine_put(m, DATA, 3, 0x332211);
	m->regs.rsi = DATA;
	m->regs.rdi = DATA + 3;
	m->regs.rcx = 3000;
	assert_int_equal(RUN(m, rep_movsb), VEC_UD);
	for (unsigned n = 0; n < 3003; n++)
		assert_int_equal(m->ram[DATA + n], 0x11 * (n % 3 + 1));
	/* By eight bytes at a time the overlap of one byte gives something else. */
	machine_reset(m, LONG);
	fill(m, DATA, 64);
	m->regs.rsi = DATA;
	m->regs.rdi = DATA + 1;
	m->regs.rcx = 2;
	assert_int_equal(RUN(m, rep_movsq), VEC_UD);
	assert_int_equal(m->ram[DATA + 8], 7 * 7);
	assert_int_equal(m->ram[DATA + 9], 7 * 7);
	assert_int_equal(m->ram[DATA + 10], 9 * 7);
}

static void backward_copy_goes_down(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA, 0x1800);
	m->regs.rsi = DATA + 0x17ff;
	m->regs.rdi = DATA + 0x1fff;
	m->regs.rcx = 0x1800;
	m->regs.rflags |= FLAG_DF;
	assert_int_equal(RUN(m, rep_movsb), VEC_UD);
	assert_int_equal(m->regs.rsi, DATA - 1);
	assert_int_equal(m->regs.rdi, DATA + 0x7ff);
	for (unsigned n = 0; n < 0x1800; n++)
		assert_int_equal(m->ram[DATA + 0x800 + n], (uint8_t)(n * 7 + n / 256));
}

static void fault_in_the_middle_can_be_continued(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA, 0x1000);
	m->regs.rsi = DATA;
	m->regs.rdi = MISSING - 0x234;
	m->regs.rcx = 0x1000;
	assert_int_equal(RUN(m, rep_movsb), VEC_PF);
	assert_int_equal(m->cr2, MISSING);
	assert_int_equal(m->regs.rip, CODE);
	assert_int_equal(m->regs.rcx, 0x1000 - 0x234);
	assert_int_equal(m->regs.rsi, DATA + 0x234);
	assert_int_equal(m->regs.rdi, MISSING);
	machine_map(m, MISSING, PTE_P | PTE_W);
	assert_int_equal(machine_continue(m), VEC_UD);
	assert_int_equal(m->regs.rcx, 0);
	assert_memory_equal(m->ram + DATA, m->ram + MISSING - 0x234, 0x1000);
}

static void single_step_stops_after_each_element(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rdi = DATA;
	m->regs.rcx = 3;
	m->regs.rax = 0xee;
	m->regs.rflags |= FLAG_TF;
	assert_int_equal(RUN(m, rep_stosb), VEC_DB);
	assert_int_equal(m->regs.rip, CODE);
	assert_int_equal(m->regs.rcx, 2);
	assert_int_equal(machine_get(m, DATA, 4), 0xee);
	assert_int_equal(machine_continue(m), VEC_DB);
	assert_int_equal(m->regs.rcx, 1);
	assert_int_equal(machine_continue(m), VEC_DB);
	assert_int_equal(m->regs.rcx, 0);
	assert_int_equal(m->regs.rip, CODE + 2);
	assert_int_equal(machine_get(m, DATA, 4), 0xeeeeee);
}

CODE_BYTES(rep_movsw_16, 16, "rep movsw");
static void counter_and_pointers_have_the_address_size(void **state)
{
	struct machine *m = *state;

	machine_reset(m, REAL);
	fill(m, DATA, 0x10000);
	m->sregs.es.base = DATA + 0x10000;
	m->regs.rcx = 0xaaaa0004;
	m->regs.rsi = 0xbbbbfffc;
	m->regs.rdi = 0xcccc0100;
	assert_int_equal(RUN(m, rep_movsw_16), VEC_UD);
	assert_int_equal(m->regs.rcx, 0xaaaa0000);
	assert_int_equal(m->regs.rsi, 0xbbbb0004);
	assert_int_equal(m->regs.rdi, 0xcccc0108);
	assert_memory_equal(m->ram + DATA + 0x10100, m->ram + DATA + 0xfffc, 4);
	assert_memory_equal(m->ram + DATA + 0x10104, m->ram + DATA, 4);
}

CODE_BYTES(movs_fs, 64, "movsb %fs:(%rsi), (%rdi)");
static void segment_prefix_applies_to_the_source_only(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->sregs.fs.base = 0x1000;
	m->regs.rsi = DATA;
	m->regs.rdi = DATA;
	machine_put(m, DATA + 0x1000, 1, 0x42);
	assert_int_equal(RUN(m, movs_fs), VEC_UD);
	assert_int_equal(machine_get(m, DATA, 1), 0x42);
}

static void limit_of_the_destination_stops_the_run(void **state)
{
	struct machine *m = *state;

	machine_reset(m, PROT32);
	m->sregs.es.limit = DATA + 0x80f;
	m->sregs.es.g = 0;
	m->regs.rdi = DATA + 0x800;
	m->regs.rcx = 0x20;
	m->regs.rax = 0x99;
	assert_int_equal(RUN(m, rep_stosb), VEC_GP);
	assert_int_equal(m->regs.rcx, 0x10);
	assert_int_equal(m->regs.rdi, DATA + 0x810);
	assert_int_equal(machine_get(m, DATA + 0x80f, 2), 0x99);
}

static void scan_stops_behind_the_match(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	memset(m->ram + DATA, 0x61, 0x2000);
	m->ram[DATA + 0x1234] = 0;
	m->regs.rdi = DATA;
	m->regs.rcx = UINT64_MAX;
	assert_int_equal(RUN(m, repne_scasb), VEC_UD);
	assert_int_equal(m->regs.rdi, DATA + 0x1235);
	assert_int_equal(m->regs.rcx, UINT64_MAX - 0x1235);
	assert_true(m->regs.rflags & FLAG_ZF);
	machine_reset(m, LONG);
	machine_put(m, DATA, 8, 0x0000000500000005);
	machine_put(m, DATA + 8, 4, 7);
	m->regs.rdi = DATA;
	m->regs.rcx = 10;
	m->regs.rax = 5;
	assert_int_equal(RUN(m, repe_scasl), VEC_UD);
	assert_int_equal(m->regs.rcx, 7);
	assert_int_equal(m->regs.rflags & (FLAG_ZF | FLAG_CF), FLAG_CF);
}

static void comparison_finds_the_first_difference(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA, 0x3000);
	fill(m, DATA + 0x8000, 0x3000);
	m->ram[DATA + 0x8000 + 0x2345]++;
	m->regs.rsi = DATA;
	m->regs.rdi = DATA + 0x8000;
	m->regs.rcx = 0x3000;
	assert_int_equal(RUN(m, repe_cmpsb), VEC_UD);
	assert_int_equal(m->regs.rsi, DATA + 0x2346);
	assert_int_equal(m->regs.rcx, 0x3000 - 0x2346);
	assert_false(m->regs.rflags & FLAG_ZF);
}

/* Those from before it on Intel's CPUs, those of the last element on AMD's. */
static void comparison_that_faults_keeps_the_flags(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rsi = DATA;
	m->regs.rdi = MISSING - 16;
	m->regs.rcx = 0x100;
	m->regs.rflags |= FLAG_CF | FLAG_OF;
	assert_int_equal(RUN(m, repe_cmpsb), VEC_PF);
	assert_int_equal(m->regs.rcx, 0x100 - 16);
	assert_int_equal(m->regs.rflags & FLAGS_STATUS,
			 m->is_amd ? FLAG_ZF | FLAG_PF : FLAG_CF | FLAG_OF);
}

static void count_of_zero_does_nothing(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	m->regs.rsi = MISSING;
	m->regs.rdi = MISSING;
	m->regs.rflags |= FLAG_CF | FLAG_ZF;
	assert_int_equal(RUN(m, repe_cmpsb), VEC_UD);
	assert_int_equal(m->regs.rflags & FLAGS_STATUS, FLAG_CF | FLAG_ZF);
	machine_reset(m, LONG);
	m->regs.rdi = MISSING;
	assert_int_equal(RUN(m, rep_stosb), VEC_UD);
}

static void load_repeats_to_the_last_element(void **state)
{
	struct machine *m = *state;

	machine_reset(m, LONG);
	fill(m, DATA, 0x100);
	m->regs.rsi = DATA;
	m->regs.rcx = 0x20;
	assert_int_equal(RUN(m, rep_lodsb), VEC_UD);
	assert_int_equal(m->regs.rax, (0x1f * 7) & 0xff);
	assert_int_equal(m->regs.rsi, DATA + 0x20);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_spans_pages),
		cmocka_unit_test(elements_may_cross_pages),
		cmocka_unit_test(forward_copy_onto_itself_repeats_the_pattern),
		cmocka_unit_test(backward_copy_goes_down),
		cmocka_unit_test(fault_in_the_middle_can_be_continued),
		cmocka_unit_test(single_step_stops_after_each_element),
		cmocka_unit_test(counter_and_pointers_have_the_address_size),
		cmocka_unit_test(segment_prefix_applies_to_the_source_only),
		cmocka_unit_test(limit_of_the_destination_stops_the_run),
		cmocka_unit_test(scan_stops_behind_the_match),
		cmocka_unit_test(comparison_finds_the_first_difference),
		cmocka_unit_test(comparison_that_faults_keeps_the_flags),
		cmocka_unit_test(count_of_zero_does_nothing),
		cmocka_unit_test(load_repeats_to_the_last_element),
	};

	return cmocka_run_group_tests(tests, machine_setup, machine_teardown);
}
