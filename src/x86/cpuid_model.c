/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The named CPU models. x86-64-v2 and v3 are the psABI's levels plus what a kernel wants (FSGSBASE,
 * SMEP, SMAP, UMIP, PCID, x2APIC, the TSC deadline timer) plus the user-mode extensions the host
 * has of a short list (AES, SHA, ...). "host" takes every feature of the host that a guest can
 * have. Left out: performance counters, MONITOR, nested virtualisation, AMX, MPX, SGX.
 */
#include "x86/cpuid.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum level { LEVEL_V2 = 2, LEVEL_V3 = 3, LEVEL_HOST };
enum vendor { VENDOR_INTEL, VENDOR_AMD, VENDOR_OTHER };

#define F(feature) BIT((feature) % 32)

/* Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX
 * FXSR SSE SSE2 SS. */
#define BASE_1_EDX 0x0f8bfbffu

#define BASE_1_ECX                                                                                \
	(F(FEAT_SSE3) | F(FEAT_SSSE3) | F(FEAT_CX16) | F(FEAT_PCID) | F(FEAT_SSE41) |             \
	 F(FEAT_SSE42) | F(FEAT_X2APIC) | F(FEAT_POPCNT) | F(FEAT_TSC_DEADLINE) | F(FEAT_XSAVE) | \
	 F(FEAT_HYPERVISOR))
#define BASE_7_EBX                                                                               \
	(F(FEAT_FSGSBASE) | F(FEAT_TSC_ADJUST) | F(FEAT_SMEP) | F(FEAT_ERMS) | F(FEAT_INVPCID) | \
	 F(FEAT_SMAP))
#define BASE_7_ECX F(FEAT_UMIP)
/* Leaf 7 EDX bits of speculation control: MD_CLEAR, SPEC_CTRL, STIBP, L1D_FLUSH, ARCH_CAP, SSBD. */
#define SPECULATION_7_EDX \
	(BIT(10) | F(FEAT_SPEC_CTRL) | BIT(27) | BIT(28) | F(FEAT_ARCH_CAPABILITIES) | BIT(31))
#define BASE_7_EDX   (F(FEAT_FSRM) | SPECULATION_7_EDX)
#define BASE_D_1_EAX (F(FEAT_XSAVEOPT) | F(FEAT_XSAVEC) | F(FEAT_XGETBV1))
#define BASE_8000_0001_EDX \
	(F(FEAT_SYSCALL) | F(FEAT_NX) | F(FEAT_PDPE1GB) | F(FEAT_RDTSCP) | F(FEAT_LM))
#define BASE_8000_0001_ECX (F(FEAT_LAHF) | F(FEAT_PREFETCHW))

static const uint32_t base_words[NR_CPUID_WORDS] = {
	[CPUID_1_EDX] = BASE_1_EDX,
	[CPUID_1_ECX] = BASE_1_ECX,
	[CPUID_7_EBX] = BASE_7_EBX,
	[CPUID_7_ECX] = BASE_7_ECX,
	[CPUID_7_EDX] = BASE_7_EDX,
	[CPUID_7_2_EDX] = F(FEAT_BHI_CTRL) | BIT(5), /* and MCDT_NO */
	[CPUID_D_1_EAX] = BASE_D_1_EAX,
	[CPUID_8000_0001_EDX] = BASE_8000_0001_EDX,
	[CPUID_8000_0001_ECX] = BASE_8000_0001_ECX,
};

static const uint32_t v3_words[NR_CPUID_WORDS] = {
	[CPUID_1_ECX] = F(FEAT_AVX) | F(FEAT_F16C) | F(FEAT_FMA) | F(FEAT_MOVBE),
	[CPUID_7_EBX] = F(FEAT_AVX2) | F(FEAT_BMI1) | F(FEAT_BMI2),
	[CPUID_8000_0001_ECX] = F(FEAT_LZCNT),
};

/*
 * User-mode extensions given by v2 and v3 where the host has them, and, in leaf 7 EBX, two bits
 * that tell how the host's FPU records its last instruction: FDP_EXCPTN_ONLY and no FPU CS and DS.
 */
static const uint32_t optional_words[NR_CPUID_WORDS] = {
	[CPUID_1_ECX] = F(FEAT_AES) | F(FEAT_PCLMUL) | F(FEAT_RDRAND),
	[CPUID_7_EBX] = BIT(6) | BIT(13) | F(FEAT_RDSEED) | F(FEAT_ADX) | F(FEAT_CLFLUSHOPT) |
			F(FEAT_CLWB) | F(FEAT_SHA),
};

