/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "device/serial.h"

#define BASE 0x3f8

/* A back end with a bounded buffer outside and unbounded input to give. */
struct fake_char {
	struct char_dev dev;
	char out[256 * 1024];
	size_t out_len, out_room;
	size_t drained_room; /* what waiting gives */
	const char *in;
	size_t in_len;
	bool wants_more;
};

struct fixture {
	struct bus *pio;
	struct clock clock;
	struct fake_line irq;
	struct fake_char *chr;
	struct serial *serial;
};

static size_t fake_write(struct char_dev *c, const void *data, size_t len)
{
	struct fake_char *f = container_of(c, struct fake_char, dev);
	size_t taken = min(len, f->out_room);

	memcpy(f->out + f->out_len, data, taken);
	f->out_len += taken;
	f->out_room -= taken;
	return taken;
}

static void fake_read_more(struct char_dev *c)
{
	container_of(c, struct fake_char, dev)->wants_more = true;
}

static void fake_drain(struct char_dev *c)
{
	struct fake_char *f = container_of(c, struct fake_char, dev);

	f->out_room += f->drained_room;
	f->drained_room = 0;
}

static const struct char_ops fake_char_ops = {
	.write = fake_write, .read_more = fake_read_more, .drain = fake_drain};

/* What the main loop would do: deliver as long as the port wants. */
static void feed(struct fake_char *f)
{
	while (f->wants_more && f->in_len) {
		size_t taken = char_deliver(&f->dev, f->in, f->in_len);

		f->in += taken;
		f->in_len -= taken;
		if (f->in_len)
			f->wants_more = false;
		if (!taken)
			return;
	}
}

static void type(struct fixture *f, const char *text, size_t len)
{
	f->chr->in = text;
	f->chr->in_len = len;
	f->chr->wants_more = true;
	feed(f->chr);
}

static struct serial *new_serial(struct fixture *f)
{
	return serial_new(&(struct serial_params){.pio = f->pio,
						  .clock = &f->clock,
						  .base = BASE,
						  .irq = fake_line(&f->irq, 0),
						  .chr = &f->chr->dev},
			  NULL);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->pio = bus_new(BUS_PIO);
	fake_clock_init(&f->clock);
	f->chr = calloc(1, sizeof(*f->chr));
	f->chr->dev.ops = &fake_char_ops;
	f->chr->out_room = sizeof(f->chr->out);
	f->serial = new_serial(f);
	assert_non_null(f->serial);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	serial_device(f->serial)->ops->free(serial_device(f->serial));
	assert_null(f->chr->dev.front);
	assert_true(list_is_empty(&f->clock.timers));
	bus_free(f->pio);
	free(f->chr);
	free(f);
	return 0;
}

static void w(struct fixture *f, unsigned reg, uint8_t value)
{
	out8(f->pio, BASE + reg, value);
}

static uint8_t r(struct fixture *f, unsigned reg)
{
	return in8(f->pio, BASE + reg);
}

static void reset_values_are_the_chips(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(r(f, 1), 0);
	assert_int_equal(r(f, 2), 0x01);
	assert_int_equal(r(f, 5), 0x60);
	assert_int_equal(r(f, 6), 0xb0);
	w(f, 3, 0x83);
	w(f, 0, 0x34);
	w(f, 1, 0x12);
	assert_int_equal(r(f, 0), 0x34);
	assert_int_equal(r(f, 1), 0x12);
	w(f, 3, 0x03);
	assert_int_equal(r(f, 1), 0);
	w(f, 1, 0xff);
	assert_int_equal(r(f, 1), 0x0f);
	w(f, 7, 0x5a);
	assert_int_equal(r(f, 7), 0x5a);
	w(f, 2, 0x01);
	assert_int_equal(r(f, 2) & 0xe0, 0xc0); /* a 16550A, not a 16750 */
}

static void output_reaches_the_back_end(void **state)
{
	struct fixture *f = *state;

	for (const char *p = "hello"; *p; p++)
		w(f, 0, *p);
	assert_int_equal(f->chr->out_len, 5);
	assert_memory_equal(f->chr->out, "hello", 5);
}

