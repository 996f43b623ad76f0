/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page walk: what the tables in guest memory say about one linear address. Private to mmu.c and
 * its tests. vCPU thread.
 */
#ifndef ENGINE_SOFT_PAGING_H
#define ENGINE_SOFT_PAGING_H

#include "engine/soft/cpu.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

#define NR_LEVELS 4

struct soft_region;

/* One translation. */
struct walk {
	uint64_t gpa;	  /* of the 4-KiB page */
	uint64_t size;	  /* of the page the tables give: 4 KiB to 1 GiB */
	bool is_user;	  /* U/S set at every level */
	bool is_writable; /* R/W set at every level */
	bool is_nx;	  /* XD set at some level */
	bool is_global;
	bool is_dirty; /* D of the last entry; true without paging */
	unsigned nr;   /* entries passed that have an accessed bit, the last one maps the page */
	struct {
		struct soft_region *region;
		uint64_t gpa;
		uint64_t value; /* as it was read */
	} entry[NR_LEVELS];
};

/*
 * Walks the tables for va, which is canonical. Sets no accessed or dirty bits.
 * Returns 0, or what belongs into a page fault's error code: 0 is never one, so a page that is not
 * present gives WALK_ABSENT.
 */
#define WALK_ABSENT BIT(31)
uint32_t page_walk(struct cpu *c, gva_t va, struct walk *w);

/* Whether a supervisor or user access of this kind is allowed by the rights of w. */
bool walk_allows(const struct cpu *c, const struct walk *w, enum tlb_mode mode, enum access access);

/*
 * Sets accessed bits, and for a write the dirty bit, of entries outside ROM. false: an entry has changed meanwhile, the
 * walk must be done again.
 */
bool walk_mark(struct walk *w, const struct cpu *c, bool is_write);

#endif
