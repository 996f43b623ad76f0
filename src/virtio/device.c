/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a virtio device: status, features, queues, and the way from vCPU threads, on which the
 * driver's register accesses arrive, to the thread of the device's loop.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "virtio/queue.h"

#define QUEUE_SIZE_DEFAULT 256

#define RING_FEATURES                                                          \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED) |             \
	 BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT64(VIRTIO_F_RING_RESET))

/* ---- batches and interrupts ---- */

void virtio_begin_batch(struct virtio_device *d)
{
	d->batch_depth++;
}

void virtio_end_batch(struct virtio_device *d)
{
	if (--d->batch_depth)
		return;
	for (unsigned i = 0; i < d->nr_queues; i++) {
		struct virtio_queue *q = &d->queues[i];

		if (!q->has_given)
			continue;
		q->has_given = false;
		if (q->ring && q->ring->wants_interrupt(q))
			d->transport->ops->queue_interrupt(d->transport, i);
	}
}

void virtio_config_changed(struct virtio_device *d)
{
	atomic_fetch_add(&d->config_generation, 1);
	if (d->transport && (virtio_status(d) & VIRTIO_CONFIG_S_DRIVER_OK))
		d->transport->ops->config_interrupt(d->transport);
}

void virtio_break(struct virtio_device *d, const char *fmt, ...)
{
	if (!d->has_complained) {
		char text[256];
		va_list args;

		va_start(args, fmt);
		vsnprintf(text, sizeof(text), fmt, args);
		va_end(args);
		log_warn("%s: the guest's driver broke the device, which now needs a reset: %s",
			 d->ops->type, text);
		d->has_complained = true;
	}
	if (atomic_fetch_or(&d->status, VIRTIO_CONFIG_S_NEEDS_RESET) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (d->transport && (virtio_status(d) & VIRTIO_CONFIG_S_DRIVER_OK))
		d->transport->ops->config_interrupt(d->transport);
}

/* ---- making ---- */

void virtio_init(struct virtio_device *d, const struct virtio_ops *ops,
		 const struct virtio_params *params)
{
	BUG_ON(params->nr_queues > VIRTIO_QUEUES_MAX || params->queue_size > VIRTIO_QUEUE_SIZE_MAX);
	d->ops = ops;
	d->mem = params->mem;
	d->loop = params->loop;
	d->offered_features = (params->features | RING_FEATURES) & ~params->without;
	d->nr_queues = params->nr_queues;
	d->config_size = params->config_size;
	d->queues = mem_alloc_zero(d->nr_queues * sizeof(d->queues[0]));
	list_init(&d->notify_work.node);
	for (unsigned i = 0; i < d->nr_queues; i++) {
		struct virtio_queue *q = &d->queues[i];

		q->device = d;
		q->index = i;
		q->size_max = params->queue_size ? params->queue_size : QUEUE_SIZE_DEFAULT;
		q->setup.size = q->size_max;
		q->kick_fd = -1;
		list_init(&q->free_chains);
	}
}

void virtio_fini(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->nr_queues; i++)
		queue_free(&d->queues[i]);
	free(d->queues);
}

void virtio_attach(struct virtio_device *d, struct virtio_transport *t, uint64_t features)
{
	d->transport = t;
	d->offered_features |= features;
}

/* ---- on the loop thread ---- */

/* What a vCPU thread wants of the device. */
struct request {
	struct virtio_device *device;
	unsigned number; /* queue, or offset */
	void *data;
	const void *new_data;
	unsigned len;
	struct state *state;
};

static void process(struct virtio_device *d, unsigned queue)
{
	if (d->queues[queue].ring && !virtio_is_stopped(d))
		d->ops->process(d, queue);
}

static void process_all(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->nr_queues; i++)
		process(d, i);
}

static void take_notifications(struct loop_work *w)
{
	struct virtio_device *d = container_of(w, struct virtio_device, notify_work);
	uint64_t queues = atomic_exchange(&d->notified, 0);

	virtio_begin_batch(d);
	while (queues) {
		process(d, (unsigned)__builtin_ctzll(queues));
		queues &= queues - 1;
	}
	virtio_end_batch(d);
}

static void drain_queue(struct virtio_device *d, unsigned queue)
{
	if (d->queues[queue].ring && d->ops->drain)
		d->ops->drain(d, queue);
	BUG_ON(d->queues[queue].nr_held);
}

static void drain_all(struct virtio_device *d)
{
	virtio_begin_batch(d);
	for (unsigned i = 0; i < d->nr_queues; i++)
		drain_queue(d, i);
	virtio_end_batch(d);
}

