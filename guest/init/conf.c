/* SPDX-License-Identifier: BSD-2-Clause */
#include "conf.h"

#include "boot/initramfs/protocol.h"
#include "lib.h"

#define CONF_ROOM (256 << 10) /* a few hundred modules and shares, with long paths */

void conf_read(struct conf *c)
{
	char *text = allocate(CONF_ROOM);
	long len = read_file(INIT_CONFIG, text, CONF_ROOM);

	if (len < 0) {
		say_errno(len, INIT_CONFIG, NULL);
		power_off();
	}
	c->text = text;
	c->end = text + len;
}

static const char *read_record(const struct conf *c, const char *at, struct record *r)
{
	*r = (struct record){.nr = 0};
	for (unsigned i = 0; i < CONF_FIELDS_MAX; i++)
		r->fields[i] = "";
	while (at < c->end && *at) {
		if (r->nr < CONF_FIELDS_MAX)
			r->fields[r->nr++] = at;
		at += strlen(at) + 1;
	}
	return at + 1;
}

bool conf_next(const struct conf *c, const char **at, const char *name, struct record *r)
{
	if (!*at)
		*at = c->text;
	while (*at < c->end) {
		*at = read_record(c, *at, r);
		if (same(r->fields[0], name))
			return true;
	}
	return false;
}

bool conf_find(const struct conf *c, const char *name, struct record *r)
{
	const char *at = NULL;

	return conf_next(c, &at, name, r);
}
