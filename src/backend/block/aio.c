/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ways have in common: the two lists, plugging, and the synchronous way.
 */
#include "backend/block/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/block/aio_impl.h"
#include "base/buf.h"

/* Of writes by a thread that borrowed the loop: what is slow, and how long they are avoided then. */
#define SLOW_NS	     NS_PER_MS
#define AVOID_MIN_NS (100 * NS_PER_MS)
#define AVOID_MAX_NS (60 * NS_PER_SEC)

void aio_perform(struct aio_req *req)
{
	int64_t n = 0;

	do {
		switch (req->op) {
		case AIO_READ:
			n = preadv(req->fd, req->iov, (int)req->nr_iov, (off_t)req->offset);
			break;
		case AIO_WRITE:
			n = pwritev(req->fd, req->iov, (int)req->nr_iov, (off_t)req->offset);
			break;
		case AIO_SYNC_DATA:
			n = fdatasync(req->fd);
			break;
		case AIO_ALLOCATE:
			n = fallocate(req->fd, req->mode, (off_t)req->offset, (off_t)req->len);
			break;
		case AIO_NOTHING:
			return;
		}
	} while (n < 0 && errno == EINTR);
	req->result = n < 0 ? -errno : n;
}

/* ---- the synchronous way ---- */

static int sync_open(struct aio *aio, struct error *err)
{
	return 0;
}

static void sync_close(struct aio *aio)
{
}

static void sync_send(struct aio *aio)
{
	while (!list_is_empty(&aio->queued)) {
		struct aio_req *req = list_entry(aio->queued.next, struct aio_req, node);

		list_remove(&req->node);
		aio_perform(req);
		aio->stats.calls++;
		list_append(&aio->completed, &req->node);
	}
}

static void sync_reap(struct aio *aio, bool wait)
{
}

const struct aio_way aio_way_sync = {"sync", false, sync_open, sync_close, sync_send, sync_reap};

/* ---- common ---- */

static int try_way(struct aio *aio, const struct aio_way *way, struct error *err)
{
	int rc = way->open(aio, err);

	if (!rc)
		aio->way = way;
	return rc;
}

struct aio *aio_new(struct loop *loop, enum aio_kind kind, struct error *err)
{
	struct aio *aio = mem_alloc_zero(sizeof(*aio));
	int rc;

	aio->loop = loop;
	list_init(&aio->run_work.node);
	list_init(&aio->queued);
	list_init(&aio->long_writes);
	list_init(&aio->completed);
	if (!loop || kind == AIO_SYNC)
		rc = try_way(aio, &aio_way_sync, err);
	else if (kind == AIO_URING)
		rc = try_way(aio, &aio_way_uring, err);
	else if (kind == AIO_THREADS)
		rc = try_way(aio, &aio_way_threads, err);
	else
		rc = try_way(aio, &aio_way_uring, NULL) ? try_way(aio, &aio_way_threads, err) : 0;
	if (rc) {
		free(aio);
		return NULL;
	}
	return aio;
}

void aio_free(struct aio *aio)
{
	if (!aio)
		return;
	BUG_ON(aio->nr_in_flight || !list_is_empty(&aio->queued) ||
	       !list_is_empty(&aio->long_writes));
	if (aio->loop)
		loop_cancel(aio->loop, &aio->run_work);
	aio->way->close(aio);
	free(aio);
}

const char *aio_name(const struct aio *aio)
{
	return aio->way->name;
}

const struct aio_stats *aio_stats(const struct aio *aio)
{
	return &aio->stats;
}

void aio_on_completions(struct aio *aio, void (*begin)(void *ctx), void (*end)(void *ctx),
			void *ctx)
{
	aio->begin = begin;
	aio->end = end;
	aio->ctx = ctx;
}

static struct list *list_for(struct aio *aio, const struct aio_req *req)
{
	if (req->op == AIO_NOTHING)
		return &aio->completed;
	if (req->op == AIO_WRITE && req->is_cached && !req->is_quick &&
	    aio->way->leaves_cached_writes)
		return &aio->long_writes;
	return &aio->queued;
}

void aio_submit(struct aio *aio, struct aio_req *req)
{
	BUG_ON(!aio->depth && !aio->is_running);
	aio->stats.requests++;
	list_append(list_for(aio, req), &req->node);
}

void aio_plug(struct aio *aio)
{
	aio->depth++;
}

