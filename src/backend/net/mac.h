/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet addresses as people write them, and one for who names none. Pure functions, any thread.
 */
#ifndef BACKEND_NET_MAC_H
#define BACKEND_NET_MAC_H

#include <stdint.h>

#include "base/error.h"

#define MAC_TEXT 18 /* "02:11:22:33:44:55" and its end */

/*
 * Reads six hexadecimal bytes with colons between them.
 * Returns 0 or -EINVAL: no address, or one that no card may have (a multicast address, all zero).
 */
int mac_parse(const char *text, uint8_t mac[6], struct error *err);

void mac_format(const uint8_t mac[6], char text[MAC_TEXT]);

/*
 * A locally administered address for card number index of the VM of that name: the same each time,
 * another one for another name or number.
 */
void mac_from_name(const char *name, unsigned index, uint8_t mac[6]);

#endif
