/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_machine.h"

#define DEVICE 5

struct fixture {
	struct machine m;
	struct toy t;
	uint64_t table, pending; /* where they are for the guest */
	unsigned control;	 /* register of the capability */
};

static void set_up_vectors(struct fixture *x, unsigned nr)
{
	struct error err;

	machine_init(&x->m);
	toy_init(&x->t, nr);
	assert_int_equal(pci_root_add(x->m.root, &x->t.f, DEVICE, &err), 0);
	unsigned cap = config16(&x->m, DEVICE, x->t.cap) >> 8;
	x->control = cap + PCI_MSIX_CONTROL;
	x->table = pci_bar_address(&x->t.f, config32(&x->m, DEVICE, cap + PCI_MSIX_TABLE) & 7);
	x->pending = x->table + (config32(&x->m, DEVICE, cap + PCI_MSIX_PBA) & ~7u);
	set_command(&x->m, DEVICE, PCI_COMMAND_BUS_MASTER, 0);
}

/* Three vectors; vector 1 sends data 0x4031 to 0xfee01000; MSI-X is on. */
static void set_up(struct fixture *x)
{
	set_up_vectors(x, 3);
	out32(x->m.mmio, x->table + 16, 0xfee01000);
	out32(x->m.mmio, x->table + 20, 0);
	out32(x->m.mmio, x->table + 24, 0x4031);
	out32(x->m.mmio, x->table + 28, 0);
	set_config16(&x->m, DEVICE, x->control, PCI_MSIX_CONTROL_ENABLE);
}

static void drop(struct fixture *x)
{
	pci_function_fini(&x->t.f);
	machine_fini(&x->m);
}

static void notify_sends_the_vectors_message(void **state)
{
	struct fixture x;

	set_up(&x);
	assert_int_equal(config16(&x.m, DEVICE, x.control) & 0x7ff, 2); /* size less one */
	pci_msix_notify(&x.t.f, 1);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.addr, 0xfee01000);
	assert_int_equal(x.m.sent.data, 0x4031);
	assert_int_equal(in32(x.m.mmio, x.pending), 0);
	drop(&x);
}

static void table_reads_back_in_dwords_and_qwords(void **state)
{
	struct fixture x;

	set_up(&x);
	assert_int_equal(in32(x.m.mmio, x.table + 24), 0x4031);
	assert_int_equal(in32(x.m.mmio, x.table + 12), PCI_MSIX_ENTRY_MASKED);
	out64(x.m.mmio, x.table + 32, 0x1fee02003ull);
	assert_int_equal(in64(x.m.mmio, x.table + 32), 0x1fee02000ull);
	assert_int_equal(in8(x.m.mmio, x.table + 24), 0xff); /* bytes are not for it */
	drop(&x);
}

static void masked_vector_stays_pending_until_unmasked(void **state)
{
	struct fixture x;

	set_up(&x);
	out32(x.m.mmio, x.table + 28, PCI_MSIX_ENTRY_MASKED);
	pci_msix_notify(&x.t.f, 1);
	pci_msix_notify(&x.t.f, 1);
	assert_int_equal(x.m.sent.nr, 0);
	assert_int_equal(in64(x.m.mmio, x.pending), 1 << 1);
	out32(x.m.mmio, x.table + 28, 0);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(in64(x.m.mmio, x.pending), 0);
	drop(&x);
}

static void masked_function_holds_all_vectors_back(void **state)
{
	struct fixture x;

	set_up(&x);
	out32(x.m.mmio, x.table + 44, 0);
	set_config16(&x.m, DEVICE, x.control, PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASKED);
	pci_msix_notify(&x.t.f, 1);
	pci_msix_notify(&x.t.f, 2);
	assert_int_equal(x.m.sent.nr, 0);
	assert_int_equal(in32(x.m.mmio, x.pending), 6);
	set_config16(&x.m, DEVICE, x.control, PCI_MSIX_CONTROL_ENABLE);
	assert_int_equal(x.m.sent.nr, 2);
	drop(&x);
}

