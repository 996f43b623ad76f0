/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block cache. Memory is one arena in NR_PARTS parts, filled in turn; when a part is full the
 * next one, dropped some time before, is used, and the one after it is dropped. Lookups take no
 * lock: hash chains are read with acquire, and a dropped block's memory stays as it is until every
 * vCPU has passed a safe point. Everything that changes the cache holds its lock, which nothing
 * else is taken under.
 */
#include "engine/soft/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/soft/cache_impl.h"
#include "engine/soft/exec.h"
#include "engine/soft/mmu.h"
#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"
#include "engine/soft/translate/code.h"

#define MIN_SIZE (256 * KIB)
#define NR_PARTS 8

/* A page that was stored to this often since it was watched keeps no code: it is mostly data. */
#define STORES_MAX 64

#define PAGE_BUCKETS 4096u

/* A guest page that holds blocks. */
struct code_page {
	struct code_page *next; /* same bucket */
	struct list blocks;
	struct list pending; /* in block_cache.fresh or .waiting, or alone */
	uint64_t gpa;
	unsigned nr_stores;
};

/* Why blocks are dropped. */
enum drop_cause { DROP_STORE, DROP_DEVICE, DROP_LATE, DROP_ROOM, NR_DROP_CAUSES };

struct block_cache {
	struct soft_vm *vm;
	pthread_mutex_t lock;

	uint8_t *arena;
	size_t part_size;
	unsigned part;		 /* being filled */
	size_t used;		 /* of it */
	size_t filled[NR_PARTS]; /* bytes of blocks in each part */

	/* Where every vCPU was when the part after `part` was dropped. */
	uint64_t dropped_at[SOFT_VCPUS_MAX];
	_Atomic unsigned generation; /* grows with each dropped part */

	struct block **buckets;
	unsigned bucket_shift;
	struct code_page *pages[PAGE_BUCKETS];

	/*
	 * Pages watched since other vCPUs last passed a safe point: fresh ones, and those that wait
	 * for the safe points counted from waiting_since.
	 */
	struct list fresh, waiting;
	uint64_t waiting_since[SOFT_VCPUS_MAX];
	_Atomic unsigned nr_pending;

	/* For engine_vm_stats(). */
	uint64_t nr_blocks, nr_parts_dropped, nr_dropped[NR_DROP_CAUSES];
};

/* ---- safe points ---- */

void safe_points_note(struct soft_vm *vm, uint64_t *epochs)
{
	for (unsigned v = 0; v < vm->nr_vcpus; v++) {
		cpu_request(vm->vcpus[v], REQ_SAFE);
		epochs[v] = atomic_load(&vm->vcpus[v]->epoch);
	}
}

/*
 * An odd epoch is a vCPU outside the guest; it passes a safe point before it runs again. One that
 * has not passed is asked once more: it may have taken the request before its epoch was noted.
 */
bool safe_points_passed(const struct soft_vm *vm, const uint64_t *epochs, const struct cpu *self)
{
	bool is_all = true;

	for (unsigned v = 0; v < vm->nr_vcpus; v++) {
		struct cpu *c = vm->vcpus[v];

		if (c == self || epochs[v] & 1 || atomic_load(&c->epoch) != epochs[v])
			continue;
		if (!(atomic_load(&c->requests) & REQ_SAFE))
			cpu_request(c, REQ_SAFE);
		is_all = false;
	}
	return is_all;
}

/* ---- hash ---- */

static struct block **bucket_of(const struct block_cache *bc, uint64_t gpa, uint32_t mode)
{
	uint64_t h = (gpa ^ (uint64_t)mode << 40) * 0x9e3779b97f4a7c15ull;

	return &bc->buckets[h >> bc->bucket_shift];
}

static struct block *hash_find(const struct block_cache *bc, uint64_t gpa, uint32_t mode)
{
	struct block *b = __atomic_load_n(bucket_of(bc, gpa, mode), __ATOMIC_ACQUIRE);

	while (b && (b->gpa != gpa || b->mode != mode ||
		     !atomic_load_explicit(&b->is_valid, memory_order_relaxed)))
		b = __atomic_load_n(&b->hash_next, __ATOMIC_ACQUIRE);
	return b;
}

static void hash_insert(struct block_cache *bc, struct block *b)
{
	struct block **head = bucket_of(bc, b->gpa, b->mode);

	b->hash_next = *head;
	__atomic_store_n(head, b, __ATOMIC_RELEASE);
}

