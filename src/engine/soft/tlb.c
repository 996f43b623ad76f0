/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes translations invalid: flushes of each kind, changes of the address space, and pages
 * that become watched. User translations of the last few address spaces with a PCID are kept (SDM
 * vol. 3, 4.10); those of the kernel's TLBs that are not global belong to the current one. vCPU
 * thread except where noted.
 */
#include "engine/soft/cache_impl.h"
#include "engine/soft/mmu.h"
#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"

static void clear_entry(struct tlb_entry *e)
{
	e->tag_read = TLB_NONE;
	e->tag_fetch = TLB_NONE;
	atomic_store_explicit(&e->tag_write, TLB_NONE, memory_order_relaxed);
}

/* ---- one TLB ---- */

static void drop_entry(struct tlb *tlb, unsigned n)
{
	clear_entry(&tlb->entries[n]);
	tlb->flags[n] = TLB_EMPTY;
}

static void tlb_clear(struct tlb *tlb)
{
	for (unsigned n = 0; n < TLB_SIZE; n++)
		drop_entry(tlb, n);
	tlb->has_local = tlb->has_global = false;
	tlb->large = 0;
	atomic_store_explicit(&tlb->is_used, false, memory_order_relaxed);
}

/* Whether eight entries have all of them one of the flags TLB_GLOBAL and TLB_EMPTY. */
static bool keep_all(const uint8_t flags[8])
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t f;

	_Static_assert(TLB_GLOBAL == BIT(0) && TLB_EMPTY == BIT(4), "they meet when shifted by 4");
	memcpy(&f, flags, sizeof(f));
	return ((f | f >> 4) & ones) == ones;
}

static void tlb_flush_local(struct tlb *tlb)
{
	if (!tlb->has_local)
		return;
	for (unsigned n = 0; n < TLB_SIZE; n += 8) {
		if (keep_all(&tlb->flags[n]))
			continue;
		for (unsigned k = n; k < n + 8; k++)
			if (!(tlb->flags[k] & (TLB_GLOBAL | TLB_EMPTY)))
				drop_entry(tlb, k);
	}
	tlb->has_local = false;
	if (tlb->has_global)
		return;
	tlb->large = 0;
	atomic_store_explicit(&tlb->is_used, false, memory_order_relaxed);
}

static void tlb_flush(struct tlb *tlb)
{
	if (tlb->has_global)
		tlb_clear(tlb);
	else
		tlb_flush_local(tlb);
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

static bool has_large(const struct tlb *tlb, gva_t va)
{
	return tlb->large >> (va >> 30 & 63) & 1;
}

static void tlb_flush_page(struct tlb *tlb, gva_t va)
{
	if (!atomic_load_explicit(&tlb->is_used, memory_order_relaxed))
		return;
	drop_entry(tlb, (va >> 12) & (TLB_SIZE - 1));
	if (!has_large(tlb, va))
		return;
	for (unsigned n = 0; n < TLB_SIZE; n++)
		if (tlb->flags[n] & TLB_LARGE && covers(&tlb->entries[n], tlb->flags[n], va))
			drop_entry(tlb, n);
}

/* ---- address spaces ---- */

static unsigned current_pcid(const struct cpu *c)
{
	return c->cr4 & CR4_PCIDE ? c->cr3 & CR3_PCID_MASK : 0;
}

static struct tlb_space *space_find(struct cpu *c, unsigned pcid)
{
	for (unsigned n = 0; n < TLB_SPACES; n++)
		if (c->spaces[n].is_valid && c->spaces[n].pcid == pcid)
			return &c->spaces[n];
	return NULL;
}

/* The one unused for longest, emptied. Not the current one. */
static struct tlb_space *space_claim(struct cpu *c, unsigned pcid)
{
	struct tlb_space *oldest = NULL;

	for (unsigned n = 0; n < TLB_SPACES; n++) {
		struct tlb_space *s = &c->spaces[n];

		if (s == c->space)
			continue;
		if (!oldest || !s->is_valid || (oldest->is_valid && s->used_at < oldest->used_at))
			oldest = s;
	}
	if (oldest->has_tlb)
		tlb_flush(&oldest->user);
	else
		tlb_clear(&oldest->user);
	oldest->has_tlb = true;
	oldest->is_valid = true;
	oldest->pcid = (uint16_t)pcid;
	return oldest;
}

static void space_enter(struct cpu *c, struct tlb_space *s)
{
	s->used_at = ++c->space_clock;
	c->space = s;
	if (c->tlb == c->tlbs[TLB_USER]->entries)
		c->tlb = s->user.entries;
	c->tlbs[TLB_USER] = &s->user;
}

/* What a block ran before sites were flushed does not count: it would have had to fill them again. */
static void runs_forget(struct cpu *c)
{
	for (unsigned n = 0; n < RUN_COUNTERS; n++)
		c->runs_left[n] = HOT_RUNS;
}

void tlb_init(struct cpu *c)
{
	c->tlbs[TLB_KERNEL] = &c->kernel_tlbs[0];
	c->tlbs[TLB_KERNEL_AC] = &c->kernel_tlbs[1];
	c->tlbs[TLB_USER] = &c->spaces[0].user;
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		tlb_clear(c->tlbs[mode]);
	for (unsigned n = 0; n < TLB_SIZE; n++)
		clear_entry(&c->tlb_slow[n]);
	c->spaces[0].is_valid = c->spaces[0].has_tlb = true;
	c->space = &c->spaces[0];
	runs_forget(c);
	jump_cache_clear(c);
}

/* ---- sites of translated code ---- */

void sites_flush(struct cpu *c)
{
	runs_forget(c);
	if (!c->has_sites)
		return;
	c->has_sites = 0;
	for (unsigned n = 0; n < NR_SITES; n++)
		atomic_store_explicit(&c->site_limits[n], 0, memory_order_relaxed);
}

/* Those with one kind of rights. */
static void sites_flush_mode(struct cpu *c, enum tlb_mode mode)
{
	unsigned first = mode * 2 * SITES_PER_CLASS;

	if (mode == TLB_USER)
		runs_forget(c);
	if (!c->has_sites)
		return;
	for (unsigned n = first; n < first + 2 * SITES_PER_CLASS; n++)
		atomic_store_explicit(&c->site_limits[n], 0, memory_order_relaxed);
}

/*
 * Those of one page. What the TLB forgets with a large page may be known in pieces: is_large says that
 * it may be one.
 */
static void sites_flush_page(struct cpu *c, gva_t va, bool is_large)
{
	uint64_t minus_page = -(va & ~0xfffull);

	if (is_large) {
		sites_flush(c);
		return;
	}
	if (!c->has_sites)
		return;
	for (unsigned n = 0; n < NR_SITES; n++)
		if (c->sites[n].minus_page == minus_page)
			atomic_store_explicit(&c->site_limits[n], 0, memory_order_relaxed);
}

/* Another vCPU's, for stores. What it is just noting down it forgets at its next safe point. */
static void sites_protect(struct cpu *c)
{
	for (unsigned n = 0; n < NR_SITES; n++)
		if (n / SITES_PER_CLASS & 1)
			atomic_store_explicit(&c->site_limits[n], 0, memory_order_relaxed);
}

/* ---- flushes ---- */

void mmu_flush_all(struct cpu *c)
{
	sites_flush(c);
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		tlb_flush(c->tlbs[mode]);
	for (unsigned n = 0; n < TLB_SPACES; n++)
		c->spaces[n].is_valid = &c->spaces[n] == c->space;
	c->space->pcid = (uint16_t)current_pcid(c);
	jump_cache_flush_all(c);
}

/* Sites know what the TLB has had since its last flush: if that was global, they keep it too. */
static void flush_local_mode(struct cpu *c, enum tlb_mode mode)
{
	if (c->tlbs[mode]->has_local)
		sites_flush_mode(c, mode);
	tlb_flush_local(c->tlbs[mode]);
}

static void flush_local(struct cpu *c)
{
	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++)
		flush_local_mode(c, mode);
}

