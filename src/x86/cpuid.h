/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU a guest sees: named, fixed models, so that a guest can move between hosts and engines,
 * never simply what the host has. A model is a table of CPUID leaves; an engine clears what it
 * cannot give; the topology of the VM is written into each vCPU's copy. Pure functions, any thread.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define CPUID_ENTRIES_MAX 96

struct cpuid_table {
	unsigned nr;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/* A CPUID feature bit as one number: an index into feature words (see cpuid.c) times 32 plus bit.
 */
enum cpuid_word {
	CPUID_1_EDX,
	CPUID_1_ECX,
	CPUID_7_EBX,
	CPUID_7_ECX,
	CPUID_7_EDX,
	CPUID_7_2_EDX,
	CPUID_D_1_EAX,
	CPUID_8000_0001_EDX,
	CPUID_8000_0001_ECX,
	CPUID_VENDOR, /* of no register: what the vendor's string in leaf 0 says, for instructions */
	NR_CPUID_WORDS,
};
#define FEATURE(word, bit) ((word)*32 + (bit))
enum cpuid_feature {
	FEAT_NONE = 0, /* FEATURE(CPUID_1_EDX, 0) is the FPU, which every model has */
	FEAT_TSC = FEATURE(CPUID_1_EDX, 4),
	FEAT_MSR = FEATURE(CPUID_1_EDX, 5),
	FEAT_CX8 = FEATURE(CPUID_1_EDX, 8),
	FEAT_SEP = FEATURE(CPUID_1_EDX, 11),
	FEAT_CMOV = FEATURE(CPUID_1_EDX, 15),
	FEAT_CLFLUSH = FEATURE(CPUID_1_EDX, 19),
	FEAT_MMX = FEATURE(CPUID_1_EDX, 23),
	FEAT_FXSR = FEATURE(CPUID_1_EDX, 24),
	FEAT_SSE = FEATURE(CPUID_1_EDX, 25),
	FEAT_SSE2 = FEATURE(CPUID_1_EDX, 26),
	FEAT_SSE3 = FEATURE(CPUID_1_ECX, 0),
	FEAT_PCLMUL = FEATURE(CPUID_1_ECX, 1),
	FEAT_MONITOR = FEATURE(CPUID_1_ECX, 3),
	FEAT_SSSE3 = FEATURE(CPUID_1_ECX, 9),
	FEAT_FMA = FEATURE(CPUID_1_ECX, 12),
	FEAT_CX16 = FEATURE(CPUID_1_ECX, 13),
	FEAT_PCID = FEATURE(CPUID_1_ECX, 17),
	FEAT_SSE41 = FEATURE(CPUID_1_ECX, 19),
	FEAT_SSE42 = FEATURE(CPUID_1_ECX, 20),
	FEAT_X2APIC = FEATURE(CPUID_1_ECX, 21),
	FEAT_MOVBE = FEATURE(CPUID_1_ECX, 22),
	FEAT_POPCNT = FEATURE(CPUID_1_ECX, 23),
	FEAT_TSC_DEADLINE = FEATURE(CPUID_1_ECX, 24),
	FEAT_AES = FEATURE(CPUID_1_ECX, 25),
	FEAT_XSAVE = FEATURE(CPUID_1_ECX, 26),
	FEAT_OSXSAVE = FEATURE(CPUID_1_ECX, 27),
	FEAT_AVX = FEATURE(CPUID_1_ECX, 28),
	FEAT_F16C = FEATURE(CPUID_1_ECX, 29),
	FEAT_RDRAND = FEATURE(CPUID_1_ECX, 30),
	FEAT_HYPERVISOR = FEATURE(CPUID_1_ECX, 31),
	FEAT_FSGSBASE = FEATURE(CPUID_7_EBX, 0),
	FEAT_TSC_ADJUST = FEATURE(CPUID_7_EBX, 1),
	FEAT_BMI1 = FEATURE(CPUID_7_EBX, 3),
	FEAT_AVX2 = FEATURE(CPUID_7_EBX, 5),
	FEAT_SMEP = FEATURE(CPUID_7_EBX, 7),
	FEAT_BMI2 = FEATURE(CPUID_7_EBX, 8),
	FEAT_ERMS = FEATURE(CPUID_7_EBX, 9),
	FEAT_INVPCID = FEATURE(CPUID_7_EBX, 10),
	FEAT_RDSEED = FEATURE(CPUID_7_EBX, 18),
	FEAT_ADX = FEATURE(CPUID_7_EBX, 19),
	FEAT_SMAP = FEATURE(CPUID_7_EBX, 20),
	FEAT_CLFLUSHOPT = FEATURE(CPUID_7_EBX, 23),
	FEAT_CLWB = FEATURE(CPUID_7_EBX, 24),
	FEAT_SHA = FEATURE(CPUID_7_EBX, 29),
	FEAT_UMIP = FEATURE(CPUID_7_ECX, 2),
	FEAT_VAES = FEATURE(CPUID_7_ECX, 9),
	FEAT_VPCLMUL = FEATURE(CPUID_7_ECX, 10),
	FEAT_RDPID = FEATURE(CPUID_7_ECX, 22),
	FEAT_FSRM = FEATURE(CPUID_7_EDX, 4),
	FEAT_SPEC_CTRL = FEATURE(CPUID_7_EDX, 26), /* MSRs SPEC_CTRL and PRED_CMD */
	FEAT_ARCH_CAPABILITIES = FEATURE(CPUID_7_EDX, 29),
	FEAT_BHI_CTRL = FEATURE(CPUID_7_2_EDX, 4), /* SPEC_CTRL.BHI_DIS_S */
	FEAT_XSAVEOPT = FEATURE(CPUID_D_1_EAX, 0),
	FEAT_XSAVEC = FEATURE(CPUID_D_1_EAX, 1),
	FEAT_XGETBV1 = FEATURE(CPUID_D_1_EAX, 2),
	FEAT_XSAVES = FEATURE(CPUID_D_1_EAX, 3),
	FEAT_SYSCALL = FEATURE(CPUID_8000_0001_EDX, 11),
	FEAT_NX = FEATURE(CPUID_8000_0001_EDX, 20),
	FEAT_PDPE1GB = FEATURE(CPUID_8000_0001_EDX, 26),
	FEAT_RDTSCP = FEATURE(CPUID_8000_0001_EDX, 27),
	FEAT_LM = FEATURE(CPUID_8000_0001_EDX, 29),
	FEAT_LAHF = FEATURE(CPUID_8000_0001_ECX, 0),
	FEAT_LZCNT = FEATURE(CPUID_8000_0001_ECX, 5),
	FEAT_PREFETCHW = FEATURE(CPUID_8000_0001_ECX, 8),
	FEAT_AMD = FEATURE(CPUID_VENDOR, 0),	 /* AMD, and Hygon */
	FEAT_NOT_AMD = FEATURE(CPUID_VENDOR, 1), /* all others */
};

/* What a CPUID instruction returns. */
struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

/* sockets * cores * threads = vCPUs; each at least 1. */
struct cpu_topology {
	unsigned sockets, cores, threads;
};

/*
 * Fills table with a named model: "x86-64-v2", "x86-64-v3", "host", or "auto" (v3 where this host
 * has AVX2, BMI2 and FMA, else v2). Includes the hypervisor leaves 0x40000000 and 0x40000001 (KVM's
 * signature, clock sources with the stable bit). The vendor is the host's, because it decides what
 * SYSENTER and SYSCALL do on the silicon. A model claims freedom from speculation bugs
 * (ARCH_CAPABILITIES and its kin): an engine on which that is not so clears the bits.
 * What follows control registers is left to the engine: OSXSAVE is 0, leaf 0xD subleaves 0 and 1
 * give in EBX the size for everything the model has.
 * Returns 0, or -EINVAL: unknown name (err lists the known ones), or a model this host cannot give.
 */
int cpuid_model(const char *name, struct cpuid_table *table, struct error *err);

/* Puts the word of feature bits of one leaf back into a table; absent leaves are not added. */
void cpuid_set_feature_word(struct cpuid_table *table, enum cpuid_word word, uint32_t bits);

/*
 * To be called after clearing bits: clears every feature that needs one that is gone (AVX without
 * XSAVE, AVX2 without AVX, ...) and makes leaf 0xD agree.
 */
void cpuid_settle(struct cpuid_table *table);

/*
 * Writes vCPU number's APIC id and the topology into its table: leaves 1, 4, 0xB and 0x1F, and on
 * AMD 0x80000008, 0x8000001D and 0x8000001E.
 * APIC ids equal the vCPU number when cores and threads are powers of two; otherwise see
 * topology_apic_id().
 */
void cpuid_set_topology(struct cpuid_table *table, const struct cpu_topology *topo, unsigned vcpu);

/* The APIC id of a vCPU: thread, core and socket number in bit fields rounded up to powers of two.
 */
uint32_t topology_apic_id(const struct cpu_topology *topo, unsigned vcpu);

/* The entry for a leaf and subleaf, or NULL. */
struct kvm_cpuid_entry2 *cpuid_find(const struct cpuid_table *table, uint32_t leaf,
				    uint32_t subleaf);

/*
 * As the instruction answers: out-of-range leaves give the highest basic leaf (SDM, CPUID), or
 * zeros on AMD.
 */
struct cpuid_result cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf);

bool cpuid_has(const struct cpuid_table *table, enum cpuid_feature feature);

/* All feature words of a table, for quick tests: words[f / 32] >> (f % 32) & 1. */
void cpuid_feature_words(const struct cpuid_table *table, uint32_t words[NR_CPUID_WORDS]);

#endif
