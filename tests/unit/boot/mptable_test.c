/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include "boot/tables/mptable.h"

#define BASE 0xf8000

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static void build(struct buf *b, const uint32_t *ids, unsigned nr)
{
	const struct mptable_config cfg = {
		.apic_ids = ids, .nr_cpus = nr, .cpu_signature = 0x600, .cpu_features = 0x201};

	*b = (struct buf){0};
	assert_int_equal(mptable_build(b, BASE, 64 * KIB, &cfg, NULL), 0);
}

static void floating_pointer_leads_to_the_table(void **state)
{
	static const uint32_t ids[] = {0};
	struct buf b;
	uint32_t table;

	build(&b, ids, 1);
	assert_memory_equal(b.data, "_MP_", 4);
	assert_int_equal(b.data[8], 1); /* paragraphs */
	assert_int_equal(b.data[9], 4); /* specification 1.4 */
	assert_int_equal(sum(b.data, 16), 0);
	memcpy(&table, b.data + 4, 4);
	assert_int_equal(table, BASE + 16);
	assert_memory_equal(b.data + 16, "PCMP", 4);
	assert_int_equal(b.data[20] | b.data[21] << 8, b.len - 16);
	assert_int_equal(sum(b.data + 16, b.len - 16), 0);
	buf_free(&b);
}

static void entries_describe_cpus_bus_ioapic_and_interrupts(void **state)
{
	static const uint8_t golden[] =
		{
			0,    0,  0x14, 3,   0,	  6,   0,    0,	  1,  2,    0,	  0, 0, 0,   0,
			0,    0,  0,	0,   0, /* boot CPU */
			0,    2,  0x14, 1,   0,	  6,   0,    0,	  1,  2,    0,	  0, 0, 0,   0,
			0,    0,  0,	0,   0, /* CPU with id 2 */
			1,    0,  'I',	'S', 'A', ' ', ' ',  ' ', 2,  0,    0x11, 1, 0, 0,   0xc0,
			0xfe, 3,  0,	0,   0,	  0,   0,    0,	  2, /* the timer, at pin 2 */
			3,    0,  0,	0,   0,	  1,   0,    1,	  3,  0,    0,	  0, 0, 3,   0,
			3,    3,  0,	0,   0,	  0,   4,    0,	  4,  3,    0,	  0, 0, 0,   5,
			0,    5,  3,	0,   0,	  0,   0,    6,	  0,  6,    3,	  0, 0, 0,   0,
			7,    0,  7,	3,   0,	  0,   0,    0,	  8,  0,    8,	  3, 0, 0xd, 0,
			0,    9,  0,	9, /* the SCI: level, active high */
			3,    0,  0,	0,   0,	  10,  0,    10,  3,  0,    0,	  0, 0, 11,  0,
			11,   3,  0,	0,   0,	  0,   12,   0,	  12, 3,    0,	  0, 0, 0,   13,
			0,    13, 3,	0,   0,	  0,   0,    14,  0,  14,   3,	  0, 0, 0,   0,
			15,   0,  15,	4,   3,	  0,   0,    0,	  0,  0xff, 0, /* ExtINT at LINT0 */
			4,    1,  0,	0,   0,	  0,   0xff, 1,		       /* NMI at LINT1 */
		};
	static const uint32_t ids[] = {0, 2};
	struct buf b;

	build(&b, ids, 2);
	assert_int_equal(b.len - 16 - 44, sizeof(golden));
	assert_memory_equal(b.data + 16 + 44, golden, sizeof(golden));
	assert_int_equal(b.data[16 + 34], 2 + 1 + 1 + 15 + 2); /* number of entries */
	buf_free(&b);
}

static void pci_bus_comes_first_with_four_pins_a_device(void **state)
{
	static const uint8_t buses[] = {1, 0, 'P', 'C', 'I', ' ', ' ', ' ',
					1, 1, 'I', 'S', 'A', ' ', ' ', ' '};
	static const uint8_t device1_inta[] = {3, 0, 0xf, 0, 0, 4, 0, 17};
	static const uint8_t device31_intd[] = {3, 0, 0xf, 0, 0, 127, 0, 18};
	static const uint32_t ids[] = {0};
	const struct mptable_config cfg = {
		.apic_ids = ids, .nr_cpus = 1, .has_pci = true, .first_pci_pin = 16};
	struct buf b = {0};

	assert_int_equal(mptable_build(&b, BASE, 64 * KIB, &cfg, NULL), 0);
	assert_memory_equal(b.data + 16 + 44 + 20, buses, sizeof(buses));
	assert_int_equal(b.data[16 + 34], 1 + 2 + 1 + 15 + 2 + 124);
	assert_memory_equal(b.data + b.len - 124 * 8, device1_inta, 8);
	assert_memory_equal(b.data + b.len - 8, device31_intd, 8);
	assert_non_null(memmem(b.data, b.len, "\3\0\0\0\1\4\0\4", 8)); /* ISA 4 is of bus 1 */
	buf_free(&b);
}

static void cpus_with_large_ids_are_left_out(void **state)
{
	static const uint32_t ids[] = {0, 254, 255, 300};
	struct buf b;

	build(&b, ids, 4);
	assert_int_equal(b.data[16 + 34], 2 + 1 + 1 + 15 + 2);
	assert_int_equal(b.data[16 + 44 + 20 + 1], 254);
	buf_free(&b);
}

static void too_little_room_is_an_error(void **state)
{
	static const uint32_t ids[] = {0};
	const struct mptable_config cfg = {.apic_ids = ids, .nr_cpus = 1};
	struct error err = {0};
	struct buf b = {0};

	assert_int_equal(mptable_build(&b, BASE, 100, &cfg, &err), -E2BIG);
	assert_string_equal(err.text,
			    "the MP table for 1 CPUs takes 232 bytes, but there is room for 100");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floating_pointer_leads_to_the_table),
		cmocka_unit_test(entries_describe_cpus_bus_ioapic_and_interrupts),
		cmocka_unit_test(pci_bus_comes_first_with_four_pins_a_device),
		cmocka_unit_test(cpus_with_large_ids_are_left_out),
		cmocka_unit_test(too_little_room_is_an_error),
	};

	return cmocka_run_group_tests_name("boot/mptable", tests, NULL, NULL);
}
