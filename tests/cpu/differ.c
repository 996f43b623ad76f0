/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What counts as a difference between two outcomes of a trial, and what the architecture leaves open.
 */
#include "cpu/differ.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu/native.h"

#define FSW_ES BIT(7)

#define MXCSR_FLAGS 0x3fu

void line_add(struct line *l, const char *fmt, ...)
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

/* Upper halves are not kept where pointers are only while an exception is pending. */
static void compare_fpu_pointers(struct line *l, const struct xsave_area *host,
				 const struct xsave_area *guest)
{
	uint64_t mask = native_keeps_fpu_pointers() ? UINT64_MAX : UINT32_MAX;

	compare_u64(l, "fop", host->fop, guest->fop);
	compare_u64(l, "fip", host->fip & mask, guest->fip & mask);
	compare_u64(l, "fdp", host->fdp & mask, guest->fdp & mask);
}

static void compare_fpu(struct line *l, const struct insn_row *row, const struct outcome *on_host,
			const struct outcome *on_guest, bool has_run)
{
	const struct xsave_area *host = &on_host->state.fpu, *guest = &on_guest->state.fpu;
	uint32_t mask = mxcsr_mask(on_host, has_run);

	compare_u64(l, "mxcsr", host->mxcsr & mask, guest->mxcsr & mask);
	compare_u64(l, "fcw", host->fcw, guest->fcw);
	if (native_keeps_fpu_pointers() || host->fsw & FSW_ES)
		compare_fpu_pointers(l, host, guest);
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

void compare_outcomes(struct line *l, const struct insn_row *row, bool has_run,
		      const struct outcome *host, const struct outcome *guest)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	static const char *const segments[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
	/* An instruction that faults leaves the flags alone, so all of them are defined then. */
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
