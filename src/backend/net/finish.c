/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/finish.h"

static bool deliver(struct net_dev *n, const uint8_t *frame, size_t len,
		    const struct net_offload *offload)
{
	struct iovec iov = {(void *)frame, len};
	struct net_frame f = {.offload = *offload, .iov = &iov, .nr_iov = 1, .len = (uint32_t)len};

	return net_deliver(n, &f, 1);
}

static void deliver_plain(void *ctx, const uint8_t *frame, size_t len)
{
	const struct net_offload none = {0};
	struct net_dev *n = ctx;

	if (!deliver(n, frame, len, &none))
		n->stats.dropped++;
}

bool net_deliver_frame(struct net_dev *n, unsigned guest_can, uint8_t *frame, size_t len,
		       const struct net_offload *offload)
{
	struct net_offload o = *offload;

	if (!o.flags && guest_can & NET_CAN_CSUM && offload_checksum_is_right(frame, len))
		o.flags = NET_CSUM_VALID;
	else if (o.flags == NET_CSUM_VALID && !(guest_can & NET_CAN_CSUM))
		o.flags = 0;
	if (offload_is_taken(&o, guest_can))
		return deliver(n, frame, len, &o);
	if (offload_finish(frame, len, &o, deliver_plain, n))
		n->stats.dropped++;
	return true;
}
