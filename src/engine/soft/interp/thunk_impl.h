/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between thunk.c, which keeps thunks, and thunk_emit.c, which writes their code.
 */
#ifndef ENGINE_SOFT_INTERP_THUNK_IMPL_H
#define ENGINE_SOFT_INTERP_THUNK_IMPL_H

#include "engine/soft/interp/thunk.h"

#define THUNK_CODE_MAX 192 /* the longest is a VEX.256 row of four operands, about 140 bytes */

struct thunk_code {
	uint8_t bytes[THUNK_CODE_MAX];
	unsigned len;
};

/* What a thunk is made for. */
struct thunk_form {
	const struct insn_row *row;
	bool is_mem, l, w;
	uint8_t sub; /* immediate or ST(i) */
};

/* Which immediates or stack indexes a row distinguishes. */
bool thunk_row_has_imm(const struct insn_row *row);
bool thunk_row_is_x87(const struct insn_row *row);

/* Fills in everything of t but run and by_sub, and writes the code. */
void thunk_emit(const struct thunk_form *form, struct thunk *t, struct thunk_code *code);

#endif
