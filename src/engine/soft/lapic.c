/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers of a local APIC (SDM vol. 3, chapter 11): xAPIC page and x2APIC MSRs, priorities,
 * acceptance and end of interrupts, errors, saved state. Most accesses come from the vCPU's own
 * thread; interrupts arrive on any. Left out, as in KVM: CMCI, SMIs, EOI-broadcast suppression,
 * the arbitration priority register, and delivery through LINT pins other than the question
 * whether the PIC is heard.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/soft/lapic_impl.h"
#include "x86/regs.h"

#define VERSION_VALUE 0x00050014u /* integrated APIC, six LVT entries */
#define DEFAULT_BASE  0xfee00000u
#define VECTOR_MIN    16u /* below are exceptions: illegal in messages */

/* Bits a guest can set in LVT entries; delivery status and remote IRR are read-only. */
#define LVTT_MASK    0x000700ffu
#define LVT_MASK     0x000107ffu /* thermal, performance */
#define LVT_LINT     0x0001a7ffu
#define LVTERR_MASK  0x000100ffu
#define SVR_MASK     0x000003ffu
#define ICR_MASK     0x000ccfffu
#define ICR_RESERVED 0xfff32000u /* x2APIC refuses these */

static const unsigned lvt_entries[] = {LAPIC_LVTT, LAPIC_LVTTHMR, LAPIC_LVTPC,
				       LAPIC_LVT0, LAPIC_LVT1,	  LAPIC_LVTERR};

#define REG_BIT(off)	 BIT64((off) >> 4)
#define REG_EIGHT(first) (0xffull << ((first) >> 4))

static const uint64_t readable_common =
	REG_BIT(LAPIC_ID) | REG_BIT(LAPIC_VERSION) | REG_BIT(LAPIC_TPR) | REG_BIT(LAPIC_PPR) |
	REG_BIT(LAPIC_LDR) | REG_BIT(LAPIC_SVR) | REG_EIGHT(LAPIC_ISR) | REG_EIGHT(LAPIC_TMR) |
	REG_EIGHT(LAPIC_IRR) | REG_BIT(LAPIC_ESR) | REG_BIT(LAPIC_ICR) | REG_BIT(LAPIC_LVTT) |
	REG_BIT(LAPIC_LVTTHMR) | REG_BIT(LAPIC_LVTPC) | REG_BIT(LAPIC_LVT0) | REG_BIT(LAPIC_LVT1) |
	REG_BIT(LAPIC_LVTERR) | REG_BIT(LAPIC_TMICT) | REG_BIT(LAPIC_TMCCT) | REG_BIT(LAPIC_TDCR);

static const uint64_t readable_xapic =
	REG_BIT(LAPIC_APR) | REG_BIT(LAPIC_RRD) | REG_BIT(LAPIC_DFR) | REG_BIT(LAPIC_ICR2);

/* ---- 256-bit sets of vectors: ISR, TMR and IRR ---- */

static bool vector_test(struct lapic *l, unsigned set, unsigned vector)
{
	return l->regs[(set >> 4) + vector / 32] >> (vector % 32) & 1;
}

static void vector_set(struct lapic *l, unsigned set, unsigned vector)
{
	l->regs[(set >> 4) + vector / 32] |= BIT(vector % 32);
}

static void vector_clear(struct lapic *l, unsigned set, unsigned vector)
{
	l->regs[(set >> 4) + vector / 32] &= ~BIT(vector % 32);
}

static int vector_highest(const struct lapic *l, unsigned set)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = l->regs[(set >> 4) + i];

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/* ---- priorities ---- */

static enum lapic_mode mode_of(const struct lapic *l)
{
	if (!(l->base & LAPIC_BASE_ENABLE))
		return LAPIC_DISABLED;
	return l->base & LAPIC_BASE_X2APIC ? LAPIC_X2APIC : LAPIC_XAPIC;
}

/* Recomputes PPR and what is deliverable after any change; tells the CPU when that is news. */
static void update(struct lapic *l)
{
	unsigned tpr = *lapic_reg(l, LAPIC_TPR) & 0xff;
	int served = vector_highest(l, LAPIC_ISR);
	int wanted = vector_highest(l, LAPIC_IRR);
	unsigned ppr = served > 0 ? served & 0xf0 : 0;
	int before = atomic_load_explicit(&l->deliverable, memory_order_relaxed);

	if (tpr >> 4 >= ppr >> 4)
		ppr = tpr;
	*lapic_reg(l, LAPIC_PPR) = ppr;
	if (wanted >= 0 && ((unsigned)wanted >> 4 <= ppr >> 4 || mode_of(l) == LAPIC_DISABLED))
		wanted = -1;
	/* Pairs with the acquire in lapic_pending(). */
	atomic_store_explicit(&l->deliverable, wanted, memory_order_release);
	if (wanted >= 0 && wanted != before)
		l->ops->notify(l->cpu);
}

