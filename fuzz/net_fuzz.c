/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network card with anything in its queues, the control queue included. Its back end does all
 * the work on a frame itself, sends the pieces back, and now and then has no room. Before that, the
 * input is taken as a frame with work to do.
 */
#include <string.h>

#include "backend/net/finish.h"
#include "virtio.h"
#include "virtio/dev/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net_dev back;
static unsigned nr_calls, guest_can;

static void check_piece(void *ctx, const uint8_t *frame, size_t len)
{
	volatile uint8_t sum = 0;

	BUG_ON(len > NET_FRAME_MAX);
	for (size_t i = 0; i < len; i++)
		sum ^= frame[i];
}

static void give_back(void *ctx, const uint8_t *frame, size_t len)
{
	const struct net_offload none = {0};
	uint8_t copy[NET_FRAME_MAX];

	BUG_ON(len > sizeof(copy));
	memcpy(copy, frame, len);
	net_deliver_frame(&back, guest_can, copy, len, &none);
}

static unsigned fuzz_send(struct net_dev *n, unsigned queue, const struct net_frame *f, unsigned nr)
{
	unsigned taken = nr_calls++ % 3 ? nr : nr / 2;
	uint8_t copy[NET_FRAME_MAX];

	for (unsigned i = 0; i < taken; i++) {
		BUG_ON(f[i].len > sizeof(copy) || f[i].len < NET_FRAME_MIN);
		net_frame_copy(&f[i], copy);
		net_deliver_frame(&back, guest_can, copy, f[i].len, &f[i].offload);
		net_frame_copy(&f[i], copy);
		offload_finish(copy, f[i].len, &f[i].offload, give_back, NULL);
	}
	net_deliver_done(&back);
	return taken;
}

static void fuzz_set_offloads(struct net_dev *n, unsigned can)
{
	guest_can = can;
}

static const struct net_ops fuzz_ops = {.send = fuzz_send, .set_offloads = fuzz_set_offloads};

static void make(void *ctx)
{
	struct fuzz_driver *f = ctx;

	back = (struct net_dev){
		.ops = &fuzz_ops, .offloads = NET_CAN_ALL, .nr_queues = 1, .is_up = true};
	f->device = virtio_net_new(&(struct virtio_net_params){.mem = f->mem,
							       .loop = io_thread_loop(f->io),
							       .back = &back,
							       .mac = {2, 0, 0, 0, 0, 1},
							       .nr_pairs = 1,
							       .mtu = 1500,
							       .offers_offloads = true});
}

static void fuzz_frame(const uint8_t *data, size_t size)
{
	struct net_offload o = {0};
	struct frame_layout l;
	uint8_t frame[NET_FRAME_MAX];

	if (size < sizeof(o) || size - sizeof(o) > sizeof(frame))
		return;
	memcpy(&o, data, sizeof(o));
	size_t len = size - sizeof(o);
	memcpy(frame, data + sizeof(o), len);
	if (!frame_parse(frame, len, &l)) {
		BUG_ON(l.end > len || l.l4 > l.end || l.payload > l.end);
		uint8_t *mss = l.proto == IP_PROTO_TCP && !l.is_fragment ? frame_find_mss(frame, &l)
									 : NULL;
		BUG_ON(mss && mss + 2 > frame + l.payload);
		offload_checksum_is_right(frame, len);
	}
	/* Every piece repeats the headers: pieces of a few bytes would take the time of the rest. */
	if (!o.gso || o.gso_size >= 64)
		offload_finish(frame, len, &o, check_piece, NULL);
	memcpy(frame, data + sizeof(o), len);
	offload_fragment(frame, len, 576 + o.hdr_len % 1000, 1, check_piece, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;

	if (!f.mem) {
		fuzz_driver_init(&f);
		loop_call(io_thread_loop(f.io), make, &f);
		virtio_attach(f.device, &f.transport, 0);
	}
	fuzz_frame(data, size);
	fuzz_driver_run(&f, data, size);
	return 0;
}
