/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables (SDM vol. 3, chapter 4): 32-bit paging with 4-MiB pages and PSE-36, PAE paging,
 * 4-level paging with 2-MiB and 1-GiB pages. Accessed and dirty bits are set by compare-and-swap,
 * as another vCPU may change the entry at any time. The four PAE page-directory-pointer entries are
 * read at each walk, as AMD's processors do. Left out: 5-level paging, protection keys, and tables
 * outside RAM and ROM, which read as not present.
 */
#include "engine/soft/paging.h"

#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"

/* Where an entry lies in guest memory; NULL outside RAM. */
static struct soft_region *entry_region(struct cpu *c, uint64_t gpa)
{
	return soft_region_find(c->vm, gpa);
}

/* Reads an entry of size bytes into the walk; false where there is no memory. */
static bool read_entry(struct cpu *c, struct walk *w, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct soft_region *r = entry_region(c, gpa);
	uint8_t *host;

	if (!r)
		return false;
	host = r->host + (gpa - r->gpa);
	if (size == 8)
		*value = __atomic_load_n((uint64_t *)host, __ATOMIC_ACQUIRE);
	else
		*value = __atomic_load_n((uint32_t *)host, __ATOMIC_ACQUIRE);
	w->entry[w->nr].region = r;
	w->entry[w->nr].gpa = gpa;
	w->entry[w->nr].value = *value;
	return true;
}

static void take_rights(struct walk *w, uint64_t pte)
{
	w->is_user &= !!(pte & PTE_U);
	w->is_writable &= !!(pte & PTE_W);
	w->is_nx |= !!(pte & PTE_NX);
}

static void take_leaf(const struct cpu *c, struct walk *w, gva_t va, uint64_t pte, uint64_t base,
		      uint64_t size)
{
	w->size = size;
	w->gpa = (base + (va & (size - 1))) & ~0xfffull;
	w->is_dirty = pte & PTE_D;
	w->is_global = pte & PTE_G && c->cr4 & CR4_PGE;
}

/* 10 + 10 + 12 bits, entries of 4 bytes. */
static uint32_t walk_32bit(struct cpu *c, gva_t va, struct walk *w)
{
	uint64_t pte, gpa = (c->cr3 & 0xfffff000) + ((va >> 22 & 0x3ff) * 4);

	if (!read_entry(c, w, gpa, 4, &pte) || !(pte & PTE_P))
		return WALK_ABSENT;
	take_rights(w, pte);
	w->nr++;
	if (pte & PTE_PS && c->cr4 & CR4_PSE) {
		/* Bits 13-20 are bits 32-39 of the address (PSE-36); bit 21 must be 0. */
		uint64_t base = (pte & 0xffc00000) | (pte & 0x001fe000) << 19;

		if (pte & BIT64(21) || base & c->pte_reserved)
			return PF_PRESENT | PF_RSVD;
		take_leaf(c, w, va, pte, base, 4 * MIB);
		return 0;
	}
	gpa = (pte & 0xfffff000) + ((va >> 12 & 0x3ff) * 4);
	if (!read_entry(c, w, gpa, 4, &pte) || !(pte & PTE_P))
		return WALK_ABSENT;
	take_rights(w, pte);
	w->nr++;
	take_leaf(c, w, va, pte, pte & 0xfffff000, 4 * KIB);
	return 0;
}

/* Bits an entry of 8 bytes may not have: beyond MAXPHYADDR, and XD when it is not enabled. */
static uint64_t reserved_bits(const struct cpu *c)
{
	uint64_t bits = c->pte_reserved;

	if (!(c->efer & EFER_NXE))
		bits |= PTE_NX;
	if (!(c->efer & EFER_LMA))
		bits |= 0x7ff0000000000000ull;
	return bits;
}

/* The levels of 9 bits each, from `level` (1: the page table) down; table is the first one's
 * address. */
