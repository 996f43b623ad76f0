/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The jump cache: which block was last found at a linear address. A key holds the address and a tag
 * that changes with the mapping, so a flush is one assignment; the entry stays, and is used again
 * once it has been compared with the TLB. vCPU thread.
 */
#include <string.h>

#include "engine/soft/cache_impl.h"
#include "engine/soft/mmu.h"
#include "engine/soft/mmu_impl.h"

/*
 * Any number may be looked up, a return address that is none as well. Tags do not change the bits of
 * an address that choose its slot, so a key whose slot is another one is never matched; CHAIN_NEVER
 * changes bit 0 of the slot, and this bit 1.
 */
#define EMPTY_KEY(slot) ((slot) ^ 2)

void jump_cache_clear(struct cpu *c)
{
	for (unsigned n = 0; n < JUMP_CACHE_SIZE; n++)
		c->jump_cache[n] = (struct jump_entry){.key = EMPTY_KEY(n)};
}

/*
 * Pages of 4 KiB count by themselves, larger ones by the gigabyte they lie in: dropping any address
 * of a large page drops all of it.
 */
static uint64_t *jump_page_word(struct cpu *c, uint64_t number, uint64_t *bit)
{
	/* Top of the stack and kernel text, which are at one place each, must not share a bit. */
	uint64_t at = number * 0x9e3779b97f4a7c15ull >> (64 - JUMP_PAGES_BITS);

	*bit = BIT64(at % 64);
	return &c->jump_pages[at / 64];
}

#define GIGABYTE_OF(va) (~((va) >> 30))

void jump_cache_set(struct cpu *c, struct jump_entry *e, gva_t va, struct block *b)
{
	uint8_t flags = c->tlbs[c->tlb_mode]->flags[(va >> 12) & (TLB_SIZE - 1)];
	uint64_t bit, *word;

	word = jump_page_word(c, flags & TLB_LARGE ? GIGABYTE_OF(va) : va >> 12, &bit);
	*word |= bit;
	if (c->cpl != 3 && !(flags & TLB_GLOBAL))
		c->kernel_jumps.has_local = true;
	e->key = va ^ c->jump_tag;
	e->block = b;
}

bool jump_is_current(const struct cpu *c, const struct block *b, const uint8_t *host)
{
	return b && b->host == host && b->mode == c->mode &&
	       atomic_load_explicit(&b->is_valid, memory_order_relaxed);
}

/*
 * Bits 48-62 of a key are the generation and the rights, XORed into an address whose
 * bits there are all equal. Bit 63 of the tag stays 0, so that a canonical address and one that is
 * not never give the same key under the same tag.
 */
#define GENERATION_MAX 0x1fffu

/* Gives everything keys that nothing in the cache has. */
static void renew_all(struct cpu *c)
{
	if (c->jump_generation + TLB_SPACES + 1 > GENERATION_MAX) {
		jump_cache_clear(c);
		c->jump_generation = 0;
	}
	for (unsigned n = 0; n < TLB_SPACES; n++)
		c->spaces[n].generation = ++c->jump_generation;
	c->kernel_jumps.generation = ++c->jump_generation;
	c->kernel_jumps.has_local = false;
	memset(c->jump_pages, 0, sizeof(c->jump_pages));
}

static unsigned new_generation(struct cpu *c)
{
	if (c->jump_generation == GENERATION_MAX)
		renew_all(c);
	return ++c->jump_generation;
}

/* Blocks under one generation are all of one mode. */
static unsigned current_generation(struct cpu *c)
{
	bool is_user = c->cpl == 3;
	uint32_t *mode = is_user ? &c->space->mode : &c->kernel_jumps.mode;
	unsigned *generation = is_user ? &c->space->generation : &c->kernel_jumps.generation;

	/* Rights are part of the tag. */
	if (*mode != (c->mode & ~MODE_RIGHTS)) {
		*generation = new_generation(c);
		*mode = c->mode & ~MODE_RIGHTS;
	}
	return *generation;
}

void jump_cache_retag(struct cpu *c)
{
	unsigned rights = c->tlb == c->tlb_slow ? MODE_RIGHTS_SLOW : c->tlb_mode;
	uint64_t tag = current_generation(c) << 2 | rights;

	c->jump_tag = tag << 48;
	c->chain_tag = block_chain_tag(c);
}

void jump_cache_switch(struct cpu *c)
{
	if (c->kernel_jumps.has_local) {
		c->kernel_jumps.generation = new_generation(c);
		c->kernel_jumps.has_local = false;
	}
	jump_cache_retag(c);
}

void jump_cache_flush(struct cpu *c)
{
	c->space->generation = new_generation(c);
	jump_cache_switch(c);
}

void jump_cache_flush_all(struct cpu *c)
{
	renew_all(c);
	jump_cache_retag(c);
}

void jump_cache_flush_page(struct cpu *c, gva_t va)
{
	uint64_t bit, large_bit;
	const uint64_t *word = jump_page_word(c, va >> 12, &bit);
	const uint64_t *large_word = jump_page_word(c, GIGABYTE_OF(va), &large_bit);

	if (*word & bit || *large_word & large_bit)
		jump_cache_flush_all(c);
}
