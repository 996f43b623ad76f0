/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest made of hand-built frames on a user-mode network: DHCP, published ports by IPv4 and IPv6,
 * and a TCP stream in long or short segments, as the guest takes them.
 */
#include "unit/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/user.h"
#include "unit/backend/net/frames.h"
#include "unit/backend/net/net_front.h"

#define GUEST_IP 0x0a00020fu
#define HOST_IP	 0x0a000202u

static const uint8_t guest_mac[6] = {0x02, 1, 2, 3, 4, 5};

static void start(struct front *f, const char *publish)
{
	struct publish_rule rules[PUBLISH_MAX];
	struct user_config cfg = {.has_ipv6 = true, .reaches_host = true, .publish = rules};
	struct error err = {0};

	if (publish)
		cfg.nr_publish = (unsigned)publish_parse_list(publish, rules, NULL);
	struct loop *loop = loop_new(NULL);
	struct net_dev *dev = user_new(loop, &cfg, &err);
	if (!dev)
		fail_msg("%s", err.text);
	front_init(f, loop, dev);
}

static void address_frame(uint8_t *frame)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
}

/* The guest says where it is, as any guest does before it talks. */
static void announce(struct front *f)
{
	uint8_t arp[42] = {0};

	address_frame(arp);
	set16(arp + 12, 0x0806);
	set16(arp + 14, 1);
	set16(arp + 16, 0x0800);
	set16(arp + 18, 0x0604);
	set16(arp + 20, 1);
	memcpy(arp + 22, guest_mac, 6);
	set32(arp + 28, GUEST_IP);
	set32(arp + 38, HOST_IP);
	assert_int_equal(front_send(f, arp, sizeof(arp), NULL), 1);
	assert_int_equal(f->nr, 1);
	assert_int_equal(read32(front_frame(f, 0) + 28), HOST_IP);
	assert_true(f->dones);
}

static size_t build_udp(uint8_t *frame, uint32_t src, uint16_t from, uint32_t dst, uint16_t to,
			size_t payload)
{
	address_frame(frame);
	build_ip(frame, false, 17, 8 + payload, src, dst);
	set16(frame + 34, from);
	set16(frame + 36, to);
	set16(frame + 38, (unsigned)(8 + payload));
	set16(frame + 40, 0);
	return 42 + payload;
}

static void dhcp_gives_the_usual_address(void **state)
{
	uint8_t frame[42 + 244] = {0}, *bootp = frame + 42;
	struct front f;

	start(&f, NULL);
	size_t len = build_udp(frame, 0, 68, 0xffffffff, 67, 244);
	bootp[0] = 1;
	bootp[1] = 1;
	bootp[2] = 6;
	memcpy(bootp + 28, guest_mac, 6);
	set32(bootp + 236, 0x63825363);
	memcpy(bootp + 240, (uint8_t[]){53, 1, 1, 255}, 4);
	front_send(&f, frame, len, NULL);
	assert_int_equal(f.nr, 1);
	assert_int_equal(read32(front_frame(&f, 0) + 42 + 16), GUEST_IP);
	front_fini(&f);
}

/* Somebody on the host with a socket to a published port. */
static int host_socket(int family, int type, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(family, type, 0), rc;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	if (family == AF_INET)
		rc = connect(fd, (struct sockaddr *)&v4, sizeof(v4));
	else
		rc = connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	assert_int_equal(rc, 0);
	return fd;
}

static bool has_ipv6_loopback(void)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	v6.sin6_addr = in6addr_loopback;
	bool yes = fd >= 0 && !bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (fd >= 0)
		close(fd);
	return yes;
}

/* A port that was free a moment ago. */
static uint16_t free_port(int type)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static bool is_udp_to_7(struct front *f, const uint8_t *frame, size_t len)
{
	return len > 42 && frame[23] == 17 && read16(frame + 36) == 7;
}

static bool is_tcp_frame(struct front *f, const uint8_t *frame, size_t len)
{
	return len >= 54 && read16(frame + 12) == 0x0800 && frame[23] == 6;
}

static void published_udp_is_answered(int family)
{
	uint16_t port = free_port(SOCK_DGRAM);
	uint8_t answer[100] = {0};
	char rule[32], got[16] = "";
	struct front f;

	snprintf(rule, sizeof(rule), "%u:7/udp", port);
	start(&f, rule);
	announce(&f);
	f.seen = is_udp_to_7;
	int fd = host_socket(family, SOCK_DGRAM, port);
	assert_int_equal(send(fd, "question", 8, 0), 8);
	front_run(&f, 0, 5000);
	assert_false(f.has_timed_out);
	const uint8_t *frame = front_frame(&f, f.nr - 1);
	assert_memory_equal(frame + 42, "question", 8);
	assert_int_equal(read32(frame + 30), GUEST_IP);

	memcpy(answer + 42, "answer", 6);
	size_t len =
		build_udp(answer, GUEST_IP, 7, read32(frame + 26), (uint16_t)read16(frame + 34), 6);
	front_send(&f, answer, len, NULL);
	front_run(&f, 0, 100);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 6);
	assert_string_equal(got, "answer");
	close(fd);
	front_fini(&f);
}

