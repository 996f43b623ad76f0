/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes of nodes: reading and changing them.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

int node_stat(struct export *ex, struct node *n, struct statx *attr)
{
	struct grant g = {.nodes = {n->parent}};
	struct place p;
	int rc;

	do {
		rc = node_place(ex, n, &p);
		if (!rc)
			rc = place_statx(&p, attr);
	} while (grant_retry(ex, &g, rc));
	if (rc)
		return rc == -ENOENT ? -ESTALE : rc;
	if (!node_is_same(n, attr))
		return -ESTALE;
	map_attr(ex, &p, n, attr);
	return 0;
}

int file_stat(struct export *ex, struct file *f, struct statx *attr)
{
	struct place p = {f->fd, ""};
	int rc = place_statx(&p, attr);

	if (!rc)
		map_attr(ex, &p, f->node, attr);
	return rc;
}

/* Coarser than the clock any file system takes its times from. */
#define TIMES_TELL_NS (50 * NS_PER_MS)

bool file_is_as_before(struct file *f)
{
	struct node *n = f->node;
	struct timespec now;
	struct statx stx;

	if (place_statx(&(struct place){f->fd, ""}, &stx) || clock_gettime(CLOCK_REALTIME, &now))
		return false;
	uint64_t ctime_ns = (uint64_t)stx.stx_ctime.tv_sec * NS_PER_SEC + stx.stx_ctime.tv_nsec;
	uint64_t now_ns = (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
	bool is_same =
		n->seen_ctime_ns && n->seen_ctime_ns == ctime_ns && n->seen_size == stx.stx_size;

	/* A change right after this could leave the same time, and another one from the future any. */
	bool can_tell = ctime_ns < now_ns && now_ns - ctime_ns > TIMES_TELL_NS;
	n->seen_ctime_ns = can_tell ? ctime_ns : 0;
	n->seen_size = stx.stx_size;
	return is_same;
}

int node_readlink(struct export *ex, struct node *n, char *target, size_t size)
{
	if (!S_ISLNK(n->type))
		return -EINVAL;
	int fd = node_fd(ex, n);
	if (fd < 0)
		return fd;
	return sys(readlinkat(fd, "", target, size));
}

/* ---- changes; fd is any descriptor of the node, raw what the host says of it ---- */

static bool keeps_attributes(const struct statx *raw)
{
	return S_ISREG(raw->stx_mode) || S_ISDIR(raw->stx_mode);
}

static int change_mapped_owner(struct export *ex, struct node *n, int fd, const struct statx *raw,
			       const struct fs_changes *c)
{
	struct mapped_stat m;
	uint32_t plain_gid = raw->stx_gid == ex->gid ? 0 : raw->stx_gid;

	if (!keeps_attributes(raw))
		return 0; /* links and pipes have no room for it: they stay root's */
	mapped_read(ex, &(struct place){fd, ""}, n, &m);
	if (c->which & FS_CHANGE_UID) {
		m.has_uid = c->uid;
		m.uid = c->uid;
	}
	if (c->which & FS_CHANGE_GID) {
		m.has_gid = c->gid != plain_gid;
		m.gid = c->gid;
	}
	if (S_ISREG(raw->stx_mode))
		m.bits = 0;
	return mapped_write(ex, n, fd, &m);
}

static int change_owner(struct export *ex, struct node *n, int fd, const struct statx *raw,
			const struct fs_changes *c)
{
	uid_t uid = c->which & FS_CHANGE_UID ? c->uid : (uid_t)-1;
	gid_t gid = c->which & FS_CHANGE_GID ? c->gid : (gid_t)-1;

	if (ex->options.map == EXPORT_MAP_NONE)
		return sys(fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	if (ex->options.map == EXPORT_MAP_MAPPED && raw->stx_uid == ex->uid)
		return change_mapped_owner(ex, n, fd, raw, c);
	struct statx seen = *raw;
	map_attr(ex, &(struct place){fd, ""}, n, &seen);
	if ((uid != (uid_t)-1 && uid != seen.stx_uid) || (gid != (gid_t)-1 && gid != seen.stx_gid))
		return -EPERM;
	return 0;
}

/*
 * With a map, set-id bits never reach the host's file: they would let other users of the host run
 * what the guest wrote as this one.
 */
static int change_mode(struct export *ex, struct node *n, int fd, const struct statx *raw,
		       uint32_t mode)
{
	mode_t real = mode & (ex->options.map == EXPORT_MAP_NONE ? 07777 : 01777);
	char name[FD_NAME_MAX];

	if (S_ISLNK(raw->stx_mode))
		return -EOPNOTSUPP;
	fd_name(fd, name);
	if (fchmodat(ex->proc_fd, name, real, 0))
		return -errno;
	if (ex->options.map != EXPORT_MAP_MAPPED || !keeps_attributes(raw) ||
	    raw->stx_uid != ex->uid)
		return 0;
	struct mapped_stat m;
	mapped_read(ex, &(struct place){fd, ""}, n, &m);
	if (m.bits == (mode & (S_ISUID | S_ISGID)))
		return 0;
	m.bits = mode & (S_ISUID | S_ISGID);
	return mapped_write(ex, n, fd, &m);
}

static int kill_privileges(struct export *ex, struct node *n, int fd, const struct statx *raw)
{
	struct statx seen = *raw;

	if (!S_ISREG(raw->stx_mode))
		return 0;
	map_attr(ex, &(struct place){fd, ""}, n, &seen);
	node_xattr_remove(ex, n, "security.capability");
	uint32_t kept = seen.stx_mode & ~S_ISUID;
	if (kept & S_IXGRP)
		kept &= ~S_ISGID;
	return kept == seen.stx_mode ? 0 : change_mode(ex, n, fd, raw, kept);
}

static int change_size(struct export *ex, struct node *n, const struct fs_changes *c)
{
	struct file *f = c->file;
	int rc;

	if (c->size > INT64_MAX)
		return -EFBIG;
	if (f && (f->flags & O_ACCMODE) != O_RDONLY)
		return sys(ftruncate(f->fd, (off_t)c->size));
	rc = node_open(ex, n, O_WRONLY, &f);
	if (rc)
		return rc;
	rc = sys(ftruncate(f->fd, (off_t)c->size));
	file_close(ex, f);
	return rc;
}

static int change_times(struct export *ex, int fd, const struct fs_changes *c)
{
	struct timespec times[2] = {c->times[0], c->times[1]};
	char name[FD_NAME_MAX];

	if (!(c->which & FS_CHANGE_ATIME))
		times[0].tv_nsec = UTIME_OMIT;
	if (!(c->which & FS_CHANGE_MTIME))
		times[1].tv_nsec = UTIME_OMIT;
	fd_name(fd, name);
	return sys(utimensat(ex->proc_fd, name, times, 0));
}

int node_change(struct export *ex, struct node *n, const struct fs_changes *c)
{
	if (ex->options.is_read_only)
		return -EROFS;
	int fd = c->file ? c->file->fd : node_fd(ex, n);
	if (fd < 0)
		return fd;
	struct statx raw;
	int rc = place_statx(&(struct place){fd, ""}, &raw);

	if (!rc && c->which & (FS_CHANGE_UID | FS_CHANGE_GID))
		rc = change_owner(ex, n, fd, &raw, c);
	if (!rc && c->which & FS_CHANGE_KILL_PRIV)
		rc = kill_privileges(ex, n, fd, &raw);
	if (!rc && c->which & FS_CHANGE_MODE)
		rc = change_mode(ex, n, fd, &raw, c->mode);
	if (!rc && c->which & FS_CHANGE_SIZE)
		rc = change_size(ex, n, c);
	if (!rc && c->which & (FS_CHANGE_ATIME | FS_CHANGE_MTIME))
		rc = change_times(ex, fd, c);
	return rc;
}
