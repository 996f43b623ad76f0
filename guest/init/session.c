/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "boot/initramfs/protocol.h"
#include "lib.h"
#include "shell.h"
#include "sys.h"

#define KERNEL_TIOCGPTN	  0x80045430
#define KERNEL_TIOCSPTLCK 0x40045431

#define PORT_WAIT_MS 5000 /* until the port appears: the driver asks the device for its ports */

struct stream {
	int fd; /* -1: closed */
	enum frame_type type;
};

struct session {
	int channel;
	long pid;
	bool is_terminal;
	int in; /* the command's stdin, or its terminal; -1: closed */
	struct stream out[2];

	/* What arrived and is not a whole frame yet. */
	uint8_t *inbox;
	size_t inbox_len;

	/* Bytes for the command that it has not taken yet. */
	uint8_t *pending;
	size_t pending_at, pending_len;
	bool is_stdin_ended;
};

/* ---- the channel ---- */

struct port_search {
	const char *wanted;
	char path[128];
};

static bool is_port(void *ctx, const char *name)
{
	struct port_search *search = ctx;
	char file[256], found[128];
	long len =
		read_file(join(file, sizeof(file), "/sys/class/virtio-ports/", name, "/name", NULL),
			  found, sizeof(found));

	while (len > 0 && found[len - 1] == '\n')
		found[--len] = '\0';
	if (len <= 0 || !same(found, search->wanted))
		return true;
	join(search->path, sizeof(search->path), "/dev/", name, NULL);
	return false;
}

static long open_port(const char *name)
{
	struct port_search search = {.wanted = name};
	struct pollfd none = {.fd = -1};
	uint64_t end = now_ms() + PORT_WAIT_MS;

	for (;;) {
		each_name("/sys/class/virtio-ports", is_port, &search);
		if (search.path[0])
			return sys(__NR_open, search.path, O_RDWR | O_CLOEXEC);
		if (now_ms() > end)
			return -ENOENT;
		sys(__NR_poll, &none, 1, 1);
	}
}

static void send(struct session *s, enum frame_type type, const void *data, size_t len)
{
	struct frame f = {.type = type, .len = (uint32_t)len};

	write_all(s->channel, &f, sizeof(f));
	write_all(s->channel, data, len);
}

struct session *session_open(const char *name)
{
	bool is_path = name[0] == '/';
	long fd = is_path ? sys(__NR_open, name, O_RDWR | O_NOCTTY | O_CLOEXEC) : open_port(name);

	if (fd < 0) {
		say_errno(fd, "the channel ", name, NULL);
		return NULL;
	}
	if (is_path)
		terminal_set_up((int)fd, true);
	struct session *s = allocate(sizeof(*s));
	*s = (struct session){
		.channel = (int)fd,
		.in = -1,
		.out = {{-1, FRAME_STDOUT}, {-1, FRAME_STDERR}},
		.inbox = allocate(sizeof(struct frame) + FRAME_REQUEST_MAX),
		.pending = allocate(STDIN_WINDOW),
	};
	return s;
}

void session_fail(struct session *s, const char *why)
{
	send(s, FRAME_FAILURE, why, strlen(why));
	terminal_drain(s->channel);
}

/* Bytes of the next whole frame in the inbox, 0 when there is none. */
static size_t whole_frame(const struct session *s)
{
	struct frame f;

	if (s->inbox_len < sizeof(f))
		return 0;
	memcpy(&f, s->inbox, sizeof(f));
	return s->inbox_len - sizeof(f) >= f.len ? sizeof(f) + f.len : 0;
}

/* Reads what is there. Returns false at the end of the channel: the host is gone. */
static bool receive(struct session *s)
{
	size_t room = sizeof(struct frame) + FRAME_REQUEST_MAX - s->inbox_len;
	long n = sys(__NR_read, s->channel, s->inbox + s->inbox_len,
		     room < FRAME_DATA_MAX ? room : FRAME_DATA_MAX);

	if (n > 0)
		s->inbox_len += (size_t)n;
	return n > 0 || n == -EINTR || n == -EAGAIN;
}

