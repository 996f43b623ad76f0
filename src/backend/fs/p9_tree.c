/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 9P messages about names and attributes.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include "backend/fs/p9_impl.h"

#define WALK_MAX 16 /* names in a Twalk, as 9P has it */

/* Name of an entry. Returns 0 or what is wrong with it. */
static int get_name(struct p9_call *c, char name[NAME_MAX + 1])
{
	uint16_t len;
	struct fs_stream ahead = c->in;

	if (fs_stream_get(&ahead, &len, sizeof(len)) && len > NAME_MAX)
		return -ENAMETOOLONG;
	p9_get_text(c, name, NAME_MAX + 1);
	return c->is_bad ? -EINVAL : fs_name_check(name);
}

static int put_made(struct p9_call *c, int rc, struct node *n, const struct statx *attr)
{
	if (rc)
		return rc;
	node_put(c->p->ex, n);
	p9_put_qid(c, attr);
	return 0;
}

/* ---- walking ---- */

/* One step; takes a reference on *next. */
static int step(struct p9 *p, struct node *from, const char *name, struct node **next,
		struct statx *attr)
{
	if (strcmp(name, "..") && strcmp(name, "."))
		return node_lookup(p->ex, from, name, next, attr);
	*next = strcmp(name, "..") ? from : node_parent(p->ex, from);
	if (!*next)
		return -ESTALE;
	int rc = node_stat(p->ex, *next, attr);
	if (!rc)
		node_get(*next);
	return rc;
}

/* Walks names as far as possible. Returns the last node, with a reference, and qids of all steps. */
static struct node *walk_names(struct p9_call *c, struct node *n, unsigned nr, struct statx *attrs,
			       unsigned *nr_done, int *rc)
{
	char name[NAME_MAX + 1];

	node_get(n);
	*rc = 0;
	for (*nr_done = 0; *nr_done < nr; ++*nr_done) {
		struct node *next;

		p9_get_text(c, name, sizeof(name));
		*rc = c->is_bad ? -EINVAL : step(c->p, n, name, &next, &attrs[*nr_done]);
		if (*rc)
			break;
		node_put(c->p->ex, n);
		n = next;
	}
	return n;
}

static int walk(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint32_t new_number = p9_get32(c);
	unsigned nr = p9_get16(c), done;
	struct statx attrs[WALK_MAX];
	int rc;

	if (c->is_bad || nr > WALK_MAX)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	struct node *n = walk_names(c, fid->node, nr, attrs, &done, &rc);
	if (rc && !done) {
		node_put(c->p->ex, n);
		return rc;
	}
	if (done == nr) {
		uint32_t uid = fid->uid;

		rc = 0;
		/* The fid itself may be moved, unless it is open. */
		if (new_number == fid->hash.key && fid->file)
			rc = -EBUSY;
		else if (new_number == fid->hash.key)
			p9_fid_free(c->p, fid);
		if (!rc)
			p9_fid_new(c->p, new_number, n, uid, &rc);
	} else {
		rc = 0; /* the number of qids says how far it went */
	}
	node_put(c->p->ex, n);
	if (rc)
		return rc;
	p9_put16(c, (uint16_t)done);
	for (unsigned i = 0; i < done; i++)
		p9_put_qid(c, &attrs[i]);
	return 0;
}

/* ---- making, linking, moving, removing ---- */

static int make_dir(struct p9_call *c)
{
	struct p9_fid *dir = p9_get_fid(c);
	char name[NAME_MAX + 1];
	int rc = get_name(c, name);
	uint32_t mode = p9_get32(c), gid = p9_get32(c);
	struct statx attr;
	struct node *n = NULL;

	if (rc || c->is_bad)
		return rc ? rc : -EINVAL;
	if (!dir)
		return -EBADF;
	struct fs_caller caller = {dir->uid, gid};
	rc = tree_mkdir(c->p->ex, dir->node, name, mode, &caller, &n, &attr);
	return put_made(c, rc, n, &attr);
}

static int make_node(struct p9_call *c)
{
	struct p9_fid *dir = p9_get_fid(c);
	char name[NAME_MAX + 1];
	int rc = get_name(c, name);
	uint32_t mode = p9_get32(c), major = p9_get32(c), minor = p9_get32(c), gid = p9_get32(c);
	struct statx attr;
	struct node *n = NULL;

	if (rc || c->is_bad)
		return rc ? rc : -EINVAL;
	if (!dir)
		return -EBADF;
	struct fs_caller caller = {dir->uid, gid};
	rc = tree_mknod(c->p->ex, dir->node, name, mode, makedev(major, minor), &caller, &n, &attr);
	return put_made(c, rc, n, &attr);
}

