/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files of an export. Data moves between the host's file and the guest's memory without a copy.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

/* A megabyte of guest pages and a bit; longer transfers take more calls. */
#define PIECES_MAX 260

int file_room(const struct export *ex)
{
	return ex->nr_files < ex->options.max_descriptors ? 0 : -EMFILE;
}

int reopen(struct export *ex, int fd, int flags)
{
	char name[FD_NAME_MAX];

	fd_name(fd, name);
	return sys(openat(ex->proc_fd, name, flags | O_CLOEXEC | O_NOCTTY));
}

struct file *file_new(struct export *ex, struct node *n, int fd, int flags)
{
	struct file *f = mem_alloc_zero(sizeof(*f));

	f->node = n;
	f->fd = fd;
	f->flags = flags;
	list_init(&f->ahead);
	node_get(n);
	/* A directory's own descriptor says where it is read from and is not for anything else. */
	list_append(&n->files, &f->link);
	ex->nr_files++;
	return f;
}

int node_open(struct export *ex, struct node *n, int flags, struct file **file)
{
	bool is_dir = S_ISDIR(n->type);
	bool may_change = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;

	if (S_ISLNK(n->type))
		return -ELOOP;
	if (!is_dir && !S_ISREG(n->type))
		return -ENXIO;
	if (is_dir && may_change)
		return -EISDIR;
	if (may_change && ex->options.is_read_only)
		return -EROFS;
	int rc = file_room(ex);
	if (rc)
		return rc;
	int at = node_fd(ex, n);
	if (at < 0)
		return at;
	int kept = flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC);
	if (is_dir)
		kept = O_RDONLY | O_DIRECTORY;
	struct grant g = {.nodes = {n}};
	do
		rc = reopen(ex, at, kept);
	while (grant_retry(ex, &g, rc));
	if (rc < 0)
		return rc;
	*file = file_new(ex, n, rc, (kept & ~O_TRUNC) | (flags & O_APPEND));
	return 0;
}

void file_close(struct export *ex, struct file *f)
{
	if (!f)
		return;
	struct node *n = f->node;

	list_remove(&f->link);
	close(f->fd);
	ex->nr_files--;
	dir_drop_ahead(ex, f);
	free(f);
	if (list_is_empty(&n->files))
		node_drop_locks(ex, n);
	node_put(ex, n);
}

struct node *file_node(const struct file *f)
{
	return f->node;
}

/* ---- data ---- */

static ssize_t move(struct file *f, uint64_t offset, size_t len, struct fs_stream *s, int flags,
		    ssize_t (*call)(int, const struct iovec *, int, off_t, int))
{
	struct iovec iov[PIECES_MAX];
	size_t done = 0;

	if (S_ISDIR(f->node->type))
		return -EISDIR;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EINVAL;
	while (done < len && s->left) {
		size_t wanted;
		unsigned nr = fs_stream_pieces(s, len - done, iov, PIECES_MAX, &wanted);
		ssize_t got = call(f->fd, iov, (int)nr, (off_t)(offset + done), flags);

		if (got < 0)
			return done ? (ssize_t)done : -errno;
		fs_stream_skip(s, (size_t)got);
		done += (size_t)got;
		if ((size_t)got < wanted)
			break;
	}
	return (ssize_t)done;
}

ssize_t file_read(struct file *f, uint64_t offset, size_t len, struct fs_stream *s)
{
	return move(f, offset, len, s, 0, preadv2);
}

ssize_t file_write(struct export *ex, struct file *f, uint64_t offset, size_t len,
		   struct fs_stream *s, bool may_append)
{
	if (ex->options.is_read_only)
		return -EROFS;
	return move(f, offset, len, s, may_append && f->flags & O_APPEND ? RWF_APPEND : 0,
		    pwritev2);
}

int file_sync(struct file *f, bool data_only)
{
	return sys(data_only ? fdatasync(f->fd) : fsync(f->fd));
}

int file_allocate(struct export *ex, struct file *f, int mode, uint64_t offset, uint64_t len)
{
	if (ex->options.is_read_only)
		return -EROFS;
	if (offset > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	return sys(fallocate(f->fd, mode, (off_t)offset, (off_t)len));
}

int file_seek(struct file *f, int whence, uint64_t *offset)
{
	if (*offset > INT64_MAX || S_ISDIR(f->node->type))
		return -EINVAL;
	off_t at = lseek(f->fd, (off_t)*offset, whence);
	if (at < 0)
		return -errno;
	*offset = (uint64_t)at;
	return 0;
}

ssize_t file_copy(struct export *ex, struct file *in, uint64_t in_offset, struct file *out,
		  uint64_t out_offset, uint64_t len)
{
	off_t from = (off_t)in_offset, to = (off_t)out_offset;

	if (ex->options.is_read_only)
		return -EROFS;
	if (in_offset > INT64_MAX || out_offset > INT64_MAX)
		return -EINVAL;
	/* In bites, so that other requests and a pause do not wait for long. */
	ssize_t rc = copy_file_range(in->fd, &from, out->fd, &to, min(len, 16 * MIB), 0);
	return rc < 0 ? -errno : rc;
}

int file_flock(struct file *f, int operation)
{
	return sys(flock(f->fd, operation | LOCK_NB));
}
