/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_command.h"

#include <ctype.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/guest_frames.h"
#include "host/loop.h"
#include "host/tty.h"

#define CONSOLE_KEPT 16384 /* of the kernel's messages: what a panic prints */
#define WRITE_PIECE  4096  /* PIPE_BUF: after POLLOUT a pipe takes that much at once */
#define READ_PIECE   FRAME_DATA_MAX

/* A terminal may be read in the foreground only; how often it is looked whether it may again. */
#define FOREGROUND_MS 250

/* On a terminal, three of these within a second leave: the guest may be beyond answering. */
#define ESCAPE	      0x1d /* Ctrl-] */
#define ESCAPE_COUNT  3
#define ESCAPE_WITHIN NS_PER_SEC

struct guest_command {
	struct guest_command_params p;
	struct guest_command_result result;
	uint64_t deadline_ns; /* 0: none */
	pthread_t thread;

	_Atomic int signal;	/* to be passed on; 0: none */
	_Atomic int nr_signals; /* ever asked for */
	int wake_fd;		/* eventfd: signal has changed */
	int window_fd;		/* signalfd of SIGWINCH, or -1 */

	bool is_running; /* the request was sent */
	bool is_over;
	bool is_stdin_open, is_stdin_tty;
	bool is_channel_open, is_console_open;
	unsigned ahead; /* bytes of stdin that are not acknowledged */
	unsigned nr_escapes;
	uint64_t first_escape_ns;

	struct buf out; /* on its way to the guest */
	struct buf in;	/* arrived, not a whole frame yet */
};

static void end(struct guest_command *c, enum guest_command_outcome outcome, int status)
{
	if (c->is_over)
		return;
	c->is_over = true;
	c->result.outcome = outcome;
	c->result.status = status;
}

/* ---- to the guest ---- */

static void send_frame(struct guest_command *c, enum frame_type type, const void *data, size_t len)
{
	struct frame f = {.type = type, .len = (uint32_t)len};

	buf_append(&c->out, &f, sizeof(f));
	buf_append(&c->out, data, len);
}

static void send_number(struct guest_command *c, enum frame_type type, uint32_t number)
{
	send_frame(c, type, &number, sizeof(number));
}

static void flush(struct guest_command *c)
{
	ssize_t n = send(c->p.channel, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		buf_drop_front(&c->out, (size_t)n);
}

static void send_window(struct guest_command *c)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		return;
	struct window w = {.rows = size.ws_row, .columns = size.ws_col};
	send_frame(c, FRAME_WINDOW, &w, sizeof(w));
}

static void look_for_escape(struct guest_command *c, const uint8_t *data, size_t len)
{
	uint64_t now = host_now_ns();

	for (size_t i = 0; i < len; i++) {
		if (data[i] != ESCAPE || now - c->first_escape_ns > ESCAPE_WITHIN)
			c->nr_escapes = 0;
		if (data[i] != ESCAPE)
			continue;
		if (!c->nr_escapes++)
			c->first_escape_ns = now;
		if (c->nr_escapes == ESCAPE_COUNT)
			end(c, COMMAND_QUIT, 0);
	}
}

static void read_stdin(struct guest_command *c)
{
	uint8_t data[READ_PIECE];
	size_t room = min((size_t)(c->p.stdin_window - c->ahead), sizeof(data));
	ssize_t n = read(STDIN_FILENO, data, room);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		c->is_stdin_open = false;
		send_frame(c, FRAME_STDIN, NULL, 0);
		return;
	}
	if (c->p.is_terminal)
		look_for_escape(c, data, (size_t)n);
	c->ahead += (unsigned)n;
	send_frame(c, FRAME_STDIN, data, (size_t)n);
}