static void hash_remove(struct block_cache *bc, struct block *b)
{
	struct block **link = bucket_of(bc, b->gpa, b->mode);

	while (*link != b)
		link = &(*link)->hash_next;
	__atomic_store_n(link, b->hash_next, __ATOMIC_RELEASE);
}

/* ---- pages ---- */

static struct code_page **page_bucket(struct block_cache *bc, uint64_t gpa)
{
	return &bc->pages[(gpa >> GUEST_PAGE_SHIFT) % PAGE_BUCKETS];
}

static struct code_page *page_find(struct block_cache *bc, uint64_t gpa)
{
	struct code_page *p = *page_bucket(bc, gpa);

	while (p && p->gpa != gpa)
		p = p->next;
	return p;
}

static void page_end_pending(struct block_cache *bc, struct code_page *p)
{
	if (list_is_empty(&p->pending))
		return;
	list_remove(&p->pending);
	atomic_fetch_sub(&bc->nr_pending, 1);
}

static void page_free(struct block_cache *bc, struct code_page *p)
{
	struct soft_region *r = soft_region_find(bc->vm, p->gpa);
	struct code_page **link = page_bucket(bc, p->gpa);

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	/* Whoever was past its check when this watch began may still be when the next one does. */
	if (!list_is_empty(&p->pending))
		atomic_fetch_or(soft_page_flags(r, p->gpa), PAGE_WRITABLE);
	page_end_pending(bc, p);
	atomic_fetch_and(soft_page_flags(r, p->gpa), (uint8_t)~PAGE_WATCHED);
	free(p);
}

/*
 * Begins the watch of a page of RAM. Stores from now on are seen, but for those of other vCPUs that
 * were past their check: so the page is compared again later.
 */
static struct code_page *page_new(struct block_cache *bc, const struct cpu *c,
				  struct soft_region *r, uint64_t gpa)
{
	struct code_page *p = calloc(1, sizeof(*p));
	_Atomic uint8_t *flags = soft_page_flags(r, gpa);

	if (!p)
		return NULL;
	p->gpa = gpa;
	list_init(&p->blocks);
	list_init(&p->pending);
	p->next = *page_bucket(bc, gpa);
	*page_bucket(bc, gpa) = p;
	if (atomic_fetch_or(flags, PAGE_WATCHED) & PAGE_WRITABLE) {
		atomic_fetch_and(flags, (uint8_t)~PAGE_WRITABLE);
		mmu_protect_page(bc->vm, r->host + (gpa - r->gpa));
		if (bc->vm->nr_vcpus > 1) {
			list_append(&bc->fresh, &p->pending);
			atomic_fetch_add(&bc->nr_pending, 1);
			for (unsigned v = 0; v < bc->vm->nr_vcpus; v++)
				if (bc->vm->vcpus[v] != c)
					cpu_request(bc->vm->vcpus[v], REQ_SAFE);
		}
	}
	return p;
}

static void block_drop(struct block_cache *bc, struct block *b, enum drop_cause cause)
{
	bc->nr_dropped[cause]++;
	atomic_store_explicit(&b->is_valid, false, memory_order_relaxed);
	hash_remove(bc, b);
	list_remove(&b->page_node);
	if (bc->vm->code)
		code_detach(bc->vm->code, b);
}

static void page_drop_range(struct block_cache *bc, struct code_page *p, uint64_t gpa, uint64_t len,
			    enum drop_cause cause)
{
	list_for_each_safe (it, &p->blocks) {
		struct block *b = list_entry(it, struct block, page_node);

		if (b->gpa + b->size > gpa && b->gpa - gpa < len)
			block_drop(bc, b, cause);
		else if (b->gpa < gpa && gpa < b->gpa + b->size)
			block_drop(bc, b, cause);
	}
	if (list_is_empty(&p->blocks))
		page_free(bc, p);
}

/* ---- memory ---- */

static size_t block_bytes(unsigned nr, unsigned size)
{
	return ALIGN_UP(sizeof(struct block) + (nr + 1) * sizeof(struct insn) + size, (size_t)64);
}

static uint8_t *part_start(const struct block_cache *bc, unsigned part)
{
	return bc->arena + bc->part_size * part;
}

