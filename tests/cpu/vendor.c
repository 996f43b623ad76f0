/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cases in which AMD's CPUs do otherwise than the engine.
 */
#include "cpu/vendor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpu/address.h"
#include "cpu/generate_impl.h"

#define FSW_ES	 BIT(7)
#define MXCSR_MM BIT(17)

/* Of an FXSAVE or XSAVE image. */
#define IMAGE_POINTERS	    6 /* FOP, FIP, FDP */
#define IMAGE_POINTERS_SIZE 18
#define IMAGE_MXCSR_MASK    28

/* An instruction of the trial, and its row. */
struct met {
	const struct insn_row *row;
	struct parsed p;
};

/* The instruction at rip as the trial has it; false when there is none. */
static bool find_at(const struct generator *g, const struct trial *t, uint64_t rip, struct met *m)
{
	uint64_t at = rip - t->in.rip;

	if (at >= t->code_len || parse(&m->p, t->code + at, t->code_len - (unsigned)at, t->size,
				       g->features) != PARSE_OK)
		return false;
	m->row = &insn_rows[m->p.form->row];
	return true;
}

static bool is_address_fault(unsigned vector)
{
	return vector == VEC_PF || vector == VEC_GP || vector == VEC_SS || vector == VEC_AC;
}

/*
 * A gather that faults has made some progress: what is left of the mask, and how its unused bits look,
 * depends on the order of the elements (APM vol. 4, VPGATHERDD).
 */
static bool is_gather(const struct met *m, const struct outcome *host, const struct outcome *guest)
{
	return m->p.form->flags & FORM_VSIB && is_address_fault(host->vector) &&
	       guest->vector == host->vector && guest->state.rip == host->state.rip;
}

/* SCAS or CMPS with a prefix: where it faults, the flags may be of an earlier element than the last. */
static bool is_comparison(const struct met *m, const struct outcome *host,
			  const struct outcome *guest)
{
	return m->row->attr & A_REP && IS_NAMED(m->row, "scas", "cmps") &&
	       is_address_fault(host->vector) && guest->vector == host->vector &&
	       guest->state.rip == host->state.rip;
}

static void settle_register(unsigned n, const struct outcome *host, struct outcome *guest)
{
	memcpy(guest->state.fpu.xmm[n], host->state.fpu.xmm[n], 16);
	memcpy(guest->state.fpu.ymm_high[n], host->state.fpu.ymm_high[n], 16);
}

/* The guest's CPU model has no misaligned SSE mode, so MXCSR.MM is a reserved bit of it. */
static bool is_misaligned_mode(const struct met *m, const struct outcome *host,
			       const struct outcome *guest)
{
	return IS_NAMED(m->row, "ldmxcsr", "vldmxcsr", "fxrstor", "fxrstor64", "xrstor",
			"xrstor64") &&
	       guest->vector == VEC_GP && host->state.fpu.mxcsr & MXCSR_MM;
}

/* A hypervisor that answers INT1 itself may tell where it is, not where it ends. */
static bool is_int1(const struct met *m, const struct outcome *host, const struct outcome *guest)
{
	return IS_NAMED(m->row, "int1") && host->vector == VEC_DB && guest->vector == VEC_DB;
}

/* Not known in 64-bit code (APM vol. 3), but some hypervisors run it for guests of both vendors. */
static bool is_sysexit(const struct met *m, const struct outcome *host, const struct outcome *guest)
{
	return IS_NAMED(m->row, "sysexit") && host->vector == VEC_GP && guest->vector == VEC_UD;
}

/* Whether an instruction of this name is in the trial. */
static bool has_named(const struct generator *g, const struct trial *t, const char *name)
{
	struct met m;

	for (uint64_t at = 0; find_at(g, t, t->in.rip + at, &m); at += m.p.pos)
		if (!strcmp(m.row->name, name))
			return true;
	return false;
}

/*
 * An exception that was masked when it was met and is not masked any more by FLDCW is pending. The
 * pointers then are of the instruction that met it; the engine knows only those of one that was not
 * masked, as CPUs that tell so (FDP_EXCPTN_ONLY).
 */
static bool is_unmasked_later(const struct generator *g, const struct trial *t,
			      const struct outcome *host, const struct outcome *guest)
{
	return host->state.fpu.fsw & guest->state.fpu.fsw & FSW_ES && has_named(g, t, "fldcw");
}

/*
 * FDP of an exception whose instruction has no memory operand is of an instruction before, if the
 * machine did not switch to another program in between.
 */
static bool is_data_of_before(const struct generator *g, const struct trial *t,
			      const struct outcome *host, const struct outcome *guest)
{
	struct met m;

	return host->state.fpu.fsw & guest->state.fpu.fsw & FSW_ES &&
	       host->state.fpu.fdp != guest->state.fpu.fdp &&
	       find_at(g, t, guest->state.fpu.fip, &m) && m.row->attr & A_FPU && !m.p.is_mem;
}

