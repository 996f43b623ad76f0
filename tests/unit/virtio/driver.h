/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of virtqueues, for tests of devices without a guest: a struct mem of 16 MiB, an
 * I/O thread, a transport that counts interrupts, and queues of either ring format. Addresses are
 * guest physical; buffers come from driver_alloc().
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "core/mem.h"
#include "host/io_thread.h"
#include "virtio/transport.h"

#define DRIVER_MEMORY (16 * MIB)

struct driver_host {
	struct mem *mem;
	struct io_thread *io;
	struct virtio_transport transport;
	struct virtio_device *device;
	atomic_uint nr_queue_interrupts[VIRTIO_QUEUES_MAX], nr_config_interrupts;
	gpa_t free_at; /* memory from here on was not given out */
};

struct driver_queue {
	struct driver_host *host;
	unsigned index;
	uint16_t size;
	bool is_packed;
	gpa_t desc, driver, device;
	uint16_t next_flags; /* of the first descriptor of the next chain, in addition */
	uint16_t next_desc;  /* next free descriptor; a test's chains fit in the ring at once */
	uint16_t avail_at, used_at;	      /* split */
	bool wrap, used_wrap;		      /* packed */
	uint16_t lens[VIRTIO_QUEUE_SIZE_MAX]; /* packed: descriptors of the chain with this id */
};

struct driver_buffer {
	gpa_t gpa;
	uint32_t len;
	bool is_writable;
};

static inline void driver_on_queue(struct virtio_transport *t, unsigned queue)
{
	struct driver_host *h = container_of(t, struct driver_host, transport);

	atomic_fetch_add(&h->nr_queue_interrupts[queue], 1);
}

static inline void driver_on_config(struct virtio_transport *t)
{
	struct driver_host *h = container_of(t, struct driver_host, transport);

	atomic_fetch_add(&h->nr_config_interrupts, 1);
}

/* Memory and I/O thread; make the device with h->mem and io_thread_loop(h->io), then connect. */
static inline void driver_host_init(struct driver_host *h)
{
	struct error err;

	memset(h, 0, sizeof(*h));
	h->mem = mem_new();
	int rc = mem_add_region(h->mem, 0, DRIVER_MEMORY, false, &err);
	assert(!rc);
	(void)rc;
	h->io = io_thread_new("test", &err);
	assert(h->io);
	h->free_at = 0x1000;
}

static inline void driver_connect(struct driver_host *h, struct virtio_device *d)
{
	static const struct virtio_transport_ops ops = {.queue_interrupt = driver_on_queue,
							.config_interrupt = driver_on_config};

	h->transport.ops = &ops;
	h->device = d;
	virtio_attach(d, &h->transport, 0);
}

/* Ends the device and everything else. */
static inline void driver_host_fini(struct driver_host *h)
{
	if (h->device)
		virtio_free(h->device);
	io_thread_free(h->io);
	mem_free(h->mem);
}

static inline gpa_t driver_alloc(struct driver_host *h, uint64_t len)
{
	gpa_t gpa = (h->free_at + 63) & ~63ull;

	h->free_at = gpa + len;
	assert(h->free_at <= DRIVER_MEMORY);
	return gpa;
}

static inline void *driver_ptr(struct driver_host *h, gpa_t gpa, uint64_t len)
{
	return mem_slice(h->mem, gpa, len, MEM_WRITE);
}

