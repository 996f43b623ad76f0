/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every instruction a user program can execute, run on the host CPU and on the engine, from the
 * same random state: registers, flags, FPU and memory afterwards must be the same, and so must
 * faults. Prints a line per row that differs and what could not be compared; exits with 1 on any
 * difference.
 *
 * With --blocks the same for random blocks of instructions, run by the interpreter, by the
 * translator and, where possible, by the host CPU.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/blocks.h"
#include "cpu/differ.h"
#include "cpu/generate.h"
#include "cpu/guest.h"
#include "cpu/native.h"
#include "cpu/vendor.h"

#define COUNT_DEFAULT 400 /* trials per row: half a minute in all */
#define ROWS_MAX      4096

struct options {
	uint64_t seed;
	unsigned count;
	long trial; /* only this one, or -1 */
	const char *row, *accel;
	bool is_verbose, is_translated, has_sites;
	struct blocks_options blocks; /* count 0: rows are compared */
};

struct totals {
	unsigned rows, rows_failed, rows_hidden;
	uint64_t trials, failed, host_failed, unsteady, vectors[32];
	const char *excluded[ROWS_MAX];
	bool never_ran[ROWS_MAX];
	struct vendor_counts vendor;
};

static void print_trial(const struct insn_row *row, unsigned number, const struct trial *t,
			const struct line *l)
{
	char text[128];

	disassemble(t->code, t->code_len, t->size, t->in.rip, text, sizeof(text));
	printf("%s/%02x: trial %u%s:", row->name, row->opcode, number,
	       t->size == CODE_32 ? ", 32-bit" : "");
	for (unsigned n = 0; n < t->code_len; n++)
		printf(" %02x", t->code[n]);
	printf(" \"%s\":%s\n", text, l->text);
}

static void print_state(const struct trial *t)
{
	printf("  rip=%" PRIx64 " rflags=%" PRIx64 " gs_base=%" PRIx64 " fcw=%x fsw=%x ftw=%x"
	       " mxcsr=%x\n ",
	       t->in.rip, t->in.rflags, t->in.gs_base, t->in.fpu.fcw, t->in.fpu.fsw, t->in.fpu.ftw,
	       t->in.fpu.mxcsr);
	for (unsigned n = 0; n < 16; n++)
		printf(" r%u=%" PRIx64, n, t->in.gpr[n]);
	printf("\n");
	for (unsigned n = 0; n < 24; n++) {
		const uint8_t *v = n < 8 ? t->in.fpu.st[n] : t->in.fpu.xmm[n - 8];

		printf("  %s%u=", n < 8 ? "st" : "xmm",
		       n & (n < 8 ? 7 : 15) ? n - (n < 8 ? 0 : 8) : 0);
		for (unsigned byte = n < 8 ? 10 : 16; byte--;)
			printf("%02x", v[byte]);
		printf("%s", n % 4 == 3 ? "\n" : "");
	}
}

/* All trials of one row. */
static void run_row(const struct options *o, const struct generator *g, struct guest *guest,
		    const struct insn_row *row, struct totals *totals)
{
	static struct trial t;
	static struct outcome on_host, on_guest;
	unsigned index = (unsigned)(row - insn_rows), failed = 0, completed = 0;
	unsigned first = o->trial < 0 ? 0 : (unsigned)o->trial;
	unsigned end = o->trial < 0 ? o->count : first + 1;
	const char *reason;
	struct line l;

	totals->rows++;
	for (unsigned n = first; n < end; n++) {
		/* Each trial has its own seed, so that it can be repeated alone. */
		struct rng seeds = {.state = o->seed}, r;

		r.state = rng_next(&seeds) ^ (uint64_t)index << 32 ^ n;
		if (!generate(g, &r, row, &t)) {
			printf("%s/%02x: no encoding decodes to this row (number %u)\n", row->name,
			       row->opcode, index);
			totals->rows_hidden++;
			return;
		}
		native_run(&t, &on_host);
		totals->trials++;
		if (on_host.failure[0]) {
			totals->host_failed++;
			continue;
		}
		guest_run(guest, &t, &on_guest);
		reason = vendor_compare(&l, g, &t, row, on_host.state.rip != t.in.rip, &on_host,
					&on_guest);
		if (l.len && native_is_paravirtual()) {
			native_run(&t, &on_host);
			reason = vendor_compare(&l, g, &t, row, on_host.state.rip != t.in.rip,
						&on_host, &on_guest);
			totals->unsteady += !l.len;
		}
		vendor_count(&totals->vendor, reason);
		totals->vectors[on_host.vector & 31]++;
		completed += on_host.vector == VEC_BP;
		if (!l.len)
			continue;
		if (!failed++ || o->is_verbose)
			print_trial(row, n, &t, &l);
		if (o->trial >= 0)
			print_state(&t);
	}
	totals->never_ran[index] = !completed;
	if (!failed)
		return;
	printf("%s/%02x: %u of %u trials differ\n", row->name, row->opcode, failed, end - first);
	totals->failed += failed;
	totals->rows_failed++;
}

