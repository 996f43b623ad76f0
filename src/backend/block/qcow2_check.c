/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checking a qcow2 image: everything that refers to clusters is walked, the references are counted
 * and compared with the counts in the file. Repair writes new refcount blocks and a new table behind
 * the end of the file and then lets the header point to them, so an interruption leaves the old ones.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"

#define SAY_MAX	     100       /* things told one by one */
#define CLUSTERS_MAX BIT64(31) /* 8 GiB of counts; with clusters of 64 KiB a file of 128 TiB */

struct walk {
	struct qcow2 *q;
	struct block_check *check;
	uint32_t *counts; /* references found, by cluster */
	uint64_t nr;	  /* clusters in the file */
	unsigned nr_said;
	uint64_t bad_flags; /* COPIED flags that are not as they should be */
};

static void say(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct walk *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!w->check->say || w->nr_said++ >= SAY_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->check->say(w->check->ctx, text);
}

/* Counts a reference to [offset, offset + len). Returns false when that is no place for data. */
static bool refer(struct walk *w, const char *what, uint64_t offset, uint64_t len)
{
	uint64_t first = offset >> w->q->cluster_bits, end;

	if (!len)
		return true;
	if (offset > INT64_MAX - len || (offset + len - 1) >> w->q->cluster_bits >= w->nr) {
		say(w, "%s at %#llx lies behind the end of the file", what,
		    (unsigned long long)offset);
		w->check->corruptions++;
		return false;
	}
	end = ((offset + len - 1) >> w->q->cluster_bits) + 1;
	for (uint64_t c = first; c < end; c++) {
		if (w->counts[c] < UINT32_MAX)
			w->counts[c]++;
	}
	return true;
}

static bool refer_aligned(struct walk *w, const char *what, uint64_t offset, uint64_t len)
{
	if (!(offset & (w->q->cluster_size - 1)))
		return refer(w, what, offset, len);
	say(w, "%s at %#llx does not begin at a cluster", what, (unsigned long long)offset);
	w->check->corruptions++;
	return false;
}

static void walk_entry(struct walk *w, uint64_t entry, bool is_active)
{
	uint64_t offset, len;

	if (entry & ENTRY_COMPRESSED) {
		qcow2_compressed_range(w->q, entry, &offset, &len);
		/* The last sector may be cut off by the end of the file. */
		refer(w, "a compressed cluster", offset, len);
		w->check->allocated += is_active;
		w->check->compressed += is_active;
	} else if (entry & ENTRY_OFFSET) {
		refer_aligned(w, "a data cluster", entry & ENTRY_OFFSET, w->q->cluster_size);
		w->check->allocated += is_active;
	}
}

static int walk_l2(struct walk *w, uint64_t offset, bool is_active)
{
	struct qcow2 *q = w->q;
	uint64_t *l2 = mem_alloc_zero(q->cluster_size);
	int rc = raw_read_now(q->file, offset, l2, q->cluster_size);

	for (unsigned i = 0; !rc && i < BIT64(q->l2_bits); i++)
		walk_entry(w, be64toh(l2[i]), is_active);
	free(l2);
	return rc;
}

static int walk_l1(struct walk *w, uint64_t offset, uint32_t size, bool is_active)
{
	struct qcow2 *q = w->q;
	uint64_t bytes = size * 8ull;
	int rc = 0;

	if (!size || !refer_aligned(w, "an L1 table", offset, bytes))
		return 0;
	uint64_t *l1 = mem_alloc_zero(bytes);
	rc = raw_read_now(q->file, offset, l1, bytes);
	for (uint32_t i = 0; !rc && i < size; i++) {
		uint64_t at = be64toh(l1[i]) & ENTRY_OFFSET;

		if (at && refer_aligned(w, "an L2 table", at, q->cluster_size))
			rc = walk_l2(w, at, is_active);
	}
	free(l1);
	return rc;
}

static int walk_snapshots(struct walk *w)
{
	struct qcow2 *q = w->q;
	uint64_t at = q->snapshots_offset;
	struct qcow2_snapshot s;

	for (uint32_t i = 0; i < q->nr_snapshots; i++) {
		int rc = qcow2_read_snapshot(q, &at, &s);

		if (!rc)
			rc = walk_l1(w, s.l1_offset, s.l1_size, false);
		if (rc)
			return rc;
	}
	if (q->nr_snapshots)
		refer(w, "the table of snapshots", q->snapshots_offset, at - q->snapshots_offset);
	return 0;
}

