/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/p9.h"

#include <linux/virtio_9p.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fs/p9.h"
#include "base/base.h"
#include "base/buf.h"
#include "virtio/dev/file_request.h"

/* v9fs puts at most 128 pages into a message. */
#define QUEUE_SIZE 256

struct virtio_p9 {
	struct virtio_device virtio;
	uint8_t config[2 + VIRTIO_P9_TAG_MAX]; /* tag_len[2], little-endian, and the tag */
	unsigned config_size;
	struct export *ex;
	struct p9 *p9;
	struct file_requests requests;
};

static struct virtio_p9 *p9_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_p9, virtio);
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	const struct virtio_p9 *p = p9_of(d);

	if (offset < p->config_size)
		memcpy(data, p->config + offset, min(len, p->config_size - offset));
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct virtio_p9 *p = p9_of(d);
	struct virtio_chain *c;

	while ((c = virtio_pop(d, queue)))
		p9_submit(p->p9, file_request_new(&p->requests, c));
}

static void drain(struct virtio_device *d, unsigned queue)
{
	p9_drain(p9_of(d)->p9);
}

static void reset(struct virtio_device *d)
{
	p9_reset(p9_of(d)->p9);
}

static void save(void *server, struct buf *out)
{
	p9_save(server, out);
}

static int load(void *server, const void *data, size_t len)
{
	return p9_load(server, data, len);
}

static void session_state(struct virtio_device *d, struct state *s)
{
	file_session_state(s, d->ops->type, p9_of(d)->p9, save, load);
}

static void p9_device_free(struct virtio_device *d)
{
	struct virtio_p9 *p = p9_of(d);

	p9_free(p->p9);
	export_close(p->ex);
	virtio_fini(d);
	file_requests_fini(&p->requests);
	free(p);
}

static const struct virtio_ops p9_ops = {
	.type = "virtio_9p",
	.device_id = VIRTIO_ID_9P,
	.pci_class = 0x018000, /* other mass storage */
	.read_config = read_config,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = session_state,
	.free = p9_device_free,
};

struct virtio_device *virtio_p9_new(struct mem *mem, struct loop *loop, struct export *ex,
				    const char *tag)
{
	struct virtio_p9 *p = mem_alloc_zero(sizeof(*p));
	size_t len = strlen(tag);

	BUG_ON(len > VIRTIO_P9_TAG_MAX);
	p->config[0] = (uint8_t)len;
	memcpy(p->config + 2, tag, len);
	p->config_size = (unsigned)len + 2;
	p->ex = ex;
	p->p9 = p9_new(ex, loop);
	file_requests_init(&p->requests);
	virtio_init(&p->virtio, &p9_ops,
		    &(struct virtio_params){.mem = mem,
					    .loop = loop,
					    .features = BIT64(VIRTIO_9P_MOUNT_TAG),
					    .nr_queues = 1,
					    .queue_size = QUEUE_SIZE,
					    .config_size = p->config_size});
	return &p->virtio;
}