static bool row_is_wanted(const struct options *o, const struct insn_row *row)
{
	return !o->row || !strcmp(o->row, row->name);
}

/* Names of the rows with one property, each once, behind a heading. */
static void print_rows(const char *heading,
		       bool (*has)(const struct totals *, unsigned, const void *),
		       const struct totals *totals, const void *ctx)
{
	const char *last = "";

	printf("%s:", heading);
	for (unsigned n = 0; n < nr_insn_rows; n++)
		if (has(totals, n, ctx) && strcmp(last, insn_rows[n].name))
			printf(" %s", last = insn_rows[n].name);
	printf("\n");
}

static bool is_excluded_for(const struct totals *totals, unsigned n, const void *reason)
{
	return totals->excluded[n] && !strcmp(totals->excluded[n], reason);
}

static bool never_completed(const struct totals *totals, unsigned n, const void *ctx)
{
	return totals->never_ran[n];
}

/* What is left out because of the host's kernel. */
static void print_host(void)
{
	const bool *answers_int = native_answers_int();
	bool is_first = true;

	if (!native_has_code_32())
		printf("not drawn (this host does not run 32-bit code): its selector, %x\n",
		       USER_CS32);
	for (unsigned n = 0; n < 256; n++)
		if (answers_int[n] && n != 0x80) {
			printf("%s %x",
			       is_first ? "not drawn (this host answers it in its own way): int"
					: "",
			       n);
			is_first = false;
		}
	if (!is_first)
		printf("\n");
}

static void print_summary(const struct totals *totals)
{
	for (unsigned n = 0; n < nr_insn_rows; n++) {
		const char *reason = totals->excluded[n];
		bool is_first = reason;
		char heading[160];

		for (unsigned before = 0; is_first && before < n; before++)
			is_first = !totals->excluded[before] ||
				   strcmp(totals->excluded[before], reason) != 0;
		if (!is_first)
			continue;
		snprintf(heading, sizeof(heading), "not compared (%s)", reason);
		print_rows(heading, is_excluded_for, totals, reason);
	}
	print_rows("compared, but every trial faulted", never_completed, totals, NULL);
	printf("outcomes:");
	for (unsigned v = 0; v < ARRAY_SIZE(totals->vectors); v++)
		if (totals->vectors[v])
			printf(" %s%u: %" PRIu64, v == VEC_BP ? "completed, vector " : "vector ", v,
			       totals->vectors[v]);
	if (totals->host_failed)
		printf(" the host did not end: %" PRIu64, totals->host_failed);
	printf("\n");
	vendor_print(&totals->vendor);
	print_host();
	if (totals->unsteady)
		printf("as on the host only when it was asked again: %" PRIu64 "\n",
		       totals->unsteady);
	printf("%u rows, %" PRIu64 " trials: %u rows differ in %" PRIu64
	       " trials, %u rows cannot be encoded\n",
	       totals->rows, totals->trials, totals->rows_failed, totals->failed,
	       totals->rows_hidden);
}

static void ask_host(struct generator *g)
{
	g->has_code_32 = native_has_code_32();
	g->keeps_gs_base = native_keeps_gs_base();
	g->answers_int = native_answers_int();
}