/* What "host" leaves out: parts of the silicon that a guest is not given. */
static const uint32_t never_words[NR_CPUID_WORDS] = {
	/* DS, ACPI, TM, PBE */
	[CPUID_1_EDX] = BIT(21) | BIT(22) | BIT(29) | BIT(31),
	/* DTES64 MONITOR DS-CPL VMX SMX EST TM2 CNXT-ID SDBG xTPR PDCM DCA OSXSAVE */
	[CPUID_1_ECX] = BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10) |
			BIT(11) | BIT(14) | BIT(15) | BIT(18) | BIT(27),
	/* SGX HLE RDT-M MPX RDT-A PT RTM */
	[CPUID_7_EBX] = BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25),
	/* OSPKE WAITPKG CET_SS KL MAWAU ENQCMD SGX_LC PKS TME BUS_LOCK */
	[CPUID_7_ECX] = BIT(4) | BIT(5) | BIT(7) | BIT(13) | BIT(23) | 0x1fu << 17 | BIT(24) |
			BIT(29) | BIT(30) | BIT(31),
	/* UINTR, SRBDS_CTRL, RTM_ALWAYS_ABORT, TSX_FORCE_ABORT, HYBRID, PCONFIG, ARCH_LBR, CET_IBT,
	 * AMX, CORE_CAP */
	[CPUID_7_EDX] = BIT(5) | BIT(9) | BIT(11) | BIT(13) | BIT(15) | BIT(18) | BIT(19) |
			BIT(20) | BIT(22) | BIT(24) | BIT(25) | BIT(30),
	[CPUID_D_1_EAX] = BIT(3) | BIT(4), /* XSAVES, XFD */
	/* SVM IBS SKINIT WDT LWP NODEID PERFCTR BPEXT PTSC PERFCTR_LLC
	 * MWAITX */
	[CPUID_8000_0001_ECX] = BIT(2) | BIT(9) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(19) |
				BIT(23) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29),
};

static enum vendor host_vendor(struct cpuid_result *leaf0)
{
	__cpuid(0, leaf0->eax, leaf0->ebx, leaf0->ecx, leaf0->edx);
	if (!memcmp(&leaf0->ebx, "Genu", 4))
		return VENDOR_INTEL;
	if (!memcmp(&leaf0->ebx, "Auth", 4) || !memcmp(&leaf0->ebx, "Hygo", 4))
		return VENDOR_AMD;
	return VENDOR_OTHER;
}

/* The host's leaf, or zeros when its range does not reach that far. */
static struct cpuid_result host_leaf(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r = {0};

	if (__get_cpuid_max(leaf & 0x80000000, NULL) >= leaf)
		__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

static void host_words(uint32_t words[NR_CPUID_WORDS])
{
	struct cpuid_result l1 = host_leaf(1, 0), l7 = host_leaf(7, 0), ld = host_leaf(0xd, 1),
			    l72 = host_leaf(7, 2), e1 = host_leaf(0x80000001, 0);

	words[CPUID_1_EDX] = l1.edx;
	words[CPUID_1_ECX] = l1.ecx;
	words[CPUID_7_EBX] = l7.ebx;
	words[CPUID_7_ECX] = l7.ecx;
	words[CPUID_7_EDX] = l7.edx;
	words[CPUID_7_2_EDX] = l72.edx & 0x3f; /* PSFD to MCDT_NO */
	words[CPUID_D_1_EAX] = ld.eax;
	words[CPUID_8000_0001_EDX] = e1.edx;
	words[CPUID_8000_0001_ECX] = e1.ecx;
}

static bool host_is_v3(const uint32_t host[NR_CPUID_WORDS])
{
	for (unsigned i = 0; i < NR_CPUID_WORDS; i++)
		if (v3_words[i] & ~host[i])
			return false;
	return true;
}

static struct kvm_cpuid_entry2 *add(struct cpuid_table *t, uint32_t leaf, struct cpuid_result r)
{
	BUG_ON(t->nr >= CPUID_ENTRIES_MAX);
	struct kvm_cpuid_entry2 *e = &t->entries[t->nr++];

	*e = (struct kvm_cpuid_entry2){
		.function = leaf, .eax = r.eax, .ebx = r.ebx, .ecx = r.ecx, .edx = r.edx};
	return e;
}

static void add_sub(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, struct cpuid_result r)
{
	struct kvm_cpuid_entry2 *e = add(t, leaf, r);

	e->index = subleaf;
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

/*
 * Family, model and stepping in the form of leaf 1 EAX: a Sapphire Rapids and a Zen 3. Kernels
 * have no errata for the first and none that matter in a guest for the second; both kinds of part
 * have every feature of both levels.
 */
static uint32_t signature(enum level level, enum vendor vendor)
{
	if (level == LEVEL_HOST || vendor == VENDOR_OTHER)
		return host_leaf(1, 0).eax;
	return vendor == VENDOR_INTEL ? 0x000806f8 : 0x00a00f11;
}

/* The caches every model claims: 32 KiB L1, 1 MiB L2, 16 MiB L3, lines of 64 bytes. */
static void add_caches(struct cpuid_table *t, uint32_t leaf)
{
	static const struct {
		uint8_t type, level; /* type 1 data, 2 instruction, 3 both */
		uint16_t ways;
		uint32_t sets;
	} caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 16384}};

	for (unsigned i = 0; i < ARRAY_SIZE(caches); i++) {
		const struct cpuid_result r = {
			.eax = caches[i].type | (uint32_t)caches[i].level << 5 | BIT(8),
			.ebx = (caches[i].ways - 1u) << 22 | (64 - 1),
			.ecx = caches[i].sets - 1,
		};
		add_sub(t, leaf, i, r);
	}
	add_sub(t, leaf, ARRAY_SIZE(caches), (struct cpuid_result){0});
}

