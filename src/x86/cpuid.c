/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables of CPUID leaves: looking things up, what depends on what, and the topology (Intel SDM
 * vol. 2, CPUID; AMD APM vol. 3, appendix E). The models themselves are in cpuid_model.c.
 */
#include "x86/cpuid.h"

#include <string.h>

#include "base/base.h"

enum cpuid_register { REG_EAX, REG_EBX, REG_ECX, REG_EDX };

/* Where each word of features lives. */
static const struct {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
} feature_words[NR_CPUID_WORDS] = {
	[CPUID_1_EDX] = {1, 0, REG_EDX},
	[CPUID_1_ECX] = {1, 0, REG_ECX},
	[CPUID_7_EBX] = {7, 0, REG_EBX},
	[CPUID_7_ECX] = {7, 0, REG_ECX},
	[CPUID_7_EDX] = {7, 0, REG_EDX},
	[CPUID_7_2_EDX] = {7, 2, REG_EDX},
	[CPUID_D_1_EAX] = {0xd, 1, REG_EAX},
	[CPUID_8000_0001_EDX] = {0x80000001, 0, REG_EDX},
	[CPUID_8000_0001_ECX] = {0x80000001, 0, REG_ECX},
};

struct kvm_cpuid_entry2 *cpuid_find(const struct cpuid_table *table, uint32_t leaf,
				    uint32_t subleaf)
{
	for (unsigned i = 0; i < table->nr; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];
		bool has_index = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (e->function == leaf && (!has_index || e->index == subleaf))
			return (struct kvm_cpuid_entry2 *)e;
	}
	return NULL;
}

static uint32_t *entry_register(struct kvm_cpuid_entry2 *e, enum cpuid_register reg)
{
	switch (reg) {
	case REG_EAX:
		return &e->eax;
	case REG_EBX:
		return &e->ebx;
	case REG_ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

/* AuthenticAMD and HygonGenuine share AMD's leaves and its answer to unknown ones. */
static bool is_amd(const struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(table, 0, 0);

	return e && (!memcmp(&e->ebx, "Auth", 4) || !memcmp(&e->ebx, "Hygo", 4));
}

static uint32_t *word_of(const struct cpuid_table *table, enum cpuid_word word)
{
	struct kvm_cpuid_entry2 *e =
		word == CPUID_VENDOR
			? NULL
			: cpuid_find(table, feature_words[word].leaf, feature_words[word].subleaf);

	return e ? entry_register(e, feature_words[word].reg) : NULL;
}

void cpuid_feature_words(const struct cpuid_table *table, uint32_t words[NR_CPUID_WORDS])
{
	for (unsigned i = 0; i < NR_CPUID_WORDS; i++) {
		const uint32_t *word = word_of(table, i);

		words[i] = word ? *word : 0;
	}
	words[CPUID_VENDOR] = BIT((is_amd(table) ? FEAT_AMD : FEAT_NOT_AMD) % 32);
}

void cpuid_set_feature_word(struct cpuid_table *table, enum cpuid_word word, uint32_t bits)
{
	uint32_t *at = word_of(table, word);

	if (at)
		*at = bits;
}

bool cpuid_has(const struct cpuid_table *table, enum cpuid_feature feature)
{
	uint32_t words[NR_CPUID_WORDS];

	cpuid_feature_words(table, words);
	return words[feature / 32] >> (feature % 32) & 1;
}

/* The highest leaf of the range that leaf is in, 0 when there is no such range. */
static uint32_t range_end(const struct cpuid_table *table, uint32_t leaf)
{
	uint32_t start = leaf & 0x80000000;

	if (leaf >= 0x40000000 && leaf < 0x50000000)
		start = leaf & 0xffffff00;
	const struct kvm_cpuid_entry2 *e = cpuid_find(table, start, 0);
	return e ? e->eax : 0;
}

struct cpuid_result cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	if (leaf > range_end(table, leaf)) {
		if (is_amd(table))
			return (struct cpuid_result){0};
		leaf = range_end(table, 0);
	}

	const struct kvm_cpuid_entry2 *e = cpuid_find(table, leaf, subleaf);
	if (e)
		return (struct cpuid_result){e->eax, e->ebx, e->ecx, e->edx};

	/* Past the last topology level the subleaf and the APIC id are still given. */
	if (leaf == 0xb || leaf == 0x1f) {
		e = cpuid_find(table, leaf, 0);
		if (e)
			return (struct cpuid_result){.ecx = subleaf & 0xff, .edx = e->edx};
	}
	return (struct cpuid_result){0};
}

/* A feature goes when the one it needs is gone. Ordered so that one pass settles everything. */
static const struct {
	uint16_t feature, needs;
} dependencies[] = {
	{FEAT_SSE2, FEAT_SSE},
	{FEAT_SSE3, FEAT_SSE2},
	{FEAT_SSSE3, FEAT_SSE3},
	{FEAT_SSE41, FEAT_SSSE3},
	{FEAT_SSE42, FEAT_SSE41},
	{FEAT_AES, FEAT_SSE2},
	{FEAT_PCLMUL, FEAT_SSE2},
	{FEAT_SHA, FEAT_SSE2},
	{FEAT_AVX, FEAT_XSAVE},
	{FEAT_AVX2, FEAT_AVX},
	{FEAT_FMA, FEAT_AVX},
	{FEAT_F16C, FEAT_AVX},
	{FEAT_VAES, FEAT_AVX2},
	{FEAT_VPCLMUL, FEAT_AVX2},
	{FEAT_XSAVEOPT, FEAT_XSAVE},
	{FEAT_XSAVEC, FEAT_XSAVE},
	{FEAT_XGETBV1, FEAT_XSAVE},
	{FEAT_XSAVES, FEAT_XSAVEC},
	{FEATURE(CPUID_7_ECX, 3), FEAT_XSAVE}, /* PKU */
	{FEATURE(CPUID_7_EBX, 16), FEAT_AVX2}, /* AVX512F */
	{FEAT_INVPCID, FEAT_PCID},
};

/* What only exists on top of AVX512F: the bits of leaf 7's three words. */
#define AVX512_7_EBX 0xdc220000u /* DQ IFMA PF ER CD BW VL */
#define AVX512_7_ECX 0x00005842u /* VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
#define AVX512_7_EDX 0x0080010cu /* 4VNNIW 4FMAPS VP2INTERSECT FP16 */

/* Extended state components this code knows, and the feature that owns each. */
static const struct {
	unsigned component;
	uint16_t feature;
} components[] = {
	{0, FEAT_NONE},
	{1, FEAT_SSE},
	{2, FEAT_AVX},
	{5, FEATURE(CPUID_7_EBX, 16)},
	{6, FEATURE(CPUID_7_EBX, 16)},
	{7, FEATURE(CPUID_7_EBX, 16)},
	{9, FEATURE(CPUID_7_ECX, 3)},
};

static void remove_subleaves(struct cpuid_table *table, uint32_t leaf, uint64_t keep)
{
	unsigned to = 0;

	for (unsigned i = 0; i < table->nr; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function == leaf && (e->index > 63 || !(keep >> e->index & 1)))
			continue;
		table->entries[to++] = *e;
	}
	table->nr = to;
}

