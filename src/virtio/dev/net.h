/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net (virtio 1.2, section 5.1): an Ethernet card between a driver and a back end of
 * backend/net. Frames cross with their checksum and segmentation work left undone wherever both
 * sides can take that. Left out: hash reporting and steering by hash (RSS), interrupt coalescing,
 * fragmentation of UDP.
 */
#ifndef VIRTIO_DEV_NET_H
#define VIRTIO_DEV_NET_H

#include "backend/net/net.h"
#include "virtio/vhost/net.h"
#include "virtio/virtio.h"

struct virtio_net_params {
	struct mem *mem;
	struct loop *loop;    /* that of the back end */
	struct net_dev *back; /* becomes the device's */
	struct vhost_net
		*vhost; /* likewise, and uses back; NULL: frames pass through this process */
	uint8_t mac[6];
	unsigned nr_pairs;    /* queues the guest may use, 1 to NET_QUEUES_MAX */
	unsigned mtu;	      /* told to the guest; 0: it is not told */
	bool offers_offloads; /* checksums and segmentation; false: plain frames only */
};

/* Made on the loop's thread. Freed with virtio_free(). */
struct virtio_device *virtio_net_new(const struct virtio_net_params *params);

#endif
