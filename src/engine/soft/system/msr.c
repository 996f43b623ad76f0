/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model-specific registers (SDM vol. 4; APM vol. 2, appendix A): one sorted table of what exists,
 * how it is read and what may be written. Registers that real CPUs of these models have and that
 * kernels touch without asking are constants; everything not in the table is #GP(0). Leaves out:
 * performance counters, last-branch records, SGX, VMX. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include <string.h>

#include "engine/soft/lapic.h"
#include "engine/soft/mmu.h"
#include "engine/soft/pvclock.h"

#define NR_MCE_BANKS  10 /* what current CPUs of the model families have, at most 32 */
#define NR_MTRR_VAR   8
#define MTRRCAP_FIX   BIT(8)
#define MTRRCAP_WC    BIT(10)
#define MTRR_DEF_FE_E (BIT(10) | BIT(11))

#define MISC_ENABLE_BTS_UNAVAIL	 BIT(11)
#define MISC_ENABLE_PEBS_UNAVAIL BIT(12)

#define FEATURE_CONTROL_LOCKED BIT(0)

/* Leaf 7 EDX: which speculation controls the model has. */
#define FEAT_STIBP     FEATURE(CPUID_7_EDX, 27)
#define FEAT_FLUSH_L1D FEATURE(CPUID_7_EDX, 28)
#define FEAT_SSBD      FEATURE(CPUID_7_EDX, 31)

struct msr;
typedef bool (*msr_read_fn)(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value);
typedef bool (*msr_write_fn)(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			     bool is_host);

/*
 * One register or a run of them. NULL functions: the access is #GP(0). A read gives a value even
 * where it returns false because CPUID lacks the feature: the monitor reads that for a saved state.
 */
struct msr {
	uint32_t first, last;
	msr_read_fn read;
	msr_write_fn write;
	uint16_t field; /* offset in struct cpu of the first one's value */
	uint64_t arg;	/* by function: valid bits, or a constant */
};

#define FIELD(member) .field = offsetof(struct cpu, member)

static uint64_t *msr_field(struct cpu *c, const struct msr *m, uint32_t index)
{
	return (uint64_t *)((char *)c + m->field) + (index - m->first);
}

static bool read_field(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = *msr_field(c, m, index);
	return true;
}

static bool write_masked(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			 bool is_host)
{
	if (value & ~m->arg)
		return false;
	*msr_field(c, m, index) = value;
	return true;
}

static bool write_canonical(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			    bool is_host)
{
	if (!is_canonical(value))
		return false;
	*msr_field(c, m, index) = value;
	return true;
}

static bool read_const(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = m->arg;
	return true;
}

/* Read-only to the guest; a saved state brings it back unchanged or not at all. */
static bool write_const(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			bool is_host)
{
	return is_host && value == m->arg;
}

static bool write_dropped(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			  bool is_host)
{
	return true;
}

/* Checked against the valid bits, then forgotten. */
static bool write_checked(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			  bool is_host)
{
	return !(value & ~m->arg);
}

/*
 * AMD's HWCR: bits that kernels set by themselves, without effect here. The TSC counts at one rate, which
 * kernels want to be told.
 */
#define HWCR_TSC_FREQ_SEL BIT64(24)
#define HWCR_VALID	  (HWCR_TSC_FREQ_SEL | 0x58)

static bool read_hwcr(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = HWCR_TSC_FREQ_SEL;
	return true;
}

/* ---- time ---- */

static bool read_tsc(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = cpu_tsc(c);
	return true;
}

static bool write_tsc(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
		      bool is_host)
{
	uint64_t delta = value - cpu_tsc(c);

	c->tsc_offset += delta;
	if (!is_host)
		c->tsc_adjust += delta;
	pvclock_refresh(c);
	return true;
}

static bool read_tsc_adjust(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = c->tsc_adjust;
	return cpu_has(c, FEAT_TSC_ADJUST);
}

