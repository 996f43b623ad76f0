/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio device as a transport sees it: what the registers of virtio over PCI and over MMIO have in
 * common (virtio 1.2, sections 2.1 to 2.8). Register accesses come on vCPU threads; the transport
 * calls these under a lock of its own, so one at a time for a device. They may wait for the device's
 * loop thread; the transport's interrupt functions, called on that thread, must not take the same
 * lock.
 */
#ifndef VIRTIO_TRANSPORT_H
#define VIRTIO_TRANSPORT_H

#include "virtio/virtio.h"

/* Embedded by the transport. Called on the device's loop thread. */
struct virtio_transport_ops {
	void (*queue_interrupt)(struct virtio_transport *t, unsigned queue);
	void (*config_interrupt)(struct virtio_transport *t);
};

struct virtio_transport {
	const struct virtio_transport_ops *ops;
};

/* Connects the two; features: those of the transport that the driver may be offered in addition. */
void virtio_attach(struct virtio_device *d, struct virtio_transport *t, uint64_t features);

/* Features by word of 32 bits: those offered, and what the driver accepts (until FEATURES_OK). */
uint32_t virtio_offered(const struct virtio_device *d, unsigned word);
uint32_t virtio_accepted(const struct virtio_device *d, unsigned word);
void virtio_accept(struct virtio_device *d, unsigned word, uint32_t bits);

static inline uint8_t virtio_status(const struct virtio_device *d)
{
	return atomic_load_explicit(&d->status, memory_order_acquire);
}

/*
 * The driver writes the status. 0 resets the device, which is done when this returns. FEATURES_OK
 * is refused (stays clear) for a set of features we cannot do. DRIVER_OK starts the device.
 */
void virtio_set_status(struct virtio_device *d, uint8_t status);

/* What the driver sets of a queue before it enables it. */
struct virtio_queue_setup {
	uint16_t size;
	uint64_t desc, driver, device; /* guest addresses of the three parts */
};

/* NULL for a queue that does not exist. Writes count only while the queue is not enabled. */
struct virtio_queue_setup *virtio_queue_setup(struct virtio_device *d, unsigned queue);
unsigned virtio_queue_size_max(const struct virtio_device *d, unsigned queue);
bool virtio_queue_is_enabled(const struct virtio_device *d, unsigned queue);

/* Fails (NEEDS_RESET) when the setup is not possible: size, alignment, memory. */
void virtio_queue_enable(struct virtio_device *d, unsigned queue);

/* Resets one queue (VIRTIO_F_RING_RESET); done when this returns. Also what disables it. */
void virtio_queue_reset(struct virtio_device *d, unsigned queue);

/* The driver notified of a queue; any thread, without a lock. Ignored where it means nothing. */
void virtio_notify(struct virtio_device *d, unsigned queue);

/*
 * Of a queue that a data plane in the host's kernel may serve, eventfds: what a notification may signal
 * in place of virtio_notify(), and what is signalled where the driver is to be interrupted. -1: the
 * queue has none. Constant. The latter ends up in queue_interrupt(), unless a transport whose engine
 * turns signals into interrupts by itself has switched that off. Any thread.
 */
int virtio_kick_fd(const struct virtio_device *d, unsigned queue);
int virtio_call_fd(const struct virtio_device *d, unsigned queue);
void virtio_watch_call(struct virtio_device *d, unsigned queue, bool on);

/* Configuration space; offset + len within any 32-bit range, len at most 8. */
void virtio_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len);
void virtio_config_write(struct virtio_device *d, unsigned offset, const void *data, unsigned len);

static inline uint32_t virtio_config_generation(const struct virtio_device *d)
{
	return atomic_load_explicit(&d->config_generation, memory_order_acquire);
}

/*
 * Whether the device may access guest memory now, as is_allowed(ctx) answers on the loop thread; done
 * when this returns. While it may not, its queues stand still: chains it holds are pushed first, and
 * what the driver makes available and notifies of waits. Any thread that may wait for the loop's.
 */
void virtio_update_access(struct virtio_device *d, bool (*is_allowed)(void *ctx), void *ctx);

/* For the transport's struct device_ops; vCPUs stand still. */
void virtio_reset(struct virtio_device *d);
void virtio_pause(struct virtio_device *d);
void virtio_resume(struct virtio_device *d);
void virtio_state(struct virtio_device *d, struct state *s); /* inside the transport's section */

#endif
