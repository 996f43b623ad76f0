/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What several back ends do with frames that one side cannot take as they are. On the loop's thread.
 */
#ifndef BACKEND_NET_FINISH_H
#define BACKEND_NET_FINISH_H

#include "backend/net/offload.h"

/*
 * Delivers a received frame in one piece to the front end, which takes guest_can (NET_CAN_*) as it
 * is. Otherwise the work is done here, on the frame itself. A frame without work to do whose sum is
 * right is marked so, which spares the guest the sum.
 * Returns false when the front end had no room for it; of a frame that had to be cut, what finds no
 * room is dropped instead.
 */
bool net_deliver_frame(struct net_dev *n, unsigned guest_can, uint8_t *frame, size_t len,
		       const struct net_offload *offload);

#endif
