/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/publish.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "base/buf.h"

#define FORM "should be in format <host>:<guest> or <host>:<guest>/<tcp|udp>"

/* Reads a port, 1 to 65535, and moves *text behind it. Returns 0 or -EINVAL. */
static int read_port(const char **text, unsigned *port)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	unsigned long n = strtoul(*text, &end, 10);
	if (!n || n > UINT16_MAX)
		return -EINVAL;
	*text = end;
	*port = (unsigned)n;
	return 0;
}

/* Reads "A" or "A-B" up to the end of text. */
static int read_range(const char *text, const char *whose, uint16_t *first, unsigned *count,
		      struct error *err)
{
	unsigned a = 0, b = 0;
	const char *at = text;

	if (read_port(&at, &a))
		goto bad;
	b = a;
	if (*at == '-') {
		at++;
		if (read_port(&at, &b))
			goto bad;
	}
	if (*at || b < a)
		goto bad;
	*first = (uint16_t)a;
	*count = b - a + 1;
	return 0;
bad:
	return error_set(err, -EINVAL,
			 "The provided %s can't be converted to uint16: '%s' (must be a port from "
			 "1 to 65535, or a range A-B of them)",
			 whose, text);
}

static int read_address(const char *text, struct publish_rule *rule, struct error *err)
{
	size_t len = strlen(text);
	char plain[INET6_ADDRSTRLEN] = "";

	if (inet_pton(AF_INET, text, &rule->addr) == 1) {
		rule->family = AF_INET;
		return 0;
	}
	if (len > 2 && len - 2 < sizeof(plain) && text[0] == '[' && text[len - 1] == ']')
		memcpy(plain, text + 1, len - 2);
	if (inet_pton(AF_INET6, plain, &rule->addr) == 1) {
		rule->family = AF_INET6;
		return 0;
	}
	return error_set(err, -EINVAL,
			 "'%s' is no address to publish on (must be an IPv4 address, or an IPv6 "
			 "address in brackets)",
			 text);
}

/* text is changed. */
static int parse_parts(char *text, struct publish_rule *rule, struct error *err)
{
	char *proto = strrchr(text, '/');
	unsigned host_count = 0, guest_count = 0;
	int rc;

	if (proto) {
		*proto++ = '\0';
		rule->is_udp = !strcasecmp(proto, "udp");
		if (!rule->is_udp && strcasecmp(proto, "tcp"))
			return error_set(err, -EINVAL,
					 "Provided protocol is not valid, valid options are: udp, "
					 "tcp; not '%s'",
					 proto);
	}
	char *guest = strrchr(text, ':');
	if (!guest)
		return error_set(err, -EINVAL, "Unable to parse the ports to be published, " FORM);
	*guest++ = '\0';
	char *host = strrchr(text, ':');
	if (host) {
		*host++ = '\0';
		rc = read_address(text, rule, err);
		if (rc)
			return rc;
	} else {
		host = text;
	}
	rc = read_range(host, "hostPort", &rule->host, &host_count, err);
	if (!rc)
		rc = read_range(guest, "guestPort", &rule->guest, &guest_count, err);
	if (rc)
		return rc;
	if (host_count != guest_count)
		return error_set(err, -EINVAL, "%u host ports cannot lead to %u guest ports",
				 host_count, guest_count);
	if (host_count > PUBLISH_PORTS_MAX)
		return error_set(err, -EINVAL, "%u ports are too many for one rule (at most %u)",
				 host_count, PUBLISH_PORTS_MAX);
	rule->count = (uint16_t)host_count;
	return 0;
}

int publish_parse(const char *text, struct publish_rule *rule, struct error *err)
{
	char *copy = mem_strdup(text);

	*rule = (struct publish_rule){.family = AF_UNSPEC};
	int rc = parse_parts(copy, rule, err);
	free(copy);
	if (rc)
		error_prefix(err, "publish '%s'", text);
	return rc;
}

/* Whether a rule listens on addresses of that family, and there on every one. */
static bool has_family(const struct publish_rule *r, int family)
{
	return r->family == AF_UNSPEC || r->family == family;
}

static bool is_any(const struct publish_rule *r, int family)
{
	static const struct in6_addr any;

	return r->family != AF_UNSPEC &&
	       !memcmp(&r->addr, &any, family == AF_INET ? sizeof(struct in_addr) : sizeof(any));
}

static struct in6_addr address_of(const struct publish_rule *r, int family)
{
	if (r->family != AF_UNSPEC)
		return r->addr;
	if (family == AF_INET6)
		return in6addr_loopback;
	return (struct in6_addr){.s6_addr = {127, 0, 0, 1}};
}

bool publish_clashes(const struct publish_rule *a, const struct publish_rule *b)
{
	static const int families[] = {AF_INET, AF_INET6};

	if (a->is_udp != b->is_udp || a->host >= b->host + b->count ||
	    b->host >= a->host + a->count)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		int family = families[i];

		if (!has_family(a, family) || !has_family(b, family))
			continue;
		struct in6_addr one = address_of(a, family), other = address_of(b, family);

		if (is_any(a, family) || is_any(b, family) || !memcmp(&one, &other, sizeof(one)))
			return true;
	}
	return false;
}

static int add_rule(struct publish_rule *rules, int nr, const char *text, struct error *err)
{
	char other[PUBLISH_TEXT_MAX];

	if (nr == PUBLISH_MAX)
		return error_set(err, -E2BIG, "more than %d rules to publish ports", PUBLISH_MAX);
	int rc = publish_parse(text, &rules[nr], err);
	if (rc)
		return rc;
	for (int i = 0; i < nr; i++) {
		if (!publish_clashes(&rules[i], &rules[nr]))
			continue;
		publish_format(&rules[i], other);
		return error_set(err, -EINVAL, "publish '%s': '%s' already takes that host port",
				 text, other);
	}
	return 0;
}

int publish_parse_list(const char *text, struct publish_rule rules[PUBLISH_MAX], struct error *err)
{
	char *copy = mem_strdup(text), *rest = copy, *item;
	int nr = 0, rc = 0;

	while (!rc && (item = strsep(&rest, ",")) != NULL) {
		rc = add_rule(rules, nr, item, err);
		nr++;
	}
	free(copy);
	return rc ? rc : nr;
}

static void format_range(uint16_t first, uint16_t count, char text[16])
{
	if (count == 1)
		snprintf(text, 16, "%u", first);
	else
		snprintf(text, 16, "%u-%u", first, first + count - 1u);
}

void publish_format(const struct publish_rule *r, char text[PUBLISH_TEXT_MAX])
{
	char addr[INET6_ADDRSTRLEN + 3] = "", plain[INET6_ADDRSTRLEN], host[16], guest[16];

	if (r->family != AF_UNSPEC) {
		inet_ntop(r->family, &r->addr, plain, sizeof(plain));
		snprintf(addr, sizeof(addr), r->family == AF_INET6 ? "[%s]:" : "%s:", plain);
	}
	format_range(r->host, r->count, host);
	format_range(r->guest, r->count, guest);
	snprintf(text, PUBLISH_TEXT_MAX, "%s%s:%s/%s", addr, host, guest,
		 r->is_udp ? "udp" : "tcp");
}
