/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APICs on a bus of four, with a clock the test moves by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "engine/soft/lapic.h"
#include "host/loop.h"
#include "x86/regs.h"

#define NR_CPUS 4
#define TSC_KHZ 2000000u /* two ticks per ns */

static uint64_t now_ns;

/* Stands in for the host's clock. */
uint64_t host_now_ns(void)
{
	return now_ns;
}

struct fake_cpu {
	_Atomic unsigned nr_notify;
	unsigned nr_nmi, nr_init, nr_sipi;
	uint8_t sipi_vector;
	uint64_t deadline_ns;
};

struct fixture {
	struct lapic_bus *bus;
	struct lapic *lapic[NR_CPUS];
	struct fake_cpu cpu[NR_CPUS];
};

static void fake_notify(void *cpu)
{
	((struct fake_cpu *)cpu)->nr_notify++;
}

static void fake_nmi(void *cpu)
{
	((struct fake_cpu *)cpu)->nr_nmi++;
}

static void fake_init(void *cpu)
{
	((struct fake_cpu *)cpu)->nr_init++;
}

static void fake_sipi(void *cpu, uint8_t vector)
{
	((struct fake_cpu *)cpu)->nr_sipi++;
	((struct fake_cpu *)cpu)->sipi_vector = vector;
}

static uint64_t fake_tsc(void *cpu)
{
	return now_ns * 2;
}

static void fake_set_deadline(void *cpu, uint64_t host_ns)
{
	((struct fake_cpu *)cpu)->deadline_ns = host_ns;
}

static const struct lapic_cpu_ops fake_ops = {
	.notify = fake_notify,
	.nmi = fake_nmi,
	.init = fake_init,
	.sipi = fake_sipi,
	.tsc = fake_tsc,
	.set_deadline = fake_set_deadline,
};

static void w(struct lapic *l, unsigned off, uint32_t value)
{
	lapic_mmio_write(l, off, value);
}

static uint32_t r(struct lapic *l, unsigned off)
{
	return lapic_mmio_read(l, off);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	now_ns = 1000000;
	f.bus = lapic_bus_new(TSC_KHZ);
	for (unsigned i = 0; i < NR_CPUS; i++) {
		f.lapic[i] = lapic_new(f.bus, i, i == 0, &fake_ops, &f.cpu[i]);
		w(f.lapic[i], 0xf0, 0x1ff);
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < NR_CPUS; i++)
		lapic_free(f->lapic[i]);
	lapic_bus_free(f->bus);
	return 0;
}

static void enter_x2apic(struct fixture *f)
{
	for (unsigned i = 0; i < NR_CPUS; i++)
		assert_true(
			lapic_set_base(f->lapic[i], lapic_base(f->lapic[i]) | BIT64(10), false));
}

/* Which CPUs have vector pending: a bit each. All are taken and ended. */
static unsigned taken(struct fixture *f, int vector)
{
	unsigned set = 0;

	for (unsigned i = 0; i < NR_CPUS; i++) {
		bool is_x2apic = lapic_base(f->lapic[i]) >> 10 & 1;

		if (lapic_pending(f->lapic[i]) != vector)
			continue;
		assert_int_equal(lapic_accept(f->lapic[i]), vector);
		if (is_x2apic)
			assert_true(lapic_msr_write(f->lapic[i], 0x80b, 0));
		else
			w(f->lapic[i], 0xb0, 0);
		set |= BIT(i);
	}
	return set;
}

static void reset_values_are_the_manuals(void **state)
{
	struct fixture *f = *state;

	lapic_reset(f->lapic[1], false);

	assert_int_equal(lapic_base(f->lapic[0]), 0xfee00900);
	assert_int_equal(lapic_base(f->lapic[1]), 0xfee00800);
	assert_int_equal(r(f->lapic[1], 0x20), 1u << 24);
	assert_int_equal(r(f->lapic[1], 0x30), 0x50014);
	assert_int_equal(r(f->lapic[1], 0xe0), 0xffffffff);
	assert_int_equal(r(f->lapic[1], 0xf0), 0xff);
	for (unsigned off = 0x320; off <= 0x370; off += 0x10)
		assert_int_equal(r(f->lapic[1], off), 0x10000);
	assert_true(lapic_takes_extint(f->lapic[0]));
	assert_false(lapic_takes_extint(f->lapic[1]));
}

