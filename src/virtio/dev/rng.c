/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/base.h"
#include "base/buf.h"

#define REQUEST_MAX 4096 /* bytes given for one request; a driver asks again for more */

struct virtio_rng {
	struct virtio_device virtio;
	uint64_t bytes_per_second; /* 0: no limit */
	uint64_t budget;    /* bytes that may be given at budget_at, while there is a limit */
	uint64_t budget_at; /* host_now_ns() */
	struct loop_timer refill;
};

static struct virtio_rng *rng_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_rng, virtio);
}

/* Bytes that may be given now, at most a second's worth. */
static size_t allowance(struct virtio_rng *rng)
{
	if (!rng->bytes_per_second)
		return REQUEST_MAX;
	uint64_t now = host_now_ns(), rate = rng->bytes_per_second;
	uint64_t elapsed = min(now - rng->budget_at, (uint64_t)NS_PER_SEC);
	uint64_t earned = (uint64_t)((unsigned __int128)elapsed * rate / NS_PER_SEC);

	if (earned) {
		rng->budget = min(rng->budget + earned, rate);
		rng->budget_at = now;
	}
	return min(rng->budget, (uint64_t)REQUEST_MAX);
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct virtio_rng *rng = rng_of(d);
	uint8_t bytes[REQUEST_MAX];
	struct virtio_chain *c;

	while ((c = virtio_pop(d, queue))) {
		size_t len = min(virtio_left_to_write(c), allowance(rng));

		if (!len && virtio_left_to_write(c)) {
			virtio_unpop(c);
			loop_timer_arm(&rng->refill,
				       host_now_ns() + NS_PER_SEC / rng->bytes_per_second + 1);
			return;
		}
		ssize_t got = getrandom(bytes, len, 0); /* whole up to 256 bytes, more as a rule */
		len = got < 0 ? 0 : (size_t)got;
		if (rng->bytes_per_second)
			rng->budget -= len;
		virtio_push(c, (uint32_t)virtio_write(c, bytes, len));
	}
}

static void on_refill(struct loop_timer *t)
{
	struct virtio_rng *rng = container_of(t, struct virtio_rng, refill);

	if (virtio_queue_is_live(&rng->virtio, 0))
		process(&rng->virtio, 0);
}

static void rng_free(struct virtio_device *d)
{
	struct virtio_rng *rng = rng_of(d);

	loop_timer_disarm(&rng->refill);
	virtio_fini(d);
	free(rng);
}

static const struct virtio_ops rng_ops = {
	.type = "virtio_rng",
	.device_id = VIRTIO_ID_RNG,
	.pci_class = 0x00ff00, /* unclassified */
	.process = process,
	.free = rng_free,
};

struct virtio_device *virtio_rng_new(struct mem *mem, struct loop *loop, uint64_t bytes_per_second)
{
	struct virtio_rng *rng = mem_alloc_zero(sizeof(*rng));

	virtio_init(&rng->virtio, &rng_ops,
		    &(struct virtio_params){.mem = mem, .loop = loop, .nr_queues = 1});
	rng->bytes_per_second = bytes_per_second;
	rng->budget = bytes_per_second;
	rng->budget_at = host_now_ns();
	loop_timer_init(&rng->refill, loop, on_refill);
	return &rng->virtio;
}
