/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device (virtio 1.2, section 5.10) whose packets the host's kernel takes and gives
 * (vhost-vsock): programs of the host reach the guest by sockets of the family AF_VSOCK and its CID, and
 * the guest those that listen there. virtio/dev/vsock.h is the one with Unix sockets. Streams, and
 * sequential packets where the kernel has them.
 */
#ifndef VIRTIO_VHOST_VSOCK_H
#define VIRTIO_VHOST_VSOCK_H

#include "base/error.h"
#include "virtio/virtio.h"

/* On the loop's thread. Returns NULL with err, which says what is missing or who has the CID. */
struct virtio_device *vhost_vsock_new(struct mem *mem, struct loop *loop, uint64_t guest_cid,
				      struct error *err);

#endif
