/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of instruction forms, made from insn.def. It names the interpreter's functions, so it
 * is the one place where decoder and interpreter meet.
 */
#include "engine/soft/insn.h"

#include "engine/soft/interp/exec_int.h"
#include "engine/soft/interp/exec_simd.h"
#include "engine/soft/interp/exec_sys.h"

const struct insn_row insn_rows[] = {
#include "engine/soft/insn.def"
	/* Bytes that are no instruction; not in the index. */
	{.name = "(bad)", .attr = A_END | A_NOTEST},
};

const unsigned nr_insn_rows = ARRAY_SIZE(insn_rows) - 1;
