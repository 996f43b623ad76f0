/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal in raw mode, given back on every way out: tty_leave_raw(), exit(), and signals that
 * end the process, crashes included. SIGTSTP and SIGCONT give it back and take it again. Only
 * SIGKILL, which nobody can catch, leaves it raw.
 *
 * There is one terminal per process, so its state is the one mutable global of host/; signal
 * handlers have no other way to it.
 */
#ifndef HOST_TTY_H
#define HOST_TTY_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Makes the terminal fd raw and installs the signal handlers. A process in the background does not
 * touch it yet: tty_resume_raw() does once it is in the foreground. A handler somebody installed
 * for SIGHUP, SIGINT, SIGQUIT or SIGTERM is left alone: it ends in exit() or tty_leave_raw(). One
 * for a fault (SIGSEGV, SIGFPE, ...) is called first, and the terminal given back only when it
 * leaves the signal to the default action; one installed later must do the same with ours.
 * Returns 0, -ENOTTY (not a terminal), -EBUSY (another one is raw) or a negative errno.
 * Main thread.
 */
int tty_enter_raw(int fd, struct error *err);

/* Back to the settings found; signal handlers are removed. Harmless when nothing is raw. */
void tty_leave_raw(void);

/* Whether this process may read and set the terminal without being stopped for it. */
bool tty_is_foreground(int fd);

/* Makes it raw if it is to be and is not yet; does nothing in the background. Any thread. */
void tty_resume_raw(void);

#endif
