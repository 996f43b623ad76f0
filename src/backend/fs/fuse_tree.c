/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FUSE operations on names, attributes and extended attributes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "backend/fs/fuse_impl.h"

#define ALWAYS_SECONDS 86400

uint64_t fuse_valid_seconds(const struct fuse *f)
{
	static const uint64_t seconds[] = {0, 1, ALWAYS_SECONDS};

	return seconds[f->cache];
}

void fuse_fill_attr(const struct statx *a, struct fuse_attr *out)
{
	*out = (struct fuse_attr){
		.ino = a->stx_ino,
		.size = a->stx_size,
		.blocks = a->stx_blocks,
		.atime = (uint64_t)a->stx_atime.tv_sec,
		.mtime = (uint64_t)a->stx_mtime.tv_sec,
		.ctime = (uint64_t)a->stx_ctime.tv_sec,
		.atimensec = a->stx_atime.tv_nsec,
		.mtimensec = a->stx_mtime.tv_nsec,
		.ctimensec = a->stx_ctime.tv_nsec,
		.mode = a->stx_mode,
		.nlink = a->stx_nlink,
		.uid = a->stx_uid,
		.gid = a->stx_gid,
		.rdev = (uint32_t)makedev(a->stx_rdev_major, a->stx_rdev_minor),
		.blksize = a->stx_blksize,
	};
}

void fuse_fill_entry(struct fuse *f, struct node *n, const struct statx *attr,
		     struct fuse_entry_out *out)
{
	node_count(f->ex, n);
	node_put(f->ex, n);
	*out = (struct fuse_entry_out){.nodeid = node_id(n),
				       .generation = node_generation(n),
				       .entry_valid = fuse_valid_seconds(f),
				       .attr_valid = fuse_valid_seconds(f)};
	fuse_fill_attr(attr, &out->attr);
}

static int reply_entry(struct fuse_call *c, struct node *n, const struct statx *attr)
{
	struct fuse_entry_out out;

	if (c->out.left < sizeof(out)) {
		node_put(c->f->ex, n);
		return -ERANGE;
	}
	fuse_fill_entry(c->f, n, attr, &out);
	return fuse_reply(c, &out, sizeof(out));
}

static int reply_attr(struct fuse_call *c, const struct statx *attr)
{
	struct fuse_attr_out out = {.attr_valid = fuse_valid_seconds(c->f)};

	fuse_fill_attr(attr, &out.attr);
	return fuse_reply(c, &out, sizeof(out));
}

static int lookup(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	struct statx attr;
	struct node *n;
	int rc = fuse_name(c, name);

	if (!rc)
		rc = node_lookup(c->f->ex, c->node, name, &n, &attr);
	if (rc == -ENOENT && c->f->cache == FUSE_CACHE_ALWAYS) {
		/* No node, but the guest may remember that there is none. */
		struct fuse_entry_out none = {.entry_valid = ALWAYS_SECONDS};

		return fuse_reply(c, &none, sizeof(none));
	}
	return rc ? rc : reply_entry(c, n, &attr);
}

static int forget(struct fuse_call *c)
{
	struct fuse_forget_in in;
	struct node *n = fuse_node(c->f, c->h.nodeid);

	fs_stream_get(&c->in, &in, sizeof(in));
	if (n)
		node_uncount(c->f->ex, n, in.nlookup);
	return FUSE_NO_REPLY;
}

static int batch_forget(struct fuse_call *c)
{
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one;

	fs_stream_get(&c->in, &in, sizeof(in));
	for (uint32_t i = 0; i < in.count && fs_stream_get(&c->in, &one, sizeof(one)); i++) {
		struct node *n = fuse_node(c->f, one.nodeid);

		if (n)
			node_uncount(c->f->ex, n, one.nlookup);
	}
	return FUSE_NO_REPLY;
}

/* ---- attributes ---- */

static int get_attr(struct fuse_call *c)
{
	struct fuse_getattr_in in;
	struct statx attr;
	struct file *file = NULL;

	fs_stream_get(&c->in, &in, sizeof(in));
	if (in.getattr_flags & FUSE_GETATTR_FH)
		file = fuse_file(c->f, in.fh, c->node);
	int rc = file ? file_stat(c->f->ex, file, &attr) : node_stat(c->f->ex, c->node, &attr);
	return rc ? rc : reply_attr(c, &attr);
}

static const struct {
	uint32_t theirs;
	enum fs_change ours;
} change_bits[] = {
	{FATTR_MODE, FS_CHANGE_MODE},
	{FATTR_UID, FS_CHANGE_UID},
	{FATTR_GID, FS_CHANGE_GID},
	{FATTR_SIZE, FS_CHANGE_SIZE},
	{FATTR_ATIME | FATTR_ATIME_NOW, FS_CHANGE_ATIME},
	{FATTR_MTIME | FATTR_MTIME_NOW, FS_CHANGE_MTIME},
	/* With FUSE_HANDLE_KILLPRIV_V2 a new owner always takes the set-id bits away. */
	{FATTR_KILL_SUIDGID | FATTR_UID | FATTR_GID, FS_CHANGE_KILL_PRIV},
};

