/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a decoded block faster: functions that write flags nobody reads, that compute an address
 * they could have simpler, or that are a comparison and its branch, are replaced. What the block
 * does stays the same to the last flag wherever it can be left or can fault. Any thread.
 */
#include "engine/soft/interp/refine_impl.h"

#include <pthread.h>

/* What is known of an exec function. */
struct refinement {
	exec_fn exec;
	exec_fn quiet, direct;
	const exec_fn *fused; /* by condition */
	exec_fn branch;	      /* a relative branch in 64-bit mode: its t_ function */
	int8_t condition;     /* of a conditional branch, else -1 */
	bool is_safe;	      /* never faults nor leaves the block */
};

#define TABLE_SIZE 2048u /* several times the number of entries below: few collisions */

/* Written under built, read-only afterwards. */
static pthread_once_t built = PTHREAD_ONCE_INIT;
static struct refinement table[TABLE_SIZE];

/* The entry of exec, or the free one where it belongs: all zero. */
static struct refinement *table_slot(exec_fn exec)
{
	uint64_t h = (uint64_t)(uintptr_t)exec * 0x9e3779b97f4a7c15ull >> 53;

	while (table[h % TABLE_SIZE].exec && table[h % TABLE_SIZE].exec != exec)
		h++;
	return &table[h % TABLE_SIZE];
}

static struct refinement *entry(exec_fn exec)
{
	struct refinement *r = table_slot(exec);

	if (!r->exec)
		*r = (struct refinement){.exec = exec, .condition = -1};
	return r;
}

#define SET_SAFE(name)	  entry(x_##name)->is_safe = true;
#define SET_QUIET(name)	  entry(x_##name)->quiet = q_##name;
#define SET_NOTHING(name) entry(x_##name)->quiet = x_nop;
#define SET_DIRECT(name)  entry(x_##name)->direct = d_##name;
#define SET_FUSED(name)	  entry(x_##name)->fused = f_##name;
#define SET_CONDITION(cc, n)                   \
	entry(x_j##cc##_64)->branch = t_j##cc; \
	entry(x_j##cc##_64)->condition = n;    \
	SET_SAFE(set##cc##_r8)                 \
	SET_SAFE(cmov##cc##_r16)               \
	SET_SAFE(cmov##cc##_r32)               \
	SET_SAFE(cmov##cc##_r64)

static void build(void)
{
	QUIET_SAFE(SET_SAFE)
	QUIET_SAFE(SET_QUIET)
	QUIET_FAULTING(SET_QUIET)
	QUIET_COMPARE(SET_SAFE)
	QUIET_COMPARE(SET_NOTHING)
	SAFE_OTHERS(SET_SAFE)
	DIRECT(SET_DIRECT)
	FUSED(SET_FUSED)
	X_CONDITIONS(SET_CONDITION)
	entry(x_jmp_J_64)->branch = t_jmp;
	entry(x_call_J_64)->branch = t_call;
}

/* A shift by an immediate of zero writes no flags, whatever its row says. */
static bool may_shift_by_zero(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	return row->map == MAP_1 && (row->opcode & 0xfe) == 0xc0 &&
	       !(i->imm & (PFX_SIZE(i->prefix) == 8 ? 63 : 31));
}

/* From the last instruction to the first: live are the flags that somebody may still see. */
static void drop_dead_flags(struct insn *insns, unsigned nr)
{
	uint32_t live = FLAGS_STATUS;

	while (nr--) {
		struct insn *i = &insns[nr];
		const struct refinement *r = table_slot(i->exec);
		const struct insn_row *row = &insn_rows[i->row];

		if (may_shift_by_zero(i)) {
			live = FLAGS_STATUS;
			continue;
		}
		if (r->quiet && !(row->flags_written & live))
			i->exec = r->quiet;
		live = r->is_safe ? (live & ~(uint32_t)row->flags_written) | row->flags_read
				  : FLAGS_STATUS;
	}
}

/* Counts the target, and the place a call returns to, from the start of the block. */
static void place_branch(struct insn *i, exec_fn branch)
{
	unsigned end = i->off + i->len;

	i->imm += end;
	if (branch == t_call)
		i->disp = (int32_t)end;
	i->exec = branch;
}

void block_refine(struct insn *insns, unsigned nr)
{
	pthread_once(&built, build);
	drop_dead_flags(insns, nr);
	for (unsigned n = 0; n < nr; n++) {
		struct insn *i = &insns[n];
		const struct refinement *r = table_slot(i->exec);
		bool is_direct = i->ea == EA_FLAT && (i->index & 31) == SLOT_ZERO;

		if (r->direct && is_direct)
			i->exec = r->direct;
		if (r->branch)
			place_branch(i, r->branch);
		if (r->fused && n + 1 < nr) {
			const struct refinement *next = table_slot(insns[n + 1].exec);

			if (next->exec && next->condition >= 0)
				i->exec = r->fused[next->condition];
		}
	}
}
