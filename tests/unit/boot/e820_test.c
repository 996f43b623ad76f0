/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

static void expect(const struct e820_map *map, const struct e820_entry *golden, unsigned nr)
{
	assert_int_equal(map->nr, nr);
	for (unsigned i = 0; i < nr; i++) {
		assert_int_equal(map->entries[i].addr, golden[i].addr);
		assert_int_equal(map->entries[i].size, golden[i].size);
		assert_int_equal(map->entries[i].type, golden[i].type);
	}
}

static void map_of_a_pc_with_5_gib(void **state)
{
	static const struct e820_entry golden[] = {
		{0, 0x9fc00, E820_RAM},
		{0x9fc00, 0x400, E820_RESERVED},
		{0xe0000, 0x20000, E820_RESERVED},
		{0x100000, 0xbff00000, E820_RAM},
		{0xfeffc000, 0x4000, E820_RESERVED},
		{0x100000000, 0x80000000, E820_RAM},
	};
	struct fixture f;

	fixture_init(&f, 3 * GIB, 2 * GIB);
	expect(&f.e820, golden, ARRAY_SIZE(golden));
	assert_int_equal(e820_ram_size(&f.e820), 5 * GIB - 0x60400);
	fixture_fini(&f);
}

static void rom_is_no_ram(void **state)
{
	struct e820_map map;
	struct mem *m = mem_new();

	assert_int_equal(mem_add_region(m, 0, 2 * MIB, false, NULL), 0);
	assert_int_equal(mem_add_region(m, 0xfff00000, MIB, true, NULL), 0);
	e820_from_mem(&map, m);
	assert_true(e820_is_ram(&map, MIB, MIB));
	assert_false(e820_is_ram(&map, 0xfff00000, 1));
	mem_free(m);
}

static void setting_a_range_replaces_splits_and_joins(void **state)
{
	static const struct e820_entry split[] = {
		{0, 100, E820_RAM}, {100, 50, E820_ACPI}, {150, 850, E820_RAM}};
	static const struct e820_entry over[] = {
		{0, 90, E820_RAM}, {90, 70, E820_RESERVED}, {160, 840, E820_RAM}};
	static const struct e820_entry whole[] = {{0, 1000, E820_RAM}};
	static const struct e820_entry past[] = {{0, 1000, E820_RAM},
						 {UINT64_MAX - 9, 9, E820_RESERVED}};
	struct e820_map map = {0};

	e820_set(&map, 0, 1000, E820_RAM);
	e820_set(&map, 100, 50, E820_ACPI);
	expect(&map, split, 3);
	e820_set(&map, 90, 70, E820_RESERVED);
	expect(&map, over, 3);
	e820_set(&map, 90, 70, E820_RAM);
	expect(&map, whole, 1);
	e820_set(&map, 500, 0, E820_NVS);
	expect(&map, whole, 1);
	e820_set(&map, UINT64_MAX - 9, 100, E820_RESERVED);
	expect(&map, past, 2);
}

static void full_map_refuses_and_stays(void **state)
{
	struct e820_map map = {0};

	for (unsigned i = 0; i < E820_ENTRIES_MAX; i++)
		assert_int_equal(e820_set(&map, i * 100, 50, E820_RAM), 0);
	assert_int_equal(e820_set(&map, 10, 10, E820_ACPI), -ENOSPC);
	assert_int_equal(map.nr, E820_ENTRIES_MAX);
	assert_int_equal(map.entries[0].size, 50);
}

static void is_ram_takes_any_numbers(void **state)
{
	struct e820_map map = {0};

	e820_set(&map, 0x1000, 0x1000, E820_RAM);
	e820_set(&map, 0x2000, 0x1000, E820_RESERVED);
	assert_true(e820_is_ram(&map, 0x1000, 0x1000));
	assert_false(e820_is_ram(&map, 0x1000, 0x1001));
	assert_false(e820_is_ram(&map, 0xfff, 2));
	assert_false(e820_is_ram(&map, 0x1800, UINT64_MAX));
	assert_false(e820_is_ram(&map, 0x2000, 1));
	assert_false(e820_is_ram(&map, UINT64_MAX, UINT64_MAX));
}

static void find_high_keeps_floor_limit_alignment_and_distance(void **state)
{
	struct e820_map map = {0};
	struct e820_wish wish = {.size = 0x1800, .align = 0x1000, .limit = UINT64_MAX};
	uint64_t addr, largest;

	e820_set(&map, 0, 0x10000, E820_RAM);
	e820_set(&map, 0x20000, 0x800, E820_RAM);
	assert_int_equal(e820_find_high(&map, &wish, &addr, &largest), 0);
	assert_int_equal(addr, 0xe000);
	wish.limit = 0xf000;
	assert_int_equal(e820_find_high(&map, &wish, &addr, &largest), 0);
	assert_int_equal(addr, 0xd000);
	wish.avoid = 0x8000;
	wish.avoid_end = 0xe001;
	assert_int_equal(e820_find_high(&map, &wish, &addr, &largest), 0);
	assert_int_equal(addr, 0x6000);
	wish.floor = 0x7001;
	assert_int_equal(e820_find_high(&map, &wish, &addr, &largest), -ENOSPC);
	assert_int_equal(largest, 0);
	wish.floor = 0x6800;
	assert_int_equal(e820_find_high(&map, &wish, &addr, &largest), -ENOSPC);
	assert_int_equal(largest, 0x1000);
	wish.size = UINT64_MAX;
	assert_int_equal(e820_find_high(&map, &wish, &addr, NULL), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_of_a_pc_with_5_gib),
		cmocka_unit_test(rom_is_no_ram),
		cmocka_unit_test(setting_a_range_replaces_splits_and_joins),
		cmocka_unit_test(full_map_refuses_and_stays),
		cmocka_unit_test(is_ram_takes_any_numbers),
		cmocka_unit_test(find_high_keeps_floor_limit_alignment_and_distance),
	};

	return cmocka_run_group_tests_name("boot/e820", tests, NULL, NULL);
}
