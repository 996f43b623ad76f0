/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixed hardware of ACPI (specification 6.5, 4.8): PM1a event and control registers, the
 * 3.579545 MHz power management timer, and a block of general purpose events. ACPI mode is always
 * on: there is no SMI command port.
 */
#ifndef CHIPSET_ACPI_PM_H
#define CHIPSET_ACPI_PM_H

#include "base/error.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

/* What the FADT must say. */
#define ACPI_PM_BASE	    0x600u
#define ACPI_PM1_EVT_OFFSET 0x00u /* 4 bytes: status, enable */
#define ACPI_PM1_CNT_OFFSET 0x04u /* 2 bytes */
#define ACPI_PM_TMR_OFFSET  0x08u /* 4 bytes */
#define ACPI_GPE0_OFFSET    0x20u /* 4 bytes: 16 status bits, 16 enable bits */
#define ACPI_GPE0_LEN	    4u
#define ACPI_PM_SIZE	    0x40u
#define ACPI_PM_TIMER_HZ    3579545u
#define ACPI_NR_GPES	    16u
#define ACPI_SCI_IRQ	    9u

/* SLP_TYP of \_S5; other sleep types are ignored. */
#define ACPI_SLP_TYP_S5 5u

struct acpi_pm;

struct acpi_pm_params {
	struct bus *pio;
	struct clock *clock;
	uint16_t base;	     /* 0: ACPI_PM_BASE */
	bool is_32bit_timer; /* TMR_VAL_EXT of the FADT */
	struct irq_line sci; /* level-triggered, active high here */

	/* The guest entered S5. On a vCPU thread, no lock held. */
	void (*power_off)(void *ctx);
	void *ctx;
};

struct acpi_pm *acpi_pm_new(const struct acpi_pm_params *params, struct error *err);
struct device *acpi_pm_device(struct acpi_pm *pm);

/* Presses the power button. Any thread. Returns whether the guest has it enabled. */
bool acpi_pm_power_button(struct acpi_pm *pm);

/* Raises a general purpose event (0-15). Any thread. */
void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned gpe);

#endif
