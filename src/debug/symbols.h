/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of guest addresses, from the .symtab of an ELF64 vmlinux (KT-23). The file is untrusted:
 * everything read from it is checked. Immutable after loading; any thread.
 */
#ifndef DEBUG_SYMBOLS_H
#define DEBUG_SYMBOLS_H

#include <stdint.h>

#include "base/error.h"

struct symbols;

/* NULL with err filled when path has no usable symbol table. */
struct symbols *symbols_load(const char *path, struct error *err);
void symbols_free(struct symbols *s); /* NULL is fine */

/* The function that holds address, and how far into it; NULL when unknown. s may be NULL. */
const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset);

#endif