static void add_xsave(struct cpuid_table *t, enum level level, const uint32_t words[])
{
	add_sub(t, 0xd, 0, (struct cpuid_result){0}); /* filled by cpuid_settle() */
	add_sub(t, 0xd, 1, (struct cpuid_result){.eax = words[CPUID_D_1_EAX]});
	add_sub(t, 0xd, 2, (struct cpuid_result){.eax = 256, .ebx = 576}); /* upper halves of YMM */
	if (level != LEVEL_HOST)
		return;
	static const uint8_t more[] = {5, 6, 7, 9}; /* AVX-512, protection keys */
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		struct cpuid_result r = host_leaf(0xd, more[i]);

		if (r.eax && !(r.ecx & 1))
			add_sub(t, 0xd, more[i], r);
	}
}

static void add_basic(struct cpuid_table *t, enum level level, enum vendor vendor,
		      struct cpuid_result leaf0, const uint32_t words[])
{
	leaf0.eax = 0x1f;
	add(t, 0, leaf0);
	add(t, 1,
	    (struct cpuid_result){.eax = signature(level, vendor),
				  .ebx = 64 / 8 << 8, /* CLFLUSH line */
				  .ecx = words[CPUID_1_ECX],
				  .edx = words[CPUID_1_EDX]});
	if (vendor != VENDOR_AMD) {
		/* "See leaf 4", "see leaf 0x18", prefetch of 64 bytes. */
		add(t, 2, (struct cpuid_result){.eax = 0x00feff01, .ebx = 0xf0});
		add_caches(t, 4);
	}
	add(t, 6, (struct cpuid_result){.eax = BIT(2)}); /* the APIC timer never stops */
	add_sub(t, 7, 0,
		(struct cpuid_result){.eax = 2, /* subleaves */
				      .ebx = words[CPUID_7_EBX],
				      .ecx = words[CPUID_7_ECX],
				      .edx = words[CPUID_7_EDX]});
	/* AVX_VNNI, AVX512_BF16, FZRM, FSRS, FSRC, AVX_IFMA */
	uint32_t more = level == LEVEL_HOST ? host_leaf(7, 1).eax & 0x00801c30 : 0;
	add_sub(t, 7, 1, (struct cpuid_result){.eax = more});
	add_sub(t, 7, 2, (struct cpuid_result){.edx = words[CPUID_7_2_EDX]});
	for (unsigned i = 0; i < 3; i++)
		add_sub(t, 0xb, i, (struct cpuid_result){0});
	add_xsave(t, level, words);
	for (unsigned i = 0; i < 3; i++)
		add_sub(t, 0x1f, i, (struct cpuid_result){0});
}

static void add_hypervisor(struct cpuid_table *t)
{
	struct cpuid_result r = {.eax = 0x40000001};

	memcpy(&r.ebx, "KVMK", 4);
	memcpy(&r.ecx, "VMKV", 4);
	memcpy(&r.edx, "M\0\0\0", 4);
	add(t, 0x40000000, r);
	/* CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, PV_SEND_IPI, CLOCKSOURCE_STABLE */
	add(t, 0x40000001,
	    (struct cpuid_result){.eax = BIT(0) | BIT(1) | BIT(3) | BIT(11) | BIT(24)});
}

static void add_brand(struct cpuid_table *t, enum level level)
{
	uint32_t brand[12] = {0};

	if (level == LEVEL_HOST) {
		for (uint32_t i = 0; i < 3; i++) {
			struct cpuid_result r = host_leaf(0x80000002 + i, 0);

			memcpy(&brand[i * 4], &r, sizeof(r));
		}
	} else {
		snprintf((char *)brand, sizeof(brand), "bantam x86-64-v%u", (unsigned)level);
	}
	for (uint32_t i = 0; i < 3; i++) {
		const uint32_t *b = &brand[i * 4];

		add(t, 0x80000002 + i, (struct cpuid_result){b[0], b[1], b[2], b[3]});
	}
}

