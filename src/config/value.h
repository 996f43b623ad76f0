/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of configuration keys: checked, made canonical, described. Private to config/.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/config.h"

/*
 * Appends the canonical form of text to canonical. name is the key as the user wrote it.
 * Returns 0, or -EINVAL with a sentence that says what would be right.
 */
int value_check(const struct config_key *key, const char *name, const char *text,
		struct buf *canonical, struct error *err);

/* Each returns 0 or -EINVAL; value_number() is for UINT and SIZE and also gives -ERANGE. */
int value_bool(const char *text, bool *value);
int value_number(const struct config_key *key, const char *text, uint64_t *value);

/* The place of a word in the choices, or -EINVAL. */
int value_choice(const struct config_key *key, const char *text);

#endif
