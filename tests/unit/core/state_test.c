/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "core/state.h"

struct thing {
	uint8_t a;
	uint32_t b;
	uint64_t c;
	bool d;
};

static void thing_state(struct state *s, struct thing *t, const char *name, uint32_t version)
{
	state_begin(s, name, version);
	state_u8(s, &t->a);
	state_u32(s, &t->b);
	state_u64(s, &t->c);
	state_bool(s, &t->d);
	state_end(s);
}

static struct buf saved(void)
{
	struct thing t = {1, 2, 3, true};
	struct buf out = {0};
	struct state s;

	state_init_save(&s, &out);
	thing_state(&s, &t, "thing", 2);
	return out;
}

static void loads_what_it_saved(void **state)
{
	struct buf b = saved();
	struct thing t = {0};
	struct state s;

	state_init_load(&s, b.data, b.len);
	thing_state(&s, &t, "thing", 2);
	assert_false(state_failed(&s));
	assert_int_equal(t.a, 1);
	assert_int_equal(t.b, 2);
	assert_int_equal(t.c, 3);
	assert_true(t.d);
	buf_free(&b);
}

static void every_shortened_stream_is_refused(void **state)
{
	struct buf b = saved();

	for (size_t len = 0; len < b.len; len++) {
		struct thing t;
		struct state s;

		state_init_load(&s, b.data, len);
		thing_state(&s, &t, "thing", 2);
		assert_true(state_failed(&s));
	}
	buf_free(&b);
}

static void other_name_and_newer_version_are_refused(void **state)
{
	struct buf b = saved();
	struct thing t;
	struct state s;

	state_init_load(&s, b.data, b.len);
	thing_state(&s, &t, "other", 2);
	assert_string_equal(s.error.text,
			    "saved state holds \"thing\" where \"other\" is expected");
	state_init_load(&s, b.data, b.len);
	thing_state(&s, &t, "thing", 1);
	assert_string_equal(s.error.text, "saved state of thing is version 2, newer than 1");
	buf_free(&b);
}

static void longer_section_is_refused(void **state)
{
	struct buf b = saved();
	uint8_t a;
	struct state s;

	state_init_load(&s, b.data, b.len);
	state_begin(&s, "thing", 2);
	state_u8(&s, &a);
	state_end(&s);
	assert_true(state_failed(&s));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_what_it_saved),
		cmocka_unit_test(every_shortened_stream_is_refused),
		cmocka_unit_test(other_name_and_newer_version_are_refused),
		cmocka_unit_test(longer_section_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
