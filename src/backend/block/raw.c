/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Raw images, which are files or block devices, and the files that other formats live in.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backend/block/raw_impl.h"
#include "base/buf.h"
#include "base/log.h"

#define QUICK_MAX   (64 * KIB) /* tens of microseconds */
#define ZEROES_SIZE (64 * KIB)
#define ZEROES_IOV  16 /* pieces of one write of zeroes: 1 MiB */

static const uint8_t zeroes[ZEROES_SIZE] __attribute__((aligned(RAW_DIRECT_ALIGN)));

struct raw_progress *raw_progress_new(struct block_req *req, unsigned nr_iov)
{
	struct raw_progress *p = mem_alloc_zero(sizeof(*p) + nr_iov * sizeof(struct iovec));

	p->nr_room = nr_iov;
	req->scratch = p;
	return p;
}

/* ---- ends ---- */

void raw_finish(struct block_req *req, int rc)
{
	struct raw *r = raw_of(req->block);
	struct raw_progress *p = req->scratch;

	if (p) {
		free(p->bounce);
		free(p);
		req->scratch = NULL;
	}
	if (req->op != BLOCK_READ && req->op != BLOCK_FLUSH)
		r->is_dirty = true;
	if (r->is_direct && req->op == BLOCK_WRITE)
		raw_direct_end_write(r, req);
	block_done(req, rc);
}

/* ---- reads and writes ---- */

static void moved(struct aio_req *a);

/* A copy from or to the page cache, unless a read is not there or the host is short of memory. */
static bool is_cached(const struct raw *r)
{
	return !r->is_direct && !r->is_device;
}

void raw_move(struct block_req *req, const struct iovec *iov, unsigned nr, uint64_t offset)
{
	struct raw *r = raw_of(req->block);

	req->aio = (struct aio_req){.op = req->op == BLOCK_READ ? AIO_READ : AIO_WRITE,
				    .fd = r->fd,
				    .offset = offset,
				    .iov = iov,
				    .nr_iov = nr,
				    .is_cached = is_cached(r),
				    .is_quick = is_cached(r) && req->len <= QUICK_MAX,
				    .done = moved};
	aio_submit(r->block.aio, &req->aio);
}

/* Fewer bytes than asked for were moved: a read met the end of the file, or go on behind them. */
static void moved_in_part(struct block_req *req, uint64_t n)
{
	struct raw_progress *p = req->scratch;
	uint64_t before = p ? p->moved : 0;

	if (!n && req->op == BLOCK_READ) {
		iov_fill_zero(req->iov, req->nr_iov, before, req->len - before);
		raw_finish(req, 0);
		return;
	}
	if (!n) {
		raw_finish(req, -EIO);
		return;
	}
	if (!p)
		p = raw_progress_new(req, req->nr_iov);
	p->moved += n;
	unsigned nr = iov_slice(req->iov, req->nr_iov, p->moved, req->len - p->moved, p->rest);
	raw_move(req, p->rest, nr, req->offset + p->moved);
}

static void moved(struct aio_req *a)
{
	struct block_req *req = container_of(a, struct block_req, aio);
	struct raw_progress *p = req->scratch;
	uint64_t before = p ? p->moved : 0;

	if (a->result < 0)
		raw_finish(req, (int)a->result);
	else if ((uint64_t)a->result == req->len - before)
		raw_finish(req, 0);
	else
		moved_in_part(req, (uint64_t)a->result);
}

/* ---- zeroes, discards, flushes ---- */

static void zeroes_written(struct aio_req *a);

static void write_zeroes(struct block_req *req)
{
	struct raw_progress *p = req->scratch ? req->scratch : raw_progress_new(req, ZEROES_IOV);
	struct raw *r = raw_of(req->block);
	uint64_t left = req->len - p->moved, len = min(left, ZEROES_SIZE * ZEROES_IOV);
	unsigned nr = 0;

	for (uint64_t at = 0; at < len; at += ZEROES_SIZE)
		p->rest[nr++] = (struct iovec){(void *)(uintptr_t)zeroes,
					       min((uint64_t)ZEROES_SIZE, len - at)};
	req->aio = (struct aio_req){.op = AIO_WRITE,
				    .fd = r->fd,
				    .offset = req->offset + p->moved,
				    .iov = p->rest,
				    .nr_iov = nr,
				    .done = zeroes_written};
	aio_submit(r->block.aio, &req->aio);
}

