/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/value.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "base/parse.h"
#include "config/cpuset.h"

int value_bool(const char *text, bool *value)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		for (unsigned v = 0; v < 2; v++) {
			if (!strcasecmp(text, words[i][v])) {
				*value = v;
				return 0;
			}
		}
	}
	return -EINVAL;
}

/* Bytes that a bare number of a SIZE counts in. */
static uint64_t default_unit(const struct config_key *key)
{
	static const char letters[] = "BKMGTP";

	if (!key->unit)
		return 1;
	const char *at = strchr(letters, key->unit[0]);
	BUG_ON(!at || key->unit[1]);
	return BIT64((at - letters) * 10);
}

int value_number(const struct config_key *key, const char *text, uint64_t *value)
{
	uint64_t max = key->max ? key->max : UINT64_MAX;
	int rc = -EINVAL;

	if (key->type == CONFIG_UINT)
		rc = parse_u64(text, value);
	else if (key->type == CONFIG_SIZE)
		rc = parse_size(text, default_unit(key), value, NULL);
	if (rc)
		return rc;
	return *value < key->min || *value > max ? -ERANGE : 0;
}

int value_choice(const struct config_key *key, const char *text)
{
	size_t len = strlen(text);
	int place = 0;

	if (!len)
		return -EINVAL;
	for (const char *word = key->choices;; place++) {
		size_t word_len = strcspn(word, " ");

		if (word_len == len && !memcmp(word, text, len))
			return place;
		if (!word[word_len])
			return -EINVAL;
		word += word_len + 1;
	}
}

static void describe_range(const struct config_key *key, struct buf *out)
{
	char low[32], high[32];

	if (key->type == CONFIG_UINT) {
		buf_printf(out, key->max ? "%llu to %llu" : "%llu or more",
			   (unsigned long long)key->min, (unsigned long long)key->max);
		if (key->unit)
			buf_printf(out, " %s", key->unit);
		return;
	}
	format_size(key->min, low, sizeof(low));
	format_size(key->max, high, sizeof(high));
	buf_printf(out, key->max ? "a size from %s to %s" : "a size of at least %s", low, high);
}

static void describe_choices(const struct config_key *key, struct buf *out)
{
	for (const char *word = key->choices; *word;) {
		size_t len = strcspn(word, " ");
		bool is_last = !word[len];
		const char *before = word == key->choices ? "" : is_last ? " or " : ", ";

		buf_printf(out, "%s%.*s", before, (int)len, word);
		word += len + !is_last;
	}
}

void config_describe_value(const struct config_key *key, struct buf *out)
{
	switch (key->type) {
	case CONFIG_BOOL:
		buf_printf(out, "true or false");
		break;
	case CONFIG_UINT:
	case CONFIG_SIZE:
		describe_range(key, out);
		break;
	case CONFIG_ENUM:
		describe_choices(key, out);
		break;
	case CONFIG_STRING:
		buf_printf(out, "text");
		break;
	case CONFIG_PATH:
		buf_printf(out, "a path");
		break;
	case CONFIG_CPUSET:
		buf_printf(out, "host CPUs and ranges of them, as in 0,2-3");
		break;
	}
}

static bool has_control_character(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* "vcpu.3.cpuset" is about vcpu 3. */
static int check_cpuset(const char *name, const char *text, struct error *err)
{
	const char *dot = strchr(name, '.');
	cpu_set_t set;
	int rc = cpuset_parse(text, &set, err);

	if (rc && dot && !strncmp(name, "vcpu.", 5))
		error_prefix(err, "invalid cpuset for vcpu %.*s: '%s'", (int)strcspn(dot + 1, "."),
			     dot + 1, text);
	else if (rc)
		error_prefix(err, "Invalid value for %s: '%s'", name, text);
	return rc;
}

static int refuse(const struct config_key *key, const char *name, const char *text,
		  struct error *err)
{
	struct buf right = {0};

	config_describe_value(key, &right);
	int rc = error_set(err, -EINVAL, "Invalid value for %s: '%s' (must be %s)", name, text,
			   buf_text(&right));
	buf_free(&right);
	return rc;
}

static int check_typed(const struct config_key *key, const char *name, const char *text,
		       struct buf *canonical, struct error *err)
{
	char size[32];
	uint64_t number;
	bool flag;

	switch (key->type) {
	case CONFIG_BOOL:
		if (value_bool(text, &flag))
			return refuse(key, name, text, err);
		buf_printf(canonical, "%s", flag ? "true" : "false");
		return 0;
	case CONFIG_UINT:
		if (value_number(key, text, &number))
			return refuse(key, name, text, err);
		buf_printf(canonical, "%llu", (unsigned long long)number);
		return 0;
	case CONFIG_SIZE:
		if (value_number(key, text, &number))
			return refuse(key, name, text, err);
		format_size(number, size, sizeof(size));
		buf_printf(canonical, "%s", size);
		return 0;
	case CONFIG_ENUM:
		if (value_choice(key, text) < 0)
			return refuse(key, name, text, err);
		break;
	case CONFIG_CPUSET: {
		int rc = check_cpuset(name, text, err);

		if (rc)
			return rc;
		break;
	}
	case CONFIG_STRING:
	case CONFIG_PATH:
		break;
	}
	buf_printf(canonical, "%s", text);
	return 0;
}

int value_check(const struct config_key *key, const char *name, const char *text,
		struct buf *canonical, struct error *err)
{
	if (!*text)
		return error_set(err, -EINVAL, "the value of %s is empty", name);
	if (strlen(text) > CONFIG_VALUE_MAX)
		return error_set(err, -EINVAL, "the value of %s is longer than %d bytes", name,
				 CONFIG_VALUE_MAX);
	if (has_control_character(text))
		return error_set(err, -EINVAL, "the value of %s holds a control character", name);
	return check_typed(key, name, text, canonical, err);
}
