/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtqueues of both formats with anything in them: no crash, no access outside guest memory, no hang;
 * every chain that is handed out is consistent.
 */
#include <stdlib.h>

#include "virtio.h"

struct checker {
	struct virtio_device virtio;
	struct virtio_chain *held;
	unsigned nr_popped;
};

#define POPS_MAX 4096 /* a driver may refill its ring while we look; this one does not */

static void process(struct virtio_device *d, unsigned queue)
{
	struct checker *k = container_of(d, struct checker, virtio);
	struct virtio_chain *c;

	for (k->nr_popped = 0; k->nr_popped < POPS_MAX && (c = virtio_pop(d, queue));
	     k->nr_popped++) {
		uint8_t bytes[256];
		struct iovec iov[4];
		size_t len = 300, total = 0;

		BUG_ON(virtio_left_to_read(c) != c->readable);
		for (size_t n; (n = virtio_read(c, bytes, sizeof(bytes)));)
			total += n;
		BUG_ON(total != c->readable || virtio_left_to_read(c));
		unsigned nr = virtio_borrow_write(c, iov, ARRAY_SIZE(iov), &len);
		for (unsigned i = 0; i < nr; i++) {
			BUG_ON(!mem_slice(d->mem,
					  (uint64_t)((uint8_t *)iov[i].iov_base -
						     mem_region_at(d->mem, 0)->host),
					  iov[i].iov_len, MEM_WRITE));
			__builtin_memset(iov[i].iov_base, 0x5a, iov[i].iov_len);
		}
		len += virtio_write(c, bytes, sizeof(bytes));
		virtio_write_at(c, c->writable / 2, bytes, sizeof(bytes));
		if (!k->held && c->readable % 3 == 1) {
			k->held = c;
		} else if (c->readable % 5 == 4) {
			virtio_unpop(c);
			BUG_ON(!(c = virtio_pop(d, queue)) &&
			       !(virtio_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET) && !nr &&
			       !k->held);
			if (c)
				virtio_push(c, 0);
		} else {
			virtio_push(c, (uint32_t)len);
		}
	}
}

static void drain(struct virtio_device *d, unsigned queue)
{
	struct checker *k = container_of(d, struct checker, virtio);

	if (k->held)
		virtio_push(k->held, 1);
	k->held = NULL;
}

static const struct virtio_ops ops = {.type = "checker", .process = process, .drain = drain};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;
	static struct checker k;

	if (!f.mem) {
		fuzz_driver_init(&f);
		virtio_init(&k.virtio, &ops,
			    &(struct virtio_params){.mem = f.mem,
						    .loop = io_thread_loop(f.io),
						    .nr_queues = 2,
						    .queue_size = 1024});
		f.device = &k.virtio;
		virtio_attach(&k.virtio, &f.transport, 0);
	}
	fuzz_driver_run(&f, data, size);
	return 0;
}
