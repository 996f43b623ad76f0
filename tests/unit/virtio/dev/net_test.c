/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net between a driver made by hand and a back end that keeps what it is sent: headers,
 * merged buffers, back pressure both ways, the control queue, hostile drivers, saved state.
 */
#include "unit/test.h"

#include <linux/virtio_net.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "unit/virtio/driver.h"
#include "virtio/dev/net.h"

#define HEADER 12

static const uint8_t card_mac[6] = {2, 0, 0, 0, 0, 7};

/* ---- the back end ---- */

struct fake {
	struct net_dev dev;
	unsigned room; /* frames it still takes */
	unsigned nr_sent, guest_can, nr_queues, nr_receive_more;
	struct net_offload offload; /* of the last frame */
	uint8_t last[4096];
	size_t last_len;
	unsigned queue;
	bool is_freed;
};

static struct fake fake;

static unsigned fake_send(struct net_dev *n, unsigned queue, const struct net_frame *f, unsigned nr)
{
	unsigned taken = min(nr, fake.room);

	for (unsigned i = 0; i < taken; i++) {
		assert_true(f[i].len <= sizeof(fake.last));
		net_frame_copy(&f[i], fake.last);
		fake.last_len = f[i].len;
		fake.offload = f[i].offload;
	}
	fake.queue = queue;
	fake.room -= taken;
	fake.nr_sent += taken;
	return taken;
}

static void fake_receive_more(struct net_dev *n)
{
	fake.nr_receive_more++;
}

static void fake_set_offloads(struct net_dev *n, unsigned can)
{
	fake.guest_can = can;
}

static void fake_set_queues(struct net_dev *n, unsigned nr)
{
	fake.nr_queues = nr;
}

static void fake_free(struct net_dev *n)
{
	fake.is_freed = true;
}

static const struct net_ops fake_ops = {.send = fake_send,
					.receive_more = fake_receive_more,
					.set_offloads = fake_set_offloads,
					.set_queues = fake_set_queues,
					.free = fake_free};

/* ---- the driver ---- */

struct card {
	struct driver_host host;
	struct driver_queue rx, tx, control;
	gpa_t buffer; /* 64 KiB for sending */
};

struct new_card {
	struct card *card;
	unsigned nr_pairs;
};

static void make_card(void *ctx)
{
	struct new_card *p = ctx;
	struct virtio_net_params params = {.mem = p->card->host.mem,
					   .loop = io_thread_loop(p->card->host.io),
					   .back = &fake.dev,
					   .nr_pairs = p->nr_pairs,
					   .mtu = 1400,
					   .offers_offloads = true};

	memcpy(params.mac, card_mac, sizeof(card_mac));
	driver_connect(&p->card->host, virtio_net_new(&params));
}

#define MERGE BIT64(VIRTIO_NET_F_MRG_RXBUF)
#define CONTROL                                                      \
	(BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) | \
	 BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define OFFLOADS                                                           \
	(BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4) |        \
	 BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) | \
	 BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))

static void card_init(struct card *c, uint64_t features, unsigned nr_pairs)
{
	struct new_card p = {c, nr_pairs};

	fake = (struct fake){.room = UINT32_MAX};
	fake.dev = (struct net_dev){
		.ops = &fake_ops, .offloads = NET_CAN_ALL, .nr_queues = nr_pairs, .is_up = true};
	driver_host_init(&c->host);
	loop_call(io_thread_loop(c->host.io), make_card, &p);
	assert_true(driver_negotiate(&c->host, features));
	driver_init(&c->rx, &c->host, 0, 16);
	driver_init(&c->tx, &c->host, 1, 64);
	driver_init(&c->control, &c->host, features & BIT64(VIRTIO_NET_F_MQ) ? 2 * nr_pairs : 2,
		    16);
	c->buffer = driver_alloc(&c->host, 65536);
	driver_start(&c->host);
}

static void card_fini(struct card *c)
{
	driver_host_fini(&c->host);
	assert_true(fake.is_freed);
}

