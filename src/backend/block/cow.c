/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy-on-write files of User Mode Linux (cow_format.h) as disks. Sectors that were not written come from
 * the backing file, which must be as it was when the COW file was made. Bits of the bitmap are set in
 * memory when the data has been written, and reach the file with a flush.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/block/block_impl.h"
#include "backend/block/cow_format.h"
#include "base/buf.h"

#define BITMAP_UNIT 4096

struct cow {
	struct block block;
	struct block *file;
	struct cow_facts facts;
	uint8_t *bitmap;
	uint64_t dirty_from, dirty_to; /* bytes of the bitmap */
	struct list writes, waiting;   /* writes of whole sectors in flight; those that overlap */
	struct list flushes;	       /* requests for the next flush, while one runs */
	bool is_flushing;
};

static struct cow *cow_of(struct block *b)
{
	return container_of(b, struct cow, block);
}

/* ---- the bitmap ---- */

static bool has_sector(const struct cow *c, uint64_t sector)
{
	return sector / 8 < c->facts.bitmap_len && c->bitmap[sector / 8] >> sector % 8 & 1;
}

static void mark_dirty(struct cow *c, uint64_t from, uint64_t to)
{
	if (c->dirty_from == c->dirty_to) {
		c->dirty_from = from;
		c->dirty_to = to;
	} else {
		c->dirty_from = min(c->dirty_from, from);
		c->dirty_to = max(c->dirty_to, to);
	}
}

static void set_sectors(struct cow *c, uint64_t first, uint64_t end)
{
	for (uint64_t s = first; s < end && s / 8 < c->facts.bitmap_len; s++)
		c->bitmap[s / 8] |= (uint8_t)(1u << s % 8);
	mark_dirty(c, first / 8, min((end + 7) / 8, c->facts.bitmap_len));
}

/* Bytes from offset on, at most len, that are all in the file or all not. */
static uint64_t run_at(const struct cow *c, uint64_t offset, uint64_t len, bool *is_here)
{
	uint64_t size = c->facts.sector_size, s = offset / size, end = offset + len;

	*is_here = has_sector(c, s);
	while (++s * size < end && has_sector(c, s) == *is_here)
		;
	return min(s * size, end) - offset;
}

/* ---- requests ---- */

/* A request in pieces that are in flight together. */
struct cow_req {
	struct cow *c;
	struct block_req *req;
	unsigned nr_children;
	int rc;
	/* WRITE: what is written, in whole sectors */
	uint64_t start, end;
	struct block_req head, tail, whole;
	struct iovec head_iov, tail_iov;
	struct list node;
	struct iovec iov[];
};

struct cow_child {
	struct block_req req;
	struct cow_req *parent;
	struct iovec iov[];
};

static void start_write(struct cow *c, struct block_req *req);

static void cow_req_free(struct cow_req *r)
{
	free(r->head_iov.iov_base);
	free(r->tail_iov.iov_base);
	free(r);
}

static void part_done(struct cow_req *r, int rc)
{
	struct block_req *req = r->req;

	if (rc && !r->rc)
		r->rc = rc;
	if (--r->nr_children)
		return;
	rc = r->rc;
	cow_req_free(r);
	block_done(req, rc);
}

static void child_is_done(struct block_req *req, int rc)
{
	struct cow_child *child = container_of(req, struct cow_child, req);
	struct cow_req *r = child->parent;

	free(child);
	part_done(r, rc);
}

static void read_part(struct cow_req *r, struct block *from, uint64_t offset, uint64_t pos,
		      uint64_t len)
{
	struct cow_child *child =
		mem_alloc_zero(sizeof(*child) + r->req->nr_iov * sizeof(struct iovec));

	child->parent = r;
	child->req = (struct block_req){.op = BLOCK_READ,
					.offset = offset,
					.len = len,
					.iov = child->iov,
					.done = child_is_done};
	child->req.nr_iov =
		iov_slice(r->req->iov, r->req->nr_iov, pos - r->req->offset, len, child->iov);
	r->nr_children++;
	block_submit(from, &child->req);
}

static void submit_read(struct cow *c, struct block_req *req)
{
	struct block *backing = c->block.backing;
	struct cow_req *r = mem_alloc_zero(sizeof(*r));
	bool is_here;

	r->c = c;
	r->req = req;
	r->nr_children = 1;
	for (uint64_t pos = req->offset, end = pos + req->len, n; pos < end; pos += n) {
		n = run_at(c, pos, end - pos, &is_here);
		uint64_t there = backing && pos < backing->size ? min(n, backing->size - pos) : 0;

		if (is_here)
			read_part(r, c->file, c->facts.data_offset + pos, pos, n);
		else if (there)
			read_part(r, backing, pos, pos, there);
		if (!is_here && there < n)
			iov_fill_zero(req->iov, req->nr_iov, pos + there - req->offset, n - there);
	}
	if (r->nr_children == 1) { /* all zeroes */
		cow_req_free(r);
		block_complete(&c->block, req, 0);
		return;
	}
	r->nr_children--;
}

