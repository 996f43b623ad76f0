/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "core/bus.h"

struct toy {
	struct bus_region region;
	uint64_t offset, value;
	unsigned size, calls;
};

static uint64_t toy_read(void *dev, uint64_t offset, unsigned size)
{
	struct toy *t = dev;

	t->calls++;
	return 0x1111111111111111ull * (offset + 1) >> (64 - 8 * size);
}

static void toy_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct toy *t = dev;

	t->calls++;
	t->offset = offset;
	t->size = size;
	t->value = value;
}

static const struct bus_ops any_size = {toy_read, toy_write, 1, 8};
static const struct bus_ops only_four = {toy_read, toy_write, 4, 4};
static const struct bus_ops only_one = {toy_read, toy_write, 1, 1};

static struct toy *add(struct bus *bus, struct toy *t, uint64_t base, uint64_t size,
		       const struct bus_ops *ops)
{
	struct error err;

	*t = (struct toy){
		.region = {.name = "toy", .base = base, .size = size, .ops = ops, .dev = t}};
	assert_int_equal(bus_add(bus, &t->region, &err), 0);
	return t;
}

static void write_reaches_the_device_with_its_offset(void **state)
{
	struct bus *bus = bus_new(BUS_MMIO);
	struct toy t;
	uint32_t value = 0xcafe;

	add(bus, &t, 0x1000, 0x100, &any_size);
	assert_true(bus_write(bus, 0x1010, &value, 4));
	assert_int_equal(t.offset, 0x10);
	assert_int_equal(t.size, 4);
	assert_int_equal(t.value, 0xcafe);
	bus_free(bus);
}

static void empty_bus_reads_all_ones(void **state)
{
	struct bus *bus = bus_new(BUS_PIO);
	uint32_t value = 0;

	assert_false(bus_read(bus, 0x80, &value, 4));
	assert_int_equal(value, 0xffffffff);
	assert_false(bus_write(bus, 0x80, &value, 4));
	bus_free(bus);
}

static void wide_access_is_split_for_a_narrow_device(void **state)
{
	struct bus *bus = bus_new(BUS_PIO);
	struct toy t;
	uint32_t value = 0;

	add(bus, &t, 0x3f8, 8, &only_one);
	assert_true(bus_read(bus, 0x3f8, &value, 4));
	assert_int_equal(t.calls, 4);
	assert_int_equal(value, 0x44332211);
	bus_free(bus);
}

static void narrow_access_to_a_wide_device_is_refused(void **state)
{
	struct bus *bus = bus_new(BUS_MMIO);
	struct toy t;
	uint8_t value = 0;

	add(bus, &t, 0xfec00000, 0x1000, &only_four);
	assert_false(bus_read(bus, 0xfec00000, &value, 1));
	assert_int_equal(value, 0xff);
	assert_int_equal(t.calls, 0);
	bus_free(bus);
}

static void access_over_the_end_reaches_both_neighbours(void **state)
{
	struct bus *bus = bus_new(BUS_PIO);
	struct toy low, high;
	uint16_t value = 0x0201;

	add(bus, &low, 0x60, 1, &only_one);
	add(bus, &high, 0x61, 1, &only_one);
	assert_true(bus_write(bus, 0x60, &value, 2));
	assert_int_equal(low.value, 1);
	assert_int_equal(high.value, 2);
	bus_free(bus);
}

static void overlap_is_refused_and_both_are_named(void **state)
{
	struct bus *bus = bus_new(BUS_PIO);
	struct toy t;
	struct bus_region second = {.name = "second", .base = 0x67, .size = 4, .ops = &any_size};
	struct error err = {0};

	add(bus, &t, 0x60, 8, &only_one);
	assert_int_equal(bus_add(bus, &second, &err), -EEXIST);
	assert_string_equal(err.text, "second and toy both want address 0x67");
	bus_free(bus);
}

static void removed_device_is_gone(void **state)
{
	struct bus *bus = bus_new(BUS_PIO);
	struct toy t;
	uint8_t value;

	add(bus, &t, 0x60, 8, &only_one);
	bus_remove(bus, &t.region);
	assert_false(bus_read(bus, 0x60, &value, 1));
	bus_free(bus);
}

struct traffic {
	struct bus *bus;
	atomic_bool is_over;
	unsigned nr_accesses, nr_wrong;
};

static uint64_t read_own_offset(void *dev, uint64_t offset, unsigned size)
{
	return *(uint8_t *)dev + offset;
}

static const struct bus_ops stays_ops = {.read = read_own_offset, .max_size = 8};

static void *access_what_stays(void *arg)
{
	struct traffic *t = arg;

	while (!atomic_load(&t->is_over)) {
		uint64_t value = 0;

		if (!bus_read(t->bus, 0x2008, &value, 8) || value != 0x48)
			t->nr_wrong++;
		t->nr_accesses++;
	}
	return NULL;
}

static void lookups_go_on_while_regions_move(void **state)
{
	struct traffic t = {.bus = bus_new(BUS_MMIO)};
	uint8_t own = 0x40;
	struct bus_region stays = {
		.name = "stays", .base = 0x2000, .size = 16, .ops = &stays_ops, .dev = &own};
	struct toy moves, others[200];
	struct error err;
	pthread_t thread;

	add(t.bus, &moves, 0, 16, &any_size);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		add(t.bus, &others[i], (i < 100 ? 0x1000 : 0x3000) + i * 16, 16, &any_size);
	assert_int_equal(bus_add(t.bus, &stays, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, access_what_stays, &t), 0);
	for (unsigned i = 0; i < 200000; i++) {
		bus_remove(t.bus, &moves.region);
		moves.region.base = i % 2 ? 0 : 0x8000;
		assert_int_equal(bus_add(t.bus, &moves.region, &err), 0);
	}
	atomic_store(&t.is_over, true);
	pthread_join(thread, NULL);
	assert_true(t.nr_accesses > 0);
	assert_int_equal(t.nr_wrong, 0);
	bus_free(t.bus);
}

static void full_bus_refuses(void **state)
{
	struct bus *bus = bus_new(BUS_MMIO);
	static struct toy toys[1025];
	struct error err = {0};
	unsigned i = 0;
	int ret;

	do {
		toys[i].region = (struct bus_region){
			.name = "toy", .base = i * 16, .size = 16, .ops = &any_size};
		ret = bus_add(bus, &toys[i].region, &err);
	} while (!ret && ++i < ARRAY_SIZE(toys));
	assert_int_equal(ret, -ENOSPC);
	assert_string_equal(err.text, "toy: no room for more than 1024 device regions");
	bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_reaches_the_device_with_its_offset),
		cmocka_unit_test(empty_bus_reads_all_ones),
		cmocka_unit_test(wide_access_is_split_for_a_narrow_device),
		cmocka_unit_test(narrow_access_to_a_wide_device_is_refused),
		cmocka_unit_test(access_over_the_end_reaches_both_neighbours),
		cmocka_unit_test(overlap_is_refused_and_both_are_named),
		cmocka_unit_test(removed_device_is_gone),
		cmocka_unit_test(lookups_go_on_while_regions_move),
		cmocka_unit_test(full_bus_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