static bool write_tsc_adjust(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			     bool is_host)
{
	if (!is_host && !cpu_has(c, FEAT_TSC_ADJUST))
		return false;
	if (!is_host)
		c->tsc_offset += value - c->tsc_adjust;
	c->tsc_adjust = value;
	if (!is_host)
		pvclock_refresh(c);
	return true;
}

static bool write_tsc_aux(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			  bool is_host)
{
	if (!is_host && !cpu_has(c, FEAT_RDTSCP) && !cpu_has(c, FEAT_RDPID))
		return false;
	return write_masked(c, m, index, value, is_host);
}

static bool read_pvclock(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	return pvclock_msr_read(c, index, value);
}

static bool write_pvclock(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			  bool is_host)
{
	return pvclock_msr_write(c, index, value);
}

/* ---- local APIC ---- */

static bool read_lapic(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	return lapic_msr_read(c->lapic, index, value);
}

static bool write_lapic(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			bool is_host)
{
	return lapic_msr_write(c->lapic, index, value);
}

static bool read_deadline(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	return lapic_msr_read(c->lapic, index, value) && cpu_has(c, FEAT_TSC_DEADLINE);
}

static bool write_deadline(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			   bool is_host)
{
	return (is_host || cpu_has(c, FEAT_TSC_DEADLINE)) &&
	       lapic_msr_write(c->lapic, index, value);
}

static bool read_apic_base(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = lapic_base(c->lapic);
	return true;
}

/* The page of APIC registers moves in physical space: translations of it are stale. */
static bool write_apic_base(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			    bool is_host)
{
	if (value >> cpu_phys_bits(c) || !lapic_set_base(c->lapic, value, is_host))
		return false;
	mmu_flush_all(c);
	return true;
}

/* ---- memory types ---- */

static bool is_memory_type(unsigned type)
{
	return type < 8 && BIT(type) & (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6));
}

static bool write_pat(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
		      bool is_host)
{
	for (unsigned k = 0; k < 64; k += 8) {
		unsigned type = value >> k & 0xff;

		if (!is_memory_type(type) && type != 7)
			return false;
	}
	c->pat = value;
	return true;
}

static bool write_mtrr_def(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			   bool is_host)
{
	if (value & ~(uint64_t)(MTRR_DEF_FE_E | 0xff) || !is_memory_type(value & 0xff))
		return false;
	c->mtrr_def_type = value;
	return true;
}

static bool write_mtrr_var(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			   bool is_host)
{
	bool is_mask = index & 1;
	uint64_t reserved = ~(BIT64(cpu_phys_bits(c)) - 1);

	reserved |= is_mask ? 0x7ff : 0xf00;
	if (value & reserved || (!is_mask && !is_memory_type(value & 0xff)))
		return false;
	*msr_field(c, m, index) = value;
	return true;
}

static bool write_mtrr_fixed(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			     bool is_host)
{
	for (unsigned k = 0; k < 64; k += 8)
		if (!is_memory_type(value >> k & 0xff))
			return false;
	*msr_field(c, m, index) = value;
	return true;
}

/* ---- machine check ---- */

/* Four registers a bank: CTL, STATUS, ADDR, MISC. */
static bool write_mce_bank(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			   bool is_host)
{
	unsigned which = (index - MSR_IA32_MC0_CTL) & 3;

	if (which == 0 && value && value != ~0ull)
		return false;
	if (which == 1 && value && !is_host)
		return false;
	*msr_field(c, m, index) = value;
	return true;
}

static bool write_mcg_status(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			     bool is_host)
{
	if (value && !is_host)
		return false;
	c->mcg_status = value;
	return true;
}

/* ---- speculation ---- */

