/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels: what they are called, and bytes both ways over each kind, with the other side coming and going. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/test.h"

#include "backend/char/channel.h"
#include "base/buf.h"

/* A front end that notes all it hears. */
struct front {
	struct loop *loop;
	struct channels *set;
	struct char_dev *dev;
	struct buf got;
	size_t step; /* most bytes taken per call; 0: all */
	bool refuses;
	bool is_open;
	unsigned nr_opened, nr_closed, writables;
};

static size_t receive(void *ctx, const void *data, size_t len)
{
	struct front *f = ctx;

	if (f->refuses)
		return 0;
	if (f->step)
		len = min(len, f->step);
	buf_append(&f->got, data, len);
	return len;
}

static void writable(void *ctx)
{
	((struct front *)ctx)->writables++;
}

static void opened(void *ctx, bool is_open)
{
	struct front *f = ctx;

	assert_int_not_equal(f->is_open, is_open);
	f->is_open = is_open;
	if (is_open)
		f->nr_opened++;
	else
		f->nr_closed++;
}

static const struct char_front front_ops = {
	.receive = receive, .writable = writable, .opened = opened};

static void open_channel(struct front *f, const char *text)
{
	struct error err = {0};

	f->loop = loop_new(&err);
	f->set = channels_new(NULL, NULL);
	f->dev = channel_open(f->set, f->loop, text, "test", &err);
	if (!f->dev)
		fail_msg("%s", err.text);
	char_attach(f->dev, &front_ops, f);
}

static void close_channel(struct front *f)
{
	char_free(f->dev);
	channels_free(f->set);
	loop_free(f->loop);
	buf_free(&f->got);
}

static void stop(struct loop_timer *t)
{
	loop_stop(t->loop);
}

static void run_ms(struct front *f, unsigned ms)
{
	struct loop_timer t;

	loop_timer_init(&t, f->loop, stop);
	loop_timer_arm(&t, host_now_ns() + ms * NS_PER_MS);
	loop_run(f->loop);
	loop_timer_disarm(&t);
}

/* Runs until the condition holds; fails after three seconds. */
#define run_until(f, condition)                                       \
	do {                                                          \
		for (unsigned _i = 0; !(condition) && _i < 600; _i++) \
			run_ms(f, 5);                                 \
		assert_true(condition);                               \
	} while (0)

