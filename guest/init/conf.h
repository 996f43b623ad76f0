/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration bantam left in the initramfs; boot/initramfs/protocol.h tells its form.
 */
#ifndef INIT_CONF_H
#define INIT_CONF_H

#include <stdbool.h>
#include <stddef.h>

#define CONF_FIELDS_MAX 6

struct record {
	unsigned nr;
	const char *fields[CONF_FIELDS_MAX]; /* those past nr are "" */
};

struct conf {
	const char *text, *end;
};

/* Reads the whole file. Ends the guest when there is none. */
void conf_read(struct conf *c);

/* Finds the next record that begins with name, from *at on (start with NULL). */
bool conf_next(const struct conf *c, const char **at, const char *name, struct record *r);

/* The only record of that name. */
bool conf_find(const struct conf *c, const char *name, struct record *r);

#endif
