/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: any bytes as a configuration file. What was accepted must come back the same from
 * its dump, and every accepted value must be readable in its type.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "config/config.h"
#include "machine/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all_values(const struct config *cfg)
{
	const struct config_key *key;

	for (unsigned i = 0; (key = config_key_at(cfg, i)) != NULL; i++) {
		if (strstr(key->name, ".N.") ||
		    (!key->fallback && !config_is_set(cfg, "%s", key->name)))
			continue;
		if (key->type == CONFIG_BOOL)
			config_bool(cfg, "%s", key->name);
		else if (key->type == CONFIG_ENUM)
			config_enum(cfg, "%s", key->name);
		else if (key->type == CONFIG_UINT || key->type == CONFIG_SIZE)
			config_uint(cfg, "%s", key->name);
	}
	for (unsigned i = 0; config_next(cfg, "vcpu", &i); i++)
		BUG_ON(!config_text(cfg, "vcpu.%u.cpuset", i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *cfg = config_new(), *again = config_new();
	struct buf first = {0}, second = {0};
	struct error err = {0};

	machine_register_keys(cfg);
	machine_register_keys(again);
	/* A copy of the exact size, so that reads past its end are seen. */
	char *text = malloc(size ? size : 1);
	memcpy(text, data, size);
	int rc = config_parse(cfg, text, size, "fuzz", &err);
	BUG_ON(rc && (rc != -EINVAL || !err.text[0]));
	free(text);

	read_all_values(cfg);
	config_dump(cfg, &first);
	rc = config_parse(again, buf_text(&first), first.len, "dump", &err);
	BUG_ON(rc);
	config_dump(again, &second);
	BUG_ON(strcmp(buf_text(&first), buf_text(&second)));
	buf_free(&first);
	buf_free(&second);
	config_free(cfg);
	config_free(again);
	return 0;
}