/* Sends len bytes of payload behind a header in three buffers. Returns false without an answer. */
static bool send_frame(struct card *c, const struct net_offload *o, uint32_t len)
{
	uint8_t header[HEADER] = {0};

	if (o)
		memcpy(header, o, sizeof(*o));
	mem_write(c->host.mem, c->buffer, header, sizeof(header));
	const struct driver_buffer b[] = {{c->buffer, HEADER, false},
					  {c->buffer + HEADER, len / 2, false},
					  {c->buffer + HEADER + len / 2, len - len / 2, false}};
	return driver_request(&c->tx, b, 3) == 0;
}

struct delivery {
	const struct net_frame *frames;
	unsigned nr, taken;
};

static void deliver(void *ctx)
{
	struct delivery *d = ctx;

	d->taken = net_deliver(&fake.dev, d->frames, d->nr);
	net_deliver_done(&fake.dev);
}

/* The back end has a frame of len bytes to mac. Returns how many were taken. */
static unsigned receive_frame(struct card *c, const uint8_t mac[6], uint32_t len)
{
	static uint8_t data[70000];
	struct iovec iov[2] = {{data, 14}, {data + 14, len - 14}};
	struct net_frame f = {
		.offload = {.flags = NET_CSUM_VALID}, .iov = iov, .nr_iov = 2, .len = len};
	struct delivery d = {&f, 1, 0};

	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 13);
	memcpy(data, mac, 6);
	loop_call(io_thread_loop(c->host.io), deliver, &d);
	return d.taken;
}

static gpa_t add_rx(struct card *c, uint32_t len)
{
	gpa_t gpa = driver_alloc(&c->host, len);

	driver_add(&c->rx, &(struct driver_buffer){gpa, len, true}, 1);
	return gpa;
}

static uint8_t control(struct card *c, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	gpa_t gpa = driver_alloc(&c->host, 3 + len);
	const struct virtio_net_ctrl_hdr h = {class, cmd};
	uint8_t ack = 0xee;

	mem_write(c->host.mem, gpa, &h, 2);
	mem_write(c->host.mem, gpa + 2, data, len);
	const struct driver_buffer b[] = {{gpa, 2 + len, false}, {gpa + 2 + len, 1, true}};
	assert_int_equal(driver_request(&c->control, b, 2), 1);
	mem_read(c->host.mem, gpa + 2 + len, &ack, 1);
	return ack;
}

/* ---- tests ---- */

static void net_shows_its_configuration(void **state)
{
	struct virtio_net_config config;
	struct card c;

	card_init(&c, MERGE, 4);
	virtio_config_read(c.host.device, 0, &config, 12);
	assert_memory_equal(config.mac, card_mac, 6);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.max_virtqueue_pairs, 4);
	assert_int_equal(config.mtu, 1400);
	uint8_t past[4] = {1, 2, 3, 4};
	virtio_config_read(c.host.device, 10, past, 4);
	assert_memory_equal(past, "\x78\x05\0\0", 4);
	card_fini(&c);
}

static void net_sends_frames_with_their_work(void **state)
{
	const struct net_offload o = {.flags = NET_NEEDS_CSUM,
				      .gso = NET_GSO_TCP4,
				      .gso_size = 1000,
				      .csum_start = 34,
				      .csum_offset = 16};
	struct card c;

	card_init(&c, MERGE | OFFLOADS, 1);
	assert_true(send_frame(&c, NULL, 60));
	assert_int_equal(fake.nr_sent, 1);
	assert_int_equal(fake.last_len, 60);
	assert_true(send_frame(&c, &o, 3000));
	assert_int_equal(fake.last_len, 3000);
	assert_memory_equal(&fake.offload, &o, sizeof(o));
	card_fini(&c);
}