/* The driver's part of initialisation up to FEATURES_OK; whether the device took the features. */
static inline bool driver_negotiate(struct driver_host *h, uint64_t features)
{
	struct virtio_device *d = h->device;

	virtio_set_status(d, 0);
	virtio_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	features |= BIT64(VIRTIO_F_VERSION_1);
	virtio_accept(d, 0, (uint32_t)features);
	virtio_accept(d, 1, (uint32_t)(features >> 32));
	virtio_set_status(d, virtio_status(d) | VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void driver_start(struct driver_host *h)
{
	virtio_set_status(h->device, virtio_status(h->device) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Lays out and enables a queue, in the format that was negotiated. size: a power of two. */
static inline void driver_init(struct driver_queue *r, struct driver_host *h, unsigned index,
			       uint16_t size)
{
	memset(r, 0, sizeof(*r));
	r->host = h;
	r->index = index;
	r->size = size;
	r->is_packed = virtio_has_feature(h->device, VIRTIO_F_RING_PACKED);
	r->wrap = r->used_wrap = true;
	r->desc = driver_alloc(h, 16ull * size);
	r->driver = driver_alloc(h, 6 + 2ull * size);
	r->device = driver_alloc(h, 6 + 8ull * size);
	memset(driver_ptr(h, r->desc, 16ull * size), 0, 16ull * size);
	memset(driver_ptr(h, r->driver, 6 + 2ull * size), 0, 6 + 2ull * size);
	memset(driver_ptr(h, r->device, 6 + 8ull * size), 0, 6 + 8ull * size);
	struct virtio_queue_setup *s = virtio_queue_setup(h->device, index);
	assert(s);
	*s = (struct virtio_queue_setup){
		.size = size, .desc = r->desc, .driver = r->driver, .device = r->device};
	virtio_queue_enable(h->device, index);
}

/* Writes one descriptor of either format: next is for split rings. */
static inline void driver_put(struct driver_queue *r, gpa_t table, unsigned i,
			      const struct driver_buffer *b, uint16_t flags, uint16_t id_or_next)
{
	flags |= b->is_writable ? VRING_DESC_F_WRITE : 0;
	if (r->is_packed) {
		struct vring_packed_desc d = {
			.addr = b->gpa, .len = b->len, .id = id_or_next, .flags = flags};
		mem_write(r->host->mem, table + 16ull * i, &d, 14);
		__atomic_store_n((uint16_t *)driver_ptr(r->host, table + 16ull * i + 14, 2), flags,
				 __ATOMIC_RELEASE);
	} else {
		struct vring_desc d = {
			.addr = b->gpa, .len = b->len, .next = id_or_next, .flags = flags};
		mem_write(r->host->mem, table + 16ull * i, &d, 16);
	}
}

/* Makes a chain of n buffers available and returns its id. The device is not notified. */
static inline uint16_t driver_add(struct driver_queue *r, const struct driver_buffer *b, unsigned n)
{
	uint16_t first = r->next_desc;

	for (unsigned i = 0; !r->is_packed && i < n; i++) {
		uint16_t at = (uint16_t)((first + i) % r->size);
		driver_put(
			r, r->desc, at, &b[i],
			(uint16_t)((i + 1 < n ? VRING_DESC_F_NEXT : 0) | (i ? 0 : r->next_flags)),
			(uint16_t)((at + 1) % r->size));
	}
	/* The first descriptor of a packed chain is made available last. */
	for (unsigned k = n; r->is_packed && k-- > 0;) {
		unsigned at = first + k;
		bool wrap = at >= r->size ? !r->wrap : r->wrap;
		driver_put(r, r->desc, at % r->size, &b[k],
			   (uint16_t)((k + 1 < n ? VRING_DESC_F_NEXT : 0) |
				      (k ? 0 : r->next_flags) |
				      (wrap ? BIT(VRING_PACKED_DESC_F_AVAIL)
					    : BIT(VRING_PACKED_DESC_F_USED))),
			   first);
	}
	r->next_flags = 0;
	r->lens[first] = (uint16_t)n;
	if (first + n >= r->size)
		r->wrap = !r->wrap;
	r->next_desc = (uint16_t)((first + n) % r->size);
	if (!r->is_packed) {
		uint16_t *avail = driver_ptr(r->host, r->driver, 4 + 2ull * r->size);
		avail[2 + r->avail_at % r->size] = first;
		__atomic_store_n(&avail[1], ++r->avail_at, __ATOMIC_RELEASE);
	}
	return first;
}

static inline void driver_notify(struct driver_queue *r)
{
	virtio_notify(r->host->device, r->index);
}

/* Whether the device used another chain; then its id and length. */
static inline bool driver_used(struct driver_queue *r, uint16_t *id, uint32_t *len)
{
	if (r->is_packed) {
		struct vring_packed_desc *d = driver_ptr(r->host, r->desc + 16ull * r->used_at, 16);
		uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
		bool used = flags & BIT(VRING_PACKED_DESC_F_USED);
		bool avail = flags & BIT(VRING_PACKED_DESC_F_AVAIL);

		if (used != r->used_wrap || avail != used)
			return false;
		*id = d->id;
		*len = d->len;
		unsigned next = r->used_at + r->lens[*id % r->size];
		if (next >= r->size)
			r->used_wrap = !r->used_wrap;
		r->used_at = (uint16_t)(next % r->size);
		return true;
	}
	struct vring_used *u = driver_ptr(r->host, r->device, 4 + 8ull * r->size);
	if (__atomic_load_n(&u->idx, __ATOMIC_ACQUIRE) == r->used_at)
		return false;
	*id = (uint16_t)u->ring[r->used_at % r->size].id;
	*len = u->ring[r->used_at % r->size].len;
	r->used_at++;
	return true;
}

/* As driver_used(), but waits up to five seconds for it. */
static inline bool driver_wait(struct driver_queue *r, uint16_t *id, uint32_t *len)
{
	for (unsigned i = 0; i < 50000; i++) {
		if (driver_used(r, id, len))
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	return false;
}

/* One chain: made available, notified, waited for. Returns the bytes written, or UINT32_MAX. */
static inline uint32_t driver_request(struct driver_queue *r, const struct driver_buffer *b,
				      unsigned n)
{
	uint16_t mine = driver_add(r, b, n), id;
	uint32_t len;

	driver_notify(r);
	return driver_wait(r, &id, &len) && id == mine ? len : UINT32_MAX;
}

#endif
