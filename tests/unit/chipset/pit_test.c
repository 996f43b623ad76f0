/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/pit.h"

struct fixture {
	struct bus *pio;
	struct clock clock;
	struct fake_line irq;
	struct pit *pit;
};

static int setup_with(void **state, enum tick_policy missed)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.pio = bus_new(BUS_PIO);
	fake_clock_init(&f.clock);
	f.pit = pit_new(&(struct pit_params){.pio = f.pio,
					     .clock = &f.clock,
					     .irq = fake_line(&f.irq, 0),
					     .missed = missed},
			NULL);
	assert_non_null(f.pit);
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, TICK_DELAY);
}

static int setup_merge(void **state)
{
	return setup_with(state, TICK_MERGE);
}

static int setup_discard(void **state)
{
	return setup_with(state, TICK_DISCARD);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pit_device(f->pit)->ops->free(pit_device(f->pit));
	assert_true(list_is_empty(&f->clock.timers));
	bus_free(f->pio);
	return 0;
}

static uint64_t ticks(uint64_t n)
{
	return n * NS_PER_SEC / PIT_HZ + 1;
}

/* Moves to the first nanosecond of tick n after from. */
static void to_tick(struct fixture *f, uint64_t from_ns, uint64_t n)
{
	fake_clock_advance(&f->clock, from_ns + ticks(n) - f->clock.now_ns);
}

static void program(struct fixture *f, unsigned counter, unsigned mode, uint16_t count)
{
	out8(f->pio, 0x43, counter << 6 | 0x30 | mode << 1);
	out8(f->pio, 0x40 + counter, (uint8_t)count);
	out8(f->pio, 0x40 + counter, count >> 8);
}

static unsigned count(struct fixture *f, unsigned counter)
{
	unsigned low;

	out8(f->pio, 0x43, counter << 6);
	low = in8(f->pio, 0x40 + counter);
	return low | in8(f->pio, 0x40 + counter) << 8;
}

static unsigned status(struct fixture *f, unsigned counter)
{
	out8(f->pio, 0x43, 0xe0 | 2 << counter);
	return in8(f->pio, 0x40 + counter);
}

static bool out2(struct fixture *f)
{
	return in8(f->pio, 0x61) >> 5 & 1;
}

#define GATE_ON(f)  out8((f)->pio, 0x61, 1)
#define GATE_OFF(f) out8((f)->pio, 0x61, 0)

static void mode_0_raises_at_terminal_count_and_counts_on(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	program(f, 0, 0, 1000);
	assert_false(f->irq.level);
	to_tick(f, start, 300);
	assert_int_equal(count(f, 0), 700);
	to_tick(f, start, 999);
	assert_false(f->irq.level);
	to_tick(f, start, 1000);
	assert_true(f->irq.level);
	to_tick(f, start, 1001);
	assert_int_equal(count(f, 0), 0xffff);
	to_tick(f, start, 200000);
	assert_int_equal(f->irq.nr_rises, 1);
	program(f, 0, 0, 1000);
	assert_false(f->irq.level);
}

static void mode_0_gate_stops_the_count(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	GATE_ON(f);
	program(f, 2, 0, 1000);
	to_tick(f, start, 400);
	GATE_OFF(f);
	to_tick(f, start, 2000);
	assert_int_equal(count(f, 2), 600);
	assert_false(out2(f));
	GATE_ON(f);
	to_tick(f, start, 2599);
	assert_false(out2(f));
	to_tick(f, start, 2602);
	assert_true(out2(f));
}

static void mode_1_is_retriggered_by_the_gate(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	program(f, 2, 1, 100);
	assert_true(out2(f));
	assert_int_equal(status(f, 2) & 0x40, 0x40); /* not loaded before the trigger */
	fake_clock_advance(&f->clock, ticks(500));
	assert_true(out2(f));
	GATE_ON(f);
	start = f->clock.now_ns;
	assert_int_equal(status(f, 2) & 0x40, 0);
	assert_false(out2(f));
	to_tick(f, start, 60);
	GATE_OFF(f);
	GATE_ON(f);
	start = f->clock.now_ns;
	to_tick(f, start, 99);
	assert_false(out2(f));
	to_tick(f, start, 100);
	assert_true(out2(f));
}

static void mode_2_interrupts_every_period_without_drift(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 11932); /* 100 Hz */
	fake_clock_advance(&f->clock, 100 * NS_PER_SEC);
	assert_in_range(f->irq.nr_rises, 9999, 10000);
	assert_true(f->irq.level);
}

