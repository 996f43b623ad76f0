/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of the pc machine: RSDP, RSDT and XSDT, FADT, FACS, MADT, HPET and a DSDT with
 * processors and ISA devices. ACPI mode is always on, so there is no SMI command port. No PCI root.
 * Pure functions, any thread.
 */
#ifndef BOOT_TABLES_ACPI_H
#define BOOT_TABLES_ACPI_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/mem.h"

/* Facts the tables state and the chips must keep. */
#define ACPI_PM1_EVENT_PORT   0x600
#define ACPI_PM1_CONTROL_PORT 0x604
#define ACPI_PM_TIMER_PORT    0x608 /* 32 bits wide */
#define ACPI_GPE0_PORT	      0x620 /* 16 status bits, 16 enable bits */
#define ACPI_SCI_IRQ	      9u
#define ACPI_SLEEP_TYPE_S5    5
#define ACPI_RESET_PORT	      0xcf9
#define ACPI_RESET_VALUE      0x06
#define ACPI_CMOS_CENTURY     0x32
#define ACPI_LAPIC_ADDRESS    0xfee00000u
#define ACPI_IOAPIC_ADDRESS   0xfec00000u
#define ACPI_IOAPIC_ID	      0
#define ACPI_HPET_ADDRESS     0xfed00000u
#define ACPI_HPET_ID	      0x8086a201u /* low half of the capabilities: 3 timers, 64-bit, legacy */

/* The window of a virtio-mmio device (virtio 1.2, section 4.2). */
struct boot_virtio {
	uint32_t base, size;
	uint32_t gsi; /* level-triggered, active high, shared */
};

struct acpi_config {
	const uint32_t *apic_ids; /* of vCPU 0, 1, ... */
	unsigned nr_cpus;
	const struct boot_virtio *virtio;
	unsigned nr_virtio; /* at most 4096 */
};

/*
 * Appends the tables to out (empty before) as they must lie at base, a multiple of 64; the RSDP is
 * first. Returns 0, or -E2BIG with err filled when they take more than room bytes.
 */
int acpi_build(struct buf *out, gpa_t base, uint64_t room, const struct acpi_config *cfg,
	       struct error *err);

/* The DSDT's AML alone, without table header. */
void acpi_build_dsdt(struct buf *aml, const struct acpi_config *cfg);

#endif
