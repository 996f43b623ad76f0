/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost-net: the host's kernel moves frames between a card's queues and a tap interface. Pairs of queues
 * only; the control queue, the features and all else of the card stay with virtio/dev/net.c, which has one
 * of these. What is lost: the filter of addresses, which the guest does for itself then (virtio 1.2,
 * 5.1.6.5.1 calls the device's best effort), and the counters of frames. On the thread of the card's loop.
 */
#ifndef VIRTIO_VHOST_NET_H
#define VIRTIO_VHOST_NET_H

#include "backend/net/net.h"
#include "base/error.h"
#include "virtio/virtio.h"

struct vhost_net;

/* For so many pairs of queues. Nothing but /dev/vhost-net is touched. Returns NULL with err. */
struct vhost_net *vhost_net_open(struct loop *loop, unsigned nr_pairs, struct error *err);
void vhost_net_free(struct vhost_net *v); /* before the back end; NULL is fine */

/*
 * Frames are those of this back end, which has a queue for each pair and lends them (net_lend()) for as long
 * as it exists. Returns 0, or a negative errno with err.
 */
int vhost_net_use(struct vhost_net *v, struct net_dev *back, struct error *err);

/* Features the card must not offer. */
uint64_t vhost_net_missing_features(const struct vhost_net *v);

/* The card's queues 2i and 2i + 1 are pair i, before a transport has it. */
void vhost_net_attach(struct vhost_net *v, struct virtio_device *d);

/* For the ops of the card, of queues that are not the control queue. */
void vhost_net_process(struct vhost_net *v, unsigned queue);
void vhost_net_drain(struct vhost_net *v, unsigned queue);

#endif
