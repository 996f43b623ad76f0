/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block device (virtio 1.2, section 5.2): several queues, flush, discard, write zeroes, topology
 * and identity. It has no state of its own beyond its queues.
 */
#ifndef VIRTIO_DEV_BLK_H
#define VIRTIO_DEV_BLK_H

#include "backend/block/block.h"
#include "virtio/virtio.h"

#define VIRTIO_BLK_SERIAL_MAX 20

struct virtio_blk_params {
	struct mem *mem;
	struct loop *loop;
	struct block *image; /* made for the same loop; the device's from now on */
	const char *serial;  /* at most VIRTIO_BLK_SERIAL_MAX bytes count; NULL: none */
	unsigned nr_queues;  /* 1 to VIRTIO_QUEUES_MAX */
};

struct virtio_device *virtio_blk_new(const struct virtio_blk_params *params);

#endif
