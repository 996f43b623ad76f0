/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 9P messages about open files: data, directories, locks, and extended attributes, which are read and
 * written as files of their own.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/fs/p9_impl.h"

/* What is not an access mode, O_TRUNC and the like, has the numbers of x86's open() in 9P2000.L. */

static int open_fid(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint32_t flags = p9_get32(c);
	struct statx attr;

	if (c->is_bad)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	if (fid->file)
		return -EBUSY;
	int rc = node_open(c->p->ex, fid->node, (int)flags, &fid->file);
	if (!rc)
		rc = file_stat(c->p->ex, fid->file, &attr);
	if (rc)
		return rc;
	p9_put_qid(c, &attr);
	p9_put32(c, 0); /* as much at once as fits a message */
	return 0;
}

static int create(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	char name[NAME_MAX + 1];
	struct statx attr;
	struct node *n;

	p9_get_text(c, name, sizeof(name));
	uint32_t flags = p9_get32(c), mode = p9_get32(c), gid = p9_get32(c);
	if (c->is_bad)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	if (fid->file)
		return -EBUSY;
	struct fs_caller caller = {fid->uid, gid};
	int rc = tree_create(c->p->ex, fid->node, name, (int)flags, mode, &caller, &n, &fid->file,
			     &attr);
	if (rc)
		return rc;
	/* From here on the fid is the new file's. */
	node_put(c->p->ex, fid->node);
	fid->node = n;
	p9_put_qid(c, &attr);
	p9_put32(c, 0);
	return 0;
}

/* ---- extended attributes ---- */

static int xattr_walk(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c), *made;
	uint32_t number = p9_get32(c);
	char name[XATTR_NAME_MAX + 1];
	struct buf value = {0};
	int rc;

	p9_get_text(c, name, sizeof(name));
	if (c->is_bad)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	rc = *name ? node_xattr_get(c->p->ex, fid->node, name, &value)
		   : node_xattr_list(c->p->ex, fid->node, &value);
	made = rc ? NULL : p9_fid_new(c->p, number, fid->node, fid->uid, &rc);
	if (made && (rc = p9_fid_take_room(c->p, made, value.len)))
		p9_fid_free(c->p, made);
	if (rc) {
		buf_free(&value);
		return rc;
	}
	made->kind = P9_FID_XATTR_READ;
	made->xattr = value;
	p9_put64(c, value.len);
	return 0;
}

static int xattr_create(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	char name[XATTR_NAME_MAX + 1];

	p9_get_text(c, name, sizeof(name));
	uint64_t size = p9_get64(c);
	uint32_t flags = p9_get32(c);
	if (c->is_bad || !*name)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	if (fid->file)
		return -EBUSY;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	int rc = p9_fid_take_room(c->p, fid, size);
	if (rc)
		return rc;
	fid->kind = P9_FID_XATTR_WRITE;
	fid->xattr_name = mem_strdup(name);
	fid->xattr_size = size;
	fid->xattr_flags = flags;
	return 0;
}

/* The attribute is set when its fid goes. Nothing at all, with XATTR_REPLACE, is how v9fs removes one. */
static int xattr_finish(struct p9 *p, struct p9_fid *fid)
{
	if (fid->xattr.len != fid->xattr_size)
		return -EINVAL;
	if (!fid->xattr_size && fid->xattr_flags == XATTR_REPLACE)
		return node_xattr_remove(p->ex, fid->node, fid->xattr_name);
	return node_xattr_set(p->ex, fid->node, fid->xattr_name, fid->xattr.data, fid->xattr.len,
			      (int)fid->xattr_flags);
}

static int xattr_write(struct p9_call *c, struct p9_fid *fid, uint64_t offset, uint32_t count)
{
	uint8_t bytes[256];

	if (offset != fid->xattr.len || count > fid->xattr_size - fid->xattr.len)
		return -EINVAL;
	for (uint32_t left = count, n; left; left -= n) {
		n = min(left, (uint32_t)sizeof(bytes));
		fs_stream_get(&c->in, bytes, n);
		buf_append(&fid->xattr, bytes, n);
	}
	p9_put32(c, count);
	return 0;
}