static void priorities_nest_and_eoi_ends_the_highest(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	assert_int_equal(lapic_bus_msi(f->bus, 0xfee00000, 0x41), 0);
	assert_int_equal(f->cpu[0].nr_notify, 1);
	assert_int_equal(lapic_accept(l), 0x41);
	lapic_bus_msi(f->bus, 0xfee00000, 0x4f); /* same class: waits */
	assert_int_equal(lapic_pending(l), -1);
	lapic_bus_msi(f->bus, 0xfee00000, 0x52);
	assert_int_equal(lapic_accept(l), 0x52);
	assert_int_equal(r(l, 0xa0), 0x50);
	w(l, 0xb0, 0);
	assert_int_equal(r(l, 0xa0), 0x40);
	assert_int_equal(lapic_pending(l), -1);
	w(l, 0xb0, 0);
	assert_int_equal(lapic_pending(l), 0x4f);
	assert_int_equal(r(l, 0x220) >> 15 & 1, 1);
}

static void tpr_and_cr8_hold_lower_vectors(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	lapic_set_cr8(l, 4);
	assert_int_equal(r(l, 0x80), 0x40);
	lapic_bus_msi(f->bus, 0xfee00000, 0x4f);
	assert_int_equal(lapic_pending(l), -1);
	w(l, 0x80, 0x35);
	assert_int_equal(lapic_cr8(l), 3);
	assert_int_equal(lapic_pending(l), 0x4f);
	assert_int_equal(f->cpu[0].nr_notify, 1);
}

static void msi_reaches_physical_and_logical_destinations(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < NR_CPUS; i++)
		w(f->lapic[i], 0xd0, BIT(24 + i));

	lapic_bus_msi(f->bus, 0xfee00000 | 2 << 12, 0x30);
	assert_int_equal(taken(f, 0x30), BIT(2));
	lapic_bus_msi(f->bus, 0xfee00000 | 0xff << 12, 0x30);
	assert_int_equal(taken(f, 0x30), 0xf);
	lapic_bus_msi(f->bus, 0xfee00000 | 0xa << 12 | 4, 0x30);
	assert_int_equal(taken(f, 0x30), 0xa);
	assert_int_equal(lapic_bus_msi(f->bus, 0xfee00000 | 9 << 12, 0x30), -EINVAL);
	assert_int_equal(lapic_bus_msi(f->bus, 0xfed00000, 0x30), -EINVAL);

	for (unsigned i = 0; i < NR_CPUS; i++) {
		w(f->lapic[i], 0xe0, 0x0fffffff);
		w(f->lapic[i], 0xd0, (i / 2 + 1) << 28 | BIT(24 + i % 2));
	}
	lapic_bus_msi(f->bus, 0xfee00000 | 0x23 << 12 | 4, 0x30);
	assert_int_equal(taken(f, 0x30), 0xc);
	lapic_bus_msi(f->bus, 0xfee00000 | 0x12 << 12 | 4, 0x30);
	assert_int_equal(taken(f, 0x30), 0x2);
}

static void lowest_priority_picks_one_with_low_ppr(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < NR_CPUS; i++)
		w(f->lapic[i], 0xd0, BIT(24 + i));
	w(f->lapic[0], 0x80, 0x20);
	w(f->lapic[1], 0x80, 0x20);
	w(f->lapic[3], 0x80, 0x20);
	lapic_bus_msi(f->bus, 0xfee00000 | 0xf << 12 | 4, 0x130);
	assert_int_equal(taken(f, 0x30), BIT(2));

	w(f->lapic[2], 0xf0, 0xff); /* disabled by software: never chosen */
	lapic_bus_msi(f->bus, 0xfee00000 | 0xf << 12 | 8 | 4, 0x30);
	assert_int_equal(__builtin_popcount(taken(f, 0x30) & 0xb), 1);
}

