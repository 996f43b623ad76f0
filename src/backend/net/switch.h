/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Ethernet switch between back ends: a front end to all of them. It learns which address is
 * behind which port, or, as a hub, gives every frame to every other port. A frame for a port without
 * room is dropped. All on the thread of one loop.
 */
#ifndef BACKEND_NET_SWITCH_H
#define BACKEND_NET_SWITCH_H

#include "backend/net/net.h"
#include "host/loop.h"

#define SWITCH_PORTS_MAX 1024
#define SWITCH_AGE_NS	 (UINT64_C(300) * 1000000000) /* of what was learnt; IEEE 802.1D's default */

struct net_switch;

struct net_switch *switch_new(struct loop *loop, bool is_hub);

/* Frees all ports too. NULL is fine. */
void switch_free(struct net_switch *s);

/*
 * Adds a port, which becomes the switch's; it goes when its link goes down, unless it is to stay.
 * Returns 0 or -ENOSPC, having freed it.
 */
int switch_add(struct net_switch *s, struct net_dev *port, bool is_to_stay);

unsigned switch_nr_ports(const struct net_switch *s);

#endif