/* Calls back for what is complete now. Returns whether there was anything. */
static bool call_back(struct aio *aio)
{
	bool was_any = false;

	while (!list_is_empty(&aio->completed)) {
		struct aio_req *req = list_entry(aio->completed.next, struct aio_req, node);

		list_remove(&req->node);
		req->done(req);
		was_any = true;
	}
	return was_any;
}

/*
 * A short write to the page cache takes microseconds but where the host is short of memory or busy with
 * its journal: after one that took long they are left to the loop's thread for a while, twice as long each
 * time until all is well again.
 */
static bool write_and_see(struct aio *aio, struct aio_req *req)
{
	uint64_t begin = host_now_ns(), end;

	if (begin < aio->avoid_until_ns)
		return false;
	aio_perform(req);
	aio->stats.calls++;
	end = host_now_ns();
	if (end - begin > SLOW_NS) {
		aio->avoid_ns = min(max(aio->avoid_ns * 2, AVOID_MIN_NS), AVOID_MAX_NS);
		aio->avoid_until_ns = end + aio->avoid_ns;
	} else if (end - aio->avoid_until_ns > aio->avoid_ns) {
		aio->avoid_ns = 0;
	}
	return true;
}

static bool move_without_waiting(struct aio *aio, struct aio_req *req, bool *is_refused)
{
	int nr = (int)req->nr_iov;
	off_t offset = (off_t)req->offset;

	aio->stats.calls++;
	req->result = req->op == AIO_WRITE ? pwritev2(req->fd, req->iov, nr, offset, RWF_NOWAIT)
					   : preadv2(req->fd, req->iov, nr, offset, RWF_NOWAIT);
	*is_refused = req->result < 0 && errno == EOPNOTSUPP;
	return req->result > 0;
}

/* Moves what the page cache can give or take at once. False: it cannot, or there is more to it. */
static bool move_cached(struct aio *aio, struct aio_req *req)
{
	bool writes = req->op == AIO_WRITE, *is_refused = &aio->refuses_nowait[writes];

	if (!req->is_quick)
		return false;
	if (!*is_refused && move_without_waiting(aio, req, is_refused))
		return true;
	return *is_refused && writes && write_and_see(aio, req);
}

static void move_all_cached(struct aio *aio)
{
	list_for_each_safe (it, &aio->queued) {
		if (!move_cached(aio, list_entry(it, struct aio_req, node)))
			continue;
		list_remove(it);
		list_append(&aio->completed, it);
	}
}

static void run_what_is_left(struct loop_work *w)
{
	aio_run(container_of(w, struct aio, run_work));
}

/* A thread that borrowed the loop does what is there at once, and leaves the rest to the loop. */
static void run_borrowed(struct aio *aio)
{
	do
		move_all_cached(aio);
	while (call_back(aio));
	if (!list_is_empty(&aio->queued) || !list_is_empty(&aio->long_writes))
		loop_post(aio->loop, &aio->run_work, run_what_is_left);
}

/* One of them, and whoever waits for it need not wait for the next. False: there is none. */
static bool write_long(struct aio *aio)
{
	struct aio_req *req;

	if (list_is_empty(&aio->long_writes))
		return false;
	req = list_entry(aio->long_writes.next, struct aio_req, node);
	list_remove(&req->node);
	aio_perform(req);
	aio->stats.calls++;
	req->done(req);
	if (aio->end) {
		aio->end(aio->ctx);
		aio->begin(aio->ctx);
	}
	return true;
}

static void run_owned(struct aio *aio)
{
	do {
		if (!list_is_empty(&aio->queued))
			aio->way->send(aio);
		aio->way->reap(aio, false);
	} while (call_back(aio) || write_long(aio) ||
		 (!aio->nr_in_flight && !list_is_empty(&aio->queued)));
}

void aio_run(struct aio *aio)
{
	if (aio->is_running)
		return;
	aio->is_running = true;
	if (aio->begin)
		aio->begin(aio->ctx);
	if (aio->loop && loop_is_borrowed(aio->loop))
		run_borrowed(aio);
	else
		run_owned(aio);
	aio->is_running = false;
	if (aio->end)
		aio->end(aio->ctx);
}

void aio_unplug(struct aio *aio)
{
	BUG_ON(!aio->depth);
	if (!--aio->depth)
		aio_run(aio);
}

void aio_drain(struct aio *aio)
{
	BUG_ON(aio->is_running);
	for (;;) {
		aio_run(aio);
		if (!aio->nr_in_flight && list_is_empty(&aio->queued) &&
		    list_is_empty(&aio->long_writes))
			return;
		aio->way->reap(aio, true);
	}
}
