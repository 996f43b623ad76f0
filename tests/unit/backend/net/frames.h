/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for the tests of the network back ends, built and taken apart without the code under test:
 * sums are computed byte by byte here.
 */
#ifndef TESTS_UNIT_BACKEND_NET_FRAMES_H
#define TESTS_UNIT_BACKEND_NET_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline void set16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline unsigned read16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static inline void set32(uint8_t *p, uint32_t v)
{
	set16(p, v >> 16);
	set16(p + 2, v & 0xffff);
}

static inline uint32_t read32(const uint8_t *p)
{
	return (uint32_t)read16(p) << 16 | read16(p + 2);
}

static inline uint32_t slow_sum(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

struct segment_spec {
	bool is_ipv6;
	unsigned options; /* bytes of TCP options, a multiple of 4 */
	uint32_t seq, ack;
	unsigned flags;
	uint16_t from, to;
	uint32_t src, dst; /* IPv4, or the last four bytes of fec0:: */
};

static inline size_t header_bytes(const struct segment_spec *s)
{
	return 14u + (s->is_ipv6 ? 40u : 20u) + 20u + s->options;
}

static inline uint32_t pseudo_sum(const uint8_t *frame, bool is_ipv6, unsigned proto, size_t l4_len)
{
	uint32_t sum = (uint32_t)(l4_len >> 16) + (uint32_t)(l4_len & 0xffff) + proto;

	return is_ipv6 ? slow_sum(sum, frame + 14 + 8, 32) : slow_sum(sum, frame + 14 + 12, 8);
}

/* What the sum over a complete TCP or UDP packet comes to: 0xffff when it is right. */
static inline unsigned check_l4(const uint8_t *frame, size_t len)
{
	bool is_ipv6 = frame[14] >> 4 == 6;
	size_t l4 = 14 + (is_ipv6 ? 40 : 20);

	return slow_sum(pseudo_sum(frame, is_ipv6, frame[is_ipv6 ? 20 : 23], len - l4), frame + l4,
			len - l4);
}

static inline void set_ipv4_sum(uint8_t *frame)
{
	set16(frame + 24, 0);
	set16(frame + 24, ~slow_sum(0, frame + 14, 20) & 0xffff);
}

static inline void build_ip(uint8_t *frame, bool is_ipv6, unsigned proto, size_t l4_len,
			    uint32_t src, uint32_t dst)
{
	uint8_t *ip = frame + 14;

	if (is_ipv6) {
		set16(frame + 12, 0x86dd);
		memset(ip, 0, 40);
		ip[0] = 0x60;
		set16(ip + 4, (unsigned)l4_len);
		ip[6] = (uint8_t)proto;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfe;
		ip[9] = ip[25] = 0xc0;
		set32(ip + 20, src);
		set32(ip + 36, dst);
		return;
	}
	set16(frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	set16(ip + 2, (unsigned)(20 + l4_len));
	set16(ip + 4, 0x1234);
	ip[8] = 64;
	ip[9] = (uint8_t)proto;
	set32(ip + 12, src);
	set32(ip + 16, dst);
	set_ipv4_sum(frame);
}

/* A TCP segment with a right sum whose payload is at header_bytes() already. Returns its length. */
static inline size_t build_tcp(uint8_t *frame, const struct segment_spec *s, size_t payload)
{
	size_t l4 = 14 + (s->is_ipv6 ? 40 : 20), l4_len = 20 + s->options + payload;
	uint8_t *tcp = frame + l4;

	build_ip(frame, s->is_ipv6, 6, l4_len, s->src, s->dst);
	set16(tcp, s->from);
	set16(tcp + 2, s->to);
	set32(tcp + 4, s->seq);
	set32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((5 + s->options / 4) << 4);
	tcp[13] = (uint8_t)s->flags;
	set16(tcp + 14, 0xffff);
	set32(tcp + 16, 0);
	set16(tcp + 16, ~slow_sum(pseudo_sum(frame, s->is_ipv6, 6, l4_len), tcp, l4_len) & 0xffff);
	return l4 + l4_len;
}

#endif
