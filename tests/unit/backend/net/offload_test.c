/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames are finished as a card would: sums are right, pieces put together are the original. */
#include "unit/test.h"

#include <stdlib.h>

#include "backend/net/offload.h"
#include "base/buf.h"
#include "unit/backend/net/frames.h"

struct pieces {
	struct buf bytes;
	unsigned nr;
	size_t lens[128];
};

static void collect(void *ctx, const uint8_t *frame, size_t len)
{
	struct pieces *p = ctx;

	assert_true(p->nr < ARRAY_SIZE(p->lens));
	p->lens[p->nr++] = len;
	buf_append(&p->bytes, frame, len);
}

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void checksum_is_that_of_rfc_1071(void **state)
{
	uint8_t data[200];

	fill(data, sizeof(data));
	for (size_t len = 0; len < sizeof(data) - 1; len++)
		for (size_t at = 0; at < 2; at++) {
			uint16_t stored = checksum_finish(checksum_add(0, data + at, len));

			assert_int_equal(read16((uint8_t *)&stored),
					 ~slow_sum(0, data + at, len) & 0xffff);
		}
	memset(data, 0xff, sizeof(data));
	assert_int_equal(checksum_finish(checksum_add(0, data, 200)), 0);
}

/* Cuts payload bytes into pieces of 1000 and checks each of them. */
static void assert_segments(bool is_ipv6, unsigned options, size_t payload)
{
	static uint8_t frame[NET_FRAME_MAX], original[NET_FRAME_MAX];
	struct segment_spec spec = {.is_ipv6 = is_ipv6,
				    .options = options,
				    .seq = 0xfffffff0,
				    .flags = 0x99, /* CWR, ACK, PSH, FIN */
				    .src = 0x0a00020f,
				    .dst = 0x01020304};
	size_t header = header_bytes(&spec);
	struct pieces p = {0};

	memset(frame, 1, header);
	fill(frame + header, payload);
	size_t len = build_tcp(frame, &spec, payload);
	memcpy(original, frame, len);
	struct net_offload o = {.flags = NET_NEEDS_CSUM,
				.gso = is_ipv6 ? NET_GSO_TCP6 : NET_GSO_TCP4,
				.gso_size = 1000};
	assert_int_equal(offload_finish(frame, len, &o, collect, &p), 0);

	assert_int_equal(p.nr, (payload + 999) / 1000);
	const uint8_t *at = p.bytes.data;
	for (unsigned i = 0; i < p.nr; i++) {
		size_t n = p.lens[i] - header;
		const uint8_t *tcp = at + header - options - 20;

		assert_memory_equal(at + header, original + header + i * 1000, n);
		assert_int_equal(read32(tcp + 4), 0xfffffff0 + i * 1000);
		assert_int_equal(tcp[13], 0x10 | (i ? 0 : 0x80) | (i == p.nr - 1 ? 9 : 0));
		assert_int_equal(check_l4(at, p.lens[i]), 0xffff);
		if (!is_ipv6) {
			assert_int_equal(slow_sum(0, at + 14, 20), 0xffff);
			assert_int_equal(read16(at + 16), p.lens[i] - 14);
			assert_int_equal(read16(at + 18), 0x1234 + i);
		} else {
			assert_int_equal(read16(at + 18), p.lens[i] - 54);
		}
		at += p.lens[i];
	}
	buf_free(&p.bytes);
}

static void segments_of_ipv4_and_ipv6_are_complete(void **state)
{
	for (unsigned is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		assert_segments(is_ipv6, 0, 1);
		assert_segments(is_ipv6, 12, 1000);
		assert_segments(is_ipv6, 12, 1001);
		assert_segments(is_ipv6, 40, 64000);
	}
}