/* ---- data ---- */

static int clunk(struct p9_call *c)
{
	struct p9_fid *fid = p9_fid_find(c->p, p9_get32(c));
	int rc = 0;

	if (!fid)
		return -EBADF;
	if (fid->kind == P9_FID_XATTR_WRITE)
		rc = xattr_finish(c->p, fid);
	p9_fid_free(c->p, fid);
	return rc;
}

/* Fills in the number of bytes of data that follow it. */
static int put_count(struct p9_call *c, struct fs_stream *count_at, size_t count)
{
	uint32_t value = (uint32_t)count;

	fs_stream_put(count_at, &value, sizeof(value));
	c->reply_len = sizeof(value) + count;
	return 0;
}

static ssize_t xattr_read(struct p9_call *c, struct p9_fid *fid, uint64_t offset, uint32_t count)
{
	if (offset >= fid->xattr.len)
		return 0;
	size_t len = min((size_t)count, fid->xattr.len - (size_t)offset);
	len = min(len, c->out.left);
	fs_stream_put(&c->out, fid->xattr.data + offset, len);
	return (ssize_t)len;
}

/* A count that a message of the agreed size can hold. */
static uint32_t limit(const struct p9_call *c, uint32_t count)
{
	return min(count, c->p->msize - (P9_HEADER_SIZE + (uint32_t)sizeof(uint32_t)));
}

static int read_data(struct p9_call *c)
{
	struct p9_fid *fid = p9_fid_find(c->p, p9_get32(c));
	uint64_t offset = p9_get64(c);
	uint32_t count = p9_get32(c);
	struct fs_stream count_at = c->out;
	ssize_t rc;

	if (c->is_bad || !fs_stream_skip(&c->out, sizeof(uint32_t)))
		return -EINVAL;
	count = limit(c, count);
	if (fid && fid->kind == P9_FID_XATTR_READ)
		rc = xattr_read(c, fid, offset, count);
	else if (fid && fid->kind == P9_FID_FILE && fid->file)
		rc = file_read(fid->file, offset, count, &c->out);
	else
		return -EBADF;
	return rc < 0 ? (int)rc : put_count(c, &count_at, (size_t)rc);
}

static int write_data(struct p9_call *c)
{
	struct p9_fid *fid = p9_fid_find(c->p, p9_get32(c));
	uint64_t offset = p9_get64(c);
	uint32_t count = p9_get32(c);

	if (c->is_bad || count > c->in.left)
		return -EINVAL;
	if (fid && fid->kind == P9_FID_XATTR_WRITE)
		return xattr_write(c, fid, offset, count);
	if (!fid || fid->kind != P9_FID_FILE || !fid->file)
		return -EBADF;
	ssize_t rc = file_write(c->p->ex, fid->file, offset, count, &c->in, true);
	if (rc < 0)
		return (int)rc;
	p9_put32(c, (uint32_t)rc);
	return 0;
}

static int sync_fid(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	/* Older clients leave this field out. */
	bool data_only = c->in.left >= sizeof(uint32_t) && p9_get32(c);

	return fid && fid->file ? file_sync(fid->file, data_only) : -EBADF;
}

static int read_dir(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint64_t offset = p9_get64(c);
	uint32_t count = p9_get32(c);
	struct fs_stream count_at = c->out;
	struct fs_dirent e;

	if (c->is_bad || !fs_stream_skip(&c->out, sizeof(uint32_t)))
		return -EINVAL;
	if (!fid || !fid->file)
		return -EBADF;
	fs_stream_limit(&c->out, limit(c, count));
	size_t room = c->out.left;
	int rc = dir_seek(fid->file, offset);
	while (!rc && (rc = dir_peek(c->p->ex, fid->file, &e)) > 0) {
		struct statx attr = {.stx_ino = e.ino, .stx_mode = (uint16_t)(e.type << 12)};
		size_t len = strlen(e.name);

		if (P9_QID_SIZE + 8 + 1 + 2 + len > c->out.left)
			break;
		p9_put_qid(c, &attr);
		p9_put64(c, e.next);
		p9_put8(c, e.type);
		p9_put_text(c, e.name, len);
		dir_advance(fid->file, &e);
		rc = 0;
	}
	size_t used = room - c->out.left;
	if (rc < 0 && !used)
		return rc;
	/* An entry that does not fit an empty answer would never be seen. */
	if (rc > 0 && !used)
		return -EINVAL;
	return put_count(c, &count_at, used);
}