static void pass_signal(struct guest_command *c)
{
	uint64_t count;
	ssize_t n = read(c->wake_fd, &count, sizeof(count));
	int number = atomic_exchange(&c->signal, 0);

	(void)n;
	if (!number)
		return;
	if (!c->is_running || atomic_load(&c->nr_signals) > 1)
		end(c, COMMAND_SIGNALLED, number);
	else
		send_number(c, FRAME_SIGNAL, (uint32_t)number);
}

/* ---- from the guest ---- */

/*
 * Waits for whoever reads our output as long as it takes, but for a signal that ends it all. A broken
 * pipe is told to the command.
 */
static void write_out(struct guest_command *c, int fd, const uint8_t *data, size_t len)
{
	while (len) {
		struct pollfd p[] = {{.fd = fd, .events = POLLOUT},
				     {.fd = c->wake_fd, .events = POLLIN}};

		poll(p, 2, -1);
		if (p[1].revents)
			pass_signal(c);
		if (c->is_over)
			return;
		if (!p[0].revents)
			continue;
		ssize_t n = write(fd, data, min(len, (size_t)WRITE_PIECE));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			send_number(c, FRAME_CLOSE, (uint32_t)fd);
			return;
		}
		data += n;
		len -= (size_t)n;
	}
}

/* Text of the guest is for a message: it loses what could play with the terminal. */
static void keep_text(struct guest_command *c, const struct guest_frame *f)
{
	size_t len = min((size_t)f->len, sizeof(c->result.text) - 1);

	for (size_t i = 0; i < len; i++)
		c->result.text[i] = isprint(f->payload[i]) ? (char)f->payload[i] : '?';
	c->result.text[len] = '\0';
}

static void take_frame(struct guest_command *c, const struct guest_frame *f)
{
	switch (f->type) {
	case FRAME_READY:
		if (!c->is_running)
			send_frame(c, FRAME_REQUEST, c->p.request.data, c->p.request.len);
		c->is_running = true;
		break;
	case FRAME_STDOUT:
		write_out(c, STDOUT_FILENO, f->payload, f->len);
		break;
	case FRAME_STDERR:
		write_out(c, STDERR_FILENO, f->payload, f->len);
		break;
	case FRAME_TAKEN:
		c->ahead -= min(c->ahead, guest_frame_number(f));
		break;
	case FRAME_EXIT:
		end(c, COMMAND_ENDED, (int)(guest_frame_number(f) & 0xff));
		break;
	case FRAME_FAILURE:
		keep_text(c, f);
		end(c, COMMAND_FAILED, 0);
		break;
	default:
		break; /* not of this protocol; nothing depends on it */
	}
}

static void receive(struct guest_command *c)
{
	struct guest_frame f;
	size_t at = 0, used = c->in.len;
	int rc = 0;

	buf_append(&c->in, NULL, READ_PIECE);
	ssize_t n = recv(c->p.channel, c->in.data + used, READ_PIECE, MSG_DONTWAIT);
	c->in.len = used + (n > 0 ? (size_t)n : 0);
	while (!c->is_over && (rc = guest_frame_next(&c->in, &at, &f)) > 0)
		take_frame(c, &f);
	buf_drop_front(&c->in, at);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR) || rc < 0)
		c->is_channel_open = false;
}

