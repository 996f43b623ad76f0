/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runs of each block:
 *   1. interpreter, and host CPU;
 *   2. translator, from the same state: the block is translated while it runs;
 *   3. translator again: its parts are joined by now;
 *   4. both, after a byte of the code was changed from outside, and
 *   5. translator, with the byte as it was.
 * Everything is compared: registers, flags, FPU, memory, the code itself, vector, error code and
 * address of the fault.
 *
 * The host CPU runs in this process, so it gets only what the interpreter has shown to stay within
 * the trial's pages.
 */
#include "cpu/blocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpu/address.h"
#include "cpu/block.h"
#include "cpu/differ.h"
#include "cpu/native.h"
#include "cpu/vendor.h"

/*
 * Ticks; a block that does not end by then is not compared. With one tick some that would end are lost,
 * but waiting three for those that would not takes a third of the time.
 */
#define IMPATIENCE 1

#define STEP_HOST  "interpreter against host CPU"
#define STEP_POKED "translator, changed byte"

/* Reasons not to ask the host, beside those of the generator. */
#define REASON_ESCAPES "it leaves the trial's memory, or enters the host's kernel"
#define REASON_ORDER   "which of two faults comes first is open"
#define REASON_CODE    "it has changed its code"
#define REASON_ENDLESS "it does not end"

struct run {
	const struct blocks_options *o;
	const struct generator *g;
	struct guest *interpreter, *translator;
	struct block_trial b;
	struct outcome first, other, on_host;
	struct line line;
	const char *step; /* which run differs */
	unsigned poke_at;
	uint8_t poke;
	bool is_host_asked; /* otherwise host_reason */
	const char *host_reason;
	const char *vendor_reason; /* of what may be other on the host, or NULL */
	bool was_unsteady;	   /* the host agreed only when it was asked again */
};

struct reason {
	const char *text;
	uint64_t count;
};

struct totals {
	uint64_t blocks, insns, failed, undefined, on_host, unsteady, vectors[32];
	struct reason reasons[8];
	struct vendor_counts vendor;
};

/* Nothing is undefined of it. */
static const struct insn_row no_row = {.name = "none"};

/* ---- comparing ---- */

static void compare_code(struct line *l, const struct trial *t, const struct outcome *a,
			 const struct outcome *b)
{
	for (unsigned n = 0; n < CODE_MAX; n++) {
		if (a->code[n] == b->code[n])
			continue;
		line_add(l, " code+%x=%02x (host %02x)", n, b->code[n], a->code[n]);
		return;
	}
}

static unsigned code_there(const struct trial *t)
{
	return (unsigned)min((uint64_t)CODE_MAX, CODE_BASE + CODE_PAGES * PAGE - t->in.rip);
}

/* Whether run->other differs from expected; the line says how. */
static bool is_different(struct run *run, const char *step, const struct outcome *expected)
{
	struct trial *t = &run->b.t;

	/* Of a code beyond the pages nothing is reported. */
	memset(run->other.code + code_there(t), 0, CODE_MAX - code_there(t));
	compare_outcomes(&run->line, &no_row, true, expected, &run->other);
	if (!expected->failure[0] && !run->other.failure[0])
		compare_code(&run->line, t, expected, &run->other);
	run->step = step;
	return run->line.len;
}

static void run_interpreter(struct run *run, struct outcome *out)
{
	guest_start(run->interpreter, &run->b.t, out);
	memset(out->code + code_there(&run->b.t), 0, CODE_MAX - code_there(&run->b.t));
}

static void poke_both(struct run *run, uint8_t value)
{
	guest_poke_code(run->interpreter, &run->b.t, run->poke_at, value);
	guest_poke_code(run->translator, &run->b.t, run->poke_at, value);
}