static void send_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads what comes within ms, at most len bytes. */
static size_t read_for(int fd, char *to, size_t len, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t got = 0;

	while (got < len && poll(&p, 1, ms) > 0) {
		ssize_t n = read(fd, to + got, len - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

static void expect_text(int fd, const char *text)
{
	char got[256] = "";
	size_t n = read_for(fd, got, strlen(text), 500);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
}

static void temporary(char path[64], const char *name)
{
	snprintf(path, 64, "/tmp/bantam-channel-%d-%s", (int)getpid(), name);
	unlink(path);
}

/* ---- grammar ---- */

static void words_that_are_channels(void **state)
{
	static const char *const right[] = {
		"stdio",	"fd:0",	      "fd:3,fd:4",     "pts",
		"pty",		"tty:/dev/x", "port:9000",     "port:0.0.0.0:1",
		"port:[::1]:5", "unix:/a/b",  "file:/tmp/log", "null",
		"none",		"null,stdio", "file:/x,pts",   "fd:0,null",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(right); i++) {
		struct error err = {0};

		if (channel_check(right[i], &err))
			fail_msg("%s: %s", right[i], err.text);
	}
	assert_true(channel_is_none("none"));
	assert_false(channel_is_none("null"));
}

static void words_that_are_none(void **state)
{
	static const char unknown[] = "is unknown; it may be stdio, fd:N, pts, tty:PATH, "
				      "port:[ADDR:]N, unix:PATH, file:PATH, null or, as input and "
				      "output, two of these with a comma between";
	static const struct {
		const char *text, *sentence;
	} wrong[] = {
		{"fd:x", "channel 'fd:x': 'x' is no descriptor number"},
		{"fd:-1", "channel 'fd:-1': '-1' is no descriptor number"},
		{"fd", "channel 'fd' needs a value after a colon"},
		{"tty:", "channel 'tty:': a path is missing"},
		{"port:0", "channel 'port:0': the port must be 1 to 65535"},
		{"port:65536", "channel 'port:65536': the port must be 1 to 65535"},
		{"port:x:", "channel 'port:x:': the port must be 1 to 65535"},
		{"stdio:1", "channel 'stdio:1': stdio takes no value"},
		{"xterm", "channel 'xterm' is not offered; pts is a pseudo-terminal, to which a "
			  "terminal such as screen is attached"},
		{"null,null,null", "channel 'null,null,null' has more than two parts"},
	};
	char expected[512];

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct error err = {0};

		assert_int_equal(channel_check(wrong[i].text, &err), -EINVAL);
		assert_string_equal(err.text, wrong[i].sentence);
	}
	static const char *const strange[] = {"", "telnet", "none,pts", "pts,none", ",pts"};
	static const char *const named[] = {"", "telnet", "none", "none", ""};
	for (unsigned i = 0; i < ARRAY_SIZE(strange); i++) {
		struct error err = {0};

		assert_int_equal(channel_check(strange[i], &err), -EINVAL);
		snprintf(expected, sizeof(expected), "channel '%s' %s", named[i], unknown);
		assert_string_equal(err.text, expected);
	}
}

static void what_cannot_be_opened_says_why(void **state)
{
	struct error err = {0};
	struct loop *loop = loop_new(&err);
	struct channels *set = channels_new(NULL, NULL);
	int in[2];
	char text[64], expected[128];

	assert_int_equal(pipe(in), 0);
	assert_null(channel_open(set, loop, "fd:999", "a", &err));
	assert_string_equal(err.text, "channel 'fd:999': descriptor 999 is not open");
	snprintf(text, sizeof(text), "fd:%d", in[0]);
	assert_null(channel_open(set, loop, text, "a", &err));
	snprintf(expected, sizeof(expected),
		 "channel 'fd:%d': descriptor %d is not open for writing", in[0], in[0]);
	assert_string_equal(err.text, expected);
	snprintf(text, sizeof(text), "fd:%d,null", in[1]);
	assert_null(channel_open(set, loop, text, "a", &err));
	snprintf(expected, sizeof(expected),
		 "channel 'fd:%d': descriptor %d is not open for reading", in[1], in[1]);
	assert_string_equal(err.text, expected);
	assert_null(channel_open(set, loop, "tty:/dev/null", "a", &err));
	assert_string_equal(err.text, "channel 'tty:/dev/null': /dev/null is no terminal");
	assert_null(channel_open(set, loop, "null,file:/nonexistent/x", "a", &err));
	assert_string_equal(err.text, "channel 'file:/nonexistent/x': /nonexistent/x: No such file "
				      "or directory");
	assert_null(channel_open(set, loop, "port:1.2.3:99", "a", &err));
	assert_string_equal(err.text, "channel 'port:1.2.3:99': '1.2.3' is no address (127.0.0.1, "
				      "or [::1] for IPv6)");

	struct char_dev *first = channel_open(set, loop, "null,stdio", "serial line 0", &err);
	assert_non_null(first);
	assert_null(channel_open(set, loop, "null,fd:1", "console 0", &err));
	assert_string_equal(err.text,
			    "channel 'fd:1': stdout is already connected to serial line 0");
	char_free(first);
	channels_free(set);
	loop_free(loop);
	close(in[0]);
	close(in[1]);
}

/* ---- descriptors ---- */

static void descriptors_pass_every_byte_and_the_end(void **state)
{
	struct front f = {.step = 7};
	uint8_t all[512];
	char text[64];
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	snprintf(text, sizeof(text), "fd:%d,fd:%d", in[0], out[1]);
	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	open_channel(&f, text);
	run_until(&f, f.is_open);
	assert_int_equal(write(in[1], all, sizeof(all)), sizeof(all));
	close(in[1]);
	f.refuses = true;
	run_ms(&f, 20);
	assert_true(f.is_open); /* the end is reported after the last byte, not before */
	f.refuses = false;
	char_read_more(f.dev);
	run_until(&f, !f.is_open);
	assert_int_equal(f.got.len, sizeof(all));
	assert_memory_equal(f.got.data, all, sizeof(all));

	assert_int_equal(char_write(f.dev, all, sizeof(all)), sizeof(all));
	char_drain(f.dev);
	char back[sizeof(all)];
	assert_int_equal(read_for(out[0], back, sizeof(back), 500), sizeof(back));
	assert_memory_equal(back, all, sizeof(all));
	close_channel(&f);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

static void a_reader_that_goes_closes_the_stream(void **state)
{
	struct front f = {0};
	char text[64];
	int out[2];

	assert_int_equal(pipe(out), 0);
	snprintf(text, sizeof(text), "null,fd:%d", out[1]);
	open_channel(&f, text);
	run_until(&f, f.is_open);
	close(out[0]);
	assert_int_equal(char_write(f.dev, "x", 1), 1);
	run_until(&f, !f.is_open);
	close_channel(&f);
	close(out[1]);
}

static void an_empty_input_opens_and_closes(void **state)
{
	struct front f = {0};
	char path[64], text[80];

	temporary(path, "empty");
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(text, sizeof(text), "file:%s,null", path);
	open_channel(&f, text);
	run_until(&f, f.nr_closed == 1);
	assert_int_equal(f.nr_opened, 1);
	close_channel(&f);
	unlink(path);
}

static void a_file_holds_what_was_written(void **state)
{
	struct front f = {0};
	char path[64], text[80], back[16] = "";

	temporary(path, "log");
	snprintf(text, sizeof(text), "file:%s", path);
	open_channel(&f, text);
	run_until(&f, f.is_open);
	char_write(f.dev, "to the log", 10);
	close_channel(&f);
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, back, sizeof(back)), 10);
	assert_string_equal(back, "to the log");
	close(fd);
	unlink(path);
}

static void null_is_open_and_silent(void **state)
{
	struct front f = {0};

	open_channel(&f, "null");
	run_until(&f, f.is_open);
	assert_int_equal(char_write(f.dev, "lost", 4), 4);
	run_ms(&f, 20);
	assert_int_equal(f.got.len, 0);
	assert_true(f.is_open);
	close_channel(&f);
}

/* ---- sockets ---- */

static int connect_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void clients_of_a_unix_socket_come_and_go(void **state)
{
	struct front f = {0};
	char path[64], text[80];
	struct stat st;

	temporary(path, "socket");
	snprintf(text, sizeof(text), "unix:%s", path);
	open_channel(&f, text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & 077, 0);
	char_write(f.dev, "said before", 11); /* what nobody was there for */
	run_ms(&f, 20);
	assert_false(f.is_open);

	int client = connect_unix(path);
	run_until(&f, f.is_open);
	expect_text(client, "said before");
	send_text(client, "typed");
	run_until(&f, f.got.len == 5);
	assert_memory_equal(f.got.data, "typed", 5);

	int second = connect_unix(path); /* waits for its turn */
	send_text(second, "next");
	run_ms(&f, 30);
	assert_int_equal(f.got.len, 5);
	close(client);
	run_until(&f, f.got.len == 9);
	assert_memory_equal(f.got.data, "typednext", 9);
	assert_int_equal(f.nr_opened, 2);
	assert_int_equal(f.nr_closed, 1);

	shutdown(second, SHUT_WR); /* sends no more, still listens */
	run_until(&f, !f.is_open);
	char_write(f.dev, "answer", 6);
	expect_text(second, "answer");
	int third = connect_unix(path);
	run_until(&f, f.is_open);
	char_write(f.dev, "hello", 5);
	expect_text(third, "hello");
	close(second);
	close(third);
	close_channel(&f);
	assert_int_not_equal(stat(path, &st), 0);
}

static void a_slow_client_loses_nothing(void **state)
{
	struct front f = {0};
	char path[64], text[80];
	const size_t len = 1000000;
	size_t sent = 0, got = 0;
	uint8_t *chunk = mem_alloc_zero(50000);

	temporary(path, "slow");
	snprintf(text, sizeof(text), "unix:%s", path);
	open_channel(&f, text);
	int client = connect_unix(path);
	run_until(&f, f.is_open);
	while (got < len) {
		for (size_t i = 0; i < 50000; i++)
			chunk[i] = (uint8_t)((sent + i) % 251);
		size_t n = char_write(f.dev, chunk, min((size_t)50000, len - sent));
		sent += n;
		if (n) {
			run_ms(&f, 0);
			continue;
		}
		n = read_for(client, (char *)chunk, 30000, 50);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(chunk[i], (got + i) % 251);
		got += n;
		run_ms(&f, 1);
		if (sent == len && !n)
			break;
	}
	assert_true(f.writables > 0);
	assert_int_equal(sent, len);
	assert_int_equal(got, len);
	close(client);
	close_channel(&f);
	free(chunk);
}

static void the_newest_is_kept_while_nobody_is_there(void **state)
{
	struct front f = {0};
	char path[64], text[80], *back = mem_alloc_zero(70000);
	char line[16];

	temporary(path, "newest");
	snprintf(text, sizeof(text), "unix:%s", path);
	open_channel(&f, text);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "line %08u\n", i);
		assert_int_equal(char_write(f.dev, line, 14), 14);
	}
	int client = connect_unix(path);
	run_until(&f, f.is_open);
	size_t got = 0;
	for (unsigned i = 0; i < 20 && got < 65536; i++) {
		got += read_for(client, back + got, 65536 - got, 20);
		run_ms(&f, 2);
	}
	assert_int_equal(got, 65536);
	assert_memory_equal(back + got - 14, "line 00019999\n", 14);
	close(client);
	close_channel(&f);
	free(back);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct front f = {0};
	struct error err = {0};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[64], text[80], expected[256];

	temporary(path, "stale");
	strcpy(addr.sun_path, path);
	int left = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(left, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(left);
	snprintf(text, sizeof(text), "unix:%s", path);
	open_channel(&f, text);
	assert_null(channel_open(f.set, f.loop, text, "b", &err));
	snprintf(expected, sizeof(expected),
		 "channel '%s': unable to listen on %s: Address already in use", text, path);
	assert_string_equal(err.text, expected);
	close_channel(&f);
}