static void drop_frame(struct session *s, size_t len)
{
	s->inbox_len -= len;
	memmove(s->inbox, s->inbox + len, s->inbox_len);
}

/* ---- the command ---- */

struct command {
	struct request r;
	const char *folder;
	const char **args, **env;
};

/* The frame of bantam is taken as it is: both are of one build. */
static void read_request(struct command *cmd, const uint8_t *payload)
{
	memcpy(&cmd->r, payload, sizeof(cmd->r));
	const char *text = (const char *)payload + sizeof(cmd->r);

	cmd->args = allocate((cmd->r.nr_args + cmd->r.nr_env + 2) * sizeof(*cmd->args));
	cmd->env = cmd->args + cmd->r.nr_args + 1;
	cmd->folder = text;
	text += strlen(text) + 1;
	for (uint32_t i = 0; i < cmd->r.nr_args; i++, text += strlen(text) + 1)
		cmd->args[i] = text;
	for (uint32_t i = 0; i < cmd->r.nr_env; i++, text += strlen(text) + 1)
		cmd->env[i] = text;
}

static const char *value_of(const char **env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!memcmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return "";
}

static bool has_slash(const char *text)
{
	for (; *text; text++)
		if (*text == '/')
			return true;
	return false;
}

/* execvp(): a word without a slash is looked for in the request's PATH. Returns only on failure. */
static long execute(const struct command *cmd)
{
	const char *word = cmd->args[0], *path = value_of(cmd->env, "PATH");
	long rc = -ENOENT;

	if (has_slash(word))
		return sys(__NR_execve, word, cmd->args, cmd->env);
	while (*path) {
		char full[PATH_ROOM];
		size_t len = 0;

		while (path[len] && path[len] != ':')
			len++;
		if (len < sizeof(full) - 2) {
			memcpy(full, path, len);
			full[len] = '\0';
			join(full + len, sizeof(full) - len, "/", word, NULL);
			long failed = sys(__NR_execve, full, cmd->args, cmd->env);
			/* As a shell: found but not runnable says more than not found. */
			if (failed != -ENOENT && failed != -ENOTDIR)
				rc = failed;
		}
		path += path[len] ? len + 1 : len;
	}
	return rc;
}