static bool write_spec_ctrl(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			    bool is_host)
{
	uint64_t valid = 0;

	if (cpu_has(c, FEAT_SPEC_CTRL))
		valid |= BIT(0) | BIT(1);
	if (cpu_has(c, FEAT_STIBP))
		valid |= BIT(1);
	if (cpu_has(c, FEAT_SSBD))
		valid |= BIT(2);
	if (cpu_has(c, FEAT_BHI_CTRL))
		valid |= BIT(10);
	if ((!valid && !is_host) || value & ~valid)
		return false;
	c->spec_ctrl = value;
	return true;
}

static bool read_spec_ctrl(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = c->spec_ctrl;
	return cpu_has(c, FEAT_SPEC_CTRL) || cpu_has(c, FEAT_STIBP) || cpu_has(c, FEAT_SSBD);
}

/* arg: the feature that makes bit 0 a command; there is nothing to predict or to flush. */
static bool write_command(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			  bool is_host)
{
	return cpu_has(c, (enum cpuid_feature)m->arg) && !(value & ~1ull);
}

static bool read_arch_capabilities(struct cpu *c, const struct msr *m, uint32_t index,
				   uint64_t *value)
{
	*value = c->arch_capabilities;
	return cpu_has(c, FEAT_ARCH_CAPABILITIES);
}

/* A guest that comes from elsewhere goes on seeing what it has already acted upon. */
static bool write_arch_capabilities(struct cpu *c, const struct msr *m, uint32_t index,
				    uint64_t value, bool is_host)
{
	if (is_host)
		c->arch_capabilities = value;
	return is_host;
}

/* ---- modes and entry points ---- */

static bool write_efer_msr(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
			   bool is_host)
{
	return efer_write(c, value, is_host);
}

static bool read_misc_enable(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = c->misc_enable | MISC_ENABLE_BTS_UNAVAIL | MISC_ENABLE_PEBS_UNAVAIL;
	return true;
}

static bool write_xss(struct cpu *c, const struct msr *m, uint32_t index, uint64_t value,
		      bool is_host)
{
	/* No supervisor state component exists. */
	if (value || (!is_host && !cpu_has(c, FEAT_XSAVES)))
		return false;
	c->xss = value;
	return true;
}

static bool read_xss(struct cpu *c, const struct msr *m, uint32_t index, uint64_t *value)
{
	*value = c->xss;
	return cpu_has(c, FEAT_XSAVES);
}

/* SYSENTER_CS keeps what was written; its selector is bits 0-15. */
#define ANY	   (~0ull)
#define LOW_32	   0xffffffffull
#define ONE(i)	   .first = (i), .last = (i)
#define RUN(i, n)  .first = (i), .last = (i) + (n)-1
#define BASE_OF(s) .field = offsetof(struct cpu, seg) + (s) * sizeof(struct segment)

_Static_assert(offsetof(struct segment, base) == 0, "BASE_OF names the base of a segment");

