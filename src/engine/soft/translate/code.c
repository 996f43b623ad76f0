/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of translated code, and the joints between translations. See code.h.
 */
#include "engine/soft/translate/code.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/soft/cache_impl.h"
#include "engine/soft/exec.h"
#include "engine/soft/soft.h"
#include "engine/soft/translate/emit_impl.h"
#include "engine/soft/translate/listing.h"
#include "engine/soft/vcpu.h"

#define GATES_SIZE (16 * KIB)
#define NR_PARTS   16
#define MIN_SIZE   (4 * MIB)

/* What a translation costs, in runs by the interpreter: measured with Debian's boot. */
#define HEAT_DEFAULT 40
#define HEAT_NEVER   UINT16_MAX
#define SIZE_DEFAULT (64 * MIB)

struct code_cache {
	struct soft_vm *vm;
	uint8_t *writable, *executable;
	size_t part_size;
	unsigned part; /* being filled */
	size_t used;   /* of it */
	size_t filled[NR_PARTS];
	uint64_t dropped_at[SOFT_VCPUS_MAX]; /* where vCPUs were when the next part was dropped */
	unsigned heat;
	bool has_sites_always;
	struct gates gates;
	uint8_t *cold; /* executable */
	struct emitter emitter;
	unsigned next_site[NR_SITE_GROUPS], next_counter;
	struct site_owner owners[NR_SITES];
	struct listing *listing; /* NULL: nothing is listed */
	uint64_t nr_translations, nr_bytes, nr_parts_dropped, nr_links; /* since it was made */
};

const struct gates *code_gates(const struct code_cache *cc)
{
	return &cc->gates;
}

ptrdiff_t code_exec_delta(const struct code_cache *cc)
{
	return cc->executable - cc->writable;
}

uint8_t *code_cold(const struct code_cache *cc)
{
	return cc->cold;
}

void code_cache_stats(const struct code_cache *cc, struct engine_vm_stats *stats)
{
	stats->translations = cc->nr_translations;
	stats->code_bytes = cc->nr_bytes;
	stats->code_parts = cc->nr_parts_dropped;
	stats->links = cc->nr_links;
}

/* ---- memory ---- */

/*
 * Shared memory without a name: perf looks into the map of soft.perf_map for such, not for a memfd.
 * mremap() from a size of 0 maps the same pages once more.
 */
static int map_twice(struct code_cache *cc, size_t size, struct error *err)
{
	cc->writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (cc->writable == MAP_FAILED)
		return error_set_errno(err, -errno, "memory for translated code");
	cc->executable = mremap(cc->writable, 0, size, MREMAP_MAYMOVE);
	if (cc->executable == MAP_FAILED ||
	    mprotect(cc->executable, size, PROT_READ | PROT_EXEC) < 0)
		return error_set_errno(err, -errno, "memory for translated code");
	return 0;
}

static uint8_t *part_start(const struct code_cache *cc, unsigned part)
{
	return cc->writable + GATES_SIZE + cc->part_size * part;
}

static size_t total_size(const struct code_cache *cc)
{
	return GATES_SIZE + cc->part_size * NR_PARTS;
}

struct code_cache *code_cache_new(struct soft_vm *vm, const struct engine_options *opt,
				  struct error *err)
{
	uint64_t size = opt->code_cache_size ? opt->code_cache_size : SIZE_DEFAULT;
	struct code_cache *cc = calloc(1, sizeof(*cc));
	struct asm_out o;

	BUG_ON(!cc);
	cc->vm = vm;
	cc->heat = opt->heat ? opt->heat : HEAT_DEFAULT;
	cc->has_sites_always = opt->has_sites_always;
	cc->part_size = ALIGN_DOWN(max(size, MIN_SIZE) / NR_PARTS, (size_t)4096);
	cc->listing = listing_new(opt, err);
	if ((!cc->listing && (opt->has_perf_map || opt->code_listing)) ||
	    map_twice(cc, total_size(cc), err)) {
		code_cache_free(cc);
		return NULL;
	}
	o = (struct asm_out){.at = cc->writable,
			     .end = cc->writable + GATES_SIZE,
			     .exec_delta = cc->executable - cc->writable};
	gates_write(&o, &cc->gates);
	cc->cold = cc->gates.at[GATE_COLD] + o.exec_delta;
	if (cc->listing)
		listing_gates(cc->listing, cc, (uint64_t)(o.at - cc->writable));
	return cc;
}

