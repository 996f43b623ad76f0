/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueues (virtio 1.2, section 2.7): a table of descriptors, the ring of available chains
 * the driver writes, and the ring of used ones the device writes.
 */
#include <errno.h>

#include "base/base.h"
#include "virtio/queue.h"

static inline struct vring_avail *avail_of(struct virtio_queue *q)
{
	return (struct vring_avail *)q->driver;
}

static inline struct vring_used *used_of(struct virtio_queue *q)
{
	return (struct vring_used *)q->used;
}

static inline uint16_t load(const uint16_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static inline void store(uint16_t *field, uint16_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELEASE);
}

/* Writes a field of the used ring. */
static void store_used(struct virtio_queue *q, uint16_t *field, uint16_t value)
{
	store(field, value);
	mem_wrote(q->device->mem, q->setup.device + (uint64_t)((uint8_t *)field - q->used),
		  sizeof(*field));
}

/* Event indices lie behind the rings: the driver's behind the available one, ours behind the used. */
static inline uint16_t *used_event(struct virtio_queue *q)
{
	return &avail_of(q)->ring[q->size];
}

static inline uint16_t *avail_event(struct virtio_queue *q)
{
	return (uint16_t *)&used_of(q)->ring[q->size];
}

static uint64_t avail_bytes(const struct virtio_queue *q)
{
	return sizeof(struct vring_avail) + 2ull * q->size + (q->has_event_index ? 2 : 0);
}

static uint64_t used_bytes(const struct virtio_queue *q)
{
	return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * q->size +
	       (q->has_event_index ? 2 : 0);
}

static bool map(struct virtio_queue *q)
{
	const struct virtio_queue_setup *s = &q->setup;
	struct mem *mem = q->device->mem;

	if (s->desc % 16 || s->driver % 2 || s->device % 4)
		return false;
	q->desc = mem_slice(mem, s->desc, 16ull * q->size, MEM_READ);
	q->driver = mem_slice(mem, s->driver, avail_bytes(q), MEM_READ);
	q->used = mem_slice(mem, s->device, used_bytes(q), MEM_WRITE);
	return q->desc && q->driver && q->used;
}

/*
 * Follows NEXT from entry head of a table of nr descriptors; the first may be indirect, which then
 * is followed in turn. No chain is longer than its table.
 */
static int follow(struct virtio_queue *q, struct virtio_chain *c, const uint8_t *table, unsigned nr,
		  unsigned head, bool is_indirect)
{
	unsigned i = head;

	for (unsigned n = 0; n < nr; n++) {
		struct vring_desc desc;

		if (i >= nr) {
			virtio_break(q->device, "queue %u: descriptor %u of %u", q->index, i, nr);
			return -EPROTO;
		}
		queue_copy_descriptor(&desc, table, i);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			unsigned nr_inner;

			if (is_indirect || (desc.flags & VRING_DESC_F_NEXT)) {
				virtio_break(q->device, "queue %u: misplaced indirect descriptor",
					     q->index);
				return -EPROTO;
			}
			const uint8_t *inner =
				queue_indirect_table(q, desc.addr, desc.len, &nr_inner);
			return inner ? follow(q, c, inner, nr_inner, 0, true) : -EPROTO;
		}
		if (queue_add_segment(q, c, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		i = desc.next;
	}
	virtio_break(q->device, "queue %u: descriptors form a loop", q->index);
	return -EPROTO;
}

/* Asks to be notified of the next chain. */
static void arm(struct virtio_queue *q)
{
	if (q->has_event_index)
		store_used(q, avail_event(q), q->take_at);
	else if (q->is_notify_off)
		store_used(q, &used_of(q)->flags, 0);
	q->is_notify_off = false;
	atomic_thread_fence(memory_order_seq_cst);
}

/* With event indices the driver does not notify before it passes the last one anyway. */
static void disarm(struct virtio_queue *q)
{
	if (q->is_notify_off || q->has_event_index)
		return;
	store_used(q, &used_of(q)->flags, VRING_USED_F_NO_NOTIFY);
	q->is_notify_off = true;
}

static int take(struct virtio_queue *q, struct virtio_chain *c)
{
	uint16_t available = load(&avail_of(q)->idx) - q->take_at;

	if (!available) {
		arm(q);
		available = load(&avail_of(q)->idx) - q->take_at;
		if (!available)
			return 0;
	}
	if (available > q->size) {
		virtio_break(q->device, "queue %u: %u chains available in a ring of %u", q->index,
			     available, q->size);
		return -EPROTO;
	}
	disarm(q);
	c->id = load(&avail_of(q)->ring[q->take_at & (q->size - 1)]);
	c->nr_descs = 1;
	int rc = follow(q, c, q->desc, q->size, c->id, false);
	if (rc)
		return rc;
	q->take_at++;
	return 1;
}

static void untake(struct virtio_queue *q, const struct virtio_chain *c)
{
	q->take_at--;
}

static void give(struct virtio_queue *q, const struct virtio_chain *c, uint32_t len)
{
	struct vring_used_elem *e = &used_of(q)->ring[q->give_at & (q->size - 1)];

	__atomic_store_n(&e->id, c->id, __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, len, __ATOMIC_RELAXED);
	q->give_at++;
	store(&used_of(q)->idx, q->give_at);
	mem_wrote(q->device->mem, q->setup.device, sizeof(struct vring_used));
	mem_wrote(q->device->mem, q->setup.device + (uint64_t)((uint8_t *)e - q->used), sizeof(*e));
}

static bool wants_interrupt(struct virtio_queue *q)
{
	uint16_t from = q->signalled_at;

	q->signalled_at = q->give_at;
	atomic_thread_fence(memory_order_seq_cst);
	if (q->has_event_index)
		return vring_need_event(load(used_event(q)), q->give_at, from);
	return !(load(&avail_of(q)->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

const struct ring_ops split_ring_ops = {
	.map = map,
	.take = take,
	.untake = untake,
	.give = give,
	.wants_interrupt = wants_interrupt,
};
