/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MultiProcessor Specification 1.4 table: for guests without ACPI. Describes processors,
 * buses, one IOAPIC and its interrupts. Pure functions, any thread.
 */
#ifndef BOOT_TABLES_MPTABLE_H
#define BOOT_TABLES_MPTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/mem.h"

struct mptable_config {
	const uint32_t *apic_ids; /* boot processor first */
	unsigned nr_cpus;	/* those with an id above 254 are left out: the format has 8 bits */
	uint32_t cpu_signature; /* EAX of CPUID leaf 1, or 0 */
	uint32_t cpu_features;	/* EDX of CPUID leaf 1, or 0 */
	bool has_pci;		/* bus 0, with INTx at four pins from first_pci_pin on */
	unsigned first_pci_pin;
};

/*
 * Appends the floating pointer and the configuration table to out (empty before) as they must lie
 * at base, a multiple of 16. Returns 0, or -E2BIG with err filled when it takes more than room.
 */
int mptable_build(struct buf *out, gpa_t base, uint64_t room, const struct mptable_config *cfg,
		  struct error *err);

#endif
