/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/resolve.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backend/net/user.h"
#include "base/base.h"
#include "base/log.h"
#include "base/parse.h"
#include "config/config.h"
#include "debug/symbols.h"

#define VCPUS_MAX	  65535
#define DEFAULT_VCPUS_MAX 64 /* what every engine can give; more must be asked for */
#define RAM_PER_CPU	  (64 * MIB)

void host_facts_get(struct host_facts *host)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGE_SIZE);
	struct utsname name;

	*host = (struct host_facts){.online_cpus = cpus > 0 ? (unsigned)cpus : 1, .pid = getpid()};
	if (pages > 0 && page_size > 0)
		host->ram_bytes = (uint64_t)pages * (uint64_t)page_size;
	if (!uname(&name))
		snprintf(host->release, sizeof(host->release), "%s", name.release);

	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	snprintf(host->kernels[0], sizeof(host->kernels[0]), "/boot/vmlinuz-*");
	if (cache && *cache == '/')
		snprintf(host->kernels[1], sizeof(host->kernels[1]), "%s/bantam/*/boot/vmlinuz-*",
			 cache);
	else if (home && *home == '/')
		snprintf(host->kernels[1], sizeof(host->kernels[1]),
			 "%s/.cache/bantam/*/boot/vmlinuz-*", home);
}

static int set_number(struct config *cfg, const char *key, uint64_t value, struct error *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return config_set(cfg, key, text, err);
}

/* BH-03: the product of the topology is the number of CPUs, whichever of the two is given. */
static int resolve_topology(struct config *cfg, const struct host_facts *host, struct error *err)
{
	bool has_cpus = config_is_set(cfg, "cpus"), has_sockets = config_is_set(cfg, "sockets");
	bool has_shape =
		has_sockets || config_is_set(cfg, "cores") || config_is_set(cfg, "threads");

	if (!has_cpus && !has_shape)
		return set_number(cfg, "cpus", min(host->online_cpus, (unsigned)DEFAULT_VCPUS_MAX),
				  err);
	uint64_t cpus = has_cpus ? config_uint(cfg, "cpus") : 1;
	uint64_t sockets = has_sockets ? config_uint(cfg, "sockets") : cpus;
	uint64_t cores = config_uint(cfg, "cores"), threads = config_uint(cfg, "threads");
	uint64_t product = sockets * cores * threads;

	if (product > VCPUS_MAX)
		return error_set(err, -EINVAL, "Computed number of vCPUs too high: %llu",
				 (unsigned long long)product);
	if (has_cpus && product != cpus)
		return error_set(err, -EINVAL,
				 "Topology (%llu sockets, %llu cores, %llu threads) does not match "
				 "%llu vCPUs",
				 (unsigned long long)sockets, (unsigned long long)cores,
				 (unsigned long long)threads, (unsigned long long)cpus);
	if (has_cpus)
		return 0;
	/* A group of cores or threads was given and the rest follows from it. */
	int rc = set_number(cfg, "cpus", product, err);
	return rc ? rc : set_number(cfg, "sockets", sockets, err);
}

/* 64 MiB for each CPU and three more, but at most 80 % of what the host has (KT-06). */
static uint64_t default_memory(const struct config *cfg, const struct host_facts *host)
{
	uint64_t wanted = RAM_PER_CPU * (config_uint(cfg, "cpus") + 3);
	uint64_t most = host->ram_bytes / 10 * 8;

	if (!host->ram_bytes) {
		log_warn("the size of host memory is unknown: guest memory defaults to 64 MiB");
		most = RAM_PER_CPU;
	}
	return max(ALIGN_DOWN(min(wanted, most), MIB), MIB);
}

static int resolve_memory(struct config *cfg, const struct host_facts *host, struct error *err)
{
	if (!config_is_set(cfg, "memory.size")) {
		char text[32];

		format_size(default_memory(cfg, host), text, sizeof(text));
		return config_set(cfg, "memory.size", text, err);
	}
	uint64_t bytes = config_uint(cfg, "memory.size");
	if (host->ram_bytes && bytes > host->ram_bytes)
		log_warn("Guest memory size %lluMB exceeds host physical RAM size %lluMB",
			 (unsigned long long)(bytes / MIB),
			 (unsigned long long)(host->ram_bytes / MIB));
	return 0;
}

static bool is_regular_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

/*
 * The newest regular file a pattern matches and this user may read, going by its name; to be freed.
 * NULL: there is none. unreadable: the last one that may not be read, to be freed, if any.
 */
