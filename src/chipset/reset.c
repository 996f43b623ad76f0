/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reset control register 0xcf9 (as in Intel's south bridges) and system control port A, 0x92. The
 * former shares its port with the second byte of PCI's configuration address, so all of
 * 0xcf8-0xcfb is claimed: a byte access to 0xcf9 is the register, an access of 4 bytes goes on to
 * the PCI root. Entered by vCPU threads.
 */
#include "chipset/reset.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/buf.h"

#define CONTROL_BASE   0xcf8u
#define CONTROL_HARD   BIT(1)
#define CONTROL_RESET  BIT(2)
#define CONTROL_KEPT   (CONTROL_HARD | BIT(3))
#define PORT_A_RESET   BIT(0)
#define PORT_A_A20     BIT(1)
#define PORT_A_DEFAULT PORT_A_A20

struct reset {
	struct device dev;
	pthread_mutex_t lock; /* guards the two registers */
	struct reset_params params;
	struct bus_region control_port, port_a;
	uint8_t control, a;
};

static uint64_t control_read(void *dev, uint64_t offset, unsigned size)
{
	struct reset *r = dev;
	uint8_t value;

	if (size == 4 && r->params.wide)
		return r->params.wide->read(r->params.wide_dev, 0, size);
	if (CONTROL_BASE + offset != RESET_PORT || size != 1)
		return UINT64_MAX;
	pthread_mutex_lock(&r->lock);
	value = r->control;
	pthread_mutex_unlock(&r->lock);
	return value;
}

static void control_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct reset *r = dev;

	if (size == 4 && r->params.wide)
		r->params.wide->write(r->params.wide_dev, 0, size, value);
	if (CONTROL_BASE + offset != RESET_PORT || size != 1)
		return;
	pthread_mutex_lock(&r->lock);
	r->control = value & CONTROL_KEPT;
	pthread_mutex_unlock(&r->lock);
	if (value & CONTROL_RESET)
		r->params.reset(r->params.ctx);
}

static uint64_t port_a_read(void *dev, uint64_t offset, unsigned size)
{
	struct reset *r = dev;
	uint8_t value;

	pthread_mutex_lock(&r->lock);
	value = r->a;
	pthread_mutex_unlock(&r->lock);
	return value;
}

/* Fast reset acts when its bit rises. */
static void port_a_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct reset *r = dev;
	bool resets;

	pthread_mutex_lock(&r->lock);
	resets = value & ~r->a & PORT_A_RESET;
	r->a = value & (PORT_A_RESET | PORT_A_A20);
	pthread_mutex_unlock(&r->lock);
	if (resets)
		r->params.reset(r->params.ctx);
}

static const struct bus_ops control_ops = {
	.read = control_read, .write = control_write, .max_size = 4};
static const struct bus_ops port_a_ops = {.read = port_a_read, .write = port_a_write};

static void reset(struct device *d)
{
	struct reset *r = container_of(d, struct reset, dev);

	pthread_mutex_lock(&r->lock);
	r->control = 0;
	r->a = PORT_A_DEFAULT;
	pthread_mutex_unlock(&r->lock);
}

static void state(struct device *d, struct state *s)
{
	struct reset *r = container_of(d, struct reset, dev);

	state_u8(s, &r->control);
	state_u8(s, &r->a);
	r->control &= CONTROL_KEPT;
	r->a &= PORT_A_RESET | PORT_A_A20;
}

static void reset_free(struct device *d)
{
	struct reset *r = container_of(d, struct reset, dev);

	bus_remove(r->params.pio, &r->control_port);
	bus_remove(r->params.pio, &r->port_a);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct device_ops device_ops = {
	.type = "reset",
	.reset = reset,
	.state = state,
	.free = reset_free,
};

struct reset *reset_new(const struct reset_params *params, struct error *err)
{
	struct reset *r = mem_alloc_zero(sizeof(*r));

	r->dev.ops = &device_ops;
	list_init(&r->dev.node);
	r->params = *params;
	pthread_mutex_init(&r->lock, NULL);
	r->control_port = (struct bus_region){.name = "reset control",
					      .base = CONTROL_BASE,
					      .size = 4,
					      .ops = &control_ops,
					      .dev = r};
	r->port_a = (struct bus_region){
		.name = "port 92", .base = 0x92, .size = 1, .ops = &port_a_ops, .dev = r};
	if (bus_add(params->pio, &r->control_port, err) || bus_add(params->pio, &r->port_a, err)) {
		reset_free(&r->dev);
		return NULL;
	}
	reset(&r->dev);
	return r;
}

struct device *reset_device(struct reset *r)
{
	return &r->dev;
}
