/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and listings of translated code; see listing.h. Host code is read back by the disassembler
 * of the guest's: it is x86-64 too.
 */
#include "engine/soft/translate/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/soft/cache_impl.h"
#include "engine/soft/translate/emit_impl.h"

/* Two for each instruction, one for each piece that stands out of line, and the ends. */
#define MARKS_MAX (OUTS_MAX + 2 * BLOCK_INSNS_MAX + 2)

struct mark {
	const uint8_t *at;
	uint16_t insn;
	bool is_out;
};

struct listing {
	FILE *map, *text;
	struct gates gates;
	unsigned nr_marks;
	struct mark marks[MARKS_MAX];
};

static const char *const gate_names[NR_GATES] = {
	[GATE_SLOW] = "gate_slow",
	[GATE_INTERPRET] = "gate_interpret",
	[GATE_INTERPRET_END] = "gate_interpret_end",
	[GATE_SIMD] = "gate_simd",
	[GATE_AVX] = "gate_avx",
	[GATE_LEAVE] = "gate_leave",
	[GATE_LEAVE_MISS] = "gate_leave_miss",
	[GATE_LEAVE_RUN] = "gate_leave_run",
	[GATE_LEAVE_LINK] = "gate_leave_link",
	[GATE_COLD] = "gate_cold",
	[GATE_FILL_READ] = "gate_fill_read",
	[GATE_FILL_WRITE] = "gate_fill_write",
	[GATE_SYSCALL] = "gate_syscall",
	[GATE_SYSRET] = "gate_sysret",
};

/* ---- files ---- */

static FILE *open_file(const char *path, int flags, mode_t mode, struct error *err)
{
	int fd = open(path, flags | O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f) {
		error_set_errno(err, -errno, "%s", path);
		if (fd >= 0)
			close(fd);
	}
	return f;
}

/*
 * perf finds the map by this name, in a directory that anybody writes to. So the file is always a
 * new one: a link that somebody else has put there cannot be removed by us, and is not followed.
 */
static FILE *open_map(struct error *err)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
	unlink(path);
	f = open_file(path, O_EXCL | O_NOFOLLOW, 0600, err);
	/* What a killed process leaves is of use, too. */
	if (f)
		setvbuf(f, NULL, _IOLBF, 0);
	return f;
}

struct listing *listing_new(const struct engine_options *opt, struct error *err)
{
	struct listing *l;

	if (!opt->has_perf_map && !opt->code_listing)
		return NULL;
	l = calloc(1, sizeof(*l));
	BUG_ON(!l);
	if (opt->has_perf_map)
		l->map = open_map(err);
	if (opt->code_listing && (l->map || !opt->has_perf_map))
		l->text = open_file(opt->code_listing, O_TRUNC, 0666, err);
	if ((opt->has_perf_map && !l->map) || (opt->code_listing && !l->text)) {
		listing_free(l);
		return NULL;
	}
	return l;
}

void listing_free(struct listing *l)
{
	if (!l)
		return;
	if (l->map)
		fclose(l->map);
	if (l->text)
		fclose(l->text);
	free(l);
}

/* ---- marks ---- */

static void mark(struct emitter *e, unsigned insn, bool is_out)
{
	struct listing *l = e->listing;

	if (l && l->nr_marks < MARKS_MAX)
		l->marks[l->nr_marks++] =
			(struct mark){.at = e->o.at, .insn = (uint16_t)insn, .is_out = is_out};
}

void listing_begin(struct emitter *e)
{
	if (e->listing)
		e->listing->nr_marks = 0;
	mark(e, 0, false);
}

void listing_mark(struct emitter *e, bool is_out)
{
	mark(e, e->at, is_out);
}

void listing_mark_end(struct emitter *e)
{
	mark(e, e->nr, true);
}

/* ---- text ---- */

static const char *gate_at(const struct listing *l, const uint8_t *at)
{
	for (unsigned n = 0; n < NR_GATES; n++)
		if (l->gates.at[n] == at)
			return gate_names[n];
	return NULL;
}

/* Where the call or jump of 32 bits at code leads, or NULL. */
static const uint8_t *jump_target(const uint8_t *code, unsigned len)
{
	bool is_jump = (len == 5 && (*code == 0xe8 || *code == 0xe9)) ||
		       (len == 6 && *code == 0x0f && (code[1] & 0xf0) == 0x80);
	int32_t disp;

	if (!is_jump)
		return NULL;
	memcpy(&disp, code + len - 4, sizeof(disp));
	return code + len + disp;
}

