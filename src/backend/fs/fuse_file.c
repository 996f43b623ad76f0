/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FUSE operations on open files and directories, and locks.
 */
#include <string.h>
#include <sys/file.h>

#include "backend/fs/fuse_impl.h"

/* What the guest may do with data it has of a file that is opened. */
static uint32_t open_flags(const struct fuse *f, bool is_dir)
{
	if (f->cache == FUSE_CACHE_ALWAYS)
		return FOPEN_KEEP_CACHE | (is_dir ? FOPEN_CACHE_DIR : 0);
	return f->cache == FUSE_CACHE_NONE && !is_dir ? FOPEN_DIRECT_IO : 0;
}

static int open_node(struct fuse_call *c)
{
	bool is_dir = c->h.opcode == FUSE_OPENDIR;
	struct fuse_open_in in;
	struct fuse_open_out out = {.open_flags = open_flags(c->f, is_dir)};
	struct file *file;

	fs_stream_get(&c->in, &in, sizeof(in));
	if (c->out.left < sizeof(out))
		return -ERANGE;
	if (is_dir != S_ISDIR(node_type(c->node)))
		return is_dir ? -ENOTDIR : -EISDIR;
	int rc = node_open(c->f->ex, c->node, (int)in.flags, &file);
	if (rc)
		return rc;
	if (in.open_flags & FUSE_OPEN_KILL_SUIDGID) {
		struct fs_changes ch = {.which = FS_CHANGE_KILL_PRIV};

		node_change(c->f->ex, c->node, &ch);
	}
	/* Programs and headers are opened again and again: what the guest has read of them stays. */
	if (!is_dir && c->f->cache == FUSE_CACHE_AUTO && file_is_as_before(file))
		out.open_flags |= FOPEN_KEEP_CACHE;
	out.fh = fuse_add_handle(c->f, file);
	return fuse_reply(c, &out, sizeof(out));
}

static int create(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	struct fuse_create_in in;
	struct fuse_entry_out entry;
	struct fuse_open_out opened = {.open_flags = open_flags(c->f, false)};
	struct statx attr;
	struct node *n;
	struct file *file;

	fs_stream_get(&c->in, &in, sizeof(in));
	if (c->out.left < sizeof(entry) + sizeof(opened))
		return -ERANGE;
	int rc = fuse_name(c, name);
	if (!rc)
		rc = tree_create(c->f->ex, c->node, name, (int)in.flags, in.mode, &c->caller, &n,
				 &file, &attr);
	if (rc)
		return rc;
	fuse_fill_entry(c->f, n, &attr, &entry);
	opened.fh = fuse_add_handle(c->f, file);
	fuse_reply(c, &entry, sizeof(entry));
	return fuse_reply(c, &opened, sizeof(opened));
}

static int release(struct fuse_call *c)
{
	struct fuse_release_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	return fuse_close_handle(c->f, in.fh, c->h.nodeid);
}

static int flush(struct fuse_call *c)
{
	struct fuse_flush_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	/* As POSIX has it, any close() of the file ends the locks of the one who closes. */
	file_unlock_owner(c->f->ex, file, in.lock_owner);
	return 0;
}

/* ---- data ---- */

static int read_data(struct fuse_call *c)
{
	struct fuse_read_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	ssize_t rc = file_read(file, in.offset, min(in.size, FUSE_TRANSFER_MAX), &c->out);
	if (rc < 0)
		return (int)rc;
	c->reply_len += (size_t)rc;
	return 0;
}

static int write_data(struct fuse_call *c)
{
	struct fuse_write_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	if (in.size > c->in.left || c->out.left < sizeof(struct fuse_write_out))
		return -EINVAL;
	/* Pages of a mapping go where they belong, through whichever open file the kernel took. */
	bool may_append = !(in.write_flags & FUSE_WRITE_CACHE);
	ssize_t rc = file_write(c->f->ex, file, in.offset, in.size, &c->in, may_append);
	if (rc < 0)
		return (int)rc;
	if (in.write_flags & FUSE_WRITE_KILL_SUIDGID) {
		struct fs_changes ch = {.which = FS_CHANGE_KILL_PRIV, .file = file};

		node_change(c->f->ex, c->node, &ch);
	}
	struct fuse_write_out out = {.size = (uint32_t)rc};
	return fuse_reply(c, &out, sizeof(out));
}

