/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration of a VM: a tree of dotted keys with typed values ("memory.size=1G",
 * "vcpu.0.cpuset=0-3"). Options, files and later the control socket write it; machine/ reads it
 * once. Which keys exist, and what they take, is told by tables beside the parts that own them.
 * One thread.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define CONFIG_NAME_MAX	 64    /* bytes of a key's name, indices written out */
#define CONFIG_INDEX_MAX 65535 /* of a group such as vcpu.N; above any number of parts */
#define CONFIG_VALUE_MAX 65536 /* bytes of a value: many times a kernel's command line */

enum config_type {
	CONFIG_BOOL,   /* true false yes no on off 1 0; kept as true or false */
	CONFIG_UINT,   /* decimal, 0x or 0 octal; kept in decimal */
	CONFIG_SIZE,   /* decimal with an optional letter of BKMGTP; kept with the largest exact one
			*/
	CONFIG_ENUM,   /* one of choices */
	CONFIG_STRING, /* any text without control characters */
	CONFIG_PATH,   /* a STRING that names a file */
	CONFIG_CPUSET, /* host CPUs: numbers and ranges a-b, comma-separated (cpuset.h) */
};

/* One row of a part's table; the table must outlive every tree it is registered with. */
struct config_key {
	const char *name; /* a component that is just N stands for an index: "vcpu.N.cpuset" */
	enum config_type type;
	const char *unit;     /* UINT: word for the help. SIZE: letter of a bare number, NULL = B */
	const char *fallback; /* value while unset, in text; NULL when there is none */
	uint64_t min, max;    /* UINT and SIZE, inclusive; max 0 = no limit */
	const char *choices;  /* ENUM: words separated by single spaces */
	const char *help;     /* one line, no full stop */
};

struct config;

struct config *config_new(void);
void config_free(struct config *cfg); /* NULL is fine */

/* Makes nr keys known. A name registered twice is a mistake of ours. */
void config_register(struct config *cfg, const struct config_key *keys, unsigned nr);

/* The known keys in order of registration; NULL past the last. */
const struct config_key *config_key_at(const struct config *cfg, unsigned i);

/*
 * Sets a key from text; a later set replaces an earlier one.
 * Returns 0, or -EINVAL with err: unknown key (the nearest known one is named), or a value that is
 * not of the key's type and range (err says what would be right). Nothing is changed then.
 */
int config_set(struct config *cfg, const char *name, const char *value, struct error *err);

/* Back to unset; harmless when it is. */
void config_unset(struct config *cfg, const char *name);

/*
 * Sets from "name=value", the value being all after the first '='.
 * Returns as config_set(); without '=', name or value: -EINVAL, "invalid configuration option 'X'".
 */
int config_set_option(struct config *cfg, const char *option, struct error *err);

/*
 * Sets from the text of a file: a name=value per line, blanks kept; empty lines and lines with '#'
 * in the first column are skipped. Stops at the first error, which names source and line; lines
 * before it stay in effect.
 * Returns 0 or -EINVAL.
 */
int config_parse(struct config *cfg, const char *text, size_t len, const char *source,
		 struct error *err);

/* config_parse() of a file. Also returns a negative errno: "Failed to open configuration file X".
 */
int config_load(struct config *cfg, const char *path, struct error *err);

/*
 * Appends every key that is set as a line name=value, in order of registration, then of index:
 * a file that config_load() turns into the same tree.
 */
void config_dump(const struct config *cfg, struct buf *out);

/*
 * Values. The name is a printf format, so that an index can be filled in:
 * config_text(cfg, "vcpu.%u.cpuset", 3). An unregistered name, or the wrong type, is a mistake of
 * ours. All give the fallback of an unset key; without a fallback config_text() gives NULL, the
 * others must not be called.
 */
bool config_is_set(const struct config *cfg, const char *name, ...)
	__attribute__((format(printf, 2, 3)));
const char *config_text(const struct config *cfg, const char *name, ...)
	__attribute__((format(printf, 2, 3))); /* any type; valid until the key is set again */
bool config_bool(const struct config *cfg, const char *name, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t config_uint(const struct config *cfg, const char *name, ...)
	__attribute__((format(printf, 2, 3))); /* UINT; SIZE in bytes */
unsigned config_enum(const struct config *cfg, const char *name, ...)
	__attribute__((format(printf, 2, 3))); /* place of the word in choices, from 0 */

/*
 * Finds the lowest index not below *index under which group ("vcpu") has a key set.
 * Returns false when there is none: for (unsigned i = 0; config_next(cfg, "disk", &i); i++).
 */
bool config_next(const struct config *cfg, const char *group, unsigned *index);

/* Appends what a key takes: "1 to 65535", "serial or none", "SIZE (M)". */
void config_describe_value(const struct config_key *key, struct buf *out);

#endif
