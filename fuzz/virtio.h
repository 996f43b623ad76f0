/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile driver, for fuzz targets of virtio devices: the input is laid over the start of guest
 * memory, rings and buffers included, after it said how queues are set up. Runs the device on its
 * I/O thread and waits for that.
 *
 * Input: a byte of ring features (bit 0 packed, 1 event index, 2 indirect), then per queue, at most
 * four of them, a byte: log2 of its size in the low four bits; the rest is memory from address 0. Queue
 * n has its descriptors at n * 1 KiB, the driver's part 512 and the device's part 768 bytes later;
 * buffers may be anywhere.
 */
#ifndef FUZZ_VIRTIO_H
#define FUZZ_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/base.h"
#include "base/log.h"
#include "core/mem.h"
#include "host/io_thread.h"
#include "virtio/transport.h"

#define FUZZ_MEMORY (64 * KIB)
#define FUZZ_QUEUES 4

struct fuzz_driver {
	struct mem *mem;
	struct io_thread *io;
	struct virtio_transport transport;
	struct virtio_device *device;
};

static inline void fuzz_on_queue(struct virtio_transport *t, unsigned queue)
{
}

static inline void fuzz_on_config(struct virtio_transport *t)
{
}

/* Once per process; then the device is made with mem and io, and given to fuzz_driver_run(). */
static inline void fuzz_driver_init(struct fuzz_driver *f)
{
	static const struct virtio_transport_ops ops = {.queue_interrupt = fuzz_on_queue,
							.config_interrupt = fuzz_on_config};

	log_set_level(LOG_ERROR);
	f->mem = mem_new();
	BUG_ON(mem_add_region(f->mem, 0, FUZZ_MEMORY, false, NULL));
	f->io = io_thread_new("fuzz", NULL);
	BUG_ON(!f->io);
	f->transport.ops = &ops;
}

static inline void fuzz_nothing(void *ctx)
{
}

static inline void fuzz_driver_run(struct fuzz_driver *f, const uint8_t *data, size_t size)
{
	struct virtio_device *d = f->device;
	unsigned nr_queues = min(d->nr_queues, (unsigned)FUZZ_QUEUES);

	if (size < 1 + nr_queues)
		return;
	uint8_t flags = data[0];
	const uint8_t *sizes = data + 1;
	uint64_t features = d->offered_features &
			    ~(BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_RING_F_EVENT_IDX) |
			      BIT64(VIRTIO_RING_F_INDIRECT_DESC));
	features |= flags & 1 ? BIT64(VIRTIO_F_RING_PACKED) : 0;
	features |= flags & 2 ? BIT64(VIRTIO_RING_F_EVENT_IDX) : 0;
	features |= flags & 4 ? BIT64(VIRTIO_RING_F_INDIRECT_DESC) : 0;
	data += 1 + nr_queues;
	size -= 1 + nr_queues;

	mem_clear_ram(f->mem);
	mem_write(f->mem, 0, data, min(size, (size_t)FUZZ_MEMORY));
	virtio_accept(d, 0, (uint32_t)features);
	virtio_accept(d, 1, (uint32_t)(features >> 32));
	virtio_set_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < nr_queues; i++) {
		gpa_t base = i * KIB;
		*virtio_queue_setup(d, i) =
			(struct virtio_queue_setup){.size = (uint16_t)(1u << (sizes[i] & 15)),
						    .desc = base,
						    .driver = base + 512,
						    .device = base + 768};
		virtio_queue_enable(d, i);
	}
	virtio_set_status(d, VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < nr_queues; i++)
		virtio_notify(d, i);
	loop_call(d->loop, fuzz_nothing, NULL);
	virtio_set_status(d, 0);
}

#endif
