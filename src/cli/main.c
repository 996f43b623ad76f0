/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry: makes sure that descriptors 0 to 2 exist, then hands over to a verb. The only part of
 * bantam that turns failures into messages and exit codes.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/exit_codes.h"
#include "cli/verb.h"

/* A file opened later must not become stdin, stdout or stderr by accident. */
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of a write */

	if (argc < 2) {
		const struct error err = {"a verb is missing; 'bantam help' lists them"};

		return verb_fail(EXIT_USAGE, &err);
	}
	const char *name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	const struct verb *verb = verb_find(name);
	return verb ? verb->main(argc - 2, argv + 2) : verb_unknown(name);
}
