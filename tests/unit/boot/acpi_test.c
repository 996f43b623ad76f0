/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/tables/acpi.h"
#include "boot/tables/aml.h"

#define BASE 0xe0000

static const uint32_t four_ids[] = {0, 1, 2, 3};

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static const struct acpi_pci pci = {
	.ecam_base = 0xc0000000,
	.nr_buses = 256,
	.mem32 = {0xd0000000, 0x2ec00000},
	.mem64 = {0x4000000000, 0x4000000000},
	.first_gsi = 16,
};

static void build(struct buf *b, const uint32_t *ids, unsigned nr)
{
	const struct acpi_config cfg = {.apic_ids = ids, .nr_cpus = nr, .pci = &pci};

	*b = (struct buf){0};
	assert_int_equal(acpi_build(b, BASE, 128 * KIB, &cfg, NULL), 0);
}

/* Finds a table by way of the XSDT, checking every length and checksum on the way. */
static const uint8_t *find(const struct buf *b, const char *signature)
{
	const uint8_t *xsdt = b->data + u64(b->data + 24) - BASE;
	const uint8_t *found = NULL;

	assert_memory_equal(b->data, "RSD PTR ", 8);
	assert_int_equal(sum(b->data, 20), 0);
	assert_int_equal(sum(b->data, 36), 0);
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum(xsdt, u32(xsdt + 4)), 0);
	for (unsigned at = 36; at < u32(xsdt + 4); at += 8) {
		const uint8_t *t = b->data + u64(xsdt + at) - BASE;

		assert_true(range_fits(t - b->data, u32(t + 4), b->len));
		assert_int_equal(sum(t, u32(t + 4)), 0);
		if (!memcmp(t, signature, 4))
			found = t;
	}
	return found;
}

static void rsdt_and_xsdt_name_the_same_tables(void **state)
{
	struct buf b;

	build(&b, four_ids, 4);
	const uint8_t *rsdt = b.data + u32(b.data + 16) - BASE;
	const uint8_t *xsdt = b.data + u64(b.data + 24) - BASE;
	assert_memory_equal(rsdt, "RSDT", 4);
	assert_int_equal(sum(rsdt, u32(rsdt + 4)), 0);
	assert_int_equal(u32(rsdt + 4), 36 + 4 * 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(u32(rsdt + 36 + i * 4), u64(xsdt + 36 + i * 8));
	buf_free(&b);
}

static void fadt_describes_the_power_hardware(void **state)
{
	struct buf b;

	build(&b, four_ids, 4);
	const uint8_t *t = find(&b, "FACP");
	assert_non_null(t);
	assert_int_equal(u32(t + 4), 276);
	assert_int_equal(t[46], 9);		    /* SCI */
	assert_int_equal(u32(t + 48), 0);	    /* no SMI command: ACPI mode is always on */
	assert_int_equal(u32(t + 56), 0x600);	    /* PM1a events */
	assert_int_equal(u32(t + 64), 0x604);	    /* PM1a control */
	assert_int_equal(u32(t + 76), 0x608);	    /* PM timer */
	assert_int_equal(t[108], 0x32);		    /* century */
	assert_int_equal(u32(t + 112) & BIT(4), 0); /* a fixed power button */
	assert_int_equal(u32(t + 112) & BIT(10), BIT(10)); /* reset register */
	assert_int_equal(u64(t + 120), 0xcf9);
	assert_int_equal(t[128], 6);
	const uint8_t *facs = b.data + u32(t + 36) - BASE;
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal((facs - b.data) % 64, 0);
	const uint8_t *dsdt = b.data + u32(t + 40) - BASE;
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, u32(dsdt + 4)), 0);
	assert_int_equal(u64(t + 140), u32(t + 40));
	buf_free(&b);
}

static void madt_lists_cpus_ioapic_and_overrides(void **state)
{
	static const uint8_t golden[] = {
		0, 8,  0,    0, 1, 0, 0,    0,			/* CPU 0, APIC id 0 */
		0, 8,  1,    4, 1, 0, 0,    0,			/* CPU 1, APIC id 4 */
		1, 12, 0,    0, 0, 0, 0xc0, 0xfe, 0,   0, 0, 0, /* IOAPIC */
		2, 10, 0,    0, 2, 0, 0,    0,	  0,   0,	/* IRQ 0 at pin 2 */
		2, 10, 0,    9, 9, 0, 0,    0,	  0xd, 0,	/* SCI level, active high */
		4, 6,  0xff, 0, 0, 1,				/* NMI at LINT1 of all */
	};
	static const uint32_t ids[] = {0, 4};
	struct buf b;

	build(&b, ids, 2);
	const uint8_t *t = find(&b, "APIC");
	assert_non_null(t);
	assert_int_equal(u32(t + 36), 0xfee00000);
	assert_int_equal(u32(t + 40), 1);
	assert_int_equal(u32(t + 4), 44 + sizeof(golden));
	assert_memory_equal(t + 44, golden, sizeof(golden));
	buf_free(&b);
}

