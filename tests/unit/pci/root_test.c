/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include "chipset/reset.h"
#include "pci/root.h"

static unsigned nr_resets;

static void count_reset(void *ctx)
{
	nr_resets++;
}

struct machine {
	struct bus *pio;
	struct device *root, *reset;
};

static struct machine make(void)
{
	struct machine m = {.pio = bus_new(BUS_PIO)};
	struct error err;
	struct pci_root *root = pci_root_new(m.pio, &err);

	assert_non_null(root);
	m.root = pci_root_device(root);
	m.reset = reset_device(reset_new(&(struct reset_params){.pio = m.pio,
								.wide = &pci_root_address_ops,
								.wide_dev = root,
								.reset = count_reset},
					 &err));
	return m;
}

static void drop(struct machine *m)
{
	m->root->ops->free(m->root);
	m->reset->ops->free(m->reset);
	bus_free(m->pio);
}

static uint32_t config(struct machine *m, uint32_t address)
{
	uint32_t value;

	bus_write(m->pio, 0xcf8, &address, 4);
	bus_read(m->pio, 0xcfc, &value, 4);
	return value;
}

static void host_bridge_is_at_the_first_function(void **state)
{
	struct machine m = make();
	uint16_t class;

	assert_int_equal(config(&m, 0x80000000), 0x29c08086);
	assert_int_equal(config(&m, 0x80000008), 0x06000000);
	bus_read(m.pio, 0xcfe, &class, 2);
	assert_int_equal(class, 0x0600);
	drop(&m);
}

static void other_functions_are_absent(void **state)
{
	struct machine m = make();

	assert_int_equal(config(&m, 0x80000800), 0xffffffff);
	assert_int_equal(config(&m, 0x80010000), 0xffffffff);
	assert_int_equal(config(&m, 0x80000100), 0xffffffff);
	assert_int_equal(config(&m, 0x00000000), 0xffffffff);
	drop(&m);
}

static void address_reads_back_and_its_second_byte_resets(void **state)
{
	struct machine m = make();
	uint32_t address = 0x80001234, back = 0;
	uint8_t reset = 0x06;

	bus_write(m.pio, 0xcf8, &address, 4);
	bus_read(m.pio, 0xcf8, &back, 4);
	assert_int_equal(back, address);
	nr_resets = 0;
	bus_write(m.pio, 0xcf9, &reset, 1);
	assert_int_equal(nr_resets, 1);
	drop(&m);
}

static void state_comes_back(void **state)
{
	struct machine m = make();
	struct buf saved = {0};
	struct state s;

	config(&m, 0x80000000);
	state_init_save(&s, &saved);
	state_begin(&s, "pci_root.0", 1);
	m.root->ops->state(m.root, &s);
	state_end(&s);
	m.root->ops->reset(m.root);
	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "pci_root.0", 1);
	m.root->ops->state(m.root, &s);
	state_end(&s);
	assert_false(state_failed(&s));

	uint32_t value;
	bus_read(m.pio, 0xcfc, &value, 4);
	assert_int_equal(value, 0x29c08086);
	buf_free(&saved);
	drop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_bridge_is_at_the_first_function),
		cmocka_unit_test(other_functions_are_absent),
		cmocka_unit_test(address_reads_back_and_its_second_byte_resets),
		cmocka_unit_test(state_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
