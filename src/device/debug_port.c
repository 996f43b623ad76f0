/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug output by single bytes. Without a back end whole lines go to stderr, since single bytes of
 * several vCPUs would mix with the monitor's own messages. Bytes a full back end does not take are
 * dropped: a guest that prints here does not wait. Entered by vCPU threads.
 */
#include "device/debug_port.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

#define LINE_MAX_BYTES 256 /* longer lines come out in pieces */

struct debug_port {
	struct device dev;
	pthread_mutex_t lock; /* guards line and len */
	struct debug_port_params params;
	struct bus_region region;
	char line[LINE_MAX_BYTES];
	unsigned len;
};

static void flush(struct debug_port *d)
{
	size_t at = 0;

	while (at < d->len) {
		ssize_t n = write(STDERR_FILENO, d->line + at, d->len - at);

		if (n <= 0)
			break;
		at += n;
	}
	d->len = 0;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_port *d = dev;
	char c = (char)value;

	if (d->params.chr) {
		char_write(d->params.chr, &c, 1);
		return;
	}
	pthread_mutex_lock(&d->lock);
	d->line[d->len++] = c;
	if (c == '\n' || d->len == LINE_MAX_BYTES)
		flush(d);
	pthread_mutex_unlock(&d->lock);
}

/* Programs probe for the port by reading: both kinds answer with 0xe9. */
static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	return 0xe9;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

static void reset(struct device *dev)
{
	struct debug_port *d = container_of(dev, struct debug_port, dev);

	pthread_mutex_lock(&d->lock);
	flush(d);
	pthread_mutex_unlock(&d->lock);
}

static void debug_port_free(struct device *dev)
{
	struct debug_port *d = container_of(dev, struct debug_port, dev);

	flush(d);
	bus_remove(d->params.pio, &d->region);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* The guest can tell nothing about it apart: no state. */
static const struct device_ops device_ops = {
	.type = "debug_port",
	.reset = reset,
	.free = debug_port_free,
};

struct debug_port *debug_port_new(const struct debug_port_params *params, struct error *err)
{
	struct debug_port *d = mem_alloc_zero(sizeof(*d));

	d->dev.ops = &device_ops;
	list_init(&d->dev.node);
	d->params = *params;
	pthread_mutex_init(&d->lock, NULL);
	d->region = (struct bus_region){
		.name = "debug port", .base = params->port, .size = 1, .ops = &port_ops, .dev = d};
	if (bus_add(params->pio, &d->region, err)) {
		debug_port_free(&d->dev);
		return NULL;
	}
	return d;
}

struct device *debug_port_device(struct debug_port *d)
{
	return &d->dev;
}
