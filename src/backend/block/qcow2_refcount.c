/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reference counts, and with them the allocation of clusters. A new refcount block is put into the
 * first cluster of the range it counts, so that it counts itself and needs no other.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"
#include "base/log.h"

/* Offsets in tables have 56 bits, and the host's files 63. */
#define CLUSTER_END(q) (BIT64(56) >> (q)->cluster_bits)

uint64_t qcow2_count_at(const struct qcow2 *q, const uint8_t *block, unsigned i)
{
	switch (q->refcount_order) {
	case 3:
		return block[i];
	case 4:
		return be16toh(((const uint16_t *)block)[i]);
	case 5:
		return be32toh(((const uint32_t *)block)[i]);
	case 6:
		return be64toh(((const uint64_t *)block)[i]);
	default: {
		unsigned bits = 1u << q->refcount_order, at = i * bits;

		return block[at / 8] >> at % 8 & (BIT(bits) - 1);
	}
	}
}

void qcow2_count_set(const struct qcow2 *q, uint8_t *block, unsigned i, uint64_t count)
{
	switch (q->refcount_order) {
	case 3:
		block[i] = (uint8_t)count;
		break;
	case 4:
		((uint16_t *)block)[i] = htobe16((uint16_t)count);
		break;
	case 5:
		((uint32_t *)block)[i] = htobe32((uint32_t)count);
		break;
	case 6:
		((uint64_t *)block)[i] = htobe64(count);
		break;
	default: {
		unsigned bits = 1u << q->refcount_order, at = i * bits;
		unsigned mask = (BIT(bits) - 1) << at % 8;

		block[at / 8] = (uint8_t)((block[at / 8] & ~mask) | (unsigned)count << at % 8);
	}
	}
}

/* A changed count in a cached block. */
static void set_count(struct qcow2 *q, struct qcow2_table *t, unsigned i, uint64_t count)
{
	uint32_t at = (uint32_t)(((uint64_t)i << q->refcount_order) / 8);

	qcow2_count_set(q, t->data, i, count);
	qcow2_table_dirty(t, at, at + 8 > q->cluster_size ? (uint32_t)q->cluster_size : at + 8);
}

/* The block that counts clusters of range i: *t is NULL when there is none. */
static int get_block(struct qcow2 *q, uint64_t i, struct qcow2_table **t)
{
	*t = NULL;
	if (i >= q->nr_reftable || !q->reftable[i])
		return 0;
	if (q->refs[i]) {
		*t = q->refs[i];
		return 0;
	}
	uint64_t offset = q->reftable[i];
	if (offset & (q->cluster_size - 1) || offset > INT64_MAX / 2 ||
	    qcow2_is_metadata(q, offset, q->cluster_size))
		return qcow2_damaged(q, "refcount block %llu is at impossible offset %#llx",
				     (unsigned long long)i, (unsigned long long)offset);
	struct qcow2_table *block = qcow2_table_new(q, offset, (unsigned)i);
	int rc = raw_read_now(q->file, offset, block->data, q->cluster_size);
	if (rc) {
		qcow2_table_free(block);
		return rc;
	}
	q->refs[i] = *t = block;
	return 0;
}

static void set_reftable(struct qcow2 *q, unsigned i, uint64_t offset)
{
	q->reftable[i] = offset;
	if (q->reftable_dirty_from == q->reftable_dirty_to) {
		q->reftable_dirty_from = i;
		q->reftable_dirty_to = i + 1;
	} else {
		q->reftable_dirty_from = min(q->reftable_dirty_from, i);
		q->reftable_dirty_to = max(q->reftable_dirty_to, i + 1);
	}
}

/* A block for range i, all of which is free, in cluster `at`; not counted yet. */
static struct qcow2_table *add_block(struct qcow2 *q, unsigned i, uint64_t at)
{
	struct qcow2_table *t = qcow2_table_new(q, at << q->cluster_bits, i);

	memset(t->data, 0, q->cluster_size);
	qcow2_table_dirty(t, 0, (uint32_t)q->cluster_size);
	q->refs[i] = t;
	q->fresh_from = max(q->fresh_from, (at + 1) << q->cluster_bits);
	return t;
}

/* ---- the refcount table grows ---- */

/* Blocks needed so that they count themselves and payload clusters behind them. */
static uint64_t blocks_for(const struct qcow2 *q, uint64_t payload)
{
	uint64_t per_block = BIT64(q->ref_bits), m = 1;

	while (m * per_block < m + payload)
		m++;
	return m;
}

