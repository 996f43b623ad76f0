/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels: what the host's end of a serial port or console is, as a user writes it.
 *
 *   stdio         stdin and stdout; a terminal becomes raw, Ctrl-a starts a command
 *   fd:N          a descriptor bantam was started with; bytes pass as they are
 *   pts, pty      a new pseudo-terminal, whose name is logged
 *   tty:PATH      a terminal line of the host
 *   port:[ADDR:]N a TCP port, of the loopback address if no other is given; several may share one
 *   unix:PATH     a listening Unix socket
 *   file:PATH     output to a file, which is emptied before; as an input, a file that is read once
 *   null          nothing comes, output is dropped
 *   none          the device is not there
 *   IN,OUT        input from one, output to another of these (but none)
 */
#ifndef BACKEND_CHAR_CHANNEL_H
#define BACKEND_CHAR_CHANNEL_H

#include "backend/char/char.h"
#include "base/error.h"
#include "host/loop.h"

/* The channels of one VM: what they share, so that stdin is given to one device only. */
struct channels;

/* quit: Ctrl-a x was typed on stdio; on the thread of that channel's loop. */
struct channels *channels_new(void (*quit)(void *ctx), void *ctx);

/* After all its channels; NULL is fine. */
void channels_free(struct channels *set);

/* Whether text is a channel. Returns 0, or -EINVAL with a sentence that says what would be right. */
int channel_check(const char *text, struct error *err);

/* Whether the channel says that the device is not there. */
bool channel_is_none(const char *text);

/*
 * Opens a channel other than none, on a loop. what names the device it is for ("serial line 1") in
 * messages. Returns NULL with err filled. One thread at a time.
 */
struct char_dev *channel_open(struct channels *set, struct loop *loop, const char *text,
			      const char *what, struct error *err);

/*
 * A stream that adds what is written to the output of the set's stdio channel, if there is one; what
 * does not fit there at once is dropped. Must not be written to after that channel is freed.
 */
struct char_dev *channel_stdout(struct channels *set);

#endif
