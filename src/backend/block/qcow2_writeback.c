/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing changed metadata out. A writeback takes copies of everything that is dirty at its start, so
 * that later changes wait for the next one, and writes them group by group; between two groups the
 * file is flushed, and at the end once more. One runs at a time; flushes that come meanwhile are
 * served by the next one together.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"

enum group { REFCOUNTS, REFTABLE, L2_TABLES, L1_TABLE, NR_GROUPS };

/* The host may want more alignment than entries have; whole units also make fewer read-backs. */
#define UNIT 4096

struct piece {
	struct qcow2_writeback *w;
	struct block_req req;
	struct iovec iov;
	enum group group;
	unsigned index;	   /* in the table the piece belongs to */
	uint32_t from, to; /* what to mark dirty again if this fails */
	uint8_t *data;
};

struct qcow2_writeback {
	struct qcow2 *q;
	struct list flushes; /* requests it serves */
	struct piece **pieces;
	unsigned nr, room;
	unsigned group, nr_in_flight;
	bool has_flushed; /* the file, since the copies were taken */
	int rc;
	struct block_req flush;
};

static void next_group(struct qcow2_writeback *w);

/* ---- collecting ---- */

static struct piece *add_piece(struct qcow2_writeback *w, enum group group, unsigned index,
			       uint64_t offset, size_t len)
{
	struct piece *p = mem_alloc_zero(sizeof(*p));
	void *memory;

	BUG_ON(posix_memalign(&memory, UNIT, len));
	p->w = w;
	p->group = group;
	p->index = index;
	p->data = memory;
	p->iov = (struct iovec){p->data, len};
	p->req = (struct block_req){
		.op = BLOCK_WRITE, .offset = offset, .len = len, .iov = &p->iov, .nr_iov = 1};
	if (w->nr == w->room) {
		w->room = w->room ? 2 * w->room : 16;
		w->pieces = realloc(w->pieces, w->room * sizeof(*w->pieces));
		BUG_ON(!w->pieces);
	}
	w->pieces[w->nr++] = p;
	return p;
}

static void add_table(struct qcow2_writeback *w, enum group group, struct qcow2_table *t)
{
	uint32_t limit = (uint32_t)w->q->cluster_size;

	if (!t || t->dirty_from == t->dirty_to)
		return;
	uint32_t from = ALIGN_DOWN(t->dirty_from, UNIT), to = ALIGN_UP(t->dirty_to, UNIT);
	to = min(to, limit);
	struct piece *p = add_piece(w, group, t->index, t->offset + from, to - from);
	memcpy(p->data, t->data + from, to - from);
	p->from = from;
	p->to = to;
	t->dirty_from = t->dirty_to = 0;
}

/* Entries [*from, *to) of a table kept in the host's byte order. */
static void add_entries(struct qcow2_writeback *w, enum group group, uint64_t offset,
			const uint64_t *entries, uint32_t nr, uint32_t *from, uint32_t *to)
{
	const uint32_t per_unit = UNIT / 8;

	if (*from == *to)
		return;
	uint32_t first = ALIGN_DOWN(*from, per_unit), end = min(ALIGN_UP(*to, per_unit), nr);
	struct piece *p = add_piece(w, group, 0, offset + first * 8ull, (size_t)(end - first) * 8);
	uint64_t *out = (uint64_t *)p->data;

	for (uint32_t i = first; i < end; i++)
		out[i - first] = htobe64(entries[i]);
	p->from = first;
	p->to = end;
	*from = *to = 0;
}

static void collect(struct qcow2_writeback *w)
{
	struct qcow2 *q = w->q;

	for (unsigned i = 0; i < q->nr_reftable; i++)
		add_table(w, REFCOUNTS, q->refs[i]);
	add_entries(w, REFTABLE, q->reftable_offset, q->reftable, q->nr_reftable,
		    &q->reftable_dirty_from, &q->reftable_dirty_to);
	list_for_each (it, &q->l2_used)
		add_table(w, L2_TABLES, list_entry(it, struct qcow2_table, node));
	add_entries(w, L1_TABLE, q->l1_offset, q->l1, q->l1_size, &q->l1_dirty_from,
		    &q->l1_dirty_to);
	qcow2_frees_move(&q->frees_writing, &q->frees);
}