static void net_drops_frames_that_make_no_sense(void **state)
{
	const struct net_offload wrong[] = {
		{.flags = NET_CSUM_VALID},			/* not the driver's to say */
		{.gso = NET_GSO_TCP4, .gso_size = 100},		/* without a sum */
		{.flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4}, /* no size */
		{.flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4, .gso_size = 7}, /* no MSS */
		{.flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP6, .gso_size = 9}, /* not negotiated */
		{.flags = NET_NEEDS_CSUM, .gso = 3, .gso_size = 9},	       /* UDP */
		{.gso = NET_GSO_ECN},
	};
	struct card c;

	log_set_level(LOG_ERROR);
	card_init(&c, MERGE | OFFLOADS, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_true(send_frame(&c, &wrong[i], 100));
	assert_true(send_frame(&c, NULL, 13));
	const struct driver_buffer no_header = {c.buffer, 11, false};
	assert_int_equal(driver_request(&c.tx, &no_header, 1), 0);
	const struct driver_buffer none = {c.buffer, 100, true};
	assert_int_equal(driver_request(&c.tx, &none, 1), 0);
	assert_int_equal(fake.nr_sent, 0);
	assert_true(send_frame(&c, NULL, 14));
	assert_int_equal(fake.nr_sent, 1);
	card_fini(&c);
	log_set_level(LOG_INFO);
}

static void tell_writable(void *ctx)
{
	net_deliver_writable(&fake.dev);
}

static void net_holds_what_the_back_end_has_no_room_for(void **state)
{
	struct card c;
	uint16_t id = 0;
	uint32_t len = 0;

	card_init(&c, MERGE, 1);
	fake.room = 1;
	const struct driver_buffer b = {c.buffer, HEADER + 60, false};
	for (int i = 0; i < 3; i++)
		driver_add(&c.tx, &b, 1);
	driver_notify(&c.tx);
	assert_true(driver_wait(&c.tx, &id, &len));
	loop_call(io_thread_loop(c.host.io), tell_writable, NULL);
	assert_false(driver_used(&c.tx, &id, &len));
	fake.room = 5;
	loop_call(io_thread_loop(c.host.io), tell_writable, NULL);
	assert_true(driver_used(&c.tx, &id, &len));
	assert_true(driver_used(&c.tx, &id, &len));
	assert_int_equal(fake.nr_sent, 3);
	/* What is held in a pause is lost, not kept. */
	fake.room = 0;
	driver_add(&c.tx, &b, 1);
	driver_notify(&c.tx);
	virtio_pause(c.host.device);
	virtio_resume(c.host.device);
	fake.room = 5;
	loop_call(io_thread_loop(c.host.io), tell_writable, NULL);
	assert_true(driver_wait(&c.tx, &id, &len));
	card_fini(&c);
}

static void net_merges_buffers_for_a_long_frame(void **state)
{
	struct card c;
	uint8_t header[HEADER], expected[2500], got[2600];
	uint16_t id = 0;
	uint32_t len = 0, total = 0;

	card_init(&c, MERGE | OFFLOADS, 1);
	gpa_t at[3];
	for (int i = 0; i < 3; i++)
		at[i] = add_rx(&c, 1000);
	assert_int_equal(receive_frame(&c, card_mac, 2500), 1);
	for (int i = 0; i < 3; i++) {
		assert_true(driver_wait(&c.rx, &id, &len));
		assert_int_equal(len, i < 2 ? 1000 : 512);
		mem_read(c.host.mem, at[i], got + total, len);
		total += len;
	}
	assert_int_equal(total, HEADER + 2500);
	memcpy(header, got, HEADER);
	assert_int_equal(header[0], VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(header[10] | header[11] << 8, 3);
	for (int i = 0; i < 2500; i++)
		expected[i] = (uint8_t)(i * 13);
	memcpy(expected, card_mac, 6);
	assert_memory_equal(got + HEADER, expected, 2500);
	card_fini(&c);
}

static void net_waits_for_buffers_and_asks_again(void **state)
{
	struct card c;
	uint16_t id = 0;
	uint32_t len = 0;

	card_init(&c, MERGE, 1);
	add_rx(&c, 1000);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 0);
	assert_false(driver_used(&c.rx, &id, &len));
	unsigned before = fake.nr_receive_more;
	add_rx(&c, 1000);
	driver_notify(&c.rx);
	loop_call(io_thread_loop(c.host.io), tell_writable, NULL); /* behind the notification */
	assert_int_equal(fake.nr_receive_more, before + 1);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 1);
	assert_true(driver_wait(&c.rx, &id, &len));
	assert_true(driver_wait(&c.rx, &id, &len));
	/* A pause gives held buffers back and takes nothing. */
	add_rx(&c, 1000);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 0);
	virtio_pause(c.host.device);
	assert_true(driver_used(&c.rx, &id, &len));
	assert_int_equal(len, 0);
	add_rx(&c, 3000);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 0);
	virtio_resume(c.host.device);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 1);
	card_fini(&c);
}

