/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shell, or a program in its place, on the guest's console.
 */
#ifndef INIT_SHELL_H
#define INIT_SHELL_H

#include <stdbool.h>

#include "conf.h"
#include "boot/initramfs/protocol.h"

/* Runs it to its end, with job control. Returns its status, 128 + signal if one ended it. */
int shell_run(const struct conf *c);

/* Makes the descriptor the terminal of a new session, and its descriptors 0, 1 and 2. */
void terminal_take(int fd);

void terminal_set_window(int fd, struct window w);

/* A serial line holds the sender up instead of losing what nobody reads yet. is_raw: bytes pass as they are. */
void terminal_set_up(int fd, bool is_raw);

/* Waits until what was written has left the machine: a power-off would lose it. */
void terminal_drain(int fd);

/* Of wait4(): the exit status as a shell tells it. */
int status_of(int wait_status);

#endif