static char *newest(const char *pattern, char **unreadable)
{
	const char *found = NULL, *found_name = NULL;
	glob_t paths;

	if (glob(pattern, 0, NULL, &paths))
		return NULL;
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		const char *name = strrchr(paths.gl_pathv[i], '/') + 1;

		if (!is_regular_file(paths.gl_pathv[i]))
			continue;
		if (access(paths.gl_pathv[i], R_OK)) {
			free(*unreadable);
			*unreadable = mem_strdup(paths.gl_pathv[i]);
		} else if (!found || strverscmp(name, found_name) > 0) {
			found = paths.gl_pathv[i];
			found_name = name;
		}
	}
	char *copy = found ? mem_strdup(found) : NULL;
	globfree(&paths);
	return copy;
}

/* KT-22; then any kernel there is. Returns it, to be freed; places is then what was looked at. */
static char *search_kernel(const struct host_facts *host, struct buf *places, char **unreadable)
{
	char vmlinuz[96], bzimage[96];
	const char *const fixed[] = {"./bzImage", "arch/x86/boot/bzImage",
				     "../../arch/x86/boot/bzImage", vmlinuz, bzimage};
	char *path = NULL;

	snprintf(vmlinuz, sizeof(vmlinuz), "/boot/vmlinuz-%s", host->release);
	snprintf(bzimage, sizeof(bzimage), "/boot/bzImage-%s", host->release);
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		if (is_regular_file(fixed[i]) && !access(fixed[i], R_OK))
			return mem_strdup(fixed[i]);
		buf_printf(places, " %s", fixed[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(host->kernels) && *host->kernels[i] && !path; i++) {
		path = newest(host->kernels[i], unreadable);
		buf_printf(places, " %s", host->kernels[i]);
	}
	return path;
}

static int find_kernel(struct config *cfg, const struct host_facts *host, struct error *err)
{
	struct buf places = {0};
	char *unreadable = NULL;
	char *path = search_kernel(host, &places, &unreadable);
	int rc = path ? config_set(cfg, "kernel.path", path, err) : -EINVAL;

	if (!path && unreadable)
		error_set(err, rc,
			  "Fatal: the kernel image %s is not for this user to read: run 'sudo "
			  "chmod a+r %s', or name one with --kernel FILE",
			  unreadable, unreadable);
	else if (!path)
		error_set(err, rc,
			  "Fatal: could not find default kernel image in:%s; install "
			  "linux-image-cloud-amd64 or name one with --kernel FILE",
			  buf_text(&places));
	free(path);
	free(unreadable);
	buf_free(&places);
	return rc;
}

/* KT-23: the kernel's own build tree, when bantam is started inside it. Other files are passed
 * over. */
static void find_symbols(struct config *cfg)
{
	static const char *const places[] = {"vmlinux", "../../../vmlinux", "../../vmlinux"};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		struct symbols *found = NULL;

		if (is_regular_file(places[i]))
			found = symbols_load(places[i], NULL);
		symbols_free(found);
		if (found) {
			config_set(cfg, "kernel.symbols", places[i], NULL);
			return;
		}
	}
}

/* A guest has a network card unless the user says something else about networks. */
static int resolve_network(struct config *cfg, struct error *err)
{
	unsigned i = 0;

	if (config_next(cfg, "net", &i) || config_bool(cfg, "nodefaults"))
		return 0;
	if (!user_is_available()) {
		log_debug("no network card: this build has no user-mode networking");
		return 0;
	}
	return config_set(cfg, "net.0.mode", "user", err);
}

int resolve_config(struct config *cfg, const struct host_facts *host, struct error *err)
{
	int rc = 0;

	if (!config_is_set(cfg, "name")) {
		char name[32];

		snprintf(name, sizeof(name), "guest-%d", host->pid);
		rc = config_set(cfg, "name", name, err);
	}
	if (!rc)
		rc = resolve_topology(cfg, host, err);
	if (!rc)
		rc = resolve_memory(cfg, host, err);
	return rc ? rc : resolve_network(cfg, err);
}

int resolve_kernel(struct config *cfg, const struct host_facts *host, struct error *err)
{
	if (!config_is_set(cfg, "kernel.path")) {
		if (!config_bool(cfg, "kernel.search"))
			return error_set(err, -EINVAL,
					 "kernel.path is not set and kernel.search is off");
		int rc = find_kernel(cfg, host, err);
		if (rc)
			return rc;
	}
	if (!config_is_set(cfg, "kernel.symbols"))
		find_symbols(cfg);
	return 0;
}
