/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/tables/mptable.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "boot/tables/acpi.h"

/* Layouts of the specification, chapter 4. */
struct floating_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, revision, checksum, default_config, features[4];
} __attribute__((packed));

struct config_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, nr_entries;
	uint32_t lapic_address;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));
#define CPU_ENABLED 1
#define CPU_BOOT    2

struct bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));
#define IOAPIC_ENABLED 1

/* I/O and local interrupt assignments have one shape. */
struct assignment {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t source_bus, source_irq, dest_apic, dest_pin;
} __attribute__((packed));
#define TYPE_IO_INTERRUPT    3
#define TYPE_LOCAL_INTERRUPT 4
#define KIND_INT	     0
#define KIND_NMI	     1
#define KIND_EXTINT	     3
#define ACTIVE_HIGH_LEVEL    0xd
#define ACTIVE_LOW_LEVEL     0xf
#define ALL_LAPICS	     0xff

#define SPEC_REVISION  4 /* 1.4 */
#define LAPIC_VERSION  0x14
#define IOAPIC_VERSION 0x11
#define PCI_BUS	       0 /* PCI buses have their own numbers */
#define PCI_DEVICES    32

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += bytes[i];
	return -sum;
}

static void add(struct buf *table, unsigned *nr, const void *entry, size_t len)
{
	buf_append(table, entry, len);
	(*nr)++;
}

static void add_processors(struct buf *table, unsigned *nr, const struct mptable_config *cfg)
{
	for (unsigned i = 0; i < cfg->nr_cpus; i++) {
		const struct processor cpu = {
			.apic_id = cfg->apic_ids[i],
			.apic_version = LAPIC_VERSION,
			.flags = CPU_ENABLED | (i ? 0 : CPU_BOOT),
			.signature = cfg->cpu_signature,
			.features = cfg->cpu_features,
		};

		if (cfg->apic_ids[i] < ALL_LAPICS)
			add(table, nr, &cpu, sizeof(cpu));
	}
}

/* Device and pin make the source: INTA# of device 1 is 4. */
static void add_pci_interrupts(struct buf *table, unsigned *nr, const struct mptable_config *cfg)
{
	for (unsigned source = 4; source < PCI_DEVICES * 4; source++) {
		const struct assignment io = {
			.type = TYPE_IO_INTERRUPT,
			.kind = KIND_INT,
			.flags = ACTIVE_LOW_LEVEL,
			.source_bus = PCI_BUS,
			.source_irq = source,
			.dest_apic = ACPI_IOAPIC_ID,
			.dest_pin = cfg->first_pci_pin + (source / 4 + source % 4) % 4,
		};

		add(table, nr, &io, sizeof(io));
	}
}

/* ISA interrupts as in the ACPI tables: 0 at pin 2, the SCI a level, the cascade nowhere. */
static void add_interrupts(struct buf *table, unsigned *nr, uint8_t isa_bus)
{
	for (unsigned irq = 0; irq < 16; irq++) {
		const struct assignment io = {
			.type = TYPE_IO_INTERRUPT,
			.kind = KIND_INT,
			.flags = irq == ACPI_SCI_IRQ ? ACTIVE_HIGH_LEVEL : 0,
			.source_bus = isa_bus,
			.source_irq = irq,
			.dest_apic = ACPI_IOAPIC_ID,
			.dest_pin = irq ? irq : 2,
		};

		if (irq != 2)
			add(table, nr, &io, sizeof(io));
	}
	const struct assignment local[] = {
		{TYPE_LOCAL_INTERRUPT, KIND_EXTINT, 0, isa_bus, 0, ALL_LAPICS, 0},
		{TYPE_LOCAL_INTERRUPT, KIND_NMI, 0, isa_bus, 0, ALL_LAPICS, 1},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(local); i++)
		add(table, nr, &local[i], sizeof(local[i]));
}

int mptable_build(struct buf *out, gpa_t base, uint64_t room, const struct mptable_config *cfg,
		  struct error *err)
{
	const struct bus pci = {.type = 1, .id = PCI_BUS, .name = {'P', 'C', 'I', ' ', ' ', ' '}};
	const uint8_t isa_bus = cfg->has_pci ? PCI_BUS + 1 : 0;
	const struct bus isa = {.type = 1, .id = isa_bus, .name = {'I', 'S', 'A', ' ', ' ', ' '}};
	const struct ioapic ioapic = {2, ACPI_IOAPIC_ID, IOAPIC_VERSION, IOAPIC_ENABLED,
				      ACPI_IOAPIC_ADDRESS};
	struct floating_pointer fp = {
		.signature = {'_', 'M', 'P', '_'},
		.table = base + sizeof(fp),
		.paragraphs = 1,
		.revision = SPEC_REVISION,
	};
	struct config_header h = {
		.signature = {'P', 'C', 'M', 'P'},
		.revision = SPEC_REVISION,
		.oem_id = {'B', 'A', 'N', 'T', 'A', 'M', ' ', ' '},
		.product_id = {'P', 'C', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '},
		.lapic_address = ACPI_LAPIC_ADDRESS,
	};
	unsigned nr = 0;

	BUG_ON(base % 16 || out->len || base + room > 4 * GIB);
	fp.checksum = checksum(&fp, sizeof(fp));
	buf_append(out, &fp, sizeof(fp));
	buf_append(out, &h, sizeof(h));
	add_processors(out, &nr, cfg);
	if (cfg->has_pci)
		add(out, &nr, &pci, sizeof(pci));
	add(out, &nr, &isa, sizeof(isa));
	add(out, &nr, &ioapic, sizeof(ioapic));
	add_interrupts(out, &nr, isa_bus);
	if (cfg->has_pci)
		add_pci_interrupts(out, &nr, cfg);
	if (out->len > min(room, (uint64_t)UINT16_MAX))
		return error_set(
			err, -E2BIG,
			"the MP table for %u CPUs takes %zu bytes, but there is room for %" PRIu64,
			cfg->nr_cpus, out->len, room);

	uint8_t *table = out->data + sizeof(fp);
	h.length = out->len - sizeof(fp);
	h.nr_entries = nr;
	memcpy(table, &h, sizeof(h));
	h.checksum = checksum(table, h.length);
	memcpy(table, &h, sizeof(h));
	return 0;
}
