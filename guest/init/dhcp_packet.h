/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DHCP messages (RFC 2131, RFC 2132) as a client sends and reads them. Pure functions, which the
 * tests run on the host; what is read may be anything.
 */
#ifndef INIT_DHCP_PACKET_H
#define INIT_DHCP_PACKET_H

#include <stddef.h>
#include <stdint.h>

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_PACKET_MAX	 1024
#define DHCP_DNS_MAX	 3 /* what resolv.conf takes */
#define DHCP_DOMAIN_MAX	 256

enum dhcp_type { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK, DHCP_NAK };

/* IPv4 addresses are in network order; 0: not given. */
struct dhcp_lease {
	uint32_t address, mask, router, server;
	uint32_t dns[DHCP_DNS_MAX];
	unsigned nr_dns;
	uint32_t seconds;	      /* the lease's time; 0: not said */
	uint16_t mtu;		      /* 0: not said */
	char domain[DHCP_DOMAIN_MAX]; /* letters, digits, dots, dashes; "" for none */
};

struct dhcp_query {
	enum dhcp_type type; /* DHCP_DISCOVER or DHCP_REQUEST */
	uint32_t id;	     /* of the exchange */
	uint8_t mac[6];
	const char *hostname;		 /* NULL: not told */
	const struct dhcp_lease *wanted; /* of the offer or to be kept; NULL with DHCP_DISCOVER */
};

/* Writes a message to out and returns its length. */
size_t dhcp_write(uint8_t out[DHCP_PACKET_MAX], const struct dhcp_query *q);

/* Reads an answer to the exchange id of mac. Returns its enum dhcp_type, or -1 for anything else. */
int dhcp_read(const uint8_t *packet, size_t len, uint32_t id, const uint8_t mac[6],
	      struct dhcp_lease *lease);

#endif
