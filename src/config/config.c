/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree is a list of set keys in the order they are dumped: a VM has a few dozen, so a walk is
 * as fast as anything cleverer. Values are kept as checked, canonical text. The parsers of values
 * are in value.c, those of files in file.c.
 */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/list.h"
#include "base/parse.h"
#include "config/value.h"

#define TABLES_MAX  32 /* one per part that has keys */
#define INDICES_MAX 2  /* N components in one name */
#define NO_SUCH_KEY UINT32_MAX

struct entry {
	struct list node;
	const struct config_key *key;
	unsigned order; /* of registration */
	uint32_t index[INDICES_MAX];
	char *name;
	char *value;
};

struct config {
	struct list entries; /* sorted by order, then index */
	struct {
		const struct config_key *keys;
		unsigned nr;
	} tables[TABLES_MAX];
	unsigned nr_tables;
};

struct config *config_new(void)
{
	struct config *cfg = mem_alloc_zero(sizeof(*cfg));

	list_init(&cfg->entries);
	return cfg;
}

static void entry_free(struct entry *e)
{
	list_remove(&e->node);
	free(e->name);
	free(e->value);
	free(e);
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	list_for_each_safe (it, &cfg->entries)
		entry_free(list_entry(it, struct entry, node));
	free(cfg);
}

const struct config_key *config_key_at(const struct config *cfg, unsigned i)
{
	for (unsigned t = 0; t < cfg->nr_tables; t++) {
		if (i < cfg->tables[t].nr)
			return &cfg->tables[t].keys[i];
		i -= cfg->tables[t].nr;
	}
	return NULL;
}

/* Reads an index without leading zeros; moves *at behind it. */
static bool read_index(const char **at, uint32_t *index)
{
	const char *p = *at;
	uint32_t n = 0;

	if (!isdigit((unsigned char)*p) || (p[0] == '0' && isdigit((unsigned char)p[1])))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		n = n * 10 + (uint32_t)(*p - '0');
		if (n > CONFIG_INDEX_MAX)
			return false;
	}
	*index = n;
	*at = p;
	return true;
}

/* True for the N of "vcpu.N.cpuset": a component of its own. */
static bool is_index_mark(const char *pattern, const char *p)
{
	return *p == 'N' && (p == pattern || p[-1] == '.') && (p[1] == '.' || !p[1]);
}

static bool matches(const char *pattern, const char *name, uint32_t index[INDICES_MAX])
{
	unsigned nr = 0;

	for (const char *p = pattern;; p++) {
		if (is_index_mark(pattern, p)) {
			BUG_ON(nr == INDICES_MAX);
			if (!read_index(&name, &index[nr++]))
				return false;
			continue;
		}
		if (*p != *name)
			return false;
		if (!*p)
			return true;
		name++;
	}
}

static const struct config_key *find_key(const struct config *cfg, const char *name,
					 unsigned *order, uint32_t index[INDICES_MAX])
{
	const struct config_key *key;

	for (unsigned i = 0; (key = config_key_at(cfg, i)) != NULL; i++) {
		memset(index, 0, sizeof(*index) * INDICES_MAX);
		if (matches(key->name, name, index)) {
			*order = i;
			return key;
		}
	}
	return NULL;
}

void config_register(struct config *cfg, const struct config_key *keys, unsigned nr)
{
	uint32_t index[INDICES_MAX];
	unsigned order;

	BUG_ON(cfg->nr_tables == TABLES_MAX);
	for (unsigned i = 0; i < nr; i++) {
		struct buf canonical = {0};

		BUG_ON(strlen(keys[i].name) >= CONFIG_NAME_MAX);
		BUG_ON(find_key(cfg, keys[i].name, &order, index));
		BUG_ON(keys[i].fallback &&
		       value_check(&keys[i], keys[i].name, keys[i].fallback, &canonical, NULL));
		buf_free(&canonical);
	}
	cfg->tables[cfg->nr_tables].keys = keys;
	cfg->tables[cfg->nr_tables++].nr = nr;
}

/* Where a key stands in the dump. */
static int compare(const struct entry *a, const struct entry *b)
{
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	for (unsigned i = 0; i < INDICES_MAX; i++)
		if (a->index[i] != b->index[i])
			return a->index[i] < b->index[i] ? -1 : 1;
	return 0;
}

/* name with every run of digits that is a component of its own replaced by N. */
static void to_pattern(const char *name, char pattern[CONFIG_NAME_MAX])
{
	size_t n = 0;

	for (const char *p = name; *p && n < CONFIG_NAME_MAX - 1;) {
		size_t digits = strspn(p, "0123456789");

		if (digits && (p == name || p[-1] == '.') && (p[digits] == '.' || !p[digits])) {
			pattern[n++] = 'N';
			p += digits;
		} else {
			pattern[n++] = *p++;
		}
	}
	pattern[n] = '\0';
}