static void reset_on_loop(void *ctx)
{
	struct virtio_device *d = ctx;

	drain_all(d);
	for (unsigned i = 0; i < d->nr_queues; i++) {
		struct virtio_queue *q = &d->queues[i];

		queue_stop(q);
		q->is_enabled = false;
		q->has_given = false;
		q->setup = (struct virtio_queue_setup){.size = q->size_max};
	}
	if (d->ops->reset)
		d->ops->reset(d);
	d->features = 0;
	atomic_store(&d->notified, 0);
	atomic_store(&d->config_generation, 0);
	atomic_store(&d->status, 0);
}

static void start_on_loop(void *ctx)
{
	struct virtio_device *d = ctx;

	atomic_fetch_or(&d->status, VIRTIO_CONFIG_S_DRIVER_OK);
	virtio_begin_batch(d);
	for (unsigned i = 0; i < d->nr_queues; i++) {
		if (d->queues[i].is_enabled)
			queue_start(&d->queues[i]);
	}
	if (d->ops->start)
		d->ops->start(d);
	process_all(d);
	virtio_end_batch(d);
}

static void start_queue_on_loop(void *ctx)
{
	struct request *r = ctx;
	struct virtio_device *d = r->device;

	virtio_begin_batch(d);
	if (queue_start(&d->queues[r->number]))
		process(d, r->number);
	virtio_end_batch(d);
}

static void reset_queue_on_loop(void *ctx)
{
	struct request *r = ctx;
	struct virtio_queue *q = &r->device->queues[r->number];

	virtio_begin_batch(r->device);
	drain_queue(r->device, r->number);
	virtio_end_batch(r->device);
	queue_stop(q);
	q->is_enabled = false;
	q->setup = (struct virtio_queue_setup){.size = q->size_max};
}

static void stop(struct virtio_device *d, unsigned cause)
{
	drain_all(d);
	d->stops |= cause;
}

/* Queues move on from where they stand once no cause is left. */
static void go_on(struct virtio_device *d, unsigned cause)
{
	d->stops &= ~cause;
	virtio_begin_batch(d);
	process_all(d);
	virtio_end_batch(d);
}

static void pause_on_loop(void *ctx)
{
	stop(ctx, VIRTIO_STOP_PAUSE);
}

static void resume_on_loop(void *ctx)
{
	go_on(ctx, VIRTIO_STOP_PAUSE);
}

static void free_on_loop(void *ctx)
{
	struct virtio_device *d = ctx;

	drain_all(d);
	loop_cancel(d->loop, &d->notify_work);
	d->ops->free(d);
}

void virtio_free(struct virtio_device *d)
{
	loop_call(d->loop, free_on_loop, d);
}

/* ---- features and status ---- */

uint32_t virtio_offered(const struct virtio_device *d, unsigned word)
{
	return word < 2 ? (uint32_t)(d->offered_features >> (32 * word)) : 0;
}

uint32_t virtio_accepted(const struct virtio_device *d, unsigned word)
{
	return word < 2 ? (uint32_t)(d->features >> (32 * word)) : 0;
}

