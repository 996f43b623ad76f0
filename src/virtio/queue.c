/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"

#define SEGMENTS_FIRST 16 /* room of a new chain; doubled when it does not suffice */
#define SEGMENTS_MAX   VIRTIO_QUEUE_SIZE_MAX

bool virtio_queue_is_live(const struct virtio_device *d, unsigned queue)
{
	return queue < d->nr_queues && d->queues[queue].ring;
}

/* ---- building chains ---- */

static struct virtio_chain *new_chain(struct virtio_queue *q)
{
	struct virtio_chain *c;

	if (!list_is_empty(&q->free_chains)) {
		c = list_entry(q->free_chains.next, struct virtio_chain, node);
		list_remove(&c->node);
	} else {
		c = mem_alloc_zero(sizeof(*c));
		list_init(&c->node);
		c->queue = q;
		c->room = SEGMENTS_FIRST;
		c->segments = mem_alloc_zero(c->room * sizeof(c->segments[0]));
	}
	c->readable = c->writable = 0;
	c->nr_readable = c->nr_segments = 0;
	c->read_at = c->write_at = c->wrote_to = 0;
	c->owner = NULL;
	return c;
}

static void release_chain(struct virtio_chain *c)
{
	list_remove(&c->node);
	list_append(&c->queue->free_chains, &c->node);
}

static struct virtio_segment *room_for_segment(struct virtio_chain *c)
{
	if (c->nr_segments == c->room) {
		c->room *= 2;
		c->segments = realloc(c->segments, c->room * sizeof(c->segments[0]));
		BUG_ON(!c->segments);
	}
	return &c->segments[c->nr_segments++];
}

int queue_add_segment(struct virtio_queue *q, struct virtio_chain *c, uint64_t addr, uint32_t len,
		      bool is_writable)
{
	struct virtio_device *d = q->device;
	uint32_t *total = is_writable ? &c->writable : &c->readable;

	if (!is_writable && c->nr_segments > c->nr_readable) {
		virtio_break(d, "queue %u: a buffer to be read follows one to be written",
			     q->index);
		return -EPROTO;
	}
	if (c->nr_segments == SEGMENTS_MAX || __builtin_add_overflow(*total, len, total)) {
		virtio_break(d, "queue %u: a chain of more than %u buffers or 4 GiB", q->index,
			     SEGMENTS_MAX);
		return -EPROTO;
	}
	if (!len)
		return 0;
	uint8_t *host = mem_slice(d->mem, addr, len, is_writable ? MEM_WRITE : MEM_READ);
	if (!host) {
		virtio_break(d, "queue %u: buffer of %u bytes at 0x%llx is no memory", q->index,
			     len, (unsigned long long)addr);
		return -EPROTO;
	}
	*room_for_segment(c) = (struct virtio_segment){.gpa = addr, .host = host, .len = len};
	if (!is_writable)
		c->nr_readable = c->nr_segments;
	return 0;
}

const uint8_t *queue_indirect_table(struct virtio_queue *q, uint64_t addr, uint32_t len,
				    unsigned *nr)
{
	const uint8_t *table = NULL;

	*nr = len / 16;
	if (!q->has_indirect || !len || len % 16 || *nr > SEGMENTS_MAX)
		virtio_break(q->device, "queue %u: indirect table of %u bytes", q->index, len);
	else if (!(table = mem_slice(q->device->mem, addr, len, MEM_READ)))
		virtio_break(q->device, "queue %u: indirect table at 0x%llx is no memory", q->index,
			     (unsigned long long)addr);
	return table;
}

/* ---- popping and pushing ---- */

struct virtio_chain *virtio_pop(struct virtio_device *d, unsigned queue)
{
	struct virtio_queue *q = &d->queues[queue];

	BUG_ON(queue >= d->nr_queues);
	if (!q->ring || virtio_is_stopped(d) || (virtio_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET))
		return NULL;
	struct virtio_chain *c = new_chain(q);
	if (q->ring->take(q, c) <= 0) {
		release_chain(c);
		return NULL;
	}
	q->nr_held++;
	return c;
}

void virtio_unpop(struct virtio_chain *c)
{
	c->queue->ring->untake(c->queue, c);
	c->queue->nr_held--;
	release_chain(c);
}

/* The engine must hear of every byte that changed: it may have decoded code there. */
static void report_writes(struct virtio_chain *c)
{
	uint64_t left = c->wrote_to;

	for (unsigned i = c->nr_readable; left && i < c->nr_segments; i++) {
		const struct virtio_segment *s = &c->segments[i];
		uint64_t n = min(left, (uint64_t)s->len);

		mem_wrote(c->queue->device->mem, s->gpa, n);
		left -= n;
	}
}

