/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/offload.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100

#define IPV4_HEADER    20u
#define IPV6_HEADER    40u
#define IPV6_FRAGMENT  44 /* next header value, RFC 8200 4.5 */
#define IPV6_OPTIONS   6  /* headers before the upper layer; more is no honest packet */
#define TCP_HEADER     20u
#define TCP_FLAG_FIN   0x01
#define TCP_FLAG_SYN   0x02
#define TCP_FLAG_PUSH  0x08
#define TCP_FLAG_CWR   0x80
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_MSS_BYTES  4 /* kind, length, value */
#define FRAGMENT_UNIT  8
#define HEADERS_MAX    256 /* Ethernet, VLAN, IPv4 with options, TCP with options: 14+4+60+60 */
#define IPV4_DONT_FRAG 0x4000
#define IPV4_MORE_FRAG 0x2000
#define IPV4_FRAG_MASK 0x1fff

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* ---- where things are ---- */

static int parse_ipv4(const uint8_t *frame, size_t len, struct frame_layout *l)
{
	if (len < l->l3 + IPV4_HEADER)
		return -EINVAL;
	const uint8_t *ip = frame + l->l3;
	unsigned header = (ip[0] & 15) * 4u, total = get16(ip + 2);

	/* A zero length stands for a packet too long to say so, which TSO frames may be. */
	if (!total)
		total = (unsigned)(len - l->l3);
	if (ip[0] >> 4 != 4 || header < IPV4_HEADER || total < header || total > len - l->l3)
		return -EINVAL;
	l->is_fragment = get16(ip + 6) & (IPV4_MORE_FRAG | IPV4_FRAG_MASK);
	l->proto = ip[9];
	l->l4 = (uint16_t)(l->l3 + header);
	l->end = l->l3 + total;
	return 0;
}

static int parse_ipv6(const uint8_t *frame, size_t len, struct frame_layout *l)
{
	if (len < l->l3 + IPV6_HEADER)
		return -EINVAL;
	const uint8_t *ip = frame + l->l3;
	unsigned payload = get16(ip + 4), at = l->l3 + IPV6_HEADER;

	l->end = payload ? at + payload : (uint32_t)len;
	if (ip[0] >> 4 != 6 || l->end > len)
		return -EINVAL;
	l->is_ipv6 = true;
	l->proto = ip[6];
	for (unsigned i = 0; i < IPV6_OPTIONS; i++) {
		bool is_option = l->proto == 0 || l->proto == 43 || l->proto == 60;

		if (!is_option && l->proto != IPV6_FRAGMENT)
			break;
		if (at + 8 > l->end)
			return -EINVAL;
		l->is_fragment |= !is_option;
		l->proto = frame[at];
		at += is_option ? (frame[at + 1] + 1u) * 8 : 8;
		if (at > l->end)
			return -EINVAL;
	}
	l->l4 = (uint16_t)at;
	return 0;
}

int frame_parse(const uint8_t *frame, size_t len, struct frame_layout *l)
{
	*l = (struct frame_layout){.l3 = NET_ETH_HEADER};
	if (len < NET_ETH_HEADER || len > NET_FRAME_MAX)
		return -EINVAL;
	unsigned type = get16(frame + 12);
	if (type == ETHERTYPE_VLAN && len >= NET_ETH_HEADER + 4) {
		type = get16(frame + 16);
		l->l3 += 4;
	}
	int rc = -EINVAL;
	if (type == ETHERTYPE_IPV4)
		rc = parse_ipv4(frame, len, l);
	else if (type == ETHERTYPE_IPV6)
		rc = parse_ipv6(frame, len, l);
	if (rc)
		return rc;
	l->payload = l->l4;
	if (l->proto != IP_PROTO_TCP || l->is_fragment)
		return 0;
	if (l->l4 + TCP_HEADER > l->end)
		return -EINVAL;
	unsigned header = (frame[l->l4 + 12] >> 4) * 4u;
	if (header < TCP_HEADER || l->l4 + header > l->end)
		return -EINVAL;
	l->payload = (uint16_t)(l->l4 + header);
	return 0;
}

uint8_t *frame_find_mss(uint8_t *frame, const struct frame_layout *l)
{
	uint8_t *at = frame + l->l4 + TCP_HEADER, *end = frame + l->payload;

	if (!(frame[l->l4 + 13] & TCP_FLAG_SYN))
		return NULL;
	while (at < end && *at != TCP_OPTION_END) {
		if (*at == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return NULL;
		if (*at == TCP_OPTION_MSS)
			return at[1] == TCP_MSS_BYTES ? at + 2 : NULL;
		at += at[1];
	}
	return NULL;
}

/* ---- checksums ---- */

/*
 * Sums 32-bit words into 64 bits, which cannot overflow for anything below 16 GiB. The one's
 * complement sum is independent of byte order, so words are taken as the host has them.
 */
uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t len)
{
	uint64_t a = 0, b = 0;

	while (len >= 32) {
		uint32_t w[8];

		memcpy(w, data, sizeof(w));
		a += (uint64_t)w[0] + w[1] + w[2] + w[3];
		b += (uint64_t)w[4] + w[5] + w[6] + w[7];
		data += 32;
		len -= 32;
	}
	while (len >= 4) {
		uint32_t w;

		memcpy(&w, data, sizeof(w));
		a += w;
		data += 4;
		len -= 4;
	}
	if (len) {
		uint32_t w = 0;

		memcpy(&w, data, len);
		a += w;
	}
	/* Folded to below 2^33 here, so that callers can add many of them up. */
	a = (a & 0xffffffff) + (a >> 32);
	b = (b & 0xffffffff) + (b >> 32);
	return sum + a + b;
}

