/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L1 and L2 tables: where guest clusters are. L2 tables are loaded when they are needed, without
 * making other requests wait, and kept up to a limit.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"

/* ---- tables of any kind ---- */

struct qcow2_table *qcow2_table_new(struct qcow2 *q, uint64_t offset, unsigned index)
{
	struct qcow2_table *t = mem_alloc_zero(sizeof(*t));
	void *memory;

	BUG_ON(posix_memalign(&memory, 4096, max(q->cluster_size, (uint64_t)4096)));
	t->data = memory;
	t->owner = q;
	t->offset = offset;
	t->index = index;
	list_init(&t->node);
	list_init(&t->waiters);
	return t;
}

void qcow2_table_free(struct qcow2_table *t)
{
	if (!t)
		return;
	list_remove(&t->node);
	free(t->data);
	free(t);
}

void qcow2_table_dirty(struct qcow2_table *t, uint32_t from, uint32_t to)
{
	if (t->dirty_from == t->dirty_to) {
		t->dirty_from = from;
		t->dirty_to = to;
		return;
	}
	t->dirty_from = min(t->dirty_from, from);
	t->dirty_to = max(t->dirty_to, to);
}

uint64_t qcow2_entry(const struct qcow2_table *t, unsigned i)
{
	return be64toh(((const uint64_t *)t->data)[i]);
}

void qcow2_set_entry(struct qcow2_table *t, unsigned i, uint64_t entry)
{
	((uint64_t *)t->data)[i] = htobe64(entry);
	qcow2_table_dirty(t, i * 8, i * 8 + 8);
}

/* ---- the cache ---- */

static void l2_remove(struct qcow2 *q, struct qcow2_table *t)
{
	q->l2[t->index] = NULL;
	q->nr_l2--;
	qcow2_table_free(t);
}

static void l2_insert(struct qcow2 *q, struct qcow2_table *t)
{
	q->l2[t->index] = t;
	q->nr_l2++;
	list_append(&q->l2_used, &t->node);
}

void qcow2_l2_trim(struct qcow2 *q)
{
	list_for_each_safe (it, &q->l2_used) {
		struct qcow2_table *t = list_entry(it, struct qcow2_table, node);

		if (q->nr_l2 <= q->nr_l2_max)
			return;
		if (!t->nr_pins && !t->is_loading && t->dirty_from == t->dirty_to)
			l2_remove(q, t);
	}
	/* All that is left is dirty or in use. */
	if (q->nr_l2 > q->nr_l2_max)
		qcow2_write_some(q);
}

static void l2_loaded(struct block_req *req, int rc)
{
	struct qcow2_table *t = container_of(req, struct qcow2_table, load);
	struct qcow2 *q = t->owner;
	struct list waiters;

	t->is_loading = false;
	list_init(&waiters);
	while (!list_is_empty(&t->waiters)) {
		struct list *node = t->waiters.next;

		list_remove(node);
		list_append(&waiters, node);
	}
	/* Waiters look it up again; when it could not be read, they are told here. */
	if (rc) {
		l2_remove(q, t);
		qcow2_fail_all(&waiters, rc);
		return;
	}
	qcow2_wake(&waiters);
}

/* The table of an L1 index, which has one. Returns as qcow2_lookup(). */
static int l2_get(struct qcow2 *q, unsigned i, struct qcow2_table **table, struct qcow2_req *waiter)
{
	uint64_t offset = q->l1[i] & ENTRY_OFFSET;
	struct qcow2_table *t = q->l2[i];

	if (t && !t->is_loading) {
		list_remove(&t->node);
		list_append(&q->l2_used, &t->node);
		*table = t;
		return 0;
	}
	if (offset & (q->cluster_size - 1) || qcow2_is_metadata(q, offset, q->cluster_size))
		return qcow2_damaged(q, "L2 table %u is at impossible offset %#llx", i,
				     (unsigned long long)offset);
	if (!t) {
		qcow2_l2_trim(q);
		t = qcow2_table_new(q, offset, i);
		l2_insert(q, t);
		if (!waiter) {
			int rc = raw_read_now(q->file, offset, t->data, q->cluster_size);

			if (rc)
				l2_remove(q, t);
			*table = t;
			return rc;
		}
		t->is_loading = true;
		t->load_iov = (struct iovec){t->data, q->cluster_size};
		t->load = (struct block_req){.op = BLOCK_READ,
					     .offset = offset,
					     .len = q->cluster_size,
					     .iov = &t->load_iov,
					     .nr_iov = 1,
					     .done = l2_loaded};
		block_submit(q->file, &t->load);
	}
	BUG_ON(!waiter);
	qcow2_wait(waiter, &t->waiters);
	return -EINPROGRESS;
}

bool qcow2_l2_is_loaded(const struct qcow2 *q, uint64_t offset, uint64_t len)
{
	for (unsigned i = qcow2_l1_index(q, offset); i <= qcow2_l1_index(q, offset + len - 1);
	     i++) {
		if (q->l1[i] && (!q->l2[i] || q->l2[i]->is_loading))
			return false;
	}
	return true;
}

/* ---- looking up ---- */

void qcow2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *len)
{
	unsigned shift = 62 - (q->cluster_bits - 8);
	uint64_t sectors = (entry & (BIT64(62) - 1)) >> shift;

	*offset = entry & (BIT64(shift) - 1);
	*len = (sectors + 1) * BLOCK_SECTOR - (*offset & (BLOCK_SECTOR - 1));
}