void mmu_flush_nonglobal(struct cpu *c)
{
	flush_local(c);
	for (unsigned n = 0; n < TLB_SPACES; n++)
		c->spaces[n].is_valid = &c->spaces[n] == c->space;
	jump_cache_flush_all(c);
}

void mmu_flush_page(struct cpu *c, gva_t va)
{
	bool is_large = false;

	for (unsigned mode = 0; mode < NR_TLB_MODES; mode++) {
		is_large |= has_large(c->tlbs[mode], va);
		tlb_flush_page(c->tlbs[mode], va);
	}
	sites_flush_page(c, va, is_large);
	/* A global page goes from every address space; user pages hardly ever are. */
	for (unsigned n = 0; n < TLB_SPACES; n++)
		if (c->spaces[n].user.has_global && &c->spaces[n] != c->space)
			c->spaces[n].is_valid = false;
	jump_cache_flush_page(c, va);
}

void mmu_flush_pcid(struct cpu *c, unsigned pcid)
{
	struct tlb_space *s = space_find(c, pcid);

	if (s == c->space) {
		flush_local(c);
		jump_cache_flush(c);
	} else if (s) {
		s->is_valid = false;
	}
}

void mmu_load_cr3(struct cpu *c, uint64_t cr3, bool keep)
{
	struct tlb_space *s;
	unsigned pcid;

	c->cr3 = cr3;
	pcid = current_pcid(c);
	s = space_find(c, pcid);
	if (s == c->space) {
		if (!keep) {
			flush_local(c);
			jump_cache_flush(c);
		}
		return;
	}
	sites_flush_mode(c, TLB_USER);
	flush_local_mode(c, TLB_KERNEL);
	flush_local_mode(c, TLB_KERNEL_AC);
	if (s && !keep)
		tlb_flush_local(&s->user);
	space_enter(c, s ? s : space_claim(c, pcid));
	if (s && keep)
		jump_cache_switch(c);
	else
		jump_cache_flush(c);
}

/* ---- watched pages ---- */

static void tlb_protect(struct tlb *tlb, const uint8_t *host)
{
	/* One that is being used for the first time looks at the page's flags after it has said so.
	 */
	if (!atomic_load(&tlb->is_used))
		return;
	for (unsigned n = 0; n < TLB_SIZE; n++) {
		struct tlb_entry *e = &tlb->entries[n];
		uint64_t tag = atomic_load(&e->tag_write);
		/* At least as new as the tag. If it is newer, the owner looks at the flags itself.
		 */
		uintptr_t addend = __atomic_load_n(&e->addend, __ATOMIC_RELAXED);

		if (tag != TLB_NONE && tag + addend == (uintptr_t)host)
			atomic_compare_exchange_strong(&e->tag_write, &tag, TLB_NONE);
	}
}

void mmu_protect_page(struct soft_vm *vm, const uint8_t *host)
{
	for (unsigned v = 0; v < vm->nr_vcpus; v++) {
		struct cpu *c = vm->vcpus[v];

		for (unsigned n = 0; n < ARRAY_SIZE(c->kernel_tlbs); n++)
			tlb_protect(&c->kernel_tlbs[n], host);
		for (unsigned n = 0; n < TLB_SPACES; n++)
			tlb_protect(&c->spaces[n].user, host);
		sites_protect(c);
	}
}
