/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What O_DIRECT needs: requests that are not aligned as the host wants go through a buffer; a write
 * that covers part of a unit reads the rest first, and no other write may touch that unit meanwhile.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/raw_impl.h"
#include "base/buf.h"

/* By trying; a file too small to try gets the safe value. */
void raw_direct_find_alignment(struct raw *r)
{
	void *memory;

	r->align = r->align_memory = RAW_DIRECT_ALIGN;
	if (!r->is_direct || posix_memalign(&memory, RAW_DIRECT_ALIGN, 2 * RAW_DIRECT_ALIGN))
		return;
	if (pread(r->fd, memory, BLOCK_SECTOR, 0) == BLOCK_SECTOR)
		r->align = BLOCK_SECTOR;
	if (pread(r->fd, (uint8_t *)memory + BLOCK_SECTOR, RAW_DIRECT_ALIGN, 0) == RAW_DIRECT_ALIGN)
		r->align_memory = BLOCK_SECTOR;
	free(memory);
}

static bool is_aligned(const struct raw *r, const struct block_req *req)
{
	if ((req->offset | req->len) & (r->align - 1))
		return false;
	for (unsigned i = 0; i < req->nr_iov; i++) {
		if (((uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len) & (r->align_memory - 1))
			return false;
	}
	return true;
}

static void bounced(struct aio_req *a);

static void bounce_step(struct block_req *req, enum aio_op op)
{
	struct raw *r = raw_of(req->block);
	struct raw_progress *p = req->scratch;

	p->one = (struct iovec){p->bounce + p->moved, p->bounce_len - p->moved};
	req->aio = (struct aio_req){.op = op,
				    .fd = r->fd,
				    .offset = p->start + p->moved,
				    .iov = &p->one,
				    .nr_iov = 1,
				    .done = bounced};
	aio_submit(r->block.aio, &req->aio);
}

static void bounce_write(struct block_req *req)
{
	struct raw_progress *p = req->scratch;

	iov_copy_from(req->iov, req->nr_iov, 0, p->bounce + (req->offset - p->start), req->len);
	p->reads_first = false;
	p->moved = 0;
	bounce_step(req, AIO_WRITE);
}

static void bounced(struct aio_req *a)
{
	struct block_req *req = container_of(a, struct block_req, aio);
	struct raw *r = raw_of(req->block);
	struct raw_progress *p = req->scratch;
	bool was_read = req->op == BLOCK_READ || p->reads_first;

	if (a->result < 0) {
		raw_finish(req, (int)a->result);
		return;
	}
	p->moved += (uint64_t)a->result;
	/* A part that is no whole unit is the end of the file: nothing can be asked for behind it. */
	bool is_end = !a->result || p->moved % r->align;
	if (p->moved < p->bounce_len && !is_end) {
		bounce_step(req, was_read ? AIO_READ : AIO_WRITE);
		return;
	}
	if (!was_read) {
		raw_finish(req, p->moved < p->bounce_len ? -EIO : 0);
		return;
	}
	if (p->moved < p->bounce_len)
		memset(p->bounce + p->moved, 0, p->bounce_len - p->moved);
	if (p->reads_first) {
		bounce_write(req);
		return;
	}
	iov_copy_to(req->iov, req->nr_iov, 0, p->bounce + (req->offset - p->start), req->len);
	raw_finish(req, 0);
}

static void bounce(struct raw *r, struct block_req *req)
{
	struct raw_progress *p = raw_progress_new(req, 0);
	uint64_t end = ALIGN_UP(req->offset + req->len, r->align);
	void *memory;

	p->start = ALIGN_DOWN(req->offset, r->align);
	p->bounce_len = end - p->start;
	if (posix_memalign(&memory, RAW_DIRECT_ALIGN, p->bounce_len)) {
		block_complete(&r->block, req, -ENOMEM);
		free(p);
		req->scratch = NULL;
		return;
	}
	p->bounce = memory;
	p->reads_first = req->op == BLOCK_WRITE && p->bounce_len != req->len;
	if (req->op == BLOCK_WRITE && !p->reads_first)
		bounce_write(req);
	else
		bounce_step(req, AIO_READ);
}

/* Whether a write in flight shares a unit with this one. */
static bool shares_unit(const struct raw *r, const struct block_req *req)
{
	uint64_t start = ALIGN_DOWN(req->offset, r->align);
	uint64_t end = ALIGN_UP(req->offset + req->len, r->align);

	list_for_each (it, &r->writes) {
		const struct block_req *other = list_entry(it, struct block_req, node);

		if (ALIGN_DOWN(other->offset, r->align) < end &&
		    start < ALIGN_UP(other->offset + other->len, r->align))
			return true;
	}
	return false;
}

void raw_direct_submit(struct raw *r, struct block_req *req)
{
	if (req->op == BLOCK_WRITE) {
		if (shares_unit(r, req)) {
			list_append(&r->waiting, &req->node);
			return;
		}
		list_append(&r->writes, &req->node);
	}
	if (is_aligned(r, req))
		raw_move(req, req->iov, req->nr_iov, req->offset);
	else
		bounce(r, req);
}

static void submit_waiting(struct raw *r)
{
	struct list again;

	list_init(&again);
	while (!list_is_empty(&r->waiting)) {
		struct list *node = r->waiting.next;

		list_remove(node);
		list_append(&again, node);
	}
	while (!list_is_empty(&again)) {
		struct list *node = again.next;

		list_remove(node);
		raw_direct_submit(r, list_entry(node, struct block_req, node));
	}
}

void raw_direct_end_write(struct raw *r, struct block_req *req)
{
	list_remove(&req->node);
	submit_waiting(r);
}

/* ---- at once ---- */

/* Through an aligned buffer; units at the ends are read before they are written. */
int raw_direct_now(struct raw *r, uint64_t offset, uint8_t *data, size_t len, bool writes)
{
	uint64_t start = ALIGN_DOWN(offset, r->align);
	size_t span = ALIGN_UP(offset + len, r->align) - start;
	void *memory;
	int rc = 0;

	if (posix_memalign(&memory, RAW_DIRECT_ALIGN, span))
		return -ENOMEM;
	if (!writes || span != len)
		rc = raw_transfer_now(r->fd, start, memory, span, false);
	if (!rc && writes) {
		memcpy((uint8_t *)memory + (offset - start), data, len);
		rc = raw_transfer_now(r->fd, start, memory, span, true);
	} else if (!rc) {
		memcpy(data, (uint8_t *)memory + (offset - start), len);
	}
	free(memory);
	return rc;
}
