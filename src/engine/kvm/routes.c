/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's table of interrupt routes: a message for each pin of the IOAPIC, which KVM never sends but
 * looks at to know which vectors' EOIs leave the kernel, and one for each eventfd that is an interrupt
 * (KVM_IRQFD). Installing a table waits for all vCPUs, so one that is unchanged is left alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/kvm/kvm_impl.h"

/* Of KVM's 4096 GSIs (KVM_MAX_IRQ_ROUTES): all queues of 32 devices. */
#define CALLS_MAX 2048

void kvm_routes_init(struct kvm_routes *r)
{
	pthread_mutex_init(&r->lock, NULL);
}

void kvm_routes_fini(struct kvm_routes *r)
{
	pthread_mutex_destroy(&r->lock);
	free(r->calls);
	free(r->installed);
}

static unsigned gsi_of(const struct kvm_routes *r, const struct kvm_call *c)
{
	return IOAPIC_NR_PINS + (unsigned)(c - r->calls);
}

/* ---- the table; locked ---- */

static size_t size_of(const struct kvm_irq_routing *table)
{
	return sizeof(*table) + table->nr * sizeof(table->entries[0]);
}

static void add_entry(struct kvm_irq_routing *table, const struct engine_message *m)
{
	struct kvm_irq_routing_entry *e = &table->entries[table->nr];

	e->gsi = table->nr++;
	e->type = KVM_IRQ_ROUTING_MSI;
	e->u.msi.address_lo = (uint32_t)m->addr;
	e->u.msi.address_hi = m->addr >> 32;
	e->u.msi.data = m->data;
}

static int install(struct kvm_vm *vm)
{
	struct kvm_routes *r = &vm->routes;
	unsigned nr = IOAPIC_NR_PINS + r->nr_calls;
	struct kvm_irq_routing *table =
		mem_alloc_zero(sizeof(*table) + nr * sizeof(table->entries[0]));
	int ret = 0;

	for (unsigned i = 0; i < IOAPIC_NR_PINS; i++)
		add_entry(table, &r->pins[i]);
	for (unsigned i = 0; i < r->nr_calls; i++)
		add_entry(table, &r->calls[i].message);
	if (!r->installed || r->installed->nr != nr || memcmp(r->installed, table, size_of(table)))
		ret = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
	if (ret) {
		free(table);
		return ret;
	}
	free(r->installed);
	r->installed = table;
	return 0;
}

/* The EOIs of edge-triggered pins are of no interest. */
int kvm_vm_set_ioapic_routes(struct engine_vm *base,
			     const struct engine_route routes[IOAPIC_NR_PINS])
{
	struct kvm_vm *vm = kvm_vm_of(base);

	pthread_mutex_lock(&vm->routes.lock);
	for (unsigned pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		bool is_level = routes[pin].data & BIT(15);

		vm->routes.pins[pin] =
			is_level ? (struct engine_message){routes[pin].addr, routes[pin].data}
				 : (struct engine_message){0};
	}
	int ret = install(vm);
	pthread_mutex_unlock(&vm->routes.lock);
	return ret;
}

/* ---- eventfds; locked ---- */

static struct kvm_call *find(struct kvm_routes *r, int fd)
{
	for (unsigned i = 0; i < r->nr_calls; i++)
		if (r->calls[i].fd == fd)
			return &r->calls[i];
	return NULL;
}

/* A free one, or NULL when there is no room. */
static struct kvm_call *new_call(struct kvm_routes *r)
{
	struct kvm_call *free_one = find(r, -1);

	if (free_one || r->nr_calls == CALLS_MAX)
		return free_one;
	r->calls = realloc(r->calls, (r->nr_calls + 1) * sizeof(r->calls[0]));
	BUG_ON(!r->calls);
	r->calls[r->nr_calls] = (struct kvm_call){.fd = -1};
	return &r->calls[r->nr_calls++];
}

static int connect_call(struct kvm_vm *vm, const struct kvm_call *c, int fd, bool on)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd,
				  .gsi = gsi_of(&vm->routes, c),
				  .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

	return kvm_ioctl(vm->fd, KVM_IRQFD, &irqfd);
}

static int set_call(struct kvm_vm *vm, int fd, const struct engine_message *message)
{
	struct kvm_routes *r = &vm->routes;
	struct kvm_call *c = find(r, fd);
	bool is_new = !c;

	if (is_new)
		c = new_call(r);
	if (!c)
		return -ENOSPC;
	struct engine_message before = c->message;
	c->message = *message;
	int ret = install(vm);
	if (!ret && is_new)
		ret = connect_call(vm, c, fd, true);
	if (!ret)
		c->fd = fd;
	else
		c->message = before;
	return ret;
}

/* The route stays where it is, for nothing uses it and the next eventfd may want the same. */
static int end_call(struct kvm_vm *vm, int fd)
{
	struct kvm_call *c = find(&vm->routes, fd);

	if (!c)
		return 0;
	c->fd = -1;
	return connect_call(vm, c, fd, false);
}

int kvm_vm_set_call(struct engine_vm *base, int eventfd, const struct engine_message *message)
{
	struct kvm_vm *vm = kvm_vm_of(base);

	if (!vm->engine->has_calls)
		return -ENOTSUP;
	pthread_mutex_lock(&vm->routes.lock);
	int ret = message ? set_call(vm, eventfd, message) : end_call(vm, eventfd);
	pthread_mutex_unlock(&vm->routes.lock);
	return ret;
}
