/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/cmdline.h"

#include <ctype.h>
#include <string.h>

/*
 * Reboot by the keyboard controller and one second after a panic, so that a guest always comes back
 * or ends; no probing for a mouse and no waiting for answers of a keyboard nobody types on.
 */
#define PREFIX "reboot=k panic=1 i8042.dumbkbd=1 i8042.noaux=1"

/* Messages on the serial port from the first line on, until the real console takes over. */
/* Linux reads on past the end of a bare "serial", finds console=ttyS0 and complains. */
#define EARLY " earlyprintk=serial,ttyS0"

/* True when a word of the line begins with start: nfsroot= is not root=. */
static bool has_word(const char *line, const char *start)
{
	size_t len = strlen(start);

	for (const char *at = line; (at = strstr(at, start)); at += len)
		if (at == line || isspace((unsigned char)at[-1]))
			return true;
	return false;
}

void cmdline_compose(struct buf *out, const struct cmdline_parts *parts)
{
	const char *user = parts->user ? parts->user : "";

	if (parts->no_defaults) {
		buf_printf(out, "%s", user);
		return;
	}
	buf_printf(out, PREFIX);
	/* It would speak before the kernel has read that it shall be quiet. */
	if (!has_word(user, "quiet"))
		buf_printf(out, EARLY);
	if (parts->console)
		buf_printf(out, " console=%s", parts->console);
	/* Harmless with an initrd alone, whose init decides what the root is. */
	if (!has_word(user, "root="))
		buf_printf(out, " root=/dev/vda rw");
	if (*user)
		buf_printf(out, " %s", user);
}
