/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit port 0xf4, and what the programs of kvm-unit-tests expect of a pc-testdev: a 32-bit
 * scratch register at 0xe0 and, by bytes, at 0xe8; interrupt lines driven by writing 0x2000 + n;
 * 64 KiB of memory at 0xff000000 that is reached as a device. Port 0xe4 asks the host to unmap a
 * page of the guest and map it again; accepted without effect, as nothing here depends on it.
 * Entered by vCPU threads.
 */
#include "device/test_device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"

#define MEMORY_BASE 0xff000000u
#define MEMORY_SIZE 0x10000u

enum region { EXIT, SCRATCH, SCRATCH_BYTES, FLUSH, IRQS, MEMORY, NR_REGIONS };

struct test_device {
	struct device dev;
	pthread_mutex_t lock; /* guards scratch, levels and memory */
	struct test_device_params params;
	struct bus_region regions[NR_REGIONS];
	uint32_t levels; /* of the lines */
	uint8_t scratch[4];
	uint8_t memory[MEMORY_SIZE];
};

static void exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct test_device *t = dev;

	if (offset == 0 && t->params.exit)
		t->params.exit(t->params.ctx, (int)((uint32_t)value << 1 | 1));
}

static uint64_t read_bytes(struct test_device *t, const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	pthread_mutex_lock(&t->lock);
	memcpy(&value, from, size);
	pthread_mutex_unlock(&t->lock);
	return value;
}

static void write_bytes(struct test_device *t, uint8_t *to, unsigned size, uint64_t value)
{
	pthread_mutex_lock(&t->lock);
	memcpy(to, &value, size);
	pthread_mutex_unlock(&t->lock);
}

static uint64_t scratch_read(void *dev, uint64_t offset, unsigned size)
{
	struct test_device *t = dev;

	return read_bytes(t, t->scratch + offset, size);
}

static void scratch_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct test_device *t = dev;

	write_bytes(t, t->scratch + offset, size, value);
}

static uint64_t memory_read(void *dev, uint64_t offset, unsigned size)
{
	struct test_device *t = dev;

	return read_bytes(t, t->memory + offset, size);
}

static void memory_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct test_device *t = dev;

	write_bytes(t, t->memory + offset, size, value);
}

static void flush_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
}

static void irq_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct test_device *t = dev;
	uint32_t bit = BIT(offset);

	pthread_mutex_lock(&t->lock);
	t->levels = value & 0xff ? t->levels | bit : t->levels & ~bit;
	irq_set(&t->params.irqs[offset], value & 0xff);
	pthread_mutex_unlock(&t->lock);
}

static const struct bus_ops exit_ops = {.write = exit_write, .max_size = 4};
static const struct bus_ops scratch_ops = {
	.read = scratch_read, .write = scratch_write, .max_size = 4};
static const struct bus_ops scratch_byte_ops = {.read = scratch_read, .write = scratch_write};
static const struct bus_ops flush_ops = {.write = flush_write, .min_size = 4, .max_size = 4};
static const struct bus_ops irq_ops = {.write = irq_write};
static const struct bus_ops memory_ops = {
	.read = memory_read, .write = memory_write, .max_size = 8};

static const struct bus_region layout[NR_REGIONS] = {
	[EXIT] = {.name = "test exit", .base = 0xf4, .size = 4, .ops = &exit_ops},
	[SCRATCH] = {.name = "test scratch", .base = 0xe0, .size = 4, .ops = &scratch_ops},
	[SCRATCH_BYTES] = {.name = "test scratch bytes",
			   .base = 0xe8,
			   .size = 4,
			   .ops = &scratch_byte_ops},
	[FLUSH] = {.name = "test flush", .base = 0xe4, .size = 4, .ops = &flush_ops},
	[IRQS] = {.name = "test irqs",
		  .base = 0x2000,
		  .size = TEST_DEVICE_NR_IRQS,
		  .ops = &irq_ops},
	[MEMORY] = {.name = "test memory",
		    .base = MEMORY_BASE,
		    .size = MEMORY_SIZE,
		    .ops = &memory_ops},
};

static struct bus *bus_of(const struct test_device *t, enum region r)
{
	return r == MEMORY ? t->params.mmio : t->params.pio;
}

static void lower_lines(struct test_device *t)
{
	for (unsigned i = 0; i < TEST_DEVICE_NR_IRQS; i++)
		if (t->levels >> i & 1)
			irq_lower(&t->params.irqs[i]);
	t->levels = 0;
}

static void reset(struct device *d)
{
	struct test_device *t = container_of(d, struct test_device, dev);

	pthread_mutex_lock(&t->lock);
	lower_lines(t);
	memset(t->scratch, 0, sizeof(t->scratch));
	memset(t->memory, 0, sizeof(t->memory));
	pthread_mutex_unlock(&t->lock);
}

static void state(struct device *d, struct state *s)
{
	struct test_device *t = container_of(d, struct test_device, dev);

	pthread_mutex_lock(&t->lock);
	state_u32(s, &t->levels);
	state_bytes(s, t->scratch, sizeof(t->scratch));
	state_bytes(s, t->memory, sizeof(t->memory));
	for (unsigned i = 0; state_is_loading(s) && i < TEST_DEVICE_NR_IRQS; i++)
		if (t->levels >> i & 1)
			irq_raise(&t->params.irqs[i]);
	pthread_mutex_unlock(&t->lock);
}

static void test_device_free(struct device *d)
{
	struct test_device *t = container_of(d, struct test_device, dev);

	for (unsigned i = 0; i < NR_REGIONS; i++)
		bus_remove(bus_of(t, i), &t->regions[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct device_ops device_ops = {
	.type = "test_device",
	.reset = reset,
	.state = state,
	.free = test_device_free,
};

struct test_device *test_device_new(const struct test_device_params *params, struct error *err)
{
	struct test_device *t = mem_alloc_zero(sizeof(*t));

	t->dev.ops = &device_ops;
	list_init(&t->dev.node);
	t->params = *params;
	pthread_mutex_init(&t->lock, NULL);
	for (unsigned i = 0; i < NR_REGIONS; i++) {
		t->regions[i] = layout[i];
		t->regions[i].dev = t;
		if (bus_add(bus_of(t, i), &t->regions[i], err)) {
			test_device_free(&t->dev);
			return NULL;
		}
	}
	return t;
}

struct device *test_device_device(struct test_device *t)
{
	return &t->dev;
}
