/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtqueues, as virtio/device.c drives them: chains of checked segments taken from one of two ring
 * formats (split.c, packed.c). A ring lies in guest memory and is hostile: every field is read once,
 * checked, and the copy is used. Loop thread of the device, unless said otherwise.
 */
#ifndef VIRTIO_QUEUE_H
#define VIRTIO_QUEUE_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio/transport.h"
#include "virtio/virtio.h"

/* Causes for which a device's queues stand still. */
#define VIRTIO_STOP_PAUSE  BIT(0) /* the VM's */
#define VIRTIO_STOP_ACCESS BIT(1) /* the transport may not access guest memory */

struct ring_ops {
	/* Borrows the three parts the setup tells. Returns false when they are no memory. */
	bool (*map)(struct virtio_queue *q);

	/*
	 * Takes the next chain into c, or asks for a notification of the next one.
	 * Returns 1, 0 when there is none, or -EPROTO after virtio_break().
	 */
	int (*take)(struct virtio_queue *q, struct virtio_chain *c);

	/* Undoes the last take. */
	void (*untake)(struct virtio_queue *q, const struct virtio_chain *c);

	/* Tells the driver that the chain was used. */
	void (*give)(struct virtio_queue *q, const struct virtio_chain *c, uint32_t len);

	/* Whether the driver wants to hear of what was given since it was last asked this. */
	bool (*wants_interrupt)(struct virtio_queue *q);
};

extern const struct ring_ops split_ring_ops, packed_ring_ops;

struct virtio_queue {
	struct virtio_device *device;
	unsigned index;
	uint16_t size_max;
	struct virtio_queue_setup setup; /* vCPU threads, under the transport's lock */
	bool is_enabled;		 /* likewise */

	/* Set by a data plane in the host's kernel (vhost/vhost.h) before a transport has the device. */
	int kick_fd;	      /* -1: there is none */
	struct loop_fd *call; /* NULL: likewise */

	/* Of a live queue. */
	const struct ring_ops *ring; /* NULL: not live */
	uint16_t size;
	bool has_event_index;
	bool has_indirect;
	bool is_notify_off; /* the driver was asked not to notify */
	bool has_given;	    /* something was given since wants_interrupt() */
	uint8_t *desc;	    /* descriptors */
	uint8_t *driver;    /* split: available ring; packed: driver event suppression */
	uint8_t *used;	    /* split: used ring; packed: device event suppression */

	/* Positions. Split: free-running indices. Packed: descriptors, with a wrap counter each. */
	uint16_t take_at, give_at, signalled_at;
	bool take_wrap, give_wrap, signalled_wrap;

	struct list free_chains;
	unsigned nr_held; /* chains popped and not pushed */
};

/* Makes a queue whose setup is filled in live or fails with virtio_break(). From index 0. */
bool queue_start(struct virtio_queue *q);
void queue_stop(struct virtio_queue *q); /* no chain is held */
void queue_free(struct virtio_queue *q);

/* Positions of a live queue, or of one about to be started by queue_load(). */
void queue_state(struct virtio_queue *q, struct state *s);

/* ---- for the ring formats ---- */

/*
 * Adds one descriptor's buffer to c. Returns 0, or -EPROTO after virtio_break(): memory that is none,
 * a buffer to be read after one to be written, too many or too long.
 */
int queue_add_segment(struct virtio_queue *q, struct virtio_chain *c, uint64_t addr, uint32_t len,
		      bool is_writable);

/* Copies a descriptor of 16 bytes out of a table in guest memory. */
static inline void queue_copy_descriptor(void *dst, const uint8_t *table, unsigned i)
{
	guest_copy(dst, table + 16 * (size_t)i, 16);
}

/* The table of an indirect descriptor with its number of entries, or NULL after virtio_break(). */
const uint8_t *queue_indirect_table(struct virtio_queue *q, uint64_t addr, uint32_t len,
				    unsigned *nr);

#endif
