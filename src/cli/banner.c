/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/banner.h"

#include <string.h>

#include "base/base.h"
#include "config/config.h"

static void append_quoted(struct buf *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_./,:=+@%";

	if (*word && !word[strspn(word, plain)]) {
		buf_printf(out, "%s", word);
		return;
	}
	buf_printf(out, "'");
	for (; *word; word++)
		buf_printf(out, *word == '\'' ? "'\\''" : "%c", *word);
	buf_printf(out, "'");
}

void banner_compose(const struct config *cfg, struct buf *out)
{
	uint64_t bytes = config_uint(cfg, "memory.size");

	buf_printf(out, "  # bantam run -k ");
	append_quoted(out, config_text(cfg, "kernel.path"));
	if (bytes % MIB)
		buf_printf(out, " -m %s", config_text(cfg, "memory.size"));
	else
		buf_printf(out, " -m %llu", (unsigned long long)(bytes / MIB));
	buf_printf(out, " -c %s --name ", config_text(cfg, "cpus"));
	append_quoted(out, config_text(cfg, "name"));
}
