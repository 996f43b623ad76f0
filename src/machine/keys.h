/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration keys of the pc machine and its parts; keys.c has the table with types, ranges
 * and help. Whoever fills a tree for machine/ registers these first.
 */
#ifndef MACHINE_KEYS_H
#define MACHINE_KEYS_H

#include "config/config.h"

/* Places of the words of ENUM keys, as config_enum() gives them. */
enum key_console { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE };
enum key_debug_port { DEBUG_PORT_OFF, DEBUG_PORT_E9, DEBUG_PORT_402, DEBUG_PORT_BOTH };

void machine_register_keys(struct config *cfg);

#endif