static int compare_all(const struct options *o)
{
	static struct totals totals;
	struct error err = {.text = ""};
	struct generator g;
	struct guest *guest;
	int r = native_init();

	if (r) {
		fprintf(stderr, "compare: this host cannot run trials: %s\n", strerror(-r));
		return 1;
	}
	decode_init();
	BUG_ON(nr_insn_rows > ROWS_MAX);
	g.fs_base = native_fs_base();
	guest = guest_new(o->accel, o->is_translated, o->has_sites, g.fs_base, native_xcr0(), &err);
	if (!guest) {
		fprintf(stderr, "compare: no guest: %s\n", err.text);
		return 1;
	}
	g.features = guest_features(guest);
	ask_host(&g);
	native_on_tick(guest_tick, guest);
	for (const struct insn_row *row = insn_rows; row < insn_rows + nr_insn_rows; row++) {
		unsigned index = (unsigned)(row - insn_rows), f = row->feature;
		const char *reason = row_excluded(&g, row);

		if (!row_is_wanted(o, row))
			continue;
		if (!reason && f != FEAT_NONE && !(g.features[f / 32] >> (f % 32) & 1))
			reason = "this host or the guest's CPU model lacks it";
		if (!reason && row->mode != MODE_ANY && row->mode != MODE_64 && !g.has_code_32)
			reason = "this host does not run 32-bit code";
		totals.excluded[index] = reason;
		if (!reason)
			run_row(o, &g, guest, row, &totals);
	}
	native_on_tick(NULL, NULL);
	print_summary(&totals);
	guest_free(guest);
	return totals.rows_failed || totals.rows_hidden ? 1 : 0;
}

/* ---- blocks ---- */

struct both {
	struct guest *interpreter, *translator;
};

static void tick_both(void *ctx)
{
	struct both *both = ctx;

	guest_tick(both->interpreter);
	guest_tick(both->translator);
}

static int compare_blocks(const struct options *o)
{
	struct error err = {.text = ""};
	struct both both = {NULL, NULL};
	struct generator g;
	uint64_t failed;
	int r = native_init();

	if (r) {
		fprintf(stderr, "compare: this host cannot run trials: %s\n", strerror(-r));
		return 1;
	}
	decode_init();
	g.fs_base = native_fs_base();
	both.interpreter = guest_new(o->accel, false, false, g.fs_base, native_xcr0(), &err);
	both.translator = guest_new(o->accel, true, o->has_sites, g.fs_base, native_xcr0(), &err);
	if (!both.interpreter || !both.translator) {
		fprintf(stderr, "compare: no guest: %s\n", err.text);
		return 1;
	}
	g.features = guest_features(both.interpreter);
	ask_host(&g);
	native_on_tick(tick_both, &both);
	failed = blocks_run(&o->blocks, &g, both.interpreter, both.translator);
	native_on_tick(NULL, NULL);
	guest_free(both.interpreter);
	guest_free(both.translator);
	return failed ? 1 : 0;
}

static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text && !*end && !errno;
}

/* "20" or "2..40". */
static bool parse_length(const char *text, struct blocks_options *o)
{
	char *end;

	o->length_min = o->length_max = (unsigned)strtoul(text, &end, 0);
	if (!strncmp(end, "..", 2))
		o->length_max = (unsigned)strtoul(end + 2, &end, 0);
	return !*end && o->length_min && o->length_min <= o->length_max && o->length_max <= 60;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'c'},
		{"row", required_argument, NULL, 'r'},
		{"trial", required_argument, NULL, 't'},
		{"accel", required_argument, NULL, 'a'},
		{"translate", no_argument, NULL, 'T'},
		{"blocks", required_argument, NULL, 'b'},
		{"length", required_argument, NULL, 'l'},
		{"verbose", no_argument, NULL, 'v'},
		{"sites", no_argument, NULL, 'S'},
		{0},
	};
	struct options o = {
		.seed = 1,
		.count = COUNT_DEFAULT,
		.trial = -1,
		.accel = "soft",
		.blocks = {.length_min = 2, .length_max = 40, .failures_max = 10},
	};
	uint64_t number = 0;
	int c;

	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		if (strchr("sctb", c) && !parse_number(optarg, &number)) {
			fprintf(stderr, "compare: \"%s\" is no number\n", optarg);
			return 2;
		}
		if (c == 's')
			o.seed = number;
		else if (c == 'c')
			o.count = (unsigned)number;
		else if (c == 't')
			o.trial = (long)number;
		else if (c == 'r')
			o.row = optarg;
		else if (c == 'a')
			o.accel = optarg;
		else if (c == 'T')
			o.is_translated = true;
		else if (c == 'S')
			o.has_sites = true;
		else if (c == 'v')
			o.is_verbose = true;
		else if (c == 'b')
			o.blocks.count = number;
		else if (c != 'l' || !parse_length(optarg, &o.blocks))
			return 2;
	}
	if (!o.blocks.count)
		return compare_all(&o);
	o.blocks.seed = o.seed;
	/* From there on: what differs may depend on those before it. */
	if (o.trial >= 0)
		o.blocks.first = (uint64_t)o.trial;
	return compare_blocks(&o);
}
