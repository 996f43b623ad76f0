/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 9P2000.L server for one export, as Linux's v9fs speaks it: 9P2000 (Plan 9 manual, section 5) with
 * the messages of diod's protocol.md. One session, from Tversion to the next or a reset.
 *
 * Left out: authentication (the transport is the machine itself), aname (there is one tree).
 *
 * All functions run on the thread of the server's loop.
 */
#ifndef BACKEND_FS_P9_H
#define BACKEND_FS_P9_H

#include "backend/fs/export.h"
#include "host/loop.h"

struct p9;

/* The export stays the caller's and outlives the server. */
struct p9 *p9_new(struct export *ex, struct loop *loop);
void p9_free(struct p9 *p); /* NULL is fine */

/* Serves a request; see struct fs_request. */
void p9_submit(struct p9 *p, struct fs_request *r);

/* Ends all requests that wait, with EINTR. */
void p9_drain(struct p9 *p);

/* Ends the session: all fids are gone. */
void p9_reset(struct p9 *p);

/* The session as bytes (backend/fs/saved.h), and back. Drained. Bad bytes: -EINVAL, and none. */
void p9_save(struct p9 *p, struct buf *out);
int p9_load(struct p9 *p, const void *data, size_t len);

/* Tries those that wait for locks again; happens by itself when there is a loop. */
void p9_retry(struct p9 *p);

#endif