static void start_waiting(struct cow *c)
{
	struct list again;

	list_init(&again);
	while (!list_is_empty(&c->waiting)) {
		struct list *node = c->waiting.next;

		list_remove(node);
		list_append(&again, node);
	}
	while (!list_is_empty(&again)) {
		struct list *node = again.next;

		list_remove(node);
		start_write(c, list_entry(node, struct block_req, node));
	}
}

static void write_end(struct cow_req *r, int rc)
{
	struct cow *c = r->c;
	struct block_req *req = r->req;

	if (!rc)
		set_sectors(c, r->start / c->facts.sector_size, r->end / c->facts.sector_size);
	list_remove(&r->node);
	cow_req_free(r);
	start_waiting(c);
	block_done(req, rc);
}

static void whole_is_written(struct block_req *req, int rc)
{
	write_end(container_of(req, struct cow_req, whole), rc);
}

static void write_whole(struct cow_req *r)
{
	struct block_req *req = r->req;
	unsigned n = 0;

	if (r->head_iov.iov_len)
		r->iov[n++] = r->head_iov;
	n += iov_slice(req->iov, req->nr_iov, 0, req->len, r->iov + n);
	if (r->tail_iov.iov_len)
		r->iov[n++] = r->tail_iov;
	r->whole = (struct block_req){.op = BLOCK_WRITE,
				      .offset = r->c->facts.data_offset + r->start,
				      .len = r->end - r->start,
				      .iov = r->iov,
				      .nr_iov = n,
				      .done = whole_is_written};
	block_submit(r->c->file, &r->whole);
}

static void edge_is_read(struct cow_req *r, int rc)
{
	if (rc && !r->rc)
		r->rc = rc;
	if (--r->nr_children)
		return;
	if (r->rc)
		write_end(r, r->rc);
	else
		write_whole(r);
}

static void head_is_read(struct block_req *req, int rc)
{
	edge_is_read(container_of(req, struct cow_req, head), rc);
}

static void tail_is_read(struct block_req *req, int rc)
{
	edge_is_read(container_of(req, struct cow_req, tail), rc);
}

/* What surrounds the data in its sectors, which can be longer than 512 bytes. */
static void read_edge(struct cow_req *r, struct block_req *edge, struct iovec *iov, uint64_t from,
		      uint64_t to, void (*done)(struct block_req *req, int rc))
{
	struct cow *c = r->c;

	if (from == to)
		return;
	*iov = (struct iovec){mem_alloc_zero(to - from), to - from};
	to = min(to, c->block.size);
	if (from >= to)
		return;
	*edge = (struct block_req){.op = BLOCK_READ,
				   .offset = from,
				   .len = to - from,
				   .iov = iov,
				   .nr_iov = 1,
				   .done = done,
				   .block = &c->block};
	r->nr_children++;
	submit_read(c, edge);
}

static bool overlaps_write(struct cow *c, uint64_t start, uint64_t end)
{
	list_for_each (it, &c->writes) {
		struct cow_req *r = list_entry(it, struct cow_req, node);

		if (r->start < end && start < r->end)
			return true;
	}
	return false;
}

static void start_write(struct cow *c, struct block_req *req)
{
	uint64_t size = c->facts.sector_size, end = req->offset + req->len;
	uint64_t start = ALIGN_DOWN(req->offset, size), stop = ALIGN_UP(end, size);

	if (overlaps_write(c, start, stop)) {
		list_append(&c->waiting, &req->node);
		return;
	}
	struct cow_req *r = mem_alloc_zero(sizeof(*r) + (req->nr_iov + 2) * sizeof(struct iovec));
	r->c = c;
	r->req = req;
	r->start = start;
	r->end = stop;
	r->nr_children = 1;
	list_append(&c->writes, &r->node);
	read_edge(r, &r->head, &r->head_iov, start, req->offset, head_is_read);
	read_edge(r, &r->tail, &r->tail_iov, end, stop, tail_is_read);
	edge_is_read(r, 0);
}

/* ---- zeroes ---- */

struct zero_write {
	struct block_req req;
	struct block_req *parent;
	struct iovec iov;
};

static void zeroes_are_written(struct block_req *req, int rc)
{
	struct zero_write *z = container_of(req, struct zero_write, req);
	struct block_req *parent = z->parent;

	free(z->iov.iov_base);
	free(z);
	block_done(parent, rc);
}