static int connect_tcp(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* A port of this host that is free now. */
static uint16_t free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	close(fd);
	return ntohs(addr.sin_port);
}

/* As with UML: sessions of one port get different devices, and a surplus one waits. */
static void devices_share_a_tcp_port(void **state)
{
	struct front a = {0}, b = {0};
	struct error err = {0};
	char text[32];
	uint16_t port = free_port();

	snprintf(text, sizeof(text), "port:%u", port);
	open_channel(&a, text);
	b.loop = a.loop;
	b.dev = channel_open(a.set, a.loop, text, "b", &err);
	assert_non_null(b.dev);
	char_attach(b.dev, &front_ops, &b);

	int one = connect_tcp(port), two = connect_tcp(port), three = connect_tcp(port);
	send_text(one, "1");
	send_text(two, "2");
	send_text(three, "3");
	run_until(&a, a.got.len == 1 && b.got.len == 1);
	run_ms(&a, 30);
	assert_int_equal(a.got.len + b.got.len, 2);
	assert_int_not_equal(a.got.data[0], b.got.data[0]);
	char_write(a.dev, "A", 1);
	char_write(b.dev, "B", 1);
	expect_text(a.got.data[0] == '1' ? one : two, "A");
	expect_text(a.got.data[0] == '1' ? two : one, "B");
	close(one);
	run_until(&a, a.got.len + b.got.len == 3);
	close(two);
	close(three);
	char_free(b.dev);
	buf_free(&b.got);
	close_channel(&a);
}

