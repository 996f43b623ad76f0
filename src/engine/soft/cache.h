/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block cache: straight runs of decoded instructions, keyed by physical address and mode,
 * shared by all vCPUs of a VM. A block never crosses a page; an instruction that does is decoded
 * anew each time, into a private block of one.
 *
 * A page that holds code is watched: no TLB may hold it writable, so the first store to it (or
 * device write) drops its blocks and ends the watch. Stores of another vCPU that were past their
 * TLB check when the watch began are caught by comparing bytes again at the executing CPU's next
 * serialising point (verify_pending), once every other vCPU has passed a safe point (cpu.epoch).
 *
 * Memory is bounded: when it is full, the oldest part is dropped and reused after every vCPU has
 * passed a safe point.
 */
#ifndef ENGINE_SOFT_CACHE_H
#define ENGINE_SOFT_CACHE_H

#include "base/list.h"
#include "base/sanitize.h"
#include "core/mem.h"
#include "engine/soft/cpu.h"

#define BLOCK_INSNS_MAX 64

struct block {
	uint64_t gpa;	      /* of the first byte */
	uint32_t mode;	      /* cpu->mode it was decoded for */
	uint16_t nr;	      /* instructions, without the closing x_block_end */
	uint16_t size;	      /* bytes of guest code */
	atomic_bool is_valid; /* any thread clears it; checked before each run */
	const uint8_t *host;  /* where gpa lies in this process */
	struct block *hash_next;
	/* Of the translator: where the block is entered, what it is, who jumps to it (code.h). */
	_Atomic(uint8_t *) code;
	struct translation *translation;
	struct list incoming;
	exec_fn first; /* of insns[0], whose exec may be x_heat() or x_translated() */
	_Atomic uint16_t heat;
	uint16_t run_failures;
	bool is_hot;	       /* its accesses have sites */
	bool has_no_runs;      /* of accesses, because they cross pages too often */
	uint64_t in_conflict;  /* instructions whose accesses have sites in any case, a bit each */
	uint64_t scattered;    /* instructions whose accesses are all over memory, a bit each */
	struct list page_node; /* blocks of the same page */
	struct insn insns[];   /* nr + 1 */
};

/* Of instruction n in block.in_conflict and block.scattered; one behind the block's own has none. */
static inline uint64_t insn_bit(unsigned n)
{
	return n < BLOCK_INSNS_MAX ? BIT64(n) : 0;
}

struct block_cache;
struct engine_vm_stats;
struct translation;
struct link;

struct block_cache *block_cache_new(struct soft_vm *vm, uint64_t size_bytes);
void block_cache_free(struct block_cache *bc);

/* While no vCPU runs: drops all blocks with their translations, and uses all memory anew. */
void block_cache_reset(struct block_cache *bc);

/* Linear address of the next instruction. */
static inline gva_t linear_rip(const struct cpu *c)
{
	return (c->rip + c->fetch_base) & c->fetch_mask;
}

static inline struct jump_entry *jump_slot(struct cpu *c, gva_t va)
{
	return &c->jump_cache[(va ^ va >> 14) & (JUMP_CACHE_SIZE - 1)];
}

struct block *block_find_slow(struct cpu *c, gva_t va);

/* Has b translated, which has been run often. */
void block_make_hot(struct cpu *c, struct block *b);

/*
 * Has blocks translated anew for what c has found of its accesses: c->scattered_site, c->conflict,
 * c->hot. At a safe point, before it is told.
 */
void block_renew_found(struct cpu *c);

/*
 * c came from translated code by c->link, and b is the block it wanted: joins them. Or it came from
 * c->failed_run.
 */
void block_left(struct cpu *c, struct block *b);

/*
 * The block at c->rip in c->mode, found or decoded. Faults (instruction fetch) leave by the unwind
 * door with c->insn NULL. With MODE_STEP in the mode the block has one instruction.
 * Valid until this vCPU's next safe point.
 */
static inline struct block *block_find(struct cpu *c)
{
	gva_t va = linear_rip(c);
	const struct jump_entry *e = jump_slot(c, va);

	if (likely(e->key == (va ^ c->jump_tag) &&
		   atomic_load_explicit(&e->block->is_valid, memory_order_relaxed)))
		return e->block;
	return block_find_slow(c, va);
}

