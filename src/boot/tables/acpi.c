/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/tables/acpi.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"

/* Layouts of ACPI 6.5, chapter 5. */
struct table_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct address { /* generic address structure */
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));
#define SPACE_MEMORY 0
#define SPACE_IO     1

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

struct facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved1[3];
	uint32_t ospm_flags;
	uint8_t reserved2[24];
} __attribute__((packed));

struct fadt {
	struct table_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, pm_profile;
	uint16_t sci_irq;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint32_t gpe0, gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len;
	uint8_t gpe0_len, gpe1_len, gpe1_base, cstate_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved1;
	uint32_t flags;
	struct address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
		x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor_vendor;
} __attribute__((packed));
static_assert(sizeof(struct fadt) == 276, "the FADT of ACPI 6");

enum {
	FADT_WBINVD = BIT(0),
	FADT_PROC_C1 = BIT(2),
	FADT_NO_FIXED_SLEEP_BUTTON = BIT(5),
	FADT_NO_FIXED_RTC_WAKE = BIT(6),
	FADT_TIMER_32BIT = BIT(8),
	FADT_RESET_REGISTER = BIT(10),
};
enum {
	BOOT_LEGACY_DEVICES = BIT(0),
	BOOT_8042 = BIT(1),
	BOOT_NO_VGA = BIT(2),
};

struct madt {
	struct table_header header;
	uint32_t lapic_address, flags;
} __attribute__((packed));
#define MADT_HAS_PIC 1

struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));
struct madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} __attribute__((packed));
#define MADT_CPU_ENABLED 1

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));
struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));
#define MADT_BUS_DEFAULT       0
#define MADT_ACTIVE_HIGH_LEVEL 0xd

struct madt_lapic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
struct madt_x2apic_nmi {
	uint8_t type, length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint, reserved[3];
} __attribute__((packed));

struct hpet {
	struct table_header header;
	uint32_t id;
	struct address address;
	uint8_t number;
	uint16_t min_tick;
	uint8_t page_protection;
} __attribute__((packed));

struct mcfg {
	struct table_header header;
	uint64_t reserved1;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} __attribute__((packed));

#define OEM_ID	     "BANTAM"
#define OEM_TABLE_ID "BANTAMPC"
#define CREATOR_ID   "BNTM"

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += bytes[i];
	return -sum;
}

static struct table_header new_header(const char *signature, uint8_t revision)
{
	struct table_header h = {.revision = revision, .oem_revision = 1, .creator_revision = 1};

	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem_id, OEM_ID, sizeof(h.oem_id));
	memcpy(h.oem_table_id, OEM_TABLE_ID, sizeof(h.oem_table_id));
	memcpy(h.creator_id, CREATOR_ID, sizeof(h.creator_id));
	return h;
}

/* The tables under construction: out is what will lie at base. */
struct builder {
	struct buf *out;
	gpa_t base;
};

static void align(struct builder *b, size_t alignment)
{
	static const uint8_t zeroes[64];

	buf_append(b->out, zeroes, ALIGN_UP(b->out->len, alignment) - b->out->len);
}

/* Completes length and checksum of a table and appends it; returns its guest address. */
static gpa_t add_table(struct builder *b, struct buf *table)
{
	struct table_header *h = (struct table_header *)table->data;

	h->length = table->len;
	h->checksum = 0;
	h->checksum = checksum(table->data, table->len);
	align(b, 16);
	gpa_t at = b->base + b->out->len;
	buf_append(b->out, table->data, table->len);
	buf_free(table);
	return at;
}

static gpa_t add_facs(struct builder *b)
{
	const struct facs facs = {
		.signature = {'F', 'A', 'C', 'S'},
		.length = sizeof(facs),
		.version = 2,
	};

	align(b, 64);
	gpa_t at = b->base + b->out->len;
	buf_append(b->out, &facs, sizeof(facs));
	return at;
}

static gpa_t add_dsdt(struct builder *b, const struct acpi_config *cfg)
{
	struct table_header h = new_header("DSDT", 2);
	struct buf table = {0};

	buf_append(&table, &h, sizeof(h));
	acpi_build_dsdt(&table, cfg);
	return add_table(b, &table);
}

static struct address port(uint16_t number, uint8_t bit_width, uint8_t access_bytes)
{
	return (struct address){
		.space = SPACE_IO,
		.bit_width = bit_width,
		.access_size = __builtin_ctz(access_bytes) + 1,
		.address = number,
	};
}

static gpa_t add_fadt(struct builder *b, gpa_t facs, gpa_t dsdt)
{
	const struct fadt fadt = {
		.header = new_header("FACP", 6),
		.facs = facs,
		.dsdt = dsdt,
		.sci_irq = ACPI_SCI_IRQ,
		.pm1a_event = ACPI_PM1_EVENT_PORT,
		.pm1a_control = ACPI_PM1_CONTROL_PORT,
		.pm_timer = ACPI_PM_TIMER_PORT,
		.pm1_event_len = 4,
		.pm1_control_len = 2,
		.pm_timer_len = 4,
		.gpe0 = ACPI_GPE0_PORT,
		.gpe0_len = 4,
		.c2_latency = 0xffff, /* too long to be used: there is only C1 */
		.c3_latency = 0xffff,
		.century = ACPI_CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_FIXED_SLEEP_BUTTON |
			 FADT_NO_FIXED_RTC_WAKE | FADT_TIMER_32BIT | FADT_RESET_REGISTER,
		.reset_register = port(ACPI_RESET_PORT, 8, 1),
		.reset_value = ACPI_RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_event = port(ACPI_PM1_EVENT_PORT, 32, 2),
		.x_pm1a_control = port(ACPI_PM1_CONTROL_PORT, 16, 2),
		.x_pm_timer = port(ACPI_PM_TIMER_PORT, 32, 4),
		.x_gpe0 = port(ACPI_GPE0_PORT, 32, 1),
	};
	struct buf table = {0};

	buf_append(&table, &fadt, sizeof(fadt));
	return add_table(b, &table);
}

