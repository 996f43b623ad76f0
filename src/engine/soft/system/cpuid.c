/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID as a vCPU answers it (SDM vol. 2, CPUID): the model's table with the few bits that follow
 * the state of the CPU. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/lapic.h"

#define CPUID_1_EDX_APIC    BIT(9)
#define CPUID_1_ECX_OSXSAVE BIT(27)
#define APICBASE_ENABLE	    BIT(11)
#define XSAVE_LEGACY_SIZE   576 /* legacy region and header */
#define XSAVE_AVX_SIZE	    256

bool cpu_is_amd(const struct cpu *c)
{
	return cpu_has(c, FEAT_AMD);
}

unsigned cpu_phys_bits(const struct cpu *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(&c->cpuid, 0x80000008, 0);
	unsigned bits = e ? e->eax & 0xff : 36;

	/* A table made by hand may hold anything; page tables have room for 52 bits. */
	return min(max(bits, 32u), 52u);
}

/* Bytes XSAVE needs for the components enabled now: AVX follows the header in both formats. */
static uint32_t xsave_size(const struct cpu *c)
{
	return XSAVE_LEGACY_SIZE + (c->xcr0 & XCR0_AVX ? XSAVE_AVX_SIZE : 0);
}

struct cpuid_result cpu_cpuid(struct cpu *c, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r = cpuid_lookup(&c->cpuid, leaf, subleaf);

	if (leaf == 1) {
		r.ecx &= ~CPUID_1_ECX_OSXSAVE;
		if (c->cr4 & CR4_OSXSAVE)
			r.ecx |= CPUID_1_ECX_OSXSAVE;
		if (!(lapic_base(c->lapic) & APICBASE_ENABLE))
			r.edx &= ~CPUID_1_EDX_APIC;
	} else if (leaf == 0xd && subleaf == 0 && r.eax) {
		r.ebx = xsave_size(c);
	} else if (leaf == 0xd && subleaf == 1 && r.eax & (BIT(1) | BIT(3))) {
		r.ebx = xsave_size(c);
	}
	return r;
}
