/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to a qcow2 image. A request goes through its range run by run; each run becomes a child
 * request to the file or the backing file, and all children are in flight together. Where it meets an
 * L2 table that is not there yet, or a cluster that another request is allocating, it waits for that
 * and goes on.
 *
 * A cluster is allocated like this: take a free one, write the data together with what surrounds it
 * in the cluster, and only then let the L2 entry point to it. Until then its guest cluster is in
 * q->allocs, and other writes to it wait.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"

/* Of a request, in flight: keeps a disk busy, and bounds what a guest can make us allocate. */
#define CHILDREN_MAX 64

struct qcow2_req {
	struct qcow2 *q;
	struct block_req *req;
	uint64_t pos; /* everything before it has been handed to children */
	uint64_t seq;
	unsigned nr_children; /* in flight, plus one while advance() runs */
	bool is_waiting;
	bool is_full;	  /* it goes on when some children are done */
	bool is_starting; /* inside qcow2_submit(), from which done must not be called */
	bool is_late;	  /* counted in q->nr_late */
	int rc;
	struct list active, wait;
};

/* A part of a request that is read or written elsewhere. */
struct child {
	struct block_req req;
	struct qcow2_req *parent;
	struct iovec iov[];
};

/* A compressed cluster being read. */
struct unpack {
	struct block_req req;
	struct iovec iov;
	struct qcow2_req *parent;
	uint64_t entry, pos, len;
	uint8_t data[];
};

struct alloc {
	struct list node, waiters;
	struct qcow2_req *parent;
	struct qcow2_table *l2; /* pinned */
	uint64_t guest, nr;	/* first guest cluster's offset; clusters */
	uint64_t host;
	bool is_new;	   /* host was allocated for this, not there before */
	uint64_t pos, len; /* the data */
	unsigned nr_reads;
	int rc;
	struct block_req head, tail, write; /* what is before the data, behind it; all of it */
	struct iovec head_iov, tail_iov;
	struct iovec iov[];
};

static void advance(struct qcow2_req *r);

/* ---- life of a request ---- */

uint64_t qcow2_oldest_seq(const struct qcow2 *q)
{
	return list_entry(q->active.next, struct qcow2_req, active)->seq;
}

static uint64_t end_of(const struct qcow2_req *r)
{
	return r->req->offset + r->req->len;
}

static void child_done(struct qcow2_req *r, int rc)
{
	struct qcow2 *q = r->q;
	struct block_req *req = r->req;

	if (rc && !r->rc)
		r->rc = rc;
	r->nr_children--;
	if (r->is_full && r->nr_children <= CHILDREN_MAX / 2) {
		r->is_full = false;
		advance(r);
		return;
	}
	if (r->nr_children || r->is_waiting)
		return;
	rc = r->rc;
	bool is_starting = r->is_starting;
	list_remove(&r->active);
	free(r);
	if (is_starting)
		block_complete(&q->block, req, rc);
	else
		block_done(req, rc);
	qcow2_apply_frees(q);
}

void qcow2_wait(struct qcow2_req *r, struct list *waiters)
{
	r->is_waiting = true;
	list_append(waiters, &r->wait);
}

void qcow2_wake(struct list *waiters)
{
	qcow2_fail_all(waiters, 0);
}

void qcow2_fail_all(struct list *waiters, int rc)
{
	struct list all;

	/* Those that wait again do so on the same list. */
	list_init(&all);
	while (!list_is_empty(waiters)) {
		struct list *node = waiters->next;

		list_remove(node);
		list_append(&all, node);
	}
	while (!list_is_empty(&all)) {
		struct qcow2_req *r = list_entry(all.next, struct qcow2_req, wait);

		list_remove(&r->wait);
		r->is_waiting = false;
		if (rc && !r->rc)
			r->rc = rc;
		advance(r);
	}
}

/* ---- children ---- */

static void child_is_done(struct block_req *req, int rc)
{
	struct child *c = container_of(req, struct child, req);
	struct qcow2_req *r = c->parent;

	free(c);
	child_done(r, rc);
}

/* A child for the next len bytes of the request, at offset of another image. */
static void start_child(struct qcow2_req *r, struct block *image, uint64_t offset, uint64_t len)
{
	struct block_req *req = r->req;
	bool is_whole = r->pos == req->offset && len == req->len;
	unsigned room = is_whole ? 0 : req->nr_iov;
	struct child *c = mem_alloc_zero(sizeof(*c) + room * sizeof(struct iovec));

	c->parent = r;
	c->req = (struct block_req){.op = req->op,
				    .offset = offset,
				    .len = len,
				    .iov = is_whole ? req->iov : c->iov,
				    .nr_iov = req->nr_iov,
				    .done = child_is_done};
	if (!is_whole)
		c->req.nr_iov = iov_slice(req->iov, req->nr_iov, r->pos - req->offset, len, c->iov);
	r->nr_children++;
	r->pos += len;
	block_submit(image, &c->req);
}

