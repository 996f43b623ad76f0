/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of an export share (export.h). Private to this folder.
 */
#ifndef BACKEND_FS_EXPORT_IMPL_H
#define BACKEND_FS_EXPORT_IMPL_H

#include <errno.h>
#include <sys/types.h>

#include "backend/fs/export.h"
#include "backend/fs/htable.h"
#include "base/base.h"

/*
 * Nodes a client may make us remember. Each costs some 250 bytes, so a hostile one gets at most a
 * gigabyte; a Linux guest forgets files when its own memory runs short, long before that.
 */
#define NODES_MAX 4000000u

/* Open directories with entries read ahead, 32 KiB each; more lose theirs and read them again. */
#define AHEAD_MAX 256

/* File systems below one export that get inode numbers of their own. More of them share. */
#define DEVICES_MAX 256

struct export
{
	struct export_options options;
	uid_t uid; /* this process's */
	gid_t gid;
	mode_t umask;
	int proc_fd; /* /proc/self/fd */
	struct node *root;

	struct htable nodes; /* by device and inode number */
	struct node **by_id; /* NULL where an id is free */
	uint32_t nr_ids, room_ids;
	struct buf free_ids; /* of uint32_t */
	uint64_t generation;

	struct list
		open_nodes; /* those with a descriptor, least recently used first; not the root */
	unsigned nr_open_nodes;
	unsigned nr_files; /* descriptors of files and locks */

	struct list ahead; /* directories with entries read ahead, longest ago first */
	unsigned nr_ahead;

	uint64_t devices[DEVICES_MAX]; /* the root's first */
	unsigned nr_devices;
};

struct node {
	struct hnode hash; /* in export.nodes */
	struct list lru;   /* in export.open_nodes while fd >= 0 */
	uint64_t dev, ino;
	uint64_t birth_ns; /* tells an inode number's users apart where the file system says it */
	uint64_t refs;	   /* references: of clients, of children for their parent */
	uint64_t count;	   /* node_count() */
	uint64_t generation;
	uint32_t id;
	uint32_t type;	     /* S_IFMT bits */
	int fd;		     /* O_PATH, or -1 */
	struct node *parent; /* a reference; NULL for the root, and when the place is not known */
	char *name;	     /* in parent */
	struct list files;   /* open files of this node */
	struct list locks;   /* lock.c */
	uint64_t seen_ctime_ns; /* file_is_as_before(); 0: not to be relied on */
	uint64_t seen_size;
	bool is_loaded; /* saved.c holds a reference */
};

struct file {
	struct node *node; /* a reference */
	struct list link;  /* in node.files */
	int fd;
	int flags;

	/* Of directories: entries read ahead. offset is where entries[at] begins. */
	char *entries;
	struct list ahead; /* in export.ahead while there are entries */
	size_t len, at;
	uint64_t offset;
	bool must_seek; /* the descriptor is past offset */
};

/* Where system calls find a node: name below fd, or fd itself when name is empty. */
struct place {
	int fd;
	const char *name;
};

/* A system call's result: negative errno instead of -1. */
static inline int sys(long rc)
{
	return rc < 0 ? -errno : (int)rc;
}

/* "/proc/self/fd/N" or "/proc/self/fd/N/name" of a place. */
#define PLACE_PATH_MAX 320
void place_path(const struct place *p, char path[PLACE_PATH_MAX]);

/* Its attribute's value. Returns the length or a negative errno. */
ssize_t place_getxattr(const struct place *p, const char *name, void *value, size_t size);

/* A descriptor's name below export.proc_fd. */
#define FD_NAME_MAX 16
void fd_name(int fd, char name[FD_NAME_MAX]);

/* ---- node.c ---- */

/* A descriptor of the node, O_PATH or better, borrowed until export_trim(); or a negative errno. */
int node_fd(struct export *ex, struct node *n);

