/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block cache: what a block holds, which changes drop it, and that it stays within its memory.
 */
#include "engine/soft/cache.h"

#include "engine/soft/mmu.h"
#include "engine/soft/vcpu.h"
#include "unit/engine/tiny_guest.h"

#define NOP  0x90
#define JMP  0xeb
#define PAGE 0x30000

struct fixture {
	struct tiny t;
	struct cpu *c;
	struct block_cache *bc;
};

static void open_fixture(void **state, unsigned nr_vcpus)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tiny_open(&f->t, nr_vcpus);
	tiny_long_mode(&f->t);
	f->c = soft_cpu_of(f->t.vcpu[0]);
	f->bc = f->c->vm->blocks;
	memset(f->t.ram + PAGE, NOP, 0x10000);
	*state = f;
}

static int one_vcpu(void **state)
{
	open_fixture(state, 1);
	return 0;
}

static int two_vcpus(void **state)
{
	open_fixture(state, 2);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tiny_close(&f->t);
	free(f);
	return 0;
}

static struct block *find(struct fixture *f, uint64_t rip)
{
	f->c->rip = rip;
	if (setjmp(f->c->unwind))
		fail_msg("fetch at %#llx faults", (unsigned long long)rip);
	return block_find(f->c);
}

static void put_code(struct fixture *f, uint64_t gpa, const char *code, size_t len)
{
	memcpy(f->t.ram + gpa, code, len);
	mem_wrote(f->t.mem, gpa, len);
}

static void block_ends_at_a_branch(void **state)
{
	struct fixture *f = *state;
	struct block *b;

	put_code(f, PAGE + 3, "\xeb\xfe", 2);
	b = find(f, PAGE);
	assert_int_equal(b->nr, 4);
	assert_int_equal(b->size, 5);
	assert_int_equal(b->gpa, PAGE);
	assert_ptr_equal(find(f, PAGE), b);
	assert_ptr_not_equal(find(f, PAGE + 1), b);
}

static void block_ends_at_its_limit_and_at_the_page(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(find(f, PAGE)->nr, BLOCK_INSNS_MAX);
	assert_int_equal(find(f, PAGE + 0xffa)->nr, 6);
}

static void instruction_across_pages_is_private(void **state)
{
	struct fixture *f = *state;
	struct block *b;

	put_code(f, PAGE + 0xffe, "\xb8\x01\x02\x03\x04", 5);
	b = find(f, PAGE + 0xffe);
	assert_true(block_is_alone(f->c, b));
	assert_int_equal(b->nr, 1);
	assert_int_equal(b->size, 5);
	assert_int_equal(b->insns[0].imm, 0x04030201);
	f->t.ram[PAGE + 0x1002] = 0x14;
	assert_int_equal(find(f, PAGE + 0xffe)->insns[0].imm, 0x14030201);
	f->t.ram[PAGE + 0xfff] = 0x11;
	assert_int_equal(find(f, PAGE + 0xffe)->insns[0].imm, 0x14030211);
	memcpy(f->t.ram + PAGE + 0xffe, "\x90\x90", 2);
	assert_int_equal(find(f, PAGE + 0xffe)->size, 2);
	memcpy(f->t.ram + PAGE + 0xffe, "\xb8\x01", 2);
	mem_wrote(f->t.mem, PAGE + 0xffe, 2);
	/* A block before it ends where it begins. */
	assert_int_equal(find(f, PAGE + 0xff0)->size, 14);
	assert_false(block_cache_is_watched(f->bc, PAGE + 0x1000));
}

static void modes_have_blocks_of_their_own(void **state)
{
	struct fixture *f = *state;
	struct block *b = find(f, PAGE);

	f->c->seg[SEG_CS].attr &= (uint16_t)~SEG_ATTR_L;
	f->c->seg[SEG_CS].attr |= SEG_ATTR_DB;
	cpu_update_mode(f->c);
	assert_ptr_not_equal(find(f, PAGE), b);
	f->c->seg[SEG_CS].attr |= SEG_ATTR_L;
	f->c->seg[SEG_CS].attr &= (uint16_t)~SEG_ATTR_DB;
	cpu_update_mode(f->c);
	assert_ptr_equal(find(f, PAGE), b);
}

static void stepping_makes_blocks_of_one(void **state)
{
	struct fixture *f = *state;

	cpu_set_rflags(f->c, FLAG_FIXED | FLAG_TF);
	assert_int_equal(find(f, PAGE)->nr, 1);
}

static void change_drops_the_blocks_it_touches(void **state)
{
	struct fixture *f = *state;
	struct block *low, *high;

	put_code(f, PAGE + 3, "\xeb\xfe", 2);
	put_code(f, PAGE + 0x103, "\xeb\xfe", 2);
	low = find(f, PAGE);
	high = find(f, PAGE + 0x100);
	assert_true(block_cache_is_watched(f->bc, PAGE));
	mem_wrote(f->t.mem, PAGE + 5, 0xfb); /* from behind the first up to the second */
	assert_true(low->is_valid);
	assert_true(high->is_valid);
	mem_wrote(f->t.mem, PAGE + 4, 1);
	assert_false(low->is_valid);
	assert_true(high->is_valid);
	mem_wrote(f->t.mem, PAGE + 0x80, 0x81);
	assert_false(high->is_valid);
	assert_false(block_cache_is_watched(f->bc, PAGE));
	assert_ptr_not_equal(find(f, PAGE), low);
}

