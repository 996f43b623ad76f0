/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests that wait for a lock. The thread never does: such a request is tried again, every few
 * milliseconds, until the lock is there or the client gives up. On the server's loop thread.
 */
#ifndef BACKEND_FS_WAIT_H
#define BACKEND_FS_WAIT_H

#include "backend/fs/export.h"
#include "host/loop.h"

/* What a client waits for: a POSIX lock of an owner, or flock(). */
struct fs_wait {
	struct list link;
	struct fs_request *request;
	uint64_t id; /* the request's, in its protocol */
	struct file *file;
	uint64_t owner;
	struct flock lock;
	int flock_operation; /* 0: a POSIX lock */
};

struct fs_waits {
	struct export *ex;
	struct list waiting;
	unsigned nr;
	struct loop_timer timer;

	/* Answers a request: 0, or the negative errno of its end. */
	void (*finish)(struct fs_waits *waits, struct fs_request *r, uint64_t id, int rc);
};

/* loop: NULL leaves retrying to the caller. */
void fs_waits_init(struct fs_waits *waits, struct export *ex, struct loop *loop,
		   void (*finish)(struct fs_waits *, struct fs_request *, uint64_t, int));
void fs_waits_fini(struct fs_waits *waits); /* none may be waiting */

/* Tries once. Returns as file_lock(). */
int fs_wait_try(struct export *ex, const struct fs_wait *wait);

/* Keeps a copy of wait and tries until it ends. -ENOLCK when too many wait. */
int fs_waits_add(struct fs_waits *waits, const struct fs_wait *wait);

/* Tries all again. */
void fs_waits_retry(struct fs_waits *waits);

/* End with -EINTR: the request of that id; those about a file, which is being closed; all. */
bool fs_waits_cancel(struct fs_waits *waits, uint64_t id);
void fs_waits_cancel_file(struct fs_waits *waits, const struct file *f);
void fs_waits_cancel_all(struct fs_waits *waits);

#endif
