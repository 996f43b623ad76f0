/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/fs.h"

#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "virtio/dev/file_request.h"

#define NR_QUEUES 2

/* A transfer of 256 pages with its headers fits without indirect descriptors. */
#define QUEUE_SIZE 1024

struct virtio_fs {
	struct virtio_device virtio;
	struct virtio_fs_config config;
	struct export *ex;
	struct fuse *fuse;
	struct file_requests requests;
};

static struct virtio_fs *fs_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_fs, virtio);
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	const struct virtio_fs *fs = fs_of(d);

	if (offset < sizeof(fs->config))
		memcpy(data, (const uint8_t *)&fs->config + offset,
		       min((size_t)len, sizeof(fs->config) - offset));
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct virtio_fs *fs = fs_of(d);
	struct virtio_chain *c;

	while ((c = virtio_pop(d, queue)))
		fuse_submit(fs->fuse, file_request_new(&fs->requests, c));
}

/* Requests that wait may be of either queue; whoever waits for a lock is told to ask again. */
static void drain(struct virtio_device *d, unsigned queue)
{
	fuse_drain(fs_of(d)->fuse);
}

static void reset(struct virtio_device *d)
{
	fuse_reset(fs_of(d)->fuse);
}

static void save(void *server, struct buf *out)
{
	fuse_save(server, out);
}

static int load(void *server, const void *data, size_t len)
{
	return fuse_load(server, data, len);
}

static void session_state(struct virtio_device *d, struct state *s)
{
	file_session_state(s, d->ops->type, fs_of(d)->fuse, save, load);
}

static void fs_free(struct virtio_device *d)
{
	struct virtio_fs *fs = fs_of(d);

	fuse_free(fs->fuse);
	export_close(fs->ex);
	virtio_fini(d);
	file_requests_fini(&fs->requests);
	free(fs);
}

static const struct virtio_ops fs_ops = {
	.type = "virtio_fs",
	.device_id = VIRTIO_ID_FS,
	.pci_class = 0x018000, /* other mass storage */
	.read_config = read_config,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = session_state,
	.free = fs_free,
};

struct virtio_device *virtio_fs_new(struct mem *mem, struct loop *loop, struct export *ex,
				    enum fuse_cache cache, const char *tag)
{
	struct virtio_fs *fs = mem_alloc_zero(sizeof(*fs));

	BUG_ON(strlen(tag) > VIRTIO_FS_TAG_MAX);
	memcpy(fs->config.tag, tag, strlen(tag));
	fs->config.num_request_queues = NR_QUEUES - 1;
	fs->ex = ex;
	fs->fuse = fuse_new(ex, cache, loop);
	file_requests_init(&fs->requests);
	virtio_init(&fs->virtio, &fs_ops,
		    &(struct virtio_params){.mem = mem,
					    .loop = loop,
					    .nr_queues = NR_QUEUES,
					    .queue_size = QUEUE_SIZE,
					    .config_size = sizeof(fs->config)});
	return &fs->virtio;
}
