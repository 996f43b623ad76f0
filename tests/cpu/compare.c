/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every instruction a user program can execute, run on the host CPU and on the engine, from the
 * same random state: registers, flags, FPU and memory afterwards must be the same, and so must
 * faults. Prints a line per row that differs and what could not be compared; exits with 1 on any
 * difference.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/generate.h"
#include "cpu/guest.h"
#include "cpu/native.h"

#define COUNT_DEFAULT 400 /* trials per row: half a minute in all */
#define ROWS_MAX      4096

#define MXCSR_FLAGS 0x3fu

struct options {
	uint64_t seed;
	unsigned count;
	long trial; /* only this one, or -1 */
	const char *row, *accel;
	bool is_verbose, is_translated;
};

struct totals {
	unsigned rows, rows_failed, rows_hidden;
	uint64_t trials, failed, host_failed, vectors[32];
	const char *excluded[ROWS_MAX];
	bool never_ran[ROWS_MAX];
};

/* Appends to a line of differences; what does not fit is left out. */
struct line {
	char text[1024];
	size_t len;
};

static void line_add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *l, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, args);
	va_end(args);
	if (n > 0)
		l->len = min(l->len + (size_t)n, sizeof(l->text) - 1);
}

static void compare_u64(struct line *l, const char *name, uint64_t host, uint64_t guest)
{
	if (host != guest)
		line_add(l, " %s=%" PRIx64 " (host %" PRIx64 ")", name, guest, host);
}

static void compare_bytes(struct line *l, const char *name, unsigned number, const uint8_t *host,
			  const uint8_t *guest, unsigned len)
{
	if (!memcmp(host, guest, len))
		return;
	line_add(l, " %s%u=", name, number);
	for (unsigned n = len; n--;)
		line_add(l, "%02x", guest[n]);
	line_add(l, " (host ");
	for (unsigned n = len; n--;)
		line_add(l, "%02x", host[n]);
	line_add(l, ")");
}

/* Which bits of MXCSR the architecture leaves no choice about. */
static uint32_t mxcsr_mask(const struct outcome *host, bool has_run)
{
	/* A store that faults may have left its flags behind. */
	return has_run || host->vector == VEC_XM ? UINT32_MAX : ~MXCSR_FLAGS;
}

static void compare_fpu(struct line *l, const struct insn_row *row, const struct outcome *on_host,
			const struct outcome *on_guest, bool has_run)
{
	const struct xsave_area *host = &on_host->state.fpu, *guest = &on_guest->state.fpu;
	uint32_t mask = mxcsr_mask(on_host, has_run);

	compare_u64(l, "mxcsr", host->mxcsr & mask, guest->mxcsr & mask);
	compare_u64(l, "fcw", host->fcw, guest->fcw);
	compare_u64(l, "fop", host->fop, guest->fop);
	compare_u64(l, "fip", host->fip, guest->fip);
	compare_u64(l, "fdp", host->fdp, guest->fdp);
	/* An MMX instruction that faults may be half way between x87 and MMX state. */
	if (has_run || !(row->attr & A_MMX)) {
		compare_u64(l, "fsw", host->fsw, guest->fsw);
		compare_u64(l, "ftw", host->ftw, guest->ftw);
		for (unsigned n = 0; n < 8; n++)
			compare_bytes(l, "st", n, host->st[n], guest->st[n], 10);
	}
	for (unsigned n = 0; n < 16; n++)
		compare_bytes(l, "xmm", n, host->xmm[n], guest->xmm[n], 16);
	for (unsigned n = 0; n < 16; n++)
		compare_bytes(l, "ymmh", n, host->ymm_high[n], guest->ymm_high[n], 16);
}

static void compare_data(struct line *l, const struct outcome *host, const struct outcome *guest)
{
	unsigned first = 0, last = DATA_RW_SIZE;

	if (!memcmp(host->data, guest->data, DATA_RW_SIZE))
		return;
	while (host->data[first] == guest->data[first])
		first++;
	while (host->data[last - 1] == guest->data[last - 1])
		last--;
	line_add(l, " [%" PRIx64 "..%" PRIx64 "]", (uint64_t)DATA_RW + first,
		 (uint64_t)DATA_RW + last - 1);
	compare_bytes(l, "memory", 0, host->data + first, guest->data + first,
		      min(last - first, 32u));
}

/*
 * Instructions of many accesses, or of masked ones, touch their pages in an order of the CPU's own:
 * only the page that faults is defined.
 */
static bool has_loose_fault_address(const struct insn_row *row)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (row->op[n] == O_Menv || row->op[n] == O_Mstate || row->op[n] == O_DSrDI ||
		    row->op[n] == O_Mp || (row->op[n] == O_Mx && row->op[1] == O_Hx))
			return true;
	return !strcmp(row->name, "retf") || !strcmp(row->name, "iret");
}

