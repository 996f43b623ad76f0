/* SPDX-License-Identifier: BSD-2-Clause */
/* The addresses of a user-mode network, apart from user.c because they are checked in any build. */
#include <arpa/inet.h>
#include <errno.h>

#include "backend/net/user.h"

#define DEFAULT_NETWORK 0x0a000200u /* 10.0.2.0 */
#define NETMASK		0xffffff00u
#define HOST_PART	2
#define GUEST_PART	15

static bool is_host_part(uint32_t ip)
{
	return (ip & ~NETMASK) && (ip & ~NETMASK) != ~NETMASK;
}

int user_settle_addresses(struct in_addr *host_ip, struct in_addr *guest_ip, struct error *err)
{
	uint32_t host = ntohl(host_ip->s_addr), guest = ntohl(guest_ip->s_addr);
	uint32_t network = host ? host & NETMASK : guest ? guest & NETMASK : DEFAULT_NETWORK;
	char text[INET_ADDRSTRLEN];

	if (!host)
		host = network | (guest == (network | HOST_PART) ? HOST_PART - 1 : HOST_PART);
	if (!guest)
		guest = network | (host == (network | GUEST_PART) ? GUEST_PART + 1 : GUEST_PART);
	*host_ip = (struct in_addr){htonl(host)};
	*guest_ip = (struct in_addr){htonl(guest)};
	inet_ntop(AF_INET, host_ip, text, sizeof(text));
	if (host == guest)
		return error_set(err, -EINVAL, "host and guest cannot both have address %s", text);
	if ((guest & NETMASK) != network)
		return error_set(err, -EINVAL,
				 "host_ip and guest_ip must be in one /24 network, that of %s",
				 text);
	if (!is_host_part(host) || !is_host_part(guest))
		return error_set(err, -EINVAL,
				 "host_ip and guest_ip cannot end in .0 or .255, which are the "
				 "network's own");
	return 0;
}
