/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Byte streams over terminals: a new pseudo-terminal, to which screen, minicom or socat attach, and a
 * terminal line of the host.
 */
#ifndef BACKEND_CHAR_PTS_H
#define BACKEND_CHAR_PTS_H

#include "backend/char/char.h"
#include "base/error.h"
#include "host/loop.h"

#define PTS_PATH_MAX 64 /* "/dev/pts/" and a number */

/*
 * A new pseudo-terminal, raw; path receives the name of its other end. Who opens that end is there;
 * one finds out within a quarter of a second. NULL with err filled when the host has none left.
 */
struct char_dev *char_pts_new(struct loop *loop, char path[PTS_PATH_MAX], bool has_input,
			      bool has_output, struct error *err);

/*
 * The terminal line at path, made raw until the device is freed. A hang-up ends it for good.
 * NULL with err filled: it cannot be opened, or is no terminal.
 */
struct char_dev *char_tty_new(struct loop *loop, const char *path, bool has_input, bool has_output,
			      struct error *err);

#endif