static void shorthands_reach_self_all_and_others(void **state)
{
	struct fixture *f = *state;

	w(f->lapic[1], 0x300, 1u << 18 | 0x33);
	assert_int_equal(taken(f, 0x33), 2);
	w(f->lapic[1], 0x300, 2u << 18 | 0x33);
	assert_int_equal(taken(f, 0x33), 0xf);
	w(f->lapic[1], 0x300, 3u << 18 | 0x33);
	assert_int_equal(taken(f, 0x33), 0xd);
	assert_int_equal(r(f->lapic[1], 0x300), 3u << 18 | 0x33);
}

static void init_sipi_and_nmi_reach_the_cpu(void **state)
{
	struct fixture *f = *state;

	w(f->lapic[0], 0x310, 1u << 24);
	w(f->lapic[0], 0x300, 0xc500); /* INIT, level, assert */
	w(f->lapic[0], 0x300, 0x8500); /* INIT, level, de-assert */
	w(f->lapic[0], 0x300, 0x699);
	w(f->lapic[0], 0x300, 0x400);
	assert_int_equal(f->cpu[1].nr_init, 1);
	assert_int_equal(f->cpu[1].nr_sipi, 1);
	assert_int_equal(f->cpu[1].sipi_vector, 0x99);
	assert_int_equal(f->cpu[1].nr_nmi, 1);
	assert_int_equal(f->cpu[0].nr_init + f->cpu[2].nr_init, 0);
}

static void x2apic_mode_follows_the_rules(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[3];
	uint64_t base = lapic_base(l), v;

	assert_false(lapic_msr_read(l, 0x802, &v));
	assert_false(lapic_set_base(l, base | 1, false));
	assert_false(lapic_set_base(l, (base & ~BIT64(11)) | BIT64(10), false));
	assert_true(lapic_set_base(l, base | BIT64(10), false));
	assert_false(lapic_set_base(l, base, false)); /* back to xAPIC only through disabled */
	assert_int_equal(r(l, 0x30), 0xffffffff);
	assert_true(lapic_msr_read(l, 0x802, &v));
	assert_int_equal(v, 3);
	assert_true(lapic_msr_read(l, 0x80d, &v));
	assert_int_equal(v, BIT(3));
	assert_false(lapic_msr_read(l, 0x80b, &v)); /* EOI is write-only */
	assert_false(lapic_msr_read(l, 0x80e, &v)); /* no DFR */
	assert_false(lapic_msr_read(l, 0x831, &v)); /* no ICR2 */
	assert_false(lapic_msr_write(l, 0x802, 3)); /* read-only */
	assert_false(lapic_msr_write(l, 0x80b, 1));
	assert_false(lapic_msr_write(l, 0x808, 0x100));
	assert_false(lapic_msr_write(l, 0x832, 1ull << 32));
	assert_true(lapic_set_base(l, base & ~BIT64(11), false));
	assert_false(lapic_set_base(l, base | BIT64(10), false));
	assert_true(lapic_takes_extint(l));
	assert_true(lapic_set_base(l, base, false));
	assert_int_equal(r(l, 0x20), 3u << 24);
	assert_int_equal(r(l, 0xf0), 0xff);
}