static void transmit_interrupt_is_acknowledged_by_iir(void **state)
{
	struct fixture *f = *state;

	w(f, 1, 0x02);
	assert_true(f->irq.level);
	assert_int_equal(r(f, 2), 0x02);
	assert_false(f->irq.level);
	assert_int_equal(r(f, 2), 0x01);
	w(f, 0, 'x');
	assert_true(f->irq.level);
	w(f, 1, 0x00);
	assert_false(f->irq.level);
	assert_int_equal(r(f, 2), 0x01);
	w(f, 1, 0x02); /* enabling with an empty transmitter asks again */
	assert_int_equal(r(f, 2), 0x02);
}

static void full_back_end_keeps_the_transmitter_busy_and_loses_nothing(void **state)
{
	struct fixture *f = *state;

	w(f, 2, 0x01);
	w(f, 1, 0x02);
	r(f, 2);
	f->chr->out_room = 3;
	for (unsigned i = 0; i < 16; i++)
		w(f, 0, 'a' + i);
	assert_int_equal(f->chr->out_len, 3);
	assert_int_equal(r(f, 5) & 0x60, 0);
	w(f, 2, 0x07); /* clearing the FIFOs keeps it too */
	serial_device(f->serial)->ops->reset(serial_device(f->serial));
	assert_int_equal(r(f, 5) & 0x60, 0);
	w(f, 1, 0x02);
	assert_false(f->irq.level);
	f->chr->out_room = 100;
	char_deliver_writable(&f->chr->dev);
	assert_int_equal(f->chr->out_len, 16);
	assert_memory_equal(f->chr->out, "abcdefghijklmnop", 16);
	assert_int_equal(r(f, 5) & 0x60, 0x60);
	assert_true(f->irq.level);
}

static void bytes_written_without_waiting_are_queued(void **state)
{
	struct fixture *f = *state;

	f->chr->out_room = 0;
	for (unsigned i = 0; i < 5000; i++)
		w(f, 0, (uint8_t)i);
	assert_int_equal(r(f, 5) & 0x60, 0);
	f->chr->out_room = 5000;
	char_deliver_writable(&f->chr->dev);
	assert_int_equal(f->chr->out_len, 5000);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal((uint8_t)f->chr->out[i], (uint8_t)i);
	f->chr->out_room = 0; /* a guest that never stops gets no more than that */
	for (unsigned i = 0; i < 70000; i++)
		w(f, 0, (uint8_t)i);
	f->chr->out_len = 0;
	f->chr->out_room = 100000;
	char_deliver_writable(&f->chr->dev);
	assert_int_equal(f->chr->out_len, 65536);
}

static void the_end_waits_for_a_full_back_end(void **state)
{
	struct fixture *f = *state;

	f->chr->out_room = 0;
	for (const char *p = "last words"; *p; p++)
		w(f, 0, *p);
	f->chr->drained_room = 100;
	serial_device(f->serial)->ops->pause(serial_device(f->serial));
	serial_device(f->serial)->ops->free(serial_device(f->serial));
	assert_int_equal(f->chr->out_len, 10);
	assert_memory_equal(f->chr->out, "last words", 10);
	f->serial = new_serial(f);
}

static void input_interrupts_at_the_trigger_and_after_the_time_out(void **state)
{
	struct fixture *f = *state;

	w(f, 2, 0x81); /* trigger 8 */
	w(f, 1, 0x01);
	type(f, "1234567", 7);
	assert_false(f->irq.level);
	assert_int_equal(r(f, 5) & 1, 1);
	fake_clock_advance(&f->clock, 20 * NS_PER_MS);
	assert_true(f->irq.level);
	assert_int_equal(r(f, 2), 0xcc);
	assert_int_equal(r(f, 0), '1');
	assert_false(f->irq.level);
	type(f, "89", 2);
	assert_int_equal(r(f, 2), 0xc4);
	for (const char *p = "23456789"; *p; p++)
		assert_int_equal(r(f, 0), *p);
	assert_false(f->irq.level);
	assert_int_equal(r(f, 5) & 1, 0);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_false(f->irq.level);
}

