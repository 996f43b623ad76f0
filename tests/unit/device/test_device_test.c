/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "device/test_device.h"

struct fixture {
	struct bus *pio, *mmio;
	struct fake_line irqs[TEST_DEVICE_NR_IRQS];
	struct test_device *t;
	int status;
};

static void exit_vm(void *ctx, int status)
{
	((struct fixture *)ctx)->status = status;
}

static int setup(void **state)
{
	static struct fixture f;
	struct test_device_params params = {.exit = exit_vm, .ctx = &f};

	memset(&f, 0, sizeof(f));
	f.status = -1;
	f.pio = params.pio = bus_new(BUS_PIO);
	f.mmio = params.mmio = bus_new(BUS_MMIO);
	for (unsigned i = 0; i < TEST_DEVICE_NR_IRQS; i++)
		params.irqs[i] = fake_line(f.irqs, i);
	f.t = test_device_new(&params, NULL);
	assert_non_null(f.t);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	test_device_device(f->t)->ops->free(test_device_device(f->t));
	bus_free(f->pio);
	bus_free(f->mmio);
	return 0;
}

static void exit_port_gives_twice_the_value_plus_one(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0xf4, 0);
	assert_int_equal(f->status, 1);
	out32(f->pio, 0xf4, 0x10);
	assert_int_equal(f->status, 0x21);
}

static void scratch_register_takes_every_width(void **state)
{
	struct fixture *f = *state;

	out32(f->pio, 0xe0, 0x12345678);
	assert_int_equal(in8(f->pio, 0xe1), 0x56);
	assert_int_equal(in16(f->pio, 0xe2), 0x1234);
	assert_int_equal(in32(f->pio, 0xe8), 0x12345678);
	out16(f->pio, 0xe8, 0xabcd);
	assert_int_equal(in32(f->pio, 0xe0), 0x1234abcd);
	out32(f->pio, 0xe4, 0x1000); /* a flush changes nothing */
	assert_int_equal(in32(f->pio, 0xe0), 0x1234abcd);
}

static void irq_ports_drive_their_lines(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x2000 + 14, 1);
	assert_true(f->irqs[14].level);
	assert_false(f->irqs[13].level);
	out8(f->pio, 0x2000 + 14, 0);
	assert_false(f->irqs[14].level);
}

static void memory_keeps_what_is_written(void **state)
{
	struct fixture *f = *state;

	out64(f->mmio, 0xff000008, 0x1122334455667788);
	assert_true(in64(f->mmio, 0xff000008) == 0x1122334455667788);
	assert_int_equal(in16(f->mmio, 0xff00000b), 0x4455);
	out8(f->mmio, 0xff00ffff, 0x5a);
	assert_int_equal(in8(f->mmio, 0xff00ffff), 0x5a);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	out8(f->pio, 0x2000 + 5, 1);
	out32(f->pio, 0xe0, 0xdeadbeef);
	out8(f->mmio, 0xff000100, 7);
	fake_round_trip(test_device_device(f->t));
	assert_true(f->irqs[5].level);
	assert_int_equal(in32(f->pio, 0xe0), 0xdeadbeef);
	assert_int_equal(in8(f->mmio, 0xff000100), 7);
	test_device_device(f->t)->ops->reset(test_device_device(f->t));
	assert_false(f->irqs[5].level);
	assert_int_equal(in8(f->mmio, 0xff000100), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(exit_port_gives_twice_the_value_plus_one),
		T(scratch_register_takes_every_width),
		T(irq_ports_drive_their_lines),
		T(memory_keeps_what_is_written),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("test_device", tests, NULL, NULL);
}
