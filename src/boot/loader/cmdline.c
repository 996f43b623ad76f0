/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/cmdline.h"

#include <ctype.h>
#include <string.h>

/*
 * Reboot by the keyboard controller and one second after a panic, so that a guest always comes back
 * or ends; messages on the serial port from the first line on, until the real console takes over;
 * no probing for a mouse and no waiting for answers of a keyboard nobody types on.
 */
#define PREFIX "reboot=k panic=1 earlyprintk=serial i8042.dumbkbd=1 i8042.noaux=1"

/* True when a word of the line begins with key: nfsroot= is not root=. */
static bool has_key(const char *line, const char *key)
{
	size_t len = strlen(key);

	for (const char *at = line; (at = strstr(at, key)); at += len)
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
	if (parts->console)
		buf_printf(out, " console=%s", parts->console);
	/* Harmless with an initrd alone, whose init decides what the root is. */
	if (!has_key(user, "root="))
		buf_printf(out, " root=/dev/vda rw");
	if (*user)
		buf_printf(out, " %s", user);
}
