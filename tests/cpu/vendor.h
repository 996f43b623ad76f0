/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an AMD CPU and the engine may differ. Mostly the engine follows the guest's vendor; here are
 * the cases in which it does as Intel's CPUs do whatever the vendor, because the manuals leave them
 * open or the guest's CPU model lacks a feature of the host. Each is as narrow as it can be told from
 * both outcomes, and counted. On hosts of other vendors there are none.
 */
#ifndef TESTS_CPU_VENDOR_H
#define TESTS_CPU_VENDOR_H

#include "cpu/differ.h"
#include "cpu/generate.h"

#define VENDOR_CASES 8

struct vendor_counts {
	struct {
		const char *reason;
		uint64_t nr;
	} cases[VENDOR_CASES];
};

/*
 * As compare_outcomes(), but without what is one of the cases. Returns the reason when there was such a
 * difference, else NULL.
 */
const char *vendor_compare(struct line *l, const struct generator *g, const struct trial *t,
			   const struct insn_row *row, bool has_run, const struct outcome *host,
			   const struct outcome *guest);

/* Counts a reason that vendor_compare() gave; NULL is none. */
void vendor_count(struct vendor_counts *counts, const char *reason);

/* A line with the reasons that occurred, how often each; nothing when there were none. */
void vendor_print(const struct vendor_counts *counts);

#endif
