/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of virtio-net share. All on the thread of the device's loop.
 */
#ifndef VIRTIO_DEV_NET_IMPL_H
#define VIRTIO_DEV_NET_IMPL_H

#include <linux/virtio_net.h>

#include "virtio/dev/net.h"

#define NET_HEADER_BYTES 12   /* struct virtio_net_hdr_mrg_rxbuf; VERSION_1 has it always */
#define NET_IOVECS	 1024 /* of a batch: 64 frames of 16 pieces */
#define NET_IOVECS_FRAME 256  /* most pieces of one frame; a driver's longest have about 20 */
#define NET_CHAINS_FRAME 128  /* most buffers of a received frame: 64 KiB in runs of 512 */
#define NET_MACS_MAX	 64   /* entries of a filter list; longer ones let everything through */
#define NET_FLOWS	 256  /* flows told apart in steering */

/* Frames on their way from the guest to the back end. */
struct net_tx {
	struct net_frame frames[NET_FRAMES_BATCH];
	struct virtio_chain *chains[NET_FRAMES_BATCH];
	unsigned first, nr; /* [first, nr) are held, for the back end had no room */
	struct iovec iovecs[NET_IOVECS];
};

/* Buffers of the guest that are held because they do not suffice for the next frame. */
struct net_rx {
	struct virtio_chain *chains[NET_CHAINS_FRAME];
	unsigned nr;
	uint32_t room; /* bytes in all of them */
};

struct net_mac_list {
	uint8_t macs[NET_MACS_MAX][6];
	uint16_t nr;
	bool has_overflown;
};

/* Which frames the driver wants (5.1.6.5.1, 5.1.6.5.2). */
struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	struct net_mac_list unicast, multicast;
};

struct virtio_net {
	struct virtio_device virtio;
	struct net_dev *back;
	struct vhost_net *vhost; /* NULL: frames pass through this process */
	unsigned nr_pairs, active_pairs;
	uint8_t mac[6], factory_mac[6];
	uint16_t mtu;
	bool announces;		 /* VIRTIO_NET_S_ANNOUNCE */
	uint64_t guest_offloads; /* VIRTIO_NET_F_GUEST_* bits in force */
	struct net_filter filter;

	bool is_delivering;   /* a batch is open until receive_done */
	bool is_back_waiting; /* a receive was cut short */
	struct loop_work more_work;
	uint64_t more_queues; /* pairs whose transmit queue was left with work */

	struct net_tx *tx; /* nr_pairs of each */
	struct net_rx *rx;
	uint8_t flows[NET_FLOWS]; /* pair a flow was last sent on */

	/* Of frames the guest sent wrong, and of frames it had no fitting buffer for. */
	uint64_t bad_frames, no_room;
};

static inline struct virtio_net *net_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_net, virtio);
}

/* The control queue's place depends on what was negotiated (5.1.2). */
static inline unsigned net_control_queue(const struct virtio_net *n)
{
	return virtio_has_feature(&n->virtio, VIRTIO_NET_F_MQ) ? 2 * n->nr_pairs : 2;
}

/* Takes all requests of the control queue. */
void net_process_control(struct virtio_net *n);

/* Filter, MAC address and queues as after a reset. */
void net_reset_control(struct virtio_net *n);

/* Tells the back end which offloads the guest has switched on. */
void net_apply_offloads(struct virtio_net *n);

/* The driver uses so many pairs from now on. */
void net_set_pairs(struct virtio_net *n, unsigned pairs);

/* Whether the driver wants a frame with this destination. */
bool net_wants(const struct virtio_net *n, const uint8_t mac[6]);

/* Saves or loads what the control queue has set. */
void net_control_state(struct virtio_net *n, struct state *s);

#endif