static unsigned print_host(struct listing *l, const uint8_t *code, size_t avail, ptrdiff_t delta)
{
	uint64_t address = (uintptr_t)(code + delta);
	const uint8_t *target;
	const char *gate;
	char text[96];
	unsigned len = disassemble(code, (unsigned)min(avail, (size_t)16), CODE_64, address, text,
				   sizeof(text));

	/* What the table of guest instructions does not have. */
	if (!len || !strcmp(text, "(bad)")) {
		fprintf(l->text, "\t%llx\t.byte 0x%02x\n", (unsigned long long)address, *code);
		return 1;
	}
	target = jump_target(code, len);
	gate = target ? gate_at(l, target) : NULL;
	fprintf(l->text, "\t%llx\t%s%s%s\n", (unsigned long long)address, text, gate ? " # " : "",
		gate ? gate : "");
	return len;
}

static void print_guest(struct listing *l, const struct emitter *e, const struct mark *m,
			uint64_t page)
{
	const struct insn *i = &e->insns[m->insn];
	uint64_t rip = page + i->off;
	char text[96];

	if (m->insn >= e->nr)
		return;
	disassemble(block_code(e->block) + (i->off - e->page_off), i->len, CODE_64, rip, text,
		    sizeof(text));
	fprintf(l->text, "%s%llx: %s\n", m->is_out ? "out of line: " : "", (unsigned long long)rip,
		text);
}

static void print_code(struct listing *l, const struct emitter *e, uint64_t page)
{
	for (unsigned n = 0; n + 1 < l->nr_marks; n++) {
		const struct mark *m = &l->marks[n];
		const uint8_t *end = m[1].at;

		if (n == 0 || m->insn != m[-1].insn || m->is_out != m[-1].is_out)
			print_guest(l, e, m, page);
		for (const uint8_t *at = m->at; at < end;)
			at += print_host(l, at, (size_t)(end - at), e->o.exec_delta);
	}
}

/* ---- for the code cache ---- */

void listing_gates(struct listing *l, const struct code_cache *cc, uint64_t size)
{
	const uint8_t *enter = code_gates(cc)->enter;
	ptrdiff_t delta = code_exec_delta(cc);

	l->gates = *code_gates(cc);
	if (!l->map)
		return;
	/* Each name lasts to the next gate, or to the end. */
	for (unsigned n = 0; n <= NR_GATES; n++) {
		const uint8_t *at = n == NR_GATES ? enter : l->gates.at[n] + delta;
		const uint8_t *next = enter + size;

		for (unsigned k = 0; k < NR_GATES; k++)
			if (l->gates.at[k] + delta > at && l->gates.at[k] + delta < next)
				next = l->gates.at[k] + delta;
		fprintf(l->map, "%llx %llx %s\n", (unsigned long long)(uintptr_t)at,
			(unsigned long long)(next - at),
			n == NR_GATES ? "gate_enter" : gate_names[n]);
	}
}

void listing_add(struct emitter *e)
{
	struct listing *l = e->listing;
	/* The vCPU that has it translated is about to run it: at another address than others see, perhaps. */
	uint64_t page = linear_rip(e->cpu) & ~0xfffull, rip = page + e->page_off;
	const uint8_t *start, *end;

	if (!l || !l->nr_marks)
		return;
	start = l->marks[0].at;
	end = l->marks[l->nr_marks - 1].at;
	if (l->map)
		fprintf(l->map, "%llx %llx guest_%llx\n",
			(unsigned long long)(uintptr_t)(start + e->o.exec_delta),
			(unsigned long long)(end - start), (unsigned long long)rip);
	if (l->text) {
		fprintf(l->text,
			"block %llx gpa %llx host %llx: %u instructions, %u bytes of code\n",
			(unsigned long long)rip, (unsigned long long)e->block->gpa,
			(unsigned long long)(uintptr_t)(start + e->o.exec_delta), e->nr,
			(unsigned)(end - start));
		print_code(l, e, page);
		fputc('\n', l->text);
		fflush(l->text);
	}
}