/* ---- terminals ---- */

/* The name of the pseudo-terminal goes to the log. */
static void open_pts_channel(struct front *f, char path[64])
{
	char line[128] = "";
	int log[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(log), 0);
	dup2(log[1], STDERR_FILENO);
	open_channel(f, "pts");
	dup2(saved, STDERR_FILENO);
	assert_true(read(log[0], line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "bantam: Assigned test to pty %63s", path), 1);
	close(saved);
	close(log[0]);
	close(log[1]);
}

static void a_pts_is_raw_and_can_be_left_and_entered(void **state)
{
	struct front f = {0};
	char path[64];

	open_pts_channel(&f, path);
	char_write(f.dev, "early", 5);
	run_ms(&f, 20);
	assert_false(f.is_open);
	for (unsigned round = 1; round <= 2; round++) {
		int fd = open(path, O_RDWR | O_NOCTTY);

		assert_true(fd >= 0);
		run_until(&f, f.is_open);
		expect_text(fd, round == 1 ? "early" : "between");
		send_text(fd, "a\r\n\x03\x01");
		run_until(&f, f.got.len == 5 * round);
		assert_memory_equal(f.got.data + f.got.len - 5, "a\r\n\x03\x01", 5);
		char_write(f.dev, "b\n", 2);
		expect_text(fd, "b\n");
		close(fd);
		run_until(&f, !f.is_open);
		char_write(f.dev, "between", 7);
	}
	close_channel(&f);
}

static void a_tty_is_raw_and_given_back(void **state)
{
	struct front f = {0};
	char path[64], text[80];
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char back[8];

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, path, sizeof(path)), 0);
	snprintf(text, sizeof(text), "tty:%s", path);
	open_channel(&f, text);
	run_until(&f, f.is_open);
	send_text(master, "\x03x\r");
	run_until(&f, f.got.len == 3);
	assert_memory_equal(f.got.data, "\x03x\r", 3);
	assert_int_equal(read_for(master, back, sizeof(back), 20), 0); /* no echo */
	char_write(f.dev, "y\n", 2);
	expect_text(master, "y\n");
	close(master);
	run_until(&f, !f.is_open);
	close_channel(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_are_channels),
		cmocka_unit_test(words_that_are_none),
		cmocka_unit_test(what_cannot_be_opened_says_why),
		cmocka_unit_test(descriptors_pass_every_byte_and_the_end),
		cmocka_unit_test(a_reader_that_goes_closes_the_stream),
		cmocka_unit_test(an_empty_input_opens_and_closes),
		cmocka_unit_test(a_file_holds_what_was_written),
		cmocka_unit_test(null_is_open_and_silent),
		cmocka_unit_test(clients_of_a_unix_socket_come_and_go),
		cmocka_unit_test(a_slow_client_loses_nothing),
		cmocka_unit_test(the_newest_is_kept_while_nobody_is_there),
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(devices_share_a_tcp_port),
		cmocka_unit_test(a_pts_is_raw_and_can_be_left_and_entered),
		cmocka_unit_test(a_tty_is_raw_and_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