static const char *nearest_name(const struct config *cfg, const char *name)
{
	unsigned best_distance = NO_SUCH_KEY;
	char pattern[CONFIG_NAME_MAX];
	const struct config_key *key;
	const char *best = NULL;

	to_pattern(name, pattern);
	for (unsigned i = 0; (key = config_key_at(cfg, i)) != NULL; i++) {
		unsigned distance = word_distance(pattern, key->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = key->name;
		}
	}
	return best;
}

static struct entry *find_entry(const struct config *cfg, const char *name)
{
	list_for_each (it, &cfg->entries) {
		struct entry *e = list_entry(it, struct entry, node);

		if (!strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static void insert_sorted(struct config *cfg, struct entry *new)
{
	struct list *pos = cfg->entries.next;

	while (pos != &cfg->entries && compare(list_entry(pos, struct entry, node), new) < 0)
		pos = pos->next;
	list_insert_before(pos, &new->node);
}

int config_set(struct config *cfg, const char *name, const char *value, struct error *err)
{
	struct buf canonical = {0};
	uint32_t index[INDICES_MAX];
	unsigned order;
	const struct config_key *key = find_key(cfg, name, &order, index);

	if (!key) {
		const char *nearest = nearest_name(cfg, name);

		return error_set(err, -EINVAL, "unknown key '%s'; the nearest known one is '%s'",
				 name, nearest ? nearest : "");
	}
	int rc = value_check(key, name, value, &canonical, err);
	if (rc) {
		buf_free(&canonical);
		return rc;
	}
	struct entry *e = find_entry(cfg, name);
	if (!e) {
		e = mem_alloc_zero(sizeof(*e));
		e->key = key;
		e->order = order;
		memcpy(e->index, index, sizeof(e->index));
		e->name = mem_strdup(name);
		insert_sorted(cfg, e);
	}
	free(e->value);
	e->value = mem_strdup(buf_text(&canonical));
	buf_free(&canonical);
	return 0;
}

void config_unset(struct config *cfg, const char *name)
{
	struct entry *e = find_entry(cfg, name);

	if (e)
		entry_free(e);
}

void config_dump(const struct config *cfg, struct buf *out)
{
	list_for_each (it, &cfg->entries) {
		const struct entry *e = list_entry(it, struct entry, node);

		buf_printf(out, "%s=%s\n", e->name, e->value);
	}
}

/* What a getter needs: the key, and its text or NULL. */
static const struct config_key *lookup(const struct config *cfg, const char *fmt, va_list ap,
				       const char **text)
{
	char name[CONFIG_NAME_MAX];
	uint32_t index[INDICES_MAX];
	unsigned order;
	int n = vsnprintf(name, sizeof(name), fmt, ap);

	BUG_ON(n < 0 || (size_t)n >= sizeof(name));
	const struct config_key *key = find_key(cfg, name, &order, index);
	BUG_ON(!key);
	const struct entry *e = find_entry(cfg, name);
	*text = e ? e->value : key->fallback;
	return key;
}

bool config_is_set(const struct config *cfg, const char *fmt, ...)
{
	char name[CONFIG_NAME_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return find_entry(cfg, name) != NULL;
}

const char *config_text(const struct config *cfg, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	lookup(cfg, fmt, ap, &text);
	va_end(ap);
	return text;
}

bool config_bool(const struct config *cfg, const char *fmt, ...)
{
	const char *text;
	bool value = false;
	va_list ap;

	va_start(ap, fmt);
	const struct config_key *key = lookup(cfg, fmt, ap, &text);
	va_end(ap);
	BUG_ON(key->type != CONFIG_BOOL || !text || value_bool(text, &value));
	return value;
}

uint64_t config_uint(const struct config *cfg, const char *fmt, ...)
{
	const char *text;
	uint64_t value = 0;
	va_list ap;

	va_start(ap, fmt);
	const struct config_key *key = lookup(cfg, fmt, ap, &text);
	va_end(ap);
	BUG_ON(!text || value_number(key, text, &value));
	return value;
}

unsigned config_enum(const struct config *cfg, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	const struct config_key *key = lookup(cfg, fmt, ap, &text);
	va_end(ap);
	BUG_ON(key->type != CONFIG_ENUM || !text);
	int place = value_choice(key, text);
	BUG_ON(place < 0);
	return (unsigned)place;
}

bool config_next(const struct config *cfg, const char *group, unsigned *index)
{
	size_t len = strlen(group);
	uint32_t lowest = NO_SUCH_KEY;

	list_for_each (it, &cfg->entries) {
		const struct entry *e = list_entry(it, struct entry, node);
		uint32_t found;
		const char *at = e->name + len + 1;

		if (strncmp(e->name, group, len) || e->name[len] != '.' || !read_index(&at, &found))
			continue;
		if (found >= *index)
			lowest = min(lowest, found);
	}
	if (lowest == NO_SUCH_KEY)
		return false;
	*index = lowest;
	return true;
}
