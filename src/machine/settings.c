/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "boot/loader/cmdline.h"
#include "config/config.h"
#include "config/cpuset.h"
#include "core/mem.h"
#include "machine/keys.h"

static char *copy_text(const struct config *cfg, const char *key)
{
	const char *text = config_text(cfg, "%s", key);

	return text ? mem_strdup(text) : NULL;
}

/* sockets x cores x threads must be the number of vCPUs (BH-03). */
static int read_topology(struct settings *s, const struct config *cfg, struct error *err)
{
	struct cpu_topology *t = &s->topology;

	s->nr_vcpus = (unsigned)config_uint(cfg, "cpus");
	t->sockets =
		config_is_set(cfg, "sockets") ? (unsigned)config_uint(cfg, "sockets") : s->nr_vcpus;
	t->cores = (unsigned)config_uint(cfg, "cores");
	t->threads = (unsigned)config_uint(cfg, "threads");
	if ((uint64_t)t->sockets * t->cores * t->threads != s->nr_vcpus)
		return error_set(
			err, -EINVAL,
			"Topology (%u sockets, %u cores, %u threads) does not match %u vCPUs",
			t->sockets, t->cores, t->threads, s->nr_vcpus);
	return 0;
}

static int read_cpusets(struct settings *s, const struct config *cfg, struct error *err)
{
	s->cpusets = mem_alloc_zero(s->nr_vcpus * sizeof(s->cpusets[0]));
	for (unsigned i = 0; config_next(cfg, "vcpu", &i); i++) {
		if (i >= s->nr_vcpus)
			return error_set(err, -EINVAL,
					 "vcpu.%u.cpuset: there are only vCPUs 0 to %u", i,
					 s->nr_vcpus - 1);
		s->cpusets[i] = mem_alloc_zero(sizeof(cpu_set_t));
		int rc = cpuset_parse(config_text(cfg, "vcpu.%u.cpuset", i), s->cpusets[i], err);

		if (rc)
			return rc;
	}
	return 0;
}

static const char *const console_devices[] = {
	[CONSOLE_SERIAL] = "ttyS0", [CONSOLE_VIRTIO] = "hvc0", [CONSOLE_NONE] = NULL};

static int read_kernel(struct settings *s, const struct config *cfg, struct error *err)
{
	s->kernel_path = copy_text(cfg, "kernel.path");
	s->initrd_path = copy_text(cfg, "kernel.initrd");
	s->symbols_path = copy_text(cfg, "kernel.symbols");
	if (!s->kernel_path)
		return error_set(err, -EINVAL, "no kernel: give one as argument or with --kernel");
	struct cmdline_parts parts = {
		.console = console_devices[s->console],
		.user = config_text(cfg, "kernel.params"),
		.no_defaults = config_bool(cfg, "nodefaults"),
	};
	struct buf line = {0};

	cmdline_compose(&line, &parts);
	s->cmdline = buf_text(&line);
	return 0;
}

int settings_read(struct settings *s, const struct config *cfg, struct error *err)
{
	*s = (struct settings){
		.name = copy_text(cfg, "name"),
		.memory_size =
			ALIGN_DOWN(config_uint(cfg, "memory.size"), (uint64_t)GUEST_PAGE_SIZE),
		.cpu_model = copy_text(cfg, "cpu.model"),
		.accel = copy_text(cfg, "accel"),
		.kvm_device = copy_text(cfg, "kvm.device"),
		.soft_block_cache = config_uint(cfg, "soft.block_cache"),
		.soft_translate = config_bool(cfg, "soft.translate"),
		.soft_code_cache = config_uint(cfg, "soft.code_cache"),
		.soft_heat = (unsigned)config_uint(cfg, "soft.heat"),
		.soft_sites_always = config_enum(cfg, "soft.sites"),
		.soft_has_perf_map = config_bool(cfg, "soft.perf_map"),
		.soft_listing = copy_text(cfg, "soft.listing"),
		.trace_file = copy_text(cfg, "trace.file"),
		.trace_from = config_uint(cfg, "trace.from"),
		.trace_limit = config_uint(cfg, "trace.limit"),
		.console = config_enum(cfg, "console"),
		.can_reboot = config_bool(cfg, "reboot"),
		.has_mptable = config_bool(cfg, "x86.mptable"),
		.has_test_device = config_bool(cfg, "testdev"),
		.debug_ports =
			config_enum(cfg, "debug.port"), /* off, first, second, both: two bits */
		.rtc_uses_localtime = config_bool(cfg, "rtc.use_localtime"),
		.missed_ticks = config_enum(cfg, "pit.missed_ticks"),
		.prints_stats = config_bool(cfg, "stats"),
		.debug_single_step = config_bool(cfg, "debug.singlestep"),
		.debug_ioport = config_bool(cfg, "debug.ioport"),
		.debug_mmio = config_bool(cfg, "debug.mmio"),
		.move_every_ms = config_uint(cfg, "debug.move_every"),
		.move_to = copy_text(cfg, "debug.move_to"),
	};
	int rc = read_topology(s, cfg, err);

	if (!rc)
		rc = read_cpusets(s, cfg, err);
	if (!rc)
		rc = read_kernel(s, cfg, err);
	return rc;
}

void settings_free(struct settings *s)
{
	free(s->name);
	free(s->cpu_model);
	free(s->accel);
	free(s->kvm_device);
	free(s->soft_listing);
	free(s->trace_file);
	free(s->move_to);
	free(s->kernel_path);
	free(s->initrd_path);
	free(s->symbols_path);
	free(s->cmdline);
	for (unsigned i = 0; s->cpusets && i < s->nr_vcpus; i++)
		free(s->cpusets[i]);
	free(s->cpusets);
	*s = (struct settings){0};
}

struct engine_options settings_engine_options(const struct settings *s)
{
	return (struct engine_options){
		.kvm_device = s->kvm_device,
		.block_cache_size = s->soft_block_cache,
		.is_interpreter = !s->soft_translate,
		.code_cache_size = s->soft_code_cache,
		.heat = s->soft_heat,
		.has_sites_always = s->soft_sites_always,
		.has_perf_map = s->soft_has_perf_map,
		.code_listing = s->soft_listing,
		.trace_file = s->trace_file,
		.trace_from = s->trace_from,
		.trace_limit = s->trace_limit,
	};
}

cpu_set_t *settings_take_cpuset(struct settings *s, unsigned number)
{
	cpu_set_t *set = s->cpusets[number];

	s->cpusets[number] = NULL;
	return set;
}
