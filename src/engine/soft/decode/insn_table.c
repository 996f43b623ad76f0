/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of instruction forms, made from insn.def. It names the interpreter's functions and
 * the translator's, so it is the one place where they and the decoder meet.
 */
#include "engine/soft/insn.h"

#include "engine/soft/interp/exec_int.h"
#include "engine/soft/interp/exec_simd.h"
#include "engine/soft/interp/exec_sys.h"
#include "engine/soft/translate/emitters.h"

const struct insn_row insn_rows[] = {
#include "engine/soft/insn.def"
	/* Bytes that are no instruction; not in the index. */
	{.name = "(bad)", .attr = A_END | A_NOTEST},
};

const unsigned nr_insn_rows = ARRAY_SIZE(insn_rows) - 1;
