/* SPDX-License-Identifier: BSD-2-Clause */
/* The console on pipes, files and nothing: what is typed arrives, what is printed is not lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/char/stdio.h"
#include "base/base.h"
#include "base/buf.h"

/* A front end that takes at most step bytes per call and asks for more when told to. */
struct front {
	struct loop *loop;
	struct char_dev *dev;
	struct buf got;
	size_t step;	 /* 0: takes nothing */
	bool asks_again; /* read_more after each receive, as a device does once its FIFO drains */
	size_t stop_at;	 /* ends the loop when that many bytes are in */
	const uint8_t *to_send;
	size_t left;
	unsigned short_writes, writables, quits, breaks;
};

static void set_stop_timer(struct loop_timer *t)
{
	loop_stop(t->loop);
}

static size_t receive(void *ctx, const void *data, size_t len)
{
	struct front *f = ctx;
	size_t n = min(len, f->step);

	buf_append(&f->got, data, n);
	if (f->stop_at && f->got.len >= f->stop_at)
		loop_stop(f->loop);
	if (f->asks_again)
		char_read_more(f->dev);
	return n;
}

static void send_all(struct front *f)
{
	while (f->left) {
		size_t n = char_write(f->dev, f->to_send, min(f->left, (size_t)1000));

		f->to_send += n;
		f->left -= n;
		if (!n) {
			f->short_writes++;
			return;
		}
	}
	loop_stop(f->loop);
}

static void writable(void *ctx)
{
	struct front *f = ctx;

	f->writables++;
	send_all(f);
}

static void receive_break(void *ctx)
{
	((struct front *)ctx)->breaks++;
}

static void quit(void *ctx)
{
	struct front *f = ctx;

	f->quits++;
	loop_stop(f->loop);
}

static const struct char_front front_ops = {
	.receive = receive, .writable = writable, .receive_break = receive_break};

static void open_console(struct front *f, int in, int out)
{
	struct error err = {0};
	const struct char_stdio_config cfg = {.in_fd = in, .out_fd = out, .quit = quit, .ctx = f};

	f->loop = loop_new(&err);
	f->dev = char_stdio_new(f->loop, &cfg, &err);
	assert_non_null(f->dev);
	char_attach(f->dev, &front_ops, f);
}

static void close_console(struct front *f)
{
	char_free(f->dev);
	loop_free(f->loop);
	buf_free(&f->got);
}

static void run_for_ms(struct front *f, unsigned ms)
{
	struct loop_timer t;

	loop_timer_init(&t, f->loop, set_stop_timer);
	loop_timer_arm(&t, host_now_ns() + ms * NS_PER_MS);
	loop_run(f->loop);
	loop_timer_disarm(&t);
}