/* Makes mode, id, LDR and DFR visible to routing. */
static void publish(struct lapic *l)
{
	enum lapic_mode mode = mode_of(l);
	uint32_t id = *lapic_reg(l, LAPIC_ID);

	atomic_store_explicit(&l->address, mode == LAPIC_X2APIC ? id : id >> 24,
			      memory_order_release);
	atomic_store_explicit(&l->logical, *lapic_reg(l, LAPIC_LDR), memory_order_release);
	atomic_store_explicit(&l->format, *lapic_reg(l, LAPIC_DFR), memory_order_release);
	atomic_store_explicit(&l->mode, mode, memory_order_release);
}

/* The id and logical id registers as the current mode shows them after a change of mode. */
static void set_ids(struct lapic *l)
{
	if (mode_of(l) == LAPIC_X2APIC) {
		*lapic_reg(l, LAPIC_ID) = l->id;
		*lapic_reg(l, LAPIC_LDR) = (l->id >> 4 << 16) | BIT(l->id & 0xf);
	} else {
		*lapic_reg(l, LAPIC_ID) = l->id << 24;
		*lapic_reg(l, LAPIC_LDR) = 0;
	}
}

static bool is_soft_enabled(struct lapic *l)
{
	return *lapic_reg(l, LAPIC_SVR) & LAPIC_SVR_ENABLE;
}

unsigned lapic_priority(struct lapic *l)
{
	unsigned ppr;

	pthread_mutex_lock(&l->lock);
	ppr = is_soft_enabled(l) ? *lapic_reg(l, LAPIC_PPR) : 0x100;
	pthread_mutex_unlock(&l->lock);
	return ppr;
}

/* ---- arrival ---- */

static void request(struct lapic *l, unsigned vector, bool is_level)
{
	if (is_level)
		vector_set(l, LAPIC_TMR, vector);
	else
		vector_clear(l, LAPIC_TMR, vector);
	vector_set(l, LAPIC_IRR, vector);
	update(l);
}

void lapic_raise_lvt(struct lapic *l, unsigned lvt_off)
{
	uint32_t lvt = *lapic_reg(l, lvt_off);

	if (lvt & LAPIC_LVT_MASKED)
		return;
	if ((lvt & 0xff) < VECTOR_MIN)
		l->errors |= LAPIC_ESR_RECEIVE_ILLEGAL;
	else
		request(l, lvt & 0xff, false);
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	l->errors |= esr_bit;
	lapic_raise_lvt(l, LAPIC_LVTERR);
}

static bool deliver_vector(struct lapic *l, const struct lapic_msg *msg)
{
	bool is_taken;

	pthread_mutex_lock(&l->lock);
	is_taken = is_soft_enabled(l);
	if (is_taken && msg->vector < VECTOR_MIN)
		lapic_error(l, LAPIC_ESR_RECEIVE_ILLEGAL);
	else if (is_taken)
		request(l, msg->vector, msg->is_level);
	pthread_mutex_unlock(&l->lock);
	return is_taken;
}

bool lapic_deliver(struct lapic *l, const struct lapic_msg *msg)
{
	switch ((enum lapic_delivery)msg->mode) {
	case DELIVER_FIXED:
	case DELIVER_LOWEST:
		return deliver_vector(l, msg);
	case DELIVER_NMI:
		l->ops->nmi(l->cpu);
		return true;
	case DELIVER_INIT:
		l->ops->init(l->cpu);
		return true;
	case DELIVER_SIPI:
		l->ops->sipi(l->cpu, msg->vector);
		return true;
	case DELIVER_SMI:
	case DELIVER_EXTINT:
		return true;
	}
	return false;
}

/* ---- the processor's side ---- */

int lapic_pending(struct lapic *l)
{
	return atomic_load_explicit(&l->deliverable, memory_order_acquire);
}