/* In ascending order. */
static const struct msr msrs[] = {
	{ONE(0x00), read_const, write_dropped}, /* P5_MC_ADDR, P5_MC_TYPE */
	{ONE(0x01), read_const, write_dropped},
	{ONE(MSR_IA32_TSC), read_tsc, write_tsc},
	{RUN(MSR_KVM_WALL_CLOCK, 2), read_pvclock, write_pvclock},
	{ONE(MSR_IA32_PLATFORM_ID), read_const, write_const},
	{ONE(MSR_IA32_APICBASE), read_apic_base, write_apic_base},
	{ONE(0x2a), read_const, write_dropped}, /* EBL_CR_POWERON */
	{ONE(0x34), read_const, write_const},	/* SMI_COUNT */
	{ONE(MSR_IA32_FEATURE_CONTROL), read_const, write_const, .arg = FEATURE_CONTROL_LOCKED},
	{ONE(MSR_IA32_TSC_ADJUST), read_tsc_adjust, write_tsc_adjust},
	{ONE(MSR_IA32_SPEC_CTRL), read_spec_ctrl, write_spec_ctrl},
	{ONE(MSR_IA32_PRED_CMD), NULL, write_command, .arg = FEAT_SPEC_CTRL},
	{ONE(0x79), NULL, write_dropped}, /* BIOS_UPDT_TRIG: the update is already in */
	{ONE(MSR_IA32_BIOS_SIGN_ID), read_const, write_dropped, .arg = BIT64(32)},
	{ONE(0xcd), read_const, write_const, .arg = 3}, /* FSB_FREQ: 100 MHz */
	{ONE(MSR_IA32_MTRRCAP), read_const, write_const,
	 .arg = NR_MTRR_VAR | MTRRCAP_FIX | MTRRCAP_WC},
	{ONE(MSR_IA32_ARCH_CAPABILITIES), read_arch_capabilities, write_arch_capabilities},
	{ONE(MSR_IA32_FLUSH_CMD), NULL, write_command, .arg = FEAT_FLUSH_L1D},
	{ONE(0x11e), read_const, write_dropped, .arg = 0xbe702111}, /* BBL_CR_CTL3: L2 is on */
	{ONE(MSR_IA32_SYSENTER_CS), read_field, write_masked, FIELD(sysenter_cs), LOW_32},
	{ONE(MSR_IA32_SYSENTER_ESP), read_field, write_canonical, FIELD(sysenter_esp)},
	{ONE(MSR_IA32_SYSENTER_EIP), read_field, write_canonical, FIELD(sysenter_eip)},
	{ONE(MSR_IA32_MCG_CAP), read_const, write_const, .arg = NR_MCE_BANKS},
	{ONE(MSR_IA32_MCG_STATUS), read_field, write_mcg_status, FIELD(mcg_status)},
	{ONE(0x198), read_const, write_const, .arg = 1000 | 4ull << 40}, /* PERF_STATUS */
	{ONE(MSR_IA32_MISC_ENABLE), read_misc_enable, write_masked, FIELD(misc_enable), ANY},
	{ONE(MSR_IA32_DEBUGCTL), read_const, write_dropped},
	{RUN(0x1db, 4), read_const, write_const}, /* last branch and interrupt records */
	{RUN(MSR_IA32_MTRR_PHYSBASE0, 2 * NR_MTRR_VAR), read_field, write_mtrr_var,
	 FIELD(mtrr_var)},
	{ONE(MSR_IA32_MTRR_FIX64K), read_field, write_mtrr_fixed, FIELD(mtrr_fixed[0])},
	{RUN(0x258, 2), read_field, write_mtrr_fixed, FIELD(mtrr_fixed[1])},
	{RUN(0x268, 8), read_field, write_mtrr_fixed, FIELD(mtrr_fixed[3])},
	{ONE(MSR_IA32_PAT), read_field, write_pat, FIELD(pat)},
	{ONE(MSR_IA32_MTRR_DEF_TYPE), read_field, write_mtrr_def, FIELD(mtrr_def_type)},
	{RUN(MSR_IA32_MC0_CTL, 4 * NR_MCE_BANKS), read_field, write_mce_bank, FIELD(mce_banks)},
	{ONE(MSR_IA32_TSC_DEADLINE), read_deadline, write_deadline},
	{RUN(MSR_IA32_X2APIC_BASE, 256), read_lapic, write_lapic},
	{ONE(MSR_IA32_XSS), read_xss, write_xss},
	{RUN(MSR_KVM_WALL_CLOCK_NEW, 2), read_pvclock, write_pvclock},
	{ONE(MSR_EFER), read_field, write_efer_msr, FIELD(efer)},
	{ONE(MSR_STAR), read_field, write_masked, FIELD(star), ANY},
	{ONE(MSR_LSTAR), read_field, write_canonical, FIELD(lstar)},
	{ONE(MSR_CSTAR), read_field, write_canonical, FIELD(cstar)},
	{ONE(MSR_SFMASK), read_field, write_masked, FIELD(sfmask), LOW_32},
	{ONE(MSR_FS_BASE), read_field, write_canonical, BASE_OF(SEG_FS)},
	{ONE(MSR_GS_BASE), read_field, write_canonical, BASE_OF(SEG_GS)},
	{ONE(MSR_KERNEL_GS_BASE), read_field, write_canonical, FIELD(kernel_gs_base)},
	{ONE(MSR_TSC_AUX), read_field, write_tsc_aux, FIELD(tsc_aux), LOW_32},
	{RUN(0xc0010000, 8), read_const, write_dropped}, /* no event is counted */
	{ONE(0xc0010010), read_const, write_dropped},	 /* SYSCFG */
	{ONE(0xc0010015), read_hwcr, write_checked, .arg = HWCR_VALID},
	{ONE(0xc001001f), read_const, write_dropped},		/* NB_CFG */
	{ONE(0xc0010055), read_const, write_dropped},		/* INT_PENDING */
	{ONE(0xc0010058), read_const, write_dropped},		/* MMIO_CONF_BASE: no ECAM here */
	{ONE(0xc0010112), read_const, write_dropped},		/* TSEG address */
	{ONE(0xc0010117), read_const, write_dropped},		/* VM_HSAVE_PA */
	{ONE(0xc0011022), read_const, write_dropped},		/* DC_CFG */
	{ONE(0xc0011029), read_const, write_dropped, .arg = 2}, /* DE_CFG: LFENCE serialises */
	{ONE(0xc001102a), read_const, write_dropped},		/* BU_CFG2 */
};

