/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "device/i8042.h"

struct fixture {
	struct bus *pio;
	struct fake_line irq[2]; /* keyboard, mouse */
	struct i8042 *c;
	unsigned nr_resets;
};

static void count_reset(void *ctx)
{
	((struct fixture *)ctx)->nr_resets++;
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.pio = bus_new(BUS_PIO);
	f.c = i8042_new(&(struct i8042_params){.pio = f.pio,
					       .irq_keyboard = fake_line(f.irq, 0),
					       .irq_mouse = fake_line(f.irq, 1),
					       .reset = count_reset,
					       .ctx = &f},
			NULL);
	assert_non_null(f.c);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	i8042_device(f->c)->ops->free(i8042_device(f->c));
	bus_free(f->pio);
	return 0;
}

static void command(struct fixture *f, uint8_t value)
{
	assert_int_equal(in8(f->pio, 0x64) & 2, 0);
	out8(f->pio, 0x64, value);
}

static void data(struct fixture *f, uint8_t value)
{
	out8(f->pio, 0x60, value);
}

static uint8_t status(struct fixture *f)
{
	return in8(f->pio, 0x64);
}

/* The next byte, which must be there; from the mouse or not. */
static uint8_t next(struct fixture *f, bool is_mouse)
{
	assert_int_equal(status(f) & 0x21, is_mouse ? 0x21 : 0x01);
	return in8(f->pio, 0x60);
}

#define assert_empty(f) assert_int_equal(status(f) & 1, 0)

static void to_mouse(struct fixture *f, uint8_t value)
{
	command(f, 0xd4);
	data(f, value);
}

static void set_ctr(struct fixture *f, uint8_t value)
{
	command(f, 0x60);
	data(f, value);
}

/* The probe of Linux's driver, step by step. */
static void linux_probes_cleanly(void **state)
{
	struct fixture *f = *state;

	assert_empty(f);
	assert_int_equal(status(f) & 0x10, 0x10);
	command(f, 0xaa);
	assert_int_equal(next(f, false), 0x55);
	command(f, 0x20);
	assert_int_equal(next(f, false), 0x47);
	set_ctr(f, 0x74);
	command(f, 0xd3);
	data(f, 0x5a);
	assert_int_equal(next(f, true), 0x5a);
	command(f, 0xa7);
	command(f, 0x20);
	assert_int_equal(next(f, false) & 0x20, 0x20);
	command(f, 0xa8);
	command(f, 0x20);
	assert_int_equal(next(f, false) & 0x20, 0);
	command(f, 0xa9);
	assert_int_equal(next(f, false), 0x00);
	command(f, 0xab);
	assert_int_equal(next(f, false), 0x00);
	set_ctr(f, 0x56); /* the interrupt of the mouse port is tested by a loop */
	command(f, 0xd3);
	data(f, 0xa5);
	assert_true(f->irq[1].level);
	assert_int_equal(next(f, true), 0xa5);
	assert_false(f->irq[1].level);
}

static void keyboard_answers_its_commands(void **state)
{
	struct fixture *f = *state;

	set_ctr(f, 0x05); /* untranslated */
	data(f, 0xff);
	assert_true(f->irq[0].level);
	assert_int_equal(next(f, false), 0xfa);
	assert_int_equal(next(f, false), 0xaa);
	assert_int_equal(f->irq[0].nr_rises, 2); /* an edge per byte */
	data(f, 0xf2);
	assert_int_equal(next(f, false), 0xfa);
	assert_int_equal(next(f, false), 0xab);
	assert_int_equal(next(f, false), 0x83);
	data(f, 0xed);
	assert_int_equal(next(f, false), 0xfa);
	data(f, 0x02);
	assert_int_equal(next(f, false), 0xfa);
	data(f, 0xee);
	assert_int_equal(next(f, false), 0xee);
	data(f, 0xf0);
	data(f, 0x00);
	assert_int_equal(next(f, false), 0xfa);
	assert_int_equal(next(f, false), 0xfa);
	assert_int_equal(next(f, false), 2);
	data(f, 0x12);
	assert_int_equal(next(f, false), 0xfe);
	assert_empty(f);
}

static void keys_arrive_in_the_set_asked_for(void **state)
{
	struct fixture *f = *state;
	const uint8_t translated[] = {0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0xc1};
	const uint8_t set2[] = {0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83, 0xf0, 0x83};

	for (unsigned set = 1; set <= 2; set++) {
		set_ctr(f, set == 1 ? 0x45 : 0x05);
		for (unsigned i = 0; i < 3; i++) {
			static const unsigned keys[] = {0x1e, 0xe048, 0x41}; /* A, up, F7 */

			assert_true(i8042_key(f->c, keys[i], true));
			assert_true(i8042_key(f->c, keys[i], false));
		}
		if (set == 1)
			for (unsigned i = 0; i < sizeof(translated); i++)
				assert_int_equal(next(f, false), translated[i]);
		else
			for (unsigned i = 0; i < sizeof(set2); i++)
				assert_int_equal(next(f, false), set2[i]);
		assert_empty(f);
	}
	data(f, 0xf0);
	data(f, 0x01);
	next(f, false);
	next(f, false);
	i8042_key(f->c, 0x1e, false);
	assert_int_equal(next(f, false), 0x9e);
	i8042_key(f->c, 0xe11d, true);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(next(f, false),
				 ((uint8_t[]){0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5})[i]);
	assert_true(i8042_key(f->c, 0x12345, true)); /* no such key */
	assert_empty(f);
}

