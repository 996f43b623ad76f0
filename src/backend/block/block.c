/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all formats share: opening by format, checks of requests, delays, and the synchronous calls of
 * tools.
 */
#include "backend/block/block.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backend/block/block_impl.h"
#include "base/buf.h"

/* ---- formats ---- */

/* Formats by their first bytes. What is not supported is known so that it is not taken for raw. */
static const struct {
	const char *format;
	unsigned offset;
	unsigned len;
	const char *bytes;
} magics[] = {
	{"qcow2", 0, 8, "QFI\xfb\0\0\0\x02"},
	{"qcow2", 0, 8, "QFI\xfb\0\0\0\x03"},
	{"qcow", 0, 4, "QFI\xfb"},
	{"cow", 0, 4, "OOOM"},
	{"cow", 0, 4, "MOOO"},
	{"qed", 0, 4, "QED\0"},
	{"vmdk", 0, 4, "KDMV"},
	{"vhdx", 0, 8, "vhdxfile"},
	{"vpc", 0, 8, "conectix"},
	{"vdi", 64, 4, "\x7f\x10\xda\xbe"},
};

const char *block_magic(const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
		if (range_fits(magics[i].offset, magics[i].len, len) &&
		    !memcmp(data + magics[i].offset, magics[i].bytes, magics[i].len))
			return magics[i].format;
	}
	return NULL;
}

bool block_format_is_known(const char *format)
{
	return !strcmp(format, "raw") || !strcmp(format, "qcow2") || !strcmp(format, "cow");
}

/* Opens for a look, without waiting for the other end of a FIFO. */
static int open_to_look(const char *path, struct error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_set_errno(err, -errno, "%s", path);
	if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		close(fd);
		return error_set(err, -EINVAL, "%s is neither a file nor a block device", path);
	}
	return fd;
}

const char *block_probe(const char *path, struct error *err)
{
	uint8_t head[BLOCK_SECTOR];
	char note[8] = "";
	int fd = open_to_look(path, err);

	if (fd < 0)
		return NULL;
	ssize_t n = pread(fd, head, sizeof(head), 0);
	if (n < 0) {
		error_set_errno(err, -errno, "%s", path);
		close(fd);
		return NULL;
	}
	bool was_raw = fgetxattr(fd, BLOCK_FORMAT_NOTE, note, sizeof(note)) == 3 &&
		       !memcmp(note, "raw", 3);
	close(fd);
	const char *format = block_magic(head, (size_t)n);
	if (format && was_raw) {
		error_set(
			err, -EINVAL,
			"%s was written by a guest as a raw image and now begins like a %s image; "
			"say which it is: format=raw or format=%s",
			path, format, format);
		return NULL;
	}
	return format ? format : "raw";
}

char *block_path_beside(const char *base, const char *relative)
{
	struct buf path = {0};
	const char *slash = strrchr(base, '/');

	if (relative[0] != '/' && slash)
		buf_append(&path, base, (size_t)(slash - base) + 1);
	buf_printf(&path, "%s", relative);
	return buf_text(&path);
}

/* ---- opening ---- */

static void delayed_are_due(struct loop_timer *t);

void block_init(struct block *b, const struct block_ops *ops, const struct block_params *params,
		struct aio *aio)
{
	b->ops = ops;
	b->path = mem_strdup(params->path);
	b->aio = aio;
	b->is_read_only = params->is_read_only;
	b->physical_size = BLOCK_SECTOR;
	b->discard_granularity = BLOCK_SECTOR;
	b->loop = params->loop;
	list_init(&b->delayed);
}

struct block *block_open_below(const struct block_params *params, struct aio *aio, unsigned depth,
			       struct error *err)
{
	struct block_params p = *params;

	if (depth > BLOCK_CHAIN_MAX) {
		error_set(err, -ELOOP, "%s: more than %u backing files, or a loop of them",
			  params->path, BLOCK_CHAIN_MAX);
		return NULL;
	}
	if (!p.format)
		p.format = block_probe(p.path, err);
	if (!p.format)
		return NULL;
	if (!strcmp(p.format, "raw"))
		return raw_open(&p, aio,
				params->is_unnoted ? RAW_INSIDE
				: params->format   ? RAW_TOLD
						   : RAW_PROBED,
				err);
	if (!strcmp(p.format, "qcow2"))
		return qcow2_open(&p, aio, depth, err);
	if (!strcmp(p.format, "cow"))
		return cow_open(&p, aio, depth, err);
	error_set(err, -ENOTSUP,
		  params->format
			  ? "%s: format '%s' is not known; the formats are raw, qcow2 and cow"
			  : "%s looks like a %s image, which is not supported; convert it with "
			    "qemu-img, or say format=raw if it is none",
		  params->path, p.format);
	return NULL;
}