/* Ids the 8-bit fields cannot hold, and the ones that mean "all", need the longer form. */
static void add_madt_cpu(struct buf *table, unsigned uid, uint32_t apic_id)
{
	if (uid < 255 && apic_id < 255) {
		const struct madt_lapic cpu = {0, sizeof(cpu), uid, apic_id, MADT_CPU_ENABLED};

		buf_append(table, &cpu, sizeof(cpu));
	} else {
		const struct madt_x2apic cpu = {9, sizeof(cpu), 0, apic_id, MADT_CPU_ENABLED, uid};

		buf_append(table, &cpu, sizeof(cpu));
	}
}

static gpa_t add_madt(struct builder *b, const struct acpi_config *cfg)
{
	const struct madt madt = {
		.header = new_header("APIC", 5),
		.lapic_address = ACPI_LAPIC_ADDRESS,
		.flags = MADT_HAS_PIC,
	};
	const struct madt_ioapic ioapic = {1, sizeof(ioapic),	   ACPI_IOAPIC_ID,
					   0, ACPI_IOAPIC_ADDRESS, 0};
	/* The PIT's interrupt arrives at pin 2, as on every PC since the first IOAPIC. */
	const struct madt_override timer = {2, sizeof(timer), MADT_BUS_DEFAULT, 0, 2, 0};
	const struct madt_override sci = {2,
					  sizeof(sci),
					  MADT_BUS_DEFAULT,
					  ACPI_SCI_IRQ,
					  ACPI_SCI_IRQ,
					  MADT_ACTIVE_HIGH_LEVEL};
	const struct madt_lapic_nmi nmi = {4, sizeof(nmi), 0xff, 0, 1};
	const struct madt_x2apic_nmi nmi_x2apic = {0xa, sizeof(nmi_x2apic), 0, 0xffffffff, 1, {0}};
	struct buf table = {0};
	bool has_large_ids = false;

	buf_append(&table, &madt, sizeof(madt));
	for (unsigned i = 0; i < cfg->nr_cpus; i++) {
		add_madt_cpu(&table, i, cfg->apic_ids[i]);
		has_large_ids |= i >= 255 || cfg->apic_ids[i] >= 255;
	}
	buf_append(&table, &ioapic, sizeof(ioapic));
	buf_append(&table, &timer, sizeof(timer));
	buf_append(&table, &sci, sizeof(sci));
	buf_append(&table, &nmi, sizeof(nmi));
	if (has_large_ids)
		buf_append(&table, &nmi_x2apic, sizeof(nmi_x2apic));
	return add_table(b, &table);
}

static gpa_t add_hpet(struct builder *b)
{
	const struct hpet hpet = {
		.header = new_header("HPET", 1),
		.id = ACPI_HPET_ID,
		.address = {.space = SPACE_MEMORY, .bit_width = 64, .address = ACPI_HPET_ADDRESS},
		.min_tick = 0x80,
	};
	struct buf table = {0};

	buf_append(&table, &hpet, sizeof(hpet));
	return add_table(b, &table);
}

static gpa_t add_mcfg(struct builder *b, const struct acpi_pci *pci)
{
	const struct mcfg mcfg = {
		.header = new_header("MCFG", 1),
		.base = pci->ecam_base,
		.last_bus = pci->nr_buses - 1,
	};
	struct buf table = {0};

	buf_append(&table, &mcfg, sizeof(mcfg));
	return add_table(b, &table);
}

/* A root table: the RSDT holds 4-byte addresses, the XSDT 8-byte ones. */
static gpa_t add_root(struct builder *b, const char *signature, unsigned entry_size,
		      const gpa_t *tables, unsigned nr)
{
	struct table_header h = new_header(signature, 1);
	struct buf table = {0};

	buf_append(&table, &h, sizeof(h));
	for (unsigned i = 0; i < nr; i++)
		buf_append(&table, &tables[i], entry_size);
	return add_table(b, &table);
}

static void fill_rsdp(struct builder *b, gpa_t rsdt, gpa_t xsdt)
{
	struct rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = 2,
		.rsdt = rsdt,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = checksum(&rsdp, 20); /* the part of ACPI 1.0 */
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(b->out->data, &rsdp, sizeof(rsdp));
}

int acpi_build(struct buf *out, gpa_t base, uint64_t room, const struct acpi_config *cfg,
	       struct error *err)
{
	static const struct rsdp empty;
	struct builder b = {.out = out, .base = base};

	BUG_ON(base % 64 || out->len || base + room > 4 * GIB);
	buf_append(out, &empty, sizeof(empty));
	gpa_t facs = add_facs(&b);
	gpa_t dsdt = add_dsdt(&b, cfg);
	gpa_t tables[4] = {add_fadt(&b, facs, dsdt), add_madt(&b, cfg), add_hpet(&b)};
	unsigned nr = 3;
	if (cfg->pci)
		tables[nr++] = add_mcfg(&b, cfg->pci);
	gpa_t rsdt = add_root(&b, "RSDT", 4, tables, nr);
	gpa_t xsdt = add_root(&b, "XSDT", 8, tables, nr);
	fill_rsdp(&b, rsdt, xsdt);
	if (out->len > room)
		return error_set(
			err, -E2BIG,
			"ACPI tables for %u CPUs take %zu bytes, but there is room for %" PRIu64,
			cfg->nr_cpus, out->len, room);
	return 0;
}
