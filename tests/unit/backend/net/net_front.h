/* SPDX-License-Identifier: BSD-2-Clause */
/* A front end that keeps what it is given, for the tests of the network back ends. */
#ifndef TESTS_UNIT_BACKEND_NET_NET_FRONT_H
#define TESTS_UNIT_BACKEND_NET_NET_FRONT_H

#include "backend/net/net.h"
#include "base/buf.h"
#include "host/loop.h"

#define FRONT_FRAMES_MAX 512

struct front {
	struct loop *loop;
	struct net_dev *dev;
	unsigned room; /* frames it still takes */
	unsigned nr, dones, writables, links;
	struct net_offload offloads[FRONT_FRAMES_MAX];
	size_t at[FRONT_FRAMES_MAX], len[FRONT_FRAMES_MAX];
	struct buf bytes;
	struct loop_timer timeout;
	bool has_timed_out;
	/* Called for each frame; may be NULL. True: enough, end the loop. */
	bool (*seen)(struct front *f, const uint8_t *frame, size_t len);
	unsigned wanted; /* frames that are enough; 0: only seen says */
};

static inline unsigned front_receive(void *ctx, const struct net_frame *frames, unsigned nr)
{
	struct front *f = ctx;
	unsigned taken = 0;

	for (; taken < nr && f->room && f->nr < FRONT_FRAMES_MAX; taken++, f->room--) {
		const struct net_frame *frame = &frames[taken];
		unsigned i = f->nr++;

		f->offloads[i] = frame->offload;
		f->at[i] = f->bytes.len;
		f->len[i] = frame->len;
		net_frame_copy(frame, buf_append(&f->bytes, NULL, frame->len));
		if ((f->seen && f->seen(f, f->bytes.data + f->at[i], frame->len)) ||
		    f->nr == f->wanted)
			loop_stop(f->loop);
	}
	return taken;
}

static inline void front_receive_done(void *ctx)
{
	((struct front *)ctx)->dones++;
}

static inline void front_writable(void *ctx)
{
	((struct front *)ctx)->writables++;
}

static inline void front_link(void *ctx, bool is_up)
{
	struct front *f = ctx;

	f->links++;
	loop_stop(f->loop);
}

static inline void front_timed_out(struct loop_timer *t)
{
	struct front *f = container_of(t, struct front, timeout);

	f->has_timed_out = true;
	loop_stop(f->loop);
}

static const struct net_front front_ops = {front_receive, front_receive_done, front_writable,
					   front_link};

static inline void front_init(struct front *f, struct loop *loop, struct net_dev *dev)
{
	*f = (struct front){.loop = loop, .dev = dev, .room = UINT32_MAX};
	loop_timer_init(&f->timeout, loop, front_timed_out);
	net_attach(dev, &front_ops, f);
}

/* Runs the loop until nr frames have come since the start, seen says so, or ms have passed. */
static inline void front_run(struct front *f, unsigned nr, unsigned ms)
{
	if (nr && f->nr >= nr)
		return;
	f->wanted = nr;
	f->has_timed_out = false;
	loop_timer_arm(&f->timeout, host_now_ns() + ms * NS_PER_MS);
	loop_run(f->loop);
	loop_timer_disarm(&f->timeout);
}

static inline const uint8_t *front_frame(const struct front *f, unsigned i)
{
	return f->bytes.data + f->at[i];
}

/* Sends one frame without or with work left on it. Returns what net_send() says. */
static inline unsigned front_send(struct front *f, const void *data, size_t len,
				  const struct net_offload *o)
{
	struct iovec iov[2] = {{(void *)data, len / 3}, {(uint8_t *)data + len / 3, len - len / 3}};
	struct net_frame frame = {.iov = iov, .nr_iov = 2, .len = (uint32_t)len};

	if (o)
		frame.offload = *o;
	return net_send(f->dev, 0, &frame, 1);
}

static inline void front_fini(struct front *f)
{
	loop_timer_disarm(&f->timeout);
	buf_free(&f->bytes);
	net_free(f->dev);
	loop_free(f->loop);
}

#endif
