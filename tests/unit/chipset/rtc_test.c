/* SPDX-License-Identifier: BSD-2-Clause */
#include <time.h>

#include "unit/fake.h"

#include "chipset/rtc.h"

/* 2024-02-29 23:59:57 UTC, a Thursday; the fake clock starts at one second. */
#define START_S 1709251197ull

struct fixture {
	struct bus *pio;
	struct clock clock;
	int64_t wall_shift_ns;
	struct fake_line irq;
	struct rtc *rtc;
};

static uint64_t wall_ns(void *ctx)
{
	struct fixture *f = ctx;

	return (START_S - 1) * NS_PER_SEC + f->clock.now_ns + f->wall_shift_ns;
}

static int setup_with(void **state, enum tick_policy missed)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.pio = bus_new(BUS_PIO);
	fake_clock_init(&f.clock);
	f.rtc = rtc_new(&(struct rtc_params){.pio = f.pio,
					     .clock = &f.clock,
					     .irq = fake_line(&f.irq, 0),
					     .ram_below_4g = 3 * GIB,
					     .ram_above_4g = 2 * GIB,
					     .missed = missed,
					     .wall_ns = wall_ns,
					     .ctx = &f},
			NULL);
	assert_non_null(f.rtc);
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, TICK_DELAY);
}

static int setup_discard(void **state)
{
	return setup_with(state, TICK_DISCARD);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rtc_device(f->rtc)->ops->free(rtc_device(f->rtc));
	assert_true(list_is_empty(&f->clock.timers));
	bus_free(f->pio);
	return 0;
}

static uint8_t r(struct fixture *f, uint8_t index)
{
	out8(f->pio, 0x70, index);
	return in8(f->pio, 0x71);
}

static void w(struct fixture *f, uint8_t index, uint8_t value)
{
	out8(f->pio, 0x70, index);
	out8(f->pio, 0x71, value);
}

static void assert_time(struct fixture *f, const uint8_t expected[8])
{
	static const uint8_t regs[] = {0x32, 9, 8, 7, 6, 4, 2, 0};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(r(f, regs[i]), expected[i]);
}

#define TIME(...) ((const uint8_t[8]){__VA_ARGS__})

static void shows_the_hosts_time_in_bcd(void **state)
{
	struct fixture *f = *state;

	assert_time(f, TIME(0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x57));
	fake_clock_advance(&f->clock, 3 * NS_PER_SEC);
	assert_time(f, TIME(0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00));
	assert_int_equal(r(f, 0x0d), 0x80);
	assert_int_equal(in8(f->pio, 0x70), 0xff);
}

static void formats_follow_register_b(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0b, 0x06); /* binary, 24 h */
	assert_time(f, TIME(20, 24, 2, 29, 5, 23, 59, 57));
	w(f, 0x0b, 0x00); /* BCD, 12 h */
	assert_int_equal(r(f, 4), 0x91);
	fake_clock_advance(&f->clock, 3 * NS_PER_SEC);
	assert_int_equal(r(f, 4), 0x12); /* midnight */
	fake_clock_advance(&f->clock, 12 * 3600 * NS_PER_SEC);
	assert_int_equal(r(f, 4), 0x92); /* noon */
}

static void guest_sets_the_time_and_it_goes_on_from_there(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0b, 0x82);
	w(f, 0x00, 0x30);
	w(f, 0x02, 0x15);
	w(f, 0x04, 0x08);
	w(f, 0x07, 0x31);
	w(f, 0x08, 0x12);
	w(f, 0x09, 0x99);
	w(f, 0x32, 0x19);
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
	assert_int_equal(r(f, 0), 0x30); /* halted */
	w(f, 0x0b, 0x02);
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
	assert_time(f, TIME(0x19, 0x99, 0x12, 0x31, 6, 0x08, 0x15, 0x40));
	w(f, 0x02, 0x59); /* without halting, too */
	assert_time(f, TIME(0x19, 0x99, 0x12, 0x31, 6, 0x08, 0x59, 0x40));
	rtc_device(f->rtc)->ops->reset(rtc_device(f->rtc));
	assert_int_equal(r(f, 9), 0x99);
}

