/* SPDX-License-Identifier: BSD-2-Clause */
/* Tap interfaces in a network namespace of the test's own: made, adopted, refused. Needs root. */
#include "unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/net/tap.h"
#include "unit/backend/net/frames.h"
#include "unit/backend/net/net_front.h"

#define HOST_IP	 0xc0a82101u /* 192.168.33.1 */
#define GUEST_IP 0xc0a8210fu

static bool interface_exists(const char *name)
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(r.ifr_name, name);
	bool yes = !ioctl(s, SIOCGIFINDEX, &r);
	close(s);
	return yes;
}

static bool is_arp_reply(struct front *f, const uint8_t *frame, size_t len)
{
	return len >= 42 && read16(frame + 12) == 0x0806 && read16(frame + 20) == 2;
}

/* The host answers a question about its address. */
static void assert_host_answers(struct front *f)
{
	uint8_t arp[42] = {[6] = 2, [11] = 1};

	memset(arp, 0xff, 6);
	set16(arp + 12, 0x0806);
	set32(arp + 14, 0x00010800);
	set32(arp + 18, 0x06040001);
	memcpy(arp + 22, arp + 6, 6);
	set32(arp + 28, GUEST_IP);
	set32(arp + 38, HOST_IP);
	f->seen = is_arp_reply;
	assert_int_equal(front_send(f, arp, sizeof(arp), NULL), 1);
	front_run(f, 0, 5000);
	assert_false(f->has_timed_out);
	assert_int_equal(read32(front_frame(f, f->nr - 1) + 28), HOST_IP);
}

static struct tap_config config(const char *name)
{
	struct tap_config cfg = {.name = name, .fd = -1, .prefix = 24, .nr_queues = 1};

	cfg.host_ip.s_addr = htonl(HOST_IP);
	return cfg;
}

static void tap_is_made_with_an_address_and_goes(void **state)
{
	const struct tap_config cfg = config("unit0");
	struct loop *loop = loop_new(NULL);
	struct error err = {0};
	struct front f;

	struct net_dev *n = tap_new(loop, &cfg, &err);
	if (!n)
		fail_msg("%s", err.text);
	assert_string_equal(tap_name(n), "unit0");
	assert_int_equal(n->mtu, 1500);
	front_init(&f, loop, n);
	net_set_offloads(n, NET_CAN_ALL);
	assert_host_answers(&f);
	assert_true(interface_exists("unit0"));
	front_fini(&f);
	assert_false(interface_exists("unit0"));
}

static void tap_keeps_a_frame_there_is_no_room_for(void **state)
{
	const struct tap_config cfg = config(NULL);
	struct loop *loop = loop_new(NULL);
	struct front f;

	front_init(&f, loop, tap_new(loop, &cfg, NULL));
	assert_memory_equal(tap_name(f.dev), "tap", 3);
	f.room = 0;
	uint8_t arp[42] = {[6] = 2, [11] = 1};
	memset(arp, 0xff, 6);
	set16(arp + 12, 0x0806);
	set32(arp + 14, 0x00010800);
	set32(arp + 18, 0x06040001);
	memcpy(arp + 22, arp + 6, 6);
	set32(arp + 28, GUEST_IP);
	set32(arp + 38, HOST_IP);
	front_send(&f, arp, sizeof(arp), NULL);
	front_run(&f, 0, 100);
	assert_int_equal(f.nr, 0);
	f.room = 100;
	f.seen = is_arp_reply;
	net_receive_more(f.dev);
	for (unsigned i = 0; i < f.nr; i++)
		f.has_timed_out &= !is_arp_reply(&f, front_frame(&f, i), f.len[i]);
	if (f.has_timed_out)
		front_run(&f, 0, 5000);
	assert_false(f.has_timed_out);
	front_fini(&f);
}

