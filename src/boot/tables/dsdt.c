/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of the ACPI tables that is code: the sleep type of S5, the processors, and the devices
 * at fixed ISA addresses, which an operating system would else have to guess. Buttons are fixed
 * hardware (FADT) and have no device here.
 */
#include <stdio.h>

#include "base/base.h"
#include "boot/tables/acpi.h"
#include "boot/tables/aml.h"

struct isa_device {
	const char *name, *hid;
	uint8_t uid; /* 0: no _UID, the only one of its kind */
	struct {
		uint16_t port;
		uint8_t nr;
	} io[3];
	uint32_t memory, memory_size;
	uint16_t irqs;	/* bit mask */
	bool is_serial; /* port uid - 1 */
};

static const struct isa_device isa_devices[] = {
	{"PIC_", "PNP0000", .io = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}, .irqs = BIT(2)},
	{"TIMR", "PNP0100", .io = {{0x40, 4}}, .irqs = BIT(0)},
	{"SPKR", "PNP0800", .io = {{0x61, 1}}},
	{"HPET", "PNP0103", .memory = ACPI_HPET_ADDRESS, .memory_size = 0x400},
	{"RTC_", "PNP0B00", .io = {{0x70, 2}}, .irqs = BIT(8)},
	{"PS2K", "PNP0303", .io = {{0x60, 1}, {0x64, 1}}, .irqs = BIT(1)},
	{"PS2M", "PNP0F13", .irqs = BIT(12)},
	{"COM1", "PNP0501", 1, .io = {{0x3f8, 8}}, .irqs = BIT(4), true},
	{"COM2", "PNP0501", 2, .io = {{0x2f8, 8}}, .irqs = BIT(3), true},
	{"COM3", "PNP0501", 3, .io = {{0x3e8, 8}}, .irqs = BIT(4), true},
	{"COM4", "PNP0501", 4, .io = {{0x2e8, 8}}, .irqs = BIT(3), true},
};

static void add_isa_device(struct buf *b, const struct isa_device *d)
{
	struct buf body = {0}, resources = {0};

	aml_name(&body, "_HID");
	aml_eisa_id(&body, d->hid);
	if (d->uid) {
		aml_name(&body, "_UID");
		aml_integer(&body, d->uid);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(d->io) && d->io[i].nr; i++)
		aml_resource_io(&resources, d->io[i].port, d->io[i].nr);
	if (d->memory_size)
		aml_resource_memory(&resources, d->memory, d->memory_size);
	for (unsigned irq = 0; irq < 16; irq++)
		if (d->irqs & BIT(irq))
			aml_resource_irq(&resources, irq);
	aml_current_resources(&body, &resources);
	aml_device(b, d->name, &body);
	buf_free(&resources);
	buf_free(&body);
}

/* Names are C000 ... CFFF; the MADT's processor numbers are the _UIDs. */
static void add_processors(struct buf *b, const struct acpi_config *cfg)
{
	struct buf body = {0};

	aml_name(&body, "_HID");
	aml_string(&body, "ACPI0010");
	aml_name(&body, "_UID");
	aml_integer(&body, 0);
	for (unsigned i = 0; i < cfg->nr_cpus; i++) {
		struct buf cpu = {0};
		char name[8];

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_name(&cpu, "_HID");
		aml_string(&cpu, "ACPI0007");
		aml_name(&cpu, "_UID");
		aml_integer(&cpu, i);
		aml_device(&body, name, &cpu);
		buf_free(&cpu);
	}
	aml_device(b, "CPUS", &body);
	buf_free(&body);
}

/* Names are V000 ... VFFF. */
static void add_virtio(struct buf *b, const struct acpi_config *cfg)
{
	for (unsigned i = 0; i < cfg->nr_virtio; i++) {
		struct buf body = {0}, resources = {0};
		char name[8];

		snprintf(name, sizeof(name), "V%03X", i & 0xfff);
		aml_name(&body, "_HID");
		aml_string(&body, "LNRO0005");
		aml_name(&body, "_UID");
		aml_integer(&body, i);
		aml_resource_memory(&resources, cfg->virtio[i].base, cfg->virtio[i].size);
		aml_resource_interrupt(&resources, cfg->virtio[i].gsi);
		aml_current_resources(&body, &resources);
		aml_device(b, name, &body);
		buf_free(&resources);
		buf_free(&body);
	}
}

void acpi_build_dsdt(struct buf *aml, const struct acpi_config *cfg)
{
	struct buf sleep_types = {0}, system_bus = {0};

	BUG_ON(cfg->nr_cpus > 0x1000);
	aml_integer(&sleep_types, ACPI_SLEEP_TYPE_S5);
	aml_integer(&sleep_types, ACPI_SLEEP_TYPE_S5);
	aml_integer(&sleep_types, 0);
	aml_integer(&sleep_types, 0);
	aml_name(aml, "\\_S5_");
	aml_package(aml, 4, &sleep_types);
	buf_free(&sleep_types);

	add_processors(&system_bus, cfg);
	if (cfg->pci)
		acpi_add_pci(&system_bus, cfg->pci);
	for (unsigned i = 0; i < ARRAY_SIZE(isa_devices); i++) {
		const struct isa_device *d = &isa_devices[i];

		if (!d->is_serial || !(cfg->no_serial & BIT(d->uid - 1)))
			add_isa_device(&system_bus, d);
	}
	add_virtio(&system_bus, cfg);
	aml_scope(aml, "\\_SB_", &system_bus);
	buf_free(&system_bus);
}
