/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of the generator.
 */
#ifndef TESTS_CPU_GENERATE_IMPL_H
#define TESTS_CPU_GENERATE_IMPL_H

#include <string.h>

#include "cpu/generate.h"
#include "engine/soft/decode/decode_impl.h"

/* Whether the row's mnemonic is one of those given. */
static inline bool is_named(const struct insn_row *row, const char *const names[])
{
	for (; *names; names++)
		if (!strcmp(row->name, *names))
			return true;
	return false;
}
#define IS_NAMED(row, ...) is_named(row, (const char *const[]){__VA_ARGS__, NULL})

/* Noise and edge values in registers, flags, FPU and memory, for code of t->size. */
void random_state(struct rng *r, struct trial *t, uint64_t fs_base);

/*
 * Draws an encoding of row into t->code. *p describes it and points into t->code; an address or
 * immediate in it may still be changed in place. Returns false when none was found.
 */
bool encode(const struct generator *g, struct rng *r, const struct insn_row *row, struct trial *t,
	    struct parsed *p);

/*
 * What the operands of the encoded instruction need: registers, memory, position of the code.
 * Returns false when the encoding cannot be kept away from the memory of this process.
 */
bool place_operands(const struct generator *g, struct rng *r, const struct insn_row *row,
		    struct trial *t, struct parsed *p);

#endif