int lapic_accept(struct lapic *l)
{
	int vector;

	pthread_mutex_lock(&l->lock);
	vector = atomic_load_explicit(&l->deliverable, memory_order_relaxed);
	if (vector >= 0) {
		vector_clear(l, LAPIC_IRR, vector);
		vector_set(l, LAPIC_ISR, vector);
		update(l);
	}
	pthread_mutex_unlock(&l->lock);
	return vector;
}

bool lapic_takes_extint(struct lapic *l)
{
	uint32_t lint0;
	bool is_taken;

	pthread_mutex_lock(&l->lock);
	lint0 = *lapic_reg(l, LAPIC_LVT0);
	is_taken = mode_of(l) == LAPIC_DISABLED ||
		   (!(lint0 & LAPIC_LVT_MASKED) && (lint0 >> 8 & 7) == DELIVER_EXTINT);
	pthread_mutex_unlock(&l->lock);
	return is_taken;
}

/* A level-triggered interrupt is always reported: its pin waits for that. */
static void end_of_interrupt(struct lapic *l)
{
	int vector = vector_highest(l, LAPIC_ISR);

	if (vector < 0)
		return;
	vector_clear(l, LAPIC_ISR, vector);
	if (vector_test(l, LAPIC_TMR, vector) || lapic_bus_wants_eoi(l->bus, vector)) {
		l->eoi[vector / 64] |= BIT64(vector % 64);
		atomic_store_explicit(&l->has_eoi, true, memory_order_release);
		l->ops->notify(l->cpu);
	}
	update(l);
}

int lapic_take_eoi(struct lapic *l)
{
	int vector = -1;

	if (!atomic_load_explicit(&l->has_eoi, memory_order_acquire))
		return -1;
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < 4 && vector < 0; i++) {
		if (!l->eoi[i])
			continue;
		vector = i * 64 + __builtin_ctzll(l->eoi[i]);
		l->eoi[i] &= l->eoi[i] - 1;
	}
	if (!(l->eoi[0] | l->eoi[1] | l->eoi[2] | l->eoi[3]))
		atomic_store_explicit(&l->has_eoi, false, memory_order_release);
	pthread_mutex_unlock(&l->lock);
	return vector;
}

/* Only the vCPU's own thread writes the TPR, so it may look without the lock. */
unsigned lapic_cr8(struct lapic *l)
{
	return *lapic_reg(l, LAPIC_TPR) >> 4 & 0xf;
}

void lapic_set_cr8(struct lapic *l, unsigned cr8)
{
	pthread_mutex_lock(&l->lock);
	*lapic_reg(l, LAPIC_TPR) = (cr8 & 0xf) << 4;
	update(l);
	pthread_mutex_unlock(&l->lock);
}

/* ---- register writes ---- */

/* Software disable masks every LVT entry and keeps it so. */
static void write_svr(struct lapic *l, uint32_t value)
{
	*lapic_reg(l, LAPIC_SVR) = value & SVR_MASK;
	if (value & LAPIC_SVR_ENABLE)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(lvt_entries); i++)
		*lapic_reg(l, lvt_entries[i]) |= LAPIC_LVT_MASKED;
}

static uint32_t lvt_value(struct lapic *l, uint32_t value, uint32_t mask)
{
	return (value & mask) | (is_soft_enabled(l) ? 0 : LAPIC_LVT_MASKED);
}

/* Registers written alike in both modes. False when off is none of them. */
static bool write_common(struct lapic *l, unsigned off, uint32_t value)
{
	switch (off) {
	case LAPIC_TPR:
		*lapic_reg(l, off) = value & 0xff;
		update(l);
		return true;
	case LAPIC_EOI:
		end_of_interrupt(l);
		return true;
	case LAPIC_SVR:
		write_svr(l, value);
		return true;
	case LAPIC_ESR:
		*lapic_reg(l, off) = l->errors;
		l->errors = 0;
		return true;
	case LAPIC_LVTT:
		lapic_timer_write_lvt(l, lvt_value(l, value, LVTT_MASK));
		return true;
	case LAPIC_LVTTHMR:
	case LAPIC_LVTPC:
		*lapic_reg(l, off) = lvt_value(l, value, LVT_MASK);
		return true;
	case LAPIC_LVT0:
	case LAPIC_LVT1:
		*lapic_reg(l, off) = lvt_value(l, value, LVT_LINT);
		/* The PIC may be heard from now on: the run loop looks at it anew. */
		l->ops->notify(l->cpu);
		return true;
	case LAPIC_LVTERR:
		*lapic_reg(l, off) = lvt_value(l, value, LVTERR_MASK);
		return true;
	case LAPIC_TMICT:
		lapic_timer_write_initial(l, value);
		return true;
	case LAPIC_TDCR:
		lapic_timer_write_divide(l, value);
		return true;
	default:
		return false;
	}
}