/* ---- reads ---- */

static void skip_zero(struct qcow2_req *r, uint64_t len)
{
	iov_fill_zero(r->req->iov, r->req->nr_iov, r->pos - r->req->offset, len);
	r->pos += len;
}

static void copy_unpacked(struct qcow2_req *r, uint64_t pos, uint64_t len)
{
	const uint8_t *from = r->q->unpacked + (pos & (r->q->cluster_size - 1));

	iov_copy_to(r->req->iov, r->req->nr_iov, pos - r->req->offset, from, len);
}

static void packed_is_read(struct block_req *req, int rc)
{
	struct unpack *u = container_of(req, struct unpack, req);
	struct qcow2_req *r = u->parent;
	struct qcow2 *q = r->q;

	if (!rc && q->unpacked_entry != u->entry) {
		q->unpacked_entry = 0;
		rc = qcow2_unpack(q->uses_zstd, u->data, u->iov.iov_len, q->unpacked,
				  q->cluster_size);
		if (!rc)
			q->unpacked_entry = u->entry;
	}
	if (!rc)
		copy_unpacked(r, u->pos, u->len);
	free(u);
	child_done(r, rc);
}

static void read_packed(struct qcow2_req *r, const struct qcow2_run *run)
{
	struct qcow2 *q = r->q;
	uint64_t offset, len;

	if (q->unpacked_entry == run->entry) {
		copy_unpacked(r, r->pos, run->len);
		r->pos += run->len;
		return;
	}
	qcow2_compressed_range(q, run->entry, &offset, &len);
	struct unpack *u = mem_alloc_zero(sizeof(*u) + len);
	u->iov = (struct iovec){u->data, len};
	u->parent = r;
	u->entry = run->entry;
	u->pos = r->pos;
	u->len = run->len;
	u->req = (struct block_req){.op = BLOCK_READ,
				    .offset = offset,
				    .len = len,
				    .iov = &u->iov,
				    .nr_iov = 1,
				    .done = packed_is_read};
	r->nr_children++;
	r->pos += run->len;
	block_submit(q->file, &u->req);
}

static void read_backing(struct qcow2_req *r, uint64_t len)
{
	struct block *backing = r->q->block.backing;
	uint64_t there = backing && backing->size > r->pos ? min(len, backing->size - r->pos) : 0;

	if (there)
		start_child(r, backing, r->pos, there);
	if (len > there)
		skip_zero(r, len - there);
}

static int read_step(struct qcow2_req *r)
{
	struct qcow2_run run;
	int rc = qcow2_lookup(r->q, r->pos, end_of(r) - r->pos, &run, r);

	if (rc)
		return rc;
	switch (run.kind) {
	case QCOW2_NOWHERE:
		read_backing(r, run.len);
		break;
	case QCOW2_ZERO:
		skip_zero(r, run.len);
		break;
	case QCOW2_NORMAL:
		start_child(r, r->q->file, run.host, run.len);
		break;
	case QCOW2_COMPRESSED:
		read_packed(r, &run);
		break;
	}
	return 0;
}

/* ---- exclusion ---- */

/*
 * Shortens *len to what lies before the next cluster being allocated. When that is the first one,
 * the request waits for it: -EINPROGRESS.
 */
static int clip_to_unlocked(struct qcow2_req *r, uint64_t *len)
{
	list_for_each (it, &r->q->allocs) {
		struct alloc *a = list_entry(it, struct alloc, node);
		uint64_t end = a->guest + (a->nr << r->q->cluster_bits);

		if (r->pos >= end || r->pos + *len <= a->guest)
			continue;
		if (r->pos >= a->guest) {
			qcow2_wait(r, &a->waiters);
			return -EINPROGRESS;
		}
		*len = a->guest - r->pos;
	}
	return 0;
}

/* ---- allocating writes ---- */

/* Does what was not there before read as zeroes? */
static bool reads_zero(const struct qcow2 *q, uint64_t offset, uint64_t entry)
{
	const struct block *backing = q->block.backing;

	if (entry & ENTRY_COMPRESSED)
		return false;
	if (q->version >= 3 && entry & ENTRY_ZERO)
		return true;
	return !(entry & ENTRY_OFFSET) && (!backing || offset >= backing->size);
}