static void net_without_merging_drops_what_does_not_fit(void **state)
{
	struct card c;
	uint16_t id = 0;
	uint32_t len = 0;

	card_init(&c, 0, 1);
	add_rx(&c, 200);
	assert_int_equal(receive_frame(&c, card_mac, 1500), 1);
	assert_false(driver_used(&c.rx, &id, &len));
	assert_int_equal(receive_frame(&c, card_mac, 100), 1);
	assert_true(driver_used(&c.rx, &id, &len));
	assert_int_equal(len, HEADER + 100);
	card_fini(&c);
}

static void net_without_a_driver_drops_everything(void **state)
{
	struct card c;

	card_init(&c, MERGE, 1);
	virtio_set_status(c.host.device, 0);
	assert_int_equal(receive_frame(&c, card_mac, 100), 1);
	card_fini(&c);
}

/* Whether a frame to mac reaches the guest. */
static bool passes(struct card *c, const uint8_t mac[6])
{
	uint16_t id = 0;
	uint32_t len = 0;

	add_rx(c, 200);
	assert_int_equal(receive_frame(c, mac, 64), 1);
	bool has_come = driver_used(&c->rx, &id, &len);
	if (!has_come)
		assert_int_equal(receive_frame(c, card_mac, 64), 1);
	if (!has_come)
		assert_true(driver_used(&c->rx, &id, &len));
	return has_come;
}

static void net_filters_as_the_driver_says(void **state)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t other[6] = {2, 9, 9, 9, 9, 9}, group[6] = {1, 0, 0x5e, 0, 0, 1};
	static const uint8_t table[] = {1, 0, 0, 0, 2, 9, 9,	9, 9, 9,
					1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
	const uint8_t on = 1, off = 0;
	struct card c;

	card_init(&c, MERGE | CONTROL, 1);
	assert_true(passes(&c, other));
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1), 0);
	assert_false(passes(&c, other));
	assert_false(passes(&c, group));
	assert_true(passes(&c, broadcast));
	assert_true(passes(&c, card_mac));
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1), 0);
	assert_true(passes(&c, group));
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &off, 1), 0);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)),
			 0);
	assert_true(passes(&c, other));
	assert_true(passes(&c, group));
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1), 0);
	assert_false(passes(&c, broadcast));
	card_fini(&c);
}

static void net_answers_wrong_commands_with_an_error(void **state)
{
	static const uint8_t long_table[] = {255, 255, 255, 255, 0, 0};
	/* 8193 addresses, all of them there, and none of the other table. */
	static const uint8_t huge_table[8 + 8193 * 6] = {1, 0x20};
	static const uint8_t multicast[6] = {1, 0, 0x5e, 0, 0, 1}, mac[6] = {2, 1, 1, 1, 1, 1};
	const uint16_t five = 5, none = 0, two = 2;
	const uint64_t unknown = BIT64(60), nothing = 0;
	struct virtio_net_config config;
	struct card c;

	card_init(&c, MERGE | CONTROL | OFFLOADS | BIT64(VIRTIO_NET_F_MQ), 4);
	assert_int_equal(control(&c, 99, 0, "", 0), VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, 77, "\1", 1), VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_RX, 0, "", 0), VIRTIO_NET_ERR);
	assert_int_equal(
		control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, long_table, 6),
		VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, huge_table,
				 sizeof(huge_table)),
			 VIRTIO_NET_ERR);
	assert_int_equal(
		control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, multicast, 6),
		VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MQ, 0, &five, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MQ, 0, &none, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_ANNOUNCE, 0, "", 0), VIRTIO_NET_ERR);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &unknown, 8),
			 VIRTIO_NET_ERR);

	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MQ, 0, &two, 2), VIRTIO_NET_OK);
	assert_int_equal(fake.nr_queues, 2);
	assert_int_equal(fake.guest_can, NET_CAN_CSUM | NET_CAN_TSO4);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &nothing, 8),
			 VIRTIO_NET_OK);
	assert_int_equal(fake.guest_can, 0);
	assert_int_equal(control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
			 VIRTIO_NET_OK);
	virtio_config_read(c.host.device, 0, &config, 12);
	assert_memory_equal(config.mac, mac, 6);
	/* A reset brings the card's own back. */
	virtio_set_status(c.host.device, 0);
	virtio_config_read(c.host.device, 0, &config, 12);
	assert_memory_equal(config.mac, card_mac, 6);
	card_fini(&c);
}