void code_cache_free(struct code_cache *cc)
{
	if (!cc)
		return;
	listing_free(cc->listing);
	if (cc->writable && cc->writable != MAP_FAILED)
		munmap(cc->writable, total_size(cc));
	if (cc->executable && cc->executable != MAP_FAILED)
		munmap(cc->executable, total_size(cc));
	free(cc);
}

static void owners_forget(struct code_cache *cc, const uint8_t *start, const uint8_t *end)
{
	for (unsigned n = 0; n < NR_SITES; n++) {
		const uint8_t *at = (const uint8_t *)cc->owners[n].translation;

		if (at >= start && at < end)
			cc->owners[n].translation = NULL;
	}
}

static void part_drop(struct code_cache *cc, unsigned part)
{
	uint8_t *start = part_start(cc, part);

	for (size_t at = 0; at < cc->filled[part];) {
		struct translation *t = (struct translation *)(void *)(start + at);

		at += t->size;
		if (t->block)
			code_detach(cc, t->block);
	}
	if (cc->filled[part])
		cc->nr_parts_dropped++;
	owners_forget(cc, start, start + cc->part_size);
	cc->filled[part] = 0;
	safe_points_note(cc->vm, cc->dropped_at);
}

void code_cache_reset(struct code_cache *cc)
{
	memset(cc->owners, 0, sizeof(cc->owners));
	memset(cc->filled, 0, sizeof(cc->filled));
	cc->part = 0;
	cc->used = 0;
	safe_points_note(cc->vm, cc->dropped_at);
}

/* Whether CODE_MAX bytes are there; not while the part that is next may still be running somewhere. */
static bool make_room(struct code_cache *cc, struct cpu *c)
{
	if (cc->used + CODE_MAX <= cc->part_size)
		return true;
	if (!safe_points_passed(cc->vm, cc->dropped_at, c))
		return false;
	cc->part = (cc->part + 1) % NR_PARTS;
	cc->used = 0;
	part_drop(cc, (cc->part + 1) % NR_PARTS);
	return true;
}

/* ---- links ---- */

void code_link(struct code_cache *cc, struct link *l, struct block *b)
{
	struct translation *from = l->from, *to = b->translation;

	if (!from->block || !to || !list_is_empty(&l->node) ||
	    from->block->gpa >> GUEST_PAGE_SHIFT != b->gpa >> GUEST_PAGE_SHIFT)
		return;
	uint8_t *entry = l->has_host_flags ? to->entry_host : to->entry;

	list_append(&b->incoming, &l->node);
	cc->nr_links++;
	asm_patch(l->site, entry);
}

static void unlink_one(struct link *l)
{
	asm_patch(l->site, l->stub);
	list_remove(&l->node);
}

void code_detach(struct code_cache *cc, struct block *b)
{
	struct translation *t = b->translation;

	if (!t)
		return;
	b->translation = NULL;
	b->heat = 0;
	atomic_store_explicit(&b->code, cc->cold, memory_order_relaxed);
	__atomic_store_n(&b->insns[0].exec, x_heat, __ATOMIC_RELAXED);
	list_for_each_safe (it, &b->incoming)
		unlink_one(list_entry(it, struct link, node));
	for (unsigned n = 0; n < t->nr_links; n++)
		list_remove(&t->links[n].node);
	t->block = NULL;
	/* A vCPU may be in a loop that nothing else makes it leave. */
	for (unsigned n = 0; t->is_loop && n < cc->vm->nr_vcpus; n++)
		cpu_request(cc->vm->vcpus[n], REQ_SAFE);
}

void code_renew(struct code_cache *cc, struct block *b)
{
	code_detach(cc, b);
	atomic_store_explicit(&b->heat, (uint16_t)(cc->heat - 1), memory_order_relaxed);
}

void code_scattered(struct code_cache *cc, unsigned site, bool does_split)
{
	struct translation *t = cc->owners[site].translation;
	struct block *b = t ? t->block : NULL;

	if (!b || b->translation != t)
		return;
	if (does_split)
		b->has_no_runs = true;
	else
		b->scattered |= insn_bit(cc->owners[site].insn);
	code_renew(cc, b);
}

void code_conflict(struct code_cache *cc, const struct record *r)
{
	struct block *b = r->block;

	if (!b->translation || b->in_conflict & insn_bit(r->at))
		return;
	b->in_conflict |= insn_bit(r->at);
	code_renew(cc, b);
}

