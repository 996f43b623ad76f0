/* SPDX-License-Identifier: BSD-2-Clause */
#include "shell.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>

#include "lib.h"
#include "sys.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_MAX	     64

int status_of(int wait_status)
{
	int signal = wait_status & 0x7f;

	return signal ? 128 + signal : wait_status >> 8 & 0xff;
}

void terminal_take(int fd)
{
	sys(__NR_setsid);
	sys(__NR_ioctl, fd, TIOCSCTTY, 1);
	for (int i = 0; i <= 2; i++)
		sys(__NR_dup2, fd, i);
	if (fd > 2)
		sys(__NR_close, fd);
}

void terminal_set_window(int fd, struct window w)
{
	uint16_t size[4] = {w.rows, w.columns}; /* struct winsize */

	if (w.rows && w.columns)
		sys(__NR_ioctl, fd, TIOCSWINSZ, size);
}

void terminal_set_up(int fd, bool is_raw)
{
	struct termios t;

	if (sys(__NR_ioctl, fd, TCGETS, &t))
		return;
	t.c_cflag |= CRTSCTS;
	if (is_raw) {
		t.c_iflag = t.c_oflag = t.c_lflag = 0;
		t.c_cflag = CS8 | CREAD | CLOCAL | CRTSCTS | B115200;
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
	}
	sys(__NR_ioctl, fd, TCSETS, &t);
}

void terminal_drain(int fd)
{
	sys(__NR_ioctl, fd, TCSBRK, 1);
}

static void open_console(const struct conf *c)
{
	struct record console, window;
	long fd = -ENOENT;

	if (conf_find(c, "console", &console))
		fd = sys(__NR_open, console.fields[1], O_RDWR | O_NOCTTY);
	if (fd < 0) {
		say_errno(fd, "the console ", console.fields[1], NULL);
		return;
	}
	if (conf_find(c, "window", &window))
		terminal_set_window((int)fd, (struct window){(uint16_t)number(window.fields[1]),
							     (uint16_t)number(window.fields[2])});
	terminal_set_up((int)fd, false);
	terminal_take((int)fd);
}

static void start(const struct conf *c)
{
	static const char *const shells[] = {"/bin/bash", "/bin/sh"};
	const char *env[ENV_MAX + 1] = {DEFAULT_PATH, "HOME=/root", "USER=root", "LOGNAME=root",
					"SHELL=/bin/sh"};
	const char *at = NULL;
	struct record r;
	unsigned nr = 5;
	long rc;

	while (nr < ENV_MAX && conf_next(c, &at, "env", &r))
		env[nr++] = r.fields[1];
	open_console(c);
	if (sys(__NR_chdir, "/root"))
		sys(__NR_chdir, "/");
	if (conf_find(c, "run", &r)) {
		const char *argv[] = {r.fields[1], NULL};

		rc = sys(__NR_execve, argv[0], argv, env);
		say_errno(rc, r.fields[1], NULL);
		sys(__NR_exit_group, rc == -ENOENT ? 127 : 126);
	}
	for (unsigned i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		const char *argv[] = {shells[i], NULL};

		rc = sys(__NR_execve, argv[0], argv, env);
	}
	say_errno(rc, "there is no /bin/sh to run", NULL);
	sys(__NR_exit_group, 127);
}

int shell_run(const struct conf *c)
{
	long pid = sys(__NR_fork), ended;
	int status = 0;

	if (pid == 0)
		start(c);
	if (pid < 0) {
		say_errno(pid, "starting a shell", NULL);
		return 126;
	}
	do {
		ended = sys(__NR_wait4, -1, &status, 0, NULL);
	} while (ended != pid && ended != -ECHILD);
	return status_of(status);
}
