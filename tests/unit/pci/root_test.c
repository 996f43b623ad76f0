/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_machine.h"

#include "chipset/reset.h"

static unsigned nr_resets;

static void count_reset(void *ctx)
{
	nr_resets++;
}

static struct device *add_reset(struct machine *m)
{
	return reset_device(reset_new(&(struct reset_params){.pio = m->pio,
							     .wide = &pci_root_address_ops,
							     .wide_dev = m->root,
							     .reset = count_reset},
				      NULL));
}

static uint32_t config(struct machine *m, uint32_t address)
{
	out32(m->pio, 0xcf8, address);
	return in32(m->pio, 0xcfc);
}

static void host_bridge_is_at_the_first_function(void **state)
{
	struct machine m;

	machine_init(&m);
	struct device *reset = add_reset(&m);
	assert_int_equal(config(&m, 0x80000000), 0x29c08086);
	assert_int_equal(config(&m, 0x80000008), 0x06000000);
	assert_int_equal(in16(m.pio, 0xcfe), 0x0600);
	assert_int_equal(config32(&m, 0, 0), 0x29c08086);
	reset->ops->free(reset);
	machine_fini(&m);
}

static void other_functions_are_absent(void **state)
{
	struct machine m;

	machine_init(&m);
	struct device *reset = add_reset(&m);
	assert_int_equal(config(&m, 0x80000800), 0xffffffff);
	assert_int_equal(config(&m, 0x80010000), 0xffffffff);
	assert_int_equal(config(&m, 0x80000100), 0xffffffff);
	assert_int_equal(config(&m, 0x00000000), 0xffffffff);
	assert_int_equal(config32(&m, 1, 0), 0xffffffff);
	assert_int_equal(config32(&m, 32, 0), 0xffffffff); /* bus 1 */
	reset->ops->free(reset);
	machine_fini(&m);
}

static void address_reads_back_and_its_second_byte_resets(void **state)
{
	struct machine m;

	machine_init(&m);
	struct device *reset = add_reset(&m);
	out32(m.pio, 0xcf8, 0x80001234);
	assert_int_equal(in32(m.pio, 0xcf8), 0x80001234);
	nr_resets = 0;
	out8(m.pio, 0xcf9, 6);
	assert_int_equal(nr_resets, 1);
	reset->ops->free(reset);
	machine_fini(&m);
}

static void both_mechanisms_reach_one_function(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	struct device *reset = add_reset(&m);
	toy_add(&m, &t, 9);
	assert_int_equal(config(&m, 0x80004800), 0x10421af4);
	config(&m, 0x8000483c);
	out8(m.pio, 0xcfc, 0x77);
	assert_int_equal(config16(&m, 9, PCI_INTERRUPT_LINE), 0x0177);
	assert_int_equal(in8(m.mmio, ecam_address(9, PCI_VENDOR_ID + 1)), 0x1a);
	pci_function_fini(&t.f);
	assert_int_equal(config32(&m, 9, 0), 0xffffffff);
	reset->ops->free(reset);
	machine_fini(&m);
}

static void functions_get_free_device_numbers(void **state)
{
	struct machine m;
	struct toy first, second, third, late;
	struct error err = {0};

	machine_init(&m);
	toy_add(&m, &first, 1);
	toy_add(&m, &third, 3);
	toy_add(&m, &second, PCI_DEVICE_ANY);
	assert_int_equal(second.f.devfn, 2 << 3);
	toy_init(&late, 1);
	assert_int_equal(pci_root_add(m.root, &late.f, 3, &err), -EBUSY);
	assert_string_equal(err.text, "toy and toy both want PCI device 3");
	pci_function_fini(&late.f);
	pci_function_fini(&first.f);
	pci_function_fini(&second.f);
	pci_function_fini(&third.f);
	machine_fini(&m);
}

static void further_functions_share_device_numbers(void **state)
{
	static struct toy toys[248], late;
	struct machine m;
	struct error err = {0};

	machine_init(&m);
	for (unsigned i = 0; i < ARRAY_SIZE(toys); i++) {
		toy_add(&m, &toys[i], PCI_DEVICE_ANY);
		assert_true(pci_bar_address(&toys[i].f, BAR_MEM32) != PCI_BAR_NOT_MAPPED);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(toys); i++)
		assert_int_equal(toys[i].f.devfn, i + 8);
	/* Function 7 of device 31 is there, and function 0 tells to look for it. */
	assert_int_equal(in32(m.mmio, ECAM + (UINT64_C(0xff) << 12)), 0x10421af4);
	assert_int_equal(config16(&m, 31, PCI_HEADER_TYPE) & 0xff, 0x80);
	m.dev->ops->reset(m.dev);
	assert_int_equal(config16(&m, 31, PCI_HEADER_TYPE) & 0xff, 0x80);

	toy_init(&late, 1);
	assert_int_equal(pci_root_add(m.root, &late.f, PCI_DEVICE_ANY, &err), -ENOSPC);
	assert_string_equal(err.text, "toy: all 248 places of the PCI bus are taken");
	pci_function_fini(&late.f);
	for (unsigned i = 0; i < ARRAY_SIZE(toys); i++)
		pci_function_fini(&toys[i].f);
	machine_fini(&m);
}

