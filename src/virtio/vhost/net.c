/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/vhost/net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "base/buf.h"
#include "virtio/transport.h"
#include "virtio/vhost/vhost.h"

#define DEVICE "/dev/vhost-net"
#define MODULE "vhost_net"

/* The kernel has a device, with a worker of its own, for each pair. */
struct pair {
	struct vhost vhost;
	struct vhost_ring rings[2]; /* VHOST_NET_VQ_RX, VHOST_NET_VQ_TX */
	int fd;			    /* of the back end's queue */
};

struct vhost_net {
	struct virtio_device *device;
	uint64_t extra_features;
	unsigned nr_pairs;
	struct pair *pairs;
};

static int open_pair(struct pair *p, struct loop *loop, struct error *err)
{
	int rc = vhost_open(&p->vhost, DEVICE, MODULE, err);

	for (unsigned i = 0; !rc && i < ARRAY_SIZE(p->rings); i++) {
		rc = vhost_ring_init(&p->rings[i], &p->vhost, i, loop);
		if (rc)
			error_set_errno(err, rc, DEVICE);
	}
	return rc;
}

struct vhost_net *vhost_net_open(struct loop *loop, unsigned nr_pairs, struct error *err)
{
	struct vhost_net *v = mem_alloc_zero(sizeof(*v));

	v->pairs = mem_alloc_zero(nr_pairs * sizeof(v->pairs[0]));
	while (v->nr_pairs < nr_pairs) {
		if (open_pair(&v->pairs[v->nr_pairs++], loop, err)) {
			vhost_net_free(v);
			return NULL;
		}
	}
	return v;
}

void vhost_net_free(struct vhost_net *v)
{
	if (!v)
		return;
	for (unsigned i = 0; i < v->nr_pairs; i++) {
		vhost_close(&v->pairs[i].vhost);
		vhost_ring_fini(&v->pairs[i].rings[0]);
		vhost_ring_fini(&v->pairs[i].rings[1]);
	}
	free(v->pairs);
	free(v);
}

/* Without a header on the interface the kernel makes up the one that the guest gets. */
int vhost_net_use(struct vhost_net *v, struct net_dev *back, struct error *err)
{
	v->extra_features = back->offloads ? 0 : BIT64(VHOST_NET_F_VIRTIO_NET_HDR);
	for (unsigned i = 0; i < v->nr_pairs; i++) {
		int fd = net_lend(back, i);

		if (fd < 0)
			return error_set_errno(err, fd, "the interface's queue %u", i);
		v->pairs[i].fd = fd;
	}
	return 0;
}

uint64_t vhost_net_missing_features(const struct vhost_net *v)
{
	return vhost_missing_features(&v->pairs[0].vhost);
}

void vhost_net_attach(struct vhost_net *v, struct virtio_device *d)
{
	v->device = d;
	for (unsigned i = 0; i < 2 * v->nr_pairs; i++)
		vhost_ring_attach(&v->pairs[i / 2].rings[i % 2], d, i);
}

/* fd -1: none; what the kernel holds of the ring has been given back when this returns. */
static int set_back(const struct vhost_ring *r, int fd)
{
	const struct vhost_vring_file f = {.index = r->index, .fd = fd};

	return ioctl(r->vhost->fd, VHOST_NET_SET_BACKEND, &f) < 0 ? -errno : 0;
}

static int start(struct vhost_net *v, struct pair *p, struct vhost_ring *r)
{
	int rc = 0;

	if (!p->rings[0].is_running && !p->rings[1].is_running)
		rc = vhost_set_up(&p->vhost, v->device, v->extra_features);
	if (!rc)
		rc = vhost_ring_prepare(r);
	return rc ? rc : set_back(r, p->fd);
}

void vhost_net_process(struct vhost_net *v, unsigned queue)
{
	struct pair *p = &v->pairs[queue / 2];
	struct vhost_ring *r = &p->rings[queue % 2];

	if (r->is_running) {
		vhost_ring_kick(r);
		return;
	}
	if (virtio_status(v->device) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	int rc = start(v, p, r);
	if (rc)
		vhost_ring_fail(r, rc);
	else
		vhost_ring_started(r);
}

void vhost_net_drain(struct vhost_net *v, unsigned queue)
{
	struct vhost_ring *r = &v->pairs[queue / 2].rings[queue % 2];

	if (!r->is_running)
		return;
	set_back(r, -1);
	vhost_ring_stopped(r);
}
