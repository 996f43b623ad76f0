/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What machine/ needs of the configuration, read once and checked as a whole before anything is
 * made. The keys themselves are in keys.c.
 */
#ifndef MACHINE_SETTINGS_H
#define MACHINE_SETTINGS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "chipset/pit.h"
#include "engine/engine.h"
#include "machine/keys.h"
#include "x86/cpuid.h"

struct config;

/* Strings belong to the settings. */
struct settings {
	char *name;
	unsigned nr_vcpus;
	struct cpu_topology topology;
	uint64_t memory_size; /* bytes, whole pages */
	char *cpu_model;
	char *accel;
	char *kvm_device;
	uint64_t soft_block_cache; /* bytes */
	bool soft_translate;
	uint64_t soft_code_cache; /* bytes */
	unsigned soft_heat;
	bool soft_sites_always;
	bool soft_has_perf_map;
	char *soft_listing; /* NULL: none */
	char *trace_file;   /* NULL: none */
	uint64_t trace_from, trace_limit;

	char *kernel_path;
	char *initrd_path;  /* NULL: none */
	char *cmdline;	    /* composed, complete */
	char *symbols_path; /* NULL: none */

	enum key_console console;
	bool can_reboot;
	bool has_mptable;
	bool has_test_device;
	unsigned debug_ports; /* bit 0: port 0xe9, bit 1: port 0x402 */
	bool rtc_uses_localtime;
	enum tick_policy missed_ticks;
	bool prints_stats;
	bool debug_single_step, debug_ioport, debug_mmio;

	uint64_t move_every_ms; /* 0: never */
	char *move_to;		/* accelerators, for every second move */

	cpu_set_t **cpusets; /* nr_vcpus entries, NULL where not pinned */
};

/* Returns 0, or -EINVAL with one sentence that names key, value and remedy. */
int settings_read(struct settings *s, const struct config *cfg, struct error *err);
void settings_free(struct settings *s);

/* What engines are told; strings are those of s. */
struct engine_options settings_engine_options(const struct settings *s);

/* The host CPUs vCPU number may run on, now the caller's to free; NULL: any. */
cpu_set_t *settings_take_cpuset(struct settings *s, unsigned number);

#endif