/* Code that has changed itself is written anew. */
static void renew(struct run *run)
{
	if (guest_code_is_intact(run->interpreter, &run->b.t) &&
	    guest_code_is_intact(run->translator, &run->b.t))
		return;
	guest_remove_code(run->interpreter, &run->b.t);
	guest_remove_code(run->translator, &run->b.t);
	guest_put_code(run->interpreter, &run->b.t);
	guest_put_code(run->translator, &run->b.t);
}

/* ---- the host ---- */

static bool is_page_of_trial(uint64_t address)
{
	return is_harmless(address) ||
	       (address >= CODE_BASE - PAGE && address < CODE_BASE + (CODE_PAGES + 1) * PAGE);
}

/* INT n, SYSCALL and SYSENTER, which the guest's kernel refuses and the host's does not. */
static bool enters_kernel(const struct trial *t, const struct outcome *out)
{
	uint64_t at = out->state.rip - t->in.rip;
	char text[64];

	if (at >= t->code_len)
		return false;
	disassemble(out->code + at, t->code_len - (unsigned)at, t->size, out->state.rip, text,
		    sizeof(text));
	return strstr(text, "int") || strstr(text, "sys");
}

static const char *why_not_host(const struct run *run)
{
	const struct outcome *out = &run->first;

	if (run->b.host_reason)
		return run->b.host_reason;
	if (out->failure[0])
		return REASON_ENDLESS;
	if (!guest_code_is_intact(run->interpreter, &run->b.t))
		return REASON_CODE;
	/* An access that is not aligned either, with the end of the addresses in the middle. */
	if ((out->vector == VEC_GP || out->vector == VEC_SS) && out->state.rflags & FLAG_AC)
		return REASON_ORDER;
	if (out->vector == VEC_PF && !is_page_of_trial(out->cr2))
		return REASON_ESCAPES;
	if (out->vector != VEC_BP && enters_kernel(&run->b.t, out))
		return REASON_ESCAPES;
	return NULL;
}

/* The row of the instruction at which the trial ended by a fault. */
static const struct insn_row *row_at_end(const struct run *run)
{
	const struct trial *t = &run->b.t;
	uint64_t at = run->on_host.state.rip - t->in.rip;
	struct insn i;

	if (run->on_host.vector == VEC_BP || at >= t->code_len ||
	    !decode(t->code + at, t->code_len - (unsigned)at, t->size, run->g->features, 0, &i) ||
	    i.row >= nr_insn_rows)
		return &no_row;
	return &insn_rows[i.row];
}

static void ask_host(struct run *run)
{
	const struct insn_row *row;

	native_run(&run->b.t, &run->on_host);
	row = row_at_end(run);
	run->vendor_reason = vendor_compare(&run->line, run->g, &run->b.t, row, row == &no_row,
					    &run->on_host, &run->first);
}

static bool differs_from_host(struct run *run)
{
	run->vendor_reason = NULL;
	run->was_unsteady = false;
	run->host_reason = why_not_host(run);
	run->is_host_asked = !run->host_reason;
	if (!run->is_host_asked)
		return false;
	ask_host(run);
	if (run->line.len && native_is_paravirtual()) {
		ask_host(run);
		run->was_unsteady = !run->line.len;
	}
	run->step = STEP_HOST;
	return run->line.len;
}

/* ---- one block ---- */

/* After code_len bytes have been written on both sides. */
static bool differs_on_engine(struct run *run)
{
	static struct outcome poked;

	guest_start(run->translator, &run->b.t, &run->other);
	if (is_different(run, "translator", &run->first))
		return true;
	renew(run);
	guest_start(run->translator, &run->b.t, &run->other);
	if (is_different(run, "translator, second run", &run->first))
		return true;
	renew(run);
	poke_both(run, run->poke);
	run_interpreter(run, &poked);
	/* It is waited for if it should end, although it may be slow where code changes often. */
	guest_set_patience(run->translator, poked.failure[0] ? IMPATIENCE : NATIVE_PATIENCE);
	guest_start(run->translator, &run->b.t, &run->other);
	guest_set_patience(run->translator, NATIVE_PATIENCE);
	if (!poked.failure[0] && is_different(run, STEP_POKED, &poked))
		return true;
	poke_both(run, run->b.t.code[run->poke_at]);
	renew(run);
	guest_start(run->translator, &run->b.t, &run->other);
	return is_different(run, "translator, byte as it was", &run->first);
}