static void type(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void typed_bytes_reach_the_guest(void **state)
{
	struct front f = {.step = 16, .stop_at = 5};
	int in[2];

	assert_int_equal(pipe(in), 0);
	open_console(&f, in[0], STDOUT_FILENO);
	type(in[1], "hello");
	run_for_ms(&f, 2000);
	assert_int_equal(f.got.len, 5);
	assert_memory_equal(f.got.data, "hello", 5);
	close_console(&f);
	close(in[0]);
	close(in[1]);
}

static void ctrl_a_x_quits_and_double_ctrl_a_is_sent(void **state)
{
	struct front f = {.step = 16};
	int in[2];

	assert_int_equal(pipe(in), 0);
	open_console(&f, in[0], STDOUT_FILENO);
	type(in[1], "a\x01\x01"
		    "b\x01"
		    "bc\x01z\x01x");
	run_for_ms(&f, 2000);
	assert_int_equal(f.quits, 1);
	assert_int_equal(f.breaks, 1);
	run_for_ms(&f, 20);
	assert_string_equal(buf_text(&f.got), "a\x01"
					      "bcz");
	close_console(&f);
	close(in[0]);
	close(in[1]);
}

static void escape_may_be_split_between_reads(void **state)
{
	struct front f = {.step = 16};
	int in[2];

	assert_int_equal(pipe(in), 0);
	open_console(&f, in[0], STDOUT_FILENO);
	type(in[1], "\x01");
	run_for_ms(&f, 20);
	assert_int_equal(f.quits, 0);
	type(in[1], "x");
	run_for_ms(&f, 2000);
	assert_int_equal(f.quits, 1);
	close_console(&f);
	close(in[0]);
	close(in[1]);
}

struct paste {
	int fd;
	const uint8_t *data;
	size_t len;
};

static void *paste_thread(void *arg)
{
	struct paste *p = arg;

	while (p->len) {
		ssize_t n = write(p->fd, p->data, p->len);

		if (n <= 0)
			break;
		p->data += n;
		p->len -= (size_t)n;
	}
	return NULL;
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = mem_alloc_zero(len);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(' ' + i * 7 % 90);
	return p;
}

/* Receives at most 16 bytes, then nothing until the loop came round: a UART's FIFO. */
static void paste_of_100_kb_arrives_whole(void **state)
{
	const size_t len = 100 * 1000;
	uint8_t *data = pattern(len);
	struct front f = {.step = 16, .asks_again = true, .stop_at = len};
	pthread_t thread;
	int in[2];

	assert_int_equal(pipe(in), 0);
	struct paste p = {in[1], data, len};
	open_console(&f, in[0], STDOUT_FILENO);
	assert_int_equal(pthread_create(&thread, NULL, paste_thread, &p), 0);
	run_for_ms(&f, 10000);
	pthread_join(thread, NULL);
	assert_int_equal(f.got.len, len);
	assert_memory_equal(f.got.data, data, len);
	close_console(&f);
	free(data);
	close(in[0]);
	close(in[1]);
}

static void reading_stops_while_the_front_end_is_full(void **state)
{
	struct front f = {.step = 0};
	int in[2];

	assert_int_equal(pipe(in), 0);
	open_console(&f, in[0], STDOUT_FILENO);
	type(in[1], "later");
	run_for_ms(&f, 30);
	assert_int_equal(f.got.len, 0);
	f.step = 16;
	f.stop_at = 5;
	char_read_more(f.dev);
	run_for_ms(&f, 2000);
	assert_memory_equal(f.got.data, "later", 5);
	close_console(&f);
	close(in[0]);
	close(in[1]);
}

static int file_with(const char *text)
{
	char path[] = "/tmp/bantam-test-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	type(fd, text);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void regular_file_is_read_to_its_end(void **state)
{
	struct front f = {.step = 3, .stop_at = 10};
	int in = file_with("0123456789");

	open_console(&f, in, STDOUT_FILENO);
	run_for_ms(&f, 2000);
	assert_string_equal(buf_text(&f.got), "0123456789");
	run_for_ms(&f, 20); /* the end of it ends nothing else */
	assert_int_equal(f.quits, 0);
	close_console(&f);
	close(in);
}

static void end_of_a_pipe_and_a_closed_stdin_are_quiet(void **state)
{
	struct front f = {.step = 16}, g = {.step = 16}, h = {.step = 16};
	int in[2], null = open("/dev/null", O_RDONLY);

	assert_int_equal(pipe(in), 0);
	close(in[1]);
	open_console(&f, in[0], STDOUT_FILENO);
	run_for_ms(&f, 20);
	close_console(&f);
	close(in[0]);
	open_console(&g, in[0], STDOUT_FILENO); /* closed */
	run_for_ms(&g, 20);
	close_console(&g);
	open_console(&h, null, STDOUT_FILENO);
	run_for_ms(&h, 20);
	close_console(&h);
	close(null);
}

struct reader {
	int fd;
	struct buf got;
};

static void *slow_reader(void *arg)
{
	struct reader *r = arg;
	uint8_t chunk[3000];
	ssize_t n;

	usleep(50000);
	while ((n = read(r->fd, chunk, sizeof(chunk))) > 0) {
		buf_append(&r->got, chunk, (size_t)n);
		usleep(200);
	}
	return NULL;
}

static void slow_pipe_loses_nothing_and_holds_the_sender(void **state)
{
	const size_t len = 400 * 1000;
	uint8_t *data = pattern(len);
	struct front f = {.to_send = data, .left = len};
	struct reader r = {0};
	pthread_t thread;
	int out[2], null = open("/dev/null", O_RDONLY);

	assert_int_equal(pipe(out), 0);
	r.fd = out[0];
	open_console(&f, null, out[1]);
	assert_int_equal(pthread_create(&thread, NULL, slow_reader, &r), 0);
	uint64_t start = host_now_ns();
	send_all(&f);
	assert_true(host_now_ns() - start < 40 * NS_PER_MS); /* the sender did not wait */
	assert_true(f.left > 0);
	run_for_ms(&f, 10000);
	assert_int_equal(f.left, 0);
	assert_true(f.short_writes > 0);
	assert_true(f.writables > 0);
	close_console(&f); /* what is still queued goes out first */
	close(out[1]);
	pthread_join(thread, NULL);
	assert_int_equal(r.got.len, len);
	assert_memory_equal(r.got.data, data, len);
	buf_free(&r.got);
	free(data);
	close(out[0]);
	close(null);
}

static void broken_pipe_takes_everything(void **state)
{
	uint8_t *data = pattern(300000);
	struct front f = {.to_send = data, .left = 300000};
	int out[2], null = open("/dev/null", O_RDONLY);

	assert_int_equal(pipe(out), 0);
	close(out[0]);
	open_console(&f, null, out[1]);
	send_all(&f);
	if (f.left)
		run_for_ms(&f, 5000);
	assert_int_equal(f.left, 0);
	close_console(&f);
	free(data);
	close(out[1]);
	close(null);
}

static void regular_file_takes_all_output(void **state)
{
	const size_t len = 200000;
	uint8_t *data = pattern(len), *back = mem_alloc_zero(len);
	struct front f = {.to_send = data, .left = len};
	int out = file_with(""), null = open("/dev/null", O_RDONLY);

	open_console(&f, null, out);
	send_all(&f);
	if (f.left)
		run_for_ms(&f, 5000);
	close_console(&f);
	assert_int_equal(pread(out, back, len, 0), (ssize_t)len);
	assert_memory_equal(back, data, len);
	free(data);
	free(back);
	close(out);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typed_bytes_reach_the_guest),
		cmocka_unit_test(ctrl_a_x_quits_and_double_ctrl_a_is_sent),
		cmocka_unit_test(escape_may_be_split_between_reads),
		cmocka_unit_test(paste_of_100_kb_arrives_whole),
		cmocka_unit_test(reading_stops_while_the_front_end_is_full),
		cmocka_unit_test(regular_file_is_read_to_its_end),
		cmocka_unit_test(end_of_a_pipe_and_a_closed_stdin_are_quiet),
		cmocka_unit_test(slow_pipe_loses_nothing_and_holds_the_sender),
		cmocka_unit_test(broken_pipe_takes_everything),
		cmocka_unit_test(regular_file_takes_all_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