static void time_out_is_four_characters(void **state)
{
	struct fixture *f = *state;

	w(f, 3, 0x83);
	w(f, 0, 12); /* 9600 baud */
	w(f, 1, 0);
	w(f, 3, 0x03);
	w(f, 2, 0x81);
	w(f, 1, 0x01);
	type(f, "x", 1);
	fake_clock_advance(&f->clock, 4150 * NS_PER_US);
	assert_false(f->irq.level);
	fake_clock_advance(&f->clock, 50 * NS_PER_US);
	assert_true(f->irq.level);
}

static void long_paste_arrives_whole(void **state)
{
	struct fixture *f = *state;
	static char paste[100 * 1024];
	size_t got = 0;

	for (size_t i = 0; i < sizeof(paste); i++)
		paste[i] = (char)(i * 7 + i / 251);
	w(f, 2, 0xc1);
	w(f, 1, 0x01);
	type(f, paste, sizeof(paste));
	while (r(f, 5) & 1) {
		assert_int_equal((char)r(f, 0), paste[got]);
		got++;
		feed(f->chr);
	}
	assert_int_equal(got, sizeof(paste));
	assert_int_equal(r(f, 5) & 2, 0); /* no overrun */
}

static void without_fifo_one_byte_is_held(void **state)
{
	struct fixture *f = *state;

	w(f, 1, 0x01);
	type(f, "ab", 2);
	assert_int_equal(f->chr->in_len, 1);
	assert_int_equal(r(f, 2), 0x04);
	assert_int_equal(r(f, 0), 'a');
	feed(f->chr);
	assert_int_equal(r(f, 0), 'b');
}

static void input_waits_for_the_driver(void **state)
{
	struct fixture *f = *state;

	/* As Linux opens a port after its early console has used it: nothing typed before is lost. */
	w(f, 4, 0x03);
	type(f, "typed", 5);
	for (unsigned i = 0; i < 8; i++) {
		r(f, 5);
		w(f, 0, 'x');
	}
	w(f, 4, 0x01);
	w(f, 2, 0x07);
	w(f, 2, 0x00);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(r(f, 5) & 1, 0);
	w(f, 1, 0x05);
	w(f, 2, 0x01);
	feed(f->chr);
	assert_int_equal(f->chr->in_len, 5);
	w(f, 4, 0x0b);
	feed(f->chr);
	assert_int_equal(f->chr->in_len, 0);
	assert_int_equal(r(f, 0), 't');
}

static void lowered_rts_holds_input(void **state)
{
	struct fixture *f = *state;

	w(f, 2, 0xc1);
	w(f, 4, 0x03);
	w(f, 1, 0x01);
	w(f, 4, 0x01);
	type(f, "late", 4);
	assert_int_equal(r(f, 5) & 1, 0);
	fake_round_trip(serial_device(f->serial));
	feed(f->chr);
	assert_int_equal(f->chr->in_len, 4);
	w(f, 4, 0x03);
	feed(f->chr);
	assert_int_equal(r(f, 0), 'l');
}

static void a_driver_without_rts_gets_input(void **state)
{
	struct fixture *f = *state;

	type(f, "ab", 2);
	w(f, 1, 0x0f); /* a probe */
	feed(f->chr);
	assert_int_equal(f->chr->in_len, 2);
	w(f, 1, 0x01);
	feed(f->chr);
	w(f, 2, 0x01); /* the character that is there stays */
	feed(f->chr);
	assert_int_equal(r(f, 0), 'a');
	feed(f->chr);
	assert_int_equal(r(f, 0), 'b');
}

static void a_driver_that_polls_gets_input(void **state)
{
	struct fixture *f = *state;
	unsigned nr = 0;

	type(f, "ab", 2);
	while (nr < 1000 && !(r(f, 5) & 1)) {
		feed(f->chr);
		nr++;
	}
	assert_in_range(nr, 9, 100);
	assert_int_equal(r(f, 0), 'a');
	w(f, 0, 'e');
	feed(f->chr);
	assert_int_equal(r(f, 5) & 1, 1);
	assert_int_equal(r(f, 0), 'b');
}

