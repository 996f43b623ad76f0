/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translated code: its memory, how blocks are joined, and how the run loop enters it.
 *
 * A block of the block cache that has been run often gets a translation. Code memory is mapped
 * twice, writable and executable, and filled in parts: when the last part is full the first is
 * emptied, and its blocks are interpreted again until they have become hot once more. Jumps within
 * a page lead directly from translation to translation (struct link) and are undone when the target
 * goes. All others go by the vCPU's jump cache.
 *
 * Everything but translated_run() is called with the block cache's lock held.
 */
#ifndef ENGINE_SOFT_TRANSLATE_CODE_H
#define ENGINE_SOFT_TRANSLATE_CODE_H

#include "base/error.h"
#include "engine/soft/cache.h"

struct code_cache;
struct engine_options;
struct engine_vm_stats;
struct soft_vm;

/* A jump from one block into another of the same page. */
struct link {
	struct list node; /* in block.incoming of the target */
	struct translation *from;
	uint8_t *site;	     /* of the displacement, writable */
	uint8_t *stub;	     /* where it leads while there is no target */
	bool has_host_flags; /* which entry it wants */
};

/* One block's code, in code memory: this, then links, code, records. */
struct translation {
	uint32_t size; /* bytes of all */
	uint32_t nr_links;
	bool is_loop;		     /* it jumps to its own start without a link */
	struct block *block;	     /* NULL when it has been dropped */
	uint8_t *entry, *entry_host; /* writable aliases; flags in the frame, in the host's */
	struct link links[];
};

/*
 * opt: code_cache_size, heat and what is to be listed. Returns NULL with a sentence in err where the
 * host gives no executable memory, or a file cannot be made.
 */
struct code_cache *code_cache_new(struct soft_vm *vm, const struct engine_options *opt,
				  struct error *err);
void code_cache_free(struct code_cache *cc);

/* Uses all memory anew. No block has a translation, and no vCPU runs. */
void code_cache_reset(struct code_cache *cc);

/* Fills in what concerns translations. */
void code_cache_stats(const struct code_cache *cc, struct engine_vm_stats *stats);

/* Where jumps to a block without code lead. */
uint8_t *code_cold(const struct code_cache *cc);

/* Translates b for c, unless there is no room now. b's insns[0] then enters it. */
void code_translate(struct code_cache *cc, struct cpu *c, struct block *b);

/* Takes the translation from b, and every jump into it. */
void code_detach(struct code_cache *cc, struct block *b);

/* The same, and the next run translates it anew. */
void code_renew(struct code_cache *cc, struct block *b);

/*
 * The block that owns the site is translated again, with a look into the TLB at that place; or, if the
 * site's runs cross pages, without runs.
 */
void code_scattered(struct code_cache *cc, unsigned site, bool does_split);

/* The block of r, if it still is one, is translated again with a site at that place. */
void code_conflict(struct code_cache *cc, const struct record *r);

/* The block of t, if it still is one, is translated again with sites for its accesses. */
void code_hot(struct code_cache *cc, struct translation *t);

/* Joins link to b's translation, if both are still there. */
void code_link(struct code_cache *cc, struct link *l, struct block *b);

/* An instruction has left translated code by cpu_unwind(): the thread is back on its own stack. */
void code_unwound(struct cpu *c);

/* Exec functions of the first instruction of a block: counts, and enters translated code. */
void x_heat(struct cpu *c, const struct insn *i);
void x_translated(struct cpu *c, const struct insn *i);

#endif
