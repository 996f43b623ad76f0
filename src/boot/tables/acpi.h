/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of the pc machine: RSDP, RSDT and XSDT, FADT, FACS, MADT, HPET, MCFG and a DSDT
 * with processors, the PCI root and ISA devices. ACPI mode is always on, so there is no SMI command
 * port.
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

/* Of configuration space in memory, for a bus. */
#define ACPI_ECAM_BUS_SIZE UINT64_C(0x100000)

#define ACPI_PCI_DEVICES   32
#define ACPI_PCI_INTX_GSIS 4 /* INTA# of device D has GSI first_gsi + D % 4, INTB# the next ... */
#define ACPI_PCI_INTX_GSI(pci, device, pin) \
	((pci)->first_gsi + ((device) + (pin)) % ACPI_PCI_INTX_GSIS)

struct acpi_window {
	uint64_t base, size; /* size 0: none */
};

/* PCI segment 0. Its I/O space is all but the configuration ports. */
struct acpi_pci {
	uint64_t ecam_base;
	unsigned nr_buses;
	struct acpi_window mem32, mem64;
	unsigned first_gsi;
};

struct acpi_config {
	const uint32_t *apic_ids; /* of vCPU 0, 1, ... */
	unsigned nr_cpus;
	const struct boot_virtio *virtio;
	unsigned nr_virtio;	    /* at most 4096 */
	const struct acpi_pci *pci; /* NULL: no PCI, no MCFG */
	unsigned no_serial;	    /* bit N: serial port N, 0 to 3, is not there */
};

/*
 * Appends the tables to out (empty before) as they must lie at base, a multiple of 64; the RSDP is
 * first. Returns 0, or -E2BIG with err filled when they take more than room bytes.
 */
int acpi_build(struct buf *out, gpa_t base, uint64_t room, const struct acpi_config *cfg,
	       struct error *err);

/* The DSDT's AML alone, without table header. */
void acpi_build_dsdt(struct buf *aml, const struct acpi_config *cfg);

/* The devices of PCI for the scope of the system bus. */
void acpi_add_pci(struct buf *system_bus, const struct acpi_pci *pci);

#endif