static uint32_t walk_levels(struct cpu *c, gva_t va, struct walk *w, unsigned level, uint64_t table)
{
	uint64_t reserved = reserved_bits(c);

	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t size = BIT64(shift), pte;

		if (!read_entry(c, w, table + (va >> shift & 0x1ff) * 8, 8, &pte) || !(pte & PTE_P))
			return WALK_ABSENT;
		if (pte & reserved)
			return PF_PRESENT | PF_RSVD;
		take_rights(w, pte);
		w->nr++;
		if (level == 1) {
			take_leaf(c, w, va, pte, pte & PTE_ADDR, size);
			return 0;
		}
		if (pte & PTE_PS) {
			/* Bit 12 of a large page is its PAT bit. */
			uint64_t low = (size - 1) & PTE_ADDR & ~BIT64(12);

			if (level == 4 || (level == 3 && !cpu_has(c, FEAT_PDPE1GB)) || pte & low)
				return PF_PRESENT | PF_RSVD;
			take_leaf(c, w, va, pte, pte & PTE_ADDR & ~(size - 1), size);
			return 0;
		}
		table = pte & PTE_ADDR;
	}
}

/* Four pointers without rights or an accessed bit, then two levels. */
static uint32_t walk_pae(struct cpu *c, gva_t va, struct walk *w)
{
	uint64_t pdpte, gpa = (c->cr3 & 0xffffffe0) + (va >> 30 & 3) * 8;

	if (!read_entry(c, w, gpa, 8, &pdpte) || !(pdpte & PTE_P))
		return WALK_ABSENT;
	if (pdpte & (c->pte_reserved | 0xfff00000000001e6ull))
		return PF_PRESENT | PF_RSVD;
	return walk_levels(c, va, w, 2, pdpte & PTE_ADDR);
}

uint32_t page_walk(struct cpu *c, gva_t va, struct walk *w)
{
	*w = (struct walk){.is_user = true, .is_writable = true, .is_dirty = true};
	if (!(c->cr0 & CR0_PG)) {
		w->gpa = va & ~0xfffull;
		w->size = 4 * KIB;
		return 0;
	}
	if (c->efer & EFER_LMA)
		return walk_levels(c, va, w, 4, c->cr3 & PTE_ADDR);
	if (c->cr4 & CR4_PAE)
		return walk_pae(c, va, w);
	return walk_32bit(c, va, w);
}

bool walk_allows(const struct cpu *c, const struct walk *w, enum tlb_mode mode, enum access access)
{
	if (!(c->cr0 & CR0_PG))
		return true;
	if (access == ACCESS_FETCH && w->is_nx)
		return false;
	if (mode == TLB_USER)
		return w->is_user && (access != ACCESS_WRITE || w->is_writable);
	if (w->is_user && access == ACCESS_FETCH)
		return !(c->cr4 & CR4_SMEP);
	if (w->is_user && mode == TLB_KERNEL && c->cr4 & CR4_SMAP)
		return false;
	return access != ACCESS_WRITE || w->is_writable || !(c->cr0 & CR0_WP);
}

static bool exchange(void *host, uint64_t old, uint64_t new, bool is_64bit)
{
	uint32_t old32 = (uint32_t)old;

	if (is_64bit)
		return __atomic_compare_exchange_n((uint64_t *)host, &old, new, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint32_t *)host, &old32, (uint32_t) new, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A store like any other to those who watch the page. */
static bool set_bits(const struct cpu *c, const struct walk *w, unsigned i, uint64_t bits)
{
	bool is_64bit = c->efer & EFER_LMA || c->cr4 & CR4_PAE;
	struct soft_region *r = w->entry[i].region;
	uint64_t gpa = w->entry[i].gpa, old = w->entry[i].value;

	if ((old & bits) == bits || r->is_rom)
		return true;
	if (!exchange(r->host + (gpa - r->gpa), old, old | bits, is_64bit))
		return false;
	mmu_wrote(c->vm, r, gpa, is_64bit ? 8 : 4);
	return true;
}

bool walk_mark(struct walk *w, const struct cpu *c, bool is_write)
{
	for (unsigned i = 0; i < w->nr; i++) {
		bool is_last = i == w->nr - 1;
		uint64_t bits = PTE_A | (is_write && is_last ? PTE_D : 0);

		if (!set_bits(c, w, i, bits))
			return false;
	}
	if (is_write)
		w->is_dirty = true;
	return true;
}
