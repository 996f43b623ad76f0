/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names: looking them up, making, linking, moving and removing them. Every operation is one of the
 * host's *at() calls on a descriptor of the directory and a checked name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

/* A descriptor of a directory in which name may be changed. */
static int dir_for_change(struct export *ex, struct node *dir, const char *name)
{
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (fs_name_check(name))
		return -EINVAL;
	if (ex->options.is_read_only)
		return -EROFS;
	return node_fd(ex, dir);
}

int node_lookup(struct export *ex, struct node *dir, const char *name, struct node **n,
		struct statx *attr)
{
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (fs_name_check(name))
		return strlen(name) > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	int fd = node_fd(ex, dir);
	int rc = fd < 0 ? fd : statx_in(ex, dir, &(struct place){fd, name}, attr);
	if (rc)
		return rc;
	*n = node_at(ex, dir, name, attr);
	if (!*n)
		return -ENFILE;
	map_attr(ex, &(struct place){fd, name}, *n, attr);
	return 0;
}

/* ---- making ---- */

/* What is being made: where, with what mode, for whom. */
struct making {
	struct node *dir;
	int dir_fd;
	const char *name;
	mode_t mode; /* the type and all twelve bits asked for */
	dev_t rdev;
	struct new_owner owner;
};

static mode_t real_mode(const struct export *ex, mode_t mode)
{
	return mode & (ex->options.map == EXPORT_MAP_NONE ? 07777 : 01777);
}

static int start_making(struct export *ex, struct making *m, const struct fs_caller *caller)
{
	m->dir_fd = dir_for_change(ex, m->dir, m->name);
	if (m->dir_fd < 0)
		return m->dir_fd;
	map_new_owner(ex, m->dir, caller, &m->owner);
	return 0;
}

static int keep_mapped(struct export *ex, const struct making *m, struct node *n, int fd,
		       const struct statx *raw)
{
	uint32_t plain_gid = raw->stx_gid == ex->gid ? 0 : raw->stx_gid;
	struct mapped_stat keep = {.has_uid = m->owner.uid,
				   .has_gid = m->owner.gid != plain_gid,
				   .uid = m->owner.uid,
				   .gid = m->owner.gid,
				   .bits = m->mode & (S_ISUID | S_ISGID)};

	if (S_ISDIR(m->mode) && m->owner.is_setgid)
		keep.bits |= S_ISGID;
	if (!S_ISREG(m->mode) && !S_ISDIR(m->mode)) {
		keep.type = m->mode & S_IFMT;
		keep.major = major(m->rdev);
		keep.minor = minor(m->rdev);
	}
	if (!keep.has_uid && !keep.has_gid && !keep.bits && !keep.type)
		return 0;
	return mapped_write(ex, n, fd, &keep);
}