static bool differs(struct run *run)
{
	bool result;

	guest_put_code(run->interpreter, &run->b.t);
	guest_put_code(run->translator, &run->b.t);
	run_interpreter(run, &run->first);
	/* Where the time ends the run is anybody's guess. */
	result = !run->first.failure[0] && (differs_from_host(run) || differs_on_engine(run));
	if (run->first.failure[0])
		run->host_reason = REASON_ENDLESS;
	guest_remove_code(run->interpreter, &run->b.t);
	guest_remove_code(run->translator, &run->b.t);
	return result;
}

static void draw_poke(struct run *run, struct rng *r)
{
	run->poke_at = run->b.t.code_len ? rng_below(r, run->b.t.code_len) : 0;
	run->poke = rng_below(r, 3) ? run->b.t.code[run->poke_at] ^ 1u << rng_below(r, 8)
				    : (uint8_t)rng_next(r);
}

static bool is_piece_there(const struct run *run, unsigned n, const uint8_t *code)
{
	const struct block_trial *b = &run->b;

	return !b->pieces[n].is_left_out &&
	       !memcmp(code + b->at[n], b->t.code + b->at[n], b->pieces[n].len);
}

/* Whether an instruction of the block stands there as it was drawn. */
static bool is_as_drawn(const struct run *run, const uint8_t *code, unsigned at)
{
	for (unsigned n = 0; n < run->b.nr; n++)
		if (run->b.at[n] == at && is_piece_there(run, n, code))
			return true;
	return false;
}

#define BRANCHES_MAX 4

/* Follows changed code until it is as it was again: whether something undefined is on the way. */
static bool meets_undefined(const struct run *run, const uint8_t *code, unsigned at,
			    unsigned branches)
{
	while (at < CODE_MAX - 16 && !is_as_drawn(run, code, at)) {
		struct insn i;
		unsigned len = decode(code + at, CODE_MAX - at, CODE_64, run->g->features, 0, &i);

		if (!len || i.row >= nr_insn_rows)
			return false;
		if (row_is_undefined(&insn_rows[i.row]))
			return true;
		/* INT3, which is all around. */
		if (code[at] == 0xcc)
			return false;
		/* LEA is there for jumps. */
		if (!strcmp(insn_rows[i.row].name, "lea") && i.base == SLOT_RIP && branches &&
		    meets_undefined(run, code, at + (unsigned)i.disp, branches - 1))
			return true;
		at += len;
		if ((insn_rows[i.row].op[0] == O_Jb || insn_rows[i.row].op[0] == O_Jz) &&
		    branches && meets_undefined(run, code, at + (unsigned)i.imm, branches - 1))
			return true;
	}
	return false;
}

static bool is_code_undefined(const struct run *run, const uint8_t *code)
{
	for (unsigned n = 0; n < run->b.nr; n++)
		if (!run->b.pieces[n].is_left_out && !is_piece_there(run, n, code) &&
		    meets_undefined(run, code, run->b.at[n], BRANCHES_MAX))
			return true;
	/* Behind the last stands INT3, if nothing was stored there. */
	return meets_undefined(run, code, run->b.at[run->b.nr], BRANCHES_MAX);
}

static bool is_code_address(uint64_t address)
{
	return address - CODE_BASE < CODE_PAGES * PAGE || address - CODE_ALIAS < CODE_PAGES * PAGE;
}