/* Leaf 0xD: the components that are left, and the sizes of an area that holds them. */
static void settle_xsave(struct cpuid_table *table)
{
	uint64_t xcr0 = 0;
	uint32_t standard = 512 + 64, compact = 512 + 64;

	if (!cpuid_has(table, FEAT_XSAVE)) {
		remove_subleaves(table, 0xd, 0);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(components); i++) {
		unsigned n = components[i].component;

		if (cpuid_has(table, components[i].feature) && (n < 2 || cpuid_find(table, 0xd, n)))
			xcr0 |= BIT64(n);
	}
	remove_subleaves(table, 0xd, xcr0 | 3);
	for (unsigned n = 2; n < 64; n++) {
		if (!(xcr0 >> n & 1))
			continue;
		const struct kvm_cpuid_entry2 *e = cpuid_find(table, 0xd, n);

		standard = max(standard, e->ebx + e->eax);
		if (e->ecx & 2)
			compact = ALIGN_UP(compact, 64u);
		compact += e->eax;
	}
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0xd, 0);
	if (e) {
		e->eax = (uint32_t)xcr0;
		e->ebx = e->ecx = standard;
		e->edx = (uint32_t)(xcr0 >> 32);
	}
	e = cpuid_find(table, 0xd, 1);
	if (e) {
		bool is_compact = e->eax & (BIT(1) | BIT(3));

		e->ebx = is_compact ? compact : 0;
		e->ecx = e->edx = 0; /* no supervisor components */
	}
}

void cpuid_settle(struct cpuid_table *table)
{
	uint32_t words[NR_CPUID_WORDS];

	cpuid_feature_words(table, words);
	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++) {
		unsigned need = dependencies[i].needs, f = dependencies[i].feature;

		if (!(words[need / 32] >> (need % 32) & 1))
			words[f / 32] &= ~BIT(f % 32);
	}
	if (!(words[CPUID_7_EBX] & BIT(16))) {
		words[CPUID_7_EBX] &= ~AVX512_7_EBX;
		words[CPUID_7_ECX] &= ~AVX512_7_ECX;
		words[CPUID_7_EDX] &= ~AVX512_7_EDX;
	}
	for (unsigned i = 0; i < NR_CPUID_WORDS; i++)
		cpuid_set_feature_word(table, i, words[i]);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 7, 1);
	if (e && !(words[CPUID_7_EBX] & BIT(5)))
		e->eax &= ~(BIT(4) | BIT(23)); /* AVX_VNNI, AVX_IFMA */
	if (e && !(words[CPUID_7_EBX] & BIT(16)))
		e->eax &= ~BIT(5); /* AVX512_BF16 */
	settle_xsave(table);
}

