/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A byte stream over a listening socket, TCP or Unix: whoever connects is the other side, one at a
 * time; the next connection waits until that one is gone. A client that has finished sending
 * still gets output until it closes or the next one comes.
 */
#ifndef BACKEND_CHAR_LISTEN_H
#define BACKEND_CHAR_LISTEN_H

#include <stdint.h>

#include "backend/char/char.h"
#include "base/error.h"
#include "host/loop.h"

/*
 * fd: a listening socket that does not block, owned from here on. Several devices may have copies of
 * one: each connection goes to one that is free. unlink_path: removed when the device is freed; NULL:
 * none.
 */
struct char_dev *char_listen_new(struct loop *loop, int fd, const char *unlink_path, bool has_input,
				 bool has_output);

/*
 * Return a listening socket, or a negative errno with err filled. addr: IPv4, IPv6 in brackets, or NULL
 * for 127.0.0.1. type: SOCK_STREAM or SOCK_SEQPACKET. A Unix socket nobody listens on any more is replaced; only its owner may connect.
 */
int listen_tcp(const char *addr, uint16_t port, struct error *err);
int listen_unix(const char *path, int type, struct error *err);

#endif
