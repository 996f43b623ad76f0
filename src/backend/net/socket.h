/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames over a Unix stream socket: a port of `bantam switch`, or whoever else speaks QEMU's stream
 * format (QEMU's "-netdev stream", passt): each frame after its length as a big-endian 32-bit word.
 *
 * Two bantams find each other by a frame of a local experimental EtherType that others ignore, and
 * from then on put a struct net_offload before each frame, counted in the length, so that frames
 * cross with their work undone:
 *
 *   client: HELLO   (after connecting; plain frames follow)
 *   switch: START   (frames with headers follow)
 *   client: START   (frames with headers follow)
 *
 * What comes from the other end is not trusted; one that breaks the format is disconnected.
 */
#ifndef BACKEND_NET_SOCKET_H
#define BACKEND_NET_SOCKET_H

#include "backend/net/net.h"
#include "base/error.h"
#include "host/loop.h"

/*
 * Connects to a switch. When the connection breaks the link goes down, and comes back with the
 * switch. Returns NULL with err: nobody listens at path.
 */
struct net_dev *socket_connect(struct loop *loop, const char *path, struct error *err);

/*
 * The switch's side of a connection, whose descriptor it takes over. When the connection breaks the
 * link goes down for good.
 */
struct net_dev *socket_accept(struct loop *loop, int fd);

#endif
