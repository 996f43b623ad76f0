/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folders of the host as the guest's root: -d with a folder (KT-08, KT-09), and the named ones of
 * `bantam setup`, which keep the changes a guest makes to the host's files.
 */
#ifndef CLI_OPTIONS_ROOT_H
#define CLI_OPTIONS_ROOT_H

#include <stdbool.h>

#include "base/error.h"

struct config;

/*
 * The folder of a name: ${XDG_DATA_HOME:-~/.local/share}/bantam/NAME. Returns a new string, or NULL
 * with err: no such name can be, or there is no home.
 */
char *kept_root_path(const char *name, struct error *err);

/*
 * If text is a folder (",ro" may follow), or the name of a kept one, it becomes the guest's root:
 * *is_root says so, and nothing else may be made of text then. Returns an enum exit_code.
 */
int root_option_take(struct config *cfg, const char *text, bool *is_root, struct error *err);

/* --sandbox: a program of the host to run instead of a shell (KT-19). Returns an enum exit_code. */
int root_option_script(struct config *cfg, const char *path, struct error *err);

#endif
