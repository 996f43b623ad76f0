/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/hpet.h"

#define BASE	  HPET_ADDRESS
#define ROUTABLE  0x00ff0104u
#define T_CONF(n) (BASE + 0x100 + 0x20 * (n))
#define T_CMP(n)  (T_CONF(n) + 8)
#define T_FSB(n)  (T_CONF(n) + 16)

struct fixture {
	struct bus *mmio;
	struct clock clock;
	struct fake_line pins[HPET_NR_PINS], legacy[2];
	struct hpet *h;
	unsigned nr_sent;
	uint64_t addr;
	uint32_t data;
};

static void sent(void *ctx, uint64_t addr, uint32_t data)
{
	struct fixture *f = ctx;

	f->nr_sent++;
	f->addr = addr;
	f->data = data;
}

static int setup(void **state)
{
	static struct fixture f;
	struct hpet_params params = {
		.clock = &f.clock,
		.routable = ROUTABLE,
		.irq0 = fake_line(f.legacy, 0),
		.irq8 = fake_line(f.legacy, 1),
		.msi = {.send = sent, .ctx = &f},
	};

	memset(&f, 0, sizeof(f));
	f.mmio = params.mmio = bus_new(BUS_MMIO);
	fake_clock_init(&f.clock);
	for (unsigned i = 0; i < HPET_NR_PINS; i++)
		params.pins[i] = fake_line(f.pins, i);
	f.h = hpet_new(&params, NULL);
	assert_non_null(f.h);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hpet_device(f->h)->ops->free(hpet_device(f->h));
	assert_true(list_is_empty(&f->clock.timers));
	bus_free(f->mmio);
	return 0;
}

static void w(struct fixture *f, uint64_t addr, uint32_t value)
{
	out32(f->mmio, addr, value);
}

static uint32_t r(struct fixture *f, uint64_t addr)
{
	return in32(f->mmio, addr);
}

static void capabilities_tell_the_shape(void **state)
{
	struct fixture *f = *state;

	assert_true(in64(f->mmio, BASE) == 0x009896808086a201ull);
	assert_int_equal(r(f, T_CONF(0)) & 0x8030, 0x8030);
	assert_int_equal(r(f, T_CONF(2) + 4), ROUTABLE);
	assert_int_equal(in8(f->mmio, BASE), 0xff); /* only 32 and 64 bits are answered */
}

static void counter_runs_at_100_mhz_when_enabled(void **state)
{
	struct fixture *f = *state;

	fake_clock_advance(&f->clock, NS_PER_MS);
	assert_int_equal(r(f, BASE + 0xf0), 0);
	w(f, BASE + 0xf0, 0xfffffff0);
	w(f, BASE + 0xf4, 0x1);
	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, 1000);
	assert_true(in64(f->mmio, BASE + 0xf0) == 0x1fffffff0ull + 100);
	assert_int_equal(r(f, BASE + 0xf4), 2);
	w(f, BASE + 0xf0, 0); /* ignored while it runs */
	assert_int_equal(r(f, BASE + 0xf4), 2);
	w(f, BASE + 0x10, 0);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_true(in64(f->mmio, BASE + 0xf0) == 0x1fffffff0ull + 100);
}

static void one_shot_interrupts_once(void **state)
{
	struct fixture *f = *state;

	w(f, T_CONF(2), 20 << 9 | 4);
	out64(f->mmio, T_CMP(2), 100000); /* 1 ms */
	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, NS_PER_MS - 1);
	assert_int_equal(f->pins[20].nr_rises, 0);
	fake_clock_advance(&f->clock, 1);
	assert_int_equal(f->pins[20].nr_rises, 1);
	assert_false(f->pins[20].level);
	fake_clock_advance(&f->clock, 100 * NS_PER_SEC);
	assert_int_equal(f->pins[20].nr_rises, 1);
}

static void narrow_one_shot_matches_again_after_the_wrap(void **state)
{
	struct fixture *f = *state;

	w(f, T_CONF(2), 20 << 9 | 0x100 | 4);
	w(f, T_CMP(2), 100000);
	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, 42 * NS_PER_SEC);
	assert_int_equal(f->pins[20].nr_rises, 1);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(f->pins[20].nr_rises, 2);
}

/* The sequence of Linux's hpet_clkevt_set_state_periodic(). */
static void periodic_keeps_its_phase(void **state)
{
	struct fixture *f = *state;

	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, 12345 * NS_PER_US);
	w(f, T_CONF(0), 8 << 9 | 0x100 | 0x40 | 8 | 4);
	w(f, T_CMP(0), r(f, BASE + 0xf0) + 400000);
	w(f, T_CMP(0), 400000); /* 4 ms */
	assert_int_equal(r(f, T_CONF(0)) & 0x40, 0);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(f->pins[8].nr_rises, 250);
	fake_clock_advance(&f->clock, 99 * NS_PER_SEC); /* past the wrap of 32 bits */
	assert_int_equal(f->pins[8].nr_rises, 25000);
	fake_clock_stall(&f->clock, 402 * NS_PER_MS); /* missed periods become one */
	assert_int_equal(f->pins[8].nr_rises, 25001);
	fake_clock_advance(&f->clock, 3 * NS_PER_MS);
	assert_int_equal(f->pins[8].nr_rises, 25002);
}

