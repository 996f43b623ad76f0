/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first line of a run: the command that starts the same VM (KT-45).
 */
#ifndef CLI_BANNER_H
#define CLI_BANNER_H

#include "base/buf.h"

struct config;

/* Appends "  # bantam run -k K -m MB -c N --name NAME", words quoted for a shell where needed. */
void banner_compose(const struct config *cfg, struct buf *out);

#endif
