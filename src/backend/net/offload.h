/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a network card would do to a frame, in software: TCP and UDP checksums, cutting a long TCP
 * segment into pieces (TSO), fragmenting what is longer than the medium carries. For back ends
 * that have only plain frames to the outside. Frames are in one piece, in memory of our own, and
 * nothing about their content is trusted. Pure functions, any thread.
 */
#ifndef BACKEND_NET_OFFLOAD_H
#define BACKEND_NET_OFFLOAD_H

#include "backend/net/net.h"

#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17

/* Where things are in a frame. Offsets from its first byte. */
struct frame_layout {
	bool is_ipv6;	  /* else IPv4 */
	bool is_fragment; /* of a longer packet; proto says of what, l4 is not to be used */
	uint8_t proto;	  /* of IP: the upper layer */
	uint16_t l3;	  /* IP header; after a VLAN tag, if there is one */
	uint16_t l4;	  /* upper layer */
	uint16_t payload; /* TCP only: behind its options; else l4 */
	uint32_t end;	  /* first byte behind the IP packet, at most the frame's length */
};

/*
 * Finds the headers of an IPv4 or IPv6 frame. For TCP, l4 and payload lie inside the frame.
 * Returns 0, or -EINVAL: no IP, or headers that are cut off or contradict each other.
 */
int frame_parse(const uint8_t *frame, size_t len, struct frame_layout *layout);

/*
 * Where the SYN of a TCP connection offers its segment size, two bytes in network order; NULL when the
 * frame is none or offers none. layout is of a TCP packet that is no fragment.
 */
uint8_t *frame_find_mss(uint8_t *frame, const struct frame_layout *layout);

/* The Internet checksum's sum (RFC 1071) of len bytes, added to sum; not folded, not inverted. */
uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t len);

/* Folded to 16 bits and inverted, in the byte order in which it is stored. */
uint16_t checksum_finish(uint64_t sum);

/* The sum of the pseudo header for l4_len bytes from layout->l4. */
uint64_t checksum_pseudo(const uint8_t *frame, const struct frame_layout *layout, size_t l4_len);

/*
 * Does what offload asks for in the way of a checksum.
 * Returns 0 or -EINVAL: the place lies outside the frame.
 */
int offload_finish_checksum(uint8_t *frame, size_t len, const struct net_offload *offload);

/* Called for each complete frame; the bytes are valid during the call. */
typedef void (*offload_emit)(void *ctx, const uint8_t *frame, size_t len);

/*
 * Finishes a frame completely: one call of emit when there is no segmentation to do, else one for
 * each piece. frame is changed.
 * Returns 0 or -EINVAL: offload does not fit the frame. Nothing has been emitted then.
 */
int offload_finish(uint8_t *frame, size_t len, const struct net_offload *offload, offload_emit emit,
		   void *ctx);

/*
 * Whether offload is what an honest sender says of a frame of that length: known bits, a checksum
 * that lies inside, sizes that are not zero. For headers that come from another process.
 */
bool offload_is_sane(const struct net_offload *offload, size_t len);

/* Whether somebody who takes `can` (NET_CAN_*) can be given a frame with this left to do. */
bool offload_is_taken(const struct net_offload *offload, unsigned can);

/* Whether the frame is a TCP or UDP packet in one piece whose checksum is right. */
bool offload_checksum_is_right(const uint8_t *frame, size_t len);

/*
 * Cuts an IP packet that is no TCP into fragments of at most mtu bytes (RFC 791, RFC 8200 4.5); a
 * frame that fits, or is not to be cut, is emitted as it is. frame is changed. ident numbers the
 * packet where it has no number itself.
 */
void offload_fragment(uint8_t *frame, size_t len, unsigned mtu, uint32_t ident, offload_emit emit,
		      void *ctx);

#endif