static int sync_file(struct fuse_call *c)
{
	struct fuse_fsync_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	return file ? file_sync(file, in.fsync_flags & FUSE_FSYNC_FDATASYNC) : -EBADF;
}

static int sync_all(struct fuse_call *c)
{
	return export_sync(c->f->ex);
}

static int allocate(struct fuse_call *c)
{
	struct fuse_fallocate_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	return file_allocate(c->f->ex, file, (int)in.mode, in.offset, in.length);
}

static int seek(struct fuse_call *c)
{
	struct fuse_lseek_in in;
	struct fuse_lseek_out out;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	out.offset = in.offset;
	int rc = file_seek(file, (int)in.whence, &out.offset);
	return rc ? rc : fuse_reply(c, &out, sizeof(out));
}

static int copy_range(struct fuse_call *c)
{
	struct fuse_copy_file_range_in in;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct node *to = fuse_node(c->f, in.nodeid_out);
	struct file *from_file = fuse_file(c->f, in.fh_in, c->node);
	struct file *to_file = to ? fuse_file(c->f, in.fh_out, to) : NULL;
	if (!from_file || !to_file)
		return -EBADF;
	if (in.flags)
		return -EINVAL;
	ssize_t rc = file_copy(c->f->ex, from_file, in.off_in, to_file, in.off_out, in.len);
	if (rc < 0)
		return (int)rc;
	struct fuse_write_out out = {.size = (uint32_t)rc};
	return fuse_reply(c, &out, sizeof(out));
}

/* ---- directories ---- */

static void put_name(struct fuse_call *c, const char *name, size_t len)
{
	static const char zeroes[8];

	fuse_reply(c, name, len);
	fuse_reply(c, zeroes, FUSE_REC_ALIGN(len) - len);
}

/* What a listing with attributes says of an entry; no node for what cannot be looked up. */
static void put_plus(struct fuse_call *c, const struct fs_dirent *e)
{
	struct fuse_entry_out entry = {.attr = {.ino = e->ino, .mode = (uint32_t)e->type << 12}};
	struct statx attr;
	struct node *n;

	if (strcmp(e->name, ".") && strcmp(e->name, "..") &&
	    !node_lookup(c->f->ex, c->node, e->name, &n, &attr))
		fuse_fill_entry(c->f, n, &attr, &entry);
	fuse_reply(c, &entry, sizeof(entry));
}

static int read_dir(struct fuse_call *c)
{
	bool is_plus = c->h.opcode == FUSE_READDIRPLUS;
	struct fuse_read_in in;
	struct fs_dirent e;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct file *file = fuse_file(c->f, in.fh, c->node);
	if (!file)
		return -EBADF;
	fs_stream_limit(&c->out, in.size);
	int rc = dir_seek(file, in.offset);
	while (!rc && (rc = dir_peek(c->f->ex, file, &e)) > 0) {
		struct fuse_dirent d = {.ino = e.ino,
					.off = e.next,
					.namelen = (uint32_t)strlen(e.name),
					.type = e.type};
		size_t size = FUSE_DIRENT_SIZE(&d) + (is_plus ? sizeof(struct fuse_entry_out) : 0);

		if (size > c->out.left)
			return 0;
		if (is_plus)
			put_plus(c, &e);
		fuse_reply(c, &d, FUSE_NAME_OFFSET);
		put_name(c, e.name, d.namelen);
		dir_advance(file, &e);
		rc = 0;
	}
	return c->reply_len ? 0 : rc;
}

/* ---- locks ---- */

