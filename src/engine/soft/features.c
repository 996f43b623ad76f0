/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which CPUID features the software engine gives: those of instructions it can execute, as the
 * instruction table says and the host allows, and a list of those that are no instructions.
 */
#include "engine/soft/exec.h"
#include "engine/soft/fpu.h"
#include "engine/soft/vcpu.h"

/* Bits that stand for no row of the table but for behaviour that is there. */
static const struct {
	enum cpuid_word word;
	uint32_t bits;
} behaviour[] = {
	/* FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 MMX FXSR SSE SSE2
	   HT */
	{CPUID_1_EDX, BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) |
			      BIT(8) | BIT(9) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) |
			      BIT(16) | BIT(17) | BIT(28)},
	/* PCID, x2APIC, TSC deadline, XSAVE, hypervisor */
	{CPUID_1_ECX, BIT(17) | BIT(21) | BIT(24) | BIT(31)},
	/* TSC_ADJUST, FDP_EXCPTN_ONLY, SMEP, ERMS, zero FCS and FDS, SMAP */
	{CPUID_7_EBX, BIT(1) | BIT(6) | BIT(7) | BIT(9) | BIT(13) | BIT(20)},
	/* UMIP */
	{CPUID_7_ECX, BIT(2)},
	/* FSRM, MD_CLEAR, IBRS and IBPB, STIBP, L1D flush, ARCH_CAPABILITIES, SSBD */
	{CPUID_7_EDX, BIT(4) | BIT(10) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31)},
	/* BHI_CTRL, MCDT_NO */
	{CPUID_7_2_EDX, BIT(4) | BIT(5)},
	/* SYSCALL, NX, FFXSR, 1-GiB pages, long mode; and AMD's copies of leaf 1 */
	{CPUID_8000_0001_EDX, BIT(11) | BIT(20) | BIT(25) | BIT(26) | BIT(29) | 0x0183f3ffu},
	/* CMP_LEGACY, topology extensions */
	{CPUID_8000_0001_ECX, BIT(1) | BIT(22)},
};

static bool row_is_executable(const struct insn_row *row)
{
	for (unsigned m = 0; m < 2; m++)
		for (unsigned s = 0; s < 4; s++)
			if (row->exec[m][s] && row->exec[m][s] != x_ud)
				return true;
	return false;
}

/* A feature counts as executable when none of its rows is missing. */
static void add_instructions(uint32_t words[NR_CPUID_WORDS])
{
	uint32_t missing[NR_CPUID_WORDS] = {0};

	for (unsigned n = 0; n < nr_insn_rows; n++) {
		unsigned f = insn_rows[n].feature;
		bool is_there =
			row_is_executable(&insn_rows[n]) && simd_host_has((enum cpuid_feature)f);

		(is_there ? words : missing)[f / 32] |= BIT(f % 32);
	}
	for (unsigned w = 0; w < NR_CPUID_WORDS; w++)
		words[w] &= ~missing[w];
}

int soft_filter_cpuid(struct engine *e, struct cpuid_table *table, struct error *err)
{
	uint32_t can[NR_CPUID_WORDS] = {0}, has[NR_CPUID_WORDS];

	add_instructions(can);
	for (unsigned n = 0; n < ARRAY_SIZE(behaviour); n++)
		can[behaviour[n].word] |= behaviour[n].bits;
	cpuid_feature_words(table, has);
	for (unsigned w = 0; w < NR_CPUID_WORDS; w++)
		cpuid_set_feature_word(table, (enum cpuid_word)w, has[w] & can[w]);
	cpuid_settle(table);
	return 0;
}
