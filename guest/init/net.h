/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's network cards: loopback, and an address by DHCP for each Ethernet card. A process of
 * its own per card keeps the lease.
 */
#ifndef INIT_NET_H
#define INIT_NET_H

/* Brings up loopback, which needs no configuration. */
void net_start_loopback(void);

/*
 * Asks for an address on every Ethernet card, and waits for all answers, a few seconds at most.
 * Names servers are written to /etc/resolv.conf of the system. Failure is said on the console.
 */
void net_start_dhcp(const char *hostname);

#endif
