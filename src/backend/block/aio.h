/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on files that do not make the caller wait. Requests are queued, sent together, and
 * their callbacks run on the thread of the loop the context was made for. One context belongs to one
 * disk with all files of its chain; no locks.
 *
 * Three ways stand behind it: io_uring, a pool of threads, and (without a loop) plain system calls
 * on the calling thread, which suits tools.
 */
#ifndef BACKEND_BLOCK_AIO_H
#define BACKEND_BLOCK_AIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/list.h"

struct aio;
struct aio_req;
struct loop;

enum aio_kind {
	AIO_AUTO, /* io_uring where the host has it, else threads; sync without a loop */
	AIO_URING,
	AIO_THREADS,
	AIO_SYNC,
};

enum aio_op {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC_DATA, /* fdatasync() */
	AIO_ALLOCATE,  /* fallocate() with mode */
	AIO_NOTHING,   /* completes with result, which the caller has set, without a system call */
};

/* Called once per request, never from within aio_submit(). May submit more. */
typedef void (*aio_done_fn)(struct aio_req *req);

/* A request, embedded in its owner and his again when done is called. */
struct aio_req {
	enum aio_op op;
	int fd;
	int mode;	/* AIO_ALLOCATE */
	bool is_cached; /* AIO_READ, AIO_WRITE: to or from the page cache */
	bool is_quick;	/* the same, and short */
	uint64_t offset, len;
	const struct iovec *iov; /* AIO_READ, AIO_WRITE; stays valid until done */
	unsigned nr_iov;	 /* at most IOV_MAX */
	int64_t result;		 /* bytes moved (which can be fewer), 0, or a negative errno */
	aio_done_fn done;
	struct list node;
};

struct aio_stats {
	uint64_t requests;
	uint64_t calls; /* system calls made for them on the loop's thread */
};

/*
 * loop NULL: AIO_SYNC. AIO_AUTO falls back without a word; a kind asked for by name that the host or
 * this build cannot do is an error. Any thread.
 */
struct aio *aio_new(struct loop *loop, enum aio_kind kind, struct error *err);
void aio_free(struct aio *aio); /* nothing is in flight; NULL is fine */

/* The name of what was chosen: "io_uring", "threads", "sync". */
const char *aio_name(const struct aio *aio);

/*
 * Queues a request. Between aio_plug() and aio_unplug(), or from a done callback. What has been
 * queued is sent by the outermost aio_unplug(), which also calls done of all that is complete.
 */
void aio_submit(struct aio *aio, struct aio_req *req);
void aio_plug(struct aio *aio);
void aio_unplug(struct aio *aio);

/* Waits until nothing is in flight, nor anything that done callbacks submit. Not from done. */
void aio_drain(struct aio *aio);

/* begin and end are called around each run of done callbacks; NULL: nothing is. */
void aio_on_completions(struct aio *aio, void (*begin)(void *ctx), void (*end)(void *ctx),
			void *ctx);

const struct aio_stats *aio_stats(const struct aio *aio);

#endif
