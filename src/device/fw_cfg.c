/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg (QEMU's docs/specs/fw_cfg) with its port interface. Left out: DMA, which the id item does
 * not offer, and writing items. Entered by vCPU threads.
 */
#include "device/fw_cfg.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"

#define PORT	      0x510
#define DATA_OFFSET   1
#define KEY_WRITE     BIT(14) /* asks for write access, which is never given */
#define ITEMS_MAX     (FW_CFG_FILES + FW_CFG_FILES_MAX)
#define FEATURE_PORTS 1u

/* An entry of the directory; numbers are big-endian. */
struct directory_entry {
	uint32_t size;
	uint16_t key;
	uint16_t reserved;
	char name[FW_CFG_NAME_MAX];
};

struct fw_cfg {
	struct device dev;
	pthread_mutex_t lock; /* guards key and offset */
	struct fw_cfg_params params;
	struct bus_region region;
	struct buf items[ITEMS_MAX]; /* constant once vCPUs run */
	struct directory_entry directory[FW_CFG_FILES_MAX];
	unsigned nr_files;
	uint16_t key;
	uint32_t offset;
};

/* Past the end of an item, and in items that are not there, zeroes are read. */
static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct fw_cfg *fw = dev;
	uint8_t value = 0;

	if (offset != DATA_OFFSET)
		return UINT64_MAX;
	pthread_mutex_lock(&fw->lock);
	if (fw->key < ITEMS_MAX && fw->offset < fw->items[fw->key].len)
		value = fw->items[fw->key].data[fw->offset++];
	pthread_mutex_unlock(&fw->lock);
	return value;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct fw_cfg *fw = dev;

	if (offset || size != 2)
		return;
	pthread_mutex_lock(&fw->lock);
	fw->key = (uint16_t)value & ~KEY_WRITE;
	fw->offset = 0;
	pthread_mutex_unlock(&fw->lock);
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write, .max_size = 2};

void fw_cfg_add(struct fw_cfg *fw, uint16_t key, const void *data, size_t len)
{
	BUG_ON(key >= FW_CFG_FILES || fw->items[key].len);
	buf_append(&fw->items[key], data, len);
}

static void write_directory(struct fw_cfg *fw)
{
	struct buf *dir = &fw->items[FW_CFG_DIRECTORY];
	uint32_t count = htobe32(fw->nr_files);

	buf_free(dir);
	buf_append(dir, &count, sizeof(count));
	buf_append(dir, fw->directory, fw->nr_files * sizeof(fw->directory[0]));
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
		    struct error *err)
{
	struct directory_entry *entry = &fw->directory[fw->nr_files];
	uint16_t key = FW_CFG_FILES + fw->nr_files;

	if (!*name || strlen(name) >= FW_CFG_NAME_MAX)
		return error_set(err, -EINVAL, "\"%s\" is no name of 1 to %d bytes", name,
				 FW_CFG_NAME_MAX - 1);
	for (unsigned i = 0; i < fw->nr_files; i++)
		if (!strcmp(fw->directory[i].name, name))
			return error_set(err, -EEXIST, "%s is given twice", name);
	if (fw->nr_files == FW_CFG_FILES_MAX)
		return error_set(err, -ENOSPC, "%s is one file more than %d", name,
				 FW_CFG_FILES_MAX);
	buf_append(&fw->items[key], data, len);
	*entry = (struct directory_entry){.size = htobe32((uint32_t)len), .key = htobe16(key)};
	strcpy(entry->name, name);
	fw->nr_files++;
	write_directory(fw);
	return 0;
}

static void reset(struct device *d)
{
	struct fw_cfg *fw = container_of(d, struct fw_cfg, dev);

	pthread_mutex_lock(&fw->lock);
	fw->key = 0;
	fw->offset = 0;
	pthread_mutex_unlock(&fw->lock);
}

static void state(struct device *d, struct state *s)
{
	struct fw_cfg *fw = container_of(d, struct fw_cfg, dev);

	state_u16(s, &fw->key);
	state_u32(s, &fw->offset);
}

static void fw_cfg_free(struct device *d)
{
	struct fw_cfg *fw = container_of(d, struct fw_cfg, dev);

	bus_remove(fw->params.pio, &fw->region);
	for (unsigned i = 0; i < ITEMS_MAX; i++)
		buf_free(&fw->items[i]);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

static const struct device_ops device_ops = {
	.type = "fw_cfg",
	.reset = reset,
	.state = state,
	.free = fw_cfg_free,
};

struct fw_cfg *fw_cfg_new(const struct fw_cfg_params *params, struct error *err)
{
	static const char signature[] = {'Q', 'E', 'M', 'U'}; /* what programs look for */
	uint32_t features = FEATURE_PORTS;
	struct fw_cfg *fw = mem_alloc_zero(sizeof(*fw));

	fw->dev.ops = &device_ops;
	list_init(&fw->dev.node);
	fw->params = *params;
	pthread_mutex_init(&fw->lock, NULL);
	fw->region = (struct bus_region){
		.name = "fw_cfg", .base = PORT, .size = 2, .ops = &port_ops, .dev = fw};
	if (bus_add(params->pio, &fw->region, err)) {
		fw_cfg_free(&fw->dev);
		return NULL;
	}
	fw_cfg_add(fw, FW_CFG_SIGNATURE, signature, sizeof(signature));
	fw_cfg_add(fw, FW_CFG_ID, &features, sizeof(features));
	write_directory(fw);
	return fw;
}

struct device *fw_cfg_device(struct fw_cfg *fw)
{
	return &fw->dev;
}
