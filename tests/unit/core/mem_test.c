/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "core/mem.h"

static struct mem *two_regions(void)
{
	struct mem *m = mem_new();
	struct error err;

	assert_int_equal(mem_add_region(m, 4 * GIB, 2 * MIB, false, &err), 0);
	assert_int_equal(mem_add_region(m, 0, MIB, false, &err), 0);
	assert_int_equal(mem_add_region(m, MIB, 64 * KIB, true, &err), 0);
	return m;
}

static void regions_are_sorted(void **state)
{
	struct mem *m = two_regions();

	assert_int_equal(mem_nr_regions(m), 3);
	assert_int_equal(mem_region_at(m, 0)->gpa, 0);
	assert_true(mem_region_at(m, 1)->is_rom);
	assert_int_equal(mem_region_at(m, 2)->gpa, 4 * GIB);
	mem_free(m);
}

static void overlap_and_odd_sizes_are_refused(void **state)
{
	struct mem *m = two_regions();
	struct error err;

	assert_int_equal(mem_add_region(m, MIB - 4096, 8192, false, &err), -EINVAL);
	assert_int_equal(mem_add_region(m, 8 * GIB, 100, false, &err), -EINVAL);
	assert_int_equal(mem_add_region(m, 8 * GIB + 1, 4096, false, &err), -EINVAL);
	assert_int_equal(mem_add_region(m, 8 * GIB, 0, false, &err), -EINVAL);
	assert_int_equal(mem_add_region(m, UINT64_MAX - 4095, 8192, false, &err), -EINVAL);
	assert_int_equal(mem_nr_regions(m), 3);
	mem_free(m);
}

static void read_spans_adjacent_regions(void **state)
{
	struct mem *m = two_regions();
	uint8_t bytes[4] = {1, 2, 3, 4}, back[4];

	assert_int_equal(mem_load(m, MIB - 2, bytes, 4), 0);
	assert_int_equal(mem_read(m, MIB - 2, back, 4), 0);
	assert_memory_equal(bytes, back, 4);
	mem_free(m);
}

static void write_to_rom_or_nothing_is_refused(void **state)
{
	struct mem *m = two_regions();
	uint8_t bytes[4] = {0};

	assert_int_equal(mem_write(m, MIB, bytes, 4), -EFAULT);
	assert_int_equal(mem_write(m, MIB - 2, bytes, 4), -EFAULT);
	assert_int_equal(mem_read(m, 2 * GIB, bytes, 4), -EFAULT);
	assert_int_equal(mem_read(m, UINT64_MAX - 1, bytes, 4), -EFAULT);
	assert_int_equal(mem_read(m, 4 * GIB + 2 * MIB - 2, bytes, 4), -EFAULT);
	mem_free(m);
}

static void slice_stays_inside_one_region(void **state)
{
	struct mem *m = two_regions();

	assert_non_null(mem_slice(m, 4 * GIB, 2 * MIB, MEM_WRITE));
	assert_null(mem_slice(m, 4 * GIB, 2 * MIB + 1, MEM_READ));
	assert_null(mem_slice(m, MIB - 1, 2, MEM_READ));
	assert_null(mem_slice(m, MIB, 1, MEM_WRITE));
	assert_non_null(mem_slice(m, MIB, 1, MEM_READ));
	assert_null(mem_slice(m, 4 * GIB + 1, UINT64_MAX, MEM_READ));
	mem_free(m);
}

static void note_write(void *ctx, gpa_t gpa, uint64_t len)
{
	uint64_t *seen = ctx;

	seen[0] = gpa;
	seen[1] = len;
}

static void hook_hears_of_every_write(void **state)
{
	struct mem *m = two_regions();
	uint64_t seen[2] = {0};

	mem_set_write_hook(m, note_write, seen);
	assert_int_equal(mem_write(m, 0x1234, "abc", 3), 0);
	assert_int_equal(seen[0], 0x1234);
	assert_int_equal(seen[1], 3);
	mem_free(m);
}

static void clear_zeroes_ram_and_keeps_rom(void **state)
{
	struct mem *m = two_regions();
	uint8_t byte;

	mem_load(m, 0x100, "x", 1);
	mem_load(m, MIB, "y", 1);
	mem_load(m, 4 * GIB, "z", 1);
	mem_clear_ram(m);
	mem_read(m, 0x100, &byte, 1);
	assert_int_equal(byte, 0);
	mem_read(m, MIB, &byte, 1);
	assert_int_equal(byte, 'y');
	mem_read(m, 4 * GIB, &byte, 1);
	assert_int_equal(byte, 0);
	mem_free(m);
}

static void discarded_pages_are_zero_and_parts_of_pages_stay(void **state)
{
	struct mem *m = mem_new();
	struct error err = {0};
	uint8_t *host;

	assert_int_equal(mem_add_region(m, 0x100000, 16 * 4096, false, &err), 0);
	assert_int_equal(mem_add_region(m, 0x800000, 4096, true, &err), 0);
	host = mem_slice(m, 0x100000, 16 * 4096, MEM_WRITE);
	memset(host, 0x5a, 16 * 4096);
	assert_int_equal(mem_discard(m, host + 1, 3 * 4096), 2 * 4096);
	assert_int_equal(host[4095], 0x5a);
	assert_int_equal(host[4096], 0);
	assert_int_equal(host[3 * 4096 - 1], 0);
	assert_int_equal(host[3 * 4096], 0x5a);
	assert_int_equal(mem_discard(m, host + 5, 4096), 0);
	assert_int_equal(mem_discard(m, host + 15 * 4096, 2 * 4096), 0); /* past the end */
	assert_int_equal(host[15 * 4096], 0x5a);
	assert_int_equal(mem_discard(m, &err, 4096), 0); /* not guest memory */
	host = mem_slice(m, 0x800000, 4096, MEM_READ);
	assert_int_equal(mem_discard(m, host, 4096), 0); /* ROM */
	mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_sorted),
		cmocka_unit_test(overlap_and_odd_sizes_are_refused),
		cmocka_unit_test(read_spans_adjacent_regions),
		cmocka_unit_test(write_to_rom_or_nothing_is_refused),
		cmocka_unit_test(slice_stays_inside_one_region),
		cmocka_unit_test(hook_hears_of_every_write),
		cmocka_unit_test(clear_zeroes_ram_and_keeps_rom),
		cmocka_unit_test(discarded_pages_are_zero_and_parts_of_pages_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
