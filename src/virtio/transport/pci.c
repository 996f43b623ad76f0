/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/transport/pci.h"

#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "virtio/transport/pci_impl.h"

#define VENDOR	    0x1af4
#define DEVICE_BASE 0x1040 /* plus the virtio device id */
#define SUBSYSTEM   0x40   /* what drivers without the legacy interface expect at least */
#define REVISION    1

/* Registers newer than some headers (virtio 1.2, 4.1.4.3). */
#define COMMON_QUEUE_RESET 58
#define COMMON_SIZE	   60

/* What is where in the BAR of registers, a page each. */
#define BAR_MSIX  1
#define AT_COMMON 0x0000u
#define AT_ISR	  0x1000u
#define AT_DEVICE 0x2000u
#define PART_SIZE 0x1000u
#define BAR_SIZE  0x4000u

#define ISR_QUEUE  BIT(0)
#define ISR_CONFIG BIT(1)

/* ---- interrupts ---- */

static void set_isr(struct virtio_pci *p, uint8_t bits)
{
	pthread_mutex_lock(&p->isr_lock);
	p->isr |= bits;
	pci_intx_set(&p->function, true);
	pthread_mutex_unlock(&p->isr_lock);
}

/* Reading it takes the interrupt back. */
static uint8_t take_isr(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->isr_lock);
	uint8_t isr = p->isr;
	p->isr = 0;
	pci_intx_set(&p->function, false);
	pthread_mutex_unlock(&p->isr_lock);
	return isr;
}

/* With MSI-X on, a vector that was never assigned means that the driver polls. */
static void interrupt(struct virtio_pci *p, const _Atomic uint16_t *vector, uint8_t isr)
{
	if (pci_msix_is_enabled(&p->function))
		pci_msix_notify(&p->function, atomic_load(vector));
	else
		set_isr(p, isr);
}

static void queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	struct virtio_pci *p = container_of(t, struct virtio_pci, transport);

	interrupt(p, &p->queue_vectors[queue], ISR_QUEUE);
}

static void config_interrupt(struct virtio_transport *t)
{
	struct virtio_pci *p = container_of(t, struct virtio_pci, transport);

	interrupt(p, &p->config_vector, ISR_CONFIG);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
};

static void vectors_changed(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->function.lock);
	virtio_pci_update_eventfds(p);
	pthread_mutex_unlock(&p->function.lock);
}

static void forget_interrupts(struct virtio_pci *p)
{
	atomic_store(&p->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&p->queue_vectors[i], VIRTIO_MSI_NO_VECTOR);
	vectors_changed(p);
	take_isr(p);
}

/* A vector that does not exist is refused: it reads back as none. */
static void assign_vector(struct virtio_pci *p, _Atomic uint16_t *vector, uint16_t value)
{
	atomic_store(vector, value < p->nr_vectors ? value : VIRTIO_MSI_NO_VECTOR);
}

/* ---- common configuration ---- */

static uint32_t half_of(uint64_t address, bool is_high)
{
	return (uint32_t)(is_high ? address >> 32 : address);
}

static void set_half(uint64_t *address, bool is_high, uint32_t value)
{
	*address = is_high ? (uint32_t)*address | (uint64_t)value << 32
			   : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* The address a queue register holds half of, or NULL. */
static uint64_t *queue_address(struct virtio_queue_setup *q, unsigned reg)
{
	switch (reg & ~4u) {
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return &q->desc;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return &q->driver;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return &q->device;
	default:
		return NULL;
	}
}

static uint32_t read_queue(struct virtio_pci *p, unsigned reg)
{
	struct virtio_queue_setup *q = virtio_queue_setup(p->virtio, p->queue);

	if (!q)
		return 0; /* a size of 0 says that there is no such queue */
	switch (reg) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return atomic_load(&p->queue_vectors[p->queue]);
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return virtio_queue_is_enabled(p->virtio, p->queue);
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return p->queue;
	default:
		break;
	}
	const uint64_t *address = queue_address(q, reg);
	return address ? half_of(*address, reg & 4) : 0;
}