static void divider_reset_delays_the_first_update_by_half_a_second(void **state)
{
	struct fixture *f = *state;

	fake_clock_advance(&f->clock, 900 * NS_PER_MS);
	w(f, 0x0b, 0x82);
	w(f, 0x0a, 0x76);
	w(f, 0x00, 0x00);
	w(f, 0x0b, 0x02);
	w(f, 0x0a, 0x26);
	fake_clock_advance(&f->clock, 499 * NS_PER_MS);
	assert_int_equal(r(f, 0), 0x00);
	fake_clock_advance(&f->clock, 2 * NS_PER_MS);
	assert_int_equal(r(f, 0), 0x01);
}

static void far_and_impossible_dates_do_no_harm(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0b, 0x86);
	for (unsigned reg = 0; reg < 10; reg++)
		w(f, reg, 0xff);
	w(f, 0x32, 0xff);
	w(f, 0x0b, 0x76); /* all interrupts */
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
	w(f, 0x0b, 0x86);
	w(f, 0x32, 0);
	w(f, 0x09, 0);
	w(f, 0x0b, 0x76);
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
	r(f, 0);
}

static void uip_rises_before_the_update(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(r(f, 0x0a), 0x26);
	fake_clock_advance(&f->clock, NS_PER_SEC - 200 * NS_PER_US);
	assert_int_equal(r(f, 0x0a), 0xa6);
	fake_clock_advance(&f->clock, 200 * NS_PER_US);
	assert_int_equal(r(f, 0x0a), 0x26);
}

static void update_interrupt_comes_every_second(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0b, 0x12);
	fake_clock_advance(&f->clock, 999 * NS_PER_MS);
	assert_false(f->irq.level);
	fake_clock_advance(&f->clock, NS_PER_MS);
	assert_true(f->irq.level);
	assert_int_equal(r(f, 0x0c), 0xd0); /* the periodic flag comes along */
	assert_false(f->irq.level);
	assert_int_equal(r(f, 0x0c) & 0xb0, 0);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_true(f->irq.level);
}

static void alarm_strikes_at_its_time(void **state)
{
	struct fixture *f = *state;

	w(f, 0x01, 0x10);
	w(f, 0x03, 0x01);
	w(f, 0x05, 0x00);
	w(f, 0x0b, 0x22);
	fake_clock_advance(&f->clock, 72 * NS_PER_SEC); /* 00:01:09 */
	assert_false(f->irq.level);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_true(f->irq.level);
	assert_int_equal(r(f, 0x0c) & 0xb0, 0xb0);
	fake_clock_advance(&f->clock, 86399 * NS_PER_SEC);
	assert_false(f->irq.level);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_true(f->irq.level);
	r(f, 0x0c);
	w(f, 0x05, 0xc0); /* any hour, any minute */
	w(f, 0x03, 0xff);
	fake_clock_advance(&f->clock, 61 * NS_PER_SEC);
	assert_true(f->irq.level);
}

static void alarm_flag_shows_without_its_interrupt(void **state)
{
	struct fixture *f = *state;

	w(f, 0x01, 0x05);
	w(f, 0x03, 0x00);
	w(f, 0x05, 0x00);
	r(f, 0x0c);
	fake_clock_advance(&f->clock, 5 * NS_PER_SEC);
	assert_int_equal(r(f, 0x0c) & 0x20, 0);
	fake_clock_advance(&f->clock, 20 * NS_PER_SEC);
	assert_int_equal(r(f, 0x0c) & 0xa0, 0x20);
	assert_false(f->irq.level);
}

/* The guest chooses the alarm, and each access of the clock looks for its next time. */
static void alarm_that_never_strikes_costs_little(void **state)
{
	static const uint8_t alarms[][3] = {
		{0x99, 0xff, 0xff}, {0xff, 0x99, 0xff}, {0xff, 0xff, 0x99}, {0x56, 0x59, 0x23}};
	struct fixture *f = *state;
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	w(f, 0x0b, 0x22);
	for (unsigned i = 0; i < ARRAY_SIZE(alarms); i++) {
		w(f, 0x01, alarms[i][0]);
		w(f, 0x03, alarms[i][1]);
		w(f, 0x05, alarms[i][2]);
		for (unsigned n = 0; n < 10000; n++)
			r(f, 0x0d);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_false(f->irq.level);
	assert_true(end.tv_sec - start.tv_sec < 5);
}

/* Acknowledges each interrupt as a guest would, for ns; returns how many came. */
static unsigned serve(struct fixture *f, uint64_t ns)
{
	unsigned count = 0;

	for (uint64_t t = 0; t < ns; t += 50 * NS_PER_US) {
		fake_clock_advance(&f->clock, 50 * NS_PER_US);
		if (!f->irq.level)
			continue;
		assert_true(r(f, 0x0c) & 0x80);
		count++;
	}
	return count;
}

static void periodic_interrupt_keeps_its_rate(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0a, 0x26);
	w(f, 0x0b, 0x42);
	assert_in_range(serve(f, NS_PER_SEC), 1023, 1024);
	w(f, 0x0a, 0x2f); /* 2 Hz */
	assert_in_range(serve(f, 2 * NS_PER_SEC), 3, 4);
	w(f, 0x0a, 0x21); /* 256 Hz */
	assert_in_range(serve(f, NS_PER_SEC), 255, 256);
	w(f, 0x0a, 0x20); /* off */
	r(f, 0x0c);
	assert_int_equal(serve(f, NS_PER_SEC), 0);
}

