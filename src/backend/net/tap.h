/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tap interface of the host: one that exists, one that is made for the VM and goes with it, or a
 * descriptor somebody opened. The kernel does checksums and segmentation.
 */
#ifndef BACKEND_NET_TAP_H
#define BACKEND_NET_TAP_H

#include <netinet/in.h>

#include "backend/net/net.h"
#include "base/error.h"
#include "host/loop.h"

struct tap_config {
	const char *name;   /* made if there is none of that name; NULL: the kernel picks tapN */
	int fd;		    /* an open tap instead, closed by the back end; -1: none */
	const char *bridge; /* the interface joins this bridge; NULL: none */
	struct in_addr host_ip; /* given to the interface; zero: it is left as it is */
	unsigned prefix;	/* of host_ip, 1 to 32 */
	uint8_t host_mac[6];	/* of an interface that is made; all zero: the kernel picks */
	const char *script;	/* run with the interface's name when it is up; NULL: none */
	const char *downscript; /* likewise before it is given back */
	unsigned mtu;		/* set on the interface; 0: left as it is */
	unsigned nr_queues;
};

/* Returns NULL with err, which says what right is missing, and then has changed nothing. */
struct net_dev *tap_new(struct loop *loop, const struct tap_config *cfg, struct error *err);

/* The interface's name, as long as n exists. n was made by tap_new(). */
const char *tap_name(const struct net_dev *n);

#endif
