/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "base/parse.h"

static uint64_t size_of(const char *text)
{
	uint64_t bytes = 0;

	assert_int_equal(parse_size(text, MIB, &bytes, NULL), 0);
	return bytes;
}

static void sizes_take_one_unit_in_either_case(void **state)
{
	assert_int_equal(size_of("64"), 64 * MIB);
	assert_int_equal(size_of("4096B"), 4096);
	assert_int_equal(size_of("3k"), 3 * KIB);
	assert_int_equal(size_of("2G"), 2 * GIB);
	assert_int_equal(size_of("1t"), TIB);
	assert_int_equal(size_of("0"), 0);
}

static void sizes_that_wrap_are_refused(void **state)
{
	uint64_t bytes;

	/* A test by "shifted < value" lets the first one pass (E-02). */
	assert_int_equal(parse_size("25165824T", MIB, &bytes, NULL), -ERANGE);
	assert_int_equal(parse_size("16384P", MIB, &bytes, NULL), -ERANGE);
	assert_int_equal(parse_size("99999999999999999999", MIB, &bytes, NULL), -ERANGE);
}

static void words_that_are_no_sizes_are_refused(void **state)
{
	uint64_t bytes;
	const char *const bad[] = {"", "M", "-1", "1MM", "1 M", "+4", "0x10"};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_size(bad[i], MIB, &bytes, NULL), -EINVAL);
}

static void formatted_size_parses_to_itself(void **state)
{
	const uint64_t sizes[] = {0, 1, 1023, 1024, 1025 * KIB, 512 * MIB, TIB, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char text[32];

		format_size(sizes[i], text, sizeof(text));
		assert_int_equal(size_of(text), sizes[i]);
	}
}

static void distance_counts_edits(void **state)
{
	assert_int_equal(word_distance("memory", "memory"), 0);
	assert_int_equal(word_distance("memroy", "memory"), 2);
	assert_int_equal(word_distance("cpu", "cpus"), 1);
	assert_int_equal(word_distance("", "abc"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_take_one_unit_in_either_case),
		cmocka_unit_test(sizes_that_wrap_are_refused),
		cmocka_unit_test(words_that_are_no_sizes_are_refused),
		cmocka_unit_test(formatted_size_parses_to_itself),
		cmocka_unit_test(distance_counts_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