/* True when there may be more. */
static bool read_console(struct guest_command *c)
{
	struct buf *kept = &c->result.console;
	uint8_t data[4096];
	ssize_t n = recv(c->p.console, data, sizeof(data), MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->is_console_open = false;
	if (n <= 0)
		return false;
	buf_append(kept, data, (size_t)n);
	if (kept->len > 2 * CONSOLE_KEPT)
		buf_drop_front(kept, kept->len - CONSOLE_KEPT);
	return true;
}

/* ---- the thread ---- */

static void wait_and_act(struct guest_command *c)
{
	bool wants_stdin = c->is_running && c->is_stdin_open && c->ahead < c->p.stdin_window;
	bool is_background = wants_stdin && c->is_stdin_tty && !tty_is_foreground(STDIN_FILENO);
	struct pollfd p[] = {
		{.fd = c->p.channel, .events = (short)(POLLIN | (c->out.len ? POLLOUT : 0))},
		{.fd = c->is_console_open ? c->p.console : -1, .events = POLLIN},
		{.fd = wants_stdin && !is_background ? STDIN_FILENO : -1, .events = POLLIN},
		{.fd = c->wake_fd, .events = POLLIN},
		{.fd = c->window_fd, .events = POLLIN},
	};
	uint64_t now = host_now_ns(), wait_ms = INT32_MAX;

	if (c->deadline_ns)
		wait_ms = c->deadline_ns > now ? (c->deadline_ns - now) / NS_PER_MS + 1 : 0;
	if (is_background)
		wait_ms = min(wait_ms, (uint64_t)FOREGROUND_MS);
	else if (wants_stdin && c->p.is_terminal)
		tty_resume_raw();
	if (poll(p, ARRAY_SIZE(p), (int)min(wait_ms, (uint64_t)INT32_MAX)) < 0)
		return;
	if (p[1].revents)
		read_console(c);
	if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
		receive(c);
	if (p[2].revents)
		read_stdin(c);
	if (p[3].revents)
		pass_signal(c);
	if (p[4].revents) {
		struct signalfd_siginfo info;

		if (read(c->window_fd, &info, sizeof(info)) > 0 && c->is_running)
			send_window(c);
	}
	if (c->out.len)
		flush(c);
	if (c->deadline_ns && host_now_ns() >= c->deadline_ns)
		end(c, COMMAND_TIMED_OUT, 0);
}

static void *run(void *ctx)
{
	struct guest_command *c = ctx;

	while (!c->is_over && c->is_channel_open)
		wait_and_act(c);
	end(c, COMMAND_LOST, 0);
	while (c->is_console_open && read_console(c))
		;
	/* Nobody reads from here on, and nobody shall wait for a reader. */
	shutdown(c->p.channel, SHUT_RDWR);
	shutdown(c->p.console, SHUT_RDWR);
	c->p.over(c->p.ctx);
	return NULL;
}

static int watch_window(struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set_errno(err, -errno, "signalfd") : fd;
}

static void command_free(struct guest_command *c)
{
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	if (c->window_fd >= 0)
		close(c->window_fd);
	buf_free(&c->p.request);
	buf_free(&c->out);
	buf_free(&c->in);
	free(c);
}

struct guest_command *guest_command_start(const struct guest_command_params *params,
					  struct error *err)
{
	struct guest_command *c = mem_alloc_zero(sizeof(*c));

	c->p = *params;
	c->deadline_ns = params->timeout_ns ? host_now_ns() + params->timeout_ns : 0;
	c->is_stdin_open = c->is_channel_open = c->is_console_open = true;
	c->is_stdin_tty = isatty(STDIN_FILENO);
	c->window_fd = -1;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0) {
		error_set_errno(err, -errno, "eventfd");
		goto fail;
	}
	if (params->is_terminal) {
		c->window_fd = watch_window(err);
		if (c->window_fd < 0 || tty_enter_raw(STDIN_FILENO, err))
			goto fail;
	}
	int rc = pthread_create(&c->thread, NULL, run, c);
	if (!rc)
		return c;
	error_set_errno(err, -rc, "starting a thread");
	tty_leave_raw();
fail:
	command_free(c);
	return NULL;
}

void guest_command_signal(struct guest_command *c, int number)
{
	uint64_t one = 1;

	atomic_fetch_add(&c->nr_signals, 1);
	atomic_store(&c->signal, number);
	ssize_t n = write(c->wake_fd, &one, sizeof(one));
	(void)n; /* the counter cannot be full */
}

struct guest_command_result guest_command_finish(struct guest_command *c)
{
	pthread_join(c->thread, NULL);
	struct guest_command_result result = c->result;
	if (c->p.is_terminal)
		tty_leave_raw();
	command_free(c);
	return result;
}