static bool write_xapic(struct lapic *l, unsigned off, uint32_t value)
{
	switch (off) {
	case LAPIC_ID:
	case LAPIC_LDR:
		*lapic_reg(l, off) = value & 0xff000000u;
		publish(l);
		return true;
	case LAPIC_DFR:
		*lapic_reg(l, off) = value | 0x0fffffffu;
		publish(l);
		return true;
	case LAPIC_ICR2:
		*lapic_reg(l, off) = value & 0xff000000u;
		return true;
	default:
		return write_common(l, off, value);
	}
}

/* Called without the lock: the message may come back to this LAPIC. */
static void send_ipi(struct lapic *l, uint32_t icr, uint32_t dest, bool is_x2apic)
{
	unsigned mode = icr >> 8 & 7;

	if ((mode == DELIVER_FIXED || mode == DELIVER_LOWEST) && (icr & 0xff) < VECTOR_MIN) {
		pthread_mutex_lock(&l->lock);
		lapic_error(l, LAPIC_ESR_SEND_ILLEGAL);
		pthread_mutex_unlock(&l->lock);
		return;
	}
	lapic_bus_ipi(l->bus, l, icr, dest, is_x2apic);
}

static uint32_t read_reg(struct lapic *l, unsigned off)
{
	return off == LAPIC_TMCCT ? lapic_timer_current(l) : *lapic_reg(l, off);
}

uint32_t lapic_mmio_read(struct lapic *l, unsigned off)
{
	uint32_t value = 0;

	pthread_mutex_lock(&l->lock);
	if (mode_of(l) != LAPIC_XAPIC)
		value = UINT32_MAX;
	else if (off & 0xf)
		value = 0;
	else if (off < LAPIC_NR_REGS << 4 && (readable_common | readable_xapic) >> (off >> 4) & 1)
		value = read_reg(l, off);
	else
		lapic_error(l, LAPIC_ESR_REGISTER);
	pthread_mutex_unlock(&l->lock);
	return value;
}

void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t value)
{
	uint32_t dest;

	pthread_mutex_lock(&l->lock);
	if (mode_of(l) != LAPIC_XAPIC || (off & 0xf))
		goto out;
	if (off == LAPIC_ICR) {
		*lapic_reg(l, off) = value & ICR_MASK;
		dest = *lapic_reg(l, LAPIC_ICR2) >> 24;
		pthread_mutex_unlock(&l->lock);
		send_ipi(l, value & ICR_MASK, dest, false);
		return;
	}
	if (off >= LAPIC_NR_REGS << 4 || !write_xapic(l, off, value))
		lapic_error(l, LAPIC_ESR_REGISTER);
out:
	pthread_mutex_unlock(&l->lock);
}

/* ---- MSRs ---- */

static bool msr_read_reg(struct lapic *l, unsigned off, uint64_t *value)
{
	if (mode_of(l) != LAPIC_X2APIC || off >= LAPIC_NR_REGS << 4 ||
	    !(readable_common >> (off >> 4) & 1))
		return false;
	*value = read_reg(l, off);
	if (off == LAPIC_ICR)
		*value |= (uint64_t)*lapic_reg(l, LAPIC_ICR2) << 32;
	return true;
}

static bool is_x2apic_msr(uint32_t msr)
{
	return msr >= MSR_IA32_X2APIC_BASE && msr <= MSR_IA32_X2APIC_BASE + 0xff;
}

bool lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value)
{
	bool is_ok = false;

	pthread_mutex_lock(&l->lock);
	if (msr == MSR_IA32_TSC_DEADLINE) {
		*value = l->tsc_deadline;
		is_ok = true;
	} else if (is_x2apic_msr(msr)) {
		is_ok = msr_read_reg(l, (msr - MSR_IA32_X2APIC_BASE) << 4, value);
	}
	pthread_mutex_unlock(&l->lock);
	return is_ok;
}