static uint32_t read_common(struct virtio_pci *p, unsigned reg)
{
	struct virtio_device *d = p->virtio;

	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return p->offered_word;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_offered(d, p->offered_word);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return p->accepted_word;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_accepted(d, p->accepted_word);
	case VIRTIO_PCI_COMMON_MSIX:
		return atomic_load(&p->config_vector);
	case VIRTIO_PCI_COMMON_NUMQ:
		return d->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_status(d);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return virtio_config_generation(d);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return p->queue;
	default:
		return read_queue(p, reg);
	}
}

/* The setup of a queue counts only before it is enabled. */
static void write_queue(struct virtio_pci *p, unsigned reg, uint32_t value)
{
	struct virtio_queue_setup *q = virtio_queue_setup(p->virtio, p->queue);

	if (!q)
		return;
	if (reg == VIRTIO_PCI_COMMON_Q_MSIX) {
		assign_vector(p, &p->queue_vectors[p->queue], (uint16_t)value);
		vectors_changed(p);
	} else if (reg == VIRTIO_PCI_COMMON_Q_ENABLE) {
		if (value == 1)
			virtio_queue_enable(p->virtio, p->queue);
	} else if (reg == COMMON_QUEUE_RESET) {
		if (value == 1)
			virtio_queue_reset(p->virtio, p->queue);
	} else if (!virtio_queue_is_enabled(p->virtio, p->queue)) {
		uint64_t *address = queue_address(q, reg);

		if (address)
			set_half(address, reg & 4, value);
		else if (reg == VIRTIO_PCI_COMMON_Q_SIZE)
			q->size = (uint16_t)value;
	}
}

static void write_common(struct virtio_pci *p, unsigned reg, uint32_t value)
{
	struct virtio_device *d = p->virtio;

	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		p->offered_word = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		p->accepted_word = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_accept(d, p->accepted_word, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		assign_vector(p, &p->config_vector, (uint16_t)value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(d, (uint8_t)value);
		if (!(uint8_t)value)
			forget_interrupts(p);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		p->queue = (uint16_t)value;
		break;
	default:
		write_queue(p, reg, value);
		break;
	}
}

/* ---- the BAR ---- */

static uint64_t bar_read(void *dev, uint64_t offset, unsigned size)
{
	struct virtio_pci *p = dev;
	unsigned at = offset % PART_SIZE;
	uint64_t value = 0;

	switch (offset - at) {
	case AT_COMMON:
		pthread_mutex_lock(&p->lock);
		value = read_common(p, at);
		pthread_mutex_unlock(&p->lock);
		return value;
	case AT_ISR:
		return at ? 0 : take_isr(p);
	case AT_DEVICE:
		pthread_mutex_lock(&p->lock);
		virtio_config_read(p->virtio, at, &value, size);
		pthread_mutex_unlock(&p->lock);
		return value;
	default:
		return 0;
	}
}

static void bar_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_pci *p = dev;
	unsigned at = offset % PART_SIZE;

	if (offset >= AT_NOTIFY) {
		virtio_notify(p->virtio, at / NOTIFY_STRIDE);
		return;
	}
	pthread_mutex_lock(&p->lock);
	if (offset < AT_COMMON + PART_SIZE)
		write_common(p, at, (uint32_t)value);
	else if (offset >= AT_DEVICE)
		virtio_config_write(p->virtio, at, &value, size);
	pthread_mutex_unlock(&p->lock);
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write, .max_size = 4};

/* ---- the window in configuration space (4.1.4.9): for firmware that cannot reach the BAR ---- */

