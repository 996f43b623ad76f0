/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Eventfds between the engine and a device's queues. Doorbells: the driver's notification signals one
 * that the device's loop watches or, for a queue the host's kernel may serve, the device's own. Calls:
 * what that kernel signals is a vector's message for the engine to send for as long as nothing keeps
 * the vector from being sent; at other times the device's loop hears of it, and it takes the way of
 * all interrupts, where it becomes pending. Nothing is lost between the two: a signal is read by one
 * of them, and both look for one that came before them. Under the function's lock but for bell_rang(),
 * which the loop calls.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "virtio/transport/pci_impl.h"

/* ---- doorbells ---- */

static void bell_rang(struct loop_fd *w, uint32_t events)
{
	struct doorbell *b = container_of(w, struct doorbell, watch);
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) == sizeof(count))
		virtio_notify(b->owner->virtio, b->queue);
}

/* The eventfd for a queue's doorbell, or a negative errno. */
static int bell_fd(struct doorbell *b)
{
	int fd = virtio_kick_fd(b->owner->virtio, b->queue);

	if (fd >= 0)
		return fd;
	if (b->watch.fd >= 0)
		return b->watch.fd;
	b->watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->watch.fd < 0)
		return -errno;
	int rc = loop_fd_add(b->owner->virtio->loop, &b->watch, EPOLLIN);
	return rc ? rc : b->watch.fd;
}

static void set_bells(struct virtio_pci *p, uint64_t base, bool on)
{
	for (unsigned i = 0; i < p->virtio->nr_queues; i++) {
		uint64_t at = base + AT_NOTIFY + i * NOTIFY_STRIDE;
		int fd = bell_fd(&p->bells[i]);

		if (fd < 0 || (p->engine.set_doorbell(p->engine.ctx, at, fd, on) && on))
			return;
	}
}

/* They follow the BAR. What cannot be set arrives through the bus. */
static void update_bells(struct virtio_pci *p)
{
	uint64_t base = pci_bar_address_locked(&p->function, BAR_REGISTERS);

	if (!p->engine.set_doorbell || base == p->bells_at)
		return;
	if (p->bells_at != PCI_BAR_NOT_MAPPED)
		set_bells(p, p->bells_at, false);
	if (base != PCI_BAR_NOT_MAPPED)
		set_bells(p, base, true);
	p->bells_at = base;
}

/* ---- calls ---- */

/*
 * The engine sends before the loop's watch ends, and the watch begins when it sends no more, so at any
 * time somebody takes signals.
 */
static void set_call(struct virtio_pci *p, unsigned queue, struct call now)
{
	struct call *c = &p->calls[queue];
	int fd = virtio_call_fd(p->virtio, queue);

	if (now.is_on && p->engine.set_call(p->engine.ctx, fd, true, now.addr, now.data))
		now.is_on = false;
	if (!now.is_on && c->is_on)
		p->engine.set_call(p->engine.ctx, fd, false, 0, 0);
	if (now.is_on != c->is_on)
		virtio_watch_call(p->virtio, queue, !now.is_on);
	*c = now;
}

static bool are_same(const struct call *a, const struct call *b)
{
	return a->is_on == b->is_on && (!a->is_on || (a->addr == b->addr && a->data == b->data));
}

static void update_calls(struct virtio_pci *p)
{
	for (unsigned i = 0; p->engine.set_call && i < p->virtio->nr_queues; i++) {
		struct call now = {0};

		if (virtio_call_fd(p->virtio, i) < 0)
			continue;
		now.is_on = pci_msix_message_locked(&p->function, atomic_load(&p->queue_vectors[i]),
						    &now.addr, &now.data);
		if (!are_same(&now, &p->calls[i]))
			set_call(p, i, now);
	}
}

/* ---- both ---- */

void virtio_pci_init_eventfds(struct virtio_pci *p, const struct virtio_pci_engine *engine)
{
	p->engine = *engine;
	p->bells_at = PCI_BAR_NOT_MAPPED;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		p->bells[i] = (struct doorbell){
			.watch = {.fd = -1, .fn = bell_rang}, .owner = p, .queue = i};
}

void virtio_pci_update_eventfds(struct virtio_pci *p)
{
	update_bells(p);
	update_calls(p);
}

void virtio_pci_forget_eventfds(struct virtio_pci *p)
{
	p->bells_at = PCI_BAR_NOT_MAPPED;
	for (unsigned i = 0; i < p->virtio->nr_queues; i++) {
		if (p->calls[i].is_on)
			virtio_watch_call(p->virtio, i, true);
		p->calls[i] = (struct call){0};
	}
}

static void remove_bells(void *ctx)
{
	struct virtio_pci *p = ctx;

	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		if (p->bells[i].watch.fd < 0)
			continue;
		loop_fd_remove(p->virtio->loop, &p->bells[i].watch);
		close(p->bells[i].watch.fd);
	}
}

/* The engine lets go of them first, then the loop, whose thread may be in a callback. */
void virtio_pci_end_eventfds(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->function.lock);
	if (p->bells_at != PCI_BAR_NOT_MAPPED)
		set_bells(p, p->bells_at, false);
	for (unsigned i = 0; i < p->virtio->nr_queues; i++)
		if (p->calls[i].is_on)
			set_call(p, i, (struct call){0});
	p->engine = (struct virtio_pci_engine){0};
	pthread_mutex_unlock(&p->function.lock);
	loop_call(p->virtio->loop, remove_bells, p);
}
