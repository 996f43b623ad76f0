/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio device as its own code sees it (virtio 1.2). A device embeds a struct virtio_device,
 * fills it with virtio_init() and answers struct virtio_ops. It takes chains of buffers from its
 * queues, reads and writes them as streams of bytes, and gives them back. It never sees a descriptor:
 * the queue checks and copies each one before the device hears of the chain. Which bus the driver
 * reaches it by is a transport's business (virtio/transport.h).
 *
 * Threads: a device belongs to the loop it was made with, that of an I/O thread. All its ops are
 * called on that thread, and it may call the functions below only there, unless they say otherwise.
 * So neither it nor its back end needs a lock.
 */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "core/mem.h"
#include "core/state.h"
#include "host/loop.h"

#define VIRTIO_QUEUES_MAX     64   /* of a device */
#define VIRTIO_QUEUE_SIZE_MAX 1024 /* descriptors; a power of two */

struct virtio_device;
struct virtio_queue;
struct virtio_transport;

/* ---- chains ---- */

/* A run of guest memory, inside one region of it. */
struct virtio_segment {
	gpa_t gpa;
	uint8_t *host;
	uint32_t len;
};

/*
 * Buffers the driver made available together: bytes for the device to read, then room for it to
 * write, as two streams with a position each. The bytes may change at any time: copy, then decide.
 */
struct virtio_chain {
	struct virtio_queue *queue;
	struct list node;	     /* the device's own, while it holds the chain */
	void *owner;		     /* likewise */
	uint32_t readable, writable; /* bytes in all */

	/* The queue's. */
	uint16_t id, nr_descs;
	unsigned nr_readable, nr_segments, room; /* the first nr_readable segments are to be read */
	uint64_t read_at, write_at;
	uint64_t wrote_to; /* end of what was written */
	struct virtio_segment *segments;
};

/*
 * Takes the next chain of a queue. NULL when there is none (the driver will notify of the next one),
 * while the device is stopped, or when the ring is broken; then the driver has been told.
 */
struct virtio_chain *virtio_pop(struct virtio_device *d, unsigned queue);

/*
 * Gives a chain back with len bytes written, from the start of its writable part, and frees it. The
 * driver is interrupted if it asked for it: at once, or at the end of the batch.
 */
void virtio_push(struct virtio_chain *c, uint32_t len);

/* Puts the chain popped last back, as if it had not been taken. Only before another is popped. */
void virtio_unpop(struct virtio_chain *c);

/* Chains pushed between the two interrupt the driver once. Nests. Ops are called within a batch. */
void virtio_begin_batch(struct virtio_device *d);
void virtio_end_batch(struct virtio_device *d);

/* Copies the next bytes of a stream. Returns how many: fewer than len only at the stream's end. */
size_t virtio_read(struct virtio_chain *c, void *dst, size_t len);
size_t virtio_write(struct virtio_chain *c, const void *src, size_t len);

/* Writes at an offset of the writable part and leaves the position alone. */
size_t virtio_write_at(struct virtio_chain *c, uint32_t offset, const void *src, size_t len);

/* What is left of a stream. */
static inline size_t virtio_left_to_read(const struct virtio_chain *c)
{
	return c->readable - c->read_at;
}
static inline size_t virtio_left_to_write(const struct virtio_chain *c)
{
	return c->writable - c->write_at;
}

/*
 * The next len bytes of a stream as host memory, for system calls that move bulk data; at most max
 * pieces. Returns the number of pieces; *len becomes the bytes they cover, which can be fewer. The
 * position moves past them. Borrowed memory is valid until the chain is pushed. Bytes borrowed to
 * be written count as written.
 */
unsigned virtio_borrow_read(struct virtio_chain *c, struct iovec *iov, unsigned max, size_t *len);
unsigned virtio_borrow_write(struct virtio_chain *c, struct iovec *iov, unsigned max, size_t *len);

/* Of what was borrowed to be written, only the first len bytes of the writable part were. */
static inline void virtio_wrote_only(struct virtio_chain *c, uint64_t len)
{
	if (c->wrote_to > len)
		c->wrote_to = len;
}

/* ---- devices ---- */

/* Called on the device's loop thread, within a batch. NULL means nothing to do. */
struct virtio_ops {
	const char *type;   /* "virtio_blk": names saved sections and messages */
	uint16_t device_id; /* virtio 1.2, section 5 */
	uint32_t pci_class; /* base class, subclass, programming interface: 24 bits */