/* ---- locks ---- */

enum { LOCK_TYPE_READ, LOCK_TYPE_WRITE, LOCK_TYPE_UNLOCK };
enum { LOCK_GRANTED, LOCK_BLOCKED };
#define LOCK_FLAG_WAIT 1

#define CLIENT_ID_MAX 256 /* v9fs sends the guest's host name */

static uint64_t owner_of(uint32_t process, const char *client)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *client; client++)
		hash = (hash ^ (uint8_t)*client) * UINT64_C(0x100000001b3);
	return hash ^ process;
}

static int read_lock(struct p9_call *c, uint8_t type, uint64_t start, uint64_t len,
		     struct flock *lock)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};

	if (type >= ARRAY_SIZE(types) || start > INT64_MAX)
		return -EINVAL;
	/* A length beyond the last byte there can be means: to the end. */
	if (len > INT64_MAX - start)
		len = 0;
	*lock = (struct flock){.l_type = types[type], .l_start = (off_t)start, .l_len = (off_t)len};
	return 0;
}

static int set_lock(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint8_t type = p9_get8(c);
	uint32_t flags = p9_get32(c);
	uint64_t start = p9_get64(c), len = p9_get64(c);
	uint32_t process = p9_get32(c);
	char client[CLIENT_ID_MAX];
	struct fs_wait wait = {.request = c->request, .id = c->tag};

	p9_get_text(c, client, sizeof(client));
	if (c->is_bad || read_lock(c, type, start, len, &wait.lock))
		return -EINVAL;
	if (!fid || !fid->file)
		return -EBADF;
	wait.file = fid->file;
	wait.owner = owner_of(process, client);
	int rc = fs_wait_try(c->p->ex, &wait);
	if (rc == -EAGAIN && flags & LOCK_FLAG_WAIT) {
		rc = fs_waits_add(&c->p->waits, &wait);
		return rc ? rc : P9_WAITS;
	}
	if (rc && rc != -EAGAIN)
		return rc;
	p9_put8(c, rc ? LOCK_BLOCKED : LOCK_GRANTED);
	return 0;
}

static int test_lock(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint8_t type = p9_get8(c);
	uint64_t start = p9_get64(c), len = p9_get64(c);
	uint32_t process = p9_get32(c);
	char client[CLIENT_ID_MAX];
	struct flock lock;

	p9_get_text(c, client, sizeof(client));
	if (c->is_bad || read_lock(c, type, start, len, &lock))
		return -EINVAL;
	if (!fid || !fid->file)
		return -EBADF;
	int rc = file_test_lock(c->p->ex, fid->file, owner_of(process, client), &lock);
	if (rc)
		return rc;
	p9_put8(c, lock.l_type == F_RDLCK   ? LOCK_TYPE_READ
		   : lock.l_type == F_WRLCK ? LOCK_TYPE_WRITE
					    : LOCK_TYPE_UNLOCK);
	p9_put64(c, (uint64_t)lock.l_start);
	p9_put64(c, (uint64_t)lock.l_len);
	p9_put32(c, lock.l_type == F_UNLCK ? process : (uint32_t)lock.l_pid);
	p9_put_text(c, client, strlen(client));
	return 0;
}

p9_fn p9_file_operation(uint8_t type)
{
	static const p9_fn operations[256] = {
		[P9_TLOPEN] = open_fid,	   [P9_TLCREATE] = create,
		[P9_TREAD] = read_data,	   [P9_TWRITE] = write_data,
		[P9_TCLUNK] = clunk,	   [P9_TFSYNC] = sync_fid,
		[P9_TREADDIR] = read_dir,  [P9_TXATTRWALK] = xattr_walk,
		[P9_TLOCK] = set_lock,	   [P9_TXATTRCREATE] = xattr_create,
		[P9_TGETLOCK] = test_lock,
	};

	return operations[type];
}