/* Bits needed to tell n things apart. */
static unsigned bits_for(unsigned n)
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

uint32_t topology_apic_id(const struct cpu_topology *topo, unsigned vcpu)
{
	unsigned thread = vcpu % topo->threads;
	unsigned core = vcpu / topo->threads % topo->cores;
	unsigned socket = vcpu / topo->threads / topo->cores;
	unsigned thread_bits = bits_for(topo->threads), core_bits = bits_for(topo->cores);

	return thread | core << thread_bits | socket << (thread_bits + core_bits);
}

/* How many APIC ids a cache of this level spans: L1 and L2 belong to a core, L3 to a socket. */
static uint32_t sharing_span(const struct cpu_topology *topo, unsigned level)
{
	unsigned bits = bits_for(topo->threads);

	if (level > 2)
		bits += bits_for(topo->cores);
	return min(BIT(bits), 4096u);
}

static void set_cache_sharing(struct cpuid_table *table, uint32_t leaf,
			      const struct cpu_topology *topo)
{
	/* Bits 31:26 are reserved in AMD's form of the leaf. */
	uint32_t cores = leaf == 4 ? min(BIT(bits_for(topo->cores)), 64u) : 1;
	struct kvm_cpuid_entry2 *e;

	for (unsigned i = 0; (e = cpuid_find(table, leaf, i)) != NULL; i++) {
		unsigned level = e->eax >> 5 & 7;

		if (!(e->eax & 0x1f))
			continue;
		e->eax = (e->eax & 0x3fff) | (sharing_span(topo, level) - 1) << 14 |
			 (cores - 1) << 26;
	}
}

static void set_levels(struct cpuid_table *table, uint32_t leaf, const struct cpu_topology *topo,
		       uint32_t apic_id)
{
	unsigned thread_bits = bits_for(topo->threads), core_bits = bits_for(topo->cores);
	const struct kvm_cpuid_entry2 levels[] = {
		{.eax = thread_bits, .ebx = topo->threads, .ecx = 1 << 8},
		{.eax = thread_bits + core_bits,
		 .ebx = topo->threads * topo->cores,
		 .ecx = 2 << 8 | 1},
		{.ecx = 2},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		struct kvm_cpuid_entry2 *e = cpuid_find(table, leaf, i);

		if (!e)
			continue;
		e->eax = levels[i].eax;
		e->ebx = levels[i].ebx & 0xffff;
		e->ecx = levels[i].ecx;
		e->edx = apic_id;
	}
}

static void set_amd_topology(struct cpuid_table *table, const struct cpu_topology *topo,
			     unsigned vcpu, uint32_t apic_id)
{
	unsigned per_socket = topo->cores * topo->threads;
	unsigned bits = bits_for(topo->threads) + bits_for(topo->cores);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000008, 0);

	if (e)
		e->ecx = (e->ecx & ~0xf0ffu) | min(per_socket - 1, 255u) | min(bits, 15u) << 12;
	e = cpuid_find(table, 0x8000001e, 0);
	if (!e)
		return;
	e->eax = apic_id;
	e->ebx = (vcpu / topo->threads % topo->cores & 0xff) | (min(topo->threads, 256u) - 1) << 8;
	e->ecx = vcpu / per_socket & 0xff; /* one node per socket */
	e->edx = 0;
}

void cpuid_set_topology(struct cpuid_table *table, const struct cpu_topology *topo, unsigned vcpu)
{
	uint32_t apic_id = topology_apic_id(topo, vcpu);
	uint32_t ids_per_socket = BIT(bits_for(topo->threads) + bits_for(topo->cores));
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 1, 0);

	if (e) {
		e->ebx = (e->ebx & 0xffff) | min(ids_per_socket, 255u) << 16 | apic_id << 24;
		e->edx &= ~BIT(28); /* HTT: more than one logical processor in the package */
		if (ids_per_socket > 1)
			e->edx |= BIT(28);
	}
	set_cache_sharing(table, 4, topo);
	set_cache_sharing(table, 0x8000001d, topo);
	set_levels(table, 0xb, topo, apic_id);
	set_levels(table, 0x1f, topo, apic_id);
	if (is_amd(table))
		set_amd_topology(table, topo, vcpu, apic_id);
}