/* In the child; failures go to its stderr, with the statuses of a shell. */
static void become_command(const struct command *cmd)
{
	uint64_t none = 0;
	long rc = 0;

	sys(__NR_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	if (cmd->r.gid || cmd->r.uid) {
		sys(__NR_setgroups, 0, NULL);
		sys(__NR_setgid, cmd->r.gid);
		rc = sys(__NR_setuid, cmd->r.uid);
	}
	if (!rc)
		rc = sys(__NR_chdir, cmd->folder);
	if (rc) {
		say_errno(rc, "the folder ", cmd->folder, NULL);
		sys(__NR_exit_group, 126);
	}
	rc = execute(cmd);
	say_errno(rc, cmd->args[0], NULL);
	sys(__NR_exit_group, rc == -ENOENT ? 127 : 126);
}

static long open_terminal(struct session *s, const struct command *cmd, int *slave)
{
	char path[64], digits[24];
	unsigned number_of = 0;
	int unlock = 0;
	long fd = sys(__NR_open, "/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return fd;
	sys(__NR_ioctl, fd, KERNEL_TIOCSPTLCK, &unlock);
	sys(__NR_ioctl, fd, KERNEL_TIOCGPTN, &number_of);
	s->in = (int)fd;
	s->out[0].fd = (int)fd;
	long other = sys(__NR_open,
			 join(path, sizeof(path), "/dev/pts/", decimal(digits, number_of), NULL),
			 O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other < 0)
		return other;
	terminal_set_window((int)other, cmd->r.window);
	*slave = (int)other;
	return 0;
}

static long start_on_terminal(struct session *s, const struct command *cmd)
{
	int slave = -1;
	long rc = open_terminal(s, cmd, &slave);

	if (rc)
		return rc;
	s->pid = sys(__NR_fork);
	if (s->pid == 0) {
		terminal_take(slave);
		become_command(cmd);
	}
	sys(__NR_close, slave);
	return s->pid < 0 ? s->pid : 0;
}

static long start_on_pipes(struct session *s, const struct command *cmd)
{
	int pipes[3][2];

	for (int i = 0; i < 3; i++) {
		long rc = sys(__NR_pipe2, pipes[i], O_CLOEXEC);

		if (rc)
			return rc;
	}
	s->pid = sys(__NR_fork);
	if (s->pid == 0) {
		sys(__NR_setsid);
		sys(__NR_dup2, pipes[0][0], 0);
		sys(__NR_dup2, pipes[1][1], 1);
		sys(__NR_dup2, pipes[2][1], 2);
		become_command(cmd);
	}
	sys(__NR_close, pipes[0][0]);
	sys(__NR_close, pipes[1][1]);
	sys(__NR_close, pipes[2][1]);
	s->in = pipes[0][1];
	s->out[0].fd = pipes[1][0];
	s->out[1].fd = pipes[2][0];
	return s->pid < 0 ? s->pid : 0;
}

static long start(struct session *s, const uint8_t *payload)
{
	struct command cmd;

	read_request(&cmd, payload);
	s->is_terminal = cmd.r.flags & REQUEST_TERMINAL;
	long rc = s->is_terminal ? start_on_terminal(s, &cmd) : start_on_pipes(s, &cmd);
	/* The command may be slow to read, and the channel has to go on meanwhile. */
	if (!rc && s->in >= 0)
		sys(__NR_fcntl, s->in, F_SETFL, O_NONBLOCK | (s->is_terminal ? O_RDWR : O_WRONLY));
	return rc;
}

/* ---- its streams ---- */

static void close_input(struct session *s)
{
	/* The other end of a terminal stays open for output; Ctrl-d says the end there. */
	if (s->in >= 0 && !s->is_terminal)
		sys(__NR_close, s->in);
	s->in = -1;
}

static void give_input(struct session *s)
{
	while (s->in >= 0 && s->pending_len) {
		size_t piece = STDIN_WINDOW - s->pending_at;
		long n = sys(__NR_write, s->in, s->pending + s->pending_at,
			     piece < s->pending_len ? piece : s->pending_len);

		if (n == -EAGAIN)
			return;
		if (n < 0) { /* EPIPE: nobody reads it, and what comes is thrown away */
			close_input(s);
			break;
		}
		s->pending_at = (s->pending_at + (size_t)n) % STDIN_WINDOW;
		s->pending_len -= (size_t)n;
		uint32_t taken = (uint32_t)n;
		send(s, FRAME_TAKEN, &taken, sizeof(taken));
	}
	if (s->in < 0 && s->pending_len) {
		uint32_t taken = (uint32_t)s->pending_len;

		s->pending_len = 0;
		send(s, FRAME_TAKEN, &taken, sizeof(taken));
	}
	if (s->is_stdin_ended && !s->pending_len)
		close_input(s);
}

static void keep_input(struct session *s, const uint8_t *data, size_t len)
{
	if (!len)
		s->is_stdin_ended = true;
	for (; len && s->pending_len < STDIN_WINDOW; len--)
		s->pending[(s->pending_at + s->pending_len++) % STDIN_WINDOW] = *data++;
	give_input(s);
}

static void pass_output(struct session *s, struct stream *stream)
{
	uint8_t data[FRAME_DATA_MAX];
	long n = sys(__NR_read, stream->fd, data, sizeof(data));

	if (n == -EINTR || n == -EAGAIN)
		return;
	if (n > 0) {
		send(s, stream->type, data, (size_t)n);
		return;
	}
	/* A terminal answers EIO once nobody holds its other end. */
	sys(__NR_close, stream->fd);
	if (s->is_terminal)
		s->in = -1;
	stream->fd = -1;
}

static void take_frame(struct session *s, enum frame_type type, const uint8_t *payload, size_t len)
{
	uint32_t value = 0;
	struct window window;

	memcpy(&value, payload, len < 4 ? len : 4);
	switch (type) {
	case FRAME_STDIN:
		keep_input(s, payload, len);
		break;
	case FRAME_WINDOW:
		memcpy(&window, payload, sizeof(window));
		if (s->is_terminal && s->out[0].fd >= 0)
			terminal_set_window(s->out[0].fd, window);
		break;
	case FRAME_SIGNAL:
		sys(__NR_kill, -s->pid, value);
		break;
	case FRAME_CLOSE:
		if ((value == 1 || value == 2) && s->out[value - 1].fd >= 0 && !s->is_terminal) {
			sys(__NR_close, s->out[value - 1].fd);
			s->out[value - 1].fd = -1;
		}
		break;
	default:
		break;
	}
}

static void take_frames(struct session *s)
{
	size_t len;

	while ((len = whole_frame(s)) != 0) {
		struct frame f;

		memcpy(&f, s->inbox, sizeof(f));
		take_frame(s, f.type, s->inbox + sizeof(f), f.len);
		drop_frame(s, len);
	}
}

/* Everything that has ended, by descriptor: true when the command is among it. */
static bool reap(struct session *s, int *status)
{
	bool is_over = false;
	int one;
	long pid;

	while ((pid = sys(__NR_wait4, -1, &one, 1 /* WNOHANG */, NULL)) > 0) {
		if (pid == s->pid) {
			*status = status_of(one);
			is_over = true;
		}
	}
	return is_over;
}

static int watch_children(void)
{
	uint64_t set = 1ull << (SIGCHLD - 1);

	sys(__NR_rt_sigprocmask, SIG_BLOCK, &set, NULL, sizeof(set));
	return (int)sys(__NR_signalfd4, -1, &set, sizeof(set), SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The command is over: what is still in its pipes is passed on. */
static void drain_output(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &s->out[i];

		while (stream->fd >= 0) {
			struct pollfd p = {.fd = stream->fd, .events = POLLIN};

			if (sys(__NR_poll, &p, 1, 0) != 1)
				break;
			pass_output(s, stream);
		}
	}
}

static int pass_streams(struct session *s)
{
	int children = watch_children(), status = 0;

	/* It may have ended before its end was watched for. */
	while (!reap(s, &status)) {
		struct pollfd p[] = {
			{.fd = s->channel, .events = POLLIN},
			{.fd = children, .events = POLLIN},
			{.fd = s->out[0].fd, .events = POLLIN},
			{.fd = s->out[1].fd, .events = POLLIN},
			{.fd = s->pending_len ? s->in : -1, .events = POLLOUT},
		};
		struct signalfd_siginfo info;

		sys(__NR_poll, p, 5, -1);
		if (p[0].revents) {
			if (!receive(s))
				return 128 + SIGHUP;
			take_frames(s);
		}
		if (p[1].revents)
			sys(__NR_read, children, &info, sizeof(info));
		for (int i = 0; i < 2; i++)
			if (p[2 + i].revents && s->out[i].fd == p[2 + i].fd)
				pass_output(s, &s->out[i]);
		if (p[4].revents)
			give_input(s);
	}
	/* What it left running would go on writing. */
	sys(__NR_kill, -1, SIGKILL);
	drain_output(s);
	return status;
}

int session_run(struct session *s)
{
	size_t len;

	send(s, FRAME_READY, NULL, 0);
	while (!(len = whole_frame(s)))
		if (!receive(s))
			return 128 + SIGHUP;
	long rc = start(s, s->inbox + sizeof(struct frame));
	if (rc) {
		session_fail(s, "the guest cannot make pipes or a process");
		return 126;
	}
	drop_frame(s, len);
	take_frames(s);
	return pass_streams(s);
}

void session_end(struct session *s, int status)
{
	uint32_t value = (uint32_t)status;

	send(s, FRAME_EXIT, &value, sizeof(value));
	terminal_drain(s->channel);
}