static void zeroes_written(struct aio_req *a)
{
	struct block_req *req = container_of(a, struct block_req, aio);
	struct raw_progress *p = req->scratch;

	if (a->result <= 0) {
		raw_finish(req, a->result ? (int)a->result : -EIO);
		return;
	}
	p->moved += (uint64_t)a->result;
	if (p->moved < req->len)
		write_zeroes(req);
	else
		raw_finish(req, 0);
}

static void start_allocate(struct raw *r, struct block_req *req);

static void allocated(struct aio_req *a)
{
	struct block_req *req = container_of(a, struct block_req, aio);
	struct raw *r = raw_of(req->block);
	bool is_punch = a->mode & FALLOC_FL_PUNCH_HOLE;
	bool is_unsupported = a->result == -EOPNOTSUPP || a->result == -ENODEV ||
			      a->result == -ENOSYS || a->result == -EINVAL;

	if (is_unsupported && a->result != -EINVAL) {
		r->cannot_punch |= is_punch;
		r->cannot_zero |= !is_punch;
	}
	/* A discard is a hint. */
	if (req->op == BLOCK_DISCARD)
		raw_finish(req, is_unsupported ? 0 : (int)a->result);
	else if (is_unsupported)
		write_zeroes(req);
	else
		raw_finish(req, (int)a->result);
}

static void start_allocate(struct raw *r, struct block_req *req)
{
	bool punches = req->op == BLOCK_DISCARD || req->may_unmap;

	if (punches ? r->cannot_punch : r->cannot_zero) {
		if (req->op == BLOCK_DISCARD)
			block_complete(&r->block, req, 0);
		else
			write_zeroes(req);
		return;
	}
	req->aio = (struct aio_req){.op = AIO_ALLOCATE,
				    .fd = r->fd,
				    .mode = FALLOC_FL_KEEP_SIZE |
					    (punches ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
				    .offset = req->offset,
				    .len = req->len,
				    .done = allocated};
	aio_submit(r->block.aio, &req->aio);
}

/*
 * When the page cache could not be written out, the host reports that once and then takes its pages
 * for clean: a later flush would succeed although data is missing.
 */
static void flush_failed(struct raw *r, int rc)
{
	r->is_dirty = true;
	if (r->is_direct || r->lost)
		return;
	r->lost = rc;
	log_error(
		"%s: the host could not write out what it had taken: %s; flushes fail from now on",
		r->block.path, strerror(-rc));
}

static void flushed(struct aio_req *a)
{
	struct block_req *req = container_of(a, struct block_req, aio);
	struct raw *r = raw_of(req->block);

	r->nr_flushes--;
	if (a->result < 0)
		flush_failed(r, (int)a->result);
	raw_finish(req, (int)a->result);
}

/*
 * What was completed by now is what a flush covers; writes in flight set is_dirty again. What another
 * flush covers is not on disk before that one is done, so this one asks the host as well.
 */
static void start_flush(struct raw *r, struct block_req *req)
{
	if (r->lost || (!r->is_dirty && !r->nr_flushes)) {
		block_complete(&r->block, req, r->lost);
		return;
	}
	r->is_dirty = false;
	r->nr_flushes++;
	req->aio = (struct aio_req){.op = AIO_SYNC_DATA, .fd = r->fd, .done = flushed};
	aio_submit(r->block.aio, &req->aio);
}

/* An image taken for raw by its first bytes would be taken for another format the next time. */
static bool changes_format(const struct raw *r, const struct block_req *req)
{
	uint8_t head[BLOCK_SECTOR];
	size_t len = min(req->len, (uint64_t)sizeof(head));

	if (r->use != RAW_PROBED || req->offset || req->op != BLOCK_WRITE)
		return false;
	iov_copy_from(req->iov, req->nr_iov, 0, head, len);
	const char *format = block_magic(head, len);
	if (!format)
		return false;
	log_once(
		LOG_WARN,
		"%s: the guest's write of a %s header to its first sector was refused, because the "
		"image was not said to be raw; format=raw allows it",
		r->block.path, format);
	return true;
}

static void raw_submit(struct block *b, struct block_req *req)
{
	struct raw *r = raw_of(b);

	req->scratch = NULL;
	if (changes_format(r, req)) {
		block_complete(b, req, -EPERM);
		return;
	}
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		if (r->is_direct)
			raw_direct_submit(r, req);
		else
			raw_move(req, req->iov, req->nr_iov, req->offset);
		break;
	case BLOCK_FLUSH:
		start_flush(r, req);
		break;
	case BLOCK_DISCARD:
	case BLOCK_WRITE_ZEROES:
		start_allocate(r, req);
		break;
	}
}