static void alloc_end(struct alloc *a, int rc)
{
	struct qcow2_req *r = a->parent;
	struct qcow2 *q = r->q;
	unsigned first = qcow2_l2_index(q, a->guest);

	for (unsigned i = 0; !rc && i < a->nr; i++) {
		if (a->is_new)
			qcow2_free_entry_later(q, qcow2_entry(a->l2, first + i));
		qcow2_set_entry(a->l2, first + i,
				(a->host + ((uint64_t)i << q->cluster_bits)) | ENTRY_COPIED);
	}
	if (rc && a->is_new)
		qcow2_unalloc(q, a->host, a->nr);
	a->l2->nr_pins--;
	list_remove(&a->node);
	free(a->head_iov.iov_base);
	free(a->tail_iov.iov_base);
	qcow2_wake(&a->waiters);
	free(a);
	child_done(r, rc);
}

static void alloc_is_written(struct block_req *req, int rc)
{
	alloc_end(container_of(req, struct alloc, write), rc);
}

static void alloc_write(struct alloc *a)
{
	struct qcow2_req *r = a->parent;
	uint64_t in_cluster = a->pos - a->guest, start = a->host + in_cluster, len = a->len;
	unsigned n = 0;

	if (a->rc) {
		alloc_end(a, a->rc);
		return;
	}
	if (a->head_iov.iov_base) {
		a->iov[n++] = a->head_iov;
		start -= in_cluster;
		len += in_cluster;
	}
	n += iov_slice(r->req->iov, r->req->nr_iov, a->pos - r->req->offset, a->len, a->iov + n);
	if (a->tail_iov.iov_base) {
		a->iov[n++] = a->tail_iov;
		len += a->tail_iov.iov_len;
	}
	a->write = (struct block_req){.op = BLOCK_WRITE,
				      .offset = start,
				      .len = len,
				      .iov = a->iov,
				      .nr_iov = n,
				      .done = alloc_is_written};
	block_submit(r->q->file, &a->write);
}

static void alloc_read_done(struct alloc *a, int rc)
{
	if (rc && !a->rc)
		a->rc = rc;
	if (!--a->nr_reads)
		alloc_write(a);
}

static void head_is_read(struct block_req *req, int rc)
{
	alloc_read_done(container_of(req, struct alloc, head), rc);
}

static void tail_is_read(struct block_req *req, int rc)
{
	alloc_read_done(container_of(req, struct alloc, tail), rc);
}

/* Gets what the image holds at [offset, offset + iov->iov_len) into new memory. */
static void fill(struct alloc *a, struct block_req *req, struct iovec *iov, uint64_t offset,
		 size_t len, bool is_zero, void (*done)(struct block_req *req, int rc))
{
	struct qcow2 *q = a->parent->q;

	*iov = (struct iovec){mem_alloc_zero(len), len};
	if (is_zero || offset >= q->block.size)
		return;
	*req = (struct block_req){.op = BLOCK_READ,
				  .offset = offset,
				  .len = min((uint64_t)len, q->block.size - offset),
				  .iov = iov,
				  .nr_iov = 1,
				  .done = done,
				  .block = &q->block};
	a->nr_reads++;
	qcow2_submit(&q->block, req);
}

static void alloc_fill(struct alloc *a, bool is_fresh)
{
	struct qcow2 *q = a->parent->q;
	unsigned i = qcow2_l2_index(q, a->guest);
	uint64_t end = a->guest + (a->nr << q->cluster_bits), data_end = a->pos + a->len;
	bool head_zero = reads_zero(q, a->guest, qcow2_entry(a->l2, i));
	bool tail_zero =
		reads_zero(q, end - q->cluster_size, qcow2_entry(a->l2, i + (unsigned)a->nr - 1));

	a->nr_reads = 1;
	if (a->pos > a->guest && !(head_zero && is_fresh))
		fill(a, &a->head, &a->head_iov, a->guest, a->pos - a->guest, head_zero,
		     head_is_read);
	if (data_end < end && !(tail_zero && is_fresh))
		fill(a, &a->tail, &a->tail_iov, data_end, end - data_end, tail_zero, tail_is_read);
	alloc_read_done(a, 0);
}

/* How many clusters from entry i on, at most max, are to be allocated together. */
static uint64_t count_to_allocate(const struct qcow2_table *t, const struct qcow2 *q, unsigned i,
				  uint64_t max)
{
	uint64_t n = 0;

	for (; n < max; n++) {
		uint64_t entry = qcow2_entry(t, i + (unsigned)n);

		/* Ours already, for data or as a zero cluster that keeps its place. */
		if (entry & ENTRY_COPIED && entry & ENTRY_OFFSET && !(entry & ENTRY_COMPRESSED))
			break;
	}
	return n;
}