static const struct msr *find(uint32_t index)
{
	unsigned low = 0, high = ARRAY_SIZE(msrs);

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (msrs[mid].last < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ARRAY_SIZE(msrs) && msrs[low].first <= index ? &msrs[low] : NULL;
}

bool msr_read(struct cpu *c, uint32_t index, uint64_t *value, bool is_host)
{
	const struct msr *m = find(index);

	*value = 0;
	return m && m->read && (m->read(c, m, index, value) || is_host);
}

bool msr_write(struct cpu *c, uint32_t index, uint64_t value, bool is_host)
{
	const struct msr *m = find(index);

	return m && m->write && m->write(c, m, index, value, is_host);
}

#define BANK(n)	 0x400 + 4 * (n), 0x401 + 4 * (n), 0x402 + 4 * (n), 0x403 + 4 * (n)
#define RANGE(n) 0x200 + 2 * (n), 0x201 + 2 * (n)

/* The TSC comes before what counts on it. */
const uint32_t msr_saved_list[] = {
	MSR_IA32_TSC,
	MSR_IA32_TSC_ADJUST,
	MSR_IA32_TSC_DEADLINE,
	MSR_KVM_WALL_CLOCK,
	MSR_KVM_SYSTEM_TIME,
	MSR_KVM_WALL_CLOCK_NEW,
	MSR_KVM_SYSTEM_TIME_NEW,
	MSR_IA32_FEATURE_CONTROL,
	MSR_IA32_SPEC_CTRL,
	MSR_IA32_ARCH_CAPABILITIES,
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_IA32_MCG_STATUS,
	MSR_IA32_MISC_ENABLE,
	RANGE(0),
	RANGE(1),
	RANGE(2),
	RANGE(3),
	RANGE(4),
	RANGE(5),
	RANGE(6),
	RANGE(7),
	0x250,
	0x258,
	0x259,
	0x268,
	0x269,
	0x26a,
	0x26b,
	0x26c,
	0x26d,
	0x26e,
	0x26f,
	MSR_IA32_PAT,
	MSR_IA32_MTRR_DEF_TYPE,
	BANK(0),
	BANK(1),
	BANK(2),
	BANK(3),
	BANK(4),
	BANK(5),
	BANK(6),
	BANK(7),
	BANK(8),
	BANK(9),
	MSR_IA32_XSS,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SFMASK,
	MSR_KERNEL_GS_BASE,
	MSR_TSC_AUX,
};

const unsigned nr_msr_saved = ARRAY_SIZE(msr_saved_list);
