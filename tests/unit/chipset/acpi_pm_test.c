/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/acpi_pm.h"

struct fixture {
	struct bus *pio;
	struct clock clock;
	struct fake_line sci;
	struct acpi_pm *pm;
	unsigned nr_power_offs;
};

static void power_off(void *ctx)
{
	((struct fixture *)ctx)->nr_power_offs++;
}

static int setup_with(void **state, bool is_32bit)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.pio = bus_new(BUS_PIO);
	fake_clock_init(&f.clock);
	f.pm = acpi_pm_new(&(struct acpi_pm_params){.pio = f.pio,
						    .clock = &f.clock,
						    .is_32bit_timer = is_32bit,
						    .sci = fake_line(&f.sci, 0),
						    .power_off = power_off,
						    .ctx = &f},
			   NULL);
	assert_non_null(f.pm);
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_32(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	acpi_pm_device(f->pm)->ops->free(acpi_pm_device(f->pm));
	assert_true(list_is_empty(&f->clock.timers));
	bus_free(f->pio);
	return 0;
}

static void timer_counts_at_3_579545_mhz(void **state)
{
	struct fixture *f = *state;
	uint32_t before = in32(f->pio, 0x608);

	fake_clock_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(in32(f->pio, 0x608) - before, 3579545);
	fake_clock_advance(&f->clock, 10 * NS_PER_SEC);
	assert_int_equal(in32(f->pio, 0x608), 12 * 3579545ull & 0xffffff);
}

static void wide_timer_has_32_bits(void **state)
{
	struct fixture *f = *state;

	fake_clock_advance(&f->clock, 1999 * NS_PER_SEC);
	assert_int_equal(in32(f->pio, 0x608), 2000 * 3579545ull & 0xffffffff);
}

static void timer_interrupts_when_its_top_bit_changes(void **state)
{
	struct fixture *f = *state;

	out16(f->pio, 0x602, 1);
	fake_clock_advance(&f->clock, 1300 * NS_PER_MS);
	assert_false(f->sci.level);
	fake_clock_advance(&f->clock, 100 * NS_PER_MS);
	assert_true(f->sci.level); /* 2^23 ticks: 2.34 s after zero */
	assert_int_equal(in16(f->pio, 0x600), 1);
	out16(f->pio, 0x600, 1);
	assert_false(f->sci.level);
	out16(f->pio, 0x602, 0);
	fake_clock_advance(&f->clock, 3 * NS_PER_SEC);
	assert_false(f->sci.level);
	assert_int_equal(in16(f->pio, 0x600), 1); /* the status shows it all the same */
}

static void power_button_raises_the_sci_when_enabled(void **state)
{
	struct fixture *f = *state;

	assert_false(acpi_pm_power_button(f->pm));
	assert_false(f->sci.level);
	out16(f->pio, 0x600, 0x100);
	assert_int_equal(in16(f->pio, 0x600), 0);
	out16(f->pio, 0x602, 0x100);
	assert_true(acpi_pm_power_button(f->pm));
	assert_true(f->sci.level);
	assert_int_equal(in32(f->pio, 0x600), 0x01000100);
	out8(f->pio, 0x601, 0x01); /* bytes work too */
	assert_false(f->sci.level);
}

static void s5_powers_off_and_other_states_do_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in16(f->pio, 0x604), 1); /* SCI_EN */
	out16(f->pio, 0x604, 0);
	assert_int_equal(in16(f->pio, 0x604), 1);
	out16(f->pio, 0x604, 5 << 10);
	assert_int_equal(f->nr_power_offs, 0);
	out16(f->pio, 0x604, 3 << 10 | 1 << 13);
	assert_int_equal(f->nr_power_offs, 0);
	out16(f->pio, 0x604, 5 << 10 | 1 << 13);
	assert_int_equal(f->nr_power_offs, 1);
}

static void general_purpose_events_raise_the_sci(void **state)
{
	struct fixture *f = *state;

	acpi_pm_raise_gpe(f->pm, 9);
	assert_false(f->sci.level);
	out16(f->pio, 0x622, 0x200);
	assert_true(f->sci.level);
	assert_int_equal(in16(f->pio, 0x620), 0x200);
	out8(f->pio, 0x621, 0x02);
	assert_false(f->sci.level);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	out16(f->pio, 0x602, 0x101);
	acpi_pm_power_button(f->pm);
	out16(f->pio, 0x604, 5 << 10);
	out16(f->pio, 0x622, 0x0003);
	acpi_pm_raise_gpe(f->pm, 1);
	fake_round_trip(acpi_pm_device(f->pm));
	assert_true(f->sci.level);
	assert_int_equal(in16(f->pio, 0x600), 0x100);
	out16(f->pio, 0x600, 0x100);
	out16(f->pio, 0x620, 0x02);
	assert_false(f->sci.level);
	fake_clock_advance(&f->clock, 1400 * NS_PER_MS);
	assert_true(f->sci.level);
	fake_hostile_load(acpi_pm_device(f->pm));
}

#define T(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_32(name) cmocka_unit_test_setup_teardown(name, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timer_counts_at_3_579545_mhz),
		T_32(wide_timer_has_32_bits),
		T(timer_interrupts_when_its_top_bit_changes),
		T(power_button_raises_the_sci_when_enabled),
		T(s5_powers_off_and_other_states_do_not),
		T(general_purpose_events_raise_the_sci),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("acpi_pm", tests, NULL, NULL);
}
