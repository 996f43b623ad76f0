/* SPDX-License-Identifier: BSD-2-Clause */
/* The balloon with any pages, reports and statistics in its queues. */
#include <stdlib.h>

#include "virtio.h"
#include "virtio/dev/balloon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;

	if (!f.mem) {
		const struct virtio_balloon_params params = {.can_deflate = true,
							     .reports_free = true};

		fuzz_driver_init(&f);
		f.device = virtio_balloon_new(f.mem, io_thread_loop(f.io), &params);
		virtio_attach(f.device, &f.transport, 0);
	}
	fuzz_driver_run(&f, data, size);
	return 0;
}
