/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the FUSE server share. Private to this folder.
 */
#ifndef BACKEND_FS_FUSE_IMPL_H
#define BACKEND_FS_FUSE_IMPL_H

#include <linux/fuse.h>
#include <linux/limits.h>

#include "backend/fs/fuse.h"
#include "backend/fs/htable.h"
#include "backend/fs/wait.h"
#include "base/base.h"

#define FUSE_TRANSFER_MAX (1u << 20) /* bytes of data: 256 pages, the most the kernel asks for */

struct fuse {
	struct export *ex;
	enum fuse_cache cache;
	bool is_ready; /* FUSE_INIT was answered */
	bool has_long_setxattr;
	struct htable handles; /* of struct fuse_handle, by fh */
	uint64_t last_fh;
	struct fs_waits waits;
};

struct fuse_handle {
	struct hnode hash;
	struct file *file;
};

/* One request while it is served. */
struct fuse_call {
	struct fuse *f;
	struct fs_request *request;
	struct fs_stream in, out; /* after the headers */
	struct fuse_in_header h;
	struct node *node; /* of h.nodeid, where the operation has one */
	struct fs_caller caller;
	size_t reply_len; /* bytes written after the header */
};

/* Beside 0 and negative errnos, what an operation may return. */
enum { FUSE_NO_REPLY = 1, FUSE_WAITS = 2 };

typedef int (*fuse_fn)(struct fuse_call *c);

/* The operation of an opcode, NULL when there is none. */
struct fuse_operation {
	fuse_fn fn;
	unsigned args; /* bytes of its fixed arguments; the operation reads them */
	bool has_node;
};
const struct fuse_operation *fuse_tree_operation(uint32_t opcode);
const struct fuse_operation *fuse_file_operation(uint32_t opcode);

/* Appends to the response: 0, or -ERANGE when the room ends. */
int fuse_reply(struct fuse_call *c, const void *data, size_t len);

/* Reads the name that is next. -EINVAL when it is none. */
int fuse_name(struct fuse_call *c, char name[NAME_MAX + 2]);

/* A node the client may name, NULL otherwise. */
struct node *fuse_node(struct fuse *f, uint64_t id);

/* A handle's file, NULL unless it is one of that node. */
struct file *fuse_file(struct fuse *f, uint64_t fh, const struct node *n);
uint64_t fuse_add_handle(struct fuse *f, struct file *file);
void fuse_set_handle(struct fuse *f, struct file *file, uint64_t fh);

/* Closes a handle of the node with that id, which the client may have forgotten already. */
int fuse_close_handle(struct fuse *f, uint64_t fh, uint64_t id);

/*
 * An entry for a node just found, with the reference that comes with it: the client's count takes
 * it over.
 */
void fuse_fill_entry(struct fuse *f, struct node *n, const struct statx *attr,
		     struct fuse_entry_out *out);
void fuse_fill_attr(const struct statx *attr, struct fuse_attr *out);
uint64_t fuse_valid_seconds(const struct fuse *f);

#endif
