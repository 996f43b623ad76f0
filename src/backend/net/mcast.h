/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual LAN without a switch: each frame is a datagram to a multicast group, as QEMU's
 * "-netdev socket,mcast=" and user-mode Linux send them.
 */
#ifndef BACKEND_NET_MCAST_H
#define BACKEND_NET_MCAST_H

#include <netinet/in.h>

#include "backend/net/net.h"
#include "base/error.h"
#include "host/loop.h"

#define MCAST_DEFAULT "239.192.168.1:1102"

struct mcast_config {
	struct sockaddr_in group;
	struct in_addr local; /* address of the host's interface to use; zero: by the routes */
	unsigned ttl;	      /* hops, 0 to 255; 0 stays on the host, 1 on its LAN */
};

/* Reads ADDR:PORT. Returns 0 or -EINVAL: no such thing, or no multicast address. */
int mcast_parse(const char *text, struct sockaddr_in *group, struct error *err);

struct net_dev *mcast_new(struct loop *loop, const struct mcast_config *cfg, struct error *err);

#endif