/* ---- the end ---- */

static void widen(uint32_t *from, uint32_t *to, const struct piece *p)
{
	bool was_clean = *from == *to;

	*from = was_clean ? p->from : min(*from, p->from);
	*to = was_clean ? p->to : max(*to, p->to);
}

/* What could not be written is dirty as before. */
static void undo(struct qcow2_writeback *w)
{
	struct qcow2 *q = w->q;

	for (unsigned i = 0; i < w->nr; i++) {
		struct piece *p = w->pieces[i];
		struct qcow2_table *t = NULL;

		if (p->group == REFTABLE)
			widen(&q->reftable_dirty_from, &q->reftable_dirty_to, p);
		else if (p->group == L1_TABLE)
			widen(&q->l1_dirty_from, &q->l1_dirty_to, p);
		else
			t = p->group == REFCOUNTS ? q->refs[p->index] : q->l2[p->index];
		if (t)
			qcow2_table_dirty(t, p->from, p->to);
	}
	qcow2_frees_move(&q->frees, &q->frees_writing);
}

static void end(struct qcow2_writeback *w)
{
	struct qcow2 *q = w->q;
	int rc = w->rc;

	if (rc) {
		undo(w);
	} else if (q->frees_writing.nr) {
		qcow2_frees_move(&q->frees_ready, &q->frees_writing);
		q->free_seq = q->seq;
	}
	q->writeback = NULL;
	for (unsigned i = 0; i < w->nr; i++) {
		struct piece *p = w->pieces[i];

		if (p->group == L2_TABLES && q->l2[p->index])
			q->l2[p->index]->nr_pins--;
		free(p->data);
		free(p);
	}
	free(w->pieces);
	qcow2_apply_frees(q);
	while (!list_is_empty(&w->flushes)) {
		struct block_req *req = list_entry(w->flushes.next, struct block_req, node);

		list_remove(&req->node);
		block_done(req, rc);
	}
	free(w);
	if (!list_is_empty(&q->flushes) && !q->writeback)
		qcow2_write_some(q);
}

/* ---- the middle ---- */

static bool has_group(const struct qcow2_writeback *w, unsigned group)
{
	for (unsigned i = 0; i < w->nr; i++) {
		if (w->pieces[i]->group == group)
			return true;
	}
	return false;
}

static bool has_group_from(const struct qcow2_writeback *w, unsigned group)
{
	while (group < NR_GROUPS && !has_group(w, group))
		group++;
	return group < NR_GROUPS;
}

static void file_is_flushed(struct block_req *req, int rc)
{
	struct qcow2_writeback *w = container_of(req, struct qcow2_writeback, flush);

	if (rc)
		w->rc = rc;
	w->has_flushed = true;
	next_group(w);
}

static void flush_file(struct qcow2_writeback *w)
{
	w->flush = (struct block_req){.op = BLOCK_FLUSH, .done = file_is_flushed};
	block_submit(w->q->file, &w->flush);
}

static void group_is_written(struct qcow2_writeback *w)
{
	if (--w->nr_in_flight)
		return;
	w->group++;
	/* Without anyone who waits for it, the end needs no flush: only the order counts. But
	 * clusters that become free do. */
	bool is_end = w->rc || !has_group_from(w, w->group);
	if (is_end && (w->rc || (list_is_empty(&w->flushes) && !w->q->frees_writing.nr))) {
		end(w);
		return;
	}
	if (is_end)
		w->group = NR_GROUPS;
	flush_file(w);
}

static void piece_is_written(struct block_req *req, int rc)
{
	struct qcow2_writeback *w = container_of(req, struct piece, req)->w;

	if (rc)
		w->rc = rc;
	group_is_written(w);
}

