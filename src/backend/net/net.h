/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet frames to and from the outside world: the host end of a network device. A back end (user
 * mode, tap, switch, multicast ...) embeds a struct net_dev as its first member and fills ops; the
 * front end attaches itself with net_attach(). Frames go in batches and as iovecs, with a record
 * of the work that was left undone on them (checksum, segmentation), so that one frame may carry
 * 64 KiB of a TCP stream.
 *
 * Neither side blocks the other or drops for want of room without saying so: what does not fit is
 * left with the sender, who is called when there is room again.
 *
 * Threads: everything, both ways, happens on the thread of the loop the back end was made with. A
 * back end does not call the front end from inside net_send() or net_receive_more(), except that
 * answers made up on the spot (user mode) may come from inside net_send(): a front end's receive
 * must allow for that.
 *
 * The bytes of a sent frame may lie in guest memory and change at any time. A back end that looks at
 * them copies first. They are valid during the call only, in both directions.
 */
#ifndef BACKEND_NET_NET_H
#define BACKEND_NET_NET_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * What is left to do on a frame, in the layout and with the values of virtio 1.2's struct
 * virtio_net_hdr (5.1.6) without num_buffers, in host byte order, which is little-endian here.
 * All zero: the frame is complete.
 */
struct net_offload {
	uint8_t flags;	      /* NET_NEEDS_CSUM or NET_CSUM_VALID */
	uint8_t gso;	      /* NET_GSO_* : cut the TCP payload into gso_size pieces */
	uint16_t hdr_len;     /* bytes before the payload; a hint */
	uint16_t gso_size;    /* payload bytes per piece, NET_GSO_SIZE_MIN or more */
	uint16_t csum_start;  /* the sum covers the frame from here to its end ... */
	uint16_t csum_offset; /* ... and goes here, counted from csum_start */
};

enum {
	NET_NEEDS_CSUM = 1, /* the field holds the sum of the pseudo header only */
	NET_CSUM_VALID = 2, /* somebody has checked the sum */

	NET_GSO_NONE = 0,
	NET_GSO_TCP4 = 1,
	NET_GSO_TCP6 = 4,
	NET_GSO_ECN = 0x80, /* the stream uses congestion notification; added to one of them */
};

/* Linux's least: the smallest MSS, 48, less all options there can be. Bounds the pieces of a frame. */
#define NET_GSO_SIZE_MIN 8

/* What a side can be given unfinished. UDP fragmentation is always done by the sender. */
enum {
	NET_CAN_CSUM = 1,
	NET_CAN_TSO4 = 2, /* TSO implies CSUM */
	NET_CAN_TSO6 = 4,
	NET_CAN_ALL = 7,
};

#define NET_ETH_HEADER 14
#define NET_FRAME_MIN  NET_ETH_HEADER
/* An Ethernet header with a VLAN tag before the longest IP packet, rounded up. */
#define NET_FRAME_MAX	 65568
#define NET_MTU_DEFAULT	 1500
#define NET_QUEUES_MAX	 16 /* pairs; more than the vCPUs that are worth having behind one loop */
#define NET_FRAMES_BATCH 64 /* most frames of one call */

struct net_frame {
	struct net_offload offload;
	const struct iovec *iov;
	unsigned nr_iov;
	uint32_t len; /* sum over iov, NET_FRAME_MIN to NET_FRAME_MAX */
};

struct net_dev;

/* What a back end answers. NULL ops do nothing. */
struct net_ops {
	/*
	 * Takes up to nr (at most NET_FRAMES_BATCH) frames in order and returns how many. queue is
	 * the front end's, below nr_queues. After fewer than nr, front->writable is called once it
	 * can take some again. What cannot be carried at all (too long for the medium, offload
	 * that makes no sense) counts as taken, is dropped and counted.
	 */
	unsigned (*send)(struct net_dev *n, unsigned queue, const struct net_frame *frames,
			 unsigned nr);

	/* The front end has room again after a receive that was cut short. */
	void (*receive_more)(struct net_dev *n);

	/* What the front end takes unfinished from now on, NET_CAN_*. Before the first: nothing. */
	void (*set_offloads)(struct net_dev *n, unsigned offloads);

	/* How many queues the guest uses, 1 to nr_queues. */
	void (*set_queues)(struct net_dev *n, unsigned nr);

