/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest accesses that miss the inlined TLB check: they fill the TLB from the page tables, fault,
 * cross pages, reach devices (mmio.c), or store into pages that hold decoded code, are logged, or
 * are ROM. vCPU thread. Left out: caching attributes (PAT, MTRR) have no effect, all is write-back.
 */
#include "engine/soft/mmu.h"

#include "engine/soft/mmio.h"
#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"
#include "engine/soft/system.h"

/* A page of guest memory as one access sees it. */
struct page {
	uint64_t gpa;	       /* of the page */
	uint8_t *host;	       /* NULL: a device */
	struct soft_region *r; /* NULL with host */
};

/* An access in progress: whose rights it has, and where to return to when it fails. */
struct request {
	const struct insn *insn;
	enum tlb_mode mode;
	bool is_system; /* by the CPU itself, no alignment check, supervisor rights */
};

static struct request user_request(const struct cpu *c, const struct insn *i)
{
	return (struct request){.insn = i, .mode = c->tlb_mode};
}

/* SMAP is in force for implicit accesses whatever AC says (SDM vol. 3, 4.6.1). */
static struct request system_request(const struct cpu *c, const struct insn *i)
{
	return (struct request){.insn = i,
				.mode = c->cr4 & CR4_SMAP ? TLB_KERNEL : TLB_KERNEL_AC,
				.is_system = true};
}

/* ---- checks before translation ---- */

/*
 * Whether a memory access goes by the stack segment, for #SS instead of #GP: SS or a base register
 * of RSP or RBP in the operand, or the implicit stack of PUSH, CALL and the like.
 */
static bool is_stack_access(const struct cpu *c, const struct insn *i, gva_t va)
{
	uint64_t distance = va - c->gpr[RSP] + 4096;
	bool has_operand, uses_stack;

	if (!i)
		return false;
	has_operand = i->prefix & PFX_MEM;
	uses_stack = insn_rows[i->row].attr & (A_D64 | A_F64);
	if (distance < 8192 && (uses_stack || !has_operand))
		return true;
	if (!has_operand)
		return false;
	if (i->ea & EA_SEGMENTED)
		return EA_SEG(i->ea) == SEG_SS;
	return i->base == RSP || i->base == RBP;
}

static void check_canonical(struct cpu *c, const struct request *q, gva_t va, unsigned size)
{
	if (likely(is_canonical(va) && is_canonical(va + size - 1)))
		return;
	cpu_fault_code(c, q->insn, is_stack_access(c, q->insn, va) ? VEC_SS : VEC_GP, 0);
}

/*
 * What #AC wants of a data access (SDM vol. 3, table 6-7): the size for up to 8 bytes and for an
 * 80-bit real 8, its words or doublewords for an x87 image, nothing for vectors; on AMD's CPUs 16
 * for vectors (APM vol. 2, 8.2.18).
 */
static unsigned alignment(const struct cpu *c, unsigned size)
{
	if (size == 10)
		return 8;
	if (size > 10 && !(size & (size - 1)))
		return cpu_is_amd(c) ? 16 : 1;
	return size & -size;
}

static void check_alignment(struct cpu *c, const struct request *q, gva_t va, unsigned size)
{
	bool is_checked = c->cpl == 3 && !q->is_system && c->rflags & FLAG_AC && c->cr0 & CR0_AM;

	if (is_checked && va & (alignment(c, size) - 1))
		cpu_fault_code(c, q->insn, VEC_AC, 0);
}

/* Linear addresses wrap at 4 GiB outside long mode. */
static gva_t linear(const struct cpu *c, gva_t va)
{
	return c->efer & EFER_LMA ? va : (uint32_t)va;
}

/* All that is due before the bytes of a data access are touched; returns the address to use. */
static gva_t begin_access(struct cpu *c, const struct request *q, gva_t va, unsigned size,
			  bool is_write)
{
	c->stats.slow_accesses++;
	va = linear(c, va);
	if (c->efer & EFER_LMA)
		check_canonical(c, q, va, size);
	if (unlikely(c->tlb == c->tlb_slow)) {
		check_alignment(c, q, va, size);
		if (!q->is_system)
			debug_data_access(c, va, size, is_write);
	}
	return va;
}

/* ---- translation ---- */

static struct tlb_entry *entry_of(struct cpu *c, enum tlb_mode mode, gva_t va)
{
	return &c->tlbs[mode]->entries[(va >> 12) & (TLB_SIZE - 1)];
}