struct block *block_open(const struct block_params *params, struct error *err)
{
	struct aio *aio = aio_new(params->loop, params->aio, err);

	if (!aio)
		return NULL;
	struct block *b = block_open_below(params, aio, 0, err);
	if (!b) {
		aio_free(aio);
		return NULL;
	}
	b->owns_aio = true;
	b->delay_ms = params->loop ? params->delay_ms : 0;
	if (b->loop)
		loop_timer_init(&b->delay_timer, b->loop, delayed_are_due);
	return b;
}

int block_close(struct block *b)
{
	if (!b)
		return 0;
	struct aio *aio = b->owns_aio ? b->aio : NULL;
	int rc = 0;

	BUG_ON(!list_is_empty(&b->delayed));
	if (b->ops->finish)
		rc = b->ops->finish(b);
	block_close(b->backing);
	free(b->path);
	b->ops->free(b);
	aio_free(aio);
	return rc;
}

/* ---- facts ---- */

uint64_t block_size(const struct block *b)
{
	return b->size;
}

bool block_is_read_only(const struct block *b)
{
	return b->is_read_only;
}

const char *block_format(const struct block *b)
{
	return b->ops->name;
}

const char *block_path(const struct block *b)
{
	return b->path;
}

const char *block_aio_name(const struct block *b)
{
	return aio_name(b->aio);
}

unsigned block_physical_size(const struct block *b)
{
	return b->physical_size;
}

unsigned block_discard_granularity(const struct block *b)
{
	return b->discard_granularity;
}

struct block *block_backing(struct block *b)
{
	return b->backing;
}

void block_get_stats(const struct block *b, struct block_stats *stats)
{
	*stats = b->stats;
	stats->calls = aio_stats(b->aio)->calls;
}

/* ---- requests ---- */

void block_done(struct block_req *req, int rc)
{
	if (rc)
		req->block->stats.errors++;
	req->done(req, rc);
}

static void nothing_is_done(struct aio_req *a)
{
	block_done(container_of(a, struct block_req, aio), (int)a->result);
}

void block_complete(struct block *b, struct block_req *req, int rc)
{
	req->aio = (struct aio_req){.op = AIO_NOTHING, .result = rc, .done = nothing_is_done};
	aio_submit(b->aio, &req->aio);
}

/*
 * A long transfer goes piece by piece, so that what a format needs for a request is bounded: a guest
 * may ask for its whole memory many times over.
 */
#define PIECE_MAX (4 * MIB) /* more than drivers ask for at once */

struct pieces {
	struct block_req req; /* the one under way */
	struct block_req *whole;
	uint64_t moved; /* bytes of the whole, before this piece */
	struct iovec iov[];
};

static void next_piece(struct pieces *p)
{
	struct block_req *whole = p->whole, *req = &p->req;

	req->offset = whole->offset + p->moved;
	req->len = min(whole->len - p->moved, PIECE_MAX);
	req->nr_iov = iov_slice(whole->iov, whole->nr_iov, p->moved, req->len, p->iov);
	req->block->ops->submit(req->block, req);
}

static void piece_is_done(struct block_req *req, int rc)
{
	struct pieces *p = container_of(req, struct pieces, req);
	struct block_req *whole = p->whole;

	p->moved += req->len;
	if (!rc && p->moved < whole->len) {
		next_piece(p);
		return;
	}
	free(p);
	whole->done(whole, rc);
}

/* A request that was checked. */
static void start(struct block *b, struct block_req *req)
{
	bool is_transfer = req->op == BLOCK_READ || req->op == BLOCK_WRITE;

	if (!is_transfer || req->len <= PIECE_MAX) {
		b->ops->submit(b, req);
		return;
	}
	struct pieces *p = mem_alloc_zero(sizeof(*p) + req->nr_iov * sizeof(struct iovec));
	p->whole = req;
	p->req =
		(struct block_req){.op = req->op, .iov = p->iov, .done = piece_is_done, .block = b};
	next_piece(p);
}

static void delayed_are_due(struct loop_timer *t)
{
	struct block *b = container_of(t, struct block, delay_timer);
	uint64_t now = host_now_ns();

	block_plug(b);
	while (!list_is_empty(&b->delayed)) {
		struct block_req *req = list_entry(b->delayed.next, struct block_req, node);

		if (req->deadline_ns > now) {
			loop_timer_arm(t, req->deadline_ns);
			break;
		}
		list_remove(&req->node);
		start(b, req);
	}
	block_unplug(b);
}

