/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a local APIC, shared by lapic.c (registers), lapic_timer.c and lapic_bus.c
 * (routing). Functions here want l->lock held unless they say otherwise.
 */
#ifndef ENGINE_SOFT_LAPIC_IMPL_H
#define ENGINE_SOFT_LAPIC_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "engine/soft/lapic.h"

/* Register offsets in the xAPIC page; the x2APIC MSR is 0x800 + (offset >> 4). */
#define LAPIC_ID       0x020
#define LAPIC_VERSION  0x030
#define LAPIC_TPR      0x080
#define LAPIC_APR      0x090
#define LAPIC_PPR      0x0a0
#define LAPIC_EOI      0x0b0
#define LAPIC_RRD      0x0c0
#define LAPIC_LDR      0x0d0
#define LAPIC_DFR      0x0e0
#define LAPIC_SVR      0x0f0
#define LAPIC_ISR      0x100 /* eight registers each */
#define LAPIC_TMR      0x180
#define LAPIC_IRR      0x200
#define LAPIC_ESR      0x280
#define LAPIC_ICR      0x300
#define LAPIC_ICR2     0x310
#define LAPIC_LVTT     0x320
#define LAPIC_LVTTHMR  0x330
#define LAPIC_LVTPC    0x340
#define LAPIC_LVT0     0x350
#define LAPIC_LVT1     0x360
#define LAPIC_LVTERR   0x370
#define LAPIC_TMICT    0x380
#define LAPIC_TMCCT    0x390
#define LAPIC_TDCR     0x3e0
#define LAPIC_SELF_IPI 0x3f0
#define LAPIC_NR_REGS  64

#define LAPIC_BASE_BSP	  BIT64(8)
#define LAPIC_BASE_X2APIC BIT64(10)
#define LAPIC_BASE_ENABLE BIT64(11)

#define LAPIC_SVR_ENABLE BIT(8)
#define LAPIC_LVT_MASKED BIT(16)

#define LAPIC_ESR_SEND_ILLEGAL	  BIT(5)
#define LAPIC_ESR_RECEIVE_ILLEGAL BIT(6)
#define LAPIC_ESR_REGISTER	  BIT(7)

/* Delivery modes of messages, IPIs and LVT entries (SDM vol. 3, 11.5.1). */
enum lapic_delivery {
	DELIVER_FIXED = 0,
	DELIVER_LOWEST = 1,
	DELIVER_SMI = 2,
	DELIVER_NMI = 4,
	DELIVER_INIT = 5,
	DELIVER_SIPI = 6,
	DELIVER_EXTINT = 7,
};

enum lapic_mode { LAPIC_DISABLED, LAPIC_XAPIC, LAPIC_X2APIC };

struct lapic {
	pthread_mutex_t lock; /* guards all below but the atomics; none other is taken inside */
	struct lapic_bus *bus;
	const struct lapic_cpu_ops *ops;
	void *cpu;
	uint32_t id; /* given at creation: the x2APIC id */
	bool is_bsp;
	uint64_t base;		      /* IA32_APICBASE */
	uint32_t regs[LAPIC_NR_REGS]; /* by offset >> 4 */
	uint32_t errors;	      /* seen since the last write to ESR */

	/* Timer (lapic_timer.c). */
	uint64_t timer_target_ns; /* CLOCK_MONOTONIC of the next expiry; 0: stopped or TSC mode */
	uint64_t tsc_deadline;	  /* 0: none */

	/* EOIs not yet reported: a set of vectors; has_eoi is read without the lock. */
	uint64_t eoi[4];
	_Atomic bool has_eoi;

	/* What lapic_pending() answers; written under the lock after every change. */
	_Atomic int deliverable;

	/* What routing compares, published under the lock, read without it. */
	_Atomic uint32_t mode;			   /* enum lapic_mode */
	_Atomic uint32_t address, logical, format; /* id, LDR, DFR as the mode shows them */
};

static inline uint32_t *lapic_reg(struct lapic *l, unsigned off)
{
	return &l->regs[off >> 4];
}

/* An interrupt message on its way (MSI or IPI). */
struct lapic_msg {
	uint32_t dest;
	bool is_logical;
	bool is_x2apic; /* dest has 32 bits: sent by an x2APIC */
	bool is_level;
	uint8_t mode; /* enum lapic_delivery */
	uint8_t vector;
};

#define LAPIC_BROADCAST_XAPIC  0xffu
#define LAPIC_BROADCAST_X2APIC 0xffffffffu

/* ---- lapic.c ---- */

/* Gives a message to this LAPIC; takes the lock itself. False when it is not accepting. */
bool lapic_deliver(struct lapic *l, const struct lapic_msg *msg);

/* Raises the interrupt of an LVT entry if that is not masked. */
void lapic_raise_lvt(struct lapic *l, unsigned lvt_off);

/* Notes an ESR bit and raises the error interrupt. */
void lapic_error(struct lapic *l, uint32_t esr_bit);

/* The processor's priority now; takes the lock itself. */
unsigned lapic_priority(struct lapic *l);

/* ---- lapic_timer.c ---- */

void lapic_timer_reset(struct lapic *l);
void lapic_timer_write_lvt(struct lapic *l, uint32_t value);
void lapic_timer_write_initial(struct lapic *l, uint32_t value);
void lapic_timer_write_divide(struct lapic *l, uint32_t value);
uint32_t lapic_timer_current(struct lapic *l);
void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc);
/* Goes on from TMCCT after the registers were loaded. */
void lapic_timer_resume(struct lapic *l);

/* ---- lapic_bus.c; no lock held ---- */

void lapic_bus_attach(struct lapic_bus *bus, struct lapic *l);
void lapic_bus_detach(struct lapic_bus *bus, struct lapic *l);
uint32_t lapic_bus_tsc_khz(const struct lapic_bus *bus);
bool lapic_bus_wants_eoi(struct lapic_bus *bus, unsigned vector);

/* What a write to the ICR sends. */
void lapic_bus_ipi(struct lapic_bus *bus, struct lapic *source, uint32_t icr, uint32_t dest,
		   bool is_x2apic);

#endif