static void page_fault(struct cpu *c, const struct request *q, gva_t va, enum access access,
		       uint32_t error) __attribute__((noreturn, cold));
static void page_fault(struct cpu *c, const struct request *q, gva_t va, enum access access,
		       uint32_t error)
{
	bool has_nx = c->efer & EFER_NXE && (c->cr4 & CR4_PAE || c->efer & EFER_LMA);

	error &= ~WALK_ABSENT;
	if (access == ACCESS_WRITE)
		error |= PF_WRITE;
	if (access == ACCESS_FETCH && (has_nx || c->cr4 & CR4_SMEP))
		error |= PF_FETCH;
	if (q->mode == TLB_USER)
		error |= PF_USER;
	cpu_page_fault(c, q->insn, va, error);
}

/* Walks, checks and marks; a changed entry starts it again. */
static void walk_or_fault(struct cpu *c, const struct request *q, gva_t va, enum access access,
			  struct walk *w)
{
	do {
		uint32_t error = page_walk(c, va, w);

		if (error)
			page_fault(c, q, va, access, error);
		if (!walk_allows(c, w, q->mode, access))
			page_fault(c, q, va, access, PF_PRESENT);
	} while (!walk_mark(w, c, access == ACCESS_WRITE));
}

static bool is_logged(struct soft_region *r, uint64_t gpa)
{
	_Atomic uint64_t *dirty = atomic_load_explicit(&r->dirty, memory_order_acquire);
	uint64_t page = (gpa - r->gpa) >> GUEST_PAGE_SHIFT;

	return !dirty ||
	       atomic_load_explicit(&dirty[page / 64], memory_order_relaxed) >> page % 64 & 1;
}

static void log_write_to(struct soft_region *r, uint64_t gpa)
{
	_Atomic uint64_t *dirty = atomic_load_explicit(&r->dirty, memory_order_acquire);
	uint64_t page = (gpa - r->gpa) >> GUEST_PAGE_SHIFT;

	if (dirty)
		atomic_fetch_or_explicit(&dirty[page / 64], BIT64(page % 64), memory_order_relaxed);
}

/*
 * Lets stores to the page go the fast way unless each must be seen. The flags are looked at after
 * the tag is in place: pairs with page_new() of the block cache, which sets PAGE_WATCHED, takes
 * PAGE_WRITABLE and only then looks at tags. Without PAGE_WRITABLE the look at tags has begun, even
 * if the watch is over by now, and the next watch would not look again.
 */
static void allow_writes(struct cpu *c, struct tlb_entry *e, gva_t va, const struct page *p)
{
	_Atomic uint8_t *flags;

	if (p->r->is_rom || !is_logged(p->r, p->gpa))
		return;
	flags = soft_page_flags(p->r, p->gpa);
	if (atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WATCHED)
		return;
	if (!(atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WRITABLE))
		atomic_fetch_or(flags, PAGE_WRITABLE);
	atomic_store(&e->tag_write, va & PAGE_MASK_64);
	if ((atomic_load(flags) & (PAGE_WATCHED | PAGE_WRITABLE)) != PAGE_WRITABLE)
		atomic_store(&e->tag_write, TLB_NONE);
}

static uint8_t entry_flags(const struct walk *w)
{
	uint8_t flags = w->is_global ? TLB_GLOBAL : 0;

	if (w->size == 2 * MIB)
		flags |= TLB_2M;
	else if (w->size == 4 * MIB)
		flags |= TLB_4M;
	else if (w->size == GIB)
		flags |= TLB_1G;
	return flags;
}

static void fill_entry(struct cpu *c, enum tlb_mode mode, gva_t va, const struct walk *w,
		       const struct page *p)
{
	struct tlb_entry *e = entry_of(c, mode, va);
	struct tlb *tlb = c->tlbs[mode];
	uint64_t tag = va & PAGE_MASK_64;

	if (e->tag_read != TLB_NONE && e->tag_read != tag)
		c->tlb_conflicts++;
	atomic_store_explicit(&e->tag_write, TLB_NONE, memory_order_relaxed);
	e->tag_read = walk_allows(c, w, mode, ACCESS_READ) ? tag : TLB_NONE;
	e->tag_fetch = walk_allows(c, w, mode, ACCESS_FETCH) ? tag : TLB_NONE;
	__atomic_store_n(&e->addend, (uintptr_t)p->host - tag, __ATOMIC_RELAXED);
	tlb->flags[e - tlb->entries] = entry_flags(w);
	atomic_store_explicit(&tlb->is_used, true, memory_order_relaxed);
	tlb->has_global |= w->is_global;
	tlb->has_local |= !w->is_global;
	if (w->size > 4 * KIB)
		tlb->large |= BIT64(va >> 30 & 63);
	if (w->is_dirty && walk_allows(c, w, mode, ACCESS_WRITE))
		allow_writes(c, e, va, p);
	if (mode == c->tlb_mode)
		c->tlb_filled = e;
}

