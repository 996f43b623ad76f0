/* SPDX-License-Identifier: BSD-2-Clause */
/* Two members of a multicast LAN on this host's loopback interface, and one that speaks QEMU's way. */
#include "unit/test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/mcast.h"
#include "unit/backend/net/frames.h"
#include "unit/backend/net/net_front.h"

static void assert_refuses(const char *text, const char *sentence)
{
	struct sockaddr_in group;
	struct error err = {0};

	assert_int_equal(mcast_parse(text, &group, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
}

static void mcast_reads_groups(void **state)
{
	struct sockaddr_in group;

	assert_int_equal(mcast_parse(MCAST_DEFAULT, &group, NULL), 0);
	assert_int_equal(ntohs(group.sin_port), 1102);
	assert_int_equal(ntohl(group.sin_addr.s_addr), 0xefc0a801);
	assert_refuses("239.1.1.1", "'239.1.1.1' is no multicast group (must be like "
				    "239.192.168.1:1102)");
	assert_refuses("239.1.1.1:0", "'239.1.1.1:0' is no multicast group (must be like "
				      "239.192.168.1:1102)");
	assert_refuses("10.1.1.1:5", "10.1.1.1 is no multicast address (must be 224.0.0.0 to "
				     "239.255.255.255)");
}

static void mcast_carries_frames_to_others(void **state)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct mcast_config cfg = {.local.s_addr = htonl(INADDR_LOOPBACK), .ttl = 0};
	const struct net_offload o = {
		.flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4, .gso_size = 1000};
	struct segment_spec spec = {.src = 1, .dst = 2};
	struct loop *loop = loop_new(NULL);
	struct error err = {0};
	struct front a, b;

	/* A port of this process's own, so that tests in parallel are on different LANs. */
	cfg.group = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)(20000 + getpid() % 40000))};
	cfg.group.sin_addr.s_addr = inet_addr("239.192.168.77");
	struct net_dev *one = mcast_new(loop, &cfg, &err), *other = mcast_new(loop, &cfg, &err);
	if (!one || !other)
		fail_msg("%s", err.text);
	front_init(&a, loop, one);
	front_init(&b, loop, other);
	net_set_offloads(other, NET_CAN_ALL);
	size_t len = build_tcp(frame, &spec, 2500);
	front_send(&a, frame, len, &o);
	front_run(&b, 3, 5000);
	assert_int_equal(b.nr, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(check_l4(front_frame(&b, i), b.len[i]), 0xffff);
		assert_int_equal(b.offloads[i].flags, NET_CSUM_VALID);
	}
	assert_int_equal(a.nr, 0); /* not its own */

	/* QEMU sends each frame as a datagram from whatever socket. */
	struct ip_mreqn from = {.imr_address = cfg.local};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
	len = build_tcp(frame, &spec, 10);
	frame[len - 1] ^= 1; /* damaged: not called right */
	sendto(fd, frame, len, 0, (struct sockaddr *)&cfg.group, sizeof(cfg.group));
	front_run(&a, 1, 5000);
	front_run(&b, 4, 5000);
	assert_int_equal(a.nr, 1);
	assert_int_equal(b.nr, 4);
	assert_int_equal(b.offloads[3].flags, 0);
	close(fd);

	/* Without room nothing is lost. */
	b.room = 0;
	front_send(&a, frame, len, NULL);
	front_run(&b, 5, 50);
	assert_int_equal(b.nr, 4);
	b.room = 9;
	net_receive_more(other);
	front_run(&b, 5, 5000);
	assert_int_equal(b.nr, 5);
	net_free(one);
	buf_free(&a.bytes);
	front_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mcast_reads_groups),
		cmocka_unit_test(mcast_carries_frames_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