static bool is_image(const struct met *m, const struct trial *t, const struct outcome *host)
{
	return m->p.is_mem && host->state.rip != t->in.rip &&
	       IS_NAMED(m->row, "fxsave", "fxsave64", "xsave", "xsave64", "xsavec", "xsavec64");
}

/*
 * The x87 pointers are written only while an exception is pending (APM vol. 2, 11.4.4.2), and the mask
 * has the bit that the guest's model lacks.
 */
static bool settle_image(const struct generator *g, const struct met *m, const struct trial *t,
			 const struct outcome *host, struct outcome *guest)
{
	uint64_t at = operand_address(g, t, &m->p);
	const uint8_t *from;
	uint8_t *to, before[IMAGE_MXCSR_MASK + 4];

	if (!is_rw(at, sizeof(before)))
		return false;
	from = host->data + (at - DATA_RW);
	to = guest->data + (at - DATA_RW);
	memcpy(before, to, sizeof(before));
	if (!(host->state.fpu.fsw & FSW_ES))
		memcpy(to + IMAGE_POINTERS, from + IMAGE_POINTERS, IMAGE_POINTERS_SIZE);
	if (from[IMAGE_MXCSR_MASK + 2] == (to[IMAGE_MXCSR_MASK + 2] | MXCSR_MM >> 16))
		to[IMAGE_MXCSR_MASK + 2] = from[IMAGE_MXCSR_MASK + 2];
	return memcmp(before, to, sizeof(before)) != 0;
}

/* Gives *guest what the host has in place of what is open; the reason, or NULL when nothing is. */
static const char *settle(const struct generator *g, const struct trial *t,
			  const struct outcome *host, struct outcome *guest)
{
	struct met m;

	if (!(g->features[FEAT_AMD / 32] >> (FEAT_AMD % 32) & 1) || host->failure[0] ||
	    guest->failure[0])
		return NULL;
	if (find_at(g, t, guest->state.rip, &m) && is_misaligned_mode(&m, host, guest)) {
		*guest = *host;
		return "the guest's model has no MXCSR.MM";
	}
	if (find_at(g, t, host->state.rip, &m) && is_int1(&m, host, guest)) {
		guest->state.rip = host->state.rip;
		return "where a virtual machine's INT1 is";
	}
	if (find_at(g, t, host->state.rip, &m) && is_sysexit(&m, host, guest)) {
		*guest = *host;
		return "SYSEXIT in a virtual machine";
	}
	if (find_at(g, t, t->in.rip, &m) && is_image(&m, t, host))
		return settle_image(g, &m, t, host, guest)
			       ? "x87 pointers without an exception and MXCSR_MASK in an image"
			       : NULL;
	if (find_at(g, t, host->state.rip, &m) && is_gather(&m, host, guest)) {
		settle_register(m.p.reg, host, guest);
		settle_register(m.p.vvvv, host, guest);
		return "mask and destination of a gather that faults";
	}
	if (find_at(g, t, host->state.rip, &m) && is_comparison(&m, host, guest)) {
		guest->state.rflags =
			(guest->state.rflags & ~FLAGS_STATUS) | (host->state.rflags & FLAGS_STATUS);
		return "flags of a repeated comparison that faults";
	}
	if (is_unmasked_later(g, t, host, guest)) {
		guest->state.fpu.fop = host->state.fpu.fop;
		guest->state.fpu.fip = host->state.fpu.fip;
		guest->state.fpu.fdp = host->state.fpu.fdp;
		return "x87 pointers of an exception that FLDCW has unmasked";
	}
	if (is_data_of_before(g, t, host, guest)) {
		guest->state.fpu.fdp = host->state.fpu.fdp;
		return "FDP of an exception of an x87 instruction without memory operand";
	}
	return NULL;
}

const char *vendor_compare(struct line *l, const struct generator *g, const struct trial *t,
			   const struct insn_row *row, bool has_run, const struct outcome *host,
			   const struct outcome *guest)
{
	static struct outcome settled;
	const char *reason;

	compare_outcomes(l, row, has_run, host, guest);
	if (!l->len)
		return NULL;
	settled = *guest;
	reason = settle(g, t, host, &settled);
	if (reason)
		compare_outcomes(l, row, has_run, host, &settled);
	return reason;
}

void vendor_count(struct vendor_counts *counts, const char *reason)
{
	for (unsigned n = 0; reason && n < VENDOR_CASES; n++) {
		if (counts->cases[n].reason && strcmp(counts->cases[n].reason, reason) != 0)
			continue;
		counts->cases[n].reason = reason;
		counts->cases[n].nr++;
		return;
	}
}

void vendor_print(const struct vendor_counts *counts)
{
	if (!counts->cases[0].nr)
		return;
	printf("other than on this AMD CPU, as may be:");
	for (unsigned n = 0; n < VENDOR_CASES && counts->cases[n].nr; n++)
		printf(" %" PRIu64 " (%s)", counts->cases[n].nr, counts->cases[n].reason);
	printf("\n");
}