/* The format has no zeroes: they are data. A device limits the length of such requests. */
static void submit_zeroes(struct cow *c, struct block_req *req)
{
	struct zero_write *z = mem_alloc_zero(sizeof(*z));

	z->parent = req;
	z->iov = (struct iovec){mem_alloc_zero(req->len), req->len};
	z->req = (struct block_req){.op = BLOCK_WRITE,
				    .offset = req->offset,
				    .len = req->len,
				    .iov = &z->iov,
				    .nr_iov = 1,
				    .done = zeroes_are_written,
				    .block = &c->block};
	start_write(c, &z->req);
}

/* ---- flushes ---- */

/*
 * Data, then the bitmap, then both for good. One runs at a time: a later one could finish earlier, or
 * its bitmap be overwritten by an older one.
 */
struct cow_flush {
	struct cow *c;
	struct list requests; /* it serves */
	struct block_req step;
	struct iovec iov;
	uint64_t from, to;
	unsigned steps_done;
};

static void flush_step(struct cow_flush *f);

static void start_flush(struct cow *c);

static void flush_end(struct cow_flush *f, int rc)
{
	struct cow *c = f->c;

	if (rc && f->iov.iov_base)
		mark_dirty(c, f->from, f->to);
	free(f->iov.iov_base);
	while (!list_is_empty(&f->requests)) {
		struct block_req *req = list_entry(f->requests.next, struct block_req, node);

		list_remove(&req->node);
		block_done(req, rc);
	}
	free(f);
	c->is_flushing = false;
	if (!list_is_empty(&c->flushes))
		start_flush(c);
}

static void step_is_done(struct block_req *req, int rc)
{
	struct cow_flush *f = container_of(req, struct cow_flush, step);

	f->steps_done++;
	if (!rc && f->steps_done < 3 && f->iov.iov_base)
		flush_step(f);
	else
		flush_end(f, rc);
}

static void flush_step(struct cow_flush *f)
{
	bool writes = f->steps_done == 1;

	f->step = (struct block_req){.op = writes ? BLOCK_WRITE : BLOCK_FLUSH,
				     .offset = writes ? f->c->facts.bitmap_offset + f->from : 0,
				     .len = writes ? f->to - f->from : 0,
				     .iov = &f->iov,
				     .nr_iov = 1,
				     .done = step_is_done};
	block_submit(f->c->file, &f->step);
}

static void start_flush(struct cow *c)
{
	struct cow_flush *f = mem_alloc_zero(sizeof(*f));

	f->c = c;
	list_init(&f->requests);
	while (!list_is_empty(&c->flushes)) {
		struct list *node = c->flushes.next;

		list_remove(node);
		list_append(&f->requests, node);
	}
	c->is_flushing = true;
	if (c->dirty_from != c->dirty_to) {
		f->from = ALIGN_DOWN(c->dirty_from, BITMAP_UNIT);
		f->to = min(ALIGN_UP(c->dirty_to, BITMAP_UNIT), c->facts.bitmap_len);
		f->iov = (struct iovec){mem_alloc_zero(f->to - f->from), f->to - f->from};
		memcpy(f->iov.iov_base, c->bitmap + f->from, f->to - f->from);
		c->dirty_from = c->dirty_to = 0;
	}
	flush_step(f);
}

static void submit_flush(struct cow *c, struct block_req *req)
{
	list_append(&c->flushes, &req->node);
	if (!c->is_flushing)
		start_flush(c);
}

static void cow_submit(struct block *b, struct block_req *req)
{
	struct cow *c = cow_of(b);

	switch (req->op) {
	case BLOCK_READ:
		submit_read(c, req);
		break;
	case BLOCK_WRITE:
		start_write(c, req);
		break;
	case BLOCK_FLUSH:
		submit_flush(c, req);
		break;
	case BLOCK_DISCARD: /* a sector that was copied stays so */
		block_complete(b, req, 0);
		break;
	case BLOCK_WRITE_ZEROES:
		submit_zeroes(c, req);
		break;
	}
}

/* ---- life ---- */

static int cow_finish(struct block *b)
{
	struct cow *c = cow_of(b);
	uint64_t from = c->dirty_from, len = c->dirty_to - c->dirty_from;

	if (!len)
		return 0;
	int rc = raw_flush_now(c->file);
	if (!rc)
		rc = raw_write_now(c->file, c->facts.bitmap_offset + from, c->bitmap + from, len);
	return rc ? rc : raw_flush_now(c->file);
}