static void no_message_without_bus_mastering(void **state)
{
	struct fixture x;

	set_up(&x);
	set_command(&x.m, DEVICE, 0, PCI_COMMAND_BUS_MASTER);
	pci_msix_notify(&x.t.f, 1);
	assert_int_equal(x.m.sent.nr, 0);
	set_command(&x.m, DEVICE, PCI_COMMAND_BUS_MASTER, 0);
	assert_int_equal(x.m.sent.nr, 1);
	drop(&x);
}

static void nothing_is_sent_while_off_or_out_of_range(void **state)
{
	struct fixture x;

	set_up(&x);
	pci_msix_notify(&x.t.f, 3);
	set_config16(&x.m, DEVICE, x.control, 0);
	assert_false(pci_msix_is_enabled(&x.t.f));
	pci_msix_notify(&x.t.f, 1);
	set_config16(&x.m, DEVICE, x.control, PCI_MSIX_CONTROL_ENABLE);
	assert_true(pci_msix_is_enabled(&x.t.f));
	assert_int_equal(x.m.sent.nr, 0);
	drop(&x);
}

static void intx_is_not_seen_while_msix_is_on(void **state)
{
	struct fixture x;

	set_up(&x);
	pci_intx_set(&x.t.f, true);
	assert_false(x.m.lines[DEVICE % 4].level);
	set_config16(&x.m, DEVICE, x.control, 0);
	assert_true(x.m.lines[DEVICE % 4].level);
	drop(&x);
}

static void many_vectors_have_pending_bits_of_their_own(void **state)
{
	struct fixture x;

	set_up_vectors(&x, PCI_MSIX_VECTORS_MAX);
	set_config16(&x.m, DEVICE, x.control, PCI_MSIX_CONTROL_ENABLE);
	pci_msix_notify(&x.t.f, 2047); /* masked since reset */
	pci_msix_notify(&x.t.f, 64);
	assert_int_equal(in64(x.m.mmio, x.pending + 8), 1);
	assert_int_equal(in32(x.m.mmio, x.pending + 252), 0x80000000);
	assert_int_equal(in32(x.m.mmio, x.pending + 248), 0);
	drop(&x);
}

static void pending_and_masks_are_part_of_the_state(void **state)
{
	struct fixture x;
	struct buf saved = {0};
	struct state s;

	set_up(&x);
	out32(x.m.mmio, x.table + 28, PCI_MSIX_ENTRY_MASKED);
	pci_msix_notify(&x.t.f, 1);
	state_init_save(&s, &saved);
	state_begin(&s, "toy", 1);
	pci_function_state(&x.t.f, &s);
	state_end(&s);
	x.m.dev->ops->reset(x.m.dev);
	assert_int_equal(in32(x.m.mmio, x.pending), 0);
	assert_int_equal(in32(x.m.mmio, x.table + 24), 0);

	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "toy", 1);
	pci_function_state(&x.t.f, &s);
	state_end(&s);
	assert_false(state_failed(&s));
	assert_int_equal(x.m.sent.nr, 0);
	assert_int_equal(in32(x.m.mmio, x.pending), 2);
	out32(x.m.mmio, x.table + 28, 0);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.data, 0x4031);
	buf_free(&saved);
	drop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notify_sends_the_vectors_message),
		cmocka_unit_test(table_reads_back_in_dwords_and_qwords),
		cmocka_unit_test(masked_vector_stays_pending_until_unmasked),
		cmocka_unit_test(masked_function_holds_all_vectors_back),
		cmocka_unit_test(no_message_without_bus_mastering),
		cmocka_unit_test(nothing_is_sent_while_off_or_out_of_range),
		cmocka_unit_test(intx_is_not_seen_while_msix_is_on),
		cmocka_unit_test(many_vectors_have_pending_bits_of_their_own),
		cmocka_unit_test(pending_and_masks_are_part_of_the_state),
	};

	return cmocka_run_group_tests_name("pci/msix", tests, NULL, NULL);
}