/* The cheapest place of a node; valid as a descriptor of node_fd(). */
int node_place(struct export *ex, struct node *n, struct place *p);

/*
 * The node of the file that the host described as stx, found as name in dir; makes one if it is not
 * known. Takes a reference. NULL when there are too many.
 */
struct node *node_at(struct export *ex, struct node *dir, const char *name,
		     const struct statx *stx);

/* The node found as name in dir, if it is known, with a reference; or NULL. */
struct node *node_known_at(struct export *ex, struct node *dir, int dir_fd, const char *name);

/*
 * The node is at another place now; or, with NULL, at none that has a name. The caller has references
 * on both: what either was known by may be what goes.
 */
void node_move(struct export *ex, struct node *n, struct node *dir, const char *name);

/*
 * Gives a node just made another id, for loading. False when the id is in use. Then, before anything
 * else is made: node_settle_ids().
 */
bool node_set_id(struct export *ex, struct node *n, uint32_t id);
void node_settle_ids(struct export *ex);

bool node_is_same(const struct node *n, const struct statx *stx);

/* The inode number the guest sees. */
uint64_t export_ino(struct export *ex, uint64_t dev, uint64_t ino);
uint64_t stx_dev(const struct statx *stx);

/* statx() without mapping. */
int place_statx(const struct place *p, struct statx *stx);

/* ---- access ---- */

/*
 * Root in the guest may do what the mode of a file denies its owner. Where the owner is this process,
 * without root's rights, the operation is tried again with the mode widened meanwhile:
 *
 *	struct grant g = {.nodes = {dir}};
 *	do
 *		rc = sys(mkdirat(...));
 *	while (grant_retry(ex, &g, rc));
 */
struct grant {
	struct node *nodes[2]; /* NULL: none */
	bool is_on;
	struct {
		bool is_widened;
		mode_t mode;
	} saved[2];
};

bool grant_retry(struct export *ex, struct grant *g, int rc);

/* place_statx() of a name in a directory, which may be one that denies it. */
int statx_in(struct export *ex, struct node *dir, const struct place *p, struct statx *stx);

/* ---- map.c ---- */

/* Turns what the host says of a file into what the guest sees. n may be NULL: not known yet. */
void map_attr(struct export *ex, const struct place *p, struct node *n, struct statx *stx);

/* What is kept in the attribute user.bantam.stat. */
struct mapped_stat {
	bool has_uid, has_gid;
	uint32_t uid, gid;
	uint32_t bits; /* S_ISUID and S_ISGID */
	uint32_t type; /* S_IFMT bits of what the host has as an empty file; 0: none */
	uint32_t major, minor;
};

/* A missing attribute reads as nothing kept. */
void mapped_read(struct export *ex, const struct place *p, struct node *n, struct mapped_stat *m);

/* Of the node's own descriptor fd; removes the attribute when nothing is to be kept. */
int mapped_write(struct export *ex, struct node *n, int fd, const struct mapped_stat *m);

/* Gives a file just made, with descriptor fd of any kind, the owner it is to have. */
struct new_owner {
	uint32_t uid, gid;
	bool is_setgid; /* the directory passes on its group */
};
void map_new_owner(struct export *ex, struct node *dir, const struct fs_caller *caller,
		   struct new_owner *owner);

/* ---- dir.c ---- */

/* Forgets what was read ahead of a directory. */
void dir_drop_ahead(struct export *ex, struct file *f);

/* ---- lock.c ---- */
void node_drop_locks(struct export *ex, struct node *n);

/* ---- file.c ---- */

/* Wraps a descriptor, which it takes over. */
struct file *file_new(struct export *ex, struct node *n, int fd, int flags);

/* Whether another file may be open. 0 or -EMFILE. */
int file_room(const struct export *ex);

/* Opens what a descriptor of any kind refers to. Returns a descriptor or a negative errno. */
int reopen(struct export *ex, int fd, int flags);

#endif
