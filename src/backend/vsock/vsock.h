/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's end of a guest's vsock, over Unix sockets. A program of the host reaches a port of the
 * guest through the socket PATH: it writes "CONNECT port\n", reads "OK number\n", and has a stream; a
 * connection that is closed instead was refused. The guest reaches port N of the host when a program
 * listens on the socket PATH_N.
 *
 * Sockets that keep messages apart (SOCK_SEQPACKET) are the same with such sockets of the host: their
 * PATH is PATH.seq, where request and answer are a message each, and who listens on PATH_N decides
 * which kind it takes. Unix sockets know no end of a record but that of the message.
 *
 * Everything here is on the thread of the loop it was made with.
 */
#ifndef BACKEND_VSOCK_VSOCK_H
#define BACKEND_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/error.h"
#include "host/loop.h"

#define VSOCK_STREAMS_MAX 2048 /* open at once, in both directions: some for each of a busy host */
#define VSOCK_MESSAGE_MAX (256 * 1024u) /* bytes; more than a Unix socket takes by default */

/* Unsent at once: as many as a guest has credit for with a byte each, so only empty ones are refused. */
#define VSOCK_MESSAGES_MAX VSOCK_MESSAGE_MAX

struct vsock_host;
struct vsock_stream;

struct vsock_front {
	/*
	 * A program of the host wants a port of the guest. Answered with vsock_stream_accept() or
	 * vsock_stream_close(), now or later.
	 */
	void (*incoming)(void *ctx, struct vsock_stream *s, uint32_t guest_port);

	/* After vsock_stream_read() gave -EAGAIN or 0: it may give something else now. */
	void (*readable)(void *ctx, struct vsock_stream *s);

	/* Some of what was unsent has left, or the stream has broken. */
	void (*sent)(void *ctx, struct vsock_stream *s);
};

/*
 * Listens on path, replacing a socket nobody listens on any more; only the user of this process may
 * connect. NULL with err filled. Any thread; nothing happens before vsock_host_start().
 */
struct vsock_host *vsock_host_new(struct loop *loop, const char *path, struct error *err);
void vsock_host_start(struct vsock_host *h, const struct vsock_front *front, void *ctx);

/* Closes every stream and removes the socket. NULL is fine. */
void vsock_host_free(struct vsock_host *h);

/* Connects to the program behind port of the host. NULL when there is none of that kind. */
struct vsock_stream *vsock_host_connect(struct vsock_host *h, uint32_t port, bool has_messages);

/* Whether it keeps messages apart: then these are read and written in place of a stream of bytes. */
bool vsock_stream_has_messages(const struct vsock_stream *s);

/* The device's pointer, for its own use; NULL at first. */
void vsock_stream_set_owner(struct vsock_stream *s, void *owner);
void *vsock_stream_owner(const struct vsock_stream *s);

/* Answers an incoming stream; number is told to the program, as its own port. */
void vsock_stream_accept(struct vsock_stream *s, uint32_t number);

/*
 * Reads into iov. Returns the number of bytes, 0 at the end of the stream, -EAGAIN when there are none
 * yet, or another negative errno.
 */
ssize_t vsock_stream_read(struct vsock_stream *s, const struct iovec *iov, int nr);

/*
 * Appends the next message, of at most max bytes, to *message. Returns 1, 0 at the end, -EAGAIN when
 * there is none yet, -EMSGSIZE for one that is longer, or another negative errno.
 */
int vsock_stream_read_message(struct vsock_stream *s, struct buf *message, size_t max);

/* Whether the program has closed its end altogether, not only finished sending. */
bool vsock_stream_is_gone(const struct vsock_stream *s);

/*
 * Takes everything; what does not leave at once counts as unsent. Messages leave as a whole, after
 * their end. Returns 0, or -ENOBUFS when more than VSOCK_MESSAGES_MAX messages would be unsent.
 */
void vsock_stream_write(struct vsock_stream *s, const void *data, size_t len);
int vsock_stream_end_message(struct vsock_stream *s);
size_t vsock_stream_unsent(const struct vsock_stream *s);

/* The program has closed its end: what is written is dropped. */
bool vsock_stream_is_broken(const struct vsock_stream *s);

/* No more will be written; the program sees the end after the last byte. */
void vsock_stream_shutdown(struct vsock_stream *s);

/* Ends the stream; what is unsent is still sent. The front end hears nothing more of it. */
void vsock_stream_close(struct vsock_stream *s);

#endif