static struct page page_at(struct cpu *c, uint64_t gpa)
{
	struct page p = {.gpa = gpa, .r = soft_region_find(c->vm, gpa)};

	if (p.r)
		p.host = p.r->host + (gpa - p.r->gpa);
	return p;
}

/* The page a TLB hit leads to. */
static struct page page_of_host(struct cpu *c, uint8_t *host)
{
	for (unsigned i = 0; i < c->vm->nr_regions; i++) {
		struct soft_region *r = &c->vm->regions[i];

		if ((uint64_t)(host - r->host) < r->size)
			return (struct page){
				.gpa = r->gpa + (uint64_t)(host - r->host), .host = host, .r = r};
	}
	bug(__FILE__, __LINE__, "a TLB entry points outside guest memory");
}

static const enum engine_access walk_kind[] = {
	[ACCESS_READ] = ENGINE_READ,
	[ACCESS_WRITE] = ENGINE_WRITE,
	[ACCESS_FETCH] = ENGINE_FETCH,
};

static struct page translate(struct cpu *c, const struct request *q, gva_t va, enum access access)
{
	const struct tlb_entry *e = entry_of(c, q->mode, va);
	uint64_t tag = access == ACCESS_READ ? e->tag_read
		       : access == ACCESS_FETCH
			       ? e->tag_fetch
			       : atomic_load_explicit(&e->tag_write, memory_order_relaxed);
	struct page p;
	struct walk w;

	if (tag == (va & PAGE_MASK_64))
		return page_of_host(c, (uint8_t *)(tag + e->addend));
	c->stats.walks[walk_kind[access]]++;
	walk_or_fault(c, q, va, access, &w);
	p = page_at(c, w.gpa);
	if (p.host)
		fill_entry(c, q->mode, va, &w, &p);
	return p;
}

/* ---- stores that must be seen ---- */

/* Of what is left of a block that was dropped, no store would be seen any more. */
static bool drops_running_block(const struct cpu *c, uint64_t gpa, unsigned len)
{
	return c->block && !block_is_alone(c, c->block) &&
	       block_cache_store_drops(c->vm->blocks, gpa, len, c->block);
}

/*
 * Before len bytes at off of a page are stored. Leaves when that would drop the block that is
 * running. Returns where to store, or NULL when the bytes are to be dropped (ROM).
 */
static uint8_t *prepare_store(struct cpu *c, const struct request *q, gva_t va,
			      const struct page *p, unsigned len)
{
	unsigned off = va & 0xfff;
	_Atomic uint8_t *flags;

	if (p->r->is_rom)
		return NULL;
	flags = soft_page_flags(p->r, p->gpa);
	if (atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WATCHED &&
	    drops_running_block(c, p->gpa + off, len))
		cpu_restart_alone(c, q->insn);
	if (!is_logged(p->r, p->gpa)) {
		struct tlb_entry *e = entry_of(c, q->mode, va);

		log_write_to(p->r, p->gpa);
		if (e->tag_read == (va & PAGE_MASK_64))
			allow_writes(c, e, va, p);
	}
	return p->host + off;
}

/* After it: code made from the old bytes is dropped. The fence pairs with the one in cache.c. */
static void drop_code(struct soft_vm *vm, struct soft_region *r, uint64_t gpa, unsigned len)
{
	_Atomic uint8_t *flags = soft_page_flags(r, gpa);

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WATCHED)
		block_cache_store(vm->blocks, gpa, len);
}

static void finish_store(struct cpu *c, const struct page *p, gva_t va, unsigned len)
{
	drop_code(c->vm, p->r, p->gpa + (va & 0xfff), len);
}

void mmu_wrote(struct soft_vm *vm, struct soft_region *r, uint64_t gpa, unsigned len)
{
	log_write_to(r, gpa);
	drop_code(vm, r, gpa, len);
}