void virtio_push(struct virtio_chain *c, uint32_t len)
{
	struct virtio_queue *q = c->queue;
	struct virtio_device *d = q->device;

	report_writes(c);
	virtio_begin_batch(d);
	if (!(virtio_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		q->ring->give(q, c, len);
		q->has_given = true;
	}
	q->nr_held--;
	release_chain(c);
	virtio_end_batch(d);
}

/* ---- streams ---- */

/* Walks segments [first, last) from byte at on, for at most len bytes. */
struct walk {
	const struct virtio_segment *segment, *end;
	uint64_t skip; /* bytes of *segment that are before the position */
};

static struct walk walk_from(const struct virtio_chain *c, bool is_writable, uint64_t at)
{
	struct walk w = {.segment = c->segments + (is_writable ? c->nr_readable : 0),
			 .end = c->segments + (is_writable ? c->nr_segments : c->nr_readable),
			 .skip = at};

	while (w.segment < w.end && w.skip >= w.segment->len)
		w.skip -= w.segment++->len;
	return w;
}

/* The next run of at most len bytes; NULL at the end. */
static uint8_t *walk_next(struct walk *w, size_t len, size_t *run)
{
	if (w->segment >= w->end)
		return NULL;
	uint8_t *host = w->segment->host + w->skip;
	*run = min(len, (size_t)(w->segment->len - w->skip));
	w->skip += *run;
	if (w->skip == w->segment->len) {
		w->segment++;
		w->skip = 0;
	}
	return host;
}

size_t virtio_read(struct virtio_chain *c, void *dst, size_t len)
{
	struct walk w = walk_from(c, false, c->read_at);
	size_t done = 0, run;
	uint8_t *host;

	while (done < len && (host = walk_next(&w, len - done, &run))) {
		guest_copy((uint8_t *)dst + done, host, run);
		done += run;
	}
	c->read_at += done;
	return done;
}

size_t virtio_write_at(struct virtio_chain *c, uint32_t offset, const void *src, size_t len)
{
	struct walk w = walk_from(c, true, offset);
	size_t done = 0, run;
	uint8_t *host;

	while (done < len && (host = walk_next(&w, len - done, &run))) {
		guest_copy(host, (const uint8_t *)src + done, run);
		done += run;
	}
	c->wrote_to = max(c->wrote_to, (uint64_t)offset + done);
	return done;
}

size_t virtio_write(struct virtio_chain *c, const void *src, size_t len)
{
	size_t done = virtio_write_at(c, (uint32_t)c->write_at, src, len);

	c->write_at += done;
	return done;
}

static unsigned borrow(struct virtio_chain *c, bool is_writable, uint64_t at, struct iovec *iov,
		       unsigned max, size_t *len)
{
	struct walk w = walk_from(c, is_writable, at);
	size_t done = 0, run;
	uint8_t *host;
	unsigned n = 0;

	while (done < *len && n < max && (host = walk_next(&w, *len - done, &run))) {
		iov[n++] = (struct iovec){.iov_base = host, .iov_len = run};
		done += run;
	}
	*len = done;
	return n;
}

unsigned virtio_borrow_read(struct virtio_chain *c, struct iovec *iov, unsigned max, size_t *len)
{
	unsigned n = borrow(c, false, c->read_at, iov, max, len);

	c->read_at += *len;
	return n;
}

unsigned virtio_borrow_write(struct virtio_chain *c, struct iovec *iov, unsigned max, size_t *len)
{
	unsigned n = borrow(c, true, c->write_at, iov, max, len);

	c->write_at += *len;
	c->wrote_to = max(c->wrote_to, c->write_at);
	return n;
}

/* ---- life ---- */

static bool map(struct virtio_queue *q)
{
	struct virtio_device *d = q->device;
	bool is_packed = virtio_has_feature(d, VIRTIO_F_RING_PACKED);

	q->size = q->setup.size;
	q->has_event_index = virtio_has_feature(d, VIRTIO_RING_F_EVENT_IDX);
	q->has_indirect = virtio_has_feature(d, VIRTIO_RING_F_INDIRECT_DESC);
	q->is_notify_off = false;
	q->has_given = false;
	bool is_size_bad =
		!q->size || q->size > q->size_max || (!is_packed && (q->size & (q->size - 1)));
	const struct ring_ops *ring = is_packed ? &packed_ring_ops : &split_ring_ops;
	if (is_size_bad || !ring->map(q)) {
		virtio_break(d, "queue %u: size %u, rings at 0x%llx, 0x%llx and 0x%llx", q->index,
			     q->size, (unsigned long long)q->setup.desc,
			     (unsigned long long)q->setup.driver,
			     (unsigned long long)q->setup.device);
		return false;
	}
	q->ring = ring;
	return true;
}

bool queue_start(struct virtio_queue *q)
{
	q->take_at = q->give_at = q->signalled_at = 0;
	q->take_wrap = q->give_wrap = q->signalled_wrap = true;
	return map(q);
}

void queue_stop(struct virtio_queue *q)
{
	BUG_ON(q->nr_held);
	q->ring = NULL;
}

void queue_free(struct virtio_queue *q)
{
	list_for_each_safe (it, &q->free_chains) {
		struct virtio_chain *c = list_entry(it, struct virtio_chain, node);

		free(c->segments);
		free(c);
	}
	list_init(&q->free_chains);
}

void queue_state(struct virtio_queue *q, struct state *s)
{
	bool is_live = q->ring;

	state_u16(s, &q->setup.size);
	state_u64(s, &q->setup.desc);
	state_u64(s, &q->setup.driver);
	state_u64(s, &q->setup.device);
	state_bool(s, &q->is_enabled);
	state_bool(s, &is_live);
	state_u16(s, &q->take_at);
	state_u16(s, &q->give_at);
	state_u16(s, &q->signalled_at);
	state_bool(s, &q->take_wrap);
	state_bool(s, &q->give_wrap);
	state_bool(s, &q->signalled_wrap);
	if (!state_is_loading(s) || state_failed(s))
		return;
	q->ring = NULL;
	if (!is_live)
		return;
	if (virtio_has_feature(q->device, VIRTIO_F_RING_PACKED) &&
	    (q->take_at >= q->setup.size || q->give_at >= q->setup.size ||
	     q->signalled_at >= q->setup.size))
		state_fail(s, "queue %u: position past its %u descriptors", q->index,
			   q->setup.size);
	else if (!map(q))
		state_fail(s, "queue %u cannot be set up", q->index);
}