static int walk_all(struct walk *w)
{
	struct qcow2 *q = w->q;

	refer(w, "the header", 0, q->cluster_size);
	refer(w, "the refcount table", q->reftable_offset,
	      (uint64_t)q->reftable_clusters << q->cluster_bits);
	for (unsigned i = 0; i < q->nr_reftable; i++) {
		if (q->reftable[i])
			refer_aligned(w, "a refcount block", q->reftable[i], q->cluster_size);
	}
	int rc = walk_l1(w, q->l1_offset, q->l1_size, true);
	return rc ? rc : walk_snapshots(w);
}

/* ---- comparing ---- */

static void compare(struct walk *w)
{
	uint64_t stored;

	for (uint64_t c = 0; c < w->nr; c++) {
		if (qcow2_refcount(w->q, c, &stored))
			stored = 0;
		if (stored == w->counts[c])
			continue;
		if (stored < w->counts[c])
			w->check->corruptions++;
		else
			w->check->leaks++;
		say(w, "cluster %llu: %u references, counted as %llu%s", (unsigned long long)c,
		    w->counts[c], (unsigned long long)stored,
		    stored > w->counts[c] ? " (leak)" : "");
	}
}

static bool is_single(const struct walk *w, uint64_t offset)
{
	uint64_t c = offset >> w->q->cluster_bits;

	return c < w->nr && w->counts[c] == 1;
}

/* An entry with the flag it should have. */
static uint64_t with_flag(struct walk *w, uint64_t entry)
{
	if (entry & ENTRY_COMPRESSED || !(entry & ENTRY_OFFSET))
		return entry;
	uint64_t right =
		is_single(w, entry & ENTRY_OFFSET) ? entry | ENTRY_COPIED : entry & ~ENTRY_COPIED;
	if (right != entry) {
		w->bad_flags++;
		w->check->corruptions++;
		say(w, "entry %#llx: its flag for clusters referred to once is wrong",
		    (unsigned long long)entry);
	}
	return right;
}

static int check_flags_of(struct walk *w, uint64_t offset, size_t nr, uint64_t *entries)
{
	uint64_t before = w->bad_flags;
	int rc = raw_read_now(w->q->file, offset, entries, nr * 8);

	for (size_t i = 0; !rc && i < nr; i++)
		entries[i] = htobe64(with_flag(w, be64toh(entries[i])));
	if (!rc && w->bad_flags > before && w->check->repairs) {
		rc = raw_write_now(w->q->file, offset, entries, nr * 8);
		if (!rc)
			w->check->corruptions_fixed += w->bad_flags - before;
	}
	return rc;
}

/* The flags of the active tables. */
static int check_flags(struct walk *w)
{
	struct qcow2 *q = w->q;
	uint64_t *l1 = mem_alloc_zero(q->l1_size * 8ull), *l2 = mem_alloc_zero(q->cluster_size);
	int rc = check_flags_of(w, q->l1_offset, q->l1_size, l1);

	for (uint32_t i = 0; !rc && i < q->l1_size; i++) {
		uint64_t at = be64toh(l1[i]) & ENTRY_OFFSET;

		if (at && !(at & (q->cluster_size - 1)) && at >> q->cluster_bits < w->nr)
			rc = check_flags_of(w, at, BIT64(q->l2_bits), l2);
	}
	free(l1);
	free(l2);
	return rc;
}

/* ---- repair ---- */

/* Writes counts for all clusters, those of the new table and blocks included. */
static int write_blocks(struct walk *w, uint64_t base, uint64_t blocks, uint64_t table_clusters)
{
	struct qcow2 *q = w->q;
	uint64_t own_end = base + blocks + table_clusters, per_block = BIT64(q->ref_bits);
	uint8_t *data = mem_alloc_zero(q->cluster_size);
	int rc = 0;

	for (uint64_t b = 0; b < blocks && !rc; b++) {
		memset(data, 0, q->cluster_size);
		for (uint64_t i = 0; i < per_block; i++) {
			uint64_t c = b * per_block + i, count = 0;

			if (c < w->nr)
				count = w->counts[c];
			else if (c >= base && c < own_end)
				count = 1;
			if (count > qcow2_count_max(q))
				rc = -EOVERFLOW;
			qcow2_count_set(q, data, (unsigned)i, count);
		}
		if (!rc)
			rc = raw_write_now(q->file, (base + b) << q->cluster_bits, data,
					   q->cluster_size);
	}
	free(data);
	return rc;
}

