/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the exit status of `bantam run` says. Part of the interface: bantam(1) lists it. A guest
 * that ends through the test device's exit port chooses its own, (value << 1) | 1.
 */
#ifndef CLI_EXIT_CODES_H
#define CLI_EXIT_CODES_H

enum exit_code {
	EXIT_POWERED_OFF = 0,	 /* the guest switched itself off; also success of other verbs */
	EXIT_ENGINE_FAILURE = 1, /* the engine could not go on */
	EXIT_REBOOTED = 2,	 /* the guest rebooted under --no-reboot */
	EXIT_TRIPLE_FAULT = 3,	 /* a virtual CPU shut down */
	EXIT_CONFIG = 4,	 /* the VM asked for cannot be made: nothing has run */
	EXIT_USER_QUIT = 5,	 /* Ctrl-a x */
	EXIT_TERMINATED = 6,	 /* a second SIGTERM, SIGINT or SIGHUP */
	EXIT_USAGE = 64,	 /* the command line was not understood */
};

struct exit_text {
	enum exit_code code;
	const char *meaning;
};

/* For help texts; ends with a NULL meaning. */
extern const struct exit_text exit_texts[];

#endif
