/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

static _Atomic int level_max = LOG_INFO;
static atomic_bool raw_terminal;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void log_set_raw_terminal(bool on)
{
	atomic_store_explicit(&raw_terminal, on, memory_order_relaxed);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = {
		"bantam: ", "bantam: warning: ", "bantam: ", "bantam: debug: "};
	char line[2048];
	const size_t room = sizeof(line) - 3; /* CR, LF and the terminating zero */
	va_list ap;
	int head, body;
	size_t len;

	if (!log_enabled(level))
		return;
	head = snprintf(line, room, "%s", prefix[level]);
	va_start(ap, fmt);
	body = vsnprintf(line + head, room - (size_t)head, fmt, ap);
	va_end(ap);
	if (body < 0)
		return;
	len = min((size_t)head + (size_t)body, room - 1);
	if (atomic_load_explicit(&raw_terminal, memory_order_relaxed))
		line[len++] = '\r';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* stderr is gone: there is nowhere left to say so */
}

/* stderr going away leaves nowhere to say so. */
static void write_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

void log_text(const char *text)
{
	const char *line_end =
		atomic_load_explicit(&raw_terminal, memory_order_relaxed) ? "\r\n" : "\n";
	struct buf out = {0};

	for (const char *newline; (newline = strchr(text, '\n')) != NULL; text = newline + 1) {
		buf_append(&out, text, (size_t)(newline - text));
		buf_printf(&out, "%s", line_end);
	}
	buf_printf(&out, "%s", text);
	write_all((const char *)out.data, out.len);
	buf_free(&out);
}

void bug(const char *file, int line, const char *what)
{
	log_write(LOG_ERROR, "internal error at %s:%d: %s", file, line, what);
	abort();
}
