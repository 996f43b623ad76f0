/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/vhost/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base.h"
#include "virtio/queue.h"

/* Features about how rings look and what their buffers hold: the kernel must have what is offered. */
#define SHARED_FEATURES                                                   \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_NET_F_MRG_RXBUF))

/* ---- the kernel's device ---- */

static int call_kernel(const struct vhost *v, unsigned long request, const void *arg)
{
	return ioctl(v->fd, request, arg) < 0 ? -errno : 0;
}

static int fail_open(const char *path, const char *module, int rc, struct error *err)
{
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, rc,
				 "%s: %s (join the group that owns it, often kvm, or leave vhost "
				 "out)",
				 path, strerror(-rc));
	return error_set(err, rc, "%s: %s (load the host's module %s, or leave vhost out)", path,
			 strerror(-rc), module);
}

int vhost_open(struct vhost *v, const char *path, const char *module, struct error *err)
{
	int rc;

	v->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (v->fd < 0)
		return fail_open(path, module, -errno, err);
	rc = call_kernel(v, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = call_kernel(v, VHOST_GET_FEATURES, &v->features);
	if (!rc && !(v->features & BIT64(VIRTIO_F_VERSION_1)))
		rc = -ENOTSUP;
	if (!rc)
		return 0;
	vhost_close(v);
	return error_set(err, rc, "%s is of no use: %s (leave vhost out)", path, strerror(-rc));
}

void vhost_close(struct vhost *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

uint64_t vhost_missing_features(const struct vhost *v)
{
	return (SHARED_FEATURES & ~v->features) | BIT64(VIRTIO_F_RING_PACKED);
}

/* ROM is left out: the kernel would write to it. */
static int set_memory(const struct vhost *v, const struct mem *mem)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region regions[MEM_REGIONS_MAX];
	} table = {0};

	for (unsigned i = 0; i < mem_nr_regions(mem); i++) {
		const struct mem_region *r = mem_region_at(mem, i);

		if (!r->is_rom)
			table.regions[table.head.nregions++] =
				(struct vhost_memory_region){.guest_phys_addr = r->gpa,
							     .memory_size = r->size,
							     .userspace_addr = (uintptr_t)r->host};
	}
	return call_kernel(v, VHOST_SET_MEM_TABLE, &table);
}

int vhost_set_up(struct vhost *v, const struct virtio_device *d, uint64_t extra)
{
	uint64_t features = (d->features | extra) & v->features;
	int rc = set_memory(v, d->mem);

	return rc ? rc : call_kernel(v, VHOST_SET_FEATURES, &features);
}

/* ---- what eventfds say ---- */

static bool take_signal(const struct loop_fd *w)
{
	uint64_t count;

	return read(w->fd, &count, sizeof(count)) == sizeof(count);
}

static void kicked(struct loop_fd *w, uint32_t events)
{
	struct vhost_ring *r = container_of(w, struct vhost_ring, kick);

	if (take_signal(w))
		virtio_notify(r->device, r->queue);
}

static void interrupt_if_called(struct vhost_ring *r)
{
	if (take_signal(&r->call))
		r->device->transport->ops->queue_interrupt(r->device->transport, r->queue);
}

static void called(struct loop_fd *w, uint32_t events)
{
	interrupt_if_called(container_of(w, struct vhost_ring, call));
}

static void complained(struct loop_fd *w, uint32_t events)
{
	struct vhost_ring *r = container_of(w, struct vhost_ring, complaint);

	if (take_signal(w) && r->is_running)
		vhost_ring_fail(r, -EPROTO);
}

void vhost_ring_fail(struct vhost_ring *r, int rc)
{
	struct virtio_device *d = r->device;

	virtio_break(d, "queue %u: the host's kernel cannot go on with it: %s", r->queue,
		     strerror(-rc));
	virtio_begin_batch(d);
	d->ops->drain(d, r->queue);
	virtio_end_batch(d);
}

/* ---- making ---- */