static void delay_policy_makes_up_for_missed_ticks(void **state)
{
	struct fixture *f = *state;
	unsigned count;

	w(f, 0x0a, 0x2a); /* 64 Hz */
	w(f, 0x0b, 0x42);
	fake_clock_stall(&f->clock, NS_PER_SEC / 2); /* 32 ticks */
	count = serve(f, NS_PER_SEC);
	assert_in_range(count, 95, 97);
}

static void discard_policy_forgets_missed_ticks(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0a, 0x2a);
	w(f, 0x0b, 0x42);
	fake_clock_stall(&f->clock, NS_PER_SEC / 2);
	assert_in_range(serve(f, NS_PER_SEC), 63, 65);
}

static void memory_sizes_are_in_cmos(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(r(f, 0x15) | r(f, 0x16) << 8, 640);
	assert_int_equal(r(f, 0x17) | r(f, 0x18) << 8, 0xffff);
	assert_int_equal(r(f, 0x30) | r(f, 0x31) << 8, 0xffff);
	assert_int_equal(r(f, 0x34) | r(f, 0x35) << 8, (3072 - 16) * 16);
	assert_int_equal(r(f, 0x5b) | r(f, 0x5c) << 8 | r(f, 0x5d) << 16, 2048 * 16);
	rtc_set_cmos(f->rtc, 0x5f, 3);
	assert_int_equal(r(f, 0x5f), 3);
	w(f, 0x80 | 0x40, 0x77); /* the NMI bit is no part of the index */
	assert_int_equal(r(f, 0x40), 0x77);
}

static void host_clock_set_back_does_not_stop_the_guests(void **state)
{
	struct fixture *f = *state;

	w(f, 0x0b, 0x12);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	r(f, 0x0c);
	f->wall_shift_ns = -3600 * (int64_t)NS_PER_SEC;
	fake_clock_advance(&f->clock, 2 * NS_PER_SEC);
	r(f, 0x0c);
	fake_clock_advance(&f->clock, 2 * NS_PER_SEC);
	assert_true(f->irq.level);
	assert_int_equal(r(f, 4), 0x23);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	w(f, 0x02, 0x10);
	w(f, 0x0a, 0x2a);
	w(f, 0x0b, 0x52);
	w(f, 0x40, 0xa5);
	fake_clock_advance(&f->clock, 1200 * NS_PER_MS);
	fake_round_trip(rtc_device(f->rtc));
	assert_true(f->irq.level);
	assert_int_equal(r(f, 0x0c), 0xd0);
	assert_int_equal(r(f, 0x02), 0x10);
	assert_int_equal(r(f, 0x40), 0xa5);
	assert_in_range(serve(f, NS_PER_SEC), 64, 160); /* the owed ones too */
	fake_hostile_load(rtc_device(f->rtc));
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
}

#define T(name)		cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_DISCARD(name) cmocka_unit_test_setup_teardown(name, setup_discard, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(shows_the_hosts_time_in_bcd),
		T(formats_follow_register_b),
		T(guest_sets_the_time_and_it_goes_on_from_there),
		T(divider_reset_delays_the_first_update_by_half_a_second),
		T(far_and_impossible_dates_do_no_harm),
		T(uip_rises_before_the_update),
		T(update_interrupt_comes_every_second),
		T(alarm_strikes_at_its_time),
		T(alarm_flag_shows_without_its_interrupt),
		T(alarm_that_never_strikes_costs_little),
		T(periodic_interrupt_keeps_its_rate),
		T(delay_policy_makes_up_for_missed_ticks),
		T_DISCARD(discard_policy_forgets_missed_ticks),
		T(memory_sizes_are_in_cmos),
		T(host_clock_set_back_does_not_stop_the_guests),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