/* Takes the ranges from first on: m new blocks, then payload clusters, all counted. */
static uint64_t take_ranges(struct qcow2 *q, unsigned first, uint64_t m, uint64_t payload)
{
	uint64_t base = (uint64_t)first << q->ref_bits, mask = BIT64(q->ref_bits) - 1;

	for (uint64_t j = 0; j < m; j++)
		add_block(q, first + (unsigned)j, base + j);
	for (uint64_t c = 0; c < m + payload; c++)
		set_count(q, q->refs[(base + c) >> q->ref_bits], (unsigned)((base + c) & mask), 1);
	q->fresh_from = max(q->fresh_from, (base + m + payload) << q->cluster_bits);
	return base + m;
}

static void resize_reftable(struct qcow2 *q, unsigned nr)
{
	q->reftable = realloc(q->reftable, nr * sizeof(*q->reftable));
	q->refs = realloc(q->refs, nr * sizeof(*q->refs));
	BUG_ON(!q->reftable || !q->refs);
	for (unsigned i = q->nr_reftable; i < nr; i++) {
		q->reftable[i] = 0;
		q->refs[i] = NULL;
	}
	q->nr_reftable = nr;
}

/* Writes the whole refcount table and what it lists to a new place; the header does not know yet. */
static int write_reftable(struct qcow2 *q, uint64_t offset, uint32_t clusters)
{
	size_t bytes = (size_t)clusters << q->cluster_bits;
	uint64_t *copy = mem_alloc_zero(bytes);

	for (unsigned i = 0; i < q->nr_reftable; i++)
		copy[i] = htobe64(q->reftable[i]);
	int rc = qcow2_write_refcounts_now(q);
	if (!rc)
		rc = raw_write_now(q->file, offset, copy, bytes);
	free(copy);
	return rc ? rc : raw_flush_now(q->file);
}

/* Lets the header point to it. */
static int move_reftable(struct qcow2 *q, uint64_t offset, uint32_t clusters)
{
	struct {
		uint64_t offset;
		uint32_t clusters;
	} __attribute__((packed)) field = {htobe64(offset), htobe32(clusters)};
	int rc = qcow2_write_header(q, 48, &field, sizeof(field));

	return rc ? rc : raw_flush_now(q->file);
}

/* Forgets the ranges from first on, which nothing in the file refers to yet. */
static void shrink_reftable(struct qcow2 *q, unsigned first)
{
	for (unsigned i = first; i < q->nr_reftable; i++)
		qcow2_table_free(q->refs[i]);
	q->nr_reftable = first;
}

/*
 * At least nr entries. The new table lies in ranges that no block counted so far. A host that has no
 * room for it leaves everything as it was.
 */
static int grow_reftable(struct qcow2 *q, uint64_t nr)
{
	unsigned first = q->nr_reftable, entry_bits = q->cluster_bits - 3;
	uint64_t old_offset = q->reftable_offset, old_clusters = q->reftable_clusters;
	uint64_t want = max(nr, (uint64_t)first + first / 2 + 1), clusters, m;

	do { /* the blocks for the table need entries too */
		clusters = (want >> entry_bits) + 1;
		m = blocks_for(q, clusters);
		want = max(want, first + m);
	} while (clusters != (want >> entry_bits) + 1);
	if (clusters << q->cluster_bits > QCOW2_REFTABLE_MAX)
		return -EFBIG;
	resize_reftable(q, (unsigned)(clusters << entry_bits));
	uint64_t at = take_ranges(q, first, m, clusters);
	for (uint64_t j = 0; j < m; j++)
		q->reftable[first + j] = q->refs[first + j]->offset;
	int rc = write_reftable(q, at << q->cluster_bits, (uint32_t)clusters);
	if (rc) {
		shrink_reftable(q, first);
		return rc;
	}
	rc = move_reftable(q, at << q->cluster_bits, (uint32_t)clusters);
	if (rc)
		return qcow2_damaged(q, "its refcount table could not be enlarged");
	q->reftable_offset = at << q->cluster_bits;
	q->reftable_clusters = (uint32_t)clusters;
	q->reftable_dirty_from = q->reftable_dirty_to = 0;
	qcow2_free_later(q, old_offset, old_clusters);
	return 0;
}

/* The block of range i, made if there is none. */
static int get_or_add_block(struct qcow2 *q, uint64_t i, struct qcow2_table **t)
{
	int rc = 0;

	if (i >= CLUSTER_END(q) >> q->ref_bits)
		return -EFBIG;
	if (i >= q->nr_reftable)
		rc = grow_reftable(q, i + 1);
	if (!rc)
		rc = get_block(q, i, t);
	if (rc || *t)
		return rc;
	/* Its first cluster is free, as all of the range is, unless the counts are wrong. */
	if (qcow2_is_metadata(q, i << q->ref_bits << q->cluster_bits, q->cluster_size))
		return qcow2_damaged(q, "the clusters of its own tables are not counted");
	*t = add_block(q, (unsigned)i, i << q->ref_bits);
	set_count(q, *t, 0, 1);
	set_reftable(q, (unsigned)i, (*t)->offset);
	return 0;
}

