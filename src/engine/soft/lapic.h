/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a software vCPU (SDM vol. 3, chapter 11): xAPIC and x2APIC, one-shot, periodic
 * and TSC-deadline timer, IPIs, message-signalled interrupts, logical and physical destinations,
 * lowest priority. Belongs to the engine, as KVM's belongs to the kernel.
 *
 * Each LAPIC has one lock; functions marked "any thread" take it. When something becomes
 * deliverable the LAPIC sets a request bit and wakes the vCPU through its notify callback. All
 * callbacks but nmi, init and sipi are made with the lock held, and none may call back.
 */
#ifndef ENGINE_SOFT_LAPIC_H
#define ENGINE_SOFT_LAPIC_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

struct lapic;
struct lapic_bus;

/* What a LAPIC asks of its CPU; any thread, short and without locks of its own but a wake-up's. */
struct lapic_cpu_ops {
	void (*notify)(
		void *cpu); /* an interrupt may be deliverable, or an EOI is to be reported */
	void (*nmi)(void *cpu);
	void (*init)(void *cpu);
	void (*sipi)(void *cpu, uint8_t vector); /* start at vector << 12 */
	uint64_t (*tsc)(void *cpu);		 /* the guest's TSC now */
	/*
	 * Call lapic_timer_expired() at this CLOCK_MONOTONIC time (0: no deadline). Comes on the
	 * vCPU's thread, or on any thread while it is stopped.
	 */
	void (*set_deadline)(void *cpu, uint64_t host_ns);
};

/* All LAPICs of a VM: the bus interrupt messages travel on. */
struct lapic_bus *lapic_bus_new(uint32_t tsc_khz);
void lapic_bus_free(struct lapic_bus *bus);

/* Any thread. Returns 0, or -EINVAL when no LAPIC is addressed. */
int lapic_bus_msi(struct lapic_bus *bus, uint64_t addr, uint32_t data);

/*
 * Sends one interrupt (fixed or NMI, as in an ICR) to the CPUs with the physical ids first + n for
 * every bit n of ids: KVM_HC_SEND_IPI. Any thread. Returns how many took it, or -EINVAL for an icr
 * that says more than vector and delivery mode.
 */
int lapic_bus_multi_ipi(struct lapic_bus *bus, uint32_t first, uint64_t ids, uint32_t icr);

/* Vectors whose EOI must be reported (level-triggered IOAPIC pins): a 256-bit set. Any thread. */
void lapic_bus_set_eoi_exits(struct lapic_bus *bus, const uint64_t vectors[4]);

struct lapic *lapic_new(struct lapic_bus *bus, unsigned id, bool is_bsp,
			const struct lapic_cpu_ops *ops, void *cpu);
void lapic_free(struct lapic *l);
void lapic_reset(struct lapic *l, bool is_init); /* INIT keeps the id and APICBASE */

/* IA32_APICBASE; write returns false for #GP(0). Bits from the CPU's address width up to bit 51
 * are the caller's to check. */
uint64_t lapic_base(struct lapic *l);
bool lapic_set_base(struct lapic *l, uint64_t value, bool is_host);

/* xAPIC registers at APICBASE: off 0-4095; accesses other than aligned 4 bytes read 0, drop. */
uint32_t lapic_mmio_read(struct lapic *l, unsigned off);
void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t value);

/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE; false for #GP(0). */
bool lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value);
bool lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value);

/* CR8: bits 7-4 of the TPR. */
unsigned lapic_cr8(struct lapic *l);
void lapic_set_cr8(struct lapic *l, unsigned cr8);

/* The vector that would be delivered now, or -1. Any thread. */
int lapic_pending(struct lapic *l);

/* Takes it: IRR to ISR. The same vector lapic_pending() gave, or -1 when it has gone. */
int lapic_accept(struct lapic *l);

/* Whether the PIC's interrupt line reaches this CPU: LVT LINT0 in ExtINT mode, or APIC disabled. */
bool lapic_takes_extint(struct lapic *l);

/* The vector of an EOI that must be reported to the caller (KVM_EXIT_IOAPIC_EOI), or -1; takes it.
 */
int lapic_take_eoi(struct lapic *l);

/*
 * The deadline has passed: raises the timer interrupt if it is due, sets the next deadline. Any
 * thread; harmless when called early.
 */
void lapic_timer_expired(struct lapic *l);

/* The guest's TSC was written: works out anew when a TSC deadline will pass. */
void lapic_tsc_changed(struct lapic *l);

/*
 * KVM's register page (KVM_GET_LAPIC) with 32-bit ids in x2APIC mode (KVM_CAP_X2APIC_API). Setting
 * wants APICBASE set before; -EINVAL when the id is another CPU's. The timer goes on from TMCCT; a
 * TSC deadline is an MSR of its own.
 */
void lapic_get_state(struct lapic *l, struct kvm_lapic_state *s);
int lapic_set_state(struct lapic *l, const struct kvm_lapic_state *s);

#endif