/* Physical and linear address bits: 46 and 48, or what a smaller host has. */
static uint32_t address_sizes(enum level level)
{
	uint32_t host = host_leaf(0x80000008, 0).eax;
	uint32_t physical = host & 0xff ? host & 0xff : 36;

	return level == LEVEL_HOST ? host & 0xffff : min(physical, 46u) | 48 << 8;
}

static void add_amd(struct cpuid_table *t)
{

	add_caches(t, 0x8000001d);
	add(t, 0x8000001e, (struct cpuid_result){0});
	/* LFENCE serialises, null selectors clear the base, SRSO_NO; TSA_SQ_NO, TSA_L1_NO. */
	add(t, 0x80000021,
	    (struct cpuid_result){.eax = BIT(2) | BIT(6) | BIT(29), .ecx = BIT(1) | BIT(2)});
}

static void add_extended(struct cpuid_table *t, enum level level, enum vendor vendor,
			 struct cpuid_result leaf0, const uint32_t words[])
{
	bool is_amd = vendor == VENDOR_AMD;
	struct cpuid_result ids = {.ecx = words[CPUID_8000_0001_ECX],
				   .edx = words[CPUID_8000_0001_EDX]};

	if (is_amd) {
		ids.eax = signature(level, vendor);
		ids.ecx |= BIT(22); /* TOPOEXT: leaves 0x8000001D and 0x8000001E */
		ids.edx |= words[CPUID_1_EDX] & 0x0183f3ff; /* repeated there */
	}
	add(t, 0x80000000,
	    (struct cpuid_result){is_amd ? 0x80000021 : 0x80000008, is_amd ? leaf0.ebx : 0,
				  is_amd ? leaf0.ecx : 0, is_amd ? leaf0.edx : 0});
	add(t, 0x80000001, ids);
	add_brand(t, level);
	if (is_amd) /* L1: 32 KiB, 8 ways, 1 line per tag, 64 bytes */
		add(t, 0x80000005, (struct cpuid_result){.ecx = 0x20080140, .edx = 0x20080140});
	/* L2: 1 MiB, 16 ways; L3: 16 MiB (units of 512 KiB), 16 ways */
	add(t, 0x80000006,
	    (struct cpuid_result){.ecx = 1024u << 16 | 8 << 12 | 64,
				  .edx = is_amd ? 32u << 18 | 8 << 12 | 1 << 8 | 64 : 0});
	add(t, 0x80000007, (struct cpuid_result){.edx = BIT(8)}); /* invariant TSC */
	/* AMD's own bits: IBPB IBRS STIBP SSBD SSB_NO BTC_NO */
	uint32_t speculation = BIT(12) | BIT(14) | BIT(15) | BIT(24) | BIT(26) | BIT(29);
	add(t, 0x80000008,
	    (struct cpuid_result){.eax = address_sizes(level), .ebx = is_amd ? speculation : 0});
	if (is_amd)
		add_amd(t);
}

static void model_words(enum level level, const uint32_t host[], uint32_t words[NR_CPUID_WORDS])
{
	for (unsigned i = 0; i < NR_CPUID_WORDS; i++) {
		words[i] = base_words[i] | (optional_words[i] & host[i]);
		if (level >= LEVEL_V3)
			words[i] |= v3_words[i] & host[i];
		if (level == LEVEL_HOST && i != CPUID_8000_0001_EDX)
			words[i] |= host[i] & ~never_words[i];
	}
}

static int level_of(const char *name, const uint32_t host[], struct error *err)
{
	if (!strcmp(name, "auto"))
		return host_is_v3(host) ? LEVEL_V3 : LEVEL_V2;
	if (!strcmp(name, "host"))
		return LEVEL_HOST;
	if (!strcmp(name, "x86-64-v2"))
		return LEVEL_V2;
	if (strcmp(name, "x86-64-v3"))
		return error_set(err, -EINVAL,
				 "unknown CPU model '%s' (known: auto, host, x86-64-v2, x86-64-v3)",
				 name);
	if (!host_is_v3(host))
		return error_set(err, -EINVAL,
				 "CPU model x86-64-v3 needs a host with AVX2, BMI2 and FMA");
	return LEVEL_V3;
}

int cpuid_model(const char *name, struct cpuid_table *table, struct error *err)
{
	uint32_t host[NR_CPUID_WORDS], words[NR_CPUID_WORDS];
	struct cpuid_result leaf0;
	enum vendor vendor = host_vendor(&leaf0);

	host_words(host);
	int level = level_of(name, host, err);
	if (level < 0)
		return level;
	model_words((enum level)level, host, words);
	*table = (struct cpuid_table){0};
	add_basic(table, (enum level)level, vendor, leaf0, words);
	add_hypervisor(table);
	add_extended(table, (enum level)level, vendor, leaf0, words);
	cpuid_settle(table);
	return 0;
}