static void mode_2_output_is_low_for_the_last_tick(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	GATE_ON(f);
	program(f, 2, 2, 10);
	to_tick(f, start, 8);
	assert_true(out2(f));
	assert_int_equal(count(f, 2), 2);
	to_tick(f, start, 9);
	assert_false(out2(f));
	to_tick(f, start, 10);
	assert_true(out2(f));
	assert_int_equal(count(f, 2), 10);
	GATE_OFF(f); /* the output is forced high, a rising gate starts anew */
	to_tick(f, start, 19);
	assert_true(out2(f));
	GATE_ON(f);
	assert_int_equal(count(f, 2), 10);
}

static void mode_3_is_high_for_the_larger_half(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	GATE_ON(f);
	program(f, 2, 3, 5);
	for (unsigned i = 0; i < 20; i++) {
		if (i)
			to_tick(f, start, i);
		assert_int_equal(out2(f), i % 5 < 3);
	}
	program(f, 2, 3, 1000);
	fake_clock_advance(&f->clock, ticks(100));
	assert_int_equal(count(f, 2), 800); /* counts by two */
}

static void mode_4_strobes_once_after_the_count(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	program(f, 0, 4, 500);
	assert_true(f->irq.level);
	to_tick(f, start, 490);
	assert_int_equal(f->irq.nr_rises, 1);
	to_tick(f, start, 502);
	assert_int_equal(f->irq.nr_rises, 2);
	to_tick(f, start, 100000);
	assert_int_equal(f->irq.nr_rises, 2);
	out8(f->pio, 0x40, 0xf4); /* a new count strobes again */
	out8(f->pio, 0x40, 0x01);
	fake_clock_advance(&f->clock, ticks(600));
	assert_int_equal(f->irq.nr_rises, 3);
}

static void mode_5_strobes_after_the_gate_rose(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	program(f, 2, 5, 50);
	fake_clock_advance(&f->clock, ticks(100));
	assert_true(out2(f));
	GATE_ON(f);
	start = f->clock.now_ns;
	to_tick(f, start, 49);
	assert_true(out2(f));
	to_tick(f, start, 50);
	assert_false(out2(f));
	to_tick(f, start, 51);
	assert_true(out2(f));
}

static void new_period_begins_when_the_old_one_ends(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	program(f, 0, 2, 1000);
	to_tick(f, start, 2500);
	assert_int_equal(f->irq.nr_rises, 3); /* the first with the control word */
	out8(f->pio, 0x40, (uint8_t)3000);
	out8(f->pio, 0x40, 3000 >> 8);
	assert_int_equal(status(f, 0) & 0x40, 0x40);
	assert_int_equal(count(f, 0), 500);
	to_tick(f, start, 3001);
	assert_int_equal(f->irq.nr_rises, 4);
	assert_int_equal(status(f, 0) & 0x40, 0);
	to_tick(f, start, 5990);
	assert_int_equal(f->irq.nr_rises, 4);
	to_tick(f, start, 6010);
	assert_int_equal(f->irq.nr_rises, 5);
}

static void bcd_counts_in_decimal(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	GATE_ON(f);
	out8(f->pio, 0x43, 0xb1);
	out8(f->pio, 0x42, 0x34);
	out8(f->pio, 0x42, 0x12); /* 1234 */
	to_tick(f, start, 235);
	assert_int_equal(count(f, 2), 0x0999);
	out8(f->pio, 0x43, 0xb1);
	out8(f->pio, 0x42, 0);
	out8(f->pio, 0x42, 0); /* 10000 */
	fake_clock_advance(&f->clock, ticks(1));
	assert_int_equal(count(f, 2), 0x9999);
}

static void single_byte_access_reads_and_writes_that_byte(void **state)
{
	struct fixture *f = *state;

	GATE_ON(f);
	out8(f->pio, 0x43, 0x90); /* low byte only, mode 0 */
	out8(f->pio, 0x42, 0x80);
	assert_int_equal(in8(f->pio, 0x42), 0x80);
	assert_int_equal(in8(f->pio, 0x42), 0x80);
	out8(f->pio, 0x43, 0xa0); /* high byte only */
	out8(f->pio, 0x42, 0x80);
	fake_clock_advance(&f->clock, ticks(0x100));
	assert_int_equal(in8(f->pio, 0x42), 0x7f);
	assert_int_equal(in8(f->pio, 0x43), 0xff);
}

