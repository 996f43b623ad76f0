/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which ports of the host lead into a guest on a user-mode network: what --publish takes. Pure
 * functions, any thread.
 */
#ifndef BACKEND_NET_PUBLISH_H
#define BACKEND_NET_PUBLISH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define PUBLISH_MAX	  64   /* rules of one network */
#define PUBLISH_PORTS_MAX 1024 /* ports of one rule: each is a descriptor or two of this process */
#define PUBLISH_TEXT_MAX  96   /* of a rule as text, ended by zero */

/* One rule: ports host .. host + count - 1 lead to guest .. guest + count - 1. */
struct publish_rule {
	bool is_udp;
	int family; /* of the host address: AF_INET, AF_INET6; AF_UNSPEC: both loopbacks */
	struct in6_addr addr; /* AF_INET: the first four bytes */
	uint16_t host, guest, count;
};

/*
 * Reads "[ADDR:]HOST:GUEST[/tcp|/udp]"; ADDR is an IPv4 address or an IPv6 address in brackets, HOST
 * and GUEST are ports or ranges A-B of one length.
 * Returns 0 or -EINVAL with a sentence.
 */
int publish_parse(const char *text, struct publish_rule *rule, struct error *err);

/*
 * Reads rules separated by commas and refuses two that want the same port.
 * Returns how many there are, or -EINVAL (a rule is wrong, two clash) or -E2BIG (over PUBLISH_MAX).
 */
int publish_parse_list(const char *text, struct publish_rule rules[PUBLISH_MAX], struct error *err);

/* Whether both want the same port of the same address. */
bool publish_clashes(const struct publish_rule *a, const struct publish_rule *b);

/* The rule as publish_parse() reads it. */
void publish_format(const struct publish_rule *rule, char text[PUBLISH_TEXT_MAX]);

#endif
