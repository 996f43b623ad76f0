/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes translations invalid: flushes of each kind, and pages that become watched. vCPU thread
 * except where noted.
 */
#include "engine/soft/cache.h"
#include "engine/soft/mmu.h"
#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"

static void clear_entry(struct tlb_entry *e)
{
	e->tag_read = TLB_NONE;
	e->tag_fetch = TLB_NONE;
	atomic_store_explicit(&e->tag_write, TLB_NONE, memory_order_relaxed);
}

void tlb_init(struct cpu *c)
{
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		for (unsigned n = 0; n < TLB_SIZE; n++)
			clear_entry(&c->tlbs[mode][n]);
	for (unsigned n = 0; n < TLB_SIZE; n++)
		clear_entry(&c->tlb_slow[n]);
}

static void flush_mode(struct cpu *c, unsigned mode, bool keep_global)
{
	bool kept = false;

	if (!c->tlb_used[mode])
		return;
	for (unsigned n = 0; n < TLB_SIZE; n++) {
		if (keep_global && c->tlb_flags[mode][n] & TLB_GLOBAL) {
			kept = true;
			continue;
		}
		clear_entry(&c->tlbs[mode][n]);
		c->tlb_flags[mode][n] = 0;
	}
	c->tlb_used[mode] = kept;
}

void mmu_flush_all(struct cpu *c)
{
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		flush_mode(c, mode, false);
	jump_cache_flush(c);
}

void mmu_flush_nonglobal(struct cpu *c)
{
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		flush_mode(c, mode, c->cr4 & CR4_PGE);
	jump_cache_flush(c);
}

/* Whether dropping va's page concerns this entry, given the size of the page it was made from. */
static bool covers(const struct tlb_entry *e, uint8_t flags, gva_t va)
{
	unsigned shift = flags & TLB_1G ? 30 : flags & TLB_4M ? 22 : flags & TLB_2M ? 21 : 12;
	uint64_t tag = e->tag_read;

	if (tag == TLB_NONE)
		tag = e->tag_fetch;
	if (tag == TLB_NONE)
		tag = atomic_load_explicit(&e->tag_write, memory_order_relaxed);
	return tag != TLB_NONE && tag >> shift == va >> shift;
}

void mmu_flush_page(struct cpu *c, gva_t va)
{
	unsigned own = (va >> 12) & (TLB_SIZE - 1);

	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++) {
		if (!c->tlb_used[mode])
			continue;
		clear_entry(&c->tlbs[mode][own]);
		for (unsigned n = 0; n < TLB_SIZE; n++) {
			uint8_t flags = c->tlb_flags[mode][n];

			if (flags & TLB_LARGE && covers(&c->tlbs[mode][n], flags, va))
				clear_entry(&c->tlbs[mode][n]);
		}
	}
	jump_cache_flush_page(c, va);
}

/* Only the current address space is cached, so another one's has nothing to lose. */
void mmu_flush_pcid(struct cpu *c, unsigned pcid)
{
	if (pcid == (c->cr3 & CR3_PCID_MASK))
		mmu_flush_nonglobal(c);
}

void mmu_protect_page(struct soft_vm *vm, const uint8_t *host)
{
	for (unsigned v = 0; v < vm->nr_vcpus; v++) {
		struct cpu *c = vm->vcpus[v];

		for (unsigned mode = 0; mode < NR_TLB_MODES; mode++) {
			for (unsigned n = 0; n < TLB_SIZE; n++) {
				struct tlb_entry *e = &c->tlbs[mode][n];
				uint64_t tag = atomic_load(&e->tag_write);

				if (tag != TLB_NONE && tag + e->addend == (uintptr_t)host)
					atomic_compare_exchange_strong(&e->tag_write, &tag,
								       TLB_NONE);
			}
		}
	}
}
