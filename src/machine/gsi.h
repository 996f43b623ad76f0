/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Global system interrupts: 24 wires, each shared by any number of devices, and the way from them
 * to the two kinds of interrupt controller. GSI 0-15 reach the PIC pair and the IOAPIC, 16-23 the
 * IOAPIC alone. ISA interrupt 0 is IOAPIC pin 2, as the MADT and the MP table tell the guest; PIC
 * input 2 is the cascade, so nothing else may use GSI 2.
 *
 * Lines may be driven from any thread. Lock order: the device's lock, then this router's, then
 * those of PIC, IOAPIC and LAPICs.
 */
#ifndef MACHINE_GSI_H
#define MACHINE_GSI_H

#include "chipset/ioapic.h"
#include "chipset/pic.h"
#include "core/irq.h"

#define NR_GSIS		24
#define GSI_SOURCES_MAX 32 /* devices per GSI: bits of a word */

struct gsi_router;

struct gsi_router *gsi_router_new(void);
void gsi_router_free(struct gsi_router *r); /* NULL is fine */

/* Where interrupts go; once, before the first line is driven. */
void gsi_router_connect(struct gsi_router *r, struct pic *pic, struct ioapic *ioapic);

/* A new source on gsi: the wire is high while any of its sources is. Set-up only. */
struct irq_line gsi_line(struct gsi_router *r, unsigned gsi);

/* All sources low: a reset. vCPUs stand still. */
void gsi_router_reset(struct gsi_router *r);

#endif