static int make_symlink(struct p9_call *c)
{
	struct p9_fid *dir = p9_get_fid(c);
	char name[NAME_MAX + 1], target[PATH_MAX];
	int rc = get_name(c, name);
	struct statx attr;
	struct node *n = NULL;

	if (rc)
		return rc;
	p9_get_text(c, target, sizeof(target));
	uint32_t gid = p9_get32(c);
	if (c->is_bad)
		return -EINVAL;
	if (!dir)
		return -EBADF;
	struct fs_caller caller = {dir->uid, gid};
	rc = tree_symlink(c->p->ex, dir->node, name, target, &caller, &n, &attr);
	return put_made(c, rc, n, &attr);
}

static int make_link(struct p9_call *c)
{
	struct p9_fid *dir = p9_get_fid(c), *fid = p9_get_fid(c);
	char name[NAME_MAX + 1];
	int rc = get_name(c, name);

	if (rc)
		return rc;
	return dir && fid ? tree_link(c->p->ex, fid->node, dir->node, name) : -EBADF;
}

static int rename_at(struct p9_call *c)
{
	char name[NAME_MAX + 1], new_name[NAME_MAX + 1];
	struct p9_fid *dir = p9_get_fid(c);
	int rc = get_name(c, name);
	struct p9_fid *new_dir = p9_get_fid(c);

	if (!rc)
		rc = get_name(c, new_name);
	if (rc)
		return rc;
	if (!dir || !new_dir)
		return -EBADF;
	return tree_rename(c->p->ex, dir->node, name, new_dir->node, new_name, 0);
}

/*
 * The directory, with a reference, and name of a fid's file, for messages that name the file only. What
 * they do may end what the directory was known by.
 */
static int place_of(struct p9 *p, const struct p9_fid *fid, struct node **dir,
		    char name[NAME_MAX + 1])
{
	if (fid->node == export_root(p->ex))
		return -EBUSY;
	*dir = node_parent(p->ex, fid->node);
	if (!*dir)
		return -ESTALE;
	node_get(*dir);
	strcpy(name, node_name(fid->node));
	return 0;
}

static int rename_fid(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c), *new_dir = p9_get_fid(c);
	char name[NAME_MAX + 1], new_name[NAME_MAX + 1];
	struct node *dir;
	int rc = get_name(c, new_name);

	if (rc)
		return rc;
	if (!fid || !new_dir)
		return -EBADF;
	rc = place_of(c->p, fid, &dir, name);
	if (rc)
		return rc;
	rc = tree_rename(c->p->ex, dir, name, new_dir->node, new_name, 0);
	node_put(c->p->ex, dir);
	return rc;
}

static int unlink_at(struct p9_call *c)
{
	struct p9_fid *dir = p9_get_fid(c);
	char name[NAME_MAX + 1];
	int rc = get_name(c, name);
	uint32_t flags = p9_get32(c);

	if (rc || c->is_bad)
		return rc ? rc : -EINVAL;
	return dir ? tree_unlink(c->p->ex, dir->node, name, flags & AT_REMOVEDIR) : -EBADF;
}

/* Removes the file and, whatever comes of that, the fid. */
static int remove_fid(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	char name[NAME_MAX + 1];
	struct node *dir;

	if (!fid)
		return -EBADF;
	int rc = place_of(c->p, fid, &dir, name);
	if (!rc) {
		rc = tree_unlink(c->p->ex, dir, name, S_ISDIR(node_type(fid->node)));
		node_put(c->p->ex, dir);
	}
	p9_fid_free(c->p, fid);
	return rc;
}

static int read_link(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	char target[PATH_MAX];

	if (!fid)
		return -EBADF;
	int rc = node_readlink(c->p->ex, fid->node, target, sizeof(target));
	if (rc < 0)
		return rc;
	p9_put_text(c, target, (size_t)rc);
	return 0;
}

/* ---- attributes ---- */

#define GETATTR_ALL   0x7ffu /* all but btime, generation and data version */
#define GETATTR_BTIME 0x800u

static void put_time(struct p9_call *c, const struct statx_timestamp *t)
{
	p9_put64(c, (uint64_t)t->tv_sec);
	p9_put64(c, t->tv_nsec);
}