static void latches_hold_until_read(void **state)
{
	struct fixture *f = *state;

	GATE_ON(f);
	program(f, 2, 2, 0x1234);
	out8(f->pio, 0x43, 0x80);
	fake_clock_advance(&f->clock, ticks(100));
	out8(f->pio, 0x43, 0x80); /* a second latch is ignored */
	assert_int_equal(in8(f->pio, 0x42), 0x34);
	assert_int_equal(in8(f->pio, 0x42), 0x12);
	out8(f->pio, 0x43, 0xc8); /* read back: count and status of counter 2 */
	assert_int_equal(in8(f->pio, 0x42), 0xb4);
	assert_int_equal(in8(f->pio, 0x42), (0x1234 - 100) & 0xff);
	assert_int_equal(in8(f->pio, 0x42), (0x1234 - 100) >> 8);
}

static void port_61_toggles_its_refresh_bit(void **state)
{
	struct fixture *f = *state;
	unsigned toggles = 0;
	uint8_t last = in8(f->pio, 0x61) & 0x10;

	for (unsigned i = 0; i < 1000; i++) {
		fake_clock_advance(&f->clock, 1000);
		toggles += (in8(f->pio, 0x61) & 0x10) != last;
		last = in8(f->pio, 0x61) & 0x10;
	}
	assert_in_range(toggles, 65, 67);
	out8(f->pio, 0x61, 0xff);
	assert_int_equal(in8(f->pio, 0x61) & 0x0f, 0x0f);
}

static void delay_policy_delivers_every_missed_tick(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->clock.now_ns;

	program(f, 0, 2, 11932);
	fake_clock_stall(&f->clock, 105 * NS_PER_MS); /* ten and a half periods */
	assert_int_equal(f->irq.nr_rises, 2);
	fake_clock_advance(&f->clock, start + 205 * NS_PER_MS - f->clock.now_ns);
	assert_int_equal(f->irq.nr_rises, 21);
	fake_clock_advance(&f->clock, 100 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, 31);
}

static void merge_policy_delivers_one_for_all(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 11932);
	fake_clock_stall(&f->clock, 105 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, 2);
	fake_clock_advance(&f->clock, 100 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, 12);
}

static void discard_policy_drops_missed_ticks(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 11932);
	fake_clock_stall(&f->clock, 105 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, 1);
	fake_clock_advance(&f->clock, 100 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, 11);
}

static void absurd_rates_do_not_flood_the_host(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 1);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_in_range(f->irq.nr_rises, 1000, 20001);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;
	unsigned rises;

	GATE_ON(f);
	program(f, 0, 2, 11932);
	program(f, 2, 0, 40000);
	out8(f->pio, 0x42, 0x11); /* half a count written */
	out8(f->pio, 0x43, 0x80);
	fake_clock_advance(&f->clock, 35 * NS_PER_MS);
	in8(f->pio, 0x42);
	fake_round_trip(pit_device(f->pit));
	rises = f->irq.nr_rises;
	fake_clock_advance(&f->clock, 4 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, rises);
	fake_clock_advance(&f->clock, 2 * NS_PER_MS);
	assert_int_equal(f->irq.nr_rises, rises + 1);
	fake_hostile_load(pit_device(f->pit));
	fake_clock_advance(&f->clock, NS_PER_SEC);
}

#define T(name)		cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_MERGE(name)	cmocka_unit_test_setup_teardown(name, setup_merge, teardown)
#define T_DISCARD(name) cmocka_unit_test_setup_teardown(name, setup_discard, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(mode_0_raises_at_terminal_count_and_counts_on),
		T(mode_0_gate_stops_the_count),
		T(mode_1_is_retriggered_by_the_gate),
		T(mode_2_interrupts_every_period_without_drift),
		T(mode_2_output_is_low_for_the_last_tick),
		T(mode_3_is_high_for_the_larger_half),
		T(mode_4_strobes_once_after_the_count),
		T(mode_5_strobes_after_the_gate_rose),
		T(new_period_begins_when_the_old_one_ends),
		T(bcd_counts_in_decimal),
		T(single_byte_access_reads_and_writes_that_byte),
		T(latches_hold_until_read),
		T(port_61_toggles_its_refresh_bit),
		T(delay_policy_delivers_every_missed_tick),
		T_MERGE(merge_policy_delivers_one_for_all),
		T_DISCARD(discard_policy_drops_missed_ticks),
		T(absurd_rates_do_not_flood_the_host),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
