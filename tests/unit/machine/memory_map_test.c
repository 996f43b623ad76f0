/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "machine/memory_map.h"

static void window_for_64_bit_bars_is_above_ram_and_within_the_address_space(void **state)
{
	static const struct {
		uint64_t ram;
		unsigned bits;
		uint64_t base, size;
	} cases[] = {
		{512 * MIB, 46, 256 * GIB, 256 * GIB}, {300 * GIB, 46, 512 * GIB, 256 * GIB},
		{TIB, 46, 1280 * GIB, 256 * GIB},      {2 * GIB, 36, 32 * GIB, 32 * GIB},
		{28 * GIB, 36, 32 * GIB, 32 * GIB},    {29 * GIB, 36, 64 * GIB, 0},
		{600 * GIB, 40, 768 * GIB, 256 * GIB}, {TIB, 40, 1280 * GIB, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t base, size;

		memory_map_mem64(cases[i].ram, cases[i].bits, &base, &size);
		assert_true(base == cases[i].base);
		assert_true(size == cases[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_for_64_bit_bars_is_above_ram_and_within_the_address_space),
	};

	return cmocka_run_group_tests_name("machine/memory_map", tests, NULL, NULL);
}