static int add_watch(struct loop *loop, struct loop_fd *w)
{
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return w->fd < 0 ? -errno : loop_fd_add(loop, w, EPOLLIN);
}

int vhost_ring_init(struct vhost_ring *r, struct vhost *v, unsigned index, struct loop *loop)
{
	int rc;

	*r = (struct vhost_ring){.vhost = v,
				 .index = index,
				 .loop = loop,
				 .kick = {-1, kicked},
				 .call = {-1, called},
				 .complaint = {-1, complained}};
	rc = add_watch(loop, &r->kick);
	if (!rc)
		rc = add_watch(loop, &r->call);
	return rc ? rc : add_watch(loop, &r->complaint);
}

static void remove_watch(struct loop *loop, struct loop_fd *w)
{
	if (w->fd < 0)
		return;
	loop_fd_remove(loop, w);
	close(w->fd);
}

void vhost_ring_fini(struct vhost_ring *r)
{
	if (!r->loop)
		return;
	remove_watch(r->loop, &r->kick);
	remove_watch(r->loop, &r->call);
	remove_watch(r->loop, &r->complaint);
}

void vhost_ring_attach(struct vhost_ring *r, struct virtio_device *d, unsigned queue)
{
	r->device = d;
	r->queue = queue;
	d->queues[queue].kick_fd = r->kick.fd;
	d->queues[queue].call = &r->call;
}

/* ---- running ---- */

static int set_number(const struct vhost_ring *r, unsigned long request, unsigned number)
{
	const struct vhost_vring_state s = {.index = r->index, .num = number};

	return call_kernel(r->vhost, request, &s);
}

static int set_eventfd(const struct vhost_ring *r, unsigned long request, int fd)
{
	const struct vhost_vring_file f = {.index = r->index, .fd = fd};

	return call_kernel(r->vhost, request, &f);
}

int vhost_ring_prepare(struct vhost_ring *r)
{
	const struct virtio_queue *q = &r->device->queues[r->queue];
	const struct vhost_vring_addr addr = {.index = r->index,
					      .desc_user_addr = (uintptr_t)q->desc,
					      .avail_user_addr = (uintptr_t)q->driver,
					      .used_user_addr = (uintptr_t)q->used};
	int rc = set_number(r, VHOST_SET_VRING_NUM, q->size);

	take_signal(&r->complaint);
	if (!rc)
		rc = set_number(r, VHOST_SET_VRING_BASE, q->take_at);
	if (!rc)
		rc = call_kernel(r->vhost, VHOST_SET_VRING_ADDR, &addr);
	if (!rc)
		rc = set_eventfd(r, VHOST_SET_VRING_ERR, r->complaint.fd);
	if (!rc)
		rc = set_eventfd(r, VHOST_SET_VRING_CALL, r->call.fd);
	return rc ? rc : set_eventfd(r, VHOST_SET_VRING_KICK, r->kick.fd);
}

/* The kernel never reads the eventfd it is notified by: only that somebody writes counts. */
void vhost_ring_kick(struct vhost_ring *r)
{
	const uint64_t one = 1;

	BUG_ON(write(r->kick.fd, &one, sizeof(one)) < 0 && errno != EAGAIN);
}

void vhost_ring_started(struct vhost_ring *r)
{
	r->is_running = true;
	loop_fd_set_events(r->loop, &r->kick, 0);
	vhost_ring_kick(r);
}

/* Everything that was taken has been given back by now: the data plane waits for that. */
void vhost_ring_stopped(struct vhost_ring *r)
{
	struct virtio_queue *q = &r->device->queues[r->queue];
	struct vhost_vring_state s = {.index = r->index};

	r->is_running = false;
	if (!call_kernel(r->vhost, VHOST_GET_VRING_BASE, &s))
		q->take_at = q->give_at = q->signalled_at = (uint16_t)s.num;
	take_signal(&r->kick);
	loop_fd_set_events(r->loop, &r->kick, EPOLLIN);
	interrupt_if_called(r);
}
