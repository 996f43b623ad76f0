/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Input and output by io_uring: one system call sends a batch, and completions are read from memory.
 * The loop watches the ring's descriptor, which is readable while completions wait. Reads that the
 * page cache can answer are complete when the call that sends them returns.
 */
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "backend/block/aio_impl.h"
#include "base/buf.h"
#include "host/loop.h"

/* Four times a usual queue of a guest. More requests than this wait for completions. */
#define RING_ENTRIES 512

struct uring {
	struct io_uring ring;
	struct loop_fd watch;
	struct aio *aio;
};

static void ring_is_readable(struct loop_fd *w, uint32_t events)
{
	aio_run(container_of(w, struct uring, watch)->aio);
}

/* The operations used came with Linux 5.6; a kernel that lacks one, or forbids io_uring, is left. */
static bool has_operations(struct io_uring *ring)
{
	static const int needed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				     IORING_OP_FALLOCATE};
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool has_all = probe;

	for (unsigned i = 0; has_all && i < ARRAY_SIZE(needed); i++)
		has_all = io_uring_opcode_supported(probe, needed[i]);
	io_uring_free_probe(probe);
	return has_all;
}

static int uring_open(struct aio *aio, struct error *err)
{
	struct uring *u = mem_alloc_zero(sizeof(*u));
	int rc = io_uring_queue_init(RING_ENTRIES, &u->ring, 0);

	if (rc) {
		free(u);
		return error_set_errno(err, rc, "io_uring");
	}
	u->aio = aio;
	u->watch = (struct loop_fd){.fd = u->ring.ring_fd, .fn = ring_is_readable};
	rc = has_operations(&u->ring) ? loop_fd_add(aio->loop, &u->watch, EPOLLIN) : -ENOSYS;
	if (rc) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return error_set_errno(err, rc, "io_uring");
	}
	aio->state = u;
	return 0;
}

static void uring_close(struct aio *aio)
{
	struct uring *u = aio->state;

	loop_fd_remove(aio->loop, &u->watch);
	io_uring_queue_exit(&u->ring);
	free(u);
}

static void prepare(struct io_uring_sqe *sqe, struct aio_req *req)
{
	switch (req->op) {
	case AIO_READ:
		if (req->nr_iov == 1)
			io_uring_prep_read(sqe, req->fd, req->iov->iov_base,
					   (unsigned)req->iov->iov_len, req->offset);
		else
			io_uring_prep_readv(sqe, req->fd, req->iov, req->nr_iov, req->offset);
		break;
	case AIO_WRITE:
		if (req->nr_iov == 1)
			io_uring_prep_write(sqe, req->fd, req->iov->iov_base,
					    (unsigned)req->iov->iov_len, req->offset);
		else
			io_uring_prep_writev(sqe, req->fd, req->iov, req->nr_iov, req->offset);
		break;
	case AIO_SYNC_DATA:
		io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_ALLOCATE:
		io_uring_prep_fallocate(sqe, req->fd, req->mode, (off_t)req->offset,
					(off_t)req->len);
		break;
	case AIO_NOTHING:
		BUG_ON(true);
	}
	io_uring_sqe_set_data(sqe, req);
}

/*
 * What is written to the page cache and nowhere else is done here: the ring would have a kernel thread do it,
 * one after another, each with a wake-up of ours.
 */
static void do_quick(struct aio *aio)
{
	list_for_each_safe (it, &aio->queued) {
		struct aio_req *req = list_entry(it, struct aio_req, node);

		if (!req->is_quick || req->op != AIO_WRITE)
			continue;
		list_remove(it);
		aio_perform(req);
		aio->stats.calls++;
		list_append(&aio->completed, it);
	}
}

static void uring_send(struct aio *aio)
{
	struct uring *u = aio->state;
	struct io_uring_sqe *sqe;

	do_quick(aio);
	while (!list_is_empty(&aio->queued) && aio->nr_in_flight < RING_ENTRIES &&
	       (sqe = io_uring_get_sqe(&u->ring)) != NULL) {
		struct aio_req *req = list_entry(aio->queued.next, struct aio_req, node);

		list_remove(&req->node);
		prepare(sqe, req);
		aio->nr_in_flight++;
	}
	/* What the kernel does not take now stays in the ring and goes with the next call. */
	if (io_uring_sq_ready(&u->ring)) {
		aio->stats.calls++;
		io_uring_submit(&u->ring);
	}
}

static void uring_reap(struct aio *aio, bool wait)
{
	struct uring *u = aio->state;
	struct io_uring_cqe *cqe;

	if (io_uring_sq_ready(&u->ring)) {
		aio->stats.calls++;
		io_uring_submit(&u->ring);
	}
	if (wait) {
		aio->stats.calls++;
		if (io_uring_wait_cqe(&u->ring, &cqe))
			return;
	}
	while (!io_uring_peek_cqe(&u->ring, &cqe)) {
		struct aio_req *req = io_uring_cqe_get_data(cqe);

		req->result = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		aio->nr_in_flight--;
		if (req->result == -EINTR || req->result == -EAGAIN)
			list_append(&aio->queued, &req->node);
		else
			list_append(&aio->completed, &req->node);
	}
}

const struct aio_way aio_way_uring = {"io_uring",  true,       uring_open,
				      uring_close, uring_send, uring_reap};
