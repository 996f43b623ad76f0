/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes trials from rows of the instruction table: an encoding the decoder gives to that very row,
 * in 64-bit or compatibility mode, and a state in which its operands lie in interesting places.
 */
#ifndef TESTS_CPU_GENERATE_H
#define TESTS_CPU_GENERATE_H

#include "cpu/random.h"
#include "cpu/state.h"

struct generator {
	const uint32_t *features; /* of the guest */
	uint64_t fs_base;	  /* of both sides */
	bool has_code_32;	  /* else trials are of 64-bit code only */
	bool keeps_gs_base;	  /* else what WRGSBASE writes is lost now and then */
	const bool *answers_int;  /* of 256: INT n is not refused on the host */
};

/* Why a row cannot be compared with the host CPU in user mode, or NULL when it can. */
const char *row_excluded(const struct generator *g, const struct insn_row *row);

/*
 * One trial for a row. Returns false when no encoding of the row was found: it is hidden by another
 * or does not exist in 64-bit mode.
 */
bool generate(const struct generator *g, struct rng *r, const struct insn_row *row,
	      struct trial *t);

#endif
