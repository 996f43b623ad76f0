/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What cache.c, alone.c and jump.c share. vCPU thread.
 */
#ifndef ENGINE_SOFT_CACHE_IMPL_H
#define ENGINE_SOFT_CACHE_IMPL_H

#include "engine/soft/cache.h"

/* The guest's bytes as they were when the block was decoded lie behind its instructions. */
static inline uint8_t *block_code(struct block *b)
{
	return (uint8_t *)&b->insns[b->nr + 1];
}

/*
 * Asks every vCPU for a safe point and notes where it is, in epochs[SOFT_VCPUS_MAX]; and whether all
 * but self have passed one since.
 */
void safe_points_note(struct soft_vm *vm, uint64_t *epochs);
bool safe_points_passed(const struct soft_vm *vm, const uint64_t *epochs, const struct cpu *self);

/* #GP(0) when rip lies beyond the limit of CS. */
void block_check_limit(struct cpu *c);

/* The next instruction is no memory: leaves with KVM_EXIT_INTERNAL_ERROR. */
void block_no_code(struct cpu *c, uint64_t gpa) __attribute__((noreturn));

/* Whether the instruction at gpa, whose bytes are at code, goes on in the next page. */
bool block_crosses_page(struct cpu *c, const uint8_t *code, uint64_t gpa);

/* Forgets pointers to blocks, before their memory is used again. */
void jump_cache_clear(struct cpu *c);

/* Notes the block at va, whose page the TLB of the current rights holds. */
void jump_cache_set(struct cpu *c, struct jump_entry *e, gva_t va, struct block *b);

/* Whether a block found in the jump cache is the one for these bytes. */
bool jump_is_current(const struct cpu *c, const struct block *b, const uint8_t *host);

#endif
