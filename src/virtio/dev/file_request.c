/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/file_request.h"

#include <stdlib.h>

#include "base/base.h"
#include "base/buf.h"

struct file_request {
	struct fs_request fs;
	struct list node;
	struct file_requests *pool;
	struct virtio_chain *chain;
	struct iovec *iov;
	unsigned room;
};

void file_requests_init(struct file_requests *pool)
{
	list_init(&pool->free);
}

static void release(struct file_request *r)
{
	list_remove(&r->node);
	free(r->iov);
	free(r);
}

void file_requests_fini(struct file_requests *pool)
{
	list_for_each_safe (it, &pool->free)
		release(list_entry(it, struct file_request, node));
}

static void done(struct fs_request *fs)
{
	struct file_request *r = container_of(fs, struct file_request, fs);

	virtio_wrote_only(r->chain, fs->written);
	virtio_push(r->chain, (uint32_t)fs->written);
	r->chain = NULL;
	list_append(&r->pool->free, &r->node);
}

static struct file_request *take(struct file_requests *pool)
{
	if (!list_is_empty(&pool->free)) {
		struct file_request *r = list_entry(pool->free.next, struct file_request, node);

		list_remove(&r->node);
		return r;
	}
	struct file_request *r = mem_alloc_zero(sizeof(*r));
	list_init(&r->node);
	r->pool = pool;
	return r;
}

struct fs_request *file_request_new(struct file_requests *pool, struct virtio_chain *c)
{
	struct file_request *r = take(pool);
	size_t in_len = c->readable, out_len = c->writable;

	if (r->room < c->nr_segments) {
		free(r->iov);
		r->room = ALIGN_UP(c->nr_segments, 64u);
		r->iov = mem_alloc_zero(r->room * sizeof(*r->iov));
	}
	r->chain = c;
	r->fs = (struct fs_request){.in = r->iov, .done = done};
	r->fs.nr_in = virtio_borrow_read(c, r->iov, r->room, &in_len);
	r->fs.out = r->iov + r->fs.nr_in;
	r->fs.nr_out =
		virtio_borrow_write(c, r->iov + r->fs.nr_in, r->room - r->fs.nr_in, &out_len);
	return &r->fs;
}

void file_session_state(struct state *s, const char *type, void *server,
			void (*save)(void *server, struct buf *out),
			int (*load)(void *server, const void *data, size_t len))
{
	struct buf session = {0};

	if (!state_is_loading(s))
		save(server, &session);
	uint64_t len = session.len;
	state_u64(s, &len);
	if (state_is_loading(s) && !state_failed(s)) {
		if (len > s->section_end - s->pos) {
			state_fail(s, "%s: the session is cut short", type);
			return;
		}
		session.data = mem_alloc_zero(len + 1);
	}
	state_bytes(s, session.data, len);
	if (state_is_loading(s) && !state_failed(s) && load(server, session.data, len))
		state_fail(s, "%s: the session is not understood", type);
	free(session.data);
}
