/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/exit_codes.h"

#include <stddef.h>

const struct exit_text exit_texts[] = {
	{EXIT_POWERED_OFF, "the guest switched itself off"},
	{EXIT_ENGINE_FAILURE, "the engine could not go on"},
	{EXIT_REBOOTED, "the guest rebooted, with --no-reboot"},
	{EXIT_TRIPLE_FAULT, "a virtual CPU shut down (triple fault)"},
	{EXIT_CONFIG, "the VM asked for cannot be made; nothing has run"},
	{EXIT_USER_QUIT, "the user left with Ctrl-a x"},
	{EXIT_TERMINATED, "a second SIGTERM, SIGINT or SIGHUP"},
	{EXIT_USAGE, "the command line was not understood"},
	{0, NULL},
};