static void part_drop(struct block_cache *bc, unsigned part)
{
	uint8_t *start = part_start(bc, part);

	for (size_t at = 0; at < bc->filled[part];) {
		struct block *b = (struct block *)(start + at);

		at += block_bytes(b->nr, b->size);
		if (atomic_load_explicit(&b->is_valid, memory_order_relaxed)) {
			struct code_page *p = page_find(bc, b->gpa & ~0xfffull);

			block_drop(bc, b, DROP_ROOM);
			if (list_is_empty(&p->blocks))
				page_free(bc, p);
		}
	}
	if (bc->filled[part])
		bc->nr_parts_dropped++;
	bc->filled[part] = 0;
	atomic_fetch_add(&bc->generation, 1);
	safe_points_note(bc->vm, bc->dropped_at);
}

/* Room for a block; NULL while the part that is next is still in use somewhere. */
static struct block *arena_take(struct block_cache *bc, struct cpu *c, size_t bytes)
{
	struct block *b;

	if (bc->used + bytes > bc->part_size) {
		if (!safe_points_passed(bc->vm, bc->dropped_at, c))
			return NULL;
		bc->part = (bc->part + 1) % NR_PARTS;
		bc->used = 0;
		part_drop(bc, (bc->part + 1) % NR_PARTS);
		/* The caller holds no block but may have stale ones in its jump cache. */
		jump_cache_clear(c);
	}
	b = (struct block *)(part_start(bc, bc->part) + bc->used);
	bc->used += bytes;
	bc->filled[bc->part] = bc->used;
	return b;
}

struct block_cache *block_cache_new(struct soft_vm *vm, uint64_t size_bytes)
{
	struct block_cache *bc = calloc(1, sizeof(*bc));
	uint64_t size = max(size_bytes, MIN_SIZE);
	unsigned bits = 63 - (unsigned)__builtin_clzll(size / 256);

	if (!bc)
		return NULL;
	bc->vm = vm;
	pthread_mutex_init(&bc->lock, NULL);
	list_init(&bc->fresh);
	list_init(&bc->waiting);
	bc->part_size = ALIGN_DOWN(size / NR_PARTS, (size_t)4096);
	bc->bucket_shift = 64 - bits;
	bc->buckets = calloc(BIT64(bits), sizeof(*bc->buckets));
	bc->arena = mmap(NULL, bc->part_size * NR_PARTS, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bc->arena == MAP_FAILED || !bc->buckets) {
		if (bc->arena == MAP_FAILED)
			bc->arena = NULL;
		block_cache_free(bc);
		return NULL;
	}
	decode_init();
	return bc;
}

void block_cache_free(struct block_cache *bc)
{
	if (!bc)
		return;
	for (unsigned n = 0; n < PAGE_BUCKETS; n++) {
		while (bc->pages[n]) {
			struct code_page *p = bc->pages[n];

			bc->pages[n] = p->next;
			free(p);
		}
	}
	if (bc->arena)
		munmap(bc->arena, bc->part_size * NR_PARTS);
	free(bc->buckets);
	pthread_mutex_destroy(&bc->lock);
	free(bc);
}

/* ---- decoding ---- */

/* A block under construction. */
struct draft {
	uint8_t code[BLOCK_INSNS_MAX * 15];
	struct insn insns[BLOCK_INSNS_MAX + 1];
	unsigned nr, size;
};

static bool ends_block(const struct insn *i)
{
	return i->exec == x_ud || i->exec == x_gp ||
	       (insn_rows[i->row].attr & (A_END | A_COND)) == A_END;
}

/* A branch that is taken knows how many instructions of the block it leaves out. */
static void draft_close(struct draft *d)
{
	for (unsigned n = 0; n < d->nr; n++)
		if (insn_rows[d->insns[n].row].attr & A_COND)
			d->insns[n].disp = (int32_t)(d->nr - n - 1);
	d->insns[d->nr] = (struct insn){.exec = x_block_end, .off = (uint16_t)d->size};
	block_refine(d->insns, d->nr);
}

/* Decodes from d->code[0 .. avail). False: not even one instruction is complete. */
static bool draft_decode(const struct cpu *c, struct draft *d, unsigned avail)
{
	unsigned max_insns = c->mode & MODE_STEP ? 1 : BLOCK_INSNS_MAX;

	d->nr = d->size = 0;
	while (d->nr < max_insns) {
		struct insn *i = &d->insns[d->nr];
		unsigned len = decode(d->code + d->size, min(avail - d->size, 15u + 1),
				      cpu_code_size(c), c->features, d->size, i);

		if (!len)
			break;
		d->nr++;
		d->size += len;
		if (ends_block(i))
			break;
	}
	draft_close(d);
	return d->nr;
}

