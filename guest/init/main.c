/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bantam's init: the first process of a guest that runs on shares of the host. It loads drivers,
 * puts the system together, gets an address, runs a shell on the console or a command for a caller
 * on the host, and switches the machine off. Freestanding: no C library, so that it is small and
 * starts at once. docs/guest-init.md has the whole story.
 */
#include "conf.h"
#include "lib.h"
#include "net.h"
#include "session.h"
#include "shell.h"
#include "sys.h"
#include "system.h"

void init_main(void) __attribute__((noreturn));

static void end(void) __attribute__((noreturn));
static void end(void)
{
	system_leave();
	terminal_drain(1);
	power_off();
}

/* The system's own init goes on as this process. Returns only when it cannot. */
static void boot(const char *path)
{
	const char *argv[] = {path, NULL};
	const char *env[] = {"HOME=/", "TERM=linux", NULL};

	say_errno(sys(__NR_execve, path, argv, env), path, NULL);
}

void init_main(void)
{
	struct session *session = NULL;
	struct record r, hostname;
	struct conf conf;

	conf_read(&conf);
	system_mount_kernel();
	system_load_modules(&conf);
	system_set_clock();
	if (conf_find(&conf, "hostname", &hostname))
		sys(__NR_sethostname, hostname.fields[1], strlen(hostname.fields[1]));
	if (conf_find(&conf, "channel", &r)) {
		session = session_open(r.fields[1]);
		if (!session)
			end();
	}
	if (system_enter(&conf)) {
		if (session)
			session_fail(session, "the guest cannot mount its shares");
		end();
	}
	if (!session && conf_find(&conf, "boot", &r)) {
		boot(r.fields[1]);
		end();
	}
	net_start_loopback();
	if (conf_find(&conf, "dhcp", &r))
		net_start_dhcp(hostname.fields[1]);

	int status = session ? session_run(session) : shell_run(&conf);

	system_leave();
	if (session)
		session_end(session, status);
	else if (status) {
		char digits[24];

		say("the shell ended with status ", decimal(digits, (unsigned long)status), NULL);
	}
	terminal_drain(1);
	power_off();
}
