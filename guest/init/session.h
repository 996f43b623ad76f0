/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One command for a caller on the host: request, streams, signals and status go over the channel.
 */
#ifndef INIT_SESSION_H
#define INIT_SESSION_H

struct session;

/*
 * Opens the channel: the device, when name is a path, else the virtio-console port of that name,
 * which may need a moment to appear. Returns the session, or NULL, said on the console.
 */
struct session *session_open(const char *name);

/* Tells the host that the command cannot be run. */
void session_fail(struct session *s, const char *why);

/* Takes the request, runs the command to its end, and passes its streams on. Returns its status. */
int session_run(struct session *s);

/* Says the status as the channel's last frame. */
void session_end(struct session *s, int status);

#endif