/* Where it leads, or false: what it holds is the driver's and must be checked. */
static bool window_target(struct virtio_pci *p, uint32_t *offset, uint32_t *size)
{
	uint32_t bar = pci_config_read(&p->function, p->window_cap + VIRTIO_PCI_CAP_BAR, 1);

	*offset = pci_config_read(&p->function, p->window_cap + VIRTIO_PCI_CAP_OFFSET, 4);
	*size = pci_config_read(&p->function, p->window_cap + VIRTIO_PCI_CAP_LENGTH, 4);
	return bar == BAR_REGISTERS && (*size == 1 || *size == 2 || *size == 4) &&
	       *offset % *size == 0 && *offset < BAR_SIZE;
}

static uint32_t window_read(void *ctx, unsigned at, unsigned size)
{
	struct virtio_pci *p = ctx;
	uint32_t offset, length;

	if (!window_target(p, &offset, &length))
		return 0;
	uint64_t value = bar_read(p, offset, length) & (BIT64(8 * length) - 1);
	return (uint32_t)(value >> (8 * (at % 4)));
}

static void window_write(void *ctx, unsigned at, unsigned size, uint32_t value)
{
	struct virtio_pci *p = ctx;
	uint32_t offset, length;

	if (at % 4 == 0 && window_target(p, &offset, &length) && length <= size)
		bar_write(p, offset, length, value & (BIT64(8 * length) - 1));
}

static const struct pci_cap_ops window_ops = {.read = window_read, .write = window_write};

/* ---- what the function tells ---- */

static void function_changed(struct pci_function *f)
{
	virtio_pci_update_eventfds(container_of(f, struct virtio_pci, function));
}

static bool may_access_memory(void *ctx)
{
	return pci_is_bus_master(ctx);
}

static void mastering_changed(struct pci_function *f)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);

	virtio_update_access(p->virtio, may_access_memory, f);
}

static const struct pci_function_ops function_ops = {.changed = function_changed,
						     .mastering_changed = mastering_changed};

static struct virtio_pci *pci_of(struct device *dev)
{
	return container_of(dev, struct virtio_pci, dev);
}

void virtio_pci_engine_changed(struct device *dev)
{
	struct virtio_pci *p = pci_of(dev);

	pthread_mutex_lock(&p->function.lock);
	virtio_pci_forget_eventfds(p);
	virtio_pci_update_eventfds(p);
	pthread_mutex_unlock(&p->function.lock);
}

/* ---- life ---- */

static void transport_reset(struct device *dev)
{
	struct virtio_pci *p = pci_of(dev);

	virtio_reset(p->virtio);
	p->offered_word = p->accepted_word = 0;
	p->queue = 0;
	forget_interrupts(p);
}

static void vector_state(struct virtio_pci *p, _Atomic uint16_t *vector, struct state *s)
{
	uint16_t value = atomic_load(vector);

	state_u16(s, &value);
	assign_vector(p, vector, value);
}

static void transport_state(struct device *dev, struct state *s)
{
	struct virtio_pci *p = pci_of(dev);

	pci_function_state(&p->function, s);
	state_u32(s, &p->offered_word);
	state_u32(s, &p->accepted_word);
	state_u16(s, &p->queue);
	state_u8(s, &p->isr);
	vector_state(p, &p->config_vector, s);
	for (unsigned i = 0; i < p->virtio->nr_queues; i++)
		vector_state(p, &p->queue_vectors[i], s);
	vectors_changed(p);
	virtio_state(p->virtio, s);
}

static void transport_pause(struct device *dev)
{
	virtio_pause(pci_of(dev)->virtio);
}

static void transport_resume(struct device *dev)
{
	virtio_resume(pci_of(dev)->virtio);
}

static void transport_free(struct device *dev)
{
	struct virtio_pci *p = pci_of(dev);

	virtio_pci_end_eventfds(p);
	pci_function_fini(&p->function);
	virtio_free(p->virtio);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->isr_lock);
	free(p);
}

/* ---- making ---- */

