/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/pic.h"

struct fixture {
	struct bus *pio;
	struct pic *pic;
	bool output;
	unsigned nr_changes;
};

static void int_changed(void *ctx, bool level)
{
	struct fixture *f = ctx;

	assert_true(level != f->output);
	f->output = level;
	f->nr_changes++;
}

/* As a PC's firmware does: vectors 0x30-0x37 and 0x38-0x3f, everything unmasked. */
static void init_pair(struct bus *pio, uint8_t icw4)
{
	out8(pio, 0x20, 0x11);
	out8(pio, 0x21, 0x30);
	out8(pio, 0x21, 0x04);
	out8(pio, 0x21, icw4);
	out8(pio, 0xa0, 0x11);
	out8(pio, 0xa1, 0x38);
	out8(pio, 0xa1, 0x02);
	out8(pio, 0xa1, icw4);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.pio = bus_new(BUS_PIO);
	f.pic = pic_new(&(struct pic_params){.pio = f.pio, .int_changed = int_changed, .ctx = &f},
			NULL);
	assert_non_null(f.pic);
	init_pair(f.pio, 0x01);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pic_device(f->pic)->ops->free(pic_device(f->pic));
	bus_free(f->pio);
	return 0;
}

static void set(struct fixture *f, unsigned pin, bool level)
{
	struct irq_line line = pic_line(f->pic, pin);

	irq_set(&line, level);
}

static void pulse(struct fixture *f, unsigned pin)
{
	set(f, pin, true);
	set(f, pin, false);
}

static void edge_is_latched_acknowledged_and_ended(void **state)
{
	struct fixture *f = *state;

	pulse(f, 4);
	assert_true(f->output);
	assert_int_equal(in8(f->pio, 0x20), 0x10); /* IRR */
	assert_int_equal(pic_ack(f->pic), 0x34);
	assert_false(f->output);
	out8(f->pio, 0x20, 0x0b);
	assert_int_equal(in8(f->pio, 0x20), 0x10); /* ISR */
	pulse(f, 4);
	assert_false(f->output); /* its own priority is being served */
	out8(f->pio, 0x20, 0x20);
	assert_true(f->output);
	assert_int_equal(pic_ack(f->pic), 0x34);
}

static void slave_interrupts_pass_through_the_cascade(void **state)
{
	struct fixture *f = *state;

	pulse(f, 12);
	assert_int_equal(pic_ack(f->pic), 0x3c);
	pulse(f, 8); /* higher on the slave, but the master serves pin 2 */
	assert_false(f->output);
	out8(f->pio, 0xa0, 0x20);
	out8(f->pio, 0x20, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x38);
}

static void special_fully_nested_mode_lets_the_slave_nest(void **state)
{
	struct fixture *f = *state;

	init_pair(f->pio, 0x11);
	pulse(f, 12);
	assert_int_equal(pic_ack(f->pic), 0x3c);
	pulse(f, 8);
	assert_true(f->output);
	assert_int_equal(pic_ack(f->pic), 0x38);
}

static void mask_hides_and_unmask_shows(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x21, 0x10);
	pulse(f, 4);
	assert_false(f->output);
	assert_int_equal(in8(f->pio, 0x21), 0x10);
	out8(f->pio, 0x21, 0);
	assert_true(f->output);
}

static void withdrawn_request_gives_the_spurious_vector(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pic_ack(f->pic), 0x37);
	assert_int_equal(in8(f->pio, 0x20), 0);
	out8(f->pio, 0x4d1, 0x04); /* pin 10 by level */
	set(f, 10, true);
	assert_true(f->output);
	set(f, 10, false);
	assert_false(f->output);
	out8(f->pio, 0x20, 0x0b);
	assert_int_equal(pic_ack(f->pic), 0x37);
	assert_int_equal(in8(f->pio, 0x20), 0);
}