static int get_attr(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	struct statx a;

	p9_get64(c); /* what is wanted; all is given */
	if (c->is_bad)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	int rc =
		fid->file ? file_stat(c->p->ex, fid->file, &a) : node_stat(c->p->ex, fid->node, &a);
	if (rc)
		return rc;
	p9_put64(c, GETATTR_ALL | (a.stx_mask & STATX_BTIME ? GETATTR_BTIME : 0));
	p9_put_qid(c, &a);
	p9_put32(c, a.stx_mode);
	p9_put32(c, a.stx_uid);
	p9_put32(c, a.stx_gid);
	p9_put64(c, a.stx_nlink);
	p9_put64(c, makedev(a.stx_rdev_major, a.stx_rdev_minor));
	p9_put64(c, a.stx_size);
	p9_put64(c, a.stx_blksize);
	p9_put64(c, a.stx_blocks);
	put_time(c, &a.stx_atime);
	put_time(c, &a.stx_mtime);
	put_time(c, &a.stx_ctime);
	put_time(c, &a.stx_btime);
	p9_put64(c, 0); /* generation */
	p9_put64(c, 0); /* data version */
	return 0;
}

enum {
	SETATTR_MODE = 1,
	SETATTR_UID = 2,
	SETATTR_GID = 4,
	SETATTR_SIZE = 8,
	SETATTR_ATIME = 0x10,
	SETATTR_MTIME = 0x20,
	SETATTR_ATIME_SET = 0x80,
	SETATTR_MTIME_SET = 0x100,
};

/* A time given, or now unless it is. */
static int get_time(struct p9_call *c, bool is_given, struct timespec *t)
{
	uint64_t seconds = p9_get64(c), nsec = p9_get64(c);

	*t = (struct timespec){(time_t)seconds, is_given ? (long)nsec : UTIME_NOW};
	return is_given && nsec >= NS_PER_SEC ? -EINVAL : 0;
}

static int set_attr(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	uint32_t valid = p9_get32(c);
	struct fs_changes ch = {0};

	ch.mode = p9_get32(c);
	ch.uid = p9_get32(c);
	ch.gid = p9_get32(c);
	ch.size = p9_get64(c);
	if (get_time(c, valid & SETATTR_ATIME_SET, &ch.times[0]) ||
	    get_time(c, valid & SETATTR_MTIME_SET, &ch.times[1]) || c->is_bad)
		return -EINVAL;
	if (!fid)
		return -EBADF;
	ch.which = (valid & SETATTR_MODE ? FS_CHANGE_MODE : 0) |
		   (valid & SETATTR_UID ? FS_CHANGE_UID : 0) |
		   (valid & SETATTR_GID ? FS_CHANGE_GID : 0) |
		   (valid & SETATTR_SIZE ? FS_CHANGE_SIZE : 0) |
		   (valid & SETATTR_ATIME ? FS_CHANGE_ATIME : 0) |
		   (valid & SETATTR_MTIME ? FS_CHANGE_MTIME : 0);
	ch.file = fid->file;
	return node_change(c->p->ex, fid->node, &ch);
}

static int stat_fs(struct p9_call *c)
{
	struct p9_fid *fid = p9_get_fid(c);
	struct statvfs st;
	uint32_t type;

	if (!fid)
		return -EBADF;
	int rc = export_statvfs(c->p->ex, &st, &type);
	if (rc)
		return rc;
	p9_put32(c, type);
	p9_put32(c, (uint32_t)st.f_bsize);
	p9_put64(c, st.f_blocks);
	p9_put64(c, st.f_bfree);
	p9_put64(c, st.f_bavail);
	p9_put64(c, st.f_files);
	p9_put64(c, st.f_ffree);
	p9_put64(c, st.f_fsid);
	p9_put32(c, (uint32_t)st.f_namemax);
	return 0;
}

p9_fn p9_tree_operation(uint8_t type)
{
	static const p9_fn operations[256] = {
		[P9_TWALK] = walk,	   [P9_TMKDIR] = make_dir,
		[P9_TMKNOD] = make_node,   [P9_TSYMLINK] = make_symlink,
		[P9_TLINK] = make_link,	   [P9_TRENAMEAT] = rename_at,
		[P9_TRENAME] = rename_fid, [P9_TUNLINKAT] = unlink_at,
		[P9_TREMOVE] = remove_fid, [P9_TREADLINK] = read_link,
		[P9_TGETATTR] = get_attr,  [P9_TSETATTR] = set_attr,
		[P9_TSTATFS] = stat_fs,
	};

	return operations[type];
}
