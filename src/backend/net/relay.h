/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries what arrives at an IPv6 port of the host to an IPv4 port of the host: TCP connections, and
 * UDP datagrams and their answers. All on the loop's thread.
 */
#ifndef BACKEND_NET_RELAY_H
#define BACKEND_NET_RELAY_H

#include <netinet/in.h>
#include <stdbool.h>

#include "host/loop.h"

/* TCP connections at once, of all ports: two descriptors and up to 128 KiB each. More are closed. */
#define RELAY_CONNECTIONS_MAX 512

struct relay;

struct relay *relay_new(struct loop *loop);

/* Closes every port and connection; NULL is fine. */
void relay_free(struct relay *r);

/* Starts to listen. Returns 0 or a negative errno: the port is taken, there is no IPv6. */
int relay_add(struct relay *r, const struct sockaddr_in6 *from, const struct sockaddr_in *to,
	      bool is_udp);

#endif
