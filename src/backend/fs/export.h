/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A directory tree of the host as file servers see it: nodes (files of any type that a client knows),
 * open files, and the operations on them. Both protocols, 9P and FUSE, are thin layers over this.
 *
 * A client cannot leave the tree. Names are single components, checked here; every one is looked up
 * below a descriptor of its directory, without following links; what a link says is for the guest to
 * resolve. Only regular files and directories are ever opened, and by their inode: an O_PATH
 * descriptor is checked first and reopened then, so that what changes in between does no harm.
 *
 * Nodes are kept by device and inode number, with the place (directory and name) they were last seen
 * at. A node has a descriptor only while it is used often; others are found again by their place,
 * and checked to be the same file. A client may therefore know any number of files.
 *
 * All functions return 0 or a negative errno unless they say otherwise, and belong to one thread per
 * export. None waits for anything but the file system. /proc must be mounted.
 */
#ifndef BACKEND_FS_EXPORT_H
#define BACKEND_FS_EXPORT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "backend/fs/message.h"
#include "base/buf.h"
#include "base/error.h"

/* How owners and modes of the host's files relate to those the guest sees. */
enum export_map {
	/* They are the same. What the host does not let this user do fails. */
	EXPORT_MAP_NONE,
	/* This user's files are root's in the guest; what anybody there makes is this user's. */
	EXPORT_MAP_SQUASH,
	/*
	 * As squash, and what the host does not let this user do is kept in the extended attribute
	 * user.bantam.stat of the file: other owners, set-id bits, the type of device nodes.
	 */
	EXPORT_MAP_MAPPED,
};

struct export_options {
	bool is_read_only;
	enum export_map map;
	unsigned max_descriptors; /* for nodes, and again for open files; at least 16 */
};

struct export;
struct node;
struct file;

/* Whom a request is made for, in the guest's numbers: owns what is created. */
struct fs_caller {
	uint32_t uid, gid;
};

/* path must name a directory. Returns NULL with err. */
struct export *export_open(const char *path, const struct export_options *options,
			   struct error *err);

/* All references and files must have been given back. NULL is fine. */
void export_close(struct export *ex);

/* Call between requests: closes descriptors over the limit. None is closed within a request. */
void export_trim(struct export *ex);

bool export_is_read_only(const struct export *ex);
int export_statvfs(struct export *ex, struct statvfs *out, uint32_t *type);
int export_sync(struct export *ex);

/* ---- nodes ---- */

/* Borrowed; lives as long as the export. */
struct node *export_root(struct export *ex);

/* The node of an id given out by node_id(), NULL when nobody holds a reference on it any more. */
struct node *export_node(struct export *ex, uint64_t id);
uint64_t node_id(const struct node *n); /* never 0; the root's is 1 */

/* Tells apart the uses of one id. */
uint64_t node_generation(const struct node *n);
uint32_t node_type(const struct node *n); /* S_IFMT bits as the host has them */

void node_get(struct node *n);
void node_put(struct export *ex, struct node *n);

/*
 * How many times the client was given the node, for protocols in which it counts. Adding the first
 * takes a reference, dropping the last gives it back; dropping more than there are drops all.
 */
void node_count(struct export *ex, struct node *n);
void node_uncount(struct export *ex, struct node *n, uint64_t nr);
bool node_is_counted(const struct node *n);
void export_uncount_all(struct export *ex);

/* -EINVAL unless name is one component: not empty, ".", "..", over 255 bytes, or with a slash. */
int fs_name_check(const char *name);

/*
 * Finds name in a directory and takes a reference on it. attr is what the guest is to see of it:
 * owners, mode and device mapped, stx_ino unique in the export.
 */
int node_lookup(struct export *ex, struct node *dir, const char *name, struct node **n,
		struct statx *attr);

/* The directory a node was last seen in, borrowed; the root's is the root. NULL when not known. */
struct node *node_parent(struct export *ex, const struct node *n);
const char *node_name(const struct node *n); /* in it; NULL for the root and when not known */

/* -ESTALE when the file is not to be found any more. */
int node_stat(struct export *ex, struct node *n, struct statx *attr);

/* The target's bytes, not terminated. Returns their number. */
int node_readlink(struct export *ex, struct node *n, char *target, size_t size);

enum fs_change {
	FS_CHANGE_MODE = 1,
	FS_CHANGE_UID = 2,
	FS_CHANGE_GID = 4,
	FS_CHANGE_SIZE = 8,
	FS_CHANGE_ATIME = 16,
	FS_CHANGE_MTIME = 32,
	FS_CHANGE_KILL_PRIV = 64, /* as when somebody without privileges writes */
};

struct fs_changes {
	unsigned which; /* of enum fs_change */
	uint32_t mode, uid, gid;
	uint64_t size;
	struct timespec times[2]; /* access and modification; tv_nsec may be UTIME_NOW */
	struct file *file;	  /* an open file of the node, NULL if there is none */
};