static void go_down(void *ctx)
{
	net_deliver_link(&fake.dev, false);
}

static void net_tells_of_the_link(void **state)
{
	struct virtio_net_config config;
	struct card c;

	card_init(&c, MERGE | BIT64(VIRTIO_NET_F_STATUS), 1);
	unsigned before = c.host.nr_config_interrupts;
	loop_call(io_thread_loop(c.host.io), go_down, NULL);
	assert_int_equal(c.host.nr_config_interrupts, before + 1);
	virtio_config_read(c.host.device, 0, &config, 12);
	assert_int_equal(config.status, 0);
	card_fini(&c);
}

static void net_state_makes_the_round_trip(void **state)
{
	static const uint8_t table[] = {0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
	static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1}, other[6] = {1, 0, 0x5e, 0, 0, 2};
	uint64_t features = MERGE | CONTROL | OFFLOADS | BIT64(VIRTIO_NET_F_GUEST_ANNOUNCE);
	struct virtio_net_config config;
	struct buf first = {0}, second = {0};
	const uint8_t off = 0;
	struct state s;
	struct card c;

	card_init(&c, features, 1);
	control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1);
	control(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table));
	virtio_pause(c.host.device);
	state_init_save(&s, &first);
	state_begin(&s, "net", 1);
	virtio_state(c.host.device, &s);
	state_end(&s);
	virtio_resume(c.host.device);
	const uint8_t on = 1;
	control(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1);
	virtio_pause(c.host.device);
	state_init_load(&s, first.data, first.len);
	state_begin(&s, "net", 1);
	virtio_state(c.host.device, &s);
	state_end(&s);
	assert_false(state_failed(&s));
	state_init_save(&s, &second);
	state_begin(&s, "net", 1);
	virtio_state(c.host.device, &s);
	state_end(&s);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	/* The rings went back with the state, and the test's control command is in them again. */
	virtio_config_read(c.host.device, 0, &config, 12);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	assert_int_equal(fake.guest_can, NET_CAN_CSUM | NET_CAN_TSO4);
	virtio_resume(c.host.device);
	assert_true(passes(&c, group));
	assert_true(passes(&c, card_mac));
	(void)other;
	buf_free(&first);
	buf_free(&second);
	card_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_shows_its_configuration),
		cmocka_unit_test(net_sends_frames_with_their_work),
		cmocka_unit_test(net_drops_frames_that_make_no_sense),
		cmocka_unit_test(net_holds_what_the_back_end_has_no_room_for),
		cmocka_unit_test(net_merges_buffers_for_a_long_frame),
		cmocka_unit_test(net_waits_for_buffers_and_asks_again),
		cmocka_unit_test(net_without_merging_drops_what_does_not_fit),
		cmocka_unit_test(net_without_a_driver_drops_everything),
		cmocka_unit_test(net_filters_as_the_driver_says),
		cmocka_unit_test(net_answers_wrong_commands_with_an_error),
		cmocka_unit_test(net_tells_of_the_link),
		cmocka_unit_test(net_state_makes_the_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