static void a_frame_with_work_that_does_not_fit_it_is_refused(void **state)
{
	uint8_t frame[2000] = {0};
	struct segment_spec spec = {0};
	struct pieces p = {0};
	size_t len = build_tcp(frame, &spec, 1000);
	const struct net_offload wrong[] = {
		{.gso = NET_GSO_TCP6, .gso_size = 100},	       /* it is IPv4 */
		{.gso = NET_GSO_TCP4, .gso_size = 0},	       /* no size */
		{.gso = NET_GSO_TCP4, .gso_size = 7},	       /* no MSS */
		{.gso = 3, .gso_size = 100},		       /* UDP fragmentation */
		{.flags = NET_NEEDS_CSUM, .csum_start = 2000}, /* outside */
		{.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 1020},
		{.flags = NET_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
		{.flags = NET_NEEDS_CSUM, .csum_start = 0, .csum_offset = 6}, /* the addresses */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(offload_finish(frame, len, &wrong[i], collect, &p), -EINVAL);
	assert_int_equal(p.nr, 0);
}

static void a_partial_sum_is_completed(void **state)
{
	uint8_t frame[600] = {0}, whole[600] = {0};
	struct segment_spec spec = {.src = 1, .dst = 2, .seq = 99};
	struct net_offload o = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	size_t len = build_tcp(whole, &spec, 333);

	memcpy(frame, whole, sizeof(frame));
	set16(frame + 50, pseudo_sum(frame, false, 6, len - 34));
	assert_int_equal(offload_finish_checksum(frame, len, &o), 0);
	assert_memory_equal(frame, whole, len);
}

static void headers_are_found_or_refused(void **state)
{
	uint8_t frame[200] = {0}, tagged[204];
	struct segment_spec spec = {.options = 8};
	struct frame_layout l;
	size_t len = build_tcp(frame, &spec, 20);

	assert_int_equal(frame_parse(frame, len, &l), 0);
	assert_int_equal(l.l4, 34);
	assert_int_equal(l.payload, 62);
	assert_int_equal(l.end, 82);
	memcpy(tagged, frame, 12);
	set32(tagged + 12, 0x81000005);
	memcpy(tagged + 16, frame + 12, len - 12);
	assert_int_equal(frame_parse(tagged, len + 4, &l), 0);
	assert_int_equal(l.payload, 66);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(frame_parse(frame, cut, &l), -EINVAL);
	frame[34 + 12] = 0xf0; /* TCP header longer than the packet */
	assert_int_equal(frame_parse(frame, len, &l), -EINVAL);
	frame[34 + 12] = 0x40; /* shorter than a TCP header */
	assert_int_equal(frame_parse(frame, len, &l), -EINVAL);
	frame[14] = 0x44; /* shorter than an IP header */
	assert_int_equal(frame_parse(frame, len, &l), -EINVAL);
	set16(frame + 12, 0x0806);
	assert_int_equal(frame_parse(frame, len, &l), -EINVAL);
}

/* Puts fragments together again. Returns the bytes of the packet behind its IP header. */
static size_t reassemble(const struct pieces *p, bool is_ipv6, unsigned mtu, uint8_t *out)
{
	const uint8_t *at = p->bytes.data;
	size_t total = 0, header = is_ipv6 ? 14 + 48 : 14 + 20;

	for (unsigned i = 0; i < p->nr; at += p->lens[i++]) {
		bool is_last = i == p->nr - 1;
		unsigned field = is_ipv6 ? read16(at + 56) : read16(at + 20);
		size_t offset = is_ipv6 ? field & 0xfff8 : (field & 0x1fff) * 8;

		assert_true(p->lens[i] <= mtu + 14);
		assert_int_equal(!is_last, is_ipv6 ? field & 1 : field >> 13);
		assert_int_equal(offset, total);
		if (is_ipv6)
			assert_int_equal(read32(at + 58), 77);
		else
			assert_int_equal(slow_sum(0, at + 14, 20), 0xffff);
		memcpy(out + offset, at + header, p->lens[i] - header);
		total += p->lens[i] - header;
	}
	return total;
}

static void a_long_datagram_is_fragmented(void **state)
{
	static uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];

	for (unsigned is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		size_t header = is_ipv6 ? 54 : 34, l4_len = 9001;
		struct pieces p = {0};

		fill(frame + header, l4_len);
		build_ip(frame, is_ipv6, 17, l4_len, 1, 2);
		offload_fragment(frame, header + l4_len, 1500, 77, collect, &p);
		assert_int_equal(p.nr, 7);
		assert_int_equal(reassemble(&p, is_ipv6, 1500, out), l4_len);
		fill(frame, l4_len);
		assert_memory_equal(out, frame, l4_len);
		buf_free(&p.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_that_of_rfc_1071),
		cmocka_unit_test(segments_of_ipv4_and_ipv6_are_complete),
		cmocka_unit_test(a_frame_with_work_that_does_not_fit_it_is_refused),
		cmocka_unit_test(a_partial_sum_is_completed),
		cmocka_unit_test(headers_are_found_or_refused),
		cmocka_unit_test(a_long_datagram_is_fragmented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