/* ---- counts ---- */

int qcow2_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct qcow2_table *t;
	int rc = get_block(q, cluster >> q->ref_bits, &t);

	if (rc)
		return rc;
	*count = t ? qcow2_count_at(q, t->data, (unsigned)(cluster & (BIT64(q->ref_bits) - 1))) : 0;
	return 0;
}

int qcow2_refcount_add(struct qcow2 *q, uint64_t cluster, int64_t delta)
{
	unsigned i = (unsigned)(cluster & (BIT64(q->ref_bits) - 1));
	struct qcow2_table *t;
	int rc = get_block(q, cluster >> q->ref_bits, &t);

	if (rc)
		return rc;
	if (!t)
		return qcow2_damaged(q, "cluster %llu is in use but not counted",
				     (unsigned long long)cluster);
	uint64_t count = qcow2_count_at(q, t->data, i);
	if (delta < 0 ? count < (uint64_t)-delta : count + (uint64_t)delta > qcow2_count_max(q))
		return qcow2_damaged(q, "the count of cluster %llu is %llu, which cannot be",
				     (unsigned long long)cluster, (unsigned long long)count);
	count += (uint64_t)delta;
	set_count(q, t, i, count);
	if (!count)
		q->free_hint = min(q->free_hint, cluster);
	return 0;
}

/* ---- allocation ---- */

/* The first run of free clusters in a block, from i on, at most max long; its length. */
static uint64_t find_run(const struct qcow2 *q, const struct qcow2_table *t, unsigned *i,
			 uint64_t max)
{
	unsigned end = (unsigned)BIT64(q->ref_bits), at = *i;
	uint64_t n = 0;

	while (at < end && qcow2_count_at(q, t->data, at))
		at++;
	*i = at;
	while (n < max && at + n < end && !qcow2_count_at(q, t->data, (unsigned)(at + n)))
		n++;
	return n;
}

static void take_run(struct qcow2 *q, struct qcow2_table *t, unsigned i, uint64_t n)
{
	for (uint64_t j = 0; j < n; j++)
		set_count(q, t, i + (unsigned)j, 1);
}

int qcow2_alloc(struct qcow2 *q, uint64_t *nr, uint64_t *offset, bool *is_fresh)
{
	uint64_t mask = BIT64(q->ref_bits) - 1, n = 0, cluster = q->free_hint;
	struct qcow2_table *t;
	unsigned i = 0;

	if (q->is_corrupt)
		return -EIO;
	while (!n) {
		int rc = get_or_add_block(q, cluster >> q->ref_bits, &t);
		if (rc)
			return rc;
		i = (unsigned)(cluster & mask);
		n = find_run(q, t, &i, *nr);
		if (!n)
			cluster = (cluster | mask) + 1;
	}
	cluster = (cluster & ~mask) + i;
	if (qcow2_is_metadata(q, cluster << q->cluster_bits, n << q->cluster_bits))
		return qcow2_damaged(q, "the clusters of its own tables are counted as free");
	take_run(q, t, i, n);
	q->free_hint = cluster + n;
	*offset = cluster << q->cluster_bits;
	*nr = n;
	*is_fresh = *offset >= q->fresh_from && !raw_is_device(q->file);
	q->fresh_from = max(q->fresh_from, *offset + (n << q->cluster_bits));
	return 0;
}

/* The way qcow2_alloc() goes, block by block, without taking anything. */
bool qcow2_alloc_may_wait(const struct qcow2 *q, uint64_t nr)
{
	unsigned i = (unsigned)(q->free_hint & (BIT64(q->ref_bits) - 1));

	for (uint64_t range = q->free_hint >> q->ref_bits; nr; range++, i = 0) {
		if (range >= q->nr_reftable)
			return true;
		if (!q->reftable[range]) { /* a new block takes one cluster of its range */
			nr -= min(nr, BIT64(q->ref_bits) - 1);
			continue;
		}
		if (!q->refs[range])
			return true;
		for (; nr && i < BIT64(q->ref_bits); i++)
			nr -= !qcow2_count_at(q, q->refs[range]->data, i);
	}
	return false;
}

