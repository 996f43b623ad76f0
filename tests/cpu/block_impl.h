/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files that draw blocks.
 */
#ifndef TESTS_CPU_BLOCK_IMPL_H
#define TESTS_CPU_BLOCK_IMPL_H

#include "cpu/block.h"
#include "cpu/generate_impl.h"

/* Everything needed while a block is drawn. */
struct draw {
	const struct generator *g;
	struct rng *r;
	struct block_trial *b;
	struct trial scratch; /* the instruction being drawn; its data become the block's */
	bool is_for_host;     /* no code is written, and no instruction is half done at a fault */
	unsigned counters;    /* in use */
	unsigned calls;	      /* without a return as yet */
	uint64_t rsp;
};

struct piece *piece_add(struct draw *d, const void *code, unsigned len);

#define PIECE(d, ...) \
	piece_add(d, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

void load_register(struct draw *d, unsigned number, uint64_t value);

/* A row that may stand in the block; most have an emitter. */
const struct insn_row *draw_row(struct draw *d);

/* The instruction that was encoded in d->scratch, and what hides what it leaves undefined. */
void emit_piece(struct draw *d, const struct insn_row *row, const struct parsed *p);

/* A displacement of size bytes at the end of the piece leads to some piece behind it. */
void lead_forward(struct draw *d, struct piece *p, unsigned size, unsigned most);

/* A loop over memory: loop.c. */
void draw_loop(struct draw *d);

#endif