static void write_group(struct qcow2_writeback *w)
{
	w->nr_in_flight = 0;
	for (unsigned i = 0; i < w->nr; i++) {
		struct piece *p = w->pieces[i];

		if (p->group != w->group)
			continue;
		p->req.done = piece_is_written;
		w->nr_in_flight++;
		block_submit(w->q->file, &p->req);
	}
}

static void next_group(struct qcow2_writeback *w)
{
	if (w->rc || w->group >= NR_GROUPS) {
		end(w);
		return;
	}
	for (; w->group < NR_GROUPS; w->group++) {
		if (!has_group(w, w->group))
			continue;
		/* The data that L2 entries point to is older than the copies of these. */
		if (w->group == L2_TABLES && !w->has_flushed)
			flush_file(w);
		else
			write_group(w);
		return;
	}
	/* There was nothing but data to write. */
	w->group = NR_GROUPS;
	flush_file(w);
}

static void start(struct qcow2 *q)
{
	struct qcow2_writeback *w = mem_alloc_zero(sizeof(*w));

	w->q = q;
	list_init(&w->flushes);
	while (!list_is_empty(&q->flushes)) {
		struct list *node = q->flushes.next;

		list_remove(node);
		list_append(&w->flushes, node);
	}
	q->writeback = w;
	if (q->is_corrupt)
		w->rc = -EIO;
	else
		collect(w);
	for (unsigned i = 0; i < w->nr; i++) {
		if (w->pieces[i]->group == L2_TABLES)
			q->l2[w->pieces[i]->index]->nr_pins++;
	}
	if (w->rc)
		flush_file(w);
	else
		next_group(w);
}

void qcow2_flush(struct qcow2 *q, struct block_req *req)
{
	list_append(&q->flushes, &req->node);
	if (!q->writeback)
		start(q);
}

void qcow2_write_some(struct qcow2 *q)
{
	if (!q->writeback)
		start(q);
}

/* ---- at once ---- */

int qcow2_write_refcounts_now(struct qcow2 *q)
{
	int rc = 0;

	for (unsigned i = 0; i < q->nr_reftable && !rc; i++) {
		struct qcow2_table *t = q->refs[i];

		if (t && t->dirty_from != t->dirty_to)
			rc = raw_write_now(q->file, t->offset, t->data, q->cluster_size);
	}
	return rc;
}

static bool is_clean(const struct qcow2 *q)
{
	if (q->frees.nr || q->frees_ready.nr || q->l1_dirty_from != q->l1_dirty_to ||
	    q->reftable_dirty_from != q->reftable_dirty_to)
		return false;
	for (unsigned i = 0; i < q->nr_reftable; i++) {
		if (q->refs[i] && q->refs[i]->dirty_from != q->refs[i]->dirty_to)
			return false;
	}
	list_for_each (it, &q->l2_used) {
		struct qcow2_table *t = list_entry(it, struct qcow2_table, node);

		if (t->dirty_from != t->dirty_to)
			return false;
	}
	return true;
}

struct last_flush {
	struct block_req req;
	int rc;
};

static void last_flush_done(struct block_req *req, int rc)
{
	container_of(req, struct last_flush, req)->rc = rc;
}

/* Each round can leave clusters to be freed to the next; the third has none. */
int qcow2_finish(struct block *b)
{
	struct qcow2 *q = qcow2_of(b);
	struct last_flush last = {.rc = 0};

	if (b->is_read_only)
		return 0;
	for (unsigned round = 0; round < 4 && !is_clean(q) && !q->is_corrupt && !last.rc; round++) {
		last.req =
			(struct block_req){.op = BLOCK_FLUSH, .done = last_flush_done, .block = b};
		block_plug(b);
		qcow2_apply_frees(q);
		qcow2_submit(b, &last.req);
		block_unplug(b);
		aio_drain(b->aio);
	}
	/* The last cluster may have been written in part. */
	uint64_t size = raw_file_size(q->file);
	if (!q->is_corrupt && !last.rc && size & (q->cluster_size - 1))
		last.rc = raw_truncate(q->file, ALIGN_UP(size, q->cluster_size));
	return q->is_corrupt ? -EIO : last.rc;
}
