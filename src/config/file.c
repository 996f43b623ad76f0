/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * name=value as an option and as a line of a file. Blanks are part of names and values, so that a
 * value can begin or end with one; a file is read whole before any line of it counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"

/* More than any hand-written or dumped file; keeps a device or a mistaken path from being read. */
#define FILE_MAX (16 * MIB)

/* Splits at the first '='; false when name or value is missing. */
static bool split(const char *option, char **name, const char **value)
{
	const char *equals = strchr(option, '=');

	if (!equals || equals == option || !equals[1])
		return false;
	*name = mem_strdup(option);
	(*name)[equals - option] = '\0';
	*value = equals + 1;
	return true;
}

int config_set_option(struct config *cfg, const char *option, struct error *err)
{
	const char *value;
	char *name;

	if (!split(option, &name, &value))
		return error_set(err, -EINVAL, "invalid configuration option '%s'", option);
	int rc = config_set(cfg, name, value, err);
	free(name);
	return rc;
}

static int set_line(struct config *cfg, const char *line, size_t len, struct error *err)
{
	const char *value;
	char *name;

	/* A zero byte would hide the rest of the line. */
	if (strlen(line) != len || !split(line, &name, &value))
		return error_set(err, -EINVAL, "invalid config option '%s'", line);
	int rc = config_set(cfg, name, value, err);
	free(name);
	return rc;
}

int config_parse(struct config *cfg, const char *text, size_t len, const char *source,
		 struct error *err)
{
	const char *end = text + len;
	unsigned number = 1;
	int rc = 0;

	for (const char *at = text; at < end && !rc; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = (size_t)((newline ? newline : end) - at);

		if (line_len && *at != '#') {
			struct buf line = {0};

			buf_append(&line, at, line_len);
			rc = set_line(cfg, buf_text(&line), line_len, err);
			buf_free(&line);
			if (rc && err)
				error_prefix(err, "%s line %u", source, number);
		}
		at += line_len + 1;
	}
	return rc;
}

/* Appends all of fd. Returns 0, -EFBIG or a negative errno. */
static int read_all(int fd, struct buf *out)
{
	char chunk[4096];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_append(out, chunk, (size_t)n);
		if (out->len > FILE_MAX)
			return -EFBIG;
	}
}

int config_load(struct config *cfg, const char *path, struct error *err)
{
	struct buf text = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set_errno(err, -errno, "Failed to open configuration file %s", path);
	int rc = read_all(fd, &text);
	close(fd);
	if (rc)
		error_set_errno(err, rc, "Failed to read configuration file %s", path);
	else
		rc = config_parse(cfg, buf_text(&text), text.len, path, err);
	buf_free(&text);
	return rc;
}
