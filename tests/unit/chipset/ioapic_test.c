/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include "chipset/ioapic.h"

struct fixture {
	struct bus *mmio;
	struct ioapic *io;
	unsigned nr_sent, nr_route_changes;
	uint64_t addr;
	uint32_t data;
	struct ioapic_route routes[IOAPIC_PINS];
};

static void sent(void *ctx, uint64_t addr, uint32_t data)
{
	struct fixture *f = ctx;

	f->nr_sent++;
	f->addr = addr;
	f->data = data;
}

static void routes_changed(void *ctx, const struct ioapic_route routes[IOAPIC_PINS])
{
	struct fixture *f = ctx;

	f->nr_route_changes++;
	memcpy(f->routes, routes, sizeof(f->routes));
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.mmio = bus_new(BUS_MMIO);
	f.io = ioapic_new(&(struct ioapic_params){.mmio = f.mmio,
						  .id = 5,
						  .msi = {.send = sent, .ctx = &f},
						  .routes_changed = routes_changed,
						  .ctx = &f},
			  NULL);
	assert_non_null(f.io);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ioapic_device(f->io)->ops->free(ioapic_device(f->io));
	bus_free(f->mmio);
	return 0;
}

static void wr(struct fixture *f, uint8_t index, uint32_t value)
{
	out32(f->mmio, IOAPIC_ADDRESS, index);
	out32(f->mmio, IOAPIC_ADDRESS + 0x10, value);
}

static uint32_t rd(struct fixture *f, uint8_t index)
{
	out32(f->mmio, IOAPIC_ADDRESS, index);
	return in32(f->mmio, IOAPIC_ADDRESS + 0x10);
}

static void entry(struct fixture *f, unsigned pin, uint64_t value)
{
	wr(f, 0x11 + 2 * pin, (uint32_t)(value >> 32));
	wr(f, 0x10 + 2 * pin, (uint32_t)value);
}

static void set(struct fixture *f, unsigned pin, bool level)
{
	struct irq_line line = ioapic_line(f->io, pin);

	irq_set(&line, level);
}

#define LEVEL	   0x8000ull
#define MASKED	   0x10000ull
#define REMOTE_IRR 0x4000u

static void registers_have_the_parts_values(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 0), 5u << 24);
	assert_int_equal(rd(f, 1), 0x00170020);
	wr(f, 0, 0xffffffff);
	assert_int_equal(rd(f, 0), 0x0f000000);
	wr(f, 1, 0);
	assert_int_equal(rd(f, 1), 0x00170020);
	assert_int_equal(rd(f, 0x10), 0x10000);
	assert_int_equal(rd(f, 0x40), 0);
	wr(f, 0x40, 0xffffffff);
	entry(f, 3, UINT64_MAX);
	assert_int_equal(rd(f, 0x16), 0x1afff);
	assert_int_equal(rd(f, 0x17), 0xff000000);
	assert_int_equal(in8(f->mmio, IOAPIC_ADDRESS), 0x17);
}

static void edge_sends_the_entrys_message_once(void **state)
{
	struct fixture *f = *state;

	entry(f, 4, 3ull << 56 | 0x41);
	set(f, 4, true);
	assert_int_equal(f->nr_sent, 1);
	assert_int_equal(f->addr, 0xfee03000);
	assert_int_equal(f->data, 0x41);
	set(f, 4, true);
	assert_int_equal(f->nr_sent, 1);
	set(f, 4, false);
	set(f, 4, true);
	assert_int_equal(f->nr_sent, 2);

	entry(f, 4, 0xffull << 56 | 0x941); /* logical, lowest priority */
	set(f, 4, false);
	set(f, 4, true);
	assert_int_equal(f->addr, 0xfeeff004);
	assert_int_equal(f->data, 0x141);
}

static void edge_on_masked_pin_is_lost(void **state)
{
	struct fixture *f = *state;

	entry(f, 4, MASKED | 0x41);
	set(f, 4, true);
	entry(f, 4, 0x41);
	assert_int_equal(f->nr_sent, 0);
}

static void level_is_sent_again_after_eoi_while_high(void **state)
{
	struct fixture *f = *state;

	entry(f, 9, LEVEL | 0x59);
	set(f, 9, true);
	assert_int_equal(f->nr_sent, 1);
	assert_int_equal(f->data, 0xc059);
	assert_true(rd(f, 0x22) & REMOTE_IRR);
	set(f, 9, false);
	set(f, 9, true);
	assert_int_equal(f->nr_sent, 1); /* still being served */
	ioapic_eoi(f->io, 0x58);
	assert_int_equal(f->nr_sent, 1);
	ioapic_eoi(f->io, 0x59);
	assert_int_equal(f->nr_sent, 2);
	set(f, 9, false);
	out32(f->mmio, IOAPIC_ADDRESS + 0x40, 0x59); /* EOI register */
	assert_int_equal(f->nr_sent, 2);
	assert_false(rd(f, 0x22) & REMOTE_IRR);
}

static void masked_level_waits_for_unmask(void **state)
{
	struct fixture *f = *state;

	entry(f, 9, LEVEL | MASKED | 0x59);
	set(f, 9, true);
	assert_int_equal(f->nr_sent, 0);
	entry(f, 9, LEVEL | 0x59);
	assert_int_equal(f->nr_sent, 1);
	entry(f, 9, LEVEL | MASKED | 0x59); /* masked by the handler, then ended */
	ioapic_eoi(f->io, 0x59);
	assert_int_equal(f->nr_sent, 1);
	entry(f, 9, LEVEL | 0x59);
	assert_int_equal(f->nr_sent, 2);
}

static void edge_mode_clears_remote_irr(void **state)
{
	struct fixture *f = *state;

	entry(f, 9, LEVEL | 0x59);
	set(f, 9, true);
	wr(f, 0x22, LEVEL | MASKED | 0x59);
	assert_true(rd(f, 0x22) & REMOTE_IRR);
	wr(f, 0x22, MASKED | 0x59);
	assert_false(rd(f, 0x22) & REMOTE_IRR);
	wr(f, 0x22, LEVEL | REMOTE_IRR | MASKED | 0x59);
	assert_false(rd(f, 0x22) & REMOTE_IRR); /* read-only */
}

static void routes_are_told_when_entries_change(void **state)
{
	struct fixture *f = *state;
	unsigned before = f->nr_route_changes;

	entry(f, 9, 2ull << 56 | LEVEL | 0x59);
	assert_true(f->nr_route_changes > before);
	assert_int_equal(f->routes[9].addr, 0xfee02000);
	assert_int_equal(f->routes[9].data, 0xc059);
	assert_false(f->routes[9].is_masked);
	assert_true(f->routes[8].is_masked);
	before = f->nr_route_changes;
	entry(f, 9, 2ull << 56 | LEVEL | 0x59);
	assert_int_equal(f->nr_route_changes, before);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;

	entry(f, 9, LEVEL | 0x59);
	set(f, 9, true);
	fake_round_trip(ioapic_device(f->io));
	assert_int_equal(f->routes[9].data, 0xc059);
	assert_int_equal(f->nr_sent, 1); /* loading sends nothing */
	ioapic_eoi(f->io, 0x59);
	assert_int_equal(f->nr_sent, 2);
	fake_hostile_load(ioapic_device(f->io));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_have_the_parts_values),	T(edge_sends_the_entrys_message_once),
		T(edge_on_masked_pin_is_lost),		T(level_is_sent_again_after_eoi_while_high),
		T(masked_level_waits_for_unmask),	T(edge_mode_clears_remote_irr),
		T(routes_are_told_when_entries_change), T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
