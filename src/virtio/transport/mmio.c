/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/transport/mmio.h"

#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "virtio/transport.h"

#define MAGIC	  0x74726976u /* "virt" */
#define VERSION	  2
#define VENDOR_ID 0x6d746e62u /* "bntm" */

/* Registers newer than some headers (virtio 1.2, table 4.1). */
#define REG_QUEUE_RESET 0x0c0
#define REG_SHM_SEL	0x0ac
#define REG_SHM_LEN_LO	0x0b0
#define REG_SHM_BASE_HI 0x0bc

struct virtio_mmio {
	struct device dev;
	struct device_ops ops; /* as the virtio device's type has it */
	struct virtio_transport transport;
	struct virtio_device *virtio;
	struct bus *mmio;
	struct bus_region region;

	pthread_mutex_t lock; /* of register accesses: guards what follows */
	uint32_t offered_word, accepted_word, queue;

	struct irq_line irq;
	pthread_mutex_t irq_lock; /* guards pending and the line; taken last */
	uint32_t pending;	  /* VIRTIO_MMIO_INT_* */
};

/* ---- interrupts ---- */

static void set_pending(struct virtio_mmio *m, uint32_t set, uint32_t clear)
{
	pthread_mutex_lock(&m->irq_lock);
	m->pending = (m->pending | set) & ~clear;
	irq_set(&m->irq, m->pending);
	pthread_mutex_unlock(&m->irq_lock);
}

static void queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	set_pending(container_of(t, struct virtio_mmio, transport), VIRTIO_MMIO_INT_VRING, 0);
}

static void config_interrupt(struct virtio_transport *t)
{
	set_pending(container_of(t, struct virtio_mmio, transport), VIRTIO_MMIO_INT_CONFIG, 0);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
};

/* ---- registers ---- */

static uint32_t read_register(struct virtio_mmio *m, unsigned reg)
{
	struct virtio_device *d = m->virtio;

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->ops->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_offered(d, m->offered_word);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return virtio_queue_size_max(d, m->queue);
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_queue_is_enabled(d, m->queue);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		pthread_mutex_lock(&m->irq_lock);
		uint32_t pending = m->pending;
		pthread_mutex_unlock(&m->irq_lock);
		return pending;
	case VIRTIO_MMIO_STATUS:
		return virtio_status(d);
	case REG_SHM_LEN_LO ... REG_SHM_BASE_HI:
		return UINT32_MAX; /* no shared memory */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_config_generation(d);
	default:
		return 0;
	}
}

static void set_half(uint64_t *address, bool is_high, uint32_t value)
{
	*address = is_high ? (uint32_t)*address | (uint64_t)value << 32
			   : (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void write_queue_register(struct virtio_mmio *m, unsigned reg, uint32_t value)
{
	struct virtio_queue_setup *q = virtio_queue_setup(m->virtio, m->queue);

	if (!q || virtio_queue_is_enabled(m->virtio, m->queue))
		return;
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->size = (uint16_t)min(value, (uint32_t)UINT16_MAX);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&q->desc, reg == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&q->driver, reg == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&q->device, reg == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	default:
		break;
	}
}

static void write_register(struct virtio_mmio *m, unsigned reg, uint32_t value)
{
	struct virtio_device *d = m->virtio;

	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->offered_word = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->accepted_word = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_accept(d, m->accepted_word, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value & 1)
			virtio_queue_enable(d, m->queue);
		else
			virtio_queue_reset(d, m->queue);
		break;
	case REG_QUEUE_RESET:
		if (value & 1)
			virtio_queue_reset(d, m->queue);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		set_pending(m, 0, value);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(d, (uint8_t)value);
		if (!(uint8_t)value)
			set_pending(m, 0, UINT32_MAX);
		break;
	default:
		write_queue_register(m, reg, value);
		break;
	}
}

static uint64_t region_read(void *dev, uint64_t offset, unsigned size)
{
	struct virtio_mmio *m = dev;
	uint64_t value = 0;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		pthread_mutex_lock(&m->lock);
		virtio_config_read(m->virtio, (unsigned)offset - VIRTIO_MMIO_CONFIG, &value, size);
		pthread_mutex_unlock(&m->lock);
		return value;
	}
	if (size != 4)
		return 0;
	pthread_mutex_lock(&m->lock);
	value = read_register(m, (unsigned)offset);
	pthread_mutex_unlock(&m->lock);
	return value;
}

static void region_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_mmio *m = dev;

	if (offset == VIRTIO_MMIO_QUEUE_NOTIFY && size == 4) {
		virtio_notify(m->virtio, (unsigned)value & 0xffff);
		return;
	}
	if (offset < VIRTIO_MMIO_CONFIG && size != 4)
		return;
	pthread_mutex_lock(&m->lock);
	if (offset >= VIRTIO_MMIO_CONFIG)
		virtio_config_write(m->virtio, (unsigned)offset - VIRTIO_MMIO_CONFIG, &value, size);
	else
		write_register(m, (unsigned)offset, (uint32_t)value);
	pthread_mutex_unlock(&m->lock);
}

static const struct bus_ops region_ops = {
	.read = region_read, .write = region_write, .max_size = 8};

/* ---- life ---- */

static struct virtio_mmio *mmio_of(struct device *dev)
{
	return container_of(dev, struct virtio_mmio, dev);
}

static void mmio_reset(struct device *dev)
{
	struct virtio_mmio *m = mmio_of(dev);

	virtio_reset(m->virtio);
	m->offered_word = m->accepted_word = m->queue = 0;
	set_pending(m, 0, UINT32_MAX);
}

static void mmio_state(struct device *dev, struct state *s)
{
	struct virtio_mmio *m = mmio_of(dev);

	state_u32(s, &m->offered_word);
	state_u32(s, &m->accepted_word);
	state_u32(s, &m->queue);
	state_u32(s, &m->pending);
	virtio_state(m->virtio, s);
	if (state_is_loading(s))
		set_pending(m, 0, 0);
}

static void mmio_pause(struct device *dev)
{
	virtio_pause(mmio_of(dev)->virtio);
}

static void mmio_resume(struct device *dev)
{
	virtio_resume(mmio_of(dev)->virtio);
}

static void mmio_free(struct device *dev)
{
	struct virtio_mmio *m = mmio_of(dev);

	bus_remove(m->mmio, &m->region);
	virtio_free(m->virtio);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->irq_lock);
	free(m);
}

struct device *virtio_mmio_new(struct virtio_device *d, const struct virtio_mmio_params *params,
			       struct error *err)
{
	struct virtio_mmio *m = mem_alloc_zero(sizeof(*m));

	m->ops = (struct device_ops){.type = d->ops->type,
				     .reset = mmio_reset,
				     .state = mmio_state,
				     .pause = mmio_pause,
				     .resume = mmio_resume,
				     .free = mmio_free};
	m->dev.ops = &m->ops;
	m->dev.index = params->index;
	list_init(&m->dev.node);
	m->virtio = d;
	m->mmio = params->mmio;
	m->irq = params->irq;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->irq_lock, NULL);
	m->transport.ops = &transport_ops;
	virtio_attach(d, &m->transport, 0);
	m->region = (struct bus_region){.name = d->ops->type,
					.base = params->base,
					.size = VIRTIO_MMIO_SIZE,
					.ops = &region_ops,
					.dev = m};
	if (bus_add(params->mmio, &m->region, err)) {
		mmio_free(&m->dev);
		return NULL;
	}
	return &m->dev;
}