int node_change(struct export *ex, struct node *n, const struct fs_changes *c);

/* ---- the tree; attr and *n as in node_lookup() ---- */

/*
 * Makes and opens a regular file. flags are those of open(). Without O_EXCL an existing file is
 * opened; *file is to be closed.
 */
int tree_create(struct export *ex, struct node *dir, const char *name, int flags, mode_t mode,
		const struct fs_caller *caller, struct node **n, struct file **file,
		struct statx *attr);
int tree_mkdir(struct export *ex, struct node *dir, const char *name, mode_t mode,
	       const struct fs_caller *caller, struct node **n, struct statx *attr);
int tree_mknod(struct export *ex, struct node *dir, const char *name, mode_t mode, dev_t rdev,
	       const struct fs_caller *caller, struct node **n, struct statx *attr);
int tree_symlink(struct export *ex, struct node *dir, const char *name, const char *target,
		 const struct fs_caller *caller, struct node **n, struct statx *attr);
int tree_link(struct export *ex, struct node *n, struct node *dir, const char *name);
int tree_unlink(struct export *ex, struct node *dir, const char *name, bool is_dir);

/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT as for renameat2(). */
int tree_rename(struct export *ex, struct node *dir, const char *name, struct node *new_dir,
		const char *new_name, unsigned flags);

/* ---- open files ---- */

/*
 * flags: access mode, O_TRUNC, O_APPEND, O_SYNC, O_DSYNC; others are left out. -EROFS in a read-only
 * export when something could be written, -ENXIO for what is neither file nor directory.
 */
int node_open(struct export *ex, struct node *n, int flags, struct file **file);
void file_close(struct export *ex, struct file *f); /* NULL is fine */
struct node *file_node(const struct file *f);
int file_stat(struct export *ex, struct file *f, struct statx *attr);

/*
 * Whether a file just opened holds what it held when this was last asked of its node, as far as the
 * host's times tell: what a process of the host writes through a mapping shows in them late. False the
 * first time, and when the file was changed too shortly before.
 */
bool file_is_as_before(struct file *f);

/*
 * Moves up to len bytes at offset from the file to where s stands, or back, and moves s. Returns the
 * number of bytes: fewer than len at the file's end, or when s ends.
 */
ssize_t file_read(struct file *f, uint64_t offset, size_t len, struct fs_stream *s);

/* may_append: an O_APPEND file is written at its end, whatever the offset. */
ssize_t file_write(struct export *ex, struct file *f, uint64_t offset, size_t len,
		   struct fs_stream *s, bool may_append);
int file_sync(struct file *f, bool data_only);
int file_allocate(struct export *ex, struct file *f, int mode, uint64_t offset, uint64_t len);

/* SEEK_DATA and SEEK_HOLE (and the others); *offset is in and out. */
int file_seek(struct file *f, int whence, uint64_t *offset);
ssize_t file_copy(struct export *ex, struct file *in, uint64_t in_offset, struct file *out,
		  uint64_t out_offset, uint64_t len);

/* ---- directories that are open ---- */

struct fs_dirent {
	uint64_t ino;	  /* as in attr */
	uint64_t next;	  /* the offset to go on from after this entry */
	uint8_t type;	  /* DT_* */
	const char *name; /* valid until the next call; "." and ".." are among the names */
};

/* Goes to an offset: 0 or what an entry said. */
int dir_seek(struct file *f, uint64_t offset);

/* The entry there, without moving on. Returns 1, 0 at the end, or a negative errno. */
int dir_peek(struct export *ex, struct file *f, struct fs_dirent *entry);
void dir_advance(struct file *f, const struct fs_dirent *entry);

/* ---- extended attributes ---- */

/*
 * user.* are the file's own, but for those of bantam. security.* and trusted.* are the file's own with
 * EXPORT_MAP_NONE and kept as user.bantam.xattr.* with EXPORT_MAP_MAPPED. Others: -EOPNOTSUPP.
 * get and list append to out.
 */
int node_xattr_get(struct export *ex, struct node *n, const char *name, struct buf *out);
int node_xattr_list(struct export *ex, struct node *n, struct buf *out);
int node_xattr_set(struct export *ex, struct node *n, const char *name, const void *value,
		   size_t len, int flags);
int node_xattr_remove(struct export *ex, struct node *n, const char *name);

/* ---- locks; none waits ---- */

/*
 * POSIX locks of an owner the client names. lock's l_type, l_start and l_len count (l_len 0: to the end).
 * They hold against all processes of the host. Returns -EAGAIN when another's lock is in the way.
 */
int file_lock(struct export *ex, struct file *f, uint64_t owner, const struct flock *lock);
int file_test_lock(struct export *ex, struct file *f, uint64_t owner, struct flock *lock);
void file_unlock_owner(struct export *ex, struct file *f, uint64_t owner);

/* flock() of the open file: LOCK_SH, LOCK_EX or LOCK_UN. -EAGAIN when another's is in the way. */
int file_flock(struct file *f, int operation);

#endif