static enum qcow2_kind kind_of(const struct qcow2 *q, uint64_t entry)
{
	if (entry & ENTRY_COMPRESSED)
		return QCOW2_COMPRESSED;
	if (q->version >= 3 && entry & ENTRY_ZERO)
		return QCOW2_ZERO;
	return entry & ENTRY_OFFSET ? QCOW2_NORMAL : QCOW2_NOWHERE;
}

/* Whether entry b, n clusters behind a, goes on with a's run. */
static bool continues(const struct qcow2 *q, uint64_t a, uint64_t b, uint64_t n)
{
	enum qcow2_kind kind = kind_of(q, a);

	if (kind != kind_of(q, b) || kind == QCOW2_COMPRESSED)
		return false;
	if (kind == QCOW2_NOWHERE)
		return true;
	if (kind == QCOW2_ZERO) /* allocated ones go one by one */
		return !(a & ENTRY_OFFSET) && !(b & ENTRY_OFFSET);
	return b == a + (n << q->cluster_bits);
}

int qcow2_lookup(struct qcow2 *q, uint64_t offset, uint64_t len, struct qcow2_run *run,
		 struct qcow2_req *waiter)
{
	unsigned i1 = qcow2_l1_index(q, offset), i2 = qcow2_l2_index(q, offset);
	uint64_t in_cluster = offset & (q->cluster_size - 1);
	uint64_t table_left = (BIT64(q->l2_bits) - i2) * q->cluster_size - in_cluster;
	struct qcow2_table *t;

	*run = (struct qcow2_run){.len = min(len, table_left)};
	if (!q->l1[i1])
		return 0;
	int rc = l2_get(q, i1, &t, waiter);
	if (rc)
		return rc;
	uint64_t entry = qcow2_entry(t, i2), n = 1;
	while ((n << q->cluster_bits) < in_cluster + run->len &&
	       continues(q, entry, qcow2_entry(t, i2 + (unsigned)n), n))
		n++;
	run->len = min(run->len, (n << q->cluster_bits) - in_cluster);
	run->entry = entry;
	run->kind = kind_of(q, entry);
	run->is_ours = entry & ENTRY_COPIED && q->l1[i1] & ENTRY_COPIED;
	if (run->kind != QCOW2_NORMAL && run->kind != QCOW2_ZERO)
		return 0;
	uint64_t host = entry & ENTRY_OFFSET;
	if (host &&
	    (host & (q->cluster_size - 1) || qcow2_is_metadata(q, host, n << q->cluster_bits)))
		return qcow2_damaged(q, "guest offset %#llx is at impossible offset %#llx",
				     (unsigned long long)offset, (unsigned long long)host);
	run->host = run->kind == QCOW2_NORMAL ? host + in_cluster : host;
	return 0;
}

bool qcow2_is_in_place(const struct qcow2 *q, uint64_t offset, uint64_t len)
{
	for (uint64_t at = ALIGN_DOWN(offset, q->cluster_size); at < offset + len;
	     at += q->cluster_size) {
		unsigned i = qcow2_l1_index(q, at);

		if (!(q->l1[i] & ENTRY_COPIED))
			return false;
		uint64_t entry = qcow2_entry(q->l2[i], qcow2_l2_index(q, at));
		if (kind_of(q, entry) != QCOW2_NORMAL || !(entry & ENTRY_COPIED))
			return false;
	}
	return true;
}

/* ---- changing ---- */

static void set_l1(struct qcow2 *q, unsigned i, uint64_t offset)
{
	q->l1[i] = offset | ENTRY_COPIED;
	if (q->l1_dirty_from == q->l1_dirty_to) {
		q->l1_dirty_from = i;
		q->l1_dirty_to = i + 1;
	} else {
		q->l1_dirty_from = min(q->l1_dirty_from, i);
		q->l1_dirty_to = max(q->l1_dirty_to, i + 1);
	}
}

/* What a shared table refers to is shared, whatever it says. */
static void copy_shared(const struct qcow2 *q, struct qcow2_table *to,
			const struct qcow2_table *from)
{
	for (unsigned i = 0; i < BIT64(q->l2_bits); i++)
		qcow2_set_entry(to, i, qcow2_entry(from, i) & ~ENTRY_COPIED);
}

int qcow2_l2_for_change(struct qcow2 *q, uint64_t offset, struct qcow2_table **table,
			struct qcow2_req *waiter)
{
	unsigned i = qcow2_l1_index(q, offset);
	struct qcow2_table *old = NULL;
	uint64_t at, nr = 1;
	bool is_fresh;
	int rc;

	if (q->is_corrupt)
		return -EIO;
	if (q->l1[i]) {
		rc = l2_get(q, i, &old, waiter);
		if (rc || q->l1[i] & ENTRY_COPIED) {
			*table = old;
			return rc;
		}
	}
	/* None yet, or one that a snapshot shares. */
	rc = qcow2_alloc(q, &nr, &at, &is_fresh);
	if (rc)
		return rc;
	struct qcow2_table *t = qcow2_table_new(q, at, i);
	if (old) {
		copy_shared(q, t, old);
		qcow2_free_later(q, old->offset, 1);
		l2_remove(q, old);
	} else {
		memset(t->data, 0, q->cluster_size);
	}
	l2_insert(q, t);
	qcow2_table_dirty(t, 0, (uint32_t)q->cluster_size);
	set_l1(q, i, at);
	qcow2_l2_trim(q);
	*table = t;
	return 0;
}
