/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --9p and --share: lists with commas that write the keys share.N.*, N being the next free one.
 */
#ifndef CLI_OPTIONS_SHARE_H
#define CLI_OPTIONS_SHARE_H

#include "base/error.h"

struct config;

/* DIR[,TAG], as kvmtool has it. Returns an enum exit_code. */
int run_add_9p(struct config *cfg, const char *text, struct error *err);

/*
 * DIR,TAG[,ro|rw][,type=virtiofs|9p][,map=auto|none|squash|mapped][,cache=none|auto|always].
 * Returns an enum exit_code.
 */
int run_add_share(struct config *cfg, const char *text, struct error *err);

#endif
