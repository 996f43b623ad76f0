/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_machine.h"

#define DEVICE 5

struct fixture {
	struct machine m;
	struct pci_function f;
	unsigned cap;
	struct fake_line *line;
};

/* MSI is on, with data 0x4061 for 0x1_fee02000. */
static void set_up(struct fixture *x)
{
	struct error err;

	machine_init(&x->m);
	pci_function_init(&x->f, &(struct pci_function_params){.name = "msi", .has_intx = true});
	pci_add_msi(&x->f);
	assert_int_equal(pci_root_add(x->m.root, &x->f, DEVICE, &err), 0);
	x->line = &x->m.lines[DEVICE % PCI_NR_INTX_LINES];
	x->cap = config16(&x->m, DEVICE, PCI_CAPABILITIES) & 0xff;
	set_command(&x->m, DEVICE, PCI_COMMAND_BUS_MASTER, 0);
	set_config32(&x->m, DEVICE, x->cap + PCI_MSI_ADDRESS, 0xfee02003);
	set_config32(&x->m, DEVICE, x->cap + PCI_MSI_UPPER, 1);
	set_config16(&x->m, DEVICE, x->cap + PCI_MSI_DATA, 0x4061);
	set_config16(&x->m, DEVICE, x->cap + PCI_MSI_CONTROL, 0xffff);
}

static void drop(struct fixture *x)
{
	pci_function_fini(&x->f);
	machine_fini(&x->m);
}

static void capability_offers_one_maskable_64_bit_vector(void **state)
{
	struct fixture x;

	set_up(&x);
	assert_int_equal(config16(&x.m, DEVICE, x.cap) & 0xff, PCI_CAP_ID_MSI);
	assert_int_equal(config16(&x.m, DEVICE, x.cap + PCI_MSI_CONTROL), 0x0181);
	assert_int_equal(config32(&x.m, DEVICE, x.cap + PCI_MSI_ADDRESS), 0xfee02000);
	drop(&x);
}

static void each_rise_is_a_message_and_the_wire_stays_low(void **state)
{
	struct fixture x;

	set_up(&x);
	pci_intx_set(&x.f, true);
	pci_intx_set(&x.f, true);
	assert_int_equal(x.m.sent.nr, 1);
	assert_true(x.m.sent.addr == 0x1fee02000ull);
	assert_int_equal(x.m.sent.data, 0x4061);
	assert_false(x.line->level);
	pci_intx_set(&x.f, false);
	pci_intx_set(&x.f, true);
	assert_int_equal(x.m.sent.nr, 2);
	set_config16(&x.m, DEVICE, x.cap + PCI_MSI_CONTROL, 0);
	assert_true(x.line->level);
	drop(&x);
}

static void masked_message_is_pending_until_unmasked(void **state)
{
	struct fixture x;

	set_up(&x);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 1);
	pci_intx_set(&x.f, true);
	assert_int_equal(x.m.sent.nr, 0);
	assert_int_equal(config32(&x.m, DEVICE, x.cap + PCI_MSI_PENDING), 1);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 0);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(config32(&x.m, DEVICE, x.cap + PCI_MSI_PENDING), 0);
	drop(&x);
}

static void message_waits_for_bus_mastering_and_ends_with_msi(void **state)
{
	struct fixture x;

	set_up(&x);
	set_command(&x.m, DEVICE, 0, PCI_COMMAND_BUS_MASTER);
	pci_intx_set(&x.f, true);
	assert_int_equal(x.m.sent.nr, 0);
	set_command(&x.m, DEVICE, PCI_COMMAND_BUS_MASTER, 0);
	assert_int_equal(x.m.sent.nr, 1);

	pci_intx_set(&x.f, false);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 1);
	pci_intx_set(&x.f, true);
	set_config16(&x.m, DEVICE, x.cap + PCI_MSI_CONTROL, 0);
	set_config16(&x.m, DEVICE, x.cap + PCI_MSI_CONTROL, PCI_MSI_CONTROL_ENABLE);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 0);
	assert_int_equal(x.m.sent.nr, 1);
	drop(&x);
}

static void pending_message_is_part_of_the_state(void **state)
{
	struct fixture x;
	struct buf saved = {0};
	struct state s;

	set_up(&x);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 1);
	pci_intx_set(&x.f, true);
	state_init_save(&s, &saved);
	state_begin(&s, "msi", 1);
	pci_function_state(&x.f, &s);
	state_end(&s);
	x.m.dev->ops->reset(x.m.dev);
	assert_int_equal(config32(&x.m, DEVICE, x.cap + PCI_MSI_PENDING), 0);

	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "msi", 1);
	pci_function_state(&x.f, &s);
	state_end(&s);
	assert_false(state_failed(&s));
	assert_int_equal(config32(&x.m, DEVICE, x.cap + PCI_MSI_PENDING), 1);
	assert_int_equal(x.m.sent.nr, 0);
	set_config32(&x.m, DEVICE, x.cap + PCI_MSI_MASK, 0);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.data, 0x4061);
	buf_free(&saved);
	drop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capability_offers_one_maskable_64_bit_vector),
		cmocka_unit_test(each_rise_is_a_message_and_the_wire_stays_low),
		cmocka_unit_test(masked_message_is_pending_until_unmasked),
		cmocka_unit_test(message_waits_for_bus_mastering_and_ends_with_msi),
		cmocka_unit_test(pending_message_is_part_of_the_state),
	};

	return cmocka_run_group_tests_name("pci/msi", tests, NULL, NULL);
}
