/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU model cut down to what KVM supports on this host, and handed to a vCPU. Only feature bits
 * are cut: identity, caches and topology are the model's.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "engine/kvm/kvm_impl.h"

#define ENTRIES_START 128
#define ENTRIES_MAX   4096 /* no processor has near as many; ends the search */

/* What KVM supports, to be freed. */
static struct kvm_cpuid2 *supported_cpuid(int fd, struct error *err)
{
	for (unsigned nr = ENTRIES_START; nr <= ENTRIES_MAX; nr *= 2) {
		struct kvm_cpuid2 *c = mem_alloc_zero(sizeof(*c) + nr * sizeof(c->entries[0]));

		c->nent = nr;
		int ret = kvm_ioctl(fd, KVM_GET_SUPPORTED_CPUID, c);
		if (!ret)
			return c;
		free(c);
		if (ret != -E2BIG) {
			error_set_errno(err, ret, "KVM_GET_SUPPORTED_CPUID");
			return NULL;
		}
	}
	error_set(err, -E2BIG, "KVM_GET_SUPPORTED_CPUID wants more than %u entries", ENTRIES_MAX);
	return NULL;
}

/* Zeroes when KVM does not know the leaf. */
static struct kvm_cpuid_entry2 find(const struct kvm_cpuid2 *c, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == leaf &&
		    (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return *e;
	}
	return (struct kvm_cpuid_entry2){0};
}

/* Which registers of which leaves are feature bits. */
static const struct {
	uint32_t leaf, subleaf;
	bool eax, ebx, ecx, edx;
} feature_leaves[] = {
	{1, 0, .ecx = true, .edx = true},
	{6, 0, .eax = true},
	{7, 0, .ebx = true, .ecx = true, .edx = true},
	{7, 1, .eax = true, .ebx = true, .ecx = true, .edx = true},
	{7, 2, .edx = true},
	{7, 2, .edx = true},
	{0xd, 1, .eax = true},
	{0x40000001, 0, .eax = true},
	{0x80000001, 0, .ecx = true, .edx = true},
	{0x80000007, 0, .edx = true},
	{0x80000008, 0, .ebx = true},
	{0x80000021, 0, .eax = true, .ecx = true},
};

int kvm_filter_cpuid(struct engine *base, struct cpuid_table *table, struct error *err)
{
	struct kvm_engine *e = container_of(base, struct kvm_engine, base);
	struct kvm_cpuid2 *supported = supported_cpuid(e->fd, err);

	if (!supported)
		return -ENODEV;
	for (unsigned i = 0; i < ARRAY_SIZE(feature_leaves); i++) {
		uint32_t leaf = feature_leaves[i].leaf, subleaf = feature_leaves[i].subleaf;
		struct kvm_cpuid_entry2 *mine = cpuid_find(table, leaf, subleaf);
		struct kvm_cpuid_entry2 can = find(supported, leaf, subleaf);

		if (!mine)
			continue;
		if (leaf == 1) {
			/* Told by a capability, and the one bit no hardware has. */
			can.ecx |= BIT(31);
			if (kvm_check(e->fd, KVM_CAP_TSC_DEADLINE_TIMER))
				can.ecx |= BIT(FEAT_TSC_DEADLINE % 32);
		}
		mine->eax &= feature_leaves[i].eax ? can.eax : UINT32_MAX;
		mine->ebx &= feature_leaves[i].ebx ? can.ebx : UINT32_MAX;
		mine->ecx &= feature_leaves[i].ecx ? can.ecx : UINT32_MAX;
		mine->edx &= feature_leaves[i].edx ? can.edx : UINT32_MAX;
	}
	free(supported);
	cpuid_settle(table);
	return 0;
}

int kvm_set_cpuid(int vcpu_fd, const struct cpuid_table *table)
{
	struct kvm_cpuid2 *c = mem_alloc_zero(sizeof(*c) + table->nr * sizeof(c->entries[0]));

	c->nent = table->nr;
	for (unsigned i = 0; i < table->nr; i++)
		c->entries[i] = table->entries[i];
	int ret = kvm_ioctl(vcpu_fd, KVM_SET_CPUID2, c);
	free(c);
	return ret;
}