/* Decodes from address at to address end: whether they meet, with something undefined on the way. */
static bool leads_through_undefined(const struct run *run, const uint8_t *code, unsigned at,
				    unsigned end)
{
	bool is_met = false;

	while (at < end) {
		struct insn i;
		unsigned len = decode(code + at, end - at, CODE_64, run->g->features, 0, &i);

		if (!len || i.row >= nr_insn_rows)
			return false;
		is_met |= row_is_undefined(&insn_rows[i.row]) && !is_as_drawn(run, code, at);
		at += len;
	}
	return is_met;
}

#define INSN_LEN_MAX 15

static bool differs_in_flags_only(const struct run *run)
{
	const char *text = run->line.text;

	return !strncmp(text, " rflags=", 8) && !strchr(text + 8, '=');
}

/*
 * A jump by a register that happened to hold an address of code may lead into the middle of an
 * instruction, and what stands there may leave flags undefined: nothing but flags differs then, at the
 * end of such instructions.
 */
static bool ends_behind_undefined(const struct run *run, const uint8_t *code)
{
	uint64_t end = run->first.state.rip - run->b.t.in.rip - (run->first.vector == VEC_BP);

	if (!differs_in_flags_only(run) || end >= CODE_MAX)
		return false;
	for (unsigned back = 1; back <= 2 * INSN_LEN_MAX && back <= end; back++)
		if (leads_through_undefined(run, code, (unsigned)end - back, (unsigned)end))
			return true;
	return false;
}

/*
 * A changed byte may make other addresses of what jumps by a register: then such an instruction anywhere
 * in the bytes may have been met.
 */
static bool may_meet_undefined(const struct run *run, const uint8_t *code)
{
	if (strcmp(run->step, STEP_POKED) != 0 || !differs_in_flags_only(run))
		return false;
	for (unsigned at = 0; at < run->b.t.code_len; at++) {
		struct insn i;

		if (decode(code + at, CODE_MAX - at, CODE_64, run->g->features, 0, &i) &&
		    i.row < nr_insn_rows && row_is_undefined(&insn_rows[i.row]) &&
		    !is_as_drawn(run, code, at))
			return true;
	}
	return false;
}

/* Whether there is a string instruction with a prefix, of this name or, with NULL, any. */
static bool has_repeated(const struct run *run, const char *name)
{
	for (unsigned n = 0; n < run->b.nr; n++) {
		struct insn i;

		if (run->b.pieces[n].is_left_out ||
		    !decode(run->b.t.code + run->b.at[n], 16, CODE_64, run->g->features, 0, &i) ||
		    i.row >= nr_insn_rows)
			continue;
		if (insn_rows[i.row].attr & A_REP && i.prefix & (PFX_REPE | PFX_REPNE) &&
		    (!name || !strcmp(insn_rows[i.row].name, name)))
			return true;
	}
	return false;
}

/* A repeated store goes over code, its own perhaps: how soon that is seen is open. */
static bool repeats_into_code(const struct run *run)
{
	return (is_code_address(run->first.state.gpr[RDI]) ||
		is_code_address(run->other.state.gpr[RDI])) &&
	       has_repeated(run, NULL);
}

static bool is_aliased(uint64_t address)
{
	return address - DATA_ALIAS <= DATA_RW_SIZE;
}

/*
 * A repeated move loads what it has stored by the other address of the page. The host's CPU moves
 * groups of elements and looks for an overlap by the values of RSI and RDI (SDM vol. 1, 7.3.9.3).
 */
static bool moves_behind_itself(const struct run *run)
{
	const uint64_t *gpr = run->first.state.gpr;

	return !strcmp(run->step, STEP_HOST) && is_aliased(gpr[RSI]) != is_aliased(gpr[RDI]) &&
	       has_repeated(run, "movs");
}

/* It ended, with its code changed perhaps, between an instruction with undefined flags and what hides them. */
static bool ends_unhidden(const struct run *run)
{
	for (unsigned n = 0; n < run->b.nr; n++) {
		const struct piece *p = &run->b.pieces[n];
		uint64_t behind = run->b.t.in.rip + run->b.at[n] + p->insn_len;

		if (p->insn_len < p->len &&
		    (run->first.state.rip == behind || run->other.state.rip == behind))
			return true;
	}
	return false;
}

