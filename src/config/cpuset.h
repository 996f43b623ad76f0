/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets of host CPUs as people write them. Pure functions, any thread.
 */
#ifndef CONFIG_CPUSET_H
#define CONFIG_CPUSET_H

#include <sched.h>

#include "base/error.h"

/*
 * Parses numbers and ranges a-b, comma-separated, each number decimal, 0x or 0 octal.
 * Returns 0, or -EINVAL with err: malformed, "Invalid hostcpu range a-b" (b before a), or
 * "hostcpu 'N' outside valid range from 0 to M".
 */
int cpuset_parse(const char *text, cpu_set_t *set, struct error *err);

#endif
