/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports by which software resets a PC: the reset control register 0xcf9 (also the ACPI reset
 * register) and system control port A, 0x92, with fast reset and the fast A20 gate. The A20 bit is
 * kept but has no effect: addresses are never cut at 1 MiB.
 */
#ifndef CHIPSET_RESET_H
#define CHIPSET_RESET_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"

#define RESET_PORT  0xcf9u /* for the FADT: write RESET_VALUE */
#define RESET_VALUE 0x06u

struct reset;

struct reset_params {
	struct bus *pio;
	/* Who answers 4-byte accesses to 0xcf8, PCI's configuration address; NULL: nobody. */
	const struct bus_ops *wide;
	void *wide_dev;

	void (*reset)(void *ctx); /* the guest asks for a reset; on a vCPU thread, no lock held */
	void *ctx;
};

struct reset *reset_new(const struct reset_params *params, struct error *err);
struct device *reset_device(struct reset *r);

#endif