/* Owner and mode of the file just made, which has descriptor fd. */
static int finish_owner(struct export *ex, const struct making *m, struct node *n, int fd,
			const struct statx *raw)
{
	char name[FD_NAME_MAX];

	if (m->mode & ex->umask & 0777 && !S_ISLNK(m->mode)) {
		fd_name(fd, name);
		if (fchmodat(ex->proc_fd, name, real_mode(ex, raw->stx_mode | m->mode), 0))
			return -errno;
	}
	if (ex->options.map == EXPORT_MAP_MAPPED && !S_ISLNK(m->mode))
		return keep_mapped(ex, m, n, fd, raw);
	if (ex->options.map != EXPORT_MAP_NONE || ex->uid || (!m->owner.uid && !m->owner.gid))
		return 0;
	return sys(fchownat(fd, "", m->owner.uid, m->owner.is_setgid ? (gid_t)-1 : m->owner.gid,
			    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

/*
 * The node of what has just been made; fd is a descriptor of it, or -1. A file that cannot be given
 * what it needs is removed again.
 */
static int finish_making(struct export *ex, const struct making *m, int fd, struct node **n,
			 struct statx *attr)
{
	struct place p = {m->dir_fd, m->name};
	int rc = fd >= 0 ? place_statx(&(struct place){fd, ""}, attr)
			 : statx_in(ex, m->dir, &p, attr);

	if (rc)
		return rc;
	*n = node_at(ex, m->dir, m->name, attr);
	if (!*n)
		return -ENFILE;
	/* Nothing to do that needs one: the usual case for root's files. */
	bool needs_fd =
		m->mode & ex->umask & 0777 || m->owner.uid || m->owner.gid ||
		m->mode & (S_ISUID | S_ISGID) || m->owner.is_setgid ||
		(ex->options.map == EXPORT_MAP_MAPPED && !S_ISREG(m->mode) && !S_ISDIR(m->mode)) ||
		attr->stx_gid != ex->gid;
	if (needs_fd && fd < 0)
		fd = node_fd(ex, *n);
	if (needs_fd)
		rc = fd < 0 ? fd : finish_owner(ex, m, *n, fd, attr);
	if (!rc)
		rc = fd >= 0 ? place_statx(&(struct place){fd, ""}, attr) : 0;
	if (rc) {
		unlinkat(m->dir_fd, m->name, S_ISDIR(m->mode) ? AT_REMOVEDIR : 0);
		node_put(ex, *n);
		return rc;
	}
	map_attr(ex, fd >= 0 ? &(struct place){fd, ""} : &p, *n, attr);
	return 0;
}

int tree_create(struct export *ex, struct node *dir, const char *name, int flags, mode_t mode,
		const struct fs_caller *caller, struct node **n, struct file **file,
		struct statx *attr)
{
	struct making m = {.dir = dir, .name = name, .mode = S_IFREG | (mode & 07777)};
	int rc = start_making(ex, &m, caller);
	int fd;

	if (!rc)
		rc = file_room(ex);
	if (rc)
		return rc;
	int kept = flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC);
	struct grant g = {.nodes = {dir}};
	do
		fd = sys(openat(m.dir_fd, name,
				(kept & ~O_APPEND) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC |
					O_NOCTTY,
				real_mode(ex, mode)));
	while (grant_retry(ex, &g, fd));
	if (fd == -EEXIST && !(flags & O_EXCL)) {
		rc = node_lookup(ex, dir, name, n, attr);
		if (rc)
			return rc;
		rc = node_open(ex, *n, flags, file);
		if (!rc)
			rc = file_stat(ex, *file, attr);
		if (rc)
			node_put(ex, *n);
		return rc;
	}
	if (fd < 0)
		return fd;
	rc = finish_making(ex, &m, fd, n, attr);
	if (rc) {
		close(fd);
		return rc;
	}
	*file = file_new(ex, *n, fd, kept);
	return 0;
}

int tree_mkdir(struct export *ex, struct node *dir, const char *name, mode_t mode,
	       const struct fs_caller *caller, struct node **n, struct statx *attr)
{
	struct making m = {.dir = dir, .name = name, .mode = S_IFDIR | (mode & 07777)};
	int rc = start_making(ex, &m, caller);

	if (rc)
		return rc;
	struct grant g = {.nodes = {dir}};
	do
		rc = sys(mkdirat(m.dir_fd, name, real_mode(ex, mode)));
	while (grant_retry(ex, &g, rc));
	return rc ? rc : finish_making(ex, &m, -1, n, attr);
}

/* Device nodes, pipes and sockets are empty regular files on the host when they are mapped. */
static int make_node(const struct export *ex, const struct making *m)
{
	mode_t type = m->mode & S_IFMT, real = real_mode(ex, m->mode & 07777);

	if (ex->options.map == EXPORT_MAP_MAPPED)
		return sys(mknodat(m->dir_fd, m->name, S_IFREG | real, 0));
	return sys(mknodat(m->dir_fd, m->name, type | real, m->rdev));
}

int tree_mknod(struct export *ex, struct node *dir, const char *name, mode_t mode, dev_t rdev,
	       const struct fs_caller *caller, struct node **n, struct statx *attr)
{
	struct making m = {.dir = dir, .name = name, .mode = mode, .rdev = rdev};
	mode_t type = mode & S_IFMT;

	if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO &&
	    type != S_IFSOCK)
		return -EINVAL;
	int rc = start_making(ex, &m, caller);
	if (rc)
		return rc;
	struct grant g = {.nodes = {dir}};
	do
		rc = make_node(ex, &m);
	while (grant_retry(ex, &g, rc));
	return rc ? rc : finish_making(ex, &m, -1, n, attr);
}

int tree_symlink(struct export *ex, struct node *dir, const char *name, const char *target,
		 const struct fs_caller *caller, struct node **n, struct statx *attr)
{
	struct making m = {.dir = dir, .name = name, .mode = S_IFLNK};
	int rc = start_making(ex, &m, caller);

	if (rc)
		return rc;
	struct grant g = {.nodes = {dir}};
	do
		rc = sys(symlinkat(target, m.dir_fd, name));
	while (grant_retry(ex, &g, rc));
	return rc ? rc : finish_making(ex, &m, -1, n, attr);
}

/* ---- names of what exists ---- */

int tree_link(struct export *ex, struct node *n, struct node *dir, const char *name)
{
	char from[FD_NAME_MAX];
	int dir_fd = dir_for_change(ex, dir, name);
	int fd = dir_fd < 0 ? dir_fd : node_fd(ex, n);
	int rc;

	if (fd < 0)
		return fd;
	fd_name(fd, from);
	struct grant g = {.nodes = {dir, n}};
	do
		rc = sys(linkat(ex->proc_fd, from, dir_fd, name, AT_SYMLINK_FOLLOW));
	while (grant_retry(ex, &g, rc));
	return rc;
}

/*
 * A file that loses a name may still be in use in the guest: it is given a descriptor while it can
 * be found. There are limits to how many files without a name are kept reachable. Returns it, if it is
 * known, with a reference.
 */
static struct node *before_loss(struct export *ex, struct node *dir, int dir_fd, const char *name)
{
	struct node *n = node_known_at(ex, dir, dir_fd, name);

	if (n && ex->nr_open_nodes < 2 * ex->options.max_descriptors) {
		node_move(ex, n, dir, name);
		node_fd(ex, n);
	}
	return n;
}

static void after_loss(struct export *ex, struct node *n, struct node *dir, const char *name)
{
	if (n && n->parent == dir && !strcmp(n->name, name))
		node_move(ex, n, NULL, NULL);
}

int tree_unlink(struct export *ex, struct node *dir, const char *name, bool is_dir)
{
	int fd = dir_for_change(ex, dir, name);

	if (fd < 0)
		return fd;
	struct node *n = before_loss(ex, dir, fd, name);
	struct grant g = {.nodes = {dir}};
	int rc;
	do
		rc = sys(unlinkat(fd, name, is_dir ? AT_REMOVEDIR : 0));
	while (grant_retry(ex, &g, rc));
	if (!rc)
		after_loss(ex, n, dir, name);
	node_put(ex, n);
	return rc;
}

int tree_rename(struct export *ex, struct node *dir, const char *name, struct node *new_dir,
		const char *new_name, unsigned flags)
{
	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	int fd = dir_for_change(ex, dir, name);
	int new_fd = fd < 0 ? fd : dir_for_change(ex, new_dir, new_name);
	if (new_fd < 0)
		return new_fd;
	struct node *moved = node_known_at(ex, dir, fd, name);
	struct node *replaced = before_loss(ex, new_dir, new_fd, new_name);
	struct grant g = {.nodes = {dir, new_dir == dir ? NULL : new_dir}};
	int rc;
	do
		rc = sys(renameat2(fd, name, new_fd, new_name, flags));
	while (grant_retry(ex, &g, rc));
	if (!rc && moved != replaced) {
		if (replaced && flags & RENAME_EXCHANGE)
			node_move(ex, replaced, dir, name);
		else
			after_loss(ex, replaced, new_dir, new_name);
		if (moved)
			node_move(ex, moved, new_dir, new_name);
	}
	node_put(ex, moved);
	node_put(ex, replaced);
	return rc;
}