static int alloc_start(struct qcow2_req *r, const struct qcow2_run *run, uint64_t len)
{
	struct qcow2 *q = r->q;
	uint64_t in_cluster = r->pos & (q->cluster_size - 1), host = run->host, nr = 1;
	bool is_new = !(run->kind == QCOW2_ZERO && run->is_ours && host), is_fresh = false;
	unsigned i = qcow2_l2_index(q, r->pos);
	struct qcow2_table *t;
	int rc = qcow2_l2_for_change(q, r->pos, &t, r);

	if (rc)
		return rc;
	if (is_new) {
		nr = min(qcow2_clusters(q, in_cluster + len), BIT64(q->l2_bits) - i);
		nr = count_to_allocate(t, q, i, nr);
		if (!nr) /* a table copied from a snapshot's says "ours", which cannot be */
			return qcow2_damaged(q, "guest offset %#llx is marked as unshared",
					     (unsigned long long)r->pos);
		t->nr_pins++;
		rc = qcow2_alloc(q, &nr, &host, &is_fresh);
		t->nr_pins--;
		if (rc)
			return rc;
	}
	struct alloc *a = mem_alloc_zero(sizeof(*a) + (r->req->nr_iov + 2) * sizeof(struct iovec));
	list_init(&a->waiters);
	list_append(&q->allocs, &a->node);
	a->parent = r;
	a->l2 = t;
	t->nr_pins++;
	a->guest = r->pos - in_cluster;
	a->nr = nr;
	a->host = host;
	a->is_new = is_new;
	a->pos = r->pos;
	a->len = min(len, (nr << q->cluster_bits) - in_cluster);
	r->pos += a->len;
	r->nr_children++;
	alloc_fill(a, is_fresh);
	return 0;
}

static int write_step(struct qcow2_req *r)
{
	uint64_t len = end_of(r) - r->pos;
	struct qcow2_run run;
	int rc = clip_to_unlocked(r, &len);

	if (!rc)
		rc = qcow2_lookup(r->q, r->pos, len, &run, r);
	if (rc)
		return rc;
	if (run.kind == QCOW2_NORMAL && run.is_ours) {
		start_child(r, r->q->file, run.host, run.len);
		return 0;
	}
	return alloc_start(r, &run, len);
}

/* ---- discards and zeroes ---- */

/* Less than a cluster, or a format without zero clusters: as written data. */
static int zero_by_writing(struct qcow2_req *r, uint64_t len)
{
	struct qcow2 *q = r->q;
	struct qcow2_run run;
	int rc = qcow2_lookup(q, r->pos, len, &run, r);

	if (rc)
		return rc;
	len = min(len, run.len);
	if (run.kind == QCOW2_ZERO || (run.kind == QCOW2_NOWHERE && !q->block.backing)) {
		r->pos += len;
		return 0;
	}
	struct child *c = mem_alloc_zero(sizeof(*c) + sizeof(struct iovec));
	c->parent = r;
	if (!q->zeroes)
		q->zeroes = mem_alloc_zero(q->cluster_size);
	c->iov[0] = (struct iovec){q->zeroes, len};
	c->req = (struct block_req){.op = BLOCK_WRITE,
				    .offset = r->pos,
				    .len = len,
				    .iov = c->iov,
				    .nr_iov = 1,
				    .done = child_is_done,
				    .block = &q->block};
	r->nr_children++;
	r->pos += len;
	qcow2_submit(&q->block, &c->req);
	return 0;
}

/* What a whole cluster's entry becomes. */
static uint64_t entry_without_data(const struct qcow2_req *r, uint64_t old)
{
	const struct qcow2 *q = r->q;
	bool is_discard = r->req->op == BLOCK_DISCARD, has_backing = q->block.backing;
	bool is_nowhere = !(old & (ENTRY_OFFSET | ENTRY_COMPRESSED)) &&
			  !(q->version >= 3 && old & ENTRY_ZERO);

	if (is_nowhere && !has_backing)
		return old;
	if (q->version < 3) /* and no backing file */
		return 0;
	if (is_discard && !has_backing)
		return 0;
	if (!is_discard && !r->req->may_unmap && old & ENTRY_COPIED && !(old & ENTRY_COMPRESSED))
		return old | ENTRY_ZERO;
	return ENTRY_ZERO;
}

