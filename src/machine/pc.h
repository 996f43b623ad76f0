/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pc machine: which chips there are, at which addresses, and how their interrupts travel.
 *
 * A device drives a GSI (gsi.h). The IOAPIC sends messages to the engine's LAPICs; the PIC's output
 * reaches the boot processor's LINT0 through the run loop.
 */
#ifndef MACHINE_PC_H
#define MACHINE_PC_H

#include <stdbool.h>

#include "base/error.h"
#include "boot/tables/acpi.h"
#include "core/irq.h"

struct pc;
struct pci_root;
struct vm;

/* Makes all chips and devices; vm->pc is set. Main loop thread, before the first vCPU runs. */
int pc_new(struct vm *vm, struct error *err);
void pc_free(struct pc *pc); /* after the devices; NULL is fine */

/* Before the devices are reset: all interrupt wires low. vCPUs stand still. */
void pc_reset(struct pc *pc);

/* The PIC's output line, and INTA: takes the vector. Any thread; vCPU 0's run loop uses them. */
bool pc_pic_is_pending(struct pc *pc);
unsigned pc_pic_acknowledge(struct pc *pc);

/* A LAPIC ended a level-triggered interrupt with this vector. vCPU thread. */
void pc_end_of_interrupt(struct pc *pc, unsigned vector);

/* The VM goes on in another engine VM, which must hear of the interrupt routes. vCPUs parked. */
void pc_engine_changed(struct pc *pc);

/* A new source on a GSI (machine/gsi.h). Set-up only. */
struct irq_line pc_gsi_line(struct pc *pc, unsigned gsi);

/* For parts that are PCI functions. */
struct pci_root *pc_pci_root(struct pc *pc);

/* What the tables for the guest say of PCI. */
void pc_describe_pci(const struct pc *pc, struct acpi_pci *pci);

/* Main loop thread. */
void pc_press_power_button(struct pc *pc);

#endif