/* The same for a store that the caller will make: drops code now, and again when it is made. */
static void expect_store(struct cpu *c, const struct page *p, gva_t va, unsigned len)
{
	_Atomic uint8_t *flags = soft_page_flags(p->r, p->gpa);
	uint64_t gpa = p->gpa + (va & 0xfff);
	unsigned n = c->nr_late_writes;

	/*
	 * Like an entry of the TLB, the pointer the caller gets lets a store pass: a watch that begins
	 * from now on must know.
	 */
	if (!(atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WATCHED)) {
		if (!(atomic_load_explicit(flags, memory_order_relaxed) & PAGE_WRITABLE))
			atomic_fetch_or(flags, PAGE_WRITABLE);
		if (!(atomic_load(flags) & PAGE_WATCHED))
			return;
	}
	block_cache_store(c->vm->blocks, gpa, len);
	if (n && c->late_writes[n - 1].gpa + c->late_writes[n - 1].len == gpa) {
		c->late_writes[n - 1].len += len;
		return;
	}
	if (n == ARRAY_SIZE(c->late_writes)) {
		/* Too many to remember one by one: all of memory. */
		c->late_writes[0].gpa = 0;
		c->late_writes[0].len = UINT64_MAX;
		return;
	}
	c->late_writes[n].gpa = gpa;
	c->late_writes[n].len = len;
	c->nr_late_writes = n + 1;
	cpu_request(c, REQ_SAFE);
}

/* ---- bytes ---- */

/* Each power of two is one host access, because its length is constant; others are copied. */
static GUEST_RACES uint64_t get_bytes(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	switch (size) {
	case 1:
		memcpy(&v, p, 1);
		break;
	case 2:
		memcpy(&v, p, 2);
		break;
	case 4:
		memcpy(&v, p, 4);
		break;
	case 8:
		memcpy(&v, p, 8);
		break;
	default:
		guest_copy(&v, p, size);
		break;
	}
	return v;
}

static GUEST_RACES void put_bytes(uint8_t *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		memcpy(p, &v, 1);
		break;
	case 2:
		memcpy(p, &v, 2);
		break;
	case 4:
		memcpy(p, &v, 4);
		break;
	case 8:
		memcpy(p, &v, 8);
		break;
	default:
		guest_copy(p, &v, size);
		break;
	}
}

/* Up to 8 bytes inside one page. */
static uint64_t load_in_page(struct cpu *c, const struct request *q, gva_t va, unsigned size,
			     const struct page *p)
{
	if (!p->host)
		return mmio_read(c, q->insn, p->gpa + (va & 0xfff), size);
	return get_bytes(p->host + (va & 0xfff), size);
}

static void store_in_page(struct cpu *c, const struct request *q, gva_t va, unsigned size,
			  uint64_t value, const struct page *p)
{
	uint8_t *host;

	if (!p->host) {
		mmio_write(c, q->insn, p->gpa + (va & 0xfff), size, value);
		return;
	}
	host = prepare_store(c, q, va, p, size);
	if (!host)
		return;
	put_bytes(host, size, value);
	finish_store(c, p, va, size);
}

/* How many of size bytes at va lie on its page. */
static unsigned bytes_on_page(gva_t va, unsigned size)
{
	return min(size, 4096u - (unsigned)(va & 0xfff));
}

static uint64_t load(struct cpu *c, const struct request *q, gva_t va, unsigned size,
		     enum access access)
{
	unsigned first = bytes_on_page(va, size);
	struct page p = translate(c, q, va, access), next;
	uint64_t low;
	gva_t rest;

	if (first == size)
		return load_in_page(c, q, va, size, &p);
	rest = linear(c, va + first);
	next = translate(c, q, rest, access);
	low = load_in_page(c, q, va, first, &p);
	return low | load_in_page(c, q, rest, size - first, &next) << first * 8;
}

static void store(struct cpu *c, const struct request *q, gva_t va, unsigned size, uint64_t value)
{
	unsigned first = bytes_on_page(va, size);
	struct page p = translate(c, q, va, ACCESS_WRITE), next;
	gva_t rest;

	if (first == size) {
		store_in_page(c, q, va, size, value, &p);
		return;
	}
	rest = linear(c, va + first);
	next = translate(c, q, rest, ACCESS_WRITE);
	if (next.host)
		prepare_store(c, q, rest, &next, size - first);
	store_in_page(c, q, va, first, value, &p);
	store_in_page(c, q, rest, size - first, value >> first * 8, &next);
}