static void level_input_asks_until_it_falls(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x4d0, 0xff);
	assert_int_equal(in8(f->pio, 0x4d0), 0xf8); /* 0, 1 and 2 are always edges */
	out8(f->pio, 0x4d1, 0xff);
	assert_int_equal(in8(f->pio, 0x4d1), 0xde);
	set(f, 5, true);
	assert_int_equal(pic_ack(f->pic), 0x35);
	out8(f->pio, 0x20, 0x65); /* specific EOI */
	assert_true(f->output);
	set(f, 5, false);
	assert_false(f->output);
}

static void priorities_rotate(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x20, 0xc3); /* pin 3 lowest, pin 4 highest */
	pulse(f, 0);
	pulse(f, 3);
	pulse(f, 6);
	assert_int_equal(pic_ack(f->pic), 0x36);
	out8(f->pio, 0x20, 0xa0); /* rotate on EOI: pin 6 lowest */
	assert_int_equal(pic_ack(f->pic), 0x30);
	out8(f->pio, 0x20, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x33);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
	struct fixture *f = *state;

	init_pair(f->pio, 0x03);
	out8(f->pio, 0x20, 0x80); /* rotate in automatic EOI mode */
	pulse(f, 1);
	assert_int_equal(pic_ack(f->pic), 0x31);
	out8(f->pio, 0x20, 0x0b);
	assert_int_equal(in8(f->pio, 0x20), 0);
	pulse(f, 1);
	pulse(f, 5);
	assert_int_equal(pic_ack(f->pic), 0x35); /* pin 1 is the lowest now */
}

static void special_mask_mode_lets_lower_priorities_in(void **state)
{
	struct fixture *f = *state;

	pulse(f, 1);
	pic_ack(f->pic);
	pulse(f, 6);
	assert_false(f->output);
	out8(f->pio, 0x21, 0x02);
	assert_false(f->output);
	out8(f->pio, 0x20, 0x68);
	assert_true(f->output);
	assert_int_equal(pic_ack(f->pic), 0x36);
}

static void poll_acknowledges_by_reading(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x20, 0x0c);
	assert_int_equal(in8(f->pio, 0x20), 0);
	pulse(f, 3);
	out8(f->pio, 0x20, 0x0c);
	assert_int_equal(in8(f->pio, 0x20), 0x83);
	assert_false(f->output);
	assert_int_equal(in8(f->pio, 0x20), 0); /* IRR again */
}

static void initialisation_wants_a_new_edge(void **state)
{
	struct fixture *f = *state;

	set(f, 4, true);
	assert_true(f->output);
	init_pair(f->pio, 0x01);
	assert_false(f->output);
	set(f, 4, true);
	assert_false(f->output);
	set(f, 4, false);
	set(f, 4, true);
	assert_true(f->output);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x4d1, 0x0c);
	pulse(f, 1);
	pic_ack(f->pic);
	set(f, 10, true);
	out8(f->pio, 0x20, 0xc6);
	out8(f->pio, 0xa0, 0x11); /* in the middle of initialisation */
	out8(f->pio, 0xa1, 0x70);
	fake_round_trip(pic_device(f->pic));
	out8(f->pio, 0xa1, 0x02);
	out8(f->pio, 0xa1, 0x01);
	out8(f->pio, 0x20, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x72);
	fake_hostile_load(pic_device(f->pic));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(edge_is_latched_acknowledged_and_ended),
		T(slave_interrupts_pass_through_the_cascade),
		T(special_fully_nested_mode_lets_the_slave_nest),
		T(mask_hides_and_unmask_shows),
		T(withdrawn_request_gives_the_spurious_vector),
		T(level_input_asks_until_it_falls),
		T(priorities_rotate),
		T(automatic_eoi_leaves_nothing_in_service),
		T(special_mask_mode_lets_lower_priorities_in),
		T(poll_acknowledges_by_reading),
		T(initialisation_wants_a_new_edge),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