static void level_mode_holds_the_line_until_the_status_is_cleared(void **state)
{
	struct fixture *f = *state;

	w(f, T_CONF(1), 20 << 9 | 4 | 2);
	w(f, T_CONF(2), 20 << 9 | 4 | 2);
	out64(f->mmio, T_CMP(1), 1000);
	out64(f->mmio, T_CMP(2), 20000);
	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, NS_PER_MS);
	assert_true(f->pins[20].level);
	assert_int_equal(r(f, BASE + 0x20), 6);
	w(f, BASE + 0x20, 2);
	assert_true(f->pins[20].level); /* shared with timer 2 */
	w(f, BASE + 0x20, 4);
	assert_false(f->pins[20].level);
}

static void legacy_replacement_takes_the_places_of_pit_and_rtc(void **state)
{
	struct fixture *f = *state;
	struct irq_line pit = hpet_pit_line(f->h), rtc = hpet_rtc_line(f->h);

	irq_raise(&pit);
	assert_true(f->legacy[0].level);
	w(f, T_CONF(0), 4);
	out64(f->mmio, T_CMP(0), 100000);
	w(f, BASE + 0x10, 3);
	assert_false(f->legacy[0].level);
	irq_pulse(&rtc);
	irq_pulse(&pit);
	assert_int_equal(f->legacy[0].nr_rises, 1);
	assert_int_equal(f->legacy[1].nr_rises, 0);
	fake_clock_advance(&f->clock, NS_PER_MS);
	assert_int_equal(f->legacy[0].nr_rises, 2);
	irq_raise(&rtc);
	w(f, BASE + 0x10, 1);
	assert_true(f->legacy[1].level); /* given back as it stands */
}

static void messages_go_out_when_asked_for(void **state)
{
	struct fixture *f = *state;

	w(f, T_CONF(2), 20 << 9 | 0x4000 | 4);
	w(f, T_FSB(2), 0x4321);
	w(f, T_FSB(2) + 4, 0xfee01000);
	out64(f->mmio, T_CMP(2), 1000);
	w(f, BASE + 0x10, 1);
	fake_clock_advance(&f->clock, NS_PER_MS);
	assert_int_equal(f->nr_sent, 1);
	assert_int_equal(f->addr, 0xfee01000);
	assert_int_equal(f->data, 0x4321);
	assert_int_equal(f->pins[20].nr_rises, 0);
}

static void impossible_routes_are_refused(void **state)
{
	struct fixture *f = *state;

	w(f, T_CONF(2), 21 << 9);
	w(f, T_CONF(2), 5 << 9);
	assert_int_equal(r(f, T_CONF(2)) >> 9 & 31, 21);
	w(f, T_CONF(2), 31 << 9);
	assert_int_equal(r(f, T_CONF(2)) >> 9 & 31, 21);
}

static void absurd_periods_do_not_flood_the_host(void **state)
{
	struct fixture *f = *state;

	w(f, BASE + 0x10, 1);
	w(f, T_CONF(0), 8 << 9 | 0x100 | 0x40 | 8 | 4);
	w(f, T_CMP(0), r(f, BASE + 0xf0) + 1);
	w(f, T_CMP(0), 1);
	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_in_range(f->pins[8].nr_rises, 1000, 20001);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;
	struct irq_line rtc = hpet_rtc_line(f->h);

	w(f, T_CONF(0), 0x100 | 0x40 | 8 | 4);
	w(f, T_CMP(0), 400000);
	w(f, T_CMP(0), 400000);
	w(f, T_CONF(1), 20 << 9 | 4 | 2);
	out64(f->mmio, T_CMP(1), 1000);
	w(f, BASE + 0x10, 1);
	irq_raise(&rtc);
	fake_clock_advance(&f->clock, 10 * NS_PER_MS);
	fake_round_trip(hpet_device(f->h));
	assert_true(f->pins[20].level);
	assert_true(f->legacy[1].level);
	assert_int_equal(r(f, BASE + 0xf0), 1000000);
	f->pins[2].nr_rises = 0;
	fake_clock_advance(&f->clock, 100 * NS_PER_MS);
	assert_int_equal(f->pins[2].nr_rises, 25);
	fake_hostile_load(hpet_device(f->h));
	fake_clock_advance(&f->clock, NS_PER_SEC);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(capabilities_tell_the_shape),
		T(counter_runs_at_100_mhz_when_enabled),
		T(one_shot_interrupts_once),
		T(narrow_one_shot_matches_again_after_the_wrap),
		T(periodic_keeps_its_phase),
		T(level_mode_holds_the_line_until_the_status_is_cleared),
		T(legacy_replacement_takes_the_places_of_pit_and_rtc),
		T(messages_go_out_when_asked_for),
		T(impossible_routes_are_refused),
		T(absurd_periods_do_not_flood_the_host),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("hpet", tests, NULL, NULL);
}
