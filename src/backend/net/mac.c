/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/mac.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_bytes(const char *text, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int mac_parse(const char *text, uint8_t mac[6], struct error *err)
{
	static const uint8_t zero[6];

	if (!read_bytes(text, mac))
		return error_set(err, -EINVAL,
				 "'%s' is no MAC address (must be like 02:11:22:33:44:55)", text);
	if (mac[0] & 1)
		return error_set(err, -EINVAL,
				 "'%s' is a multicast address (the first byte of a card's address "
				 "must be even)",
				 text);
	if (!memcmp(mac, zero, sizeof(zero)))
		return error_set(err, -EINVAL, "'%s' is no card's address (must not be all zero)",
				 text);
	return 0;
}

void mac_format(const uint8_t mac[6], char text[MAC_TEXT])
{
	snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
}

/* FNV-1a over the name, then two rounds that spread every bit (the finaliser of splitmix64). */
void mac_from_name(const char *name, unsigned index, uint8_t mac[6])
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3;
	h = (h ^ (0x100u + index)) * 0x100000001b3;
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
	h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
	h ^= h >> 31;
	mac[0] = 0x02; /* locally administered, one card's */
	for (unsigned i = 1; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
}