static void mcfg_tells_where_configuration_space_is(void **state)
{
	struct buf b;

	build(&b, four_ids, 4);
	const uint8_t *t = find(&b, "MCFG");
	assert_non_null(t);
	assert_int_equal(u32(t + 4), 44 + 16);
	assert_int_equal(u64(t + 44), 0xc0000000);
	assert_int_equal(u32(t + 52), 0xff000000); /* segment 0, buses 0-255 */
	buf_free(&b);
}

static void there_is_nothing_of_pci_without_it(void **state)
{
	const struct acpi_config cfg = {.apic_ids = four_ids, .nr_cpus = 4};
	struct buf b = {0}, aml = {0};

	assert_int_equal(acpi_build(&b, BASE, 128 * KIB, &cfg, NULL), 0);
	assert_null(find(&b, "MCFG"));
	acpi_build_dsdt(&aml, &cfg);
	assert_null(memmem(aml.data, aml.len, "PCI0", 4));
	buf_free(&aml);
	buf_free(&b);
}

static void serial_ports_that_are_missing_are_not_named(void **state)
{
	const struct acpi_config cfg = {.apic_ids = four_ids, .nr_cpus = 4, .no_serial = 0x9};
	struct buf aml = {0};

	acpi_build_dsdt(&aml, &cfg);
	assert_null(memmem(aml.data, aml.len, "COM1", 4));
	assert_non_null(memmem(aml.data, aml.len, "COM2", 4));
	assert_non_null(memmem(aml.data, aml.len, "COM3", 4));
	assert_null(memmem(aml.data, aml.len, "COM4", 4));
	assert_non_null(memmem(aml.data, aml.len, "PS2K", 4));
	buf_free(&aml);
}

/* INTA# of device 1 is GSI 17, its INTB# 18; device 4 has the same wires as device 0 would. */
static void interrupts_are_routed_by_device_and_pin(void **state)
{
	static const uint8_t device1_inta[] = {0x12, 0x0b, 0x04, 0x0c, 0xff, 0xff,
					       0x01, 0x00, 0x00, 0x00, 0x0a, 0x11};
	static const uint8_t device4_intd[] = {0x12, 0x0c, 0x04, 0x0c, 0xff, 0xff, 0x04,
					       0x00, 0x0a, 0x03, 0x00, 0x0a, 0x13};
	const struct acpi_config cfg = {.apic_ids = four_ids, .nr_cpus = 4, .pci = &pci};
	struct buf aml = {0};

	acpi_build_dsdt(&aml, &cfg);
	assert_non_null(memmem(aml.data, aml.len, device1_inta, sizeof(device1_inta)));
	assert_non_null(memmem(aml.data, aml.len, device4_intd, sizeof(device4_intd)));
	buf_free(&aml);
}

static void madt_uses_x2apic_entries_for_large_ids(void **state)
{
	static const uint8_t cpu[] = {9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
	static const uint32_t ids[] = {0, 300};
	struct buf b;

	build(&b, ids, 2);
	const uint8_t *t = find(&b, "APIC");
	assert_memory_equal(t + 44 + 8, cpu, sizeof(cpu));
	buf_free(&b);
}

static void tables_of_1024_cpus_fit_the_bios_area(void **state)
{
	uint32_t ids[1024];
	const struct acpi_config cfg = {.apic_ids = ids, .nr_cpus = 1024, .pci = &pci};
	struct buf b = {0};

	for (unsigned i = 0; i < 1024; i++)
		ids[i] = i;
	assert_int_equal(acpi_build(&b, BIOS_ACPI, BIOS_ACPI_END - BIOS_ACPI, &cfg, NULL), 0);
	buf_free(&b);
}

static void too_little_room_is_an_error(void **state)
{
	const struct acpi_config cfg = {.apic_ids = four_ids, .nr_cpus = 4, .pci = &pci};
	struct error err = {0};
	struct buf b = {0}, full;

	build(&full, four_ids, 4);
	char expected[128];
	snprintf(expected, sizeof(expected),
		 "ACPI tables for 4 CPUs take %zu bytes, but there is room for 100", full.len);
	assert_int_equal(acpi_build(&b, BASE, 100, &cfg, &err), -E2BIG);
	assert_string_equal(err.text, expected);
	buf_free(&b);
	buf_free(&full);
}

static void aml_lengths_grow_with_their_content(void **state)
{
	static const size_t sizes[] = {0, 58, 59, 4089, 4090, 100000};
	static const unsigned header[] = {1, 1, 2, 2, 3, 3};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct buf body = {0}, out = {0};
		uint8_t *zeroes = calloc(1, sizes[i] + 1);

		buf_append(&body, zeroes, sizes[i]);
		aml_scope(&out, "ABCD", &body);
		unsigned more = out.data[1] >> 6;
		size_t len = more ? out.data[1] & 0xf : out.data[1] & 0x3f;
		for (unsigned k = 0; k < more; k++)
			len |= (size_t)out.data[2 + k] << (4 + 8 * k);
		assert_int_equal(more + 1, header[i]);
		assert_int_equal(len, out.len - 1);
		free(zeroes);
		buf_free(&body);
		buf_free(&out);
	}
}