static void delay(struct block *b, struct block_req *req)
{
	req->deadline_ns = host_now_ns() + b->delay_ms * NS_PER_MS;
	if (list_is_empty(&b->delayed))
		loop_timer_arm(&b->delay_timer, req->deadline_ns);
	list_append(&b->delayed, &req->node);
}

void block_submit(struct block *b, struct block_req *req)
{
	bool writes = req->op != BLOCK_READ && req->op != BLOCK_FLUSH;

	req->block = b;
	b->stats.requests[req->op]++;
	if (req->op == BLOCK_FLUSH) {
		req->offset = req->len = 0;
	} else if (!range_fits(req->offset, req->len, b->size)) {
		block_complete(b, req, -EINVAL);
		return;
	}
	b->stats.bytes[req->op] += req->len;
	if (writes && b->is_read_only)
		block_complete(b, req, -EROFS);
	else if (!req->len && (req->op != BLOCK_FLUSH || b->is_read_only))
		block_complete(b, req, 0);
	else if (b->delay_ms)
		delay(b, req);
	else
		start(b, req);
}

bool block_may_wait(const struct block *b, const struct block_req *req)
{
	bool is_flush = req && req->op == BLOCK_FLUSH;

	if (!b->ops->may_wait)
		return false;
	if (!req || (!is_flush && !range_fits(req->offset, req->len, b->size)) ||
	    (req->op != BLOCK_READ && b->is_read_only))
		return b->ops->may_wait(b, BLOCK_READ, 0, 0);
	/* Pieces are submitted one after another: what is true of the first need not be of the last. */
	if (req->op == BLOCK_WRITE && req->len > PIECE_MAX)
		return true;
	return b->ops->may_wait(b, req->op, is_flush ? 0 : req->offset, is_flush ? 0 : req->len);
}

void block_plug(struct block *b)
{
	aio_plug(b->aio);
}

void block_unplug(struct block *b)
{
	aio_unplug(b->aio);
}

void block_on_completions(struct block *b, void (*begin)(void *ctx), void (*end)(void *ctx),
			  void *ctx)
{
	aio_on_completions(b->aio, begin, end, ctx);
}

void block_drain(struct block *b)
{
	do {
		block_plug(b);
		while (!list_is_empty(&b->delayed)) {
			struct block_req *req = list_entry(b->delayed.next, struct block_req, node);

			list_remove(&req->node);
			start(b, req);
		}
		block_unplug(b);
		aio_drain(b->aio);
	} while (!list_is_empty(&b->delayed));
	if (b->loop)
		loop_timer_disarm(&b->delay_timer);
}

/* ---- synchronous calls ---- */

struct waiter {
	struct block_req req;
	bool is_done;
	int rc;
};

static void waiter_is_done(struct block_req *req, int rc)
{
	struct waiter *w = container_of(req, struct waiter, req);

	w->is_done = true;
	w->rc = rc;
}

static int run(struct block *b, enum block_op op, uint64_t offset, void *data, uint64_t len)
{
	struct iovec iov = {data, len};
	struct waiter w = {.req = {.op = op,
				   .may_unmap = true,
				   .offset = offset,
				   .len = len,
				   .iov = &iov,
				   .nr_iov = 1,
				   .done = waiter_is_done}};

	block_plug(b);
	block_submit(b, &w.req);
	block_unplug(b);
	BUG_ON(!w.is_done);
	return w.rc;
}

int block_read(struct block *b, uint64_t offset, void *data, size_t len)
{
	return run(b, BLOCK_READ, offset, data, len);
}

int block_write(struct block *b, uint64_t offset, const void *data, size_t len)
{
	return run(b, BLOCK_WRITE, offset, (void *)(uintptr_t)data, len);
}

int block_flush(struct block *b)
{
	return run(b, BLOCK_FLUSH, 0, NULL, 0);
}

int block_write_zeroes(struct block *b, uint64_t offset, uint64_t len)
{
	return run(b, BLOCK_WRITE_ZEROES, offset, NULL, len);
}

int block_discard(struct block *b, uint64_t offset, uint64_t len)
{
	return run(b, BLOCK_DISCARD, offset, NULL, len);
}

