/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel has the two queues of packets and runs or stops them together. Events are ours: there is one
 * only after a load of saved state.
 */
#include "virtio/vhost/vsock.h"

#include <endian.h>
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "base/buf.h"
#include "virtio/dev/vsock_cid.h"
#include "virtio/transport.h"
#include "virtio/vhost/vhost.h"

#define DEVICE "/dev/vhost-vsock"
#define MODULE "vhost_vsock"

#define NR_RINGS 2 /* to the guest, from the guest */

struct vsock {
	struct virtio_device virtio;
	struct vhost vhost;
	struct vhost_ring rings[NR_RINGS];
	struct vsock_cid cid;
};

static struct vsock *vsock_of(struct virtio_device *d)
{
	return container_of(d, struct vsock, virtio);
}

/* ---- running ---- */

static int run(const struct vsock *v, int on)
{
	return ioctl(v->vhost.fd, VHOST_VSOCK_SET_RUNNING, &on) < 0 ? -errno : 0;
}

static void start_rings(struct vsock *v)
{
	int rc = vhost_set_up(&v->vhost, &v->virtio, 0);

	for (unsigned i = 0; !rc && i < NR_RINGS; i++)
		rc = vhost_ring_prepare(&v->rings[i]);
	if (!rc)
		rc = run(v, 1);
	if (rc) {
		vhost_ring_fail(&v->rings[0], rc);
		return;
	}
	for (unsigned i = 0; i < NR_RINGS; i++)
		vhost_ring_started(&v->rings[i]);
}

static void stop_rings(struct vsock *v)
{
	if (!v->rings[0].is_running)
		return;
	run(v, 0);
	for (unsigned i = 0; i < NR_RINGS; i++)
		vhost_ring_stopped(&v->rings[i]);
}

/* ---- the device ---- */

static void process(struct virtio_device *d, unsigned queue)
{
	struct vsock *v = vsock_of(d);

	if (queue == VSOCK_QUEUE_EVENT)
		vsock_cid_report_reset(&v->cid, d);
	else if (v->rings[queue].is_running)
		vhost_ring_kick(&v->rings[queue]);
	else if (virtio_queue_is_live(d, 0) && virtio_queue_is_live(d, 1) &&
		 !(virtio_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET))
		start_rings(v);
}

static void drain(struct virtio_device *d, unsigned queue)
{
	if (queue != VSOCK_QUEUE_EVENT)
		stop_rings(vsock_of(d));
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	vsock_cid_read_config(&vsock_of(d)->cid, offset, data, len);
}

static void reset(struct virtio_device *d)
{
	vsock_of(d)->cid.must_report_reset = false;
}

static void state(struct virtio_device *d, struct state *s)
{
	vsock_cid_state(&vsock_of(d)->cid, s);
}

static void close_host(struct vsock *v)
{
	vhost_close(&v->vhost);
	for (unsigned i = 0; i < NR_RINGS; i++)
		vhost_ring_fini(&v->rings[i]);
}

static void vsock_free(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	close_host(v);
	virtio_fini(d);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.type = "virtio_vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.pci_class = 0x078000, /* communication controller, other */
	.read_config = read_config,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = state,
	.free = vsock_free,
};

/* ---- making ---- */

static int set_cid(const struct vsock *v, struct error *err)
{
	if (!ioctl(v->vhost.fd, VHOST_VSOCK_SET_GUEST_CID, &v->cid.guest))
		return 0;
	int rc = -errno;
	if (rc == -EADDRINUSE)
		return error_set(err, rc, "CID %llu is another guest's (choose another one)",
				 (unsigned long long)v->cid.guest);
	return error_set_errno(err, rc, DEVICE ": CID %llu", (unsigned long long)v->cid.guest);
}

static int open_host(struct vsock *v, struct loop *loop, struct error *err)
{
	int rc = vhost_open(&v->vhost, DEVICE, MODULE, err);

	if (!rc)
		rc = set_cid(v, err);
	for (unsigned i = 0; !rc && i < NR_RINGS; i++) {
		rc = vhost_ring_init(&v->rings[i], &v->vhost, i, loop);
		if (rc)
			error_set_errno(err, rc, DEVICE);
	}
	return rc;
}

struct virtio_device *vhost_vsock_new(struct mem *mem, struct loop *loop, uint64_t guest_cid,
				      struct error *err)
{
	struct vsock *v = mem_alloc_zero(sizeof(*v));

	v->cid.guest = guest_cid;
	if (open_host(v, loop, err)) {
		close_host(v);
		free(v);
		return NULL;
	}
	uint64_t missing = vhost_missing_features(&v->vhost) |
			   (~v->vhost.features & BIT64(VIRTIO_VSOCK_F_SEQPACKET));
	virtio_init(&v->virtio, &vsock_ops,
		    &(struct virtio_params){.mem = mem,
					    .loop = loop,
					    .features = BIT64(VIRTIO_VSOCK_F_STREAM) |
							BIT64(VIRTIO_VSOCK_F_SEQPACKET),
					    .without = missing,
					    .nr_queues = VSOCK_QUEUES,
					    .config_size = sizeof(struct virtio_vsock_config)});
	for (unsigned i = 0; i < NR_RINGS; i++)
		vhost_ring_attach(&v->rings[i], &v->virtio, i);
	return &v->virtio;
}