void code_hot(struct code_cache *cc, struct translation *t)
{
	struct block *b = t->block;

	if (!b || b->translation != t)
		return;
	b->is_hot = true;
	code_renew(cc, b);
}

/* ---- translating ---- */

void code_translate(struct code_cache *cc, struct cpu *c, struct block *b)
{
	struct emitter *e = &cc->emitter;
	struct translation *t;
	uint8_t *start;

	if (b->translation)
		return;
	if (!make_room(cc, c)) {
		b->heat = 0;
		return;
	}
	start = part_start(cc, cc->part) + cc->used;
	t = (struct translation *)(void *)start;
	*t = (struct translation){.block = b};
	memset(e, 0, offsetof(struct emitter, outs));
	e->nr_outs = e->nr_records = 0;
	e->is_full = e->is_ended = false;
	e->code = cc;
	e->cpu = c;
	e->listing = cc->listing;
	e->block = b;
	e->rights = (b->mode & MODE_RIGHTS) >> MODE_RIGHTS_SHIFT;
	e->has_sites = cc->has_sites_always;
	e->next_site = cc->next_site;
	e->next_counter = &cc->next_counter;
	e->owners = cc->owners;
	e->translation = t;
	e->o.at = start + sizeof(*t);
	e->o.end = start + CODE_MAX;
	e->o.exec_delta = cc->executable - cc->writable;
	if (!translate_block(e)) {
		b->heat = HEAT_NEVER;
		return;
	}
	t->size = (uint32_t)ALIGN_UP((size_t)(e->o.at - start), (size_t)64);
	cc->used += t->size;
	cc->filled[cc->part] = cc->used;
	cc->nr_translations++;
	cc->nr_bytes += t->size;
	b->translation = t;
	atomic_store_explicit(&b->code, t->entry + e->o.exec_delta, memory_order_release);
	__atomic_store_n(&b->insns[0].exec, x_translated, __ATOMIC_RELEASE);
}

/* ---- entering ---- */

static struct block *block_of(const struct insn *i)
{
	return container_of(i, struct block, insns[0]);
}

/* ---- running blocks ---- */

void x_heat(struct cpu *c, const struct insn *i)
{
	struct block *b = block_of(i);

	unsigned heat = atomic_load_explicit(&b->heat, memory_order_relaxed);

	/* Of runs by two vCPUs at once one may be lost. */
	if (heat < c->vm->code->heat) {
		atomic_store_explicit(&b->heat, (uint16_t)++heat, memory_order_relaxed);
		if (heat == c->vm->code->heat)
			block_make_hot(c, b);
	}
	/* Pairs with the release in code_translate(). */
	if (__atomic_load_n(&b->insns[0].exec, __ATOMIC_ACQUIRE) == x_translated)
		return x_translated(c, i);
	return b->first(c, i);
}

/* Translated code, and C that it calls, has a stack below struct cpu. */
static void code_stack_enter(struct cpu *c)
{
	struct soft_vcpu *v = soft_vcpu_of(c);

	c->translated.stack_token = sanitize_stack_begin(v->stack, sizeof(v->stack));
}

void code_unwound(struct cpu *c)
{
	sanitize_stack_end(c->translated.stack_token, (const void *)c->translated.host_rsp);
}

void x_translated(struct cpu *c, const struct insn *i)
{
	struct block *b = block_of(i);
	void (*enter)(struct cpu *, const uint8_t *);
	uint8_t *code = atomic_load_explicit(&b->code, memory_order_acquire);

	/* Another vCPU may be about to publish the translation, or have dropped it just now. */
	if (!c->is_chaining || c->interpret_once || code == c->vm->code->cold) {
		c->interpret_once = false;
		return b->first(c, i);
	}
	c->block = NULL;
	c->stats.interpreted -= b->nr;
	c->stats.entries++;
	c->is_in_code = true;
	/* Nothing the interpreter runs for translated code may go on to another block. */
	block_set_chaining(c, false);
	enter = (void (*)(struct cpu *, const uint8_t *))(uintptr_t)c->vm->code->gates.enter;
	code_stack_enter(c);
	enter(c, code);
	sanitize_stack_end(c->translated.stack_token, NULL);
	c->is_in_code = false;
	block_set_chaining(c, true);
}
