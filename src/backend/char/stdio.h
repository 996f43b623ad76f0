/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two inherited descriptors as a byte stream, on whatever these two are: terminal, pipe, socket,
 * regular file or device. The console of a run is one on stdin and stdout.
 */
#ifndef BACKEND_CHAR_STDIO_H
#define BACKEND_CHAR_STDIO_H

#include "backend/char/char.h"
#include "base/error.h"
#include "host/loop.h"

struct char_stdio_config {
	int in_fd, out_fd;	 /* -1: nothing comes, or what is written is dropped */
	bool is_plain;		 /* bytes pass as they are: no raw terminal, no commands */
	bool owns_fds;		 /* they are closed when the device is freed */
	void (*quit)(void *ctx); /* Ctrl-a x was typed; the loop's thread; may be NULL */
	void *ctx;
};

/*
 * Unless it is plain, a terminal at in_fd becomes raw until the device is freed, and on every kind of
 * input Ctrl-a starts a command: x quits, b sends a break, a second Ctrl-a is sent as itself; any
 * other byte is sent alone. The end of input ends nothing else, but the front end hears of it.
 *
 * Output goes through a queue of CHAR_STDIO_QUEUE bytes and a thread of its own, because only a
 * thread can wait for any kind of descriptor without setting O_NONBLOCK, which the other owners of
 * an inherited descriptor would feel. Freeing waits until all of it is written. When nobody reads
 * any more the front end hears of that too.
 * Returns NULL with err filled.
 */
#define CHAR_STDIO_QUEUE 65536 /* a second of output at a very fast console's pace */
struct char_dev *char_stdio_new(struct loop *loop, const struct char_stdio_config *cfg,
				struct error *err);

#endif