uint16_t checksum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void store_sum(uint8_t *at, uint16_t sum)
{
	memcpy(at, &sum, sizeof(sum));
}

uint64_t checksum_pseudo(const uint8_t *frame, const struct frame_layout *l, size_t l4_len)
{
	const uint8_t *ip = frame + l->l3;
	uint8_t tail[8] = {[7] = l->proto};

	put32(tail, (uint32_t)l4_len);
	uint64_t sum = checksum_add(0, tail, sizeof(tail));
	return l->is_ipv6 ? checksum_add(sum, ip + 8, 32) : checksum_add(sum, ip + 12, 8);
}

int offload_finish_checksum(uint8_t *frame, size_t len, const struct net_offload *o)
{
	size_t at = (size_t)o->csum_start + o->csum_offset;

	if (!(o->flags & NET_NEEDS_CSUM))
		return 0;
	if (o->csum_start < NET_ETH_HEADER || o->csum_start >= len || at + 2 > len)
		return -EINVAL;
	/* The field already holds the pseudo header's sum, so it is summed up with the rest. */
	uint16_t sum = checksum_finish(checksum_add(0, frame + o->csum_start, len - o->csum_start));
	/* UDP takes zero for "no sum"; its other representation means the same to all. */
	store_sum(frame + at, sum ? sum : 0xffff);
	return 0;
}

static void finish_ipv4_header(uint8_t *ip, unsigned header)
{
	store_sum(ip + 10, 0);
	store_sum(ip + 10, checksum_finish(checksum_add(0, ip, header)));
}

/* ---- segmentation ---- */

/* What stays the same from piece to piece. */
struct segments {
	struct frame_layout layout;
	uint8_t headers[HEADERS_MAX];
	uint32_t seq;
	uint16_t ident; /* IPv4: counts up, as a sender's would */
	uint8_t flags;	/* of TCP */
};

/* Completes the headers before payload bytes, which directly follow them at frame. */
static void finish_piece(const struct segments *s, uint8_t *frame, size_t payload, unsigned index,
			 size_t offset, bool is_last)
{
	const struct frame_layout *l = &s->layout;
	size_t len = l->payload + payload;
	uint8_t *ip = frame + l->l3, *tcp = frame + l->l4;
	uint8_t flags = s->flags;

	memcpy(frame, s->headers, l->payload);
	if (l->is_ipv6) {
		put16(ip + 4, (unsigned)(len - l->l3 - IPV6_HEADER));
	} else {
		put16(ip + 2, (unsigned)(len - l->l3));
		put16(ip + 4, s->ident + index);
		finish_ipv4_header(ip, l->l4 - l->l3);
	}
	if (!is_last)
		flags &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PUSH);
	if (index)
		flags &= (uint8_t)~TCP_FLAG_CWR;
	tcp[13] = flags;
	put32(tcp + 4, s->seq + (uint32_t)offset);
	store_sum(tcp + 16, 0);
	uint64_t sum = checksum_pseudo(frame, l, len - l->l4);
	store_sum(tcp + 16, checksum_finish(checksum_add(sum, tcp, len - l->l4)));
}

static int begin_segments(struct segments *s, const uint8_t *frame, size_t len,
			  const struct net_offload *o)
{
	unsigned kind = o->gso & ~(unsigned)NET_GSO_ECN;
	int rc = frame_parse(frame, len, &s->layout);

	if (rc)
		return rc;
	const struct frame_layout *l = &s->layout;
	if (l->proto != IP_PROTO_TCP || l->is_fragment || o->gso_size < NET_GSO_SIZE_MIN ||
	    l->payload > HEADERS_MAX || kind != (l->is_ipv6 ? NET_GSO_TCP6 : NET_GSO_TCP4))
		return -EINVAL;
	memcpy(s->headers, frame, l->payload);
	s->seq = get32(frame + l->l4 + 4);
	s->ident = get16(frame + l->l3 + 4);
	s->flags = frame[l->l4 + 13];
	return 0;
}

/* Each piece's headers are written over the end of the piece before it, which has been emitted. */
static int segment(uint8_t *frame, size_t len, const struct net_offload *o, offload_emit emit,
		   void *ctx)
{
	struct segments s;
	int rc = begin_segments(&s, frame, len, o);

	if (rc)
		return rc;
	size_t total = s.layout.end - s.layout.payload, done = 0;
	unsigned index = 0;
	do {
		size_t n = min((size_t)o->gso_size, total - done);
		uint8_t *piece = frame + done;

		finish_piece(&s, piece, n, index++, done, done + n == total);
		emit(ctx, piece, s.layout.payload + n);
		done += n;
	} while (done < total);
	return 0;
}