static struct timespec time_of(uint64_t seconds, uint32_t nsec, bool is_now)
{
	return (struct timespec){(time_t)seconds, is_now ? UTIME_NOW : (long)nsec};
}

static int set_attr(struct fuse_call *c)
{
	struct fuse_setattr_in in;
	struct statx attr;

	fs_stream_get(&c->in, &in, sizeof(in));
	if (in.atimensec >= NS_PER_SEC || in.mtimensec >= NS_PER_SEC)
		return -EINVAL;
	struct fs_changes ch = {
		.mode = in.mode,
		.uid = in.uid,
		.gid = in.gid,
		.size = in.size,
		.times = {time_of(in.atime, in.atimensec, in.valid & FATTR_ATIME_NOW),
			  time_of(in.mtime, in.mtimensec, in.valid & FATTR_MTIME_NOW)},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(change_bits); i++) {
		if (in.valid & change_bits[i].theirs)
			ch.which |= change_bits[i].ours;
	}
	if (in.valid & FATTR_FH)
		ch.file = fuse_file(c->f, in.fh, c->node);
	int rc = node_change(c->f->ex, c->node, &ch);
	if (!rc)
		rc = node_stat(c->f->ex, c->node, &attr);
	return rc ? rc : reply_attr(c, &attr);
}

static int read_link(struct fuse_call *c)
{
	char target[PATH_MAX];
	int rc = node_readlink(c->f->ex, c->node, target, sizeof(target));

	return rc < 0 ? rc : fuse_reply(c, target, (size_t)rc);
}

static int stat_fs(struct fuse_call *c)
{
	struct statvfs st;
	uint32_t type;
	int rc = export_statvfs(c->f->ex, &st, &type);
	struct fuse_statfs_out out = {.st = {.blocks = st.f_blocks,
					     .bfree = st.f_bfree,
					     .bavail = st.f_bavail,
					     .files = st.f_files,
					     .ffree = st.f_ffree,
					     .bsize = (uint32_t)st.f_bsize,
					     .namelen = (uint32_t)st.f_namemax,
					     .frsize = (uint32_t)st.f_frsize}};

	return rc ? rc : fuse_reply(c, &out, sizeof(out));
}

/* ---- making, linking, moving, removing ---- */

static int make_symlink(struct fuse_call *c)
{
	char name[NAME_MAX + 2], target[PATH_MAX];
	struct statx attr;
	struct node *n;
	int rc = fuse_name(c, name);

	if (rc)
		return rc;
	if (!fs_stream_get_text(&c->in, target, sizeof(target)))
		return -ENAMETOOLONG;
	rc = tree_symlink(c->f->ex, c->node, name, target, &c->caller, &n, &attr);
	return rc ? rc : reply_entry(c, n, &attr);
}

static int make_node(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	struct fuse_mknod_in in;
	struct statx attr;
	struct node *n;

	fs_stream_get(&c->in, &in, sizeof(in));
	int rc = fuse_name(c, name);
	if (!rc)
		rc = tree_mknod(c->f->ex, c->node, name, in.mode, in.rdev, &c->caller, &n, &attr);
	return rc ? rc : reply_entry(c, n, &attr);
}

static int make_dir(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	struct fuse_mkdir_in in;
	struct statx attr;
	struct node *n;

	fs_stream_get(&c->in, &in, sizeof(in));
	int rc = fuse_name(c, name);
	if (!rc)
		rc = tree_mkdir(c->f->ex, c->node, name, in.mode, &c->caller, &n, &attr);
	return rc ? rc : reply_entry(c, n, &attr);
}

static int remove_name(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	int rc = fuse_name(c, name);

	return rc ? rc : tree_unlink(c->f->ex, c->node, name, c->h.opcode == FUSE_RMDIR);
}

static int rename_name(struct fuse_call *c)
{
	char name[NAME_MAX + 2], new_name[NAME_MAX + 2];
	struct fuse_rename2_in in = {0};

	/* The older request has the first field only. */
	if (c->h.opcode == FUSE_RENAME2)
		fs_stream_get(&c->in, &in, sizeof(in));
	else
		fs_stream_get(&c->in, &in, sizeof(struct fuse_rename_in));
	struct node *new_dir = fuse_node(c->f, in.newdir);
	if (!new_dir)
		return -ESTALE;
	int rc = fuse_name(c, name);
	if (!rc)
		rc = fuse_name(c, new_name);
	return rc ? rc : tree_rename(c->f->ex, c->node, name, new_dir, new_name, in.flags);
}