static struct virtio_pci_cap capability(uint8_t type, uint32_t offset, uint32_t length)
{
	return (struct virtio_pci_cap){.cap_vndr = PCI_CAP_ID_VENDOR,
				       .cap_len = sizeof(struct virtio_pci_cap),
				       .cfg_type = type,
				       .bar = BAR_REGISTERS,
				       .offset = offset,
				       .length = length};
}

static void add_capability(struct pci_function *f, uint8_t type, uint32_t offset, uint32_t length)
{
	struct virtio_pci_cap cap = capability(type, offset, length);

	pci_add_capability(f, &cap, NULL, sizeof(cap));
}

static void add_capabilities(struct virtio_pci *p)
{
	struct pci_function *f = &p->function;

	add_capability(f, VIRTIO_PCI_CAP_COMMON_CFG, AT_COMMON, COMMON_SIZE);
	add_capability(f, VIRTIO_PCI_CAP_ISR_CFG, AT_ISR, 1);
	if (p->virtio->config_size)
		add_capability(f, VIRTIO_PCI_CAP_DEVICE_CFG, AT_DEVICE, p->virtio->config_size);

	struct virtio_pci_notify_cap notify = {
		.cap = capability(VIRTIO_PCI_CAP_NOTIFY_CFG, AT_NOTIFY,
				  p->virtio->nr_queues * NOTIFY_STRIDE),
		.notify_off_multiplier = NOTIFY_STRIDE};
	notify.cap.cap_len = sizeof(notify);
	pci_add_capability(f, &notify, NULL, sizeof(notify));

	const struct virtio_pci_cfg_cap writable = {
		.cap = {.bar = 0xff, .offset = UINT32_MAX, .length = UINT32_MAX}};
	struct virtio_pci_cfg_cap window = {.cap = capability(VIRTIO_PCI_CAP_PCI_CFG, 0, 0)};
	window.cap.cap_len = sizeof(window);
	p->window_cap = pci_add_capability(f, &window, &writable, sizeof(window));
	pci_hook_capability(f, p->window_cap, offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4,
			    &window_ops, p);
}

static void init_function(struct virtio_pci *p, bool has_msix)
{
	struct virtio_device *d = p->virtio;

	pci_function_init(&p->function, &(struct pci_function_params){
						.name = d->ops->type,
						.vendor = VENDOR,
						.device = DEVICE_BASE + d->ops->device_id,
						.subsystem_vendor = VENDOR,
						.subsystem = SUBSYSTEM,
						.class = d->ops->pci_class,
						.revision = REVISION,
						.has_intx = true,
						.ops = &function_ops,
					});
	pci_add_bar(&p->function, BAR_REGISTERS, PCI_BAR_MEM32, BAR_SIZE, &bar_ops, p);
	add_capabilities(p);
	p->nr_vectors = has_msix ? d->nr_queues + 1 : 0;
	if (has_msix)
		pci_add_msix(&p->function, BAR_MSIX, p->nr_vectors);
	else
		pci_add_msi(&p->function);
}

struct device *virtio_pci_new(struct virtio_device *d, const struct virtio_pci_params *params,
			      struct error *err)
{
	struct virtio_pci *p = mem_alloc_zero(sizeof(*p));

	p->ops = (struct device_ops){.type = d->ops->type,
				     .reset = transport_reset,
				     .state = transport_state,
				     .pause = transport_pause,
				     .resume = transport_resume,
				     .free = transport_free};
	p->dev.ops = &p->ops;
	p->dev.index = params->index;
	list_init(&p->dev.node);
	p->virtio = d;
	virtio_pci_init_eventfds(p, &params->engine);
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->isr_lock, NULL);
	init_function(p, params->has_msix);
	forget_interrupts(p);
	p->transport.ops = &transport_ops;
	virtio_attach(d, &p->transport, 0);
	mastering_changed(&p->function);
	if (pci_root_add(params->root, &p->function, params->device, err)) {
		transport_free(&p->dev);
		return NULL;
	}
	return &p->dev;
}