static void published_udp_is_answered_by_ipv4(void **state)
{
	published_udp_is_answered(AF_INET);
}

static void published_udp_is_answered_by_ipv6(void **state)
{
	if (!has_ipv6_loopback()) {
		print_message("this host has no ::1\n");
		skip();
	}
	published_udp_is_answered(AF_INET6);
}

static void published_tcp_reaches_the_guest(int family)
{
	uint16_t port = free_port(SOCK_STREAM);
	char rule[32];
	struct front f;

	snprintf(rule, sizeof(rule), "%u:22", port);
	start(&f, rule);
	announce(&f);
	f.seen = is_tcp_frame;
	int fd = host_socket(family, SOCK_STREAM, port);
	front_run(&f, 0, 5000);
	assert_false(f.has_timed_out);
	const uint8_t *frame = front_frame(&f, f.nr - 1);
	assert_int_equal(read16(frame + 36), 22);
	assert_int_equal(frame[47] & 2, 2); /* SYN */
	close(fd);
	front_fini(&f);
}

static void published_tcp_reaches_the_guest_by_both(void **state)
{
	published_tcp_reaches_the_guest(AF_INET);
	if (has_ipv6_loopback())
		published_tcp_reaches_the_guest(AF_INET6);
	else
		print_message("this host has no ::1\n");
}

static void a_taken_port_is_an_error(void **state)
{
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		struct sockaddr_in a = {.sin_family = AF_INET};
		int type = is_udp ? SOCK_DGRAM : SOCK_STREAM, one = 1;
		int fd = socket(AF_INET, type, 0);
		struct loop *loop = loop_new(NULL);
		struct error err = {0};
		struct publish_rule rule;
		char text[32], sentence[200];
		socklen_t len = sizeof(a);

		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
		if (!is_udp)
			listen(fd, 1);
		unsigned port = ntohs(a.sin_port);
		snprintf(text, sizeof(text), "%u:7/%s", port, is_udp ? "udp" : "tcp");
		assert_int_equal(publish_parse(text, &rule, NULL), 0);
		const struct user_config cfg = {.publish = &rule, .nr_publish = 1};
		assert_null(user_new(loop, &cfg, &err));
		snprintf(sentence, sizeof(sentence),
			 "publish '%s': host port %u: Address already in use", text, port);
		assert_string_equal(err.text, sentence);
		close(fd);
		loop_free(loop);
	}
}

/* ---- a stream to the guest ---- */

#define STREAM_BYTES 100000

struct stream {
	struct front front; /* first */
	uint32_t next;	    /* sequence number awaited */
	size_t got;
	size_t longest;
	unsigned segments_with_work;
	bool is_checked; /* sums are complete in every frame */
	uint16_t to;
};

static uint8_t stream_byte(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 9));
}

static void send_segment(struct stream *s, unsigned flags, uint32_t seq, const void *options,
			 unsigned nr_options)
{
	uint8_t frame[100] = {0};
	struct segment_spec spec = {.options = nr_options,
				    .seq = seq,
				    .ack = s->next,
				    .flags = flags,
				    .from = 5555,
				    .to = s->to,
				    .src = GUEST_IP,
				    .dst = HOST_IP};

	address_frame(frame);
	if (nr_options)
		memcpy(frame + 54, options, nr_options);
	front_send(&s->front, frame, build_tcp(frame, &spec, 0), NULL);
}

static bool take_segment(struct front *f, const uint8_t *frame, size_t len)
{
	struct stream *s = (struct stream *)f;

	if (!is_tcp_frame(f, frame, len))
		return false;
	const struct net_offload *o = &f->offloads[f->nr - 1];
	size_t payload = len - 54;

	if (frame[47] & 2) { /* SYN, ACK */
		s->next = read32(frame + 38) + 1;
		return true;
	}
	assert_int_equal(slow_sum(0, frame + 14, 20), 0xffff);
	if (o->gso) {
		s->segments_with_work++;
		assert_int_equal(o->gso, NET_GSO_TCP4);
		assert_int_equal(o->gso_size, 1460);
		assert_int_equal(o->flags, NET_NEEDS_CSUM);
		assert_int_equal(o->csum_start, 34);
		assert_int_equal(o->csum_offset, 16);
		assert_int_equal(read16(frame + 50), pseudo_sum(frame, false, 6, len - 34));
	} else {
		assert_int_equal(check_l4(frame, len), 0xffff);
		assert_true(len <= 1514);
	}
	if (!payload || read32(frame + 38) != s->next)
		return false;
	for (size_t i = 0; i < payload; i++)
		assert_int_equal(frame[54 + i], stream_byte(s->got + i));
	s->longest = max(s->longest, payload);
	s->got += payload;
	s->next += (uint32_t)payload;
	return true;
}

