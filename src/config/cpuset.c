/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/cpuset.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* Reads a number at *at and moves behind it. Returns -EINVAL when none is there. */
static int read_cpu(const char **at, unsigned long *cpu, struct error *err)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return error_set(err, -EINVAL, "a host CPU number is missing at '%s'", *at);
	errno = 0;
	*cpu = strtoul(*at, &end, 0);
	if (errno == ERANGE || *cpu >= CPU_SETSIZE)
		return error_set(err, -EINVAL, "hostcpu '%.*s' outside valid range from 0 to %d",
				 (int)(end - *at), *at, CPU_SETSIZE - 1);
	*at = end;
	return 0;
}

int cpuset_parse(const char *text, cpu_set_t *set, struct error *err)
{
	const char *at = text;

	CPU_ZERO(set);
	for (;;) {
		unsigned long first, last;
		int rc = read_cpu(&at, &first, err);

		if (rc)
			return rc;
		last = first;
		if (*at == '-') {
			at++;
			rc = read_cpu(&at, &last, err);
			if (rc)
				return rc;
			if (last < first)
				return error_set(err, -EINVAL, "Invalid hostcpu range %lu-%lu",
						 first, last);
		}
		for (unsigned long cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, set);
		if (!*at)
			return 0;
		if (*at != ',')
			return error_set(err, -EINVAL, "'%s' where a comma is expected", at);
		at++;
	}
}