/* Only code of 64 bits is translated. */
static void prepare_translation(const struct block_cache *bc, struct block *b)
{
	b->translation = NULL;
	b->heat = 0;
	b->in_conflict = b->scattered = 0;
	b->run_failures = 0;
	b->is_hot = b->has_no_runs = false;
	list_init(&b->incoming);
	b->first = b->insns[0].exec;
	if (!bc->vm->code)
		return;
	atomic_store_explicit(&b->code, code_cold(bc->vm->code), memory_order_relaxed);
	if ((b->mode & (MODE_CODE_SIZE | MODE_STEP)) == CODE_64 &&
	    (b->mode & MODE_RIGHTS) != MODE_RIGHTS_SLOW << MODE_RIGHTS_SHIFT)
		b->insns[0].exec = x_heat;
}

/* Decodes the block at gpa, watched; NULL when it has to be an alone one. */
static struct block *build_locked(struct block_cache *bc, struct cpu *c, struct soft_region *r,
				  uint64_t gpa)
{
	struct code_page *p = page_find(bc, gpa & ~0xfffull);
	unsigned avail = 4096 - (gpa & 0xfff);
	struct block *b = NULL;
	struct draft d;

	if (!p)
		p = page_new(bc, c, r, gpa & ~0xfffull);
	if (!p)
		return NULL;
	/* The page is marked before its bytes are read: pairs with the fence after stores. */
	atomic_thread_fence(memory_order_seq_cst);
	avail = min(avail, (unsigned)sizeof(d.code));
	guest_copy(d.code, r->host + (gpa - r->gpa), avail);
	if (draft_decode(c, &d, avail))
		b = arena_take(bc, c, block_bytes(d.nr, d.size));
	/* Taking memory may have dropped every block of the page, and the page with them. */
	p = page_find(bc, gpa & ~0xfffull);
	if (!b || !p) {
		if (p && list_is_empty(&p->blocks))
			page_free(bc, p);
		if (b)
			*b = (struct block){.nr = (uint16_t)d.nr, .size = (uint16_t)d.size};
		return NULL;
	}
	b->gpa = gpa;
	b->host = r->host + (gpa - r->gpa);
	b->mode = c->mode;
	b->nr = (uint16_t)d.nr;
	b->size = (uint16_t)d.size;
	atomic_store_explicit(&b->is_valid, true, memory_order_relaxed);
	memcpy(b->insns, d.insns, (d.nr + 1) * sizeof(struct insn));
	memcpy(block_code(b), d.code, d.size);
	prepare_translation(bc, b);
	list_append(&p->blocks, &b->page_node);
	hash_insert(bc, b);
	bc->nr_blocks++;
	return b;
}

static struct block *build(struct block_cache *bc, struct cpu *c, uint64_t gpa)
{
	struct soft_region *r = soft_region_find(bc->vm, gpa);
	struct block *b;

	pthread_mutex_lock(&bc->lock);
	b = hash_find(bc, gpa, c->mode); /* another vCPU may have been faster */
	if (!b)
		b = build_locked(bc, c, r, gpa);
	pthread_mutex_unlock(&bc->lock);
	return b;
}

struct block *block_find_slow(struct cpu *c, gva_t va)
{
	struct block_cache *bc = c->vm->blocks;
	struct jump_entry *e = jump_slot(c, va);
	struct block *b;
	uint64_t gpa;

	const uint8_t *host;

	block_check_limit(c);
	host = mmu_fetch_page(c, va, &gpa);
	if (!host)
		block_no_code(c, gpa);
	if (jump_is_current(c, e->block, host + (va & 0xfff))) {
		jump_cache_set(c, e, va, e->block);
		return e->block;
	}
	gpa += va & 0xfff;
	b = hash_find(bc, gpa, c->mode);
	if (!b && !block_crosses_page(c, host + (va & 0xfff), gpa))
		b = build(bc, c, gpa);
	if (!b)
		return block_alone(c);
	jump_cache_set(c, e, va, b);
	return b;
}