uint64_t mmu_load_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct request q = user_request(c, i);

	va = begin_access(c, &q, va, size, false);
	return load(c, &q, va, size, ACCESS_READ);
}

void mmu_store_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t value)
{
	struct request q = user_request(c, i);

	va = begin_access(c, &q, va, size, true);
	store(c, &q, va, size, value);
}

uint64_t mmu_load_for_write(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct request q = user_request(c, i);

	va = begin_access(c, &q, va, size, true);
	return load(c, &q, va, size, ACCESS_WRITE);
}

uint64_t mmu_load_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct request q = system_request(c, i);

	va = begin_access(c, &q, va, size, false);
	return load(c, &q, va, size, ACCESS_READ);
}

void mmu_store_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t value)
{
	struct request q = system_request(c, i);

	va = begin_access(c, &q, va, size, true);
	store(c, &q, va, size, value);
}

/* ---- read-modify-write ---- */

static void *rmw(struct cpu *c, const struct request *q, gva_t va, unsigned size)
{
	struct page p = translate(c, q, va, ACCESS_WRITE);
	uint8_t *host;

	if (bytes_on_page(va, size) != size) {
		translate(c, q, linear(c, va + bytes_on_page(va, size)), ACCESS_WRITE);
		return NULL;
	}
	if (!p.host)
		return NULL;
	host = prepare_store(c, q, va, &p, size);
	if (host)
		expect_store(c, &p, va, size);
	return host;
}

void *mmu_rmw_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct request q = user_request(c, i);

	va = begin_access(c, &q, va, size, true);
	return rmw(c, &q, va, size);
}

void *mmu_rmw_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct request q = system_request(c, i);

	va = begin_access(c, &q, va, size, true);
	return rmw(c, &q, va, size);
}

void *mmu_rmw(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	return mmu_rmw_fast(c, i, va, size);
}

/*
 * Exchanges the size bytes (fewer than 8) at host, which are at the start or the end of a page and so
 * within one aligned word. False: they are not old.
 */
static bool exchange_part(uint8_t *host, unsigned size, uint64_t old, uint64_t value)
{
	const unsigned shift = ((uintptr_t)host & 7) * 8;
	_Atomic uint64_t *word = (_Atomic uint64_t *)(host - shift / 8);
	const uint64_t mask = (BIT64(size * 8) - 1) << shift;
	uint64_t seen = atomic_load(word);

	do {
		if ((seen ^ old << shift) & mask)
			return false;
	} while (!atomic_compare_exchange_weak(word, &seen,
					       (seen & ~mask) | (value << shift & mask)));
	return true;
}

/* Both parts, or none. A part that stays the same is looked at first: then nothing is undone. */
static bool exchange_parts(uint8_t *const host[2], const unsigned size[2], uint64_t old,
			   uint64_t value)
{
	const uint64_t from[2] = {old, old >> size[0] * 8}, to[2] = {value, value >> size[0] * 8};
	const unsigned a = ((old ^ value) & (BIT64(size[0] * 8) - 1)) != 0, b = !a;

	if (host[a] && !exchange_part(host[a], size[a], from[a], to[a]))
		return false;
	if (!host[b] || exchange_part(host[b], size[b], from[b], to[b]))
		return true;
	/* Where this fails another's store has come after ours. */
	if (host[a])
		exchange_part(host[a], size[a], to[a], from[a]);
	return false;
}

void mmu_store_split(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t old,
		     uint64_t value)
{
	struct request q = user_request(c, i);
	bool is_done;

	va = begin_access(c, &q, va, size, true);
	unsigned sizes[2] = {bytes_on_page(va, size), size - bytes_on_page(va, size)};
	gva_t rest = linear(c, va + sizes[0]);
	struct page p = translate(c, &q, va, ACCESS_WRITE);
	struct page next = sizes[1] ? translate(c, &q, rest, ACCESS_WRITE) : p;
	if (!sizes[1] || !p.host || !next.host) {
		store(c, &q, va, size, value);
		return;
	}
	uint8_t *const hosts[2] = {prepare_store(c, &q, va, &p, sizes[0]),
				   prepare_store(c, &q, rest, &next, sizes[1])};
	is_done = exchange_parts(hosts, sizes, old, value);
	if (hosts[0])
		finish_store(c, &p, va, sizes[0]);
	if (hosts[1])
		finish_store(c, &next, rest, sizes[1]);
	if (!is_done)
		cpu_restart_alone(c, i);
}

