/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block device with anything in its queues. To reach requests with bytes that are mostly
 * nonsense, the input is led by rings with well-formed chains on demand: see fuzz/virtio.h for its form.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "virtio.h"
#include "virtio/dev/blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct block *open_image(struct loop *loop)
{
	struct block_create_params create = {.format = "qcow2", .size = MIB, .may_replace = true};
	char path[] = "/tmp/bantam-blk-fuzz-XXXXXX";
	struct block_params params = {.path = path, .format = "qcow2", .loop = loop};
	int fd = mkstemp(path);

	BUG_ON(fd < 0);
	close(fd);
	create.path = path;
	BUG_ON(block_create(&create, NULL));
	struct block *b = block_open(&params, NULL);
	BUG_ON(!b);
	unlink(path);
	return b;
}

/* A request of the driver's: header, data, status, laid over the input's rings. */
static void put_request(uint8_t *memory, size_t size, const uint8_t *data)
{
	const struct {
		uint16_t flags, len_at;
		uint32_t addr, len;
	} chain[] = {
		{VRING_DESC_F_NEXT, 0, 0x4000, 16},
		{(uint16_t)(VRING_DESC_F_NEXT | (data[0] & 1 ? VRING_DESC_F_WRITE : 0)), 0, 0x5000,
		 (data[1] & 15) * 512u + (data[1] & 128 ? 16 : 0)},
		{VRING_DESC_F_WRITE, 0, 0x4100, 1},
	};
	const uint16_t avail[] = {0, 1, 0};

	if (size < 0x6000)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(chain); i++) {
		struct vring_desc d = {.addr = chain[i].addr,
				       .len = chain[i].len,
				       .flags = chain[i].flags,
				       .next = (uint16_t)(i + 1)};
		memcpy(memory + i * sizeof(d), &d, sizeof(d));
	}
	memcpy(memory + 512, avail, sizeof(avail));
	const uint32_t type = data[2] % 16;
	memcpy(memory + 0x4000, &type, sizeof(type));
	memset(memory + 0x400a, 0, 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t input[FUZZ_MEMORY];
	static struct fuzz_driver f;
	size_t head = 5;

	if (!f.mem) {
		fuzz_driver_init(&f);
		struct loop *loop = io_thread_loop(f.io);
		struct virtio_blk_params params = {.mem = f.mem,
						   .loop = loop,
						   .image = open_image(loop),
						   .serial = "fuzz",
						   .nr_queues = 1};
		f.device = virtio_blk_new(&params);
		virtio_attach(f.device, &f.transport, 0);
	}
	if (size < 16)
		return 0;
	if (!(data[0] & 8)) {
		fuzz_driver_run(&f, data, size);
		return 0;
	}
	/* One well-formed request, with the input's bytes as header and data. */
	memset(input, 0, sizeof(input));
	input[1] = 4; /* a queue of 16 */
	memcpy(input + 2 + 0x4000, data, min(size, (size_t)16));
	if (size > 16)
		memcpy(input + 2 + 0x5000, data + 16, min(size - 16, (size_t)0x1000));
	put_request(input + 2, sizeof(input) - 2, data + head);
	fuzz_driver_run(&f, input, sizeof(input));
	return 0;
}
