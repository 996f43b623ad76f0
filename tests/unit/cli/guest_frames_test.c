/* SPDX-License-Identifier: BSD-2-Clause */
#include "../test.h"

#include "boot/initramfs/protocol.h"
#include "cli/guest_frames.h"

static void add(struct buf *b, uint32_t type, const void *data, uint32_t len)
{
	const struct frame f = {type, len};

	buf_append(b, &f, sizeof(f));
	buf_append(b, data, len);
}

static void frames_are_taken_one_by_one(void **state)
{
	struct buf arrived = {0};
	struct guest_frame f;
	size_t at = 0;

	add(&arrived, FRAME_STDOUT, "abc", 3);
	add(&arrived, FRAME_EXIT, "\x2a\0\0\0", 4);
	assert_int_equal(guest_frame_next(&arrived, &at, &f), 1);
	assert_int_equal(f.type, FRAME_STDOUT);
	assert_int_equal(f.len, 3);
	assert_memory_equal(f.payload, "abc", 3);
	assert_int_equal(guest_frame_number(&f), 0);
	assert_int_equal(guest_frame_next(&arrived, &at, &f), 1);
	assert_int_equal(guest_frame_number(&f), 42);
	assert_int_equal(guest_frame_next(&arrived, &at, &f), 0);
	assert_int_equal(at, arrived.len);
	buf_free(&arrived);
}

static void part_of_a_frame_is_none(void **state)
{
	struct buf arrived = {0};
	struct guest_frame f;
	size_t at = 0;

	add(&arrived, FRAME_STDOUT, "abcd", 4);
	for (; arrived.len; arrived.len--) {
		bool is_whole = arrived.len == sizeof(struct frame) + 4;

		at = 0;
		assert_int_equal(guest_frame_next(&arrived, &at, &f), is_whole);
		assert_int_equal(at, is_whole ? arrived.len : 0);
	}
	buf_free(&arrived);
}

static void longer_frame_than_there_are_is_refused(void **state)
{
	const struct frame longest = {FRAME_STDOUT, FRAME_DATA_MAX};
	const struct frame longer = {FRAME_STDOUT, FRAME_DATA_MAX + 1};
	struct buf arrived = {0};
	struct guest_frame f;
	size_t at = 0;

	buf_append(&arrived, &longest, sizeof(longest));
	assert_int_equal(guest_frame_next(&arrived, &at, &f), 0);
	memcpy(arrived.data, &longer, sizeof(longer));
	assert_int_equal(guest_frame_next(&arrived, &at, &f), -EPROTO);
	assert_int_equal(at, 0);
	buf_free(&arrived);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_taken_one_by_one),
		cmocka_unit_test(part_of_a_frame_is_none),
		cmocka_unit_test(longer_frame_than_there_are_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
