/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills in what was not configured and depends on the host: CPUs, memory, name, kernel, symbols.
 * After it a dump of the tree describes the VM completely.
 */
#ifndef CLI_RESOLVE_H
#define CLI_RESOLVE_H

#include <stdint.h>

#include "base/error.h"

struct config;

struct host_facts {
	unsigned online_cpus;
	uint64_t ram_bytes; /* 0: unknown */
	char release[65];   /* of the running kernel */
	/* Where kernels of other releases are, as patterns of glob(7); the newest is taken. */
	char kernels[2][256];
	int pid;
};

void host_facts_get(struct host_facts *host);

/* All but the kernel. Returns 0, or -EINVAL: topology and CPU count disagree, values too high. */
int resolve_config(struct config *cfg, const struct host_facts *host, struct error *err);

/* Kernel and symbols. Returns 0, or -EINVAL: no kernel is named and none found. */
int resolve_kernel(struct config *cfg, const struct host_facts *host, struct error *err);

#endif