int offload_finish(uint8_t *frame, size_t len, const struct net_offload *o, offload_emit emit,
		   void *ctx)
{
	if (o->gso != NET_GSO_NONE)
		return segment(frame, len, o, emit, ctx);
	int rc = offload_finish_checksum(frame, len, o);
	if (!rc)
		emit(ctx, frame, len);
	return rc;
}

/* ---- what others say about a frame ---- */

bool offload_is_sane(const struct net_offload *o, size_t len)
{
	unsigned kind = o->gso & ~(unsigned)NET_GSO_ECN;
	size_t at = (size_t)o->csum_start + o->csum_offset;

	if (o->flags & ~(NET_NEEDS_CSUM | NET_CSUM_VALID))
		return false;
	if (o->flags & NET_NEEDS_CSUM && (o->csum_start < NET_ETH_HEADER || at + 2 > len))
		return false;
	if (kind == NET_GSO_NONE)
		return !o->gso;
	return (kind == NET_GSO_TCP4 || kind == NET_GSO_TCP6) && o->gso_size >= NET_GSO_SIZE_MIN &&
	       o->flags & NET_NEEDS_CSUM;
}

bool offload_is_taken(const struct net_offload *o, unsigned can)
{
	unsigned kind = o->gso & ~(unsigned)NET_GSO_ECN;

	return (!o->flags || can & NET_CAN_CSUM) && (kind != NET_GSO_TCP4 || can & NET_CAN_TSO4) &&
	       (kind != NET_GSO_TCP6 || can & NET_CAN_TSO6);
}

bool offload_checksum_is_right(const uint8_t *frame, size_t len)
{
	struct frame_layout l;

	if (frame_parse(frame, len, &l) || l.is_fragment ||
	    (l.proto != IP_PROTO_TCP && l.proto != IP_PROTO_UDP))
		return false;
	size_t l4_len = l.end - l.l4;
	/* A UDP packet may come without a sum, which is not for us to call right. */
	if (l.proto == IP_PROTO_UDP && (l4_len < 8 || !get16(frame + l.l4 + 6)))
		return false;
	uint64_t sum = checksum_pseudo(frame, &l, l4_len);
	return !checksum_finish(checksum_add(sum, frame + l.l4, l4_len));
}

/* ---- fragments ---- */

/* As with segments, headers go over the end of what has been emitted already. */
static void fragment_ipv4(uint8_t *frame, const struct frame_layout *l, unsigned mtu,
			  offload_emit emit, void *ctx)
{
	uint8_t headers[HEADERS_MAX];
	unsigned header = l->l4 - l->l3;
	size_t step = ALIGN_DOWN((size_t)(mtu - header), (size_t)FRAGMENT_UNIT);
	size_t total = l->end - l->l4;

	memcpy(headers, frame, l->l4);
	for (size_t done = 0; done < total; done += step) {
		size_t n = min(step, total - done);
		uint8_t *piece = frame + done, *ip = piece + l->l3;

		memcpy(piece, headers, l->l4);
		put16(ip + 2, (unsigned)(header + n));
		put16(ip + 6,
		      (unsigned)(done / FRAGMENT_UNIT) | (done + n < total ? IPV4_MORE_FRAG : 0u));
		finish_ipv4_header(ip, header);
		emit(ctx, piece, l->l4 + n);
	}
}

static void fragment_ipv6(uint8_t *frame, const struct frame_layout *l, unsigned mtu,
			  uint32_t ident, offload_emit emit, void *ctx)
{
	uint8_t piece[NET_FRAME_MAX];
	unsigned at = l->l3 + IPV6_HEADER; /* of the fragment header */
	size_t step = ALIGN_DOWN((size_t)(mtu - IPV6_HEADER - 8), (size_t)FRAGMENT_UNIT);
	size_t total = l->end - at;

	memcpy(piece, frame, at);
	for (size_t done = 0; done < total; done += step) {
		size_t n = min(step, total - done);

		put16(piece + l->l3 + 4, (unsigned)(8 + n));
		piece[at] = frame[l->l3 + 6];
		piece[at + 1] = 0;
		piece[l->l3 + 6] = IPV6_FRAGMENT;
		put16(piece + at + 2, (unsigned)done | (done + n < total));
		put32(piece + at + 4, ident);
		memcpy(piece + at + 8, frame + at + done, n);
		emit(ctx, piece, at + 8 + n);
	}
}

void offload_fragment(uint8_t *frame, size_t len, unsigned mtu, uint32_t ident, offload_emit emit,
		      void *ctx)
{
	struct frame_layout l;

	if (len <= NET_ETH_HEADER + (size_t)mtu || mtu < 576 || frame_parse(frame, len, &l) ||
	    l.proto == IP_PROTO_TCP || l.is_fragment || l.end - l.l3 <= mtu)
		emit(ctx, frame, len);
	else if (l.is_ipv6)
		fragment_ipv6(frame, &l, mtu, ident, emit, ctx);
	else
		fragment_ipv4(frame, &l, mtu, emit, ctx);
}