static void receive_stream(unsigned guest_can, struct stream *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	static uint8_t data[STREAM_BYTES];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(listener, 1);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	*s = (struct stream){.to = ntohs(a.sin_port)};
	start(&s->front, NULL);
	net_set_offloads(s->front.dev, guest_can);
	announce(&s->front);
	s->front.seen = take_segment;
	send_segment(s, 2, 1000, (uint8_t[]){2, 4, 1460 >> 8, 1460 & 255}, 4);
	while (!s->next && !s->front.has_timed_out)
		front_run(&s->front, 0, 5000);
	assert_false(s->front.has_timed_out);
	send_segment(s, 0x10, 1001, NULL, 0);
	int fd = accept(listener, NULL, NULL);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = stream_byte(i);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	while (s->got < sizeof(data) && !s->front.has_timed_out) {
		size_t before = s->got;

		front_run(&s->front, 0, 5000);
		if (s->got != before)
			send_segment(s, 0x10, 1001, NULL, 0);
	}
	assert_int_equal(s->got, sizeof(data));
	close(fd);
	close(listener);
	front_fini(&s->front);
}

static void a_stream_comes_in_long_segments(void **state)
{
	struct stream s;

	receive_stream(NET_CAN_ALL, &s);
	assert_true(s.longest > 16000);
	assert_true(s.segments_with_work > 0);
}

static void a_stream_comes_in_short_segments_to_a_plain_guest(void **state)
{
	struct stream s;

	receive_stream(0, &s);
	assert_int_equal(s.longest, 1460);
	assert_int_equal(s.segments_with_work, 0);
}

static void what_the_guest_has_no_room_for_is_kept(void **state)
{
	uint8_t arp[42] = {0};
	struct front f;

	start(&f, NULL);
	announce(&f);
	f.room = 0;
	address_frame(arp);
	set16(arp + 12, 0x0806);
	set32(arp + 14, 0x00010800);
	set32(arp + 18, 0x06040001);
	memcpy(arp + 22, guest_mac, 6);
	set32(arp + 28, GUEST_IP);
	set32(arp + 38, HOST_IP);
	for (int i = 0; i < 3; i++)
		assert_int_equal(front_send(&f, arp, sizeof(arp), NULL), 1);
	assert_int_equal(f.nr, 1);
	f.room = 2;
	net_receive_more(f.dev);
	assert_int_equal(f.nr, 3);
	f.room = 2;
	net_receive_more(f.dev);
	assert_int_equal(f.nr, 4);
	assert_int_equal(f.dev->stats.dropped, 0);
	front_fini(&f);
}

static void addresses_are_settled_or_refused(void **state)
{
	struct in_addr host = {0}, guest = {0};
	struct error err = {0};

	assert_int_equal(user_settle_addresses(&host, &guest, &err), 0);
	assert_int_equal(ntohl(host.s_addr), HOST_IP);
	assert_int_equal(ntohl(guest.s_addr), GUEST_IP);
	host.s_addr = 0;
	guest.s_addr = inet_addr("192.168.7.2");
	assert_int_equal(user_settle_addresses(&host, &guest, &err), 0);
	assert_string_equal(inet_ntoa(host), "192.168.7.1");
	host = guest;
	assert_int_equal(user_settle_addresses(&host, &guest, &err), -EINVAL);
	assert_string_equal(err.text, "host and guest cannot both have address 192.168.7.2");
	host.s_addr = inet_addr("192.168.8.2");
	assert_int_equal(user_settle_addresses(&host, &guest, &err), -EINVAL);
	assert_string_equal(err.text,
			    "host_ip and guest_ip must be in one /24 network, that of 192.168.8.2");
	host.s_addr = inet_addr("192.168.7.255");
	assert_int_equal(user_settle_addresses(&host, &guest, &err), -EINVAL);
	assert_string_equal(err.text,
			    "host_ip and guest_ip cannot end in .0 or .255, which are the "
			    "network's own");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_gives_the_usual_address),
		cmocka_unit_test(published_udp_is_answered_by_ipv4),
		cmocka_unit_test(published_udp_is_answered_by_ipv6),
		cmocka_unit_test(published_tcp_reaches_the_guest_by_both),
		cmocka_unit_test(a_taken_port_is_an_error),
		cmocka_unit_test(a_stream_comes_in_long_segments),
		cmocka_unit_test(a_stream_comes_in_short_segments_to_a_plain_guest),
		cmocka_unit_test(what_the_guest_has_no_room_for_is_kept),
		cmocka_unit_test(addresses_are_settled_or_refused),
	};

	if (!user_is_available()) {
		print_message("this build has no libslirp\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