/*
 * Changed code may be an instruction with undefined results: then the difference means nothing. Such
 * an instruction that the block had from the start is followed by one that hides them.
 */
static bool is_undefined(const struct run *run)
{
	uint8_t code[CODE_MAX], first[CODE_MAX], other[CODE_MAX];

	memcpy(code, run->b.t.code, sizeof(code));
	memcpy(first, code, sizeof(code));
	memcpy(first, run->first.code, code_there(&run->b.t));
	memcpy(other, code, sizeof(code));
	memcpy(other, run->other.code, code_there(&run->b.t));
	code[run->poke_at] = run->poke;
	return ends_unhidden(run) || may_meet_undefined(run, code) ||
	       ends_behind_undefined(run, first) || repeats_into_code(run) ||
	       moves_behind_itself(run) || is_code_undefined(run, code) ||
	       is_code_undefined(run, first) || is_code_undefined(run, other);
}

/* Keeps the byte that is changed in the instruction it was in. */
static unsigned piece_of_poke(const struct run *run)
{
	unsigned n = 0;

	while (n + 1 < run->b.nr && run->b.at[n + 1] <= run->poke_at)
		n++;
	return n;
}

/* Leaves out instructions while the block still differs. */
static void shrink(struct run *run)
{
	unsigned left_out = 1;

	while (left_out) {
		left_out = 0;
		for (unsigned n = run->b.nr; n--;) {
			unsigned poked = piece_of_poke(run), poke_at = run->poke_at;
			unsigned in_piece = poke_at - run->b.at[poked];
			uint8_t poke = run->poke;

			if (run->b.pieces[n].is_left_out)
				continue;
			run->b.pieces[n].is_left_out = true;
			if (block_assemble(&run->b) && run->b.t.code_len) {
				run->poke_at =
					min(run->b.at[poked] + in_piece, run->b.t.code_len - 1);
				if (differs(run)) {
					left_out++;
					continue;
				}
			}
			run->b.pieces[n].is_left_out = false;
			run->poke_at = poke_at;
			run->poke = poke;
			block_assemble(&run->b);
		}
	}
	differs(run);
}

/* ---- output ---- */

static void print_block(const struct run *run)
{
	const struct block_trial *b = &run->b;

	for (unsigned n = 0; n < b->nr; n++) {
		unsigned len = b->pieces[n].len;
		char text[128];

		if (b->pieces[n].is_left_out)
			continue;
		disassemble(b->t.code + b->at[n], len, CODE_64, b->t.in.rip + b->at[n], text,
			    sizeof(text));
		printf("  %" PRIx64 ":", b->t.in.rip + b->at[n]);
		for (unsigned k = 0; k < 15; k++)
			k < len ? printf(" %02x", b->t.code[b->at[n] + k]) : printf("   ");
		printf(" %s\n", text);
	}
}

static void print_start(const struct run *run)
{
	const struct trial *t = &run->b.t;

	printf("  start: rflags=%" PRIx64 " gs_base=%" PRIx64 " fcw=%x mxcsr=%x", t->in.rflags,
	       t->in.gs_base, t->in.fpu.fcw, t->in.fpu.mxcsr);
	for (unsigned n = 0; n < 16; n++)
		printf(" r%u=%" PRIx64, n, t->in.gpr[n]);
	printf("\n  changed byte: +%x = %02x\n", run->poke_at, run->poke);
}