void block_make_hot(struct cpu *c, struct block *b)
{
	struct block_cache *bc = c->vm->blocks;

	pthread_mutex_lock(&bc->lock);
	if (atomic_load_explicit(&b->is_valid, memory_order_relaxed))
		code_translate(c->vm->code, c, b);
	pthread_mutex_unlock(&bc->lock);
}

void block_renew_found(struct cpu *c)
{
	struct block_cache *bc = c->vm->blocks;

	if (!c->scattered_site && !c->conflict && !c->hot)
		return;
	pthread_mutex_lock(&bc->lock);
	if (c->scattered_site)
		code_scattered(c->vm->code, (c->scattered_site & ~SITE_SPLITS) - 1,
			       c->scattered_site & SITE_SPLITS);
	if (c->conflict)
		code_conflict(c->vm->code, c->conflict);
	if (c->hot)
		code_hot(c->vm->code, c->hot);
	pthread_mutex_unlock(&bc->lock);
	c->scattered_site = 0;
	c->conflict = NULL;
	c->hot = NULL;
}

/* After so many runs of accesses that were not to be had, every access has a check of its own. */
#define RUN_FAILURES_MAX 64

static void run_failed(struct block_cache *bc, struct block *b)
{
	if (!atomic_load_explicit(&b->is_valid, memory_order_relaxed) ||
	    ++b->run_failures < RUN_FAILURES_MAX)
		return;
	b->has_no_runs = true;
	code_renew(bc->vm->code, b);
}

void block_left(struct cpu *c, struct block *b)
{
	struct block_cache *bc = c->vm->blocks;

	pthread_mutex_lock(&bc->lock);
	if (c->link && !c->is_traced && b->translation &&
	    atomic_load_explicit(&b->is_valid, memory_order_relaxed))
		code_link(c->vm->code, c->link, b);
	if (c->failed_run)
		run_failed(bc, c->failed_run);
	pthread_mutex_unlock(&bc->lock);
	c->link = NULL;
	c->failed_run = NULL;
}

/* ---- invalidation ---- */

static void drop_in_page(struct block_cache *bc, uint64_t page, uint64_t gpa, uint64_t len,
			 enum drop_cause cause)
{
	struct soft_region *r = soft_region_find(bc->vm, page);
	struct code_page *p;

	if (!r ||
	    !(atomic_load_explicit(soft_page_flags(r, page), memory_order_relaxed) & PAGE_WATCHED))
		return;
	pthread_mutex_lock(&bc->lock);
	p = page_find(bc, page);
	if (p && cause == DROP_STORE && ++p->nr_stores > STORES_MAX)
		page_drop_range(bc, p, page, GUEST_PAGE_SIZE, cause);
	else if (p)
		page_drop_range(bc, p, gpa, len, cause);
	pthread_mutex_unlock(&bc->lock);
}

static void drop_everything_locked(struct block_cache *bc)
{
	for (unsigned n = 0; n < PAGE_BUCKETS; n++)
		while (bc->pages[n])
			page_drop_range(bc, bc->pages[n], bc->pages[n]->gpa, GUEST_PAGE_SIZE,
					DROP_DEVICE);
}

static void drop_everything(struct block_cache *bc)
{
	pthread_mutex_lock(&bc->lock);
	drop_everything_locked(bc);
	pthread_mutex_unlock(&bc->lock);
}

/* Outside the guest vCPUs hold pointers to blocks, and forget them by REQ_SAFE before they look. */
void block_cache_reset(struct block_cache *bc)
{
	pthread_mutex_lock(&bc->lock);
	drop_everything_locked(bc);
	memset(bc->filled, 0, sizeof(bc->filled));
	bc->part = 0;
	bc->used = 0;
	atomic_fetch_add(&bc->generation, 1);
	safe_points_note(bc->vm, bc->dropped_at);
	if (bc->vm->code)
		code_cache_reset(bc->vm->code);
	pthread_mutex_unlock(&bc->lock);
}

static void drop_range(struct block_cache *bc, gpa_t gpa, uint64_t len, enum drop_cause cause)
{
	uint64_t page = gpa & ~0xfffull, last = gpa + len - 1;

	if (!len)
		return;
	if (last < gpa || last - gpa >= GIB) {
		drop_everything(bc);
		return;
	}
	for (; page <= last && page >= (gpa & ~0xfffull); page += GUEST_PAGE_SIZE) {
		uint64_t from = max(page, gpa);

		drop_in_page(bc, page, from, min(last, page + 0xfff) - from + 1, cause);
	}
}