	/*
	 * The descriptor of a queue, whose frames the host's kernel moves by it from now on: the back
	 * end itself neither reads nor is given any more. If offloads is not 0, each has virtio's
	 * header of 12 bytes (struct virtio_net_hdr_v1) there. Returns it or a negative errno; NULL:
	 * there is none.
	 */
	int (*lend)(struct net_dev *n, unsigned queue);

	/* Gives the host resources back, frees. The loop does not run or this is its thread. */
	void (*free)(struct net_dev *n);
};

/* What a front end answers. */
struct net_front {
	/*
	 * Frames have arrived. Returns how many were taken; the back end keeps the rest, and reads
	 * no more from its source, until net_receive_more().
	 */
	unsigned (*receive)(void *ctx, const struct net_frame *frames, unsigned nr);

	/* The end of a burst of receives: a good moment to tell the guest. */
	void (*receive_done)(void *ctx);

	/* There is room after a send that was cut short. May be called without need. */
	void (*writable)(void *ctx);

	/* The medium went away (false) or is back. */
	void (*link)(void *ctx, bool is_up);
};

/* Counters for --stats and tests. */
struct net_stats {
	uint64_t sent_frames, sent_bytes, received_frames, received_bytes;
	uint64_t dropped; /* either way, by this back end */
};

struct net_dev {
	const struct net_ops *ops;
	const struct net_front *front; /* NULL: nobody listens, nothing is read */
	void *front_ctx;
	unsigned offloads;  /* NET_CAN_*: what send takes */
	unsigned nr_queues; /* pairs send knows, at least 1 */
	unsigned mtu;	    /* IP bytes the medium carries; 0: the usual 1500 */
	bool is_up;	    /* of the link */
	struct net_stats stats;
};

/* Connects a front end and starts reading, or disconnects it (front NULL). */
static inline void net_attach(struct net_dev *n, const struct net_front *front, void *ctx)
{
	n->front_ctx = ctx;
	n->front = front;
	if (front && n->ops->receive_more)
		n->ops->receive_more(n);
}

static inline unsigned net_send(struct net_dev *n, unsigned queue, const struct net_frame *frames,
				unsigned nr)
{
	return n->ops->send ? n->ops->send(n, queue, frames, nr) : nr;
}

static inline void net_receive_more(struct net_dev *n)
{
	if (n->ops->receive_more)
		n->ops->receive_more(n);
}

static inline void net_set_offloads(struct net_dev *n, unsigned offloads)
{
	if (n->ops->set_offloads)
		n->ops->set_offloads(n, offloads);
}

static inline void net_set_queues(struct net_dev *n, unsigned nr)
{
	if (n->ops->set_queues)
		n->ops->set_queues(n, nr);
}

static inline int net_lend(struct net_dev *n, unsigned queue)
{
	return n->ops->lend ? n->ops->lend(n, queue) : -ENOTSUP;
}

/* NULL is fine. */
static inline void net_free(struct net_dev *n)
{
	if (n)
		n->ops->free(n);
}

/* For back ends: hand frames over. With nobody attached none is taken. */
static inline unsigned net_deliver(struct net_dev *n, const struct net_frame *frames, unsigned nr)
{
	unsigned taken = n->front ? n->front->receive(n->front_ctx, frames, nr) : 0;

	for (unsigned i = 0; i < taken; i++)
		n->stats.received_bytes += frames[i].len;
	n->stats.received_frames += taken;
	return taken;
}

static inline void net_deliver_done(struct net_dev *n)
{
	if (n->front)
		n->front->receive_done(n->front_ctx);
}

static inline void net_deliver_writable(struct net_dev *n)
{
	if (n->front)
		n->front->writable(n->front_ctx);
}

static inline void net_deliver_link(struct net_dev *n, bool is_up)
{
	n->is_up = is_up;
	if (n->front && n->front->link)
		n->front->link(n->front_ctx, is_up);
}

/* Copies a frame into one piece of at least f->len bytes. */
static inline void net_frame_copy(const struct net_frame *f, uint8_t *to)
{
	for (unsigned i = 0; i < f->nr_iov; i++) {
		__builtin_memcpy(to, f->iov[i].iov_base, f->iov[i].iov_len);
		to += f->iov[i].iov_len;
	}
}

#endif
