/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ways have in common: the two lists, plugging, and the synchronous way.
 */
#include "backend/block/aio.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/block/aio_impl.h"
#include "base/buf.h"

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

const struct aio_way aio_way_sync = {"sync", sync_open, sync_close, sync_send, sync_reap};

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
	list_init(&aio->queued);
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
	BUG_ON(aio->nr_in_flight || !list_is_empty(&aio->queued));
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

void aio_submit(struct aio *aio, struct aio_req *req)
{
	BUG_ON(!aio->depth && !aio->is_running);
	aio->stats.requests++;
	list_append(req->op == AIO_NOTHING ? &aio->completed : &aio->queued, &req->node);
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

void aio_run(struct aio *aio)
{
	if (aio->is_running)
		return;
	aio->is_running = true;
	if (aio->begin)
		aio->begin(aio->ctx);
	do {
		if (!list_is_empty(&aio->queued))
			aio->way->send(aio);
		aio->way->reap(aio, false);
	} while (call_back(aio) || (!aio->nr_in_flight && !list_is_empty(&aio->queued)));
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
		if (!aio->nr_in_flight && list_is_empty(&aio->queued))
			return;
		aio->way->reap(aio, true);
	}
}
