/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packed virtqueues (virtio 1.2, section 2.8): one ring of descriptors which driver and device write
 * in turn, each with a counter that flips when it wraps, and one event suppression structure each.
 */
#include <errno.h>

#include "base/base.h"
#include "virtio/queue.h"

#define FLAG_AVAIL BIT(VRING_PACKED_DESC_F_AVAIL)
#define FLAG_USED  BIT(VRING_PACKED_DESC_F_USED)

#define EVENT_WRAP BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

static inline struct vring_packed_desc *desc_at(struct virtio_queue *q, unsigned i)
{
	return (struct vring_packed_desc *)q->desc + i;
}

static inline struct vring_packed_desc_event *driver_event(struct virtio_queue *q)
{
	return (struct vring_packed_desc_event *)q->driver;
}

static inline struct vring_packed_desc_event *device_event(struct virtio_queue *q)
{
	return (struct vring_packed_desc_event *)q->used;
}

static inline uint16_t load(const uint16_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static inline void store(uint16_t *field, uint16_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELEASE);
}

static bool map(struct virtio_queue *q)
{
	const struct virtio_queue_setup *s = &q->setup;
	struct mem *mem = q->device->mem;

	if (s->desc % 16 || s->driver % 4 || s->device % 4)
		return false;
	q->desc = mem_slice(mem, s->desc, 16ull * q->size, MEM_WRITE);
	q->driver = mem_slice(mem, s->driver, sizeof(*driver_event(q)), MEM_READ);
	q->used = mem_slice(mem, s->device, sizeof(*device_event(q)), MEM_WRITE);
	return q->desc && q->driver && q->used;
}

/* Moves a position on by n descriptors. */
static void advance(const struct virtio_queue *q, uint16_t *at, bool *wrap, unsigned n)
{
	unsigned sum = *at + n;

	if (sum >= q->size) {
		sum -= q->size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)sum;
}

/* Whether the driver made the descriptor at the position available. */
static bool is_available(struct virtio_queue *q)
{
	uint16_t flags = load(&desc_at(q, q->take_at)->flags);

	return !!(flags & FLAG_AVAIL) == q->take_wrap && !!(flags & FLAG_USED) != q->take_wrap;
}

/* Writes the device's event suppression structure. */
static void suppress(struct virtio_queue *q, uint16_t off_wrap, uint16_t flags)
{
	store(&device_event(q)->off_wrap, off_wrap);
	store(&device_event(q)->flags, flags);
	mem_wrote(q->device->mem, q->setup.device, sizeof(*device_event(q)));
}

static void arm(struct virtio_queue *q)
{
	if (q->has_event_index) {
		suppress(q, q->take_at | (q->take_wrap ? EVENT_WRAP : 0),
			 VRING_PACKED_EVENT_FLAG_DESC);
	} else if (q->is_notify_off) {
		suppress(q, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
	}
	q->is_notify_off = false;
	atomic_thread_fence(memory_order_seq_cst);
}

static void disarm(struct virtio_queue *q)
{
	if (q->is_notify_off || q->has_event_index)
		return;
	suppress(q, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
	q->is_notify_off = true;
}

static int take_indirect(struct virtio_queue *q, struct virtio_chain *c,
			 const struct vring_packed_desc *outer)
{
	unsigned nr;
	const uint8_t *table = queue_indirect_table(q, outer->addr, outer->len, &nr);

	if (!table)
		return -EPROTO;
	for (unsigned i = 0; i < nr; i++) {
		struct vring_packed_desc desc;

		queue_copy_descriptor(&desc, table, i);
		if (queue_add_segment(q, c, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE))
			return -EPROTO;
	}
	return 0;
}

/* All descriptors of a chain follow each other in the ring; the last one has its id. */
static int take_descriptors(struct virtio_queue *q, struct virtio_chain *c)
{
	uint16_t at = q->take_at;
	bool wrap = q->take_wrap;

	for (c->nr_descs = 1; c->nr_descs <= q->size; c->nr_descs++) {
		struct vring_packed_desc desc;

		queue_copy_descriptor(&desc, q->desc, at);
		c->id = desc.id;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (c->nr_descs > 1 || (desc.flags & VRING_DESC_F_NEXT)) {
				virtio_break(q->device, "queue %u: misplaced indirect descriptor",
					     q->index);
				return -EPROTO;
			}
			return take_indirect(q, c, &desc);
		}
		if (queue_add_segment(q, c, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		advance(q, &at, &wrap, 1);
	}
	virtio_break(q->device, "queue %u: a chain longer than the ring", q->index);
	return -EPROTO;
}

static int take(struct virtio_queue *q, struct virtio_chain *c)
{
	if (!is_available(q)) {
		arm(q);
		if (!is_available(q))
			return 0;
	}
	disarm(q);
	int rc = take_descriptors(q, c);
	if (rc)
		return rc;
	if (c->id >= q->size) {
		virtio_break(q->device, "queue %u: buffer id %u", q->index, c->id);
		return -EPROTO;
	}
	advance(q, &q->take_at, &q->take_wrap, c->nr_descs);
	return 1;
}

static void untake(struct virtio_queue *q, const struct virtio_chain *c)
{
	unsigned at = q->take_at;

	if (at < c->nr_descs) {
		at += q->size;
		q->take_wrap = !q->take_wrap;
	}
	q->take_at = (uint16_t)(at - c->nr_descs);
}

static void give(struct virtio_queue *q, const struct virtio_chain *c, uint32_t len)
{
	struct vring_packed_desc *desc = desc_at(q, q->give_at);
	uint16_t flags = (q->give_wrap ? FLAG_AVAIL | FLAG_USED : 0) |
			 (c->writable ? VRING_DESC_F_WRITE : 0);

	__atomic_store_n(&desc->id, c->id, __ATOMIC_RELAXED);
	__atomic_store_n(&desc->len, len, __ATOMIC_RELAXED);
	store(&desc->flags, flags);
	mem_wrote(q->device->mem, q->setup.desc + 16ull * q->give_at, 16);
	advance(q, &q->give_at, &q->give_wrap, c->nr_descs);
}

/* A position on a circle of two turns of the ring, so that the wrap counter is part of it. */
static unsigned on_circle(const struct virtio_queue *q, unsigned at, bool wrap)
{
	return at + (wrap ? 0 : q->size);
}

static bool wants_interrupt(struct virtio_queue *q)
{
	unsigned circle = 2u * q->size;
	unsigned from = on_circle(q, q->signalled_at, q->signalled_wrap);
	unsigned to = on_circle(q, q->give_at, q->give_wrap);

	q->signalled_at = q->give_at;
	q->signalled_wrap = q->give_wrap;
	atomic_thread_fence(memory_order_seq_cst);
	uint16_t flags = load(&driver_event(q)->flags) & 3;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !q->has_event_index)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	uint16_t off_wrap = load(&driver_event(q)->off_wrap);
	unsigned event = off_wrap & (EVENT_WRAP - 1);
	if (event >= q->size)
		return true; /* nonsense: one interrupt too many does no harm */
	event = on_circle(q, event, off_wrap & EVENT_WRAP);
	return (event + circle - from) % circle < (to + circle - from) % circle;
}

const struct ring_ops packed_ring_ops = {
	.map = map,
	.take = take,
	.untake = untake,
	.give = give,
	.wants_interrupt = wants_interrupt,
};