/* Whoever borrowed the queue reads the frames, with virtio's header. */
static void lent_tap_leaves_frames_to_others(void **state)
{
	const struct tap_config cfg = config("unit3");
	struct loop *loop = loop_new(NULL);
	struct error err = {0};
	uint8_t packet[200], arp[12 + 42] = {[12 + 6] = 2, [12 + 11] = 1};
	struct net_dev *n = tap_new(loop, &cfg, &err);
	struct front f;

	if (!n)
		fail_msg("%s", err.text);
	int fd = net_lend(n, 0);
	assert_true(fd >= 0);
	assert_int_equal(net_lend(n, 1), -EINVAL);
	front_init(&f, loop, n);
	memset(arp + 12, 0xff, 6);
	set16(arp + 12 + 12, 0x0806);
	set32(arp + 12 + 14, 0x00010800);
	set32(arp + 12 + 18, 0x06040001);
	memcpy(arp + 12 + 22, arp + 12 + 6, 6);
	set32(arp + 12 + 28, GUEST_IP);
	set32(arp + 12 + 38, HOST_IP);
	assert_int_equal(write(fd, arp, sizeof(arp)), sizeof(arp));
	front_run(&f, 0, 100);
	assert_int_equal(f.nr, 0);
	bool has_reply = false;
	for (ssize_t len; (len = read(fd, packet, sizeof(packet))) > 12;)
		has_reply |= is_arp_reply(&f, packet + 12, (size_t)len - 12);
	assert_true(has_reply);
	front_fini(&f);
}

static void tap_with_several_queues_attaches_those_in_use(void **state)
{
	struct tap_config cfg = config("unit1");
	struct loop *loop = loop_new(NULL);
	struct error err = {0};
	struct front f;

	cfg.nr_queues = 4;
	struct net_dev *n = tap_new(loop, &cfg, &err);
	if (!n)
		fail_msg("%s", err.text);
	front_init(&f, loop, n);
	for (unsigned nr = 1; nr <= 4; nr++) {
		net_set_queues(n, nr);
		assert_host_answers(&f);
	}
	net_set_queues(n, 1);
	assert_host_answers(&f);
	front_fini(&f);
}

static void tap_adopts_a_descriptor_with_or_without_headers(void **state)
{
	for (int has_header = 0; has_header < 2; has_header++) {
		struct tap_config cfg = config(NULL);
		struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI |
						       (has_header ? IFF_VNET_HDR : 0))};
		struct loop *loop = loop_new(NULL);
		struct front f;

		cfg.fd = open("/dev/net/tun", O_RDWR);
		assert_int_equal(ioctl(cfg.fd, TUNSETIFF, &r), 0);
		struct net_dev *n = tap_new(loop, &cfg, NULL);
		assert_non_null(n);
		assert_int_equal(n->offloads, has_header ? NET_CAN_ALL : 0);
		front_init(&f, loop, n);
		assert_host_answers(&f);
		front_fini(&f);
	}
}

static void assert_refuses(const struct tap_config *cfg, const char *sentence)
{
	struct loop *loop = loop_new(NULL);
	struct error err = {0};

	assert_null(tap_new(loop, cfg, &err));
	assert_string_equal(err.text, sentence);
	loop_free(loop);
}

static void tap_says_what_is_wrong(void **state)
{
	struct tap_config cfg = config("a-name-of-16-chr");

	assert_refuses(&cfg, "tap a-name-of-16-chr: the name has more than 15 letters");
	cfg = config("lo");
	assert_refuses(&cfg, "lo is no tap interface");
	cfg = config("unit2");
	cfg.bridge = "br9";
	assert_refuses(&cfg, "interface br9 does not exist!");
	assert_false(interface_exists("unit2"));
	cfg.bridge = "lo";
	assert_refuses(&cfg, "can't add unit2 to bridge lo: Operation not supported");
	cfg = config("unit2");
	cfg.script = "/nonexistent";
	assert_refuses(&cfg, "network script /nonexistent: No such file or directory");
	cfg.script = "false";
	assert_refuses(&cfg, "network script false unit2 failed with status 1");
	assert_false(interface_exists("unit2"));
	cfg = config(NULL);
	cfg.fd = open("/dev/null", O_RDWR);
	char sentence[64];
	snprintf(sentence, sizeof(sentence), "descriptor %d is no open tap interface", cfg.fd);
	assert_refuses(&cfg, sentence);
	close(cfg.fd);
	assert_refuses(&cfg, sentence);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tap_is_made_with_an_address_and_goes),
		cmocka_unit_test(tap_keeps_a_frame_there_is_no_room_for),
		cmocka_unit_test(lent_tap_leaves_frames_to_others),
		cmocka_unit_test(tap_with_several_queues_attaches_those_in_use),
		cmocka_unit_test(tap_adopts_a_descriptor_with_or_without_headers),
		cmocka_unit_test(tap_says_what_is_wrong),
	};

	if (unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
		printf("needs root and /dev/net/tun\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