static void loopback_turns_outputs_into_inputs(void **state)
{
	struct fixture *f = *state;

	w(f, 4, 0x1a);
	assert_int_equal(r(f, 6) & 0xf0, 0x90); /* the probe of Linux's 8250 driver */
	w(f, 0, 'q');
	assert_int_equal(f->chr->out_len, 0);
	assert_int_equal(r(f, 0), 'q');
	w(f, 0, '1');
	w(f, 0, '2'); /* no FIFO: overrun */
	assert_int_equal(r(f, 5), 0x63);
	assert_int_equal(r(f, 5), 0x61);
	r(f, 0);
	w(f, 3, 0x43); /* break */
	assert_int_equal(r(f, 5), 0x71);
	type(f, "z", 1); /* the outside is cut off */
	assert_int_equal(f->chr->in_len, 1);
	r(f, 0);
	w(f, 1, 0x01);
	feed(f->chr);
	assert_int_equal(f->chr->in_len, 1);
	w(f, 4, 0x00);
	feed(f->chr);
	assert_int_equal(r(f, 0), 'z');
}

static void modem_changes_interrupt_and_reading_msr_ends_it(void **state)
{
	struct fixture *f = *state;

	r(f, 6);
	w(f, 1, 0x08);
	w(f, 4, 0x10); /* all inputs fall: CTS, DSR, DCD */
	assert_true(f->irq.level);
	assert_int_equal(r(f, 2), 0x00);
	assert_int_equal(r(f, 6), 0x0b);
	assert_false(f->irq.level);
	w(f, 4, 0x14); /* ring rises: nothing yet */
	assert_false(f->irq.level);
	w(f, 4, 0x10);
	assert_int_equal(r(f, 6), 0x04);
}

static void break_raises_the_line_status_interrupt(void **state)
{
	struct fixture *f = *state;

	w(f, 2, 0x01);
	w(f, 1, 0x05);
	char_deliver_break(&f->chr->dev);
	assert_int_equal(r(f, 2), 0xc6);
	assert_int_equal(r(f, 5), 0xf1);
	assert_int_equal(r(f, 2), 0xc4);
	assert_int_equal(r(f, 0), 0);
	assert_int_equal(r(f, 2), 0xc1);
}

static void paused_port_takes_nothing_and_goes_on_after(void **state)
{
	struct fixture *f = *state;
	struct device *d = serial_device(f->serial);

	w(f, 1, 0x01);
	d->ops->pause(d);
	type(f, "k", 1);
	assert_int_equal(f->irq.nr_rises, 0);
	d->ops->resume(d);
	feed(f->chr);
	assert_int_equal(f->irq.nr_rises, 1);
	assert_int_equal(r(f, 0), 'k');
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	w(f, 2, 0xc1);
	w(f, 1, 0x01);
	type(f, "abc", 3);
	r(f, 0);
	f->chr->out_room = 0;
	w(f, 0, 'Z');
	fake_round_trip(serial_device(f->serial));
	assert_false(f->irq.level);
	fake_clock_advance(&f->clock, 20 * NS_PER_MS);
	assert_true(f->irq.level); /* the time-out goes on */
	fake_round_trip(serial_device(f->serial));
	assert_true(f->irq.level);
	assert_int_equal(r(f, 0), 'b');
	assert_int_equal(r(f, 0), 'c');
	f->chr->out_room = 10;
	char_deliver_writable(&f->chr->dev);
	assert_int_equal(f->chr->out[0], 'Z');
	fake_hostile_load(serial_device(f->serial));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_values_are_the_chips),
		T(output_reaches_the_back_end),
		T(transmit_interrupt_is_acknowledged_by_iir),
		T(full_back_end_keeps_the_transmitter_busy_and_loses_nothing),
		T(bytes_written_without_waiting_are_queued),
		T(the_end_waits_for_a_full_back_end),
		T(input_interrupts_at_the_trigger_and_after_the_time_out),
		T(time_out_is_four_characters),
		T(long_paste_arrives_whole),
		T(without_fifo_one_byte_is_held),
		T(input_waits_for_the_driver),
		T(lowered_rts_holds_input),
		T(a_driver_without_rts_gets_input),
		T(a_driver_that_polls_gets_input),
		T(loopback_turns_outputs_into_inputs),
		T(modem_changes_interrupt_and_reading_msr_ends_it),
		T(break_raises_the_line_status_interrupt),
		T(paused_port_takes_nothing_and_goes_on_after),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