static void full_queue_refuses_keys_but_answers_commands(void **state)
{
	struct fixture *f = *state;
	unsigned taken = 0;

	while (taken < 1000 && i8042_key(f->c, 0x1e, true))
		taken++;
	assert_in_range(taken, 16, 64);
	data(f, 0xee);
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(next(f, false), 0x1e);
	assert_int_equal(next(f, false), 0xee);
}

static void disabled_keyboard_is_silent(void **state)
{
	struct fixture *f = *state;

	command(f, 0xad);
	i8042_key(f->c, 0x1e, true);
	assert_empty(f);
	command(f, 0xae);
	assert_int_equal(next(f, false), 0x1e);
	data(f, 0xf5);
	assert_int_equal(next(f, false), 0xfa);
	assert_false(i8042_key(f->c, 0x1e, true));
	assert_empty(f);
}

static void mouse_reports_movement_after_enable(void **state)
{
	struct fixture *f = *state;

	assert_false(i8042_mouse(f->c, 1, 1, 0, 0));
	to_mouse(f, 0xff);
	assert_int_equal(next(f, true), 0xfa);
	assert_int_equal(next(f, true), 0xaa);
	assert_int_equal(next(f, true), 0x00);
	to_mouse(f, 0xf4);
	assert_int_equal(next(f, true), 0xfa);
	i8042_mouse(f->c, 5, -3, 0, MOUSE_LEFT);
	assert_true(f->irq[1].level);
	assert_int_equal(next(f, true), 0x29);
	assert_int_equal(next(f, true), 5);
	assert_int_equal(next(f, true), 0xfd);
	to_mouse(f, 0xe9);
	assert_int_equal(next(f, true), 0xfa);
	assert_int_equal(next(f, true), 0x24);
	assert_int_equal(next(f, true), 2);
	assert_int_equal(next(f, true), 100);
	assert_empty(f);
}

static void wheel_appears_after_the_knock(void **state)
{
	struct fixture *f = *state;
	static const uint8_t knock[] = {0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2};

	for (unsigned i = 0; i < sizeof(knock); i++) {
		to_mouse(f, knock[i]);
		assert_int_equal(next(f, true), 0xfa);
	}
	assert_int_equal(next(f, true), 3);
	to_mouse(f, 0xf4);
	next(f, true);
	i8042_mouse(f->c, 0, 0, 1, 0);
	assert_int_equal(next(f, true), 0x08);
	next(f, true);
	next(f, true);
	assert_int_equal(next(f, true), 0xff);
}

static void movement_beyond_the_queue_is_merged(void **state)
{
	struct fixture *f = *state;
	int sum = 0;

	to_mouse(f, 0xf4);
	next(f, true);
	for (unsigned i = 0; i < 500; i++)
		assert_true(i8042_mouse(f->c, 2, 0, 0, 0));
	while (status(f) & 1) {
		next(f, true);
		sum += next(f, true);
		next(f, true);
	}
	assert_int_equal(sum, 1000);
}

static void reset_line_is_pulsed(void **state)
{
	struct fixture *f = *state;

	command(f, 0xff); /* pulses nothing */
	assert_int_equal(f->nr_resets, 0);
	command(f, 0xfe);
	assert_int_equal(f->nr_resets, 1);
	command(f, 0xd1);
	data(f, 0x02);
	assert_int_equal(f->nr_resets, 2);
}

static void output_port_shows_a20(void **state)
{
	struct fixture *f = *state;

	command(f, 0xd0);
	assert_int_equal(next(f, false) & 0x03, 0x03);
	command(f, 0xdd);
	command(f, 0xd0);
	assert_int_equal(next(f, false) & 0x03, 0x01);
	command(f, 0xd1);
	data(f, 0x03);
	command(f, 0xd0);
	assert_int_equal(next(f, false) & 0x03, 0x03);
	assert_int_equal(f->nr_resets, 0);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	set_ctr(f, 0x05);
	i8042_key(f->c, 0xe048, false); /* three bytes, one of them in the buffer */
	to_mouse(f, 0xf4);
	i8042_mouse(f->c, 7, 0, 0, 0);
	command(f, 0xd4); /* its data byte still to come */
	fake_round_trip(i8042_device(f->c));
	assert_true(f->irq[0].level);
	assert_int_equal(next(f, false), 0xe0);
	assert_int_equal(next(f, false), 0xf0);
	assert_int_equal(next(f, false), 0x75);
	assert_int_equal(next(f, true), 0xfa);
	assert_int_equal(next(f, true), 0x08);
	data(f, 0xe6);
	next(f, true);
	assert_int_equal(next(f, true), 0xfa);
	fake_hostile_load(i8042_device(f->c));
	for (unsigned i = 0; i < 1000; i++)
		in8(f->pio, 0x60);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_probes_cleanly),
		T(keyboard_answers_its_commands),
		T(keys_arrive_in_the_set_asked_for),
		T(full_queue_refuses_keys_but_answers_commands),
		T(disabled_keyboard_is_silent),
		T(mouse_reports_movement_after_enable),
		T(wheel_appears_after_the_knock),
		T(movement_beyond_the_queue_is_merged),
		T(reset_line_is_pulsed),
		T(output_port_shows_a20),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