/* Error code and address of a page fault. */
static void compare_page_fault(struct line *l, const struct insn_row *row,
			       const struct outcome *host, const struct outcome *guest)
{
	/* An image may be on two missing pages. */
	bool is_image = row->op[0] == O_M;
	uint64_t cr2_mask = is_image			   ? 0
			    : has_loose_fault_address(row) ? ~(uint64_t)(PAGE - 1)
							   : UINT64_MAX;
	/* Linux tells nobody whether a page of its own half exists. */
	uint32_t error_mask = host->cr2 >> 63 ? ~PF_PRESENT : UINT32_MAX;

	compare_u64(l, "error", host->error & error_mask, guest->error & error_mask);
	compare_u64(l, "cr2", host->cr2 & cr2_mask, guest->cr2 & cr2_mask);
}

/* Instructions that may have stored a part before they fault. */
static bool stores_before_fault(const struct insn_row *row)
{
	return !strcmp(row->name, "enter") || !strcmp(row->name, "callf") ||
	       !strcmp(row->name, "call") || !strcmp(row->name, "fbstp");
}

/* The way through the host's kernel clears the RPL of null selectors. */
static uint16_t null_or(uint16_t selector)
{
	return selector & ~3 ? selector : 0;
}

/* All differences between the two sides, as text; empty when there are none. */
static void compare_outcomes(struct line *l, const struct insn_row *row, const struct trial *t,
			     const struct outcome *host, const struct outcome *guest)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	static const char *const segments[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
	/* An instruction that faults leaves the flags alone, so all of them are defined then. */
	bool has_run = host->state.rip != t->in.rip;
	uint64_t undefined = has_run ? row->flags_undef : 0;
	uint64_t mask = (FLAGS_STATUS & ~undefined) | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL |
			FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID;

	l->len = 0;
	l->text[0] = 0;
	if (guest->failure[0]) {
		if (strcmp(host->failure, guest->failure))
			line_add(l, " engine: \"%s\", host: \"%s\" at %" PRIx64, guest->failure,
				 host->failure, host->state.rip);
		return;
	}
	compare_u64(l, "vector", host->vector, guest->vector);
	if (host->vector == VEC_PF && guest->vector == VEC_PF)
		compare_page_fault(l, row, host, guest);
	else if (host->vector == guest->vector)
		compare_u64(l, "error", host->error, guest->error);
	for (unsigned n = 0; n < 16; n++) {
		/* Outside 64-bit mode the upper half of RSP is undefined. */
		bool is_half = n == RSP && host->state.selector[SEG_CS] == USER_CS32;
		uint64_t defined = is_half ? UINT32_MAX : UINT64_MAX;

		compare_u64(l, names[n], host->state.gpr[n] & defined,
			    guest->state.gpr[n] & defined);
	}
	compare_u64(l, "rip", host->state.rip, guest->state.rip);
	compare_u64(l, "rflags", host->state.rflags & mask, guest->state.rflags & mask);
	for (unsigned n = 0; n < 6; n++)
		compare_u64(l, segments[n], null_or(host->state.selector[n]),
			    null_or(guest->state.selector[n]));
	compare_u64(l, "fs_base", host->state.fs_base, guest->state.fs_base);
	compare_u64(l, "gs_base", host->state.gs_base, guest->state.gs_base);
	compare_fpu(l, row, host, guest, has_run);
	if (has_run || !stores_before_fault(row))
		compare_data(l, host, guest);
}

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
		compare_outcomes(&l, row, &t, &on_host, &on_guest);
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
	printf("\n%u rows, %" PRIu64 " trials: %u rows differ in %" PRIu64
	       " trials, %u rows cannot be encoded\n",
	       totals->rows, totals->trials, totals->rows_failed, totals->failed,
	       totals->rows_hidden);
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
	guest = guest_new(o->accel, o->is_translated, g.fs_base, native_xcr0(), &err);
	if (!guest) {
		fprintf(stderr, "compare: no guest: %s\n", err.text);
		return 1;
	}
	g.features = guest_features(guest);
	native_on_tick(guest_tick, guest);
	for (const struct insn_row *row = insn_rows; row < insn_rows + nr_insn_rows; row++) {
		unsigned index = (unsigned)(row - insn_rows), f = row->feature;
		const char *reason = row_excluded(row);

		if (!row_is_wanted(o, row))
			continue;
		if (!reason && f != FEAT_NONE && !(g.features[f / 32] >> (f % 32) & 1))
			reason = "this host or the guest's CPU model lacks it";
		totals.excluded[index] = reason;
		if (!reason)
			run_row(o, &g, guest, row, &totals);
	}
	native_on_tick(NULL, NULL);
	print_summary(&totals);
	guest_free(guest);
	return totals.rows_failed || totals.rows_hidden ? 1 : 0;
}

static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text && !*end && !errno;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},	 {"count", required_argument, NULL, 'c'},
		{"row", required_argument, NULL, 'r'},	 {"trial", required_argument, NULL, 't'},
		{"accel", required_argument, NULL, 'a'}, {"translate", no_argument, NULL, 'T'},
		{"verbose", no_argument, NULL, 'v'},	 {0},
	};
	struct options o = {.seed = 1, .count = COUNT_DEFAULT, .trial = -1, .accel = "soft"};
	uint64_t number = 0;
	int c;

	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		if ((c == 's' || c == 'c' || c == 't') && !parse_number(optarg, &number)) {
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
		else if (c == 'v')
			o.is_verbose = true;
		else
			return 2;
	}
	return compare_all(&o);
}