static void guest_stores_are_seen_through_the_tlb(void **state)
{
	struct fixture *f = *state;
	struct block *b;

	if (setjmp(f->c->unwind))
		fail();
	mmu_store8(f->c, NULL, PAGE + 0x800, NOP); /* the TLB may write the page now */
	b = find(f, PAGE);
	mmu_store8(f->c, NULL, PAGE + 1, 0xcc);
	assert_false(b->is_valid);
	assert_int_equal(f->t.ram[PAGE + 1], 0xcc);
	/* With the last block gone stores are fast again. */
	assert_false(block_cache_is_watched(f->bc, PAGE));
	mmu_store8(f->c, NULL, PAGE + 2, 0xcc);
	assert_int_equal(atomic_load(&tlb_slot(f->c, PAGE)->tag_write), PAGE);
}

static void running_block_is_not_changed_under_itself(void **state)
{
	struct fixture *f = *state;
	struct block *b = find(f, PAGE);
	struct insn i = {.len = 1, .off = 7};

	f->c->block = b;
	f->c->gpr[SLOT_RIP] = PAGE;
	switch (setjmp(f->c->unwind)) {
	case 0:
		mmu_store8(f->c, &i, PAGE + 20, 0xcc);
		fail();
		break;
	case UNWIND_ALONE:
		break;
	default:
		fail();
	}
	assert_int_equal(f->c->rip, PAGE + 7);
	assert_int_equal(f->t.ram[PAGE + 20], NOP);
	assert_true(b->is_valid);
	f->c->block = block_alone(f->c);
	assert_int_equal(f->c->block->nr, 1);
	mmu_store8(f->c, &i, PAGE + 20, 0xcc);
	assert_false(b->is_valid);
	assert_int_equal(f->t.ram[PAGE + 20], 0xcc);
}

static void data_beside_old_code_becomes_fast(void **state)
{
	struct fixture *f = *state;
	struct block *b = find(f, PAGE);

	for (unsigned n = 0; n < 200; n++)
		mmu_store8(f->c, NULL, PAGE + 0x800, (uint8_t)n);
	assert_false(b->is_valid);
	assert_int_equal(atomic_load(&tlb_slot(f->c, PAGE)->tag_write), PAGE);
}

static void late_store_of_another_vcpu_is_found(void **state)
{
	struct fixture *f = *state;
	struct cpu *other = soft_cpu_of(f->t.vcpu[1]);
	struct block *b;

	if (setjmp(f->c->unwind))
		fail();
	mmu_store8(f->c, NULL, PAGE, NOP); /* so that the page counts as written to */
	atomic_store(&other->epoch, 10);   /* running guest code */
	b = find(f, PAGE);
	f->t.ram[PAGE + 3] = 0xcc; /* past its check when the watch began */
	block_cache_verify(f->c);
	assert_false(b->is_valid);

	/* As long as the other has not passed a safe point there may be more of them. */
	mmu_store8(f->c, NULL, PAGE, NOP);
	b = find(f, PAGE);
	block_cache_verify(f->c);
	assert_true(atomic_load(&other->requests) & REQ_SAFE);
	f->t.ram[PAGE + 3] = 0xcd;
	block_cache_verify(f->c);
	assert_false(b->is_valid);
	atomic_store(&other->epoch, 1);
}

static void memory_is_reused_without_mixing_blocks(void **state)
{
	struct fixture *f = *state;
	struct engine_options options = {.block_cache_size = 1};
	const unsigned nr_blocks = 40000;

	/* The smallest cache there is, and many blocks of two instructions each. */
	engine_vcpu_free(f->t.vcpu[0]);
	engine_vm_free(f->t.vm);
	engine_close(f->t.engine);
	f->t.engine = engine_open("soft", &options, NULL);
	f->t.vm = engine_vm_new(f->t.engine, f->t.mem, NULL);
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	assert_int_equal(cpuid_model("auto", cpuid, NULL), 0);
	f->t.vcpu[0] = engine_vcpu_new(f->t.vm, 0, cpuid, NULL);
	free(cpuid);
	f->c = soft_cpu_of(f->t.vcpu[0]);
	tiny_long_mode(&f->t);
	for (unsigned n = 0; n < nr_blocks; n++) {
		uint8_t code[] = {0xb0, (uint8_t)n, JMP, 0xfe};

		put_code(f, PAGE + n * 4, (const char *)code, 4);
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < nr_blocks; n++) {
			struct block *b = find(f, PAGE + n * 4);

			assert_true(b->is_valid);
			assert_int_equal(b->gpa, PAGE + n * 4);
			assert_int_equal((uint8_t)b->insns[0].imm, (uint8_t)n);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, one_vcpu, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(block_ends_at_a_branch),
		TEST(block_ends_at_its_limit_and_at_the_page),
		TEST(instruction_across_pages_is_private),
		TEST(modes_have_blocks_of_their_own),
		TEST(stepping_makes_blocks_of_one),
		TEST(change_drops_the_blocks_it_touches),
		TEST(guest_stores_are_seen_through_the_tlb),
		TEST(running_block_is_not_changed_under_itself),
		TEST(data_beside_old_code_becomes_fast),
		cmocka_unit_test_setup_teardown(late_store_of_another_vcpu_is_found, two_vcpus,
						tear_down),
		TEST(memory_is_reused_without_mixing_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
