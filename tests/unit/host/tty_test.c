/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A job makes the terminal raw and leaves in every possible way; the test, in the part of its
 * shell, looks at the terminal afterwards. Everything runs in a session of its own on a new pty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host/tty.h"

static int terminal;

struct job {
	pid_t pid;
	int from_child;
};

static bool is_raw(void)
{
	struct termios t;

	assert_int_equal(tcgetattr(terminal, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_oflag & OPOST);
}

/* Undoes the handlers that cmocka installs. */
static void default_signals(void)
{
	for (int i = 1; i < 32; i++)
		signal(i, SIG_DFL);
}

/* Starts a job in the foreground and waits until it has called tty_enter_raw(). */
static struct job start_with(void (*before_raw)(void), void (*child)(void))
{
	struct job j;
	int report[2];
	char byte;

	assert_int_equal(pipe(report), 0);
	assert_false(is_raw());
	j.pid = fork();
	assert_true(j.pid >= 0);
	if (!j.pid) {
		struct error err;

		setpgid(0, 0);
		tcsetpgrp(terminal, getpid());
		default_signals();
		if (before_raw)
			before_raw();
		if (tty_enter_raw(terminal, &err) || write(report[1], "r", 1) != 1)
			_exit(99);
		child();
		_exit(0);
	}
	close(report[1]);
	j.from_child = report[0];
	assert_int_equal(read(j.from_child, &byte, 1), 1);
	return j;
}

static struct job start(void (*child)(void))
{
	return start_with(NULL, child);
}

static int finish(struct job *j)
{
	int status;

	assert_int_equal(waitpid(j->pid, &status, 0), j->pid);
	assert_false(is_raw());
	tcsetpgrp(terminal, getpgrp());
	close(j->from_child);
	return status;
}

static void wait_for_signal(void)
{
	for (;;)
		pause();
}

static void leave(void)
{
	tty_leave_raw();
	_exit(7);
}

static void call_exit(void)
{
	exit(8);
}

static void crash(void)
{
	raise(SIGSEGV);
}

static void wild_store(void)
{
	char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*nowhere = 1;
}

static sigjmp_buf after_fault;

static void jump_out(int number)
{
	siglongjmp(after_fault, 1);
}

static void give_up(int number)
{
	signal(number, SIG_DFL);
}

static void handle_faults(void)
{
	signal(SIGSEGV, jump_out);
	signal(SIGBUS, give_up);
}

/* A fault that somebody else handles is none of our business; the terminal stays raw. */
static void survive_a_fault(void)
{
	struct termios t;

	if (!sigsetjmp(after_fault, 1))
		wild_store();
	tcgetattr(terminal, &t);
	if (t.c_lflag & ICANON)
		_exit(97);
	raise(SIGBUS); /* its handler gives up: back with the default action ... */
	raise(SIGBUS); /* ... which ends the process */
}

static void handlers_of_faults_go_first(void **state)
{
	struct job j = start_with(handle_faults, survive_a_fault);
	int status = finish(&j);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void leaving_restores(void **state)
{
	struct job j = start(leave);

	assert_int_equal(WEXITSTATUS(finish(&j)), 7);
}

static void exit_restores(void **state)
{
	struct job j = start(call_exit);

	assert_int_equal(WEXITSTATUS(finish(&j)), 8);
}

static void crashes_restore_and_still_end_by_their_signal(void **state)
{
	struct job j = start(crash);

	assert_int_equal(WTERMSIG(finish(&j)), SIGSEGV);
	j = start(wild_store);
	assert_int_equal(WTERMSIG(finish(&j)), SIGSEGV);
	j = start(abort);
	assert_int_equal(WTERMSIG(finish(&j)), SIGABRT);
}

static void signals_from_outside_restore(void **state)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGFPE, SIGBUS};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct job j = start(wait_for_signal);

		assert_true(is_raw());
		kill(j.pid, numbers[i]);
		assert_int_equal(WTERMSIG(finish(&j)), numbers[i]);
	}
}

static void wait_until_raw(void)
{
	for (unsigned i = 0; i < 300 && !is_raw(); i++)
		usleep(10000);
	assert_true(is_raw());
}

static void stopping_gives_the_terminal_back_and_continuing_takes_it(void **state)
{
	struct job j = start(wait_for_signal);
	int status;

	for (unsigned round = 0; round < 2; round++) {
		assert_true(is_raw());
		kill(j.pid, SIGTSTP);
		assert_int_equal(waitpid(j.pid, &status, WUNTRACED), j.pid);
		assert_true(WIFSTOPPED(status));
		assert_false(is_raw());
		kill(j.pid, SIGCONT);
		wait_until_raw();
	}
	kill(j.pid, SIGTERM);
	assert_int_equal(WTERMSIG(finish(&j)), SIGTERM);
}

static void in_the_background_the_terminal_is_left_alone(void **state)
{
	struct job j = start(wait_for_signal);
	int status;

	kill(j.pid, SIGTSTP);
	assert_int_equal(waitpid(j.pid, &status, WUNTRACED), j.pid);
	tcsetpgrp(terminal, getpgrp());
	kill(j.pid, SIGCONT);
	usleep(50000);
	assert_false(is_raw());
	tcsetpgrp(terminal, j.pid);
	kill(j.pid, SIGCONT);
	wait_until_raw();
	kill(j.pid, SIGINT);
	assert_int_equal(WTERMSIG(finish(&j)), SIGINT);
}

static void a_stop_nobody_can_catch_is_made_good(void **state)
{
	struct job j = start(wait_for_signal);
	struct termios t;
	int status;

	kill(j.pid, SIGSTOP);
	assert_int_equal(waitpid(j.pid, &status, WUNTRACED), j.pid);
	assert_int_equal(tcgetattr(terminal, &t), 0);
	t.c_lflag |= ICANON | ECHO | ISIG;
	t.c_oflag |= OPOST;
	assert_int_equal(tcsetattr(terminal, TCSANOW, &t), 0); /* as a shell does */
	kill(j.pid, SIGCONT);
	wait_until_raw();
	kill(j.pid, SIGTERM);
	assert_int_equal(WTERMSIG(finish(&j)), SIGTERM);
}

static void a_file_is_not_a_terminal(void **state)
{
	int null = open("/dev/null", O_RDWR);
	struct error err;

	assert_int_equal(tty_enter_raw(null, &err), -ENOTTY);
	close(null);
}

static int run_in_session(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaving_restores),
		cmocka_unit_test(exit_restores),
		cmocka_unit_test(crashes_restore_and_still_end_by_their_signal),
		cmocka_unit_test(signals_from_outside_restore),
		cmocka_unit_test(handlers_of_faults_go_first),
		cmocka_unit_test(stopping_gives_the_terminal_back_and_continuing_takes_it),
		cmocka_unit_test(in_the_background_the_terminal_is_left_alone),
		cmocka_unit_test(a_stop_nobody_can_catch_is_made_good),
		cmocka_unit_test(a_file_is_not_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The session leader runs the tests: when it ends, the kernel resets the terminal. */
int main(void)
{
	int master, status;

	if (openpty(&master, &terminal, NULL, NULL, NULL))
		return 1;
	pid_t shell = fork();
	if (!shell) {
		setsid();
		ioctl(terminal, TIOCSCTTY, 0);
		signal(SIGTTOU, SIG_IGN);
		_exit(run_in_session());
	}
	if (waitpid(shell, &status, 0) != shell)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
