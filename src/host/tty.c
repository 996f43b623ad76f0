/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/tty.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

/* How a signal is treated. */
enum kind { KIND_END, KIND_FAULT, KIND_STOP, KIND_CONTINUE };

static const struct {
	int number;
	enum kind kind;
} signals[] = {
	{SIGHUP, KIND_END},   {SIGINT, KIND_END},	{SIGQUIT, KIND_END},   {SIGTERM, KIND_END},
	{SIGXCPU, KIND_END},  {SIGABRT, KIND_END},	{SIGSEGV, KIND_FAULT}, {SIGBUS, KIND_FAULT},
	{SIGILL, KIND_FAULT}, {SIGFPE, KIND_FAULT},	{SIGTRAP, KIND_FAULT}, {SIGSYS, KIND_FAULT},
	{SIGTSTP, KIND_STOP}, {SIGCONT, KIND_CONTINUE},
};

/* Written before the handlers are installed and after they are removed, read by them. */
static struct {
	int fd;
	struct termios saved, raw;
	struct sigaction previous[ARRAY_SIZE(signals)];
	bool is_installed[ARRAY_SIZE(signals)];
	pid_t owner; /* a child of fork() must not restore its parent's terminal */
} tty = {.fd = -1};

static atomic_bool is_wanted; /* raw mode is in force, or would be in the foreground */
static atomic_bool is_raw;

bool tty_is_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	/* A terminal that is not ours to control (ENOTTY) stops nobody. */
	return group < 0 || group == getpgrp();
}

/* Async-signal-safe. */
static void restore(void)
{
	sigset_t background, old;

	if (!atomic_exchange_explicit(&is_raw, false, memory_order_acq_rel))
		return;
	/* What we changed is given back even when the job is no longer in the foreground. */
	sigemptyset(&background);
	sigaddset(&background, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &background, &old);
	tcsetattr(tty.fd, TCSANOW, &tty.saved);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	log_set_raw_terminal(false);
}

/* Async-signal-safe. */
void tty_resume_raw(void)
{
	if (atomic_load_explicit(&is_raw, memory_order_acquire) ||
	    !atomic_load_explicit(&is_wanted, memory_order_acquire) || !tty_is_foreground(tty.fd))
		return;
	if (tcsetattr(tty.fd, TCSANOW, &tty.raw))
		return;
	atomic_store_explicit(&is_raw, true, memory_order_release);
	log_set_raw_terminal(true);
}

static unsigned slot_of(int number)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(signals) - 1 && signals[i].number != number)
		i++;
	return i;
}

/* Lets the default action happen now: the signal is blocked while its handler runs. */
static void deliver_default(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t set;

	sigaction(number, &action, NULL);
	raise(number);
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_end(int number)
{
	restore();
	deliver_default(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	const struct sigaction *previous = &tty.previous[slot_of(number)];
	struct sigaction now;

	if (previous->sa_flags & SA_SIGINFO) {
		previous->sa_sigaction(number, info, context);
	} else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
		previous->sa_handler(number);
	} else {
		restore();
		deliver_default(number);
		return;
	}
	/* A handler that cannot help sets the default action and lets the fault repeat. */
	if (!sigaction(number, NULL, &now) && !(now.sa_flags & SA_SIGINFO) &&
	    now.sa_handler == SIG_DFL)
		restore();
}

static void on_stop(int number)
{
	int saved_errno = errno;
	struct sigaction mine;

	sigaction(number, NULL, &mine);
	restore();
	deliver_default(number); /* returns when the process is continued */
	sigaction(number, &mine, NULL);
	tty_resume_raw();
	errno = saved_errno;
}

static void on_continue(int number)
{
	int saved_errno = errno;

	/* Whoever had the terminal meanwhile has set it as he liked. */
	atomic_store_explicit(&is_raw, false, memory_order_release);
	log_set_raw_terminal(false);
	tty_resume_raw();
	errno = saved_errno;
}

static void install_handlers(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction action = {.sa_flags = SA_RESTART};
		bool is_fault = signals[i].kind == KIND_FAULT;

		sigaction(signals[i].number, NULL, &tty.previous[i]);
		tty.is_installed[i] = is_fault || tty.previous[i].sa_handler == SIG_DFL;
		if (!tty.is_installed[i])
			continue;
		if (is_fault) {
			/* Keeps the flags an alternate stack or nesting may depend on. */
			action.sa_flags = SA_SIGINFO | tty.previous[i].sa_flags;
			action.sa_mask = tty.previous[i].sa_mask;
			action.sa_sigaction = on_fault;
		} else if (signals[i].kind == KIND_END) {
			action.sa_handler = on_end;
		} else {
			action.sa_handler = signals[i].kind == KIND_STOP ? on_stop : on_continue;
		}
		sigaction(signals[i].number, &action, NULL);
	}
}

static bool is_ours(const struct sigaction *action)
{
	if (action->sa_flags & SA_SIGINFO)
		return action->sa_sigaction == on_fault;
	return action->sa_handler == on_end || action->sa_handler == on_stop ||
	       action->sa_handler == on_continue;
}

static void remove_handlers(void)
{
	struct sigaction now;

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		if (!tty.is_installed[i])
			continue;
		tty.is_installed[i] = false;
		if (!sigaction(signals[i].number, NULL, &now) && is_ours(&now))
			sigaction(signals[i].number, &tty.previous[i], NULL);
	}
}

static void at_exit(void)
{
	if (tty.owner == getpid())
		restore();
}

int tty_enter_raw(int fd, struct error *err)
{
	struct termios saved;

	if (tty.fd >= 0)
		return error_set(err, -EBUSY, "another terminal is already in raw mode");
	if (tcgetattr(fd, &saved))
		return error_set_errno(err, -errno, "settings of the terminal");
	if (!tty.owner && atexit(at_exit))
		return error_set(err, -ENOMEM, "no memory for an exit handler");
	tty.saved = tty.raw = saved;
	cfmakeraw(&tty.raw);
	tty.raw.c_cc[VMIN] = 1;
	tty.raw.c_cc[VTIME] = 0;
	tty.owner = getpid();
	tty.fd = fd;
	install_handlers();
	atomic_store_explicit(&is_wanted, true, memory_order_release);
	tty_resume_raw();
	return 0;
}

void tty_leave_raw(void)
{
	if (tty.fd < 0)
		return;
	atomic_store_explicit(&is_wanted, false, memory_order_release);
	restore();
	remove_handlers();
	tty.fd = -1;
}