static void x2apic_ipis_use_32_bit_destinations(void **state)
{
	struct fixture *f = *state;
	uint64_t v;

	enter_x2apic(f);
	lapic_msr_write(f->lapic[0], 0x830, 2ull << 32 | 0x34);
	assert_int_equal(taken(f, 0x34), BIT(2));
	lapic_msr_write(f->lapic[0], 0x830, 0xbull << 32 | 0x834);
	assert_int_equal(taken(f, 0x34), 0xb);
	lapic_msr_write(f->lapic[0], 0x830, 0xffffffffull << 32 | 0x34);
	assert_int_equal(taken(f, 0x34), 0xf);
	assert_true(lapic_msr_read(f->lapic[0], 0x830, &v));
	assert_true(v == (0xffffffffull << 32 | 0x34));
	lapic_msr_write(f->lapic[0], 0x830, 0xffull << 32 | 0x34); /* no broadcast here */
	assert_int_equal(taken(f, 0x34), 0);
	lapic_msr_write(f->lapic[2], 0x83f, 0x77);
	assert_int_equal(taken(f, 0x77), BIT(2));
	lapic_bus_msi(f->bus, 0xfee00000 | 0xff << 12, 0x35);
	assert_int_equal(taken(f, 0x35), 0xf);
}

static void one_shot_fires_once_after_count_times_divider(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	w(l, 0x3e0, 0x3); /* divide by 16 */
	w(l, 0x320, 0xec);
	w(l, 0x380, 1000);
	assert_int_equal(f->cpu[0].deadline_ns, now_ns + 16000);
	now_ns += 8000;
	assert_int_equal(r(l, 0x390), 500);
	lapic_timer_expired(l);
	assert_int_equal(lapic_pending(l), -1);
	now_ns += 8000;
	lapic_timer_expired(l);
	assert_int_equal(taken(f, 0xec), 1);
	assert_int_equal(r(l, 0x390), 0);
	assert_int_equal(f->cpu[0].deadline_ns, 0);
	now_ns += 100000;
	lapic_timer_expired(l);
	assert_int_equal(lapic_pending(l), -1);
}

static void periodic_keeps_its_phase_and_merges_missed_ticks(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];
	uint64_t start = now_ns;

	w(l, 0x3e0, 0xb); /* divide by 1 */
	w(l, 0x320, 0x200ec);
	w(l, 0x380, 1000000);
	now_ns = start + 3500000;
	lapic_timer_expired(l);
	assert_int_equal(taken(f, 0xec), 1);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(f->cpu[0].deadline_ns, start + 4000000);
	assert_int_equal(r(l, 0x390), 500000);
	w(l, 0x380, 0);
	assert_int_equal(f->cpu[0].deadline_ns, 0);
}

static void masked_timer_counts_without_interrupt(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	w(l, 0x3e0, 0xb);
	w(l, 0x320, 0x100ec);
	w(l, 0x380, 1000);
	now_ns += 2000;
	lapic_timer_expired(l);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(r(l, 0x390), 0);
}

static void tsc_deadline_fires_at_the_tsc(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];
	uint64_t v;

	lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, 123); /* not in that mode: ignored */
	lapic_msr_read(l, MSR_IA32_TSC_DEADLINE, &v);
	assert_int_equal(v, 0);
	w(l, 0x320, 0x400ec);
	lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, now_ns * 2 + 20000);
	assert_int_equal(f->cpu[0].deadline_ns, now_ns + 10000 + 1);
	now_ns += 9999;
	lapic_timer_expired(l);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(f->cpu[0].deadline_ns, now_ns + 2);
	now_ns += 1;
	lapic_timer_expired(l);
	assert_int_equal(taken(f, 0xec), 1);
	lapic_msr_read(l, MSR_IA32_TSC_DEADLINE, &v);
	assert_int_equal(v, 0);
	lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, 1); /* long past */
	assert_int_equal(taken(f, 0xec), 1);
	lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, UINT64_MAX);
	assert_true(f->cpu[0].deadline_ns > now_ns);
	w(l, 0x320, 0xec); /* leaving the mode disarms */
	assert_int_equal(f->cpu[0].deadline_ns, 0);
}