void virtio_accept(struct virtio_device *d, unsigned word, uint32_t bits)
{
	if (word >= 2 || (virtio_status(d) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	d->features &= ~((uint64_t)UINT32_MAX << (32 * word));
	d->features |= (uint64_t)bits << (32 * word);
}

static bool are_features_possible(const struct virtio_device *d)
{
	return !(d->features & ~d->offered_features) && virtio_has_feature(d, VIRTIO_F_VERSION_1);
}

void virtio_set_status(struct virtio_device *d, uint8_t status)
{
	uint8_t old = virtio_status(d);
	/* Bits are only ever added; NEEDS_RESET is ours, DRIVER_OK is set by the start. */
	uint8_t added = status & ~old & ~(VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_DRIVER_OK);

	if (!status) {
		loop_call(d->loop, reset_on_loop, d);
		return;
	}
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !are_features_possible(d))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	old = atomic_fetch_or(&d->status, added) | added;
	if ((status & ~old & VIRTIO_CONFIG_S_DRIVER_OK) && (old & VIRTIO_CONFIG_S_FEATURES_OK))
		loop_call(d->loop, start_on_loop, d);
}

/* ---- queues ---- */

struct virtio_queue_setup *virtio_queue_setup(struct virtio_device *d, unsigned queue)
{
	return queue < d->nr_queues ? &d->queues[queue].setup : NULL;
}

unsigned virtio_queue_size_max(const struct virtio_device *d, unsigned queue)
{
	return queue < d->nr_queues ? d->queues[queue].size_max : 0;
}

bool virtio_queue_is_enabled(const struct virtio_device *d, unsigned queue)
{
	return queue < d->nr_queues && d->queues[queue].is_enabled;
}

void virtio_queue_enable(struct virtio_device *d, unsigned queue)
{
	struct request r = {.device = d, .number = queue};

	if (queue >= d->nr_queues || d->queues[queue].is_enabled ||
	    !(virtio_status(d) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	d->queues[queue].is_enabled = true;
	if (virtio_status(d) & VIRTIO_CONFIG_S_DRIVER_OK)
		loop_call(d->loop, start_queue_on_loop, &r);
}

void virtio_queue_reset(struct virtio_device *d, unsigned queue)
{
	struct request r = {.device = d, .number = queue};

	if (virtio_queue_is_enabled(d, queue))
		loop_call(d->loop, reset_queue_on_loop, &r);
}

void virtio_notify(struct virtio_device *d, unsigned queue)
{
	if (queue >= d->nr_queues || !(virtio_status(d) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (atomic_fetch_or(&d->notified, BIT64(queue)))
		return;
	if (d->ops->is_prompt && loop_borrow(d->loop)) {
		take_notifications(&d->notify_work);
		loop_give_back(d->loop);
	} else {
		loop_post(d->loop, &d->notify_work, take_notifications);
	}
}

/* ---- queues the host's kernel serves ---- */

int virtio_kick_fd(const struct virtio_device *d, unsigned queue)
{
	return d->queues[queue].kick_fd;
}

int virtio_call_fd(const struct virtio_device *d, unsigned queue)
{
	const struct loop_fd *call = d->queues[queue].call;

	return call ? call->fd : -1;
}

void virtio_watch_call(struct virtio_device *d, unsigned queue, bool on)
{
	loop_fd_set_events(d->loop, d->queues[queue].call, on ? EPOLLIN : 0);
}

/* ---- configuration space ---- */

static void read_config_on_loop(void *ctx)
{
	struct request *r = ctx;

	r->device->ops->read_config(r->device, r->number, r->data, r->len);
}

static void write_config_on_loop(void *ctx)
{
	struct request *r = ctx;
	struct virtio_device *d = r->device;

	virtio_begin_batch(d);
	d->ops->write_config(d, r->number, r->new_data, r->len);
	virtio_end_batch(d);
}

void virtio_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	struct request r = {.device = d, .number = offset, .data = data, .len = len};

	memset(data, 0, len);
	if (d->ops->read_config && offset < d->config_size)
		loop_call(d->loop, read_config_on_loop, &r);
}

void virtio_config_write(struct virtio_device *d, unsigned offset, const void *data, unsigned len)
{
	struct request r = {.device = d, .number = offset, .new_data = data, .len = len};

	if (d->ops->write_config && offset < d->config_size)
		loop_call(d->loop, write_config_on_loop, &r);
}

/* ---- the machine's operations ---- */

void virtio_reset(struct virtio_device *d)
{
	loop_call(d->loop, reset_on_loop, d);
}

void virtio_pause(struct virtio_device *d)
{
	loop_call(d->loop, pause_on_loop, d);
}

void virtio_resume(struct virtio_device *d)
{
	loop_call(d->loop, resume_on_loop, d);
}

struct access_request {
	struct virtio_device *device;
	bool (*is_allowed)(void *ctx);
	void *ctx;
};

static void update_access_on_loop(void *ctx)
{
	struct access_request *r = ctx;

	if (r->is_allowed(r->ctx))
		go_on(r->device, VIRTIO_STOP_ACCESS);
	else
		stop(r->device, VIRTIO_STOP_ACCESS);
}

void virtio_update_access(struct virtio_device *d, bool (*is_allowed)(void *ctx), void *ctx)
{
	struct access_request r = {.device = d, .is_allowed = is_allowed, .ctx = ctx};

	loop_call(d->loop, update_access_on_loop, &r);
}

static void state_on_loop(void *ctx)
{
	struct request *r = ctx;
	struct virtio_device *d = r->device;
	struct state *s = r->state;
	uint8_t status = virtio_status(d);
	uint32_t generation = virtio_config_generation(d);
	uint64_t notified = atomic_load(&d->notified);

	state_u64(s, &d->features);
	state_u8(s, &status);
	state_u32(s, &generation);
	state_u64(s, &notified);
	if (state_is_loading(s)) {
		if (d->features & ~d->offered_features)
			state_fail(s, "%s: features 0x%llx are not offered here", d->ops->type,
				   (unsigned long long)(d->features & ~d->offered_features));
		atomic_store(&d->status, status);
		atomic_store(&d->config_generation, generation);
	}
	for (unsigned i = 0; i < d->nr_queues && !state_failed(s); i++)
		queue_state(&d->queues[i], s);
	if (d->ops->state && !state_failed(s))
		d->ops->state(d, s);
}

void virtio_state(struct virtio_device *d, struct state *s)
{
	struct request r = {.device = d, .state = s};

	loop_call(d->loop, state_on_loop, &r);
}
