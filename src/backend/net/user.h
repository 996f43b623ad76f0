/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User-mode networking: the guest's IPv4 and IPv6 packets end in libslirp, which opens ordinary
 * sockets of this process for them. Needs no rights. The guest is answered by DHCP, router
 * advertisements and a DNS forwarder to the host's resolver.
 *
 * libslirp keeps process-wide state, so there may be one of these per process.
 */
#ifndef BACKEND_NET_USER_H
#define BACKEND_NET_USER_H

#include "backend/net/net.h"
#include "backend/net/publish.h"
#include "base/error.h"
#include "host/loop.h"

struct user_config {
	const char *hostname; /* given by DHCP; NULL: none */
	/* Of a /24 network; zero: 10.0.2.2 and 10.0.2.15, or what fits the other one. */
	struct in_addr host_ip, guest_ip;
	unsigned mtu; /* of the guest's interface; 0: 1500 */
	bool has_ipv6;
	bool is_restricted; /* nothing gets out; published ports still lead in */
	bool reaches_host;  /* host_ip leads to the host's own loopback address */
	const struct publish_rule *publish;
	unsigned nr_publish;
};

/* Whether this build has it; if not, user_new() says so and fails. */
bool user_is_available(void);

/*
 * Fills in the addresses that are zero.
 * Returns 0 or -EINVAL: the two are equal, in different /24 networks, or no host's address.
 */
int user_settle_addresses(struct in_addr *host_ip, struct in_addr *guest_ip, struct error *err);

/* Binds every published port. Returns NULL with err when one is taken, or without the library. */
struct net_dev *user_new(struct loop *loop, const struct user_config *cfg, struct error *err);

#endif