/* Whatever their number, functions are found in the order of adding, beside one with a wish. */
static void enumeration_follows_the_order_of_adding(void **state)
{
	static const unsigned numbers[] = {1, 2, 30, 31, 40, 60, 61, 100, 240};
	static struct toy toys[240], wish;
	struct machine m;

	for (unsigned k = 0; k < ARRAY_SIZE(numbers); k++) {
		unsigned found = 0;

		machine_init(&m);
		toy_add(&m, &wish, 5);
		for (unsigned i = 0; i < numbers[k]; i++)
			toy_add(&m, &toys[i], PCI_DEVICE_ANY);
		assert_int_equal(wish.f.devfn, 5 << 3);
		for (unsigned devfn = 8; devfn < 256; devfn++) {
			uint64_t at = ECAM + ((uint64_t)devfn << 12);
			bool is_hidden =
				devfn & 7 &&
				!(in8(m.mmio, ECAM + ((devfn & ~7ull) << 12) + PCI_HEADER_TYPE) &
				  PCI_HEADER_MULTI_FUNCTION);

			if (devfn == 5 << 3 || is_hidden || in32(m.mmio, at) == UINT32_MAX)
				continue;
			assert_true(found < numbers[k]);
			assert_int_equal(toys[found].f.devfn, devfn);
			found++;
		}
		assert_int_equal(found, numbers[k]);
		for (unsigned i = 0; i < numbers[k]; i++)
			pci_function_fini(&toys[i].f);
		pci_function_fini(&wish.f);
		machine_fini(&m);
	}
}

static void bars_get_addresses_in_their_windows(void **state)
{
	struct machine m;
	struct toy a, b;

	machine_init(&m);
	toy_add(&m, &a, 1);
	toy_add(&m, &b, 2);
	assert_int_equal(pci_bar_address(&a.f, BAR_MEM32), MEM32);
	assert_int_equal(pci_bar_address(&a.f, BAR_IO), 0x4000);
	assert_int_equal(pci_bar_address(&a.f, BAR_MEM64), MEM32 + 0x4000);
	assert_int_equal(pci_bar_address(&a.f, BAR_MSIX), MEM32 + 0x8000);
	assert_int_equal(pci_bar_address(&b.f, BAR_IO), 0x4040);
	assert_int_equal(pci_bar_address(&b.f, BAR_MEM32), MEM32 + 0x9000);
	pci_function_fini(&a.f);
	pci_function_fini(&b.f);
	machine_fini(&m);
}

static void large_64_bit_bars_go_above_4_gib(void **state)
{
	struct machine m;
	struct pci_function f;
	struct error err;

	machine_init(&m);
	pci_function_init(&f, &(struct pci_function_params){.name = "large"});
	pci_add_bar(&f, 0, PCI_BAR_MEM64, UINT64_C(0x800000000), &toy_ops, NULL);
	assert_int_equal(pci_root_add(m.root, &f, PCI_DEVICE_ANY, &err), 0);
	assert_int_equal(pci_bar_address(&f, 0), MEM64);
	pci_function_fini(&f);
	machine_fini(&m);
}

static void bar_without_room_is_refused(void **state)
{
	struct machine m;
	struct pci_function f;
	struct error err = {0};

	machine_init(&m);
	pci_function_init(&f, &(struct pci_function_params){.name = "large"});
	pci_add_bar(&f, 0, PCI_BAR_MEM32, 0x20000000, &toy_ops, NULL);
	assert_int_equal(pci_root_add(m.root, &f, 4, &err), -ENOSPC);
	assert_string_equal(err.text,
			    "large: no room for 536870912 bytes of BAR 0 in the PCI windows");
	assert_int_equal(config32(&m, 4, 0), 0xffffffff);
	pci_function_fini(&f);
	machine_fini(&m);
}

static void reset_gives_the_same_addresses_again(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 1);
	uint64_t memory = pci_bar_address(&t.f, BAR_MEM32);
	set_config32(&m, 1, PCI_BARS, MEM32 + 0x500000);
	set_command(&m, 1, PCI_COMMAND_BUS_MASTER, 0);
	m.dev->ops->reset(m.dev);
	assert_int_equal(pci_bar_address(&t.f, BAR_MEM32), memory);
	assert_int_equal(config16(&m, 1, PCI_COMMAND), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void state_comes_back(void **state)
{
	struct machine m;

	machine_init(&m);
	struct device *reset = add_reset(&m);
	config(&m, 0x80000000);
	fake_round_trip(m.dev);
	assert_int_equal(in32(m.pio, 0xcfc), 0x29c08086);
	fake_hostile_load(m.dev);
	reset->ops->free(reset);
	machine_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_bridge_is_at_the_first_function),
		cmocka_unit_test(other_functions_are_absent),
		cmocka_unit_test(address_reads_back_and_its_second_byte_resets),
		cmocka_unit_test(both_mechanisms_reach_one_function),
		cmocka_unit_test(functions_get_free_device_numbers),
		cmocka_unit_test(further_functions_share_device_numbers),
		cmocka_unit_test(enumeration_follows_the_order_of_adding),
		cmocka_unit_test(bars_get_addresses_in_their_windows),
		cmocka_unit_test(large_64_bit_bars_go_above_4_gib),
		cmocka_unit_test(bar_without_room_is_refused),
		cmocka_unit_test(reset_gives_the_same_addresses_again),
		cmocka_unit_test(state_comes_back),
	};

	return cmocka_run_group_tests_name("pci/root", tests, NULL, NULL);
}
