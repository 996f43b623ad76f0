/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/verb.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/exit_codes.h"

static const struct verb *const verbs[] = {&verb_run,	 &verb_image, &verb_sandbox, &verb_setup,
					   &verb_switch, &verb_help,  &verb_version};

const struct verb *verb_at(unsigned i)
{
	return i < ARRAY_SIZE(verbs) ? verbs[i] : NULL;
}

const struct verb *verb_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

int verb_unknown(const char *name)
{
	const struct verb *best = verbs[0];
	unsigned best_distance = UINT_MAX;
	struct error err;

	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
		unsigned distance = word_distance(name, verbs[i]->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = verbs[i];
		}
	}
	error_set(&err, 0, "unknown verb '%s'; the nearest known one is '%s'", name, best->name);
	return verb_fail(EXIT_USAGE, &err);
}

int verb_fail(int code, const struct error *err)
{
	char text[ERROR_TEXT_MAX];
	size_t i;

	for (i = 0; err->text[i]; i++) {
		unsigned char c = (unsigned char)err->text[i];

		text[i] = c < ' ' || c == 0x7f ? '?' : err->text[i];
	}
	text[i] = '\0';
	log_error("%s", text);
	return code;
}

int verb_print(struct buf *text)
{
	if (fwrite(text->data, 1, text->len, stdout) == text->len && !fflush(stdout))
		return 0;
	log_error("stdout: %s", strerror(errno));
	return EXIT_ENGINE_FAILURE;
}