static void cow_free(struct block *b)
{
	struct cow *c = cow_of(b);

	block_close(c->file);
	free(c->bitmap);
	free(c);
}

static int cow_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e)
{
	struct cow *c = cow_of(b);
	bool is_here;

	*e = (struct block_extent){.offset = offset};
	e->len = run_at(c, offset, len, &is_here);
	e->is_allocated = e->has_host_offset = is_here;
	e->host_offset = c->facts.data_offset + offset;
	return 0;
}

static void cow_details(const struct block *b, struct block_details *d)
{
	const struct cow *c = container_of(b, const struct cow, block);

	d->version = c->facts.version;
	d->cluster_size = (unsigned)c->facts.sector_size;
	d->backing_name = c->facts.backing;
	d->backing_format = "raw";
	d->backing_mtime = c->facts.mtime;
}

static const struct block_ops cow_ops = {.name = "cow",
					 .submit = cow_submit,
					 .finish = cow_finish,
					 .free = cow_free,
					 .map = cow_map,
					 .details = cow_details};

/* The sectors that are not copied are only right with the very file they were not copied from. */
static int check_backing(const struct cow *c, const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st))
		return error_set_errno(err, -errno, "%s: backing file %s", c->block.path, path);
	if ((uint64_t)st.st_size != c->facts.size)
		return error_set(err, -ESTALE,
				 "%s: its backing file %s has %lld bytes now and had %llu when the "
				 "COW file was made; they do not belong together any more",
				 c->block.path, path, (long long)st.st_size,
				 (unsigned long long)c->facts.size);
	if ((uint32_t)st.st_mtime != (uint32_t)c->facts.mtime)
		return error_set(
			err, -ESTALE,
			"%s: its backing file %s was changed since the COW file was made "
			"(time of change %llu, not %llu); if its contents are the same, 'touch "
			"-d @%llu %s' makes it fit again",
			c->block.path, path, (unsigned long long)st.st_mtime,
			(unsigned long long)c->facts.mtime, (unsigned long long)c->facts.mtime,
			path);
	return 0;
}

static int open_backing(struct cow *c, const struct block_params *params, unsigned depth,
			struct error *err)
{
	char *path = block_path_beside(c->block.path, c->facts.backing);
	struct block_params below = *params;
	int rc = params->ignores_mtime ? 0 : check_backing(c, path, err);

	below.path = path;
	below.format = "raw";
	below.is_read_only = true;
	if (!rc && !(c->block.backing = block_open_below(&below, c->block.aio, depth + 1, err))) {
		error_prefix(err, "%s: backing file", c->block.path);
		rc = -EINVAL;
	}
	free(path);
	return rc;
}

static int read_all(struct cow *c, const struct block_params *params, unsigned depth,
		    struct error *err)
{
	uint64_t file_size = raw_file_size(c->file);
	int rc = cow_facts_read(c->file, &c->facts, err);

	if (rc)
		return rc;
	/* The bitmap is there as a whole, so the file's size limits what is allocated for it. */
	if (!range_fits(c->facts.bitmap_offset, c->facts.bitmap_len, file_size))
		return error_set(err, -EINVAL, "%s: not a valid COW file: its bitmap is cut off",
				 params->path);
	c->bitmap = mem_alloc_zero(c->facts.bitmap_len);
	rc = raw_read_now(c->file, c->facts.bitmap_offset, c->bitmap, c->facts.bitmap_len);
	if (rc)
		return error_set_errno(err, rc, "%s", params->path);
	c->block.size = ALIGN_UP(c->facts.size, BLOCK_SECTOR);
	/* Sectors without a bit cannot be written. */
	if (c->facts.version < 3)
		c->block.size = min(c->block.size, c->facts.bitmap_len * 8 * c->facts.sector_size);
	return params->without_backing ? 0 : open_backing(c, params, depth, err);
}

struct block *cow_open(const struct block_params *params, struct aio *aio, unsigned depth,
		       struct error *err)
{
	struct block *file = raw_open(params, aio, RAW_INSIDE, err);

	if (!file)
		return NULL;
	struct cow *c = mem_alloc_zero(sizeof(*c));
	block_init(&c->block, &cow_ops, params, aio);
	c->file = file;
	list_init(&c->writes);
	list_init(&c->waiting);
	list_init(&c->flushes);
	if (read_all(c, params, depth, err)) {
		block_close(&c->block);
		return NULL;
	}
	c->block.physical_size = (unsigned)max(c->facts.sector_size, (uint64_t)BLOCK_SECTOR);
	if (!raw_is_device(file))
		file->size = ALIGN_DOWN((uint64_t)INT64_MAX - MIB, BLOCK_SECTOR);
	return &c->block;
}