static int read_lock(struct fuse_call *c, struct fuse_lk_in *in, struct fs_wait *wait)
{
	fs_stream_get(&c->in, in, sizeof(*in));
	struct file *file = fuse_file(c->f, in->fh, c->node);
	if (!file)
		return -EBADF;
	if (in->lk.start > INT64_MAX || in->lk.end < in->lk.start)
		return -EINVAL;
	*wait = (struct fs_wait){
		.request = c->request,
		.id = c->h.unique,
		.file = file,
		.owner = in->owner,
		.lock = {.l_type = (short)in->lk.type, .l_start = (off_t)in->lk.start}};
	/* The last byte of all means: to the end. */
	if (in->lk.end < INT64_MAX)
		wait->lock.l_len = (off_t)(in->lk.end - in->lk.start + 1);
	return 0;
}

static int test_lock(struct fuse_call *c)
{
	struct fuse_lk_in in;
	struct fs_wait wait;
	int rc = read_lock(c, &in, &wait);

	if (!rc)
		rc = file_test_lock(c->f->ex, wait.file, wait.owner, &wait.lock);
	if (rc)
		return rc;
	struct flock *l = &wait.lock;
	struct fuse_lk_out out = {
		.lk = {.start = (uint64_t)l->l_start,
		       .end = l->l_len ? (uint64_t)(l->l_start + l->l_len - 1) : INT64_MAX,
		       .type = (uint32_t)l->l_type,
		       .pid = (uint32_t)l->l_pid}};
	return fuse_reply(c, &out, sizeof(out));
}

static int set_lock(struct fuse_call *c)
{
	struct fuse_lk_in in;
	struct fs_wait wait;
	int rc = read_lock(c, &in, &wait);

	if (rc)
		return rc;
	if (in.lk_flags & FUSE_LK_FLOCK)
		wait.flock_operation = in.lk.type == F_RDLCK   ? LOCK_SH
				       : in.lk.type == F_WRLCK ? LOCK_EX
							       : LOCK_UN;
	rc = fs_wait_try(c->f->ex, &wait);
	if (rc != -EAGAIN || c->h.opcode == FUSE_SETLK)
		return rc;
	rc = fs_waits_add(&c->f->waits, &wait);
	return rc ? rc : FUSE_WAITS;
}

static const struct fuse_operation operations[] = {
	[FUSE_OPEN] = {open_node, sizeof(struct fuse_open_in), true},
	[FUSE_OPENDIR] = {open_node, sizeof(struct fuse_open_in), true},
	[FUSE_CREATE] = {create, sizeof(struct fuse_create_in), true},
	[FUSE_RELEASE] = {release, sizeof(struct fuse_release_in), false},
	[FUSE_RELEASEDIR] = {release, sizeof(struct fuse_release_in), false},
	[FUSE_FLUSH] = {flush, sizeof(struct fuse_flush_in), true},
	[FUSE_READ] = {read_data, sizeof(struct fuse_read_in), true},
	[FUSE_WRITE] = {write_data, sizeof(struct fuse_write_in), true},
	[FUSE_FSYNC] = {sync_file, sizeof(struct fuse_fsync_in), true},
	[FUSE_FSYNCDIR] = {sync_file, sizeof(struct fuse_fsync_in), true},
	[FUSE_SYNCFS] = {sync_all, 0, true},
	[FUSE_FALLOCATE] = {allocate, sizeof(struct fuse_fallocate_in), true},
	[FUSE_LSEEK] = {seek, sizeof(struct fuse_lseek_in), true},
	[FUSE_COPY_FILE_RANGE] = {copy_range, sizeof(struct fuse_copy_file_range_in), true},
	[FUSE_READDIR] = {read_dir, sizeof(struct fuse_read_in), true},
	[FUSE_READDIRPLUS] = {read_dir, sizeof(struct fuse_read_in), true},
	[FUSE_GETLK] = {test_lock, sizeof(struct fuse_lk_in), true},
	[FUSE_SETLK] = {set_lock, sizeof(struct fuse_lk_in), true},
	[FUSE_SETLKW] = {set_lock, sizeof(struct fuse_lk_in), true},
};

const struct fuse_operation *fuse_file_operation(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(operations) || !operations[opcode].fn)
		return NULL;
	return &operations[opcode];
}
