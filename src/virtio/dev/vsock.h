/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device (virtio 1.2, section 5.10): streams and sequential packets between programs of the
 * guest and of the host, whose ends are Unix sockets (backend/vsock/). Datagrams are not offered. The mark
 * of a record's end (MSG_EOR) is not passed on, as Unix sockets have none: only messages are kept apart.
 */
#ifndef VIRTIO_DEV_VSOCK_H
#define VIRTIO_DEV_VSOCK_H

#include "backend/vsock/vsock.h"
#include "virtio/virtio.h"

/* host: on the device's loop, the device's from now on. Never NULL. */
struct virtio_device *virtio_vsock_new(struct mem *mem, struct loop *loop, uint64_t guest_cid,
				       struct vsock_host *host);

#endif
