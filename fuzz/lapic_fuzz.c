/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four local APICs as hostile guests use them: any register access in either mode, messages, IPIs,
 * hypercall masks, time in jumps, loaded states. Checked: no vector below 16 is ever delivered,
 * what is pending can be accepted, and a deadline is never in the past once its expiry was handled.
 */
#include <string.h>

#include "base/base.h"
#include "engine/soft/lapic.h"
#include "host/loop.h"
#include "x86/regs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NR_CPUS 4

static uint64_t now_ns;

uint64_t host_now_ns(void)
{
	return now_ns;
}

struct fuzz_cpu {
	uint64_t deadline_ns;
};

static void ignore(void *cpu)
{
}

static void ignore_sipi(void *cpu, uint8_t vector)
{
}

static uint64_t tsc(void *cpu)
{
	return now_ns * 3;
}

static void set_deadline(void *cpu, uint64_t host_ns)
{
	((struct fuzz_cpu *)cpu)->deadline_ns = host_ns;
}

static const struct lapic_cpu_ops ops = {
	.notify = ignore,
	.nmi = ignore,
	.init = ignore,
	.sipi = ignore_sipi,
	.tsc = tsc,
	.set_deadline = set_deadline,
};

struct input {
	const uint8_t *data;
	size_t len;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;
	unsigned n = (unsigned)min((size_t)bytes, in->len);

	memcpy(&value, in->data, n);
	in->data += n;
	in->len -= n;
	return value;
}

static void accept(struct lapic *l)
{
	int pending = lapic_pending(l);

	BUG_ON(pending >= 0 && pending < 16);
	BUG_ON(lapic_accept(l) != pending);
}

static void load_state(struct lapic *l, struct input *in)
{
	struct kvm_lapic_state s;

	lapic_get_state(l, &s);
	for (unsigned n = (unsigned)take(in, 1) % 16; n; n--) {
		unsigned at = (unsigned)take(in, 2) % sizeof(s.regs);

		s.regs[at] = (char)take(in, 1);
	}
	lapic_set_state(l, &s);
}

static void pass_time(struct lapic *l, struct fuzz_cpu *cpu, struct input *in)
{
	now_ns += take(in, 5);
	lapic_timer_expired(l);
	BUG_ON(cpu->deadline_ns && cpu->deadline_ns <= now_ns);
}

static void step(struct lapic_bus *bus, struct lapic *l, struct fuzz_cpu *cpu, struct input *in)
{
	uint64_t value;
	uint32_t msr;

	switch (take(in, 1) % 14) {
	case 0 ... 2:
		msr = (uint32_t)take(in, 1) % 0x40;
		lapic_mmio_write(l, msr << 4, (uint32_t)take(in, 4));
		break;
	case 3:
		lapic_mmio_read(l, (unsigned)take(in, 2) & 0xfff);
		break;
	case 4 ... 5:
		msr = MSR_IA32_X2APIC_BASE + (uint32_t)take(in, 1) % 0x40;
		lapic_msr_write(l, msr, take(in, 8));
		break;
	case 6:
		lapic_msr_read(l, MSR_IA32_X2APIC_BASE + (uint32_t)take(in, 1), &value);
		break;
	case 7:
		lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, take(in, 8));
		break;
	case 8:
		lapic_set_base(l, take(in, 8), take(in, 1) & 1);
		break;
	case 9:
		value = take(in, 1) & 1 ? take(in, 8) : 0xfee00000u | take(in, 3) % 0x100000;
		lapic_bus_msi(bus, value, (uint32_t)take(in, 2));
		break;
	case 10:
		accept(l);
		lapic_take_eoi(l);
		lapic_set_cr8(l, (unsigned)take(in, 1));
		BUG_ON(lapic_cr8(l) > 15);
		break;
	case 11:
		pass_time(l, cpu, in);
		break;
	case 12:
		load_state(l, in);
		break;
	default:
		value = take(in, 8);
		lapic_bus_multi_ipi(bus, (uint32_t)take(in, 1), value, (uint32_t)take(in, 2));
		lapic_reset(l, take(in, 1) & 1);
		break;
	}
	BUG_ON(lapic_pending(l) >= 0 && lapic_pending(l) < 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	struct fuzz_cpu cpus[NR_CPUS] = {{0}};
	struct lapic *lapics[NR_CPUS];
	struct lapic_bus *bus = lapic_bus_new(3000000);

	now_ns = NS_PER_SEC;
	for (unsigned i = 0; i < NR_CPUS; i++) {
		lapics[i] = lapic_new(bus, i, i == 0, &ops, &cpus[i]);
		lapic_mmio_write(lapics[i], 0xf0, 0x1ff);
	}
	while (in.len) {
		unsigned i = (unsigned)take(&in, 1) % NR_CPUS;

		step(bus, lapics[i], &cpus[i], &in);
	}
	for (unsigned i = 0; i < NR_CPUS; i++)
		lapic_free(lapics[i]);
	lapic_bus_free(bus);
	return 0;
}
