/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options about networks. They write keys and nothing else. Each returns an enum exit_code.
 */
#ifndef CLI_OPTIONS_NET_H
#define CLI_OPTIONS_NET_H

#include "base/error.h"

struct config;

/*
 * -n: kvmtool's list of key=value; a word without '=' is the mode. Adds a card. Without a mode it is
 * a tap, as in kvmtool; "none" alone stands for no card at all.
 */
int net_option_add(struct config *cfg, const char *text, struct error *err);

/* --networking: linuxkit's "", default, user, tap,NAME, bridge,NAME or none. */
int net_option_mode(struct config *cfg, const char *text, struct error *err);

/* --publish: adds a rule to those there are. */
int net_option_publish(struct config *cfg, const char *text, struct error *err);

#endif
