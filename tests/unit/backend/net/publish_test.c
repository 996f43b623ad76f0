/* SPDX-License-Identifier: BSD-2-Clause */
/* What --publish takes, what it says to everything else, and which rules want the same port. */
#include "unit/test.h"

#include <stdio.h>

#include "backend/net/publish.h"

static void assert_reads(const char *text, const char *canonical)
{
	struct publish_rule rule;
	struct error err = {0};
	char out[PUBLISH_TEXT_MAX];

	if (publish_parse(text, &rule, &err))
		fail_msg("%s", err.text);
	publish_format(&rule, out);
	assert_string_equal(out, canonical);
}

static void assert_refuses(const char *text, const char *sentence)
{
	struct publish_rule rules[PUBLISH_MAX];
	struct error err = {0};

	assert_true(publish_parse_list(text, rules, &err) < 0);
	assert_string_equal(err.text, sentence);
}

static void publish_reads_every_form(void **state)
{
	assert_reads("8080:80", "8080:80/tcp");
	assert_reads("8080:80/TCP", "8080:80/tcp");
	assert_reads("53:53/Udp", "53:53/udp");
	assert_reads("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp");
	assert_reads("[::]:8080:80/udp", "[::]:8080:80/udp");
	assert_reads("[0:0::1]:1:65535", "[::1]:1:65535/tcp");
	assert_reads("8000-8010:9000-9010", "8000-8010:9000-9010/tcp");
	assert_reads("5-5:6", "5:6/tcp");
}

#define NOT_A_PORT " (must be a port from 1 to 65535, or a range A-B of them)"

static void publish_refuses_what_is_no_rule(void **state)
{
	assert_refuses("80",
		       "publish '80': Unable to parse the ports to be published, should be in "
		       "format <host>:<guest> or <host>:<guest>/<tcp|udp>");
	assert_refuses("", "publish '': Unable to parse the ports to be published, should be in "
			   "format <host>:<guest> or <host>:<guest>/<tcp|udp>");
	assert_refuses("80:80/sctp", "publish '80:80/sctp': Provided protocol is not valid, valid "
				     "options are: udp, tcp; not 'sctp'");
	assert_refuses("x:80",
		       "publish 'x:80': The provided hostPort can't be converted to uint16: "
		       "'x'" NOT_A_PORT);
	assert_refuses("65536:80",
		       "publish '65536:80': The provided hostPort can't be converted to "
		       "uint16: '65536'" NOT_A_PORT);
	assert_refuses("80:0", "publish '80:0': The provided guestPort can't be converted to "
			       "uint16: '0'" NOT_A_PORT);
	assert_refuses("9-8:9-8", "publish '9-8:9-8': The provided hostPort can't be converted to "
				  "uint16: '9-8'" NOT_A_PORT);
	assert_refuses("1-3:1-2", "publish '1-3:1-2': 3 host ports cannot lead to 2 guest ports");
	assert_refuses("1-2000:1-2000", "publish '1-2000:1-2000': 2000 ports are too many for one "
					"rule (at most 1024)");
	assert_refuses("host:1:2",
		       "publish 'host:1:2': 'host' is no address to publish on (must be "
		       "an IPv4 address, or an IPv6 address in brackets)");
	assert_refuses("::1:1:2",
		       "publish '::1:1:2': '::1' is no address to publish on (must be an "
		       "IPv4 address, or an IPv6 address in brackets)");
}

static void publish_refuses_rules_that_clash(void **state)
{
	struct publish_rule rules[PUBLISH_MAX];

	assert_refuses("80:1,80:2", "publish '80:2': '80:1/tcp' already takes that host port");
	assert_refuses("80:1,[::1]:80:2",
		       "publish '[::1]:80:2': '80:1/tcp' already takes that host port");
	assert_refuses("0.0.0.0:80:1,127.0.0.1:80:2",
		       "publish '127.0.0.1:80:2': '0.0.0.0:80:1/tcp' already takes that host port");
	assert_refuses("10-20:10-20,15:1",
		       "publish '15:1': '10-20:10-20/tcp' already takes that host port");
	assert_int_equal(
		publish_parse_list("80:1,80:1/udp,81:1,127.0.0.2:80:1,[fe80::1]:80:1", rules, NULL),
		5);
	assert_int_equal(rules[4].family, AF_INET6);
}

static void publish_has_a_limit(void **state)
{
	struct publish_rule rules[PUBLISH_MAX];
	char text[PUBLISH_MAX * 8 + 8] = "";
	struct error err;

	for (int i = 0; i <= PUBLISH_MAX; i++)
		sprintf(text + strlen(text), "%s%d:%d", i ? "," : "", 1000 + i, 1);
	assert_int_equal(publish_parse_list(text, rules, &err), -E2BIG);
	assert_string_equal(err.text, "more than 64 rules to publish ports");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(publish_reads_every_form),
		cmocka_unit_test(publish_refuses_what_is_no_rule),
		cmocka_unit_test(publish_refuses_rules_that_clash),
		cmocka_unit_test(publish_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
