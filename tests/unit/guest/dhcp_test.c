/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The DHCP messages of the guest's init, compiled for the host.
 */
#include "../test.h"

#include "../../../guest/init/dhcp_packet.c"

static const uint8_t mac[6] = {2, 0x15, 0x15, 0x15, 0x15, 0x16};
#define EXCHANGE 0x12345678u

/* An answer with these options; returns its length. */
static size_t answer(uint8_t out[600], const void *options, size_t len)
{
	const uint32_t id = EXCHANGE;

	memset(out, 0, 600);
	out[0] = 2;
	memcpy(out + 4, &id, 4);
	memcpy(out + 16, "\x0a\x00\x02\x0f", 4);
	memcpy(out + 28, mac, 6);
	memcpy(out + 236, "\x63\x82\x53\x63", 4);
	memcpy(out + 240, options, len);
	return 240 + len;
}

static void acknowledgement_gives_a_lease(void **state)
{
	static const char options[] =
		"\x35\x01\x05\x00\x01\x04\xff\xff\xff\x00\x03\x04\x0a\x00\x02\x02"
		"\x06\x08\x0a\x00\x02\x03\x08\x08\x08\x08\x33\x04\x00\x01\x51\x80"
		"\x36\x04\x0a\x00\x02\x02\x1a\x02\x05\x78\x0f\x04home\xff";
	struct dhcp_lease lease;
	uint8_t packet[600];
	size_t len = answer(packet, options, sizeof(options) - 1);

	assert_int_equal(dhcp_read(packet, len, EXCHANGE, mac, &lease), DHCP_ACK);
	assert_memory_equal(&lease.address, "\x0a\x00\x02\x0f", 4);
	assert_memory_equal(&lease.mask, "\xff\xff\xff\x00", 4);
	assert_memory_equal(&lease.router, "\x0a\x00\x02\x02", 4);
	assert_memory_equal(&lease.server, "\x0a\x00\x02\x02", 4);
	assert_int_equal(lease.nr_dns, 2);
	assert_memory_equal(&lease.dns[1], "\x08\x08\x08\x08", 4);
	assert_int_equal(lease.seconds, 86400);
	assert_int_equal(lease.mtu, 1400);
	assert_string_equal(lease.domain, "home");
}

static void answers_to_others_are_no_answers(void **state)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 1};
	struct dhcp_lease lease;
	uint8_t packet[600];
	size_t len = answer(packet, "\x35\x01\x02\xff", 4);

	assert_int_equal(dhcp_read(packet, len, EXCHANGE, mac, &lease), DHCP_OFFER);
	assert_int_equal(dhcp_read(packet, len, EXCHANGE + 1, mac, &lease), -1);
	assert_int_equal(dhcp_read(packet, len, EXCHANGE, other, &lease), -1);
	packet[0] = 1;
	assert_int_equal(dhcp_read(packet, len, EXCHANGE, mac, &lease), -1);
	packet[0] = 2;
	packet[239]++;
	assert_int_equal(dhcp_read(packet, len, EXCHANGE, mac, &lease), -1);
}

static void damaged_options_are_refused(void **state)
{
	struct dhcp_lease lease;
	uint8_t packet[600];

	assert_int_equal(dhcp_read(packet, answer(packet, "", 0), EXCHANGE, mac, &lease), -1);
	assert_int_equal(dhcp_read(packet, answer(packet, "\x35", 1), EXCHANGE, mac, &lease), -1);
	assert_int_equal(dhcp_read(packet, answer(packet, "\x35\x01", 2), EXCHANGE, mac, &lease),
			 -1);
	assert_int_equal(
		dhcp_read(packet, answer(packet, "\x35\x01\x05\x06\xff", 5), EXCHANGE, mac, &lease),
		-1);
	assert_int_equal(dhcp_read(packet, 239, EXCHANGE, mac, &lease), -1);
}

static void domain_that_is_no_domain_is_left_out(void **state)
{
	struct dhcp_lease lease;
	uint8_t packet[600];
	size_t len = answer(packet,
			    "\x35\x01\x05\x0f\x05"
			    "a\nb.c\xff",
			    11);

	assert_int_equal(dhcp_read(packet, len, EXCHANGE, mac, &lease), DHCP_ACK);
	assert_string_equal(lease.domain, "");
}

static void request_names_address_and_server_of_the_offer(void **state)
{
	const struct dhcp_lease offer = {.address = 0x0f02000a, .server = 0x0202000a};
	struct dhcp_query q = {
		.type = DHCP_REQUEST, .id = EXCHANGE, .hostname = "guest", .wanted = &offer};
	uint8_t packet[DHCP_PACKET_MAX];

	memcpy(q.mac, mac, 6);
	assert_true(dhcp_write(packet, &q) >= 300);
	assert_int_equal(packet[0], 1);
	assert_memory_equal(packet + 28, mac, 6);
	assert_memory_equal(
		packet + 240,
		"\x35\x01\x03\x32\x04\x0a\x00\x02\x0f\x36\x04\x0a\x00\x02\x02\x0c\x05guest"
		"\x37",
		23);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledgement_gives_a_lease),
		cmocka_unit_test(answers_to_others_are_no_answers),
		cmocka_unit_test(damaged_options_are_refused),
		cmocka_unit_test(domain_that_is_no_domain_is_left_out),
		cmocka_unit_test(request_names_address_and_server_of_the_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
