/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of a conversation over a descriptor of our own (a socket, a pseudo-terminal, a terminal
 * line) that may come and go: what a listening socket, a pty and a tty have in common. While nobody
 * is there, what the guest writes is kept, the oldest dropped first, and is what the next one
 * sees. While somebody is there nothing is dropped. Private to backend/char/.
 */
#ifndef BACKEND_CHAR_SESSION_H
#define BACKEND_CHAR_SESSION_H

#include <pthread.h>

#include "backend/char/char.h"
#include "host/loop.h"

#define SESSION_QUEUE 65536 /* bytes written and not taken by the other side */
#define SESSION_INPUT 16384 /* bytes read ahead of the guest */

struct session;

/* What the owner does about the other side; on the loop's thread. */
struct session_ops {
	/* The front end attached, or has room again. May be NULL. */
	void (*attached)(struct session *s);

	/*
	 * No more input will come. is_over: no output is taken either, and the session has let go
	 * of the descriptor; else that goes on.
	 */
	void (*ended)(struct session *s, int fd, bool is_over);
};

/* Embedded as the first member of the back end. */
struct session {
	struct char_dev dev;
	const struct session_ops *ops;
	struct loop *loop;
	struct loop_fd watch;
	uint32_t watched; /* events in the loop's set; 0: not in it */
	bool is_input_off, is_output_off;

	/* Input; the loop's thread. */
	bool is_at_end;
	bool is_told_open;
	size_t start, end;
	uint8_t input[SESSION_INPUT];

	struct loop_work more, kick;

	pthread_mutex_t lock; /* guards the rest, and the descriptor against the writers */
	int fd;		      /* -1: nobody there */
	bool is_socket;
	bool is_broken;	 /* the other side takes nothing any more */
	bool wants_room; /* a write was cut short */
	size_t first, used;
	uint8_t ring[SESSION_QUEUE];
};

/* use: which of the two directions there are. */
void session_init(struct session *s, const struct char_ops *char_ops, const struct session_ops *ops,
		  struct loop *loop, bool has_input, bool has_output);

/* Lets go of everything but the descriptor, which is returned (-1: none). */
int session_fini(struct session *s);

/* Somebody is there, over fd, which does not block. Nobody was. The loop's thread, or before it. */
void session_begin(struct session *s, int fd, bool is_socket);

/* Lets go of the descriptor and returns it, or -1; the front end is told. The loop's thread. */
int session_end(struct session *s);

/* For struct char_ops. */
size_t session_write(struct char_dev *c, const void *data, size_t len);
void session_read_more(struct char_dev *c);

/* Waits until all is written, as long as the other side takes something every second. */
void session_drain(struct char_dev *c);

#endif