static int write_table(struct qcow2 *q, uint64_t base, uint64_t blocks, uint64_t table_clusters)
{
	size_t bytes = table_clusters << q->cluster_bits;
	uint64_t *table = mem_alloc_zero(bytes), at = base + blocks;
	struct {
		uint64_t offset;
		uint32_t clusters;
	} __attribute__((packed))
	field = {htobe64(at << q->cluster_bits), htobe32((uint32_t)table_clusters)};
	int rc;

	for (uint64_t b = 0; b < blocks; b++)
		table[b] = htobe64((base + b) << q->cluster_bits);
	rc = raw_write_now(q->file, at << q->cluster_bits, table, bytes);
	free(table);
	if (!rc)
		rc = raw_flush_now(q->file);
	if (!rc)
		rc = qcow2_write_header(q, 48, &field, sizeof(field));
	if (!rc)
		rc = raw_flush_now(q->file);
	if (rc)
		return rc;
	q->reftable_offset = at << q->cluster_bits;
	q->reftable_clusters = (uint32_t)table_clusters;
	return 0;
}

/* New refcount structures behind the end of the file; the old ones are then free. */
static int rebuild(struct walk *w)
{
	struct qcow2 *q = w->q;
	uint64_t base = w->nr, blocks = 1, table_clusters = 1;

	for (uint64_t need = 0; need != blocks;) {
		need = blocks;
		table_clusters = qcow2_clusters(q, blocks * 8);
		blocks = ((base + blocks + table_clusters - 1) >> q->ref_bits) + 1;
	}
	table_clusters = qcow2_clusters(q, blocks * 8);
	if (table_clusters << q->cluster_bits > QCOW2_REFTABLE_MAX)
		return -EFBIG;
	/* They are not counted by what replaces them. */
	for (unsigned i = 0; i < q->nr_reftable; i++) {
		uint64_t c = q->reftable[i] >> q->cluster_bits;

		if (q->reftable[i] && c < w->nr && w->counts[c])
			w->counts[c]--;
	}
	for (uint32_t i = 0; i < q->reftable_clusters; i++) {
		uint64_t c = (q->reftable_offset >> q->cluster_bits) + i;

		if (c < w->nr && w->counts[c])
			w->counts[c]--;
	}
	int rc = write_blocks(w, base, blocks, table_clusters);
	return rc ? rc : write_table(q, base, blocks, table_clusters);
}

static int repair(struct walk *w, uint64_t bad_counts)
{
	struct qcow2 *q = w->q;
	int rc = bad_counts || w->check->leaks ? rebuild(w) : 0;

	if (!rc) {
		w->check->corruptions_fixed += bad_counts;
		w->check->leaks_fixed = w->check->leaks;
	}
	/* What is left wrong cannot be made right without loss of data. */
	bool is_good = !rc && w->check->corruptions_fixed == w->check->corruptions;
	if (is_good && q->incompatible & (QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT))
		rc = qcow2_write_incompatible(q, q->incompatible & ~(QCOW2_INCOMPATIBLE_DIRTY |
								     QCOW2_INCOMPATIBLE_CORRUPT));
	qcow2_drop_tables(q);
	int read = qcow2_read_tables(q);
	q->fresh_from = ALIGN_UP(raw_file_size(q->file), q->cluster_size);
	return rc ? rc : read;
}

int qcow2_check(struct block *b, struct block_check *check)
{
	struct qcow2 *q = qcow2_of(b);
	struct walk w = {.q = q, .check = check};

	w.nr = qcow2_clusters(q, raw_file_size(q->file));
	check->clusters = qcow2_clusters(q, b->size);
	if (w.nr > CLUSTERS_MAX)
		return -EFBIG;
	w.counts = calloc(max(w.nr, (uint64_t)1), sizeof(*w.counts));
	if (!w.counts)
		return -ENOMEM;
	int rc = walk_all(&w);
	uint64_t before = check->corruptions;
	if (!rc)
		compare(&w);
	uint64_t bad_counts = check->corruptions - before;
	if (!rc)
		rc = check_flags(&w);
	if (!rc && check->repairs)
		rc = repair(&w, bad_counts);
	free(w.counts);
	return rc;
}
