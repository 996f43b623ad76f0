/* SPDX-License-Identifier: BSD-2-Clause */
#include "dhcp_packet.h"

#include <stdbool.h>

#include "lib.h"

/* Offsets in a message (RFC 2131, figure 1). */
#define AT_OP	   0
#define AT_XID	   4
#define AT_FLAGS   10
#define AT_YIADDR  16
#define AT_CHADDR  28
#define AT_COOKIE  236
#define AT_OPTIONS 240

#define OP_REQUEST     1
#define OP_REPLY       2
#define FLAG_BROADCAST 0x80 /* first byte of the flags: the answer cannot be sent to us otherwise */

/* Options (RFC 2132). */
#define OPTION_PAD	  0
#define OPTION_MASK	  1
#define OPTION_ROUTER	  3
#define OPTION_DNS	  6
#define OPTION_HOSTNAME	  12
#define OPTION_DOMAIN	  15
#define OPTION_MTU	  26
#define OPTION_WANTED	  50
#define OPTION_LEASE	  51
#define OPTION_TYPE	  53
#define OPTION_SERVER	  54
#define OPTION_PARAMETERS 55
#define OPTION_END	  255

#define HOSTNAME_MAX 64
#define MTU_MIN	     68 /* RFC 2132, section 5.1 */

static const uint8_t cookie[4] = {99, 130, 83, 99};

static uint8_t *put_option(uint8_t *at, uint8_t code, const void *value, size_t len)
{
	*at++ = code;
	*at++ = (uint8_t)len;
	memcpy(at, value, len);
	return at + len;
}

size_t dhcp_write(uint8_t out[DHCP_PACKET_MAX], const struct dhcp_query *q)
{
	static const uint8_t parameters[] = {OPTION_MASK,   OPTION_ROUTER, OPTION_DNS,
					     OPTION_DOMAIN, OPTION_MTU,	   OPTION_LEASE};
	uint8_t type = (uint8_t)q->type, *at = out + AT_OPTIONS;

	memset(out, 0, DHCP_PACKET_MAX);
	out[AT_OP] = OP_REQUEST;
	out[1] = 1; /* Ethernet */
	out[2] = 6; /* bytes of an address */
	memcpy(out + AT_XID, &q->id, 4);
	out[AT_FLAGS] = FLAG_BROADCAST;
	memcpy(out + AT_CHADDR, q->mac, 6);
	memcpy(out + AT_COOKIE, cookie, 4);
	at = put_option(at, OPTION_TYPE, &type, 1);
	if (q->wanted) {
		at = put_option(at, OPTION_WANTED, &q->wanted->address, 4);
		if (q->wanted->server)
			at = put_option(at, OPTION_SERVER, &q->wanted->server, 4);
	}
	if (q->hostname && *q->hostname) {
		size_t len = strlen(q->hostname);

		at = put_option(at, OPTION_HOSTNAME, q->hostname,
				len < HOSTNAME_MAX ? len : HOSTNAME_MAX);
	}
	at = put_option(at, OPTION_PARAMETERS, parameters, sizeof(parameters));
	*at++ = OPTION_END;
	/* Some servers drop what is shorter than BOOTP's 300 bytes. */
	return at - out < 300 ? 300 : (size_t)(at - out);
}

static uint32_t address_at(const uint8_t *value, size_t len)
{
	uint32_t address = 0;

	if (len >= 4)
		memcpy(&address, value, 4);
	return address;
}

/* What is not a plain domain name is not written into the guest's resolv.conf. */
static void read_domain(struct dhcp_lease *lease, const uint8_t *value, size_t len)
{
	while (len && !value[len - 1])
		len--;
	if (len >= DHCP_DOMAIN_MAX)
		return;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = value[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '.' || c == '_'))
			return;
	}
	memcpy(lease->domain, value, len);
	lease->domain[len] = '\0';
}

static void read_option(struct dhcp_lease *lease, uint8_t code, const uint8_t *value, size_t len)
{
	switch (code) {
	case OPTION_MASK:
		lease->mask = address_at(value, len);
		break;
	case OPTION_ROUTER:
		lease->router = address_at(value, len);
		break;
	case OPTION_SERVER:
		lease->server = address_at(value, len);
		break;
	case OPTION_DNS:
		for (lease->nr_dns = 0; lease->nr_dns < DHCP_DNS_MAX && len >= 4; len -= 4) {
			lease->dns[lease->nr_dns++] = address_at(value, len);
			value += 4;
		}
		break;
	case OPTION_DOMAIN:
		read_domain(lease, value, len);
		break;
	case OPTION_MTU:
		if (len == 2 && (value[0] << 8 | value[1]) >= MTU_MIN)
			lease->mtu = (uint16_t)(value[0] << 8 | value[1]);
		break;
	case OPTION_LEASE:
		if (len == 4)
			lease->seconds = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 |
					 (uint32_t)value[2] << 8 | value[3];
		break;
	}
}

int dhcp_read(const uint8_t *packet, size_t len, uint32_t id, const uint8_t mac[6],
	      struct dhcp_lease *lease)
{
	int type = -1;

	memset(lease, 0, sizeof(*lease));
	if (len < AT_OPTIONS || packet[AT_OP] != OP_REPLY || memcmp(packet + AT_XID, &id, 4) ||
	    memcmp(packet + AT_CHADDR, mac, 6) || memcmp(packet + AT_COOKIE, cookie, 4))
		return -1;
	memcpy(&lease->address, packet + AT_YIADDR, 4);
	for (size_t at = AT_OPTIONS; at < len && packet[at] != OPTION_END;) {
		uint8_t code = packet[at++];

		if (code == OPTION_PAD)
			continue;
		if (at == len || packet[at] > len - at - 1)
			return -1;
		if (code == OPTION_TYPE && packet[at] == 1)
			type = packet[at + 1];
		read_option(lease, code, packet + at + 1, packet[at]);
		at += 1 + (size_t)packet[at];
	}
	bool is_known = type == DHCP_OFFER || type == DHCP_ACK || type == DHCP_NAK;
	return is_known && (lease->address || type == DHCP_NAK) ? type : -1;
}