static int make_link(struct fuse_call *c)
{
	char name[NAME_MAX + 2];
	struct fuse_link_in in;
	struct statx attr;
	struct node *n;

	fs_stream_get(&c->in, &in, sizeof(in));
	struct node *old = fuse_node(c->f, in.oldnodeid);
	if (!old)
		return -ESTALE;
	int rc = fuse_name(c, name);
	if (!rc)
		rc = tree_link(c->f->ex, old, c->node, name);
	if (!rc)
		rc = node_lookup(c->f->ex, c->node, name, &n, &attr);
	return rc ? rc : reply_entry(c, n, &attr);
}

/* ---- extended attributes ---- */

static int attribute_name(struct fuse_call *c, char name[XATTR_NAME_MAX + 2])
{
	if (!fs_stream_get_text(&c->in, name, XATTR_NAME_MAX + 2))
		return -ERANGE;
	return *name ? 0 : -EINVAL;
}

static int set_xattr(struct fuse_call *c)
{
	char name[XATTR_NAME_MAX + 2];
	struct fuse_setxattr_in in = {0};

	if (!fs_stream_get(&c->in, &in, c->f->has_long_setxattr ? sizeof(in) : 8))
		return -EINVAL;
	int rc = attribute_name(c, name);
	if (rc)
		return rc;
	if (in.size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (in.size > c->in.left)
		return -EINVAL;
	void *room = mem_alloc_zero(in.size + 1u);
	fs_stream_get(&c->in, room, in.size);
	rc = node_xattr_set(c->f->ex, c->node, name, room, in.size, (int)in.flags);
	free(room);
	return rc;
}

/* Values and lists of names: their size when the client gives no room. */
static int reply_bytes(struct fuse_call *c, const struct buf *bytes, uint32_t room)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)bytes->len};

	if (!room)
		return fuse_reply(c, &out, sizeof(out));
	return bytes->len > room ? -ERANGE : fuse_reply(c, bytes->data, bytes->len);
}

static int get_xattr(struct fuse_call *c)
{
	char name[XATTR_NAME_MAX + 2];
	struct fuse_getxattr_in in;
	struct buf bytes = {0};
	int rc = 0;

	fs_stream_get(&c->in, &in, sizeof(in));
	if (c->h.opcode == FUSE_GETXATTR)
		rc = attribute_name(c, name);
	if (!rc)
		rc = c->h.opcode == FUSE_GETXATTR ? node_xattr_get(c->f->ex, c->node, name, &bytes)
						  : node_xattr_list(c->f->ex, c->node, &bytes);
	if (!rc)
		rc = reply_bytes(c, &bytes, in.size);
	buf_free(&bytes);
	return rc;
}

static int remove_xattr(struct fuse_call *c)
{
	char name[XATTR_NAME_MAX + 2];
	int rc = attribute_name(c, name);

	return rc ? rc : node_xattr_remove(c->f->ex, c->node, name);
}

static const struct fuse_operation operations[] = {
	[FUSE_LOOKUP] = {lookup, 1, true},
	[FUSE_FORGET] = {forget, sizeof(struct fuse_forget_in), false},
	[FUSE_BATCH_FORGET] = {batch_forget, sizeof(struct fuse_batch_forget_in), false},
	[FUSE_GETATTR] = {get_attr, sizeof(struct fuse_getattr_in), true},
	[FUSE_SETATTR] = {set_attr, sizeof(struct fuse_setattr_in), true},
	[FUSE_READLINK] = {read_link, 0, true},
	[FUSE_STATFS] = {stat_fs, 0, true},
	[FUSE_SYMLINK] = {make_symlink, 1, true},
	[FUSE_MKNOD] = {make_node, sizeof(struct fuse_mknod_in), true},
	[FUSE_MKDIR] = {make_dir, sizeof(struct fuse_mkdir_in), true},
	[FUSE_UNLINK] = {remove_name, 1, true},
	[FUSE_RMDIR] = {remove_name, 1, true},
	[FUSE_RENAME] = {rename_name, sizeof(struct fuse_rename_in), true},
	[FUSE_RENAME2] = {rename_name, sizeof(struct fuse_rename2_in), true},
	[FUSE_LINK] = {make_link, sizeof(struct fuse_link_in), true},
	[FUSE_SETXATTR] = {set_xattr, 8, true},
	[FUSE_GETXATTR] = {get_xattr, sizeof(struct fuse_getxattr_in), true},
	[FUSE_LISTXATTR] = {get_xattr, sizeof(struct fuse_getxattr_in), true},
	[FUSE_REMOVEXATTR] = {remove_xattr, 1, true},
};

const struct fuse_operation *fuse_tree_operation(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(operations) || !operations[opcode].fn)
		return NULL;
	return &operations[opcode];
}
