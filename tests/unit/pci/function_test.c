/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_machine.h"

#include "base/base.h"

#define BAR(n) (PCI_BARS + 4 * (n))

static void ids_and_class_are_read_only(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(config32(&m, 3, PCI_VENDOR_ID), 0x10421af4);
		assert_int_equal(config32(&m, 3, PCI_REVISION_ID), 0x01800001);
		assert_int_equal(config32(&m, 3, PCI_SUBSYSTEM_VENDOR_ID), 0x11001af4);
		assert_int_equal(config16(&m, 3, PCI_INTERRUPT_PIN) & 0xff, 1);
		set_config32(&m, 3, PCI_VENDOR_ID, 0);
		set_config32(&m, 3, PCI_REVISION_ID, 0);
		set_config32(&m, 3, PCI_SUBSYSTEM_VENDOR_ID, 0);
		set_config16(&m, 3, PCI_INTERRUPT_PIN, 0);
	}
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void extended_space_reads_as_zero(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	assert_int_equal(config32(&m, 3, 0x100), 0);
	set_config32(&m, 3, 0xffc, 1);
	assert_int_equal(config32(&m, 3, 0xffc), 0);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void capabilities_form_a_list(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	assert_true(config16(&m, 3, PCI_STATUS) & PCI_STATUS_CAPABILITIES);
	unsigned first = config16(&m, 3, PCI_CAPABILITIES) & 0xff;
	assert_int_equal(first, t.cap);
	assert_int_equal(config16(&m, 3, first) & 0xff, PCI_CAP_ID_VENDOR);
	unsigned second = config16(&m, 3, first) >> 8;
	assert_int_equal(config16(&m, 3, second), PCI_CAP_ID_MSIX);

	set_config32(&m, 3, t.cap + 4, 0xffffffff);
	assert_int_equal(config32(&m, 3, t.cap + 4), 0x040302ff);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void hooked_bytes_are_the_owners(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	set_config32(&m, 3, t.cap + 8, 0x12345678);
	assert_int_equal(t.window, 0x12345678);
	assert_int_equal(config16(&m, 3, t.cap + 10), 0x1234);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void bars_tell_their_size_and_kind(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	set_command(&m, 3, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < PCI_NR_BARS; i++)
		set_config32(&m, 3, BAR(i), 0xffffffff);
	assert_int_equal(config32(&m, 3, BAR(BAR_MEM32)), 0xfffff000);
	assert_int_equal(config32(&m, 3, BAR(BAR_IO)), 0xffffffc1);
	assert_int_equal(config32(&m, 3, BAR(BAR_MEM64)), 0xffffc004);
	assert_int_equal(config32(&m, 3, BAR(BAR_MEM64 + 1)), 0xffffffff);
	assert_int_equal(config32(&m, 3, BAR(BAR_MSIX)), 0xfffff000);
	assert_int_equal(config32(&m, 3, BAR(5)), 0);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void sizing_with_decoding_on_covers_nothing(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	set_config32(&m, 3, BAR(BAR_MEM32), 0xffffffff);
	assert_int_equal(pci_bar_address(&t.f, BAR_MEM32), PCI_BAR_NOT_MAPPED);
	set_config32(&m, 3, BAR(BAR_MEM32), 0);
	assert_int_equal(pci_bar_address(&t.f, BAR_MEM32), PCI_BAR_NOT_MAPPED);
	set_config32(&m, 3, BAR(BAR_IO), 0xffffffff);
	assert_int_equal(pci_bar_address(&t.f, BAR_IO), PCI_BAR_NOT_MAPPED);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void accesses_follow_a_bar_that_moves(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	uint64_t old = pci_bar_address(&t.f, BAR_MEM64);
	set_config32(&m, 3, BAR(BAR_MEM64 + 1), MEM64 >> 32);
	set_config32(&m, 3, BAR(BAR_MEM64), 0x8000);
	assert_int_equal(pci_bar_address(&t.f, BAR_MEM64), MEM64 + 0x8000);
	assert_int_equal(in8(m.mmio, MEM64 + 0x8004), 0xa4);
	assert_int_equal(in8(m.mmio, old + 4), 0xff);

	set_config32(&m, 3, BAR(BAR_IO), 0x2000);
	out16(m.pio, 0x2010, 0xbeef);
	assert_int_equal(t.offset, 0x10);
	assert_int_equal(t.value, 0xbeef);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void command_register_switches_decoding(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	uint64_t memory = pci_bar_address(&t.f, BAR_MEM32), io = pci_bar_address(&t.f, BAR_IO);
	unsigned before = t.nr_changed;
	set_command(&m, 3, 0, PCI_COMMAND_MEMORY);
	assert_true(t.nr_changed > before);
	assert_int_equal(in8(m.mmio, memory), 0xff);
	assert_int_equal(in8(m.pio, io), 0xa0);
	set_command(&m, 3, PCI_COMMAND_MEMORY, PCI_COMMAND_IO);
	assert_int_equal(in8(m.mmio, memory), 0xa0);
	assert_int_equal(in8(m.pio, io), 0xff);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

/* The guest moves one function to where another is, and only then moves that away. */
static void bar_waits_for_a_place_that_is_taken(void **state)
{
	struct machine m;
	struct toy a, b;

	machine_init(&m);
	toy_add(&m, &a, 3);
	toy_add(&m, &b, 4);
	uint64_t taken = pci_bar_address(&b.f, BAR_MEM32);
	set_config32(&m, 3, BAR(BAR_MEM32), (uint32_t)taken);
	assert_int_equal(pci_bar_address(&a.f, BAR_MEM32), PCI_BAR_NOT_MAPPED);
	in8(m.mmio, taken + 1);
	assert_int_equal(b.offset, 1);
	set_config32(&m, 4, BAR(BAR_MEM32), MEM32 + 0x100000);
	assert_int_equal(pci_bar_address(&a.f, BAR_MEM32), taken);
	in8(m.mmio, taken + 2);
	assert_int_equal(a.offset, 2);
	pci_function_fini(&a.f);
	pci_function_fini(&b.f);
	machine_fini(&m);
}

static void intx_has_status_and_can_be_disabled(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	pci_intx_set(&t.f, true);
	assert_true(m.lines[3].level);
	assert_true(config16(&m, 3, PCI_STATUS) & PCI_STATUS_INTX);
	set_command(&m, 3, PCI_COMMAND_INTX_DISABLE, 0);
	assert_false(m.lines[3].level);
	assert_true(config16(&m, 3, PCI_STATUS) & PCI_STATUS_INTX);
	set_command(&m, 3, 0, PCI_COMMAND_INTX_DISABLE);
	assert_true(m.lines[3].level);
	pci_intx_set(&t.f, false);
	assert_false(m.lines[3].level);
	assert_false(config16(&m, 3, PCI_STATUS) & PCI_STATUS_INTX);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void intx_line_is_shared(void **state)
{
	struct machine m;
	struct toy a, b;

	machine_init(&m);
	toy_add(&m, &a, 3);
	toy_add(&m, &b, 7);
	pci_intx_set(&a.f, true);
	pci_intx_set(&b.f, true);
	pci_intx_set(&a.f, false);
	assert_true(m.lines[3].level);
	assert_int_equal(m.lines[3].nr_rises, 1);
	pci_function_fini(&b.f); /* leaves while it asserts */
	assert_false(m.lines[3].level);
	pci_function_fini(&a.f);
	machine_fini(&m);
}

static void bus_mastering_follows_the_command(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	assert_false(pci_is_bus_master(&t.f));
	set_command(&m, 3, PCI_COMMAND_BUS_MASTER, 0);
	assert_true(pci_is_bus_master(&t.f));
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void reset_takes_all_back(void **state)
{
	struct machine m;
	struct toy t;

	machine_init(&m);
	toy_add(&m, &t, 3);
	uint64_t memory = pci_bar_address(&t.f, BAR_MEM32);
	pci_intx_set(&t.f, true);
	set_command(&m, 3, PCI_COMMAND_BUS_MASTER, 0);
	pci_function_reset(&t.f);
	assert_int_equal(config16(&m, 3, PCI_COMMAND), 0);
	assert_int_equal(config32(&m, 3, BAR(BAR_MEM32)), 0);
	assert_int_equal(in8(m.mmio, memory), 0xff);
	assert_false(m.lines[3].level);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void save(struct toy *t, struct buf *out)
{
	struct state s;

	state_init_save(&s, out);
	state_begin(&s, "toy", 1);
	pci_function_state(&t->f, &s);
	state_end(&s);
}

static bool load(struct toy *t, const void *data, size_t len)
{
	struct state s;

	state_init_load(&s, data, len);
	state_begin(&s, "toy", 1);
	pci_function_state(&t->f, &s);
	state_end(&s);
	return !state_failed(&s);
}

static void state_comes_back(void **state)
{
	struct machine m;
	struct toy t;
	struct buf first = {0}, second = {0};

	machine_init(&m);
	toy_add(&m, &t, 3);
	set_config32(&m, 3, BAR(BAR_MEM32), MEM32 + 0x700000);
	set_config16(&m, 3, PCI_INTERRUPT_LINE, 0x13);
	pci_intx_set(&t.f, true);
	save(&t, &first);
	m.dev->ops->reset(m.dev);
	assert_false(m.lines[3].level);
	assert_true(load(&t, first.data, first.len));
	assert_int_equal(pci_bar_address(&t.f, BAR_MEM32), MEM32 + 0x700000);
	assert_int_equal(in8(m.mmio, MEM32 + 0x700005), 0xa5);
	assert_int_equal(config16(&m, 3, PCI_INTERRUPT_LINE), 0x113);
	assert_true(m.lines[3].level);
	save(&t, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	buf_free(&first);
	buf_free(&second);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

static void hostile_state_leaves_read_only_registers_alone(void **state)
{
	struct machine m;
	struct toy t;
	struct buf saved = {0};

	machine_init(&m);
	toy_add(&m, &t, 3);
	save(&t, &saved);
	for (size_t len = 0; len < saved.len; len++)
		assert_false(load(&t, saved.data, len));
	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		for (size_t at = 16; at < saved.len; at++)
			saved.data[at] = (uint8_t)rand();
		load(&t, saved.data, saved.len);
		assert_int_equal(config32(&m, 3, PCI_VENDOR_ID), 0x10421af4);
		assert_int_equal(config16(&m, 3, PCI_CAPABILITIES) & 0xff, t.cap);
	}
	buf_free(&saved);
	pci_function_fini(&t.f);
	machine_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_and_class_are_read_only),
		cmocka_unit_test(extended_space_reads_as_zero),
		cmocka_unit_test(capabilities_form_a_list),
		cmocka_unit_test(hooked_bytes_are_the_owners),
		cmocka_unit_test(bars_tell_their_size_and_kind),
		cmocka_unit_test(sizing_with_decoding_on_covers_nothing),
		cmocka_unit_test(accesses_follow_a_bar_that_moves),
		cmocka_unit_test(command_register_switches_decoding),
		cmocka_unit_test(bar_waits_for_a_place_that_is_taken),
		cmocka_unit_test(intx_has_status_and_can_be_disabled),
		cmocka_unit_test(intx_line_is_shared),
		cmocka_unit_test(bus_mastering_follows_the_command),
		cmocka_unit_test(reset_takes_all_back),
		cmocka_unit_test(state_comes_back),
		cmocka_unit_test(hostile_state_leaves_read_only_registers_alone),
	};

	return cmocka_run_group_tests_name("pci/function", tests, NULL, NULL);
}