/*
 * For branches in 64-bit mode: the block at rip, entered, or NULL when the run loop must look. Then
 * the caller sets c->rip and returns.
 */
static inline struct block *block_chain(struct cpu *c, uint64_t rip)
{
	const struct jump_entry *e = jump_slot(c, rip);
	struct block *b = e->block;

	if (unlikely(e->key != (rip ^ c->chain_tag)) ||
	    unlikely(!atomic_load_explicit(&b->is_valid, memory_order_relaxed)) ||
	    unlikely(atomic_load_explicit(&c->requests, memory_order_relaxed)))
		return NULL;
	c->block = b;
	c->gpr[SLOT_RIP] = rip;
	c->stats.interpreted += b->nr;
	return b;
}

/*
 * Interpreted blocks run into each other without end, by tail calls. AddressSanitizer's code after
 * the call keeps them from being jumps, and so does a compiler that does not optimise: there each
 * block goes back to the run loop, and the stack holds no more than the BLOCK_INSNS_MAX frames of
 * one. Translated code is as it is everywhere. ThreadSanitizer delivers signals, the timer's among
 * them, in code it has instrumented only: with it no block runs on, and none is run translated.
 */
#if defined(__OPTIMIZE__) && !HAS_ASAN && !HAS_TSAN
#define CAN_CHAIN true
#else
#define CAN_CHAIN false
#endif

static inline uint64_t block_chain_tag(const struct cpu *c)
{
	return c->is_chaining && CAN_CHAIN && !c->is_traced ? c->jump_tag : CHAIN_NEVER;
}

/*
 * Whether blocks may run on: not while the run loop wants to see each one end. Then block_chain()
 * finds nothing, and translated code is not entered. Set before blocks are run.
 */
static inline void block_set_chaining(struct cpu *c, bool on)
{
	c->is_chaining = on && !HAS_TSAN;
	c->chain_tag = block_chain_tag(c);
}

/* As block_find() but one instruction only, private to c and not watched: see cpu_restart_alone().
 */
struct block *block_alone(struct cpu *c);

/* Any thread: guest physical bytes changed; drops every block that holds one of them. */
void block_cache_invalidate(struct block_cache *bc, gpa_t gpa, uint64_t len);

/*
 * The same for a store of the guest. Pages that are stored to again and again lose all their
 * blocks, so that data beside old code does not stay slow.
 */
void block_cache_store(struct block_cache *bc, gpa_t gpa, uint64_t len);

/* Whether block_cache_store() would drop b. */
bool block_cache_store_drops(struct block_cache *bc, gpa_t gpa, uint64_t len,
			     const struct block *b);

/* True when the page holds watched code: its stores must take the slow path. Any thread. */
bool block_cache_is_watched(struct block_cache *bc, gpa_t gpa);

/* At serialising instructions, interrupt delivery and IRET of c: see above. Cheap when idle. */
void block_cache_verify(struct cpu *c);

/*
 * At a safe point of c with REQ_SAFE: forgets blocks whose memory is about to be used again, and
 * tells the cache of stores it could not see.
 */
void block_cache_safe_point(struct cpu *c);

/* What it and the translator have done. Any thread. */
void block_cache_stats(struct block_cache *bc, struct engine_vm_stats *stats);

/* Memory for block_alone(), kept in c->alone_blocks. NULL when there is none left. */
struct block *block_alone_new(void);
bool block_is_alone(const struct cpu *c, const struct block *b);

/*
 * After changes of what is not global in c's current address space, and of anything in all of them:
 * entries of the jump cache must be compared with the TLB again before they are used. The user's
 * entries belong to an address space; those below CPL 3 outlive its change if their pages are global.
 */
void jump_cache_flush(struct cpu *c);
void jump_cache_flush_all(struct cpu *c);

/* The same for the page of one linear address, in all of them. */
void jump_cache_flush_page(struct cpu *c, gva_t va);

/*
 * After a change of privilege or mode: entries of the other level do not match until it is back. And
 * after a change of the address space.
 */
void jump_cache_retag(struct cpu *c);
void jump_cache_switch(struct cpu *c);

#endif