/* Returns whether it is a difference. */
static bool report(struct run *run, uint64_t number)
{
	char found[1024];
	const char *step = run->step;
	unsigned vector = run->other.vector;
	uint64_t cr2 = run->other.cr2, rip = run->other.state.rip;

	/* What does not differ again, after an interrupted REP for one, is judged by what was found. */
	bool was_undefined = is_undefined(run);

	snprintf(found, sizeof(found), "%s", run->line.text);
	shrink(run);
	if (run->line.len ? is_undefined(run) : was_undefined)
		return false;
	printf("block %" PRIu64 " of seed %" PRIu64 " differs (%s; expected values as host):%s\n",
	       number, run->o->seed, step, found);
	if (!run->line.len) {
		printf("  not again: what comes before it matters; the translator ended at %" PRIx64
		       " with vector %u, cr2 %" PRIx64 "\n",
		       rip, vector, cr2);
		print_block(run);
		print_start(run);
		return true;
	}
	printf("  shrunk (%s):%s, ends at %" PRIx64 " with vector %u\n", run->step, run->line.text,
	       run->first.state.rip, run->first.vector);
	print_block(run);
	print_start(run);
	fflush(stdout);
	return true;
}

static void count_reason(struct totals *totals, const char *text)
{
	for (unsigned n = 0; n < ARRAY_SIZE(totals->reasons); n++) {
		struct reason *reason = &totals->reasons[n];

		if (reason->text && reason->text != text)
			continue;
		reason->text = text;
		reason->count++;
		return;
	}
}

static void print_summary(const struct totals *totals)
{
	printf("outcomes:");
	for (unsigned v = 0; v < ARRAY_SIZE(totals->vectors); v++)
		if (totals->vectors[v])
			printf(" %s%u: %" PRIu64, v == VEC_BP ? "completed, vector " : "vector ", v,
			       totals->vectors[v]);
	printf("\ncompared with the host CPU too: %" PRIu64
	       " blocks; interpreter against translator"
	       " only:",
	       totals->on_host);
	for (unsigned n = 0; n < ARRAY_SIZE(totals->reasons) && totals->reasons[n].text; n++)
		printf(" %" PRIu64 " (%s)", totals->reasons[n].count, totals->reasons[n].text);
	printf("\n");
	vendor_print(&totals->vendor);
	if (totals->unsteady)
		printf("as on the host only when it was asked again: %" PRIu64 "\n",
		       totals->unsteady);
	printf("%" PRIu64 " blocks, %" PRIu64 " instructions: %" PRIu64 " blocks differ, %" PRIu64
	       " more in what the architecture leaves open\n",
	       totals->blocks, totals->insns, totals->failed, totals->undefined);
}

static void run_one(struct run *run, uint64_t number, struct totals *totals)
{
	const struct blocks_options *o = run->o;
	struct rng seeds = {.state = o->seed}, r;
	unsigned length;

	r.state = rng_next(&seeds) ^ number * 0x9e3779b97f4a7c15;
	r.state = rng_next(&r);
	length = o->length_min + rng_below(&r, o->length_max - o->length_min + 1);
	do
		block_generate(run->g, &r, length, &run->b);
	while (!block_assemble(&run->b) || !run->b.t.code_len);
	draw_poke(run, &r);
	totals->blocks++;
	totals->insns += run->b.nr;
	run->is_host_asked = false;
	if (differs(run)) {
		bool is_difference = report(run, number);

		totals->failed += is_difference;
		totals->undefined += !is_difference;
		return;
	}
	totals->on_host += run->is_host_asked;
	vendor_count(&totals->vendor, run->vendor_reason);
	totals->unsteady += run->was_unsteady;
	if (!run->is_host_asked)
		count_reason(totals, run->host_reason);
	if (!run->first.failure[0])
		totals->vectors[run->first.vector & 31]++;
}

uint64_t blocks_run(const struct blocks_options *o, const struct generator *g,
		    struct guest *interpreter, struct guest *translator)
{
	static struct totals totals;
	static struct run run;

	run.o = o;
	run.g = g;
	run.interpreter = interpreter;
	run.translator = translator;
	guest_set_patience(interpreter, IMPATIENCE);
	for (uint64_t n = 0; n < o->count && totals.failed < o->failures_max; n++)
		run_one(&run, o->first + n, &totals);
	print_summary(&totals);
	return totals.failed;
}