int qcow2_alloc_row(struct qcow2 *q, uint64_t nr, uint64_t *offset)
{
	uint64_t per_block = BIT64(q->ref_bits);

	if (nr >= per_block) {
		unsigned first = q->nr_reftable;
		uint64_t m = blocks_for(q, nr);

		while (first && !q->reftable[first - 1])
			first--;
		if (first + m > q->nr_reftable) {
			int rc = grow_reftable(q, first + m + 1);
			if (rc)
				return rc;
			return qcow2_alloc_row(q, nr, offset);
		}
		*offset = take_ranges(q, first, m, nr) << q->cluster_bits;
		for (uint64_t j = 0; j < m; j++)
			set_reftable(q, first + (unsigned)j, q->refs[first + j]->offset);
		return 0;
	}
	for (uint64_t range = q->free_hint >> q->ref_bits;; range++) {
		struct qcow2_table *t;
		int rc = get_or_add_block(q, range, &t);

		if (rc)
			return rc;
		for (unsigned i = 0; i < per_block;) {
			uint64_t n = find_run(q, t, &i, nr);

			if (n < nr) {
				i += (unsigned)n + 1;
				continue;
			}
			if (qcow2_is_metadata(q, ((range << q->ref_bits) + i) << q->cluster_bits,
					      nr << q->cluster_bits))
				return qcow2_damaged(
					q, "the clusters of its own tables are counted as free");
			take_run(q, t, i, nr);
			*offset = ((range << q->ref_bits) + i) << q->cluster_bits;
			q->fresh_from = max(q->fresh_from, *offset + (nr << q->cluster_bits));
			return 0;
		}
	}
}

void qcow2_unalloc(struct qcow2 *q, uint64_t offset, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++)
		qcow2_refcount_add(q, (offset >> q->cluster_bits) + i, -1);
}

/* ---- freeing ---- */

static void frees_add(struct qcow2_frees *f, uint64_t cluster, uint64_t nr)
{
	struct qcow2_free *last = f->nr ? &f->runs[f->nr - 1] : NULL;

	if (last && last->cluster + last->nr == cluster) {
		last->nr += nr;
		return;
	}
	if (f->nr == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->runs = realloc(f->runs, f->room * sizeof(*f->runs));
		BUG_ON(!f->runs);
	}
	f->runs[f->nr++] = (struct qcow2_free){cluster, nr};
}

void qcow2_frees_move(struct qcow2_frees *to, struct qcow2_frees *from)
{
	for (unsigned i = 0; i < from->nr; i++)
		frees_add(to, from->runs[i].cluster, from->runs[i].nr);
	from->nr = 0;
}

void qcow2_free_later(struct qcow2 *q, uint64_t offset, uint64_t nr)
{
	frees_add(&q->frees, offset >> q->cluster_bits, nr);
}

void qcow2_free_entry_later(struct qcow2 *q, uint64_t entry)
{
	uint64_t offset, len;

	if (entry & ENTRY_COMPRESSED) {
		qcow2_compressed_range(q, entry, &offset, &len);
		uint64_t first = offset >> q->cluster_bits;
		frees_add(&q->frees, first, ((offset + len - 1) >> q->cluster_bits) - first + 1);
	} else if (entry & ENTRY_OFFSET) {
		qcow2_free_later(q, entry & ENTRY_OFFSET, 1);
	}
}

/* Gives the space back to the host; the clusters count as free when that is done. */
struct discard {
	struct block_req req;
	struct qcow2 *q;
	struct qcow2_free run;
};

static void drop_counts(struct qcow2 *q, struct qcow2_free run)
{
	for (uint64_t i = 0; i < run.nr && !q->is_corrupt; i++)
		qcow2_refcount_add(q, run.cluster + i, -1);
}

static void discarded(struct block_req *req, int rc)
{
	struct discard *d = container_of(req, struct discard, req);

	d->q->nr_discards--;
	drop_counts(d->q, d->run);
	free(d);
}

static void discard(struct qcow2 *q, struct qcow2_free run)
{
	struct discard *d = mem_alloc_zero(sizeof(*d));

	d->q = q;
	d->run = run;
	d->req = (struct block_req){.op = BLOCK_DISCARD,
				    .offset = run.cluster << q->cluster_bits,
				    .len = run.nr << q->cluster_bits,
				    .done = discarded};
	q->nr_discards++;
	block_submit(q->file, &d->req);
}

void qcow2_apply_frees(struct qcow2 *q)
{
	struct qcow2_frees now = q->frees_ready;
	uint64_t count;

	if (!now.nr || q->is_corrupt)
		return;
	if (!list_is_empty(&q->active) && qcow2_oldest_seq(q) <= q->free_seq)
		return;
	q->frees_ready = (struct qcow2_frees){0};
	for (unsigned i = 0; i < now.nr; i++) {
		struct qcow2_free run = now.runs[i];

		/* Runs of clusters whose only reference this was, apart from the others. */
		while (run.nr) {
			struct qcow2_free part = {run.cluster, 0};
			bool is_last = !qcow2_refcount(q, run.cluster, &count) && count == 1;

			while (part.nr < run.nr &&
			       !qcow2_refcount(q, part.cluster + part.nr, &count) &&
			       (count == 1) == is_last)
				part.nr++;
			if (!part.nr)
				break; /* its count cannot be read: it leaks */
			run.cluster += part.nr;
			run.nr -= part.nr;
			if (is_last)
				discard(q, part);
			else
				drop_counts(q, part);
		}
	}
	free(now.runs);
}
