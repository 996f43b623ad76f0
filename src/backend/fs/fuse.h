/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FUSE server for one export, as the guest's virtiofs driver speaks it (include/uapi/linux/fuse.h of
 * the kernel, version 7.31 and later). One session: from FUSE_INIT to FUSE_DESTROY or a reset.
 *
 * Left out: writeback caching, POSIX ACLs, DAX windows, ioctl, poll, O_TMPFILE. The guest's kernel
 * answers its programs for those.
 *
 * All functions run on the thread of the server's loop.
 */
#ifndef BACKEND_FS_FUSE_H
#define BACKEND_FS_FUSE_H

#include "backend/fs/export.h"
#include "host/loop.h"

/* For how long the guest trusts what it knows of files that the host may change as well. */
enum fuse_cache {
	FUSE_CACHE_NONE,   /* not at all; data are not cached, so files cannot be mapped shared */
	FUSE_CACHE_AUTO,   /* a second; data until the file has another size or time */
	FUSE_CACHE_ALWAYS, /* as if the host never changed anything */
};

struct fuse;

/* The export stays the caller's and outlives the server. */
struct fuse *fuse_new(struct export *ex, enum fuse_cache cache, struct loop *loop);
void fuse_free(struct fuse *f); /* NULL is fine */

/* Serves a request; see struct fs_request. */
void fuse_submit(struct fuse *f, struct fs_request *r);

/* Ends all requests that wait, with EINTR. */
void fuse_drain(struct fuse *f);

/* Ends the session: files are closed, nodes and locks forgotten. */
void fuse_reset(struct fuse *f);

/* The session as bytes (backend/fs/saved.h), and back. Drained. Bad bytes: -EINVAL, and none. */
void fuse_save(struct fuse *f, struct buf *out);
int fuse_load(struct fuse *f, const void *data, size_t len);

/* Tries those that wait for locks again; happens by itself when there is a loop. */
void fuse_retry(struct fuse *f);

#endif
