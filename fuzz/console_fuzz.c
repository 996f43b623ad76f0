/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console device with anything in its queues: port 0 as a console, its control queues (queues 2
 * and 3), and a back end that takes a few bytes at a time, sends some, and comes and goes.
 */
#include <stdlib.h>

#include "virtio.h"
#include "virtio/dev/console.h"

struct fuzz_char {
	struct char_dev dev;
	unsigned calls;
};

static struct fuzz_char chars[3];
static struct loop *loop;
static struct loop_work work;

static void host_acts(struct loop_work *w)
{
	for (unsigned i = 0; i < ARRAY_SIZE(chars); i++) {
		char_deliver_opened(&chars[i].dev, true);
		char_deliver(&chars[i].dev, "some input", 10);
		char_deliver_resized(&chars[i].dev, 80, 25);
		char_deliver_writable(&chars[i].dev);
		char_deliver_opened(&chars[i].dev, false);
	}
}

/* What the guest writes makes the other side act, after the device has taken it. */

static size_t fuzz_write(struct char_dev *c, const void *data, size_t len)
{
	struct fuzz_char *f = container_of(c, struct fuzz_char, dev);

	loop_post(loop, &work, host_acts);
	return f->calls++ % 3 ? len : len / 2;
}

static void fuzz_read_more(struct char_dev *c)
{
	loop_post(loop, &work, host_acts);
}

static void fuzz_free(struct char_dev *c)
{
}

static const struct char_ops fuzz_ops = {
	.write = fuzz_write, .read_more = fuzz_read_more, .free = fuzz_free};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;

	if (!f.mem) {
		struct virtio_console_port ports[ARRAY_SIZE(chars)];

		fuzz_driver_init(&f);
		for (unsigned i = 0; i < ARRAY_SIZE(chars); i++) {
			chars[i].dev.ops = &fuzz_ops;
			ports[i] = (struct virtio_console_port){
				.name = "name", .is_console = !i, .chr = &chars[i].dev};
		}
		loop = io_thread_loop(f.io);
		list_init(&work.node);
		f.device = virtio_console_new(f.mem, loop, ports, ARRAY_SIZE(chars));
		virtio_attach(f.device, &f.transport, 0);
	}
	fuzz_driver_run(&f, data, size);
	return 0;
}