static void aml_integers_take_the_shortest_form(void **state)
{
	static const uint8_t golden[] = {0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00,
					 0x01, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e, 0,
					 0,    0,    0,	   1,	 0,    0,    0};
	struct buf b = {0};

	aml_integer(&b, 0);
	aml_integer(&b, 1);
	aml_integer(&b, 2);
	aml_integer(&b, 0xff);
	aml_integer(&b, 0x100);
	aml_integer(&b, 0x10000);
	aml_integer(&b, 0x100000000);
	assert_int_equal(b.len, sizeof(golden));
	assert_memory_equal(b.data, golden, sizeof(golden));
	buf_free(&b);
}

static void aml_eisa_id_is_compressed(void **state)
{
	static const uint8_t golden[] = {0x0c, 0x41, 0xd0, 0x05, 0x01}; /* PNP0501 */
	struct buf b = {0};

	aml_eisa_id(&b, "PNP0501");
	assert_int_equal(b.len, sizeof(golden));
	assert_memory_equal(b.data, golden, sizeof(golden));
	buf_free(&b);
}

static void write_file(const char *path, const uint8_t *data, size_t len)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, len, out), len);
	fclose(out);
}

static unsigned count(const char *dir, const char *name, const char *text)
{
	char path[256], line[1024];
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in))
		n += !!strstr(line, text);
	fclose(in);
	return n;
}

static int run(const char *dir, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; } >>log 2>&1", dir, command);
	return system(line);
}

/*
 * ACPICA's own compiler reads every table, and compiles what it read once more: both without an
 * error or a warning.
 */
static void iasl_accepts_every_table(void **state)
{
	static const char *const data_tables[] = {"FACP", "APIC", "HPET", "MCFG"};
	char dir[] = "/tmp/bantam-acpi-XXXXXX", path[64], command[256];
	struct buf b;

	if (system("command -v iasl >/dev/null")) {
		print_message("SKIP: iasl is not installed (package acpica-tools)\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	build(&b, four_ids, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(data_tables); i++) {
		const uint8_t *t = find(&b, data_tables[i]);

		snprintf(path, sizeof(path), "%s/%s.dat", dir, data_tables[i]);
		write_file(path, t, u32(t + 4));
		snprintf(command, sizeof(command), "iasl -d %s.dat && iasl %s.dsl", data_tables[i],
			 data_tables[i]);
		assert_int_equal(run(dir, command), 0);
	}
	const uint8_t *dsdt = b.data + u32(find(&b, "FACP") + 40) - BASE;
	snprintf(path, sizeof(path), "%s/DSDT.dat", dir);
	write_file(path, dsdt, u32(dsdt + 4));
	assert_int_equal(run(dir, "iasl -d DSDT.dat && iasl -we DSDT.dsl"), 0);

	assert_int_equal(count(dir, "log", "0 Errors, 0 Warnings"), 5);
	assert_int_equal(count(dir, "log", "Error "), 0);
	assert_int_equal(count(dir, "log", "Warning "), 0);
	assert_int_equal(count(dir, "DSDT.dsl", "Name (_HID, \"ACPI0007\""), 4);
	assert_int_equal(count(dir, "DSDT.dsl", "EisaId (\"PNP0501\")"), 4);
	assert_int_equal(count(dir, "DSDT.dsl", "Name (\\_S5"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "PNP0A08"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "WordBusNumber (ResourceProducer, MinFixed"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "WordIO (ResourceProducer, MinFixed"), 2);
	assert_int_equal(count(dir, "DSDT.dsl", "DWordMemory (ResourceProducer, PosDecode"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "QWordMemory (ResourceProducer, PosDecode"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "0x0000004000000000, // Range Minimum"), 1);
	assert_int_equal(count(dir, "DSDT.dsl", "0x0000007FFFFFFFFF, // Range Maximum"), 1);
	assert_int_equal(
		count(dir, "DSDT.dsl", "ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\")"), 1);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdt_and_xsdt_name_the_same_tables),
		cmocka_unit_test(fadt_describes_the_power_hardware),
		cmocka_unit_test(madt_lists_cpus_ioapic_and_overrides),
		cmocka_unit_test(mcfg_tells_where_configuration_space_is),
		cmocka_unit_test(there_is_nothing_of_pci_without_it),
		cmocka_unit_test(serial_ports_that_are_missing_are_not_named),
		cmocka_unit_test(interrupts_are_routed_by_device_and_pin),
		cmocka_unit_test(madt_uses_x2apic_entries_for_large_ids),
		cmocka_unit_test(tables_of_1024_cpus_fit_the_bios_area),
		cmocka_unit_test(too_little_room_is_an_error),
		cmocka_unit_test(aml_lengths_grow_with_their_content),
		cmocka_unit_test(aml_integers_take_the_shortest_form),
		cmocka_unit_test(aml_eisa_id_is_compressed),
		cmocka_unit_test(iasl_accepts_every_table),
	};

	return cmocka_run_group_tests_name("boot/acpi", tests, NULL, NULL);
}
