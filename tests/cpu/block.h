/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of random instructions: up to a few dozen, with branches among them, whose memory operands
 * fault, cross pages, lie in memory that is mapped twice, or in the code itself.
 *
 * A block is kept as pieces, which can be left out one by one.
 */
#ifndef TESTS_CPU_BLOCK_H
#define TESTS_CPU_BLOCK_H

#include "cpu/generate.h"

#define PIECES_MAX 160
#define PIECE_NONE UINT16_MAX

/* One instruction. */
struct piece {
	uint8_t code[20];
	uint8_t len;
	uint8_t insn_len; /* the rest of len hides undefined results */
	uint8_t rel_at; /* 0, or where a displacement of rel_size bytes stands that is worked out */
	uint8_t rel_size; /* when the place of the instruction is known */
	uint16_t to;	  /* it leads to this piece plus offset, or, PIECE_NONE, to target */
	uint8_t offset;
	bool is_alias; /* no displacement but the address, where the code is mapped as data */
	bool is_left_out;
	uint64_t target;
};

struct block_trial {
	struct piece pieces[PIECES_MAX];
	unsigned nr;
	const char *host_reason;     /* why the host CPU cannot be asked, or NULL */
	struct trial t;		     /* of which block_assemble() writes the code */
	uint16_t at[PIECES_MAX + 1]; /* where it has put each piece */
};

/*
 * Draws a block of nr_insns instructions, beside those that put addresses into registers, for 64-bit
 * mode.
 */
void block_generate(const struct generator *g, struct rng *r, unsigned nr_insns,
		    struct block_trial *b);

/* Whether it has results that differ from run to run, or that CPUs do not agree on. */
bool row_is_undefined(const struct insn_row *row);

/* Writes b->t.code from the pieces that are not left out. False: a displacement is too small. */
bool block_assemble(struct block_trial *b);

#endif
