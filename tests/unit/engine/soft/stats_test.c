/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of the software engine: each test runs a guest that does a thing so often that it
 * must show. With ThreadSanitizer nothing is translated (cache.h) and the tests are skipped.
 */
#include "engine/soft/cache.h"
#include "unit/engine/tiny_guest.h"

#define ROUNDS 100000

/* Each round goes through the three blocks of a page. */
GUEST_CODE(count, 64,
	   "mov $100000, %ecx\n"
	   "1: incq 0x10000\n"
	   "jmp 2f\n"
	   "2: dec %ecx\n"
	   "jnz 1b\n"
	   "out %al, $0xf0\n");

/* What no emitter translates. */
GUEST_CODE(identify, 64,
	   "mov $1000, %esi\n"
	   "1: xor %eax, %eax\n"
	   "cpuid\n"
	   "dec %esi\n"
	   "jnz 1b\n"
	   "out %al, $0xf0\n");

/* Writes its own immediate operand anew in each round. */
GUEST_CODE(patch, 64,
	   "mov $50, %esi\n"
	   "1: mov $0, %eax\n"
	   "2: jmp 3f\n"
	   "3: incl 2b-4(%rip)\n"
	   "dec %esi\n"
	   "jnz 1b\n"
	   "out %al, $0xf0\n");

/* Reads one byte of each of 64 pages, under a page table that is loaded anew in each round. */
GUEST_CODE(walk, 64,
	   "mov $100, %esi\n"
	   "1: mov %cr3, %rax\n"
	   "mov %rax, %cr3\n"
	   "mov $64, %ecx\n"
	   "mov $0x100000, %edi\n"
	   "2: mov (%rdi), %al\n"
	   "add $0x1000, %rdi\n"
	   "dec %ecx\n"
	   "jnz 2b\n"
	   "dec %esi\n"
	   "jnz 1b\n"
	   "out %al, $0xf0\n");

struct figures {
	struct engine_vm_stats vm;
	struct engine_vcpu_stats vcpu;
};

static struct figures run(const struct engine_options *opt, const uint8_t *code, size_t len)
{
	struct figures f;
	struct tiny t;
	int rc;

	tiny_open_with(&t, 1, opt);
	tiny_long_mode(&t);
	assert_int_equal(mem_write(t.mem, PHYS_CODE, code, len), 0);
	do
		rc = engine_vcpu_run(t.vcpu[0]);
	while (rc == -EINTR);
	assert_int_equal(rc, 0);
	assert_int_equal(t.run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(engine_vm_stats(t.vm, &f.vm), 0);
	assert_int_equal(engine_vcpu_stats(t.vcpu[0], &f.vcpu), 0);
	tiny_close(&t);
	return f;
}

#define RUN(name, ...) \
	run(&(const struct engine_options){__VA_ARGS__}, name, (size_t)(name##_end - name))

static void needs_translator(void)
{
	if (!HAS_TSAN)
		return;
	print_message("SKIP: in this build nothing is translated\n");
	skip();
}

static uint64_t sum_left(const struct figures *f)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n < NR_ENGINE_LEAVES; n++)
		sum += f->vcpu.left[n];
	return sum;
}

static void interpreter_counts_every_instruction(void **state)
{
	struct figures f = RUN(count, .is_interpreter = true);

	assert_int_equal(f.vcpu.interpreted, 2 + 4 * ROUNDS);
	assert_int_equal(f.vcpu.entries, 0);
	assert_int_equal(f.vm.translations, 0);
	assert_in_range(f.vm.blocks, 3, 6);
}

static void translated_instructions_are_not_interpreted(void **state)
{
	struct figures f;

	needs_translator();
	f = RUN(count, .heat = 10);
	assert_in_range(f.vcpu.interpreted, 10, 1000);
	assert_in_range(f.vm.translations, 1, 6);
	assert_in_range(f.vm.code_bytes, 50, 100000);
	assert_in_range(f.vm.links, 1, 10);
	assert_in_range(f.vcpu.entries, 1, 100);
	assert_true(f.vcpu.left[ENGINE_LEAVE_LINK] > 0);
	assert_int_equal(sum_left(&f), f.vcpu.entries);
}

static void singles_are_counted_by_name(void **state)
{
	struct figures f;

	needs_translator();
	f = RUN(identify, .heat = 10);
	assert_true(f.vcpu.nr_top > 0);
	assert_string_equal(f.vcpu.top[0].name, "cpuid");
	assert_in_range(f.vcpu.top[0].count, 900, 1000);
	assert_true(f.vcpu.singles >= f.vcpu.top[0].count);
	for (unsigned n = 1; n < f.vcpu.nr_top; n++)
		assert_true(f.vcpu.top[n - 1].count >= f.vcpu.top[n].count);
	assert_int_equal(sum_left(&f), f.vcpu.entries);
}

static void stores_into_code_are_counted(void **state)
{
	struct figures f = RUN(patch, .is_interpreter = true);

	assert_in_range(f.vm.dropped_by_stores, 50, 200);
	assert_int_equal(f.vm.dropped_by_devices, 0);
	assert_int_equal(f.vm.dropped_for_room, 0);
}

static void page_walks_are_counted(void **state)
{
	struct figures f = RUN(walk, .heat = 10);

	assert_in_range(f.vcpu.walks[ENGINE_READ], 6400, 6500);
	assert_true(f.vcpu.slow_accesses >= f.vcpu.walks[ENGINE_READ]);
	assert_in_range(f.vcpu.walks[ENGINE_FETCH], 100, 1000);
}

static void resets_use_memory_anew(void **state)
{
	struct engine_options opt = {.heat = 10, .block_cache_size = 1, .code_cache_size = 1};
	struct engine_vm_stats stats;
	struct tiny t;
	uint32_t rounds = 100;

	needs_translator();
	tiny_open_with(&t, 1, &opt);
	tiny_load(&t, PHYS_CODE, count);
	do {
		tiny_long_mode(&t);
		/* Unseen by the engine, which has run this code and must have forgotten it. */
		rounds++;
		memcpy(t.ram + PHYS_CODE + 1, &rounds, sizeof(rounds));
		tiny_put64(&t, PHYS_DATA, 0);
		assert_int_equal(engine_vcpu_run(t.vcpu[0]), 0);
		assert_int_equal(t.run->exit_reason, KVM_EXIT_IO);
		assert_int_equal(tiny_get64(&t, PHYS_DATA), rounds);
		assert_int_equal(engine_vcpu_reset(t.vcpu[0]), 0);
		engine_vm_reset(t.vm);
		assert_int_equal(engine_vm_stats(t.vm, &stats), 0);
	} while (stats.code_bytes < 8 * MIB);
	assert_true(stats.blocks > 10000);
	assert_int_equal(stats.block_parts, 0);
	assert_int_equal(stats.code_parts, 0);
	tiny_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreter_counts_every_instruction),
		cmocka_unit_test(translated_instructions_are_not_interpreted),
		cmocka_unit_test(singles_are_counted_by_name),
		cmocka_unit_test(stores_into_code_are_counted),
		cmocka_unit_test(page_walks_are_counted),
		cmocka_unit_test(resets_use_memory_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
