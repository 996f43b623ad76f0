/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that the host's kernel serves (Linux's vhost, linux/vhost.h): it reads chains from guest memory
 * and gives them back there, is notified by one eventfd and asks for interrupts by another. What devices
 * with such a data plane have in common; when the plane runs and where its frames or packets go is a
 * matter of each kind (net.h, vsock.h). Such a device needs an engine that need not hear of writes to
 * guest memory.
 *
 * A ring runs from the first process of its queue to the drain, which takes it back with its position,
 * so a queue that stands still is in the same state whoever serves it. While it does not run, the
 * device's loop hears of notifications. All on the thread of that loop.
 *
 * Left out: the log of written pages that live migration needs (VHOST_F_LOG_ALL), and packed rings,
 * which are not offered: Linux's vhost has none.
 */
#ifndef VIRTIO_VHOST_VHOST_H
#define VIRTIO_VHOST_VHOST_H

#include "base/error.h"
#include "virtio/virtio.h"

/* An open device of one kind, /dev/vhost-*, and the kernel's worker behind it. */
struct vhost {
	int fd;
	uint64_t features; /* the kernel's */
};

struct vhost_ring {
	struct vhost *vhost;
	unsigned index; /* as the kernel counts */
	struct virtio_device *device;
	unsigned queue; /* as the device counts */
	struct loop *loop;
	struct loop_fd kick;	  /* watched while the ring does not run */
	struct loop_fd call;	  /* watched unless the transport's engine takes it */
	struct loop_fd complaint; /* the kernel found the ring broken */
	bool is_running;
};

/*
 * Opens the device and makes this process its owner. module: the kernel's, for the message. Returns 0, or a
 * negative errno with err and nothing open.
 */
int vhost_open(struct vhost *v, const char *path, const char *module, struct error *err);
void vhost_close(struct vhost *v);

/* Features that the device must not offer, because they are the kernel's to have and it has not. */
uint64_t vhost_missing_features(const struct vhost *v);

/*
 * Tells the kernel where guest memory is and which features were accepted, those that are its own, and
 * extra. No ring of v runs. Returns 0 or a negative errno, as do all of the following.
 */
int vhost_set_up(struct vhost *v, const struct virtio_device *d, uint64_t extra);

/* Makes the eventfds and watches them. Undone by vhost_ring_fini(), also when this fails. */
int vhost_ring_init(struct vhost_ring *r, struct vhost *v, unsigned index, struct loop *loop);
void vhost_ring_fini(struct vhost_ring *r); /* the transport has let go of it; all zero is fine */

/* The ring is that of the device's queue, before a transport has the device. */
void vhost_ring_attach(struct vhost_ring *r, struct virtio_device *d, unsigned queue);

/* Tells the kernel all about a live queue. The data plane may run then. */
int vhost_ring_prepare(struct vhost_ring *r);

/* The data plane runs from now on: it hears of notifications, and of what came before. */
void vhost_ring_started(struct vhost_ring *r);

/* There may be chains in a running ring. */
void vhost_ring_kick(struct vhost_ring *r);

/* The data plane does not run any more: the queue has its position, and the driver its interrupt. */
void vhost_ring_stopped(struct vhost_ring *r);

/* What the driver set up, or the host, cannot be: breaks the device. */
void vhost_ring_fail(struct vhost_ring *r, int rc);

#endif