/* Bits that raise #GP when set, for the registers whose other bits are not simply dropped. */
static uint64_t x2apic_reserved(unsigned off)
{
	switch (off) {
	case LAPIC_EOI:
	case LAPIC_ESR:
		return UINT64_MAX;
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return ~0xffull;
	case LAPIC_ICR:
		return ICR_RESERVED;
	default:
		return 0xffffffff00000000ull;
	}
}

static bool msr_write_icr(struct lapic *l, uint64_t value)
{
	/* A kernel may leave the delivery status bit in what it read; it is read-only. */
	uint32_t icr = (uint32_t)value & ICR_MASK;

	pthread_mutex_lock(&l->lock);
	*lapic_reg(l, LAPIC_ICR) = icr;
	*lapic_reg(l, LAPIC_ICR2) = (uint32_t)(value >> 32);
	pthread_mutex_unlock(&l->lock);
	send_ipi(l, icr, (uint32_t)(value >> 32), true);
	return true;
}

static bool msr_write_reg(struct lapic *l, unsigned off, uint64_t value)
{
	bool is_ok;

	pthread_mutex_lock(&l->lock);
	is_ok = mode_of(l) == LAPIC_X2APIC && !(value & x2apic_reserved(off));
	if (is_ok && off != LAPIC_ICR && off != LAPIC_SELF_IPI)
		is_ok = write_common(l, off, (uint32_t)value);
	pthread_mutex_unlock(&l->lock);
	if (is_ok && off == LAPIC_ICR)
		return msr_write_icr(l, value);
	if (is_ok && off == LAPIC_SELF_IPI)
		send_ipi(l, (uint32_t)value | 1u << 18, 0, true);
	return is_ok;
}

bool lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value)
{
	if (is_x2apic_msr(msr))
		return msr_write_reg(l, (msr - MSR_IA32_X2APIC_BASE) << 4, value);
	if (msr != MSR_IA32_TSC_DEADLINE)
		return false;
	pthread_mutex_lock(&l->lock);
	lapic_timer_write_deadline(l, value);
	pthread_mutex_unlock(&l->lock);
	return true;
}

/* ---- mode, reset, life ---- */

/* Registers after power-on and INIT (SDM vol. 3, 11.4.7.1), the boot CPU's LINT0 wired to the PIC.
 */
static void reset_registers(struct lapic *l)
{
	uint32_t id = *lapic_reg(l, LAPIC_ID);

	memset(l->regs, 0, sizeof(l->regs));
	set_ids(l);
	if (mode_of(l) != LAPIC_X2APIC)
		*lapic_reg(l, LAPIC_ID) = id;
	*lapic_reg(l, LAPIC_VERSION) = VERSION_VALUE;
	*lapic_reg(l, LAPIC_DFR) = UINT32_MAX;
	*lapic_reg(l, LAPIC_SVR) = 0xff;
	for (unsigned i = 0; i < ARRAY_SIZE(lvt_entries); i++)
		*lapic_reg(l, lvt_entries[i]) = LAPIC_LVT_MASKED;
	if (l->is_bsp)
		*lapic_reg(l, LAPIC_LVT0) = DELIVER_EXTINT << 8;
	l->errors = 0;
	memset(l->eoi, 0, sizeof(l->eoi));
	atomic_store_explicit(&l->has_eoi, false, memory_order_release);
	lapic_timer_reset(l);
	publish(l);
	update(l);
}

void lapic_reset(struct lapic *l, bool is_init)
{
	pthread_mutex_lock(&l->lock);
	if (!is_init) {
		l->base = DEFAULT_BASE | LAPIC_BASE_ENABLE | (l->is_bsp ? LAPIC_BASE_BSP : 0);
		*lapic_reg(l, LAPIC_ID) = l->id << 24;
	}
	reset_registers(l);
	pthread_mutex_unlock(&l->lock);
}

uint64_t lapic_base(struct lapic *l)
{
	uint64_t base;

	pthread_mutex_lock(&l->lock);
	base = l->base;
	pthread_mutex_unlock(&l->lock);
	return base;
}

/* The transitions of SDM vol. 3, 11.12.5: x2APIC is entered from xAPIC and left by disabling. */
static bool is_legal_change(uint64_t from, uint64_t to)
{
	bool was_enabled = from & LAPIC_BASE_ENABLE, was_x2apic = from & LAPIC_BASE_X2APIC;
	bool is_enabled = to & LAPIC_BASE_ENABLE, is_x2apic = to & LAPIC_BASE_X2APIC;

	if (was_x2apic && is_enabled && !is_x2apic)
		return false;
	return was_enabled || !is_x2apic;
}

