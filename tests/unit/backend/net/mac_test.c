/* SPDX-License-Identifier: BSD-2-Clause */
/* MAC addresses: what is read, what is refused, and which one a card has by itself. */
#include "unit/test.h"

#include "backend/net/mac.h"

static void assert_refuses(const char *text, const char *sentence)
{
	struct error err = {0};
	uint8_t mac[6];

	assert_int_equal(mac_parse(text, mac, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
}

static void mac_is_read_and_written(void **state)
{
	uint8_t mac[6];
	char text[MAC_TEXT];

	assert_int_equal(mac_parse("FE:fd:00:0a:B1:9c", mac, NULL), 0);
	mac_format(mac, text);
	assert_string_equal(text, "fe:fd:00:0a:b1:9c");
}

static void mac_of_no_card_is_refused(void **state)
{
	assert_refuses("01:00:5e:00:00:01",
		       "'01:00:5e:00:00:01' is a multicast address (the first byte of a card's "
		       "address must be even)");
	assert_refuses("00:00:00:00:00:00",
		       "'00:00:00:00:00:00' is no card's address (must not be all zero)");
	const char *const bad[] = {"",
				   "02",
				   "02:00:00:00:00",
				   "02:00:00:00:00:0",
				   "02:00:00:00:00:001",
				   "02-00-00-00-00-00",
				   "02:00:00:00:00:0g"};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mac_parse(bad[i], (uint8_t[6]){0}, NULL), -EINVAL);
}

static void mac_from_a_name_is_stable_and_differs(void **state)
{
	uint8_t a[6], b[6];

	mac_from_name("web", 0, a);
	mac_from_name("web", 0, b);
	assert_memory_equal(a, b, 6);
	assert_int_equal(a[0], 2);
	mac_from_name("web", 1, b);
	assert_memory_not_equal(a, b, 6);
	mac_from_name("wea", 0, b);
	assert_memory_not_equal(a, b, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_is_read_and_written),
		cmocka_unit_test(mac_of_no_card_is_refused),
		cmocka_unit_test(mac_from_a_name_is_stable_and_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