static void level_interrupts_and_chosen_vectors_report_their_eoi(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];
	uint64_t set[4] = {0, BIT64(0x50 - 0x40), 0, 0};

	lapic_bus_set_eoi_exits(f->bus, set);
	lapic_bus_msi(f->bus, 0xfee00000, 0x50);
	lapic_bus_msi(f->bus, 0xfee00000, 0x8000 | 0x90);
	lapic_bus_msi(f->bus, 0xfee00000, 0xa0);
	for (unsigned i = 0; i < 3; i++) {
		lapic_accept(l);
		w(l, 0xb0, 0);
	}
	assert_int_equal(lapic_take_eoi(l), 0x50);
	assert_int_equal(lapic_take_eoi(l), 0x90);
	assert_int_equal(lapic_take_eoi(l), -1);
}

static void illegal_vectors_show_in_esr(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	w(l, 0x370, 0xfe);
	w(l, 0x300, 1u << 18 | 0x05);
	assert_int_equal(taken(f, 0xfe), 1);
	assert_int_equal(r(l, 0x280), 0);
	w(l, 0x280, 0);
	assert_int_equal(r(l, 0x280), 0x20);
	lapic_bus_msi(f->bus, 0xfee00000, 0x0f);
	w(l, 0x280, 0);
	assert_int_equal(r(l, 0x280), 0x40);
	w(l, 0x280, 0);
	assert_int_equal(r(l, 0x280), 0);
	r(l, 0x40);
	w(l, 0x280, 0);
	assert_int_equal(r(l, 0x280), 0x80);
	w(l, 0x370, 0x01); /* an error interrupt with an illegal vector must not recurse */
	r(l, 0x40);
}

static void software_disable_masks_the_lvt(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	w(l, 0x350, 0x700);
	assert_true(lapic_takes_extint(l));
	w(l, 0xf0, 0xff);
	assert_false(lapic_takes_extint(l));
	w(l, 0x350, 0x700);
	assert_int_equal(r(l, 0x350), 0x10700);
	assert_int_equal(lapic_bus_msi(f->bus, 0xfee00000, 0x40), -EINVAL);
}

static void saved_state_continues_on_another_lapic(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];
	struct kvm_lapic_state a, b;

	w(l, 0x3e0, 0xb);
	w(l, 0x320, 0x200ec);
	w(l, 0x380, 1000000);
	w(l, 0x80, 0x20);
	lapic_bus_msi(f->bus, 0xfee00000, 0x60);
	lapic_accept(l);
	lapic_bus_msi(f->bus, 0xfee00000, 0x71);
	now_ns += 400000;
	lapic_get_state(l, &a);
	lapic_reset(l, false);
	assert_int_equal(lapic_pending(l), -1);
	now_ns += 5000000;
	assert_int_equal(lapic_set_state(l, &a), 0);
	lapic_get_state(l, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(lapic_pending(l), 0x71);
	assert_int_equal(f->cpu[0].deadline_ns, now_ns + 600000);
	assert_int_equal(r(l, 0xa0), 0x60);

	enter_x2apic(f);
	lapic_get_state(f->lapic[1], &a);
	assert_int_equal(lapic_set_state(f->lapic[2], &a), -EINVAL);
	assert_int_equal(lapic_set_state(f->lapic[1], &a), 0);
}

static void init_keeps_id_and_base(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[2];

	w(l, 0x20, 9u << 24);
	w(l, 0x80, 0x55);
	assert_true(lapic_set_base(l, 0xd0000800, false));
	lapic_reset(l, true);
	assert_int_equal(lapic_base(l), 0xd0000800);
	assert_int_equal(r(l, 0x20), 9u << 24);
	assert_int_equal(r(l, 0x80), 0);
	w(l, 0xf0, 0x1ff);
	lapic_bus_msi(f->bus, 0xfee00000 | 9 << 12, 0x30);
	assert_int_equal(taken(f, 0x30), BIT(2));
}

