/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers (SDM vol. 3, 2.5 and 9.8.5): which values and which transitions are allowed,
 * and what must be forgotten afterwards. CR8 is the LAPIC's. Leaves out: 5-level paging, protection
 * keys, shadow stacks, VMX. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"

#define CR0_VALID                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

#define TSS_IS_32 BIT(3) /* of the type in TR */

static bool is_long_code(const struct cpu *c)
{
	return c->seg[SEG_CS].attr & SEG_ATTR_L;
}

/*
 * PAE paging without long mode reads four page-directory pointers whenever CR3 is loaded: reserved
 * bits in a present one are #GP (SDM vol. 3, 4.4.1). The walker reads them anew from memory.
 */
static bool pdptes_are_valid(struct cpu *c, uint64_t cr3)
{
	uint64_t reserved = ~(BIT64(cpu_phys_bits(c)) - 1) | 0x1e6;
	uint64_t entries[4];

	if (mem_read(c->vm->mem, cr3 & 0xffffffe0, entries, sizeof(entries)))
		return true;
	for (unsigned k = 0; k < ARRAY_SIZE(entries); k++)
		if (entries[k] & PTE_P && entries[k] & reserved)
			return false;
	return true;
}

static bool needs_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LME);
}

/* What switching paging on or off demands; *efer gets its LMA bit. */
static bool check_paging_switch(struct cpu *c, uint64_t value, uint64_t *efer)
{
	if (value & CR0_PG) {
		if (!(*efer & EFER_LME))
			return true;
		if (!(c->cr4 & CR4_PAE) || is_long_code(c))
			return false;
		/* A 16-bit TSS has no place in long mode. */
		if (!(c->seg[SEG_TR].attr & (TSS_IS_32 | SEG_ATTR_UNUSABLE)) &&
		    c->seg[SEG_TR].attr & SEG_ATTR_P && c->seg[SEG_TR].selector & ~3)
			return false;
		*efer |= EFER_LMA;
		return true;
	}
	if (*efer & EFER_LMA && is_long_code(c))
		return false;
	if (c->cr4 & CR4_PCIDE)
		return false;
	*efer &= ~(uint64_t)EFER_LMA;
	return true;
}

bool cr0_write(struct cpu *c, uint64_t value, bool is_host)
{
	uint64_t changed, efer = c->efer;

	if (value >> 32)
		return false;
	if ((value & (CR0_PG | CR0_PE)) == CR0_PG || (value & (CR0_NW | CR0_CD)) == CR0_NW)
		return false;
	value = (value & CR0_VALID) | CR0_ET;
	changed = value ^ c->cr0;
	if (changed & CR0_PG && !is_host && !check_paging_switch(c, value, &efer))
		return false;
	if (changed & (CR0_PG | CR0_CD | CR0_NW) && !is_host &&
	    needs_pdptes(value, c->cr4, c->efer) && !pdptes_are_valid(c, c->cr3))
		return false;
	c->cr0 = value;
	c->efer = efer;
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		mmu_flush_all(c);
	cpu_update_mode(c);
	return true;
}

bool cr3_write(struct cpu *c, uint64_t value, bool is_host)
{
	bool keeps_tlb = false;

	if (c->efer & EFER_LMA) {
		if (c->cr4 & CR4_PCIDE) {
			keeps_tlb = value & CR3_NOFLUSH;
			value &= ~CR3_NOFLUSH;
		}
		/* Every model has at least 32 bits: the table is asked only for high values. */
		if (value >> 32 && value >> cpu_phys_bits(c))
			return false;
	} else {
		value = (uint32_t)value;
		if (!is_host && needs_pdptes(c->cr0, c->cr4, c->efer) &&
		    !pdptes_are_valid(c, value))
			return false;
	}
	mmu_load_cr3(c, value, keeps_tlb);
	return true;
}

static uint64_t cr4_valid(const struct cpu *c)
{
	uint64_t valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			 CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	valid |= cpu_has(c, FEAT_UMIP) ? CR4_UMIP : 0;
	valid |= cpu_has(c, FEAT_FSGSBASE) ? CR4_FSGSBASE : 0;
	valid |= cpu_has(c, FEAT_PCID) ? CR4_PCIDE : 0;
	valid |= cpu_has(c, FEAT_XSAVE) ? CR4_OSXSAVE : 0;
	valid |= cpu_has(c, FEAT_SMEP) ? CR4_SMEP : 0;
	valid |= cpu_has(c, FEAT_SMAP) ? CR4_SMAP : 0;
	return valid;
}

bool cr4_write(struct cpu *c, uint64_t value, bool is_host)
{
	const uint64_t paging = CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP;
	uint64_t changed = value ^ c->cr4;

	if (value & ~cr4_valid(c))
		return false;
	if (!is_host && c->efer & EFER_LMA && !(value & CR4_PAE))
		return false;
	if (!is_host && changed & value & CR4_PCIDE &&
	    (!(c->efer & EFER_LMA) || c->cr3 & CR3_PCID_MASK))
		return false;
	if (!is_host && changed & paging && needs_pdptes(c->cr0, value, c->efer) &&
	    !pdptes_are_valid(c, c->cr3))
		return false;
	c->cr4 = value;
	if (changed & (paging | CR4_SMAP | CR4_PCIDE))
		mmu_flush_all(c);
	cpu_update_mode(c);
	return true;
}

bool efer_write(struct cpu *c, uint64_t value, bool is_host)
{
	uint64_t valid = EFER_LMA, changed;

	valid |= cpu_has(c, FEAT_SYSCALL) ? EFER_SCE : 0;
	valid |= cpu_has(c, FEAT_LM) ? EFER_LME : 0;
	valid |= cpu_has(c, FEAT_NX) ? EFER_NXE : 0;
	valid |= cpu_is_amd(c) ? EFER_FFXSR : 0;
	if (value & ~valid)
		return false;
	/* LMA follows CR0.PG and LME; only the monitor loads it as a whole. */
	if (!is_host)
		value = (value & ~(uint64_t)EFER_LMA) | (c->efer & EFER_LMA);
	changed = value ^ c->efer;
	if (!is_host && changed & EFER_LME && c->cr0 & CR0_PG)
		return false;
	c->efer = value;
	if (changed & (EFER_NXE | EFER_LMA))
		mmu_flush_all(c);
	cpu_update_mode(c);
	return true;
}

bool xcr0_write(struct cpu *c, uint64_t value)
{
	struct cpuid_result supported = cpuid_lookup(&c->cpuid, 0xd, 0);

	if (!(value & XCR0_X87) || value & ~(supported.eax | (uint64_t)supported.edx << 32))
		return false;
	if ((value & (XCR0_AVX | XCR0_SSE)) == XCR0_AVX)
		return false;
	c->xcr0 = value;
	return true;
}

void cpu_set_cpl(struct cpu *c, unsigned cpl)
{
	c->cpl = (uint8_t)cpl;
	cpu_update_mode(c);
}