void block_cache_invalidate(struct block_cache *bc, gpa_t gpa, uint64_t len)
{
	/* The bytes are in place before the flags are read: pairs with the fence before decoding.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	drop_range(bc, gpa, len, DROP_DEVICE);
}

void block_cache_store(struct block_cache *bc, gpa_t gpa, uint64_t len)
{
	drop_range(bc, gpa, len, DROP_STORE);
}

bool block_cache_store_drops(struct block_cache *bc, gpa_t gpa, uint64_t len, const struct block *b)
{
	struct code_page *p;
	bool is_last;

	if (gpa < b->gpa + b->size && b->gpa < gpa + len)
		return true;
	if (gpa >> GUEST_PAGE_SHIFT != b->gpa >> GUEST_PAGE_SHIFT)
		return false;
	pthread_mutex_lock(&bc->lock);
	p = page_find(bc, gpa & ~0xfffull);
	is_last = p && p->nr_stores >= STORES_MAX;
	pthread_mutex_unlock(&bc->lock);
	return is_last;
}

bool block_cache_is_watched(struct block_cache *bc, gpa_t gpa)
{
	struct soft_region *r = soft_region_find(bc->vm, gpa);

	return r && atomic_load(soft_page_flags(r, gpa)) & PAGE_WATCHED;
}

/* ---- stores the watch came too late for ---- */

static void page_compare(struct block_cache *bc, struct code_page *p)
{
	const struct soft_region *r = soft_region_find(bc->vm, p->gpa);

	list_for_each_safe (it, &p->blocks) {
		struct block *b = list_entry(it, struct block, page_node);

		if (memcmp(r->host + (b->gpa - r->gpa), block_code(b), b->size))
			block_drop(bc, b, DROP_LATE);
	}
	if (list_is_empty(&p->blocks))
		page_free(bc, p);
}

static void compare_all(struct block_cache *bc, struct list *pages)
{
	list_for_each_safe (it, pages)
		page_compare(bc, list_entry(it, struct code_page, pending));
}

static void verify_locked(struct block_cache *bc, struct cpu *c)
{
	bool has_passed = safe_points_passed(bc->vm, bc->waiting_since, c);

	/* What was stored before a safe point is there to be compared after it. */
	compare_all(bc, &bc->fresh);
	compare_all(bc, &bc->waiting);
	if (!has_passed)
		return;
	while (!list_is_empty(&bc->waiting))
		page_end_pending(bc, list_entry(bc->waiting.next, struct code_page, pending));
	if (list_is_empty(&bc->fresh))
		return;
	safe_points_note(bc->vm, bc->waiting_since);
	while (!list_is_empty(&bc->fresh)) {
		struct list *node = bc->fresh.next;

		list_remove(node);
		list_append(&bc->waiting, node);
	}
}

void block_cache_verify(struct cpu *c)
{
	struct block_cache *bc = c->vm->blocks;

	if (likely(!atomic_load_explicit(&bc->nr_pending, memory_order_acquire)))
		return;
	pthread_mutex_lock(&bc->lock);
	verify_locked(bc, c);
	pthread_mutex_unlock(&bc->lock);
}

void block_cache_safe_point(struct cpu *c)
{
	struct block_cache *bc = c->vm->blocks;
	unsigned generation = atomic_load(&bc->generation);

	if (generation != c->cache_generation) {
		c->cache_generation = generation;
		jump_cache_clear(c);
	}
	while (c->nr_late_writes) {
		unsigned n = --c->nr_late_writes;

		block_cache_invalidate(bc, c->late_writes[n].gpa, c->late_writes[n].len);
	}
}

/* ---- counters ---- */

void block_cache_stats(struct block_cache *bc, struct engine_vm_stats *stats)
{
	pthread_mutex_lock(&bc->lock);
	*stats = (struct engine_vm_stats){
		.blocks = bc->nr_blocks,
		.block_parts = bc->nr_parts_dropped,
		.dropped_by_stores = bc->nr_dropped[DROP_STORE],
		.dropped_by_devices = bc->nr_dropped[DROP_DEVICE],
		.dropped_late = bc->nr_dropped[DROP_LATE],
		.dropped_for_room = bc->nr_dropped[DROP_ROOM],
	};
	if (bc->vm->code)
		code_cache_stats(bc->vm->code, stats);
	pthread_mutex_unlock(&bc->lock);
}