static void multi_target_ipi_reaches_the_ids_of_its_mask(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(lapic_bus_multi_ipi(f->bus, 0, 0x5, 0x61), 2);
	assert_int_equal(taken(f, 0x61), 0x5);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, 2, 0x3, 0x61), 2);
	assert_int_equal(taken(f, 0x61), 0xc);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, 1, UINT64_MAX, 0x400), 3);
	assert_int_equal(f->cpu[1].nr_nmi + f->cpu[2].nr_nmi + f->cpu[3].nr_nmi, 3);
	assert_int_equal(f->cpu[0].nr_nmi, 0);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, UINT32_MAX, UINT32_MAX, 0), 0);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, 100, UINT64_MAX, 0x61), 0);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, 0, 1, 0x80061), -EINVAL);
	assert_int_equal(lapic_bus_multi_ipi(f->bus, 0, 1, 0x661), -EINVAL);
}

static void tsc_change_moves_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];

	w(l, 0x320, 0x400ec);
	lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, now_ns * 2 + 20000);
	now_ns += 5000; /* as if the TSC had been written: same deadline, other distance */
	lapic_tsc_changed(l);
	assert_int_equal(f->cpu[0].deadline_ns, now_ns + 5000 + 1);
}

#define NR_ROUNDS 20000u

struct sender {
	pthread_t thread;
	struct lapic_bus *bus;
	uint8_t vector;
	_Atomic unsigned nr_taken;
	bool is_level;
};

/* Sends the next message only when the last one was taken, so that none may merge. */
static void *send_all(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		lapic_bus_msi(s->bus, 0xfee00000, s->vector | (s->is_level ? 0x8000 : 0));
		while (atomic_load_explicit(&s->nr_taken, memory_order_acquire) <= i)
			sched_yield();
	}
	return NULL;
}

static void concurrent_messages_are_neither_lost_nor_doubled(void **state)
{
	struct fixture *f = *state;
	struct lapic *l = f->lapic[0];
	struct sender senders[3] = {0};
	unsigned nr_eois = 0;

	for (unsigned i = 0; i < 3; i++) {
		senders[i].bus = f->bus;
		senders[i].vector = 0x31 + 0x20 * i;
		senders[i].is_level = i == 2;
		assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]),
				 0);
	}
	for (unsigned taken = 0; taken < 3 * NR_ROUNDS;) {
		struct sender *s;
		int vector = lapic_accept(l);

		if (vector < 0) {
			sched_yield();
			continue;
		}
		s = &senders[(vector - 0x31) / 0x20];
		w(l, 0xb0, 0);
		if (lapic_take_eoi(l) == senders[2].vector)
			nr_eois++;
		atomic_fetch_add_explicit(&s->nr_taken, 1, memory_order_release);
		taken++;
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(atomic_load(&senders[i].nr_taken), NR_ROUNDS);
	}
	assert_int_equal(nr_eois, NR_ROUNDS);
	assert_int_equal(lapic_pending(l), -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_values_are_the_manuals),
		T(priorities_nest_and_eoi_ends_the_highest),
		T(tpr_and_cr8_hold_lower_vectors),
		T(msi_reaches_physical_and_logical_destinations),
		T(lowest_priority_picks_one_with_low_ppr),
		T(shorthands_reach_self_all_and_others),
		T(init_sipi_and_nmi_reach_the_cpu),
		T(x2apic_mode_follows_the_rules),
		T(x2apic_ipis_use_32_bit_destinations),
		T(one_shot_fires_once_after_count_times_divider),
		T(periodic_keeps_its_phase_and_merges_missed_ticks),
		T(masked_timer_counts_without_interrupt),
		T(tsc_deadline_fires_at_the_tsc),
		T(level_interrupts_and_chosen_vectors_report_their_eoi),
		T(illegal_vectors_show_in_esr),
		T(software_disable_masks_the_lvt),
		T(saved_state_continues_on_another_lapic),
		T(init_keeps_id_and_base),
		T(multi_target_ipi_reaches_the_ids_of_its_mask),
		T(tsc_change_moves_the_deadline),
		T(concurrent_messages_are_neither_lost_nor_doubled),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