static void drop_cluster(struct qcow2_req *r, struct qcow2_table *t, unsigned i)
{
	uint64_t old = qcow2_entry(t, i), new = entry_without_data(r, old);

	if (new == old)
		return;
	qcow2_set_entry(t, i, new);
	if (!(new &ENTRY_OFFSET))
		qcow2_free_entry_later(r->q, old);
}

static int zero_step(struct qcow2_req *r)
{
	struct qcow2 *q = r->q;
	uint64_t in_cluster = r->pos & (q->cluster_size - 1), len = end_of(r) - r->pos;
	bool is_discard = r->req->op == BLOCK_DISCARD;
	struct qcow2_table *t;
	int rc = clip_to_unlocked(r, &len);

	if (rc)
		return rc;
	/* The last cluster of the image may be a short one. */
	uint64_t clusters =
		r->pos + len == q->block.size ? qcow2_clusters(q, len) : len >> q->cluster_bits;
	if (in_cluster || !clusters || (q->version < 3 && q->block.backing)) {
		len = min(len, q->cluster_size - in_cluster);
		if (!is_discard)
			return zero_by_writing(r, len);
		r->pos += len;
		return 0;
	}
	unsigned i = qcow2_l2_index(q, r->pos);
	clusters = min(clusters, BIT64(q->l2_bits) - i);
	len = min(len, clusters << q->cluster_bits);
	if (!q->l1[qcow2_l1_index(q, r->pos)] && !q->block.backing) {
		r->pos += len;
		return 0;
	}
	rc = qcow2_l2_for_change(q, r->pos, &t, r);
	for (uint64_t n = 0; !rc && n < clusters; n++)
		drop_cluster(r, t, i + (unsigned)n);
	if (!rc)
		r->pos += len;
	return rc;
}

/* ---- all of it ---- */

static int step(struct qcow2_req *r)
{
	if (r->req->op != BLOCK_READ && r->q->is_corrupt)
		return -EIO;
	switch (r->req->op) {
	case BLOCK_READ:
		return read_step(r);
	case BLOCK_WRITE:
		return write_step(r);
	default:
		return zero_step(r);
	}
}

/* A request that still has clusters to look up or take when something else is done. */
static void count_late(struct qcow2_req *r)
{
	bool is_late = r->req->op != BLOCK_READ && !r->rc && r->pos < end_of(r);

	if (is_late && !r->is_late)
		r->q->nr_late++;
	else if (!is_late && r->is_late)
		r->q->nr_late--;
	r->is_late = is_late;
}

static void advance(struct qcow2_req *r)
{
	r->nr_children++;
	while (!r->rc && r->pos < end_of(r) && !r->is_full) {
		int rc = step(r);

		if (rc == -EINPROGRESS)
			break;
		r->rc = rc;
		r->is_full = r->nr_children > CHILDREN_MAX;
	}
	count_late(r);
	child_done(r, 0);
}

/*
 * Refcount blocks are read, and the refcount table is moved, while everything else stands still. Both
 * are needed by whatever takes clusters or gives some up.
 */
bool qcow2_may_wait(const struct block *b, enum block_op op, uint64_t offset, uint64_t len)
{
	const struct qcow2 *q = container_of(b, const struct qcow2, block);

	if (q->nr_late || q->frees_ready.nr)
		return true;
	if (op == BLOCK_FLUSH)
		return q->frees.nr;
	if (op == BLOCK_READ || !len)
		return false;
	if (!qcow2_l2_is_loaded(q, offset, len))
		return true;
	if (op == BLOCK_WRITE && qcow2_is_in_place(q, offset, len))
		return false;
	uint64_t clusters = qcow2_clusters(q, (offset & (q->cluster_size - 1)) + len);
	uint64_t tables = qcow2_l1_index(q, offset + len - 1) - qcow2_l1_index(q, offset) + 1;
	return qcow2_alloc_may_wait(q, clusters + tables);
}

void qcow2_submit(struct block *b, struct block_req *req)
{
	struct qcow2 *q = qcow2_of(b);

	if (req->op == BLOCK_FLUSH) {
		qcow2_flush(q, req);
		return;
	}
	struct qcow2_req *r = mem_alloc_zero(sizeof(*r));
	r->q = q;
	r->req = req;
	r->pos = req->offset;
	r->seq = ++q->seq;
	list_init(&r->wait);
	list_append(&q->active, &r->active);
	r->is_starting = true;
	r->nr_children++; /* keeps it until here */
	advance(r);
	r->nr_children--;
	if (!r->nr_children && !r->is_waiting) {
		r->nr_children++;
		child_done(r, 0);
		return;
	}
	r->is_starting = false;
}
