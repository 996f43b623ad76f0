/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's context identifier (CID), by which the socket device's configuration, saved state and events
 * go, whoever takes its packets: virtio/dev/vsock.c or virtio/vhost/vsock.c. All on the device's loop.
 */
#ifndef VIRTIO_DEV_VSOCK_CID_H
#define VIRTIO_DEV_VSOCK_CID_H

#include "virtio/virtio.h"

#define VIRTIO_VSOCK_F_STREAM 0 /* newer than some headers (virtio 1.2, 5.10.3) */

#define VSOCK_QUEUE_RX	  0 /* to the guest */
#define VSOCK_QUEUE_TX	  1
#define VSOCK_QUEUE_EVENT 2
#define VSOCK_QUEUES	  3

struct vsock_cid {
	uint64_t guest;
	bool must_report_reset; /* the guest's connections are not those of this host */
};

/* Virtio 1.2, 5.10.4. */
void vsock_cid_read_config(const struct vsock_cid *cid, unsigned offset, void *data, unsigned len);

/* Fails where the saved guest had another CID. After a load the guest is to hear of a reset. */
void vsock_cid_state(struct vsock_cid *cid, struct state *s);

/* Sends the event, if there is one and the guest has given a buffer for it (virtio 1.2, 5.10.6.7). */
void vsock_cid_report_reset(struct vsock_cid *cid, struct virtio_device *d);

#endif
