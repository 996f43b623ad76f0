/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What aio.c and the ways to do input and output share. Private to backend/block/.
 */
#ifndef BACKEND_BLOCK_AIO_IMPL_H
#define BACKEND_BLOCK_AIO_IMPL_H

#include "backend/block/aio.h"
#include "host/loop.h"

/* A way: all on the loop's thread. */
struct aio_way {
	const char *name;

	/*
	 * Writes to the page cache are not for this way, which would have another thread do one after the
	 * other, each with a wake-up of ours. They are done on the loop's thread.
	 */
	bool leaves_cached_writes;

	/* Makes its own state. Returns 0, or a negative errno with err when the host lacks it. */
	int (*open)(struct aio *aio, struct error *err);
	void (*close)(struct aio *aio);

	/* Takes requests off aio->queued for as long as there is room, and sends them. */
	void (*send)(struct aio *aio);

	/* Moves what is complete to aio->completed. wait: sleeps until something is. */
	void (*reap)(struct aio *aio, bool wait);
};

struct aio {
	const struct aio_way *way;
	void *state; /* the way's */
	struct loop *loop;
	struct list queued, completed;
	struct list long_writes; /* to the page cache, each of which takes a while */
	unsigned depth;		 /* of plugs */
	bool is_running;
	unsigned nr_in_flight;	   /* sent and not reaped */
	struct loop_work run_work; /* what a thread that borrowed the loop leaves to it */
	bool refuses_nowait[2];	   /* reads, writes: a file system cannot say that it would wait */
	uint64_t avoid_ns; /* how long a borrower leaves such writes to the loop after a slow one */
	uint64_t avoid_until_ns;
	struct aio_stats stats;
	void (*begin)(void *ctx), (*end)(void *ctx); /* around callbacks, or NULL */
	void *ctx;
};

extern const struct aio_way aio_way_uring, aio_way_threads, aio_way_sync;

/* One request by plain system calls, on any thread. */
void aio_perform(struct aio_req *req);

/* Sends, reaps and calls back until nothing moves without waiting. For a way's loop callbacks. */
void aio_run(struct aio *aio);

#endif
