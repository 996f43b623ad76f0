/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/reset.h"

struct fixture {
	struct bus *pio;
	struct reset *reset;
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
	f.reset = reset_new(&(struct reset_params){.pio = f.pio, .reset = count_reset, .ctx = &f},
			    NULL);
	assert_non_null(f.reset);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	reset_device(f->reset)->ops->free(reset_device(f->reset));
	bus_free(f->pio);
	return 0;
}

static void cf9_resets_on_bit_2(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0xcf9, 0x02);
	assert_int_equal(f->nr_resets, 0);
	assert_int_equal(in8(f->pio, 0xcf9), 0x02);
	out8(f->pio, 0xcf9, 0x06);
	assert_int_equal(f->nr_resets, 1);
}

static void pci_address_writes_do_not_reset(void **state)
{
	struct fixture *f = *state;

	out32(f->pio, 0xcf8, 0x80000600);
	out16(f->pio, 0xcf8, 0x0600);
	out8(f->pio, 0xcfa, 0x06);
	assert_int_equal(f->nr_resets, 0);
	assert_int_equal(in32(f->pio, 0xcf8), 0xffffffff);
}

static void port_92_resets_when_bit_0_rises(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in8(f->pio, 0x92), 0x02);
	out8(f->pio, 0x92, 0x00);
	assert_int_equal(in8(f->pio, 0x92), 0x00);
	out8(f->pio, 0x92, 0x03);
	out8(f->pio, 0x92, 0x03);
	assert_int_equal(f->nr_resets, 1);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0xcf9, 0x0a);
	out8(f->pio, 0x92, 0x01);
	fake_round_trip(reset_device(f->reset));
	assert_int_equal(in8(f->pio, 0xcf9), 0x0a);
	assert_int_equal(in8(f->pio, 0x92), 0x01);
	fake_hostile_load(reset_device(f->reset));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cf9_resets_on_bit_2),
		T(pci_address_writes_do_not_reset),
		T(port_92_resets_when_bit_0_rises),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
