/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console of a run: bytes from stdin, bytes to stdout, on whatever these two are: terminal,
 * pipe, socket, regular file or device.
 */
#ifndef BACKEND_CHAR_STDIO_H
#define BACKEND_CHAR_STDIO_H

#include "backend/char/char.h"
#include "base/error.h"
#include "host/loop.h"

struct char_stdio_config {
	int in_fd, out_fd;	 /* borrowed; 0 and 1 */
	void (*quit)(void *ctx); /* Ctrl-a x was typed; main loop thread */
	void *ctx;
};

/*
 * A terminal at in_fd becomes raw until the device is freed. On every kind of input Ctrl-a starts a
 * command: x quits, b sends a break, a second Ctrl-a is sent as itself; any other byte is sent
 * alone. The end of input is not the end of anything else.
 *
 * Output goes through a queue of CHAR_STDIO_QUEUE bytes and a thread of its own, because only a
 * thread can wait for any kind of descriptor without setting O_NONBLOCK, which the other owners of
 * an inherited descriptor would feel. Freeing waits until all of it is written.
 * Returns NULL with err filled.
 */
#define CHAR_STDIO_QUEUE 65536 /* a second of output at a very fast console's pace */
struct char_dev *char_stdio_new(struct loop *loop, const struct char_stdio_config *cfg,
				struct error *err);

#endif