/* ---- for tools and for other formats ---- */

int raw_fd(const struct block *b)
{
	return raw_of(b)->fd;
}

unsigned raw_align(const struct block *b)
{
	return raw_of(b)->is_direct ? raw_of(b)->align : 1;
}

bool raw_is_device(const struct block *b)
{
	return raw_of(b)->is_device;
}

uint64_t raw_file_size(const struct block *b)
{
	off_t end = lseek(raw_of(b)->fd, 0, SEEK_END);

	return end < 0 ? 0 : (uint64_t)end;
}

int raw_truncate(struct block *b, uint64_t size)
{
	if (raw_of(b)->is_device)
		return 0;
	return ftruncate(raw_of(b)->fd, (off_t)size) ? -errno : 0;
}

int raw_transfer_now(int fd, uint64_t offset, uint8_t *data, size_t len, bool writes)
{
	while (len) {
		ssize_t n = writes ? pwrite(fd, data, len, (off_t)offset)
				   : pread(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n && writes)
			return -EIO;
		if (!n) {
			memset(data, 0, len);
			return 0;
		}
		data += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int raw_read_now(struct block *b, uint64_t offset, void *data, size_t len)
{
	struct raw *r = raw_of(b);

	if (offset > INT64_MAX - len)
		return -EFBIG;
	return r->is_direct ? raw_direct_now(r, offset, data, len, false)
			    : raw_transfer_now(r->fd, offset, data, len, false);
}

int raw_write_now(struct block *b, uint64_t offset, const void *data, size_t len)
{
	struct raw *r = raw_of(b);
	uint8_t *bytes = (uint8_t *)(uintptr_t)data;

	if (offset > INT64_MAX - len)
		return -EFBIG;
	r->is_dirty = true;
	return r->is_direct ? raw_direct_now(r, offset, bytes, len, true)
			    : raw_transfer_now(r->fd, offset, bytes, len, true);
}

int raw_flush_now(struct block *b)
{
	struct raw *r = raw_of(b);

	if (!r->lost && fdatasync(r->fd)) {
		int rc = -errno;

		flush_failed(r, rc);
		return rc;
	}
	return r->lost;
}

static int raw_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e)
{
	struct raw *r = raw_of(b);
	off_t data = lseek(r->fd, (off_t)offset, SEEK_DATA);
	uint64_t end = offset + len;

	*e = (struct block_extent){.offset = offset, .len = len, .has_host_offset = true};
	e->host_offset = offset;
	e->is_allocated = true;
	if (data < 0 && errno == ENXIO) { /* nothing but a hole from here on */
		e->is_zero = true;
		return 0;
	}
	if (data < 0)
		return 0;
	if ((uint64_t)data > offset) {
		e->is_zero = true;
		e->len = min((uint64_t)data, end) - offset;
		return 0;
	}
	off_t hole = lseek(r->fd, (off_t)offset, SEEK_HOLE);
	if (hole > 0)
		e->len = min((uint64_t)hole, end) - offset;
	return 0;
}

static int raw_resize(struct block *b, uint64_t size, struct error *err)
{
	struct raw *r = raw_of(b);

	if (r->is_device)
		return error_set(err, -ENOTSUP, "%s is a device, whose size is fixed", b->path);
	int rc = raw_truncate(b, size);
	if (rc)
		return error_set_errno(err, rc, "%s", b->path);
	b->size = ALIGN_UP(size, BLOCK_SECTOR);
	return 0;
}

static void raw_free(struct block *b)
{
	struct raw *r = raw_of(b);

	close(r->fd);
	free(r);
}

static const struct block_ops raw_ops = {.name = "raw",
					 .submit = raw_submit,
					 .free = raw_free,
					 .map = raw_map,
					 .resize = raw_resize};

/* ---- opening ---- */

static int find_size(struct raw *r, struct error *err)
{
	struct stat st;
	uint64_t size;
	unsigned physical;

	if (fstat(r->fd, &st))
		return error_set_errno(err, -errno, "%s", r->block.path);
	r->block.physical_size = RAW_DIRECT_ALIGN;
	if (S_ISREG(st.st_mode)) {
		if (st.st_size > INT64_MAX - (off_t)MIB)
			return error_set(err, -EFBIG, "%s is too large", r->block.path);
		r->block.size = ALIGN_UP((uint64_t)st.st_size, BLOCK_SECTOR);
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return error_set(err, -EINVAL, "%s is neither a file nor a block device",
				 r->block.path);
	r->is_device = true;
	if (ioctl(r->fd, BLKGETSIZE64, &size))
		return error_set_errno(err, -errno, "%s: its size", r->block.path);
	r->block.size = ALIGN_DOWN(size, BLOCK_SECTOR);
	if (!ioctl(r->fd, BLKPBSZGET, &physical) && physical >= BLOCK_SECTOR &&
	    physical <= 64 * KIB)
		r->block.physical_size = physical;
	return 0;
}

/* Once a guest has written it as raw, its first bytes prove nothing. Best effort: see block_probe. */
static void note_format(struct raw *r)
{
	char note[8];

	if (r->use != RAW_TOLD || r->block.is_read_only || r->is_device)
		return;
	if (fgetxattr(r->fd, BLOCK_FORMAT_NOTE, note, sizeof(note)) >= 0)
		return;
	if (fsetxattr(r->fd, BLOCK_FORMAT_NOTE, "raw", 3, 0))
		log_debug("%s: no note of the format could be left: %s", r->block.path,
			  strerror(errno));
}

struct block *raw_open(const struct block_params *params, struct aio *aio, enum raw_use use,
		       struct error *err)
{
	int flags = (params->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
		    (params->is_direct ? O_DIRECT : 0);
	int fd = open(params->path, flags);

	if (fd < 0 && errno == EINVAL && params->is_direct) {
		error_set(err, -EINVAL,
			  "%s: its file system cannot do direct I/O; leave 'direct' out",
			  params->path);
		return NULL;
	}
	if (fd < 0) {
		error_set_errno(err, -errno, "%s", params->path);
		return NULL;
	}
	struct raw *r = mem_alloc_zero(sizeof(*r));
	block_init(&r->block, &raw_ops, params, aio);
	r->fd = fd;
	r->use = use;
	r->is_direct = params->is_direct;
	r->is_dirty = true;
	list_init(&r->writes);
	list_init(&r->waiting);
	if (find_size(r, err) ||
	    (!params->is_unlocked && block_lock(fd, params->path, params->is_read_only, err))) {
		block_close(&r->block);
		return NULL;
	}
	raw_direct_find_alignment(r);
	note_format(r);
	return &r->block;
}

int raw_create(const struct block_create_params *params, struct error *err)
{
	if (params->backing)
		return error_set(err, -EINVAL,
				 "%s: a raw image has no backing file; format=qcow2 can",
				 params->path);
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | (params->may_replace ? 0 : O_EXCL);
	int fd = open(params->path, flags, 0644);
	struct stat st;

	if (fd < 0)
		return error_set_errno(err, -errno, "%s", params->path);
	int rc = block_lock(fd, params->path, false, err);
	if (!rc && fstat(fd, &st))
		rc = error_set_errno(err, -errno, "%s", params->path);
	/* A device keeps its size; the image says how much of it is used. */
	if (!rc && S_ISREG(st.st_mode) &&
	    (ftruncate(fd, 0) || ftruncate(fd, (off_t)params->size))) {
		rc = error_set_errno(err, -errno, "%s", params->path);
		if (!params->may_replace)
			unlink(params->path);
	}
	if (!rc)
		fremovexattr(fd, BLOCK_FORMAT_NOTE);
	close(fd);
	return rc;
}