int block_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e)
{
	unsigned depth = 0;
	int rc;

	if (!range_fits(offset, len, b->size) || !len)
		return -EINVAL;
	*e = (struct block_extent){.offset = offset, .len = len};
	for (;; b = b->backing, depth++) {
		if (offset >= b->size) { /* past the end of a shorter backing file */
			*e = (struct block_extent){.offset = offset, .len = len, .depth = depth};
			e->is_zero = true;
			return 0;
		}
		rc = b->ops->map(b, offset, min(len, b->size - offset), e);
		e->depth = depth;
		if (rc || e->is_allocated || e->is_zero)
			return rc;
		if (!b->backing) {
			e->is_zero = true;
			return 0;
		}
		len = e->len;
	}
}

int block_map_layer(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e)
{
	if (!range_fits(offset, len, b->size) || !len)
		return -EINVAL;
	return b->ops->map(b, offset, len, e);
}

int block_resize(struct block *b, uint64_t size, struct error *err)
{
	if (b->is_read_only)
		return error_set(err, -EROFS, "%s is read-only", b->path);
	if (!b->ops->resize)
		return error_set(err, -ENOTSUP, "%s: images of format %s cannot be resized",
				 b->path, b->ops->name);
	return b->ops->resize(b, size, err);
}

int block_write_compressed(struct block *b, uint64_t offset, const void *data, size_t len)
{
	return b->ops->write_compressed ? b->ops->write_compressed(b, offset, data, len) : -ENOTSUP;
}

int block_check(struct block *b, struct block_check *check)
{
	return b->ops->check ? b->ops->check(b, check) : -ENOTSUP;
}

int block_snapshots(struct block *b, void (*each)(void *ctx, const struct block_snapshot *snapshot),
		    void *ctx)
{
	return b->ops->snapshots ? b->ops->snapshots(b, each, ctx) : 0;
}

void block_get_details(const struct block *b, struct block_details *details)
{
	*details = (struct block_details){0};
	if (b->ops->details)
		b->ops->details(b, details);
}

/* ---- creation ---- */

int block_create(const struct block_create_params *params, struct error *err)
{
	struct stat st;

	if (!params->may_replace && !lstat(params->path, &st))
		return error_set(err, -EEXIST, "%s exists already", params->path);
	if (params->size > (uint64_t)INT64_MAX - MIB)
		return error_set(err, -EFBIG, "%s: a disk of %llu bytes is too large", params->path,
				 (unsigned long long)params->size);
	if (!strcmp(params->format, "raw"))
		return raw_create(params, err);
	if (!strcmp(params->format, "qcow2"))
		return qcow2_create(params, err);
	if (!strcmp(params->format, "cow"))
		return cow_create(params, err);
	return error_set(err, -EINVAL,
			 "%s: format '%s' is not known; the formats are raw, qcow2 and cow",
			 params->path, params->format);
}

/* ---- vectors ---- */

unsigned iov_slice(const struct iovec *iov, unsigned nr, uint64_t skip, uint64_t len,
		   struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr && len; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		size_t piece = min((uint64_t)(iov[i].iov_len - skip), len);
		out[n++] = (struct iovec){(char *)iov[i].iov_base + skip, piece};
		skip = 0;
		len -= piece;
	}
	return n;
}

/*
 * The next run of memory of [*skip, *skip + *len), from piece *i on: moves all three past it. Returns
 * its length, 0 at the end.
 */
static size_t next_run(const struct iovec *iov, unsigned nr, unsigned *i, uint64_t *skip,
		       uint64_t *len, char **at)
{
	while (*i < nr && *skip >= iov[*i].iov_len)
		*skip -= iov[(*i)++].iov_len;
	if (*i == nr || !*len)
		return 0;
	size_t piece = min((uint64_t)(iov[*i].iov_len - *skip), *len);

	*at = (char *)iov[*i].iov_base + *skip;
	*skip += piece;
	*len -= piece;
	return piece;
}

void iov_fill_zero(const struct iovec *iov, unsigned nr, uint64_t skip, uint64_t len)
{
	unsigned i = 0;
	size_t piece;
	char *at;

	while ((piece = next_run(iov, nr, &i, &skip, &len, &at)))
		memset(at, 0, piece);
}

void iov_copy_to(const struct iovec *iov, unsigned nr, uint64_t skip, const void *data,
		 uint64_t len)
{
	const char *from = data;
	unsigned i = 0;
	size_t piece;
	char *at;

	while ((piece = next_run(iov, nr, &i, &skip, &len, &at))) {
		memcpy(at, from, piece);
		from += piece;
	}
}

void iov_copy_from(const struct iovec *iov, unsigned nr, uint64_t skip, void *data, uint64_t len)
{
	char *to = data;
	unsigned i = 0;
	size_t piece;
	char *at;

	while ((piece = next_run(iov, nr, &i, &skip, &len, &at))) {
		memcpy(to, at, piece);
		to += piece;
	}
}