bool lapic_set_base(struct lapic *l, uint64_t value, bool is_host)
{
	const uint64_t known =
		0x000ffffffffff000ull | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC | LAPIC_BASE_BSP;
	enum lapic_mode before;
	bool is_ok;

	if ((value & ~known) || (value & LAPIC_BASE_X2APIC && !(value & LAPIC_BASE_ENABLE)))
		return false;
	pthread_mutex_lock(&l->lock);
	is_ok = is_host || is_legal_change(l->base, value);
	if (is_ok) {
		before = mode_of(l);
		l->base = value;
		if (mode_of(l) == LAPIC_DISABLED && before != LAPIC_DISABLED)
			reset_registers(l);
		if (mode_of(l) != before)
			set_ids(l);
		publish(l);
		update(l);
	}
	pthread_mutex_unlock(&l->lock);
	return is_ok;
}

struct lapic *lapic_new(struct lapic_bus *bus, unsigned id, bool is_bsp,
			const struct lapic_cpu_ops *ops, void *cpu)
{
	struct lapic *l = mem_alloc_zero(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->bus = bus;
	l->ops = ops;
	l->cpu = cpu;
	l->id = id;
	l->is_bsp = is_bsp;
	atomic_init(&l->deliverable, -1);
	lapic_reset(l, false);
	lapic_bus_attach(bus, l);
	return l;
}

void lapic_free(struct lapic *l)
{
	if (!l)
		return;
	lapic_bus_detach(l->bus, l);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- saved state ---- */

void lapic_get_state(struct lapic *l, struct kvm_lapic_state *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_lock(&l->lock);
	*lapic_reg(l, LAPIC_TMCCT) = lapic_timer_current(l);
	for (unsigned i = 0; i < LAPIC_NR_REGS; i++)
		memcpy(s->regs + (i << 4), &l->regs[i], sizeof(l->regs[i]));
	pthread_mutex_unlock(&l->lock);
}

/* Drops what no guest could have written, so that later code can rely on it. */
static void sanitize(struct lapic *l)
{
	*lapic_reg(l, LAPIC_VERSION) = VERSION_VALUE;
	*lapic_reg(l, LAPIC_TPR) &= 0xff;
	*lapic_reg(l, LAPIC_DFR) |= 0x0fffffffu;
	*lapic_reg(l, LAPIC_SVR) &= SVR_MASK;
	*lapic_reg(l, LAPIC_ICR) &= ICR_MASK;
	*lapic_reg(l, LAPIC_LVTT) &= LVTT_MASK;
	*lapic_reg(l, LAPIC_LVTTHMR) &= LVT_MASK;
	*lapic_reg(l, LAPIC_LVTPC) &= LVT_MASK;
	*lapic_reg(l, LAPIC_LVT0) &= LVT_LINT;
	*lapic_reg(l, LAPIC_LVT1) &= LVT_LINT;
	*lapic_reg(l, LAPIC_LVTERR) &= LVTERR_MASK;
	*lapic_reg(l, LAPIC_TDCR) &= 0xb;
	*lapic_reg(l, LAPIC_ISR) &= 0xffff0000u;
	*lapic_reg(l, LAPIC_TMR) &= 0xffff0000u;
	*lapic_reg(l, LAPIC_IRR) &= 0xffff0000u;
}

int lapic_set_state(struct lapic *l, const struct kvm_lapic_state *s)
{
	uint32_t regs[LAPIC_NR_REGS];
	int err = -EINVAL;

	for (unsigned i = 0; i < LAPIC_NR_REGS; i++)
		memcpy(&regs[i], s->regs + (i << 4), sizeof(regs[i]));
	pthread_mutex_lock(&l->lock);
	if (mode_of(l) == LAPIC_X2APIC && regs[LAPIC_ID >> 4] != l->id)
		goto out;
	memcpy(l->regs, regs, sizeof(l->regs));
	sanitize(l);
	if (mode_of(l) == LAPIC_X2APIC)
		set_ids(l);
	lapic_timer_resume(l);
	publish(l);
	/* Whatever is deliverable is news to a CPU whose state was replaced. */
	atomic_store_explicit(&l->deliverable, -1, memory_order_relaxed);
	update(l);
	err = 0;
out:
	pthread_mutex_unlock(&l->lock);
	return err;
}