	/*
	 * The device's configuration space, little-endian. [offset, offset + len) may lie past its
	 * end: such bytes read as the zeroes data is filled with and ignore writes.
	 */
	void (*read_config)(struct virtio_device *d, unsigned offset, void *data, unsigned len);
	void (*write_config)(struct virtio_device *d, unsigned offset, const void *data,
			     unsigned len);

	/* The driver is ready: d->features is what it accepted, queues that it enabled can be popped. */
	void (*start)(struct virtio_device *d);

	/*
	 * The driver notified of chains in a queue, or there may be some for another reason: after
	 * start and after a stop, for every live queue. Pop until NULL, or until nothing can be done
	 * with more.
	 */
	void (*process)(struct virtio_device *d, unsigned queue);

	/*
	 * process may be called by a thread that borrowed the loop (host/loop.h): it only does what is
	 * short and is not known to wait, and leaves the rest to the loop's own thread.
	 */
	bool is_prompt;

	/*
	 * Push every chain of the queue that the device holds, having waited for or given up what it
	 * was held for; guest memory of that queue is not touched from here on until process. Before
	 * a stop, a reset, and when the driver resets the queue. NULL: the device holds none
	 * between calls.
	 */
	void (*drain)(struct virtio_device *d, unsigned queue);

	/* As when it was made; all queues are drained. Also the reset of the machine. */
	void (*reset)(struct virtio_device *d);

	/* Saves or loads what the guest can tell apart beyond features, status and queues. Drained. */
	void (*state)(struct virtio_device *d, struct state *s);

	/* Drained; gives back ends back and frees. */
	void (*free)(struct virtio_device *d);
};

/* What a device is made from. */
struct virtio_params {
	struct mem *mem;
	struct loop *loop;    /* of a running I/O thread */
	uint64_t features;    /* of the device's type; those of rings and transport are added */
	uint64_t without;     /* of all features: those not to be offered after all */
	unsigned nr_queues;   /* at most VIRTIO_QUEUES_MAX */
	unsigned queue_size;  /* largest size of each queue, a power of two; 0: 256 */
	unsigned config_size; /* bytes of configuration space */
};

struct virtio_device {
	const struct virtio_ops *ops;
	struct mem *mem;
	struct loop *loop;
	uint64_t features;	   /* accepted by the driver; final from start to reset */
	uint64_t offered_features; /* constant after virtio_init() */
	unsigned nr_queues;
	unsigned config_size;

	/* Of virtio/device.c and the transport. */
	struct virtio_queue *queues;
	struct virtio_transport *transport;
	_Atomic uint8_t status; /* VIRTIO_CONFIG_S_*; written on the loop thread */
	_Atomic uint32_t config_generation;
	_Atomic uint64_t notified; /* queues the driver notified of */
	struct loop_work notify_work;
	unsigned batch_depth;
	unsigned stops;	     /* VIRTIO_STOP_*: why nothing may be popped */
	bool has_complained; /* of a broken ring; a guest that goes on breaking it is not heard again */
};

/* Fills d, with ops called from now on. Any thread, before a transport has it. */
void virtio_init(struct virtio_device *d, const struct virtio_ops *ops,
		 const struct virtio_params *params);

/* Gives the queues back; the last thing in ops->free, before free(). */
void virtio_fini(struct virtio_device *d);

static inline bool virtio_has_feature(const struct virtio_device *d, unsigned bit)
{
	return d->features >> bit & 1;
}

/* Whether nothing can be popped for a while: process is called for every live queue afterwards. */
static inline bool virtio_is_stopped(const struct virtio_device *d)
{
	return d->stops;
}

/* Whether the driver set this queue up and it can be popped. */
bool virtio_queue_is_live(const struct virtio_device *d, unsigned queue);

/* The configuration space changed: interrupts the driver. */
void virtio_config_changed(struct virtio_device *d);

/*
 * The driver broke the protocol beyond repair: NEEDS_RESET, and for the first time in the device's
 * life a line in the log. Nothing can be popped until the driver resets the device. For the
 * mistakes of one request, answer with an error instead.
 */
void virtio_break(struct virtio_device *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Ends the device: stops it, then ops->free, on its thread. Any thread. For whoever made it. */
void virtio_free(struct virtio_device *d);

#endif