void mmu_split_lock(struct cpu *c)
{
	pthread_mutex_lock(&c->vm->split_lock);
	c->has_split_lock = true;
}

void mmu_split_unlock(struct cpu *c)
{
	c->has_split_lock = false;
	pthread_mutex_unlock(&c->vm->split_lock);
}

/* ---- longer runs ---- */

static void check_write(struct cpu *c, const struct request *q, gva_t va, unsigned len)
{
	while (len) {
		unsigned n = bytes_on_page(va, len);
		struct page p = translate(c, q, va, ACCESS_WRITE);

		if (p.host)
			prepare_store(c, q, va, &p, n);
		va = linear(c, va + n);
		len -= n;
	}
}

void mmu_check_write(struct cpu *c, const struct insn *i, gva_t va, unsigned len)
{
	struct request q = user_request(c, i);

	va = begin_access(c, &q, va, len, true);
	check_write(c, &q, va, len);
}

void mmu_check_system_write(struct cpu *c, const struct insn *i, gva_t va, unsigned len)
{
	struct request q = system_request(c, i);

	va = begin_access(c, &q, va, len, true);
	check_write(c, &q, va, len);
}

/* Devices see pieces of up to 8 bytes, aligned where the run is. */
static unsigned device_piece(gva_t va, unsigned len)
{
	return min(len, 8 - (unsigned)(va & 7));
}

void mmu_load_bytes(struct cpu *c, const struct insn *i, gva_t va, void *dst, unsigned len)
{
	struct request q = user_request(c, i);
	uint8_t *out = dst;

	va = begin_access(c, &q, va, len, false);
	while (len) {
		unsigned n = bytes_on_page(va, len);
		struct page p = translate(c, &q, va, ACCESS_READ);

		if (p.host) {
			guest_copy(out, p.host + (va & 0xfff), n);
		} else {
			n = device_piece(va, n);
			put_bytes(out, n, load_in_page(c, &q, va, n, &p));
		}
		out += n;
		va = linear(c, va + n);
		len -= n;
	}
}

void mmu_store_bytes(struct cpu *c, const struct insn *i, gva_t va, const void *src, unsigned len)
{
	struct request q = user_request(c, i);
	const uint8_t *in = src;

	va = begin_access(c, &q, va, len, true);
	check_write(c, &q, va, len);
	while (len) {
		unsigned n = bytes_on_page(va, len);
		struct page p = translate(c, &q, va, ACCESS_WRITE);

		if (p.host) {
			uint8_t *host = prepare_store(c, &q, va, &p, n);

			if (host) {
				guest_copy(host, in, n);
				finish_store(c, &p, va, n);
			}
		} else {
			n = device_piece(va, n);
			store_in_page(c, &q, va, n, get_bytes(in, n), &p);
		}
		in += n;
		va = linear(c, va + n);
		len -= n;
	}
}

unsigned mmu_run(struct cpu *c, const struct insn *i, gva_t va, unsigned len, bool is_write,
		 void **host)
{
	struct request q = user_request(c, i);
	struct page p;

	if (c->tlb == c->tlb_slow || !len)
		return 0;
	va = begin_access(c, &q, va, 1, is_write);
	len = bytes_on_page(va, len);
	p = translate(c, &q, va, is_write ? ACCESS_WRITE : ACCESS_READ);
	if (!p.host)
		return 0;
	*host = p.host + (va & 0xfff);
	if (!is_write)
		return len;
	if (!prepare_store(c, &q, va, &p, len))
		return 0;
	expect_store(c, &p, va, len);
	return len;
}

/* ---- for the block cache and debuggers ---- */

const uint8_t *mmu_fetch_page(struct cpu *c, gva_t va, uint64_t *gpa)
{
	struct request q = {.mode = c->tlb_mode};
	struct page p;

	va = linear(c, va);
	if (c->efer & EFER_LMA)
		check_canonical(c, &q, va, 1);
	p = translate(c, &q, va, ACCESS_FETCH);
	*gpa = p.gpa;
	return p.host;
}

bool mmu_translate(struct cpu *c, gva_t va, uint64_t *gpa)
{
	struct walk w;

	va = linear(c, va);
	if ((c->efer & EFER_LMA && !is_canonical(va)) || page_walk(c, va, &w))
		return false;
	*gpa = w.gpa + (va & 0xfff);
	return true;
}
