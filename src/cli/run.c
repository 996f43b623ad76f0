/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bantam run`: command line to configuration, configuration to VM, end of the VM to exit status.
 */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "cli/banner.h"
#include "cli/exit_codes.h"
#include "cli/guest_root.h"
#include "cli/resolve.h"
#include "cli/run_options.h"
#include "cli/verb.h"
#include "config/config.h"
#include "machine/keys.h"
#include "machine/vm.h"

#define USAGE "usage: bantam run [OPTION...] [KERNEL]\n"

static void describe_key(const struct config_key *key, struct buf *out)
{
	buf_printf(out, "  %s\n      %s (", key->name, key->help);
	config_describe_value(key, out);
	if (key->fallback)
		buf_printf(out, "; default %s", key->fallback);
	buf_printf(out, ")\n");
}

static void run_describe(struct buf *out)
{
	struct config *cfg = config_new();
	const struct config_key *key;

	machine_register_keys(cfg);
	buf_printf(out, USAGE "\nRuns a virtual machine; its console is this terminal.\n\n");
	options_describe(&run_option_table, out);
	buf_printf(out,
		   "\nOn the console: Ctrl-a x ends the VM, Ctrl-a b sends a break, Ctrl-a Ctrl-a "
		   "sends Ctrl-a.\n"
		   "\nKeys for -o and --config; options write the same keys:\n");
	for (unsigned i = 0; (key = config_key_at(cfg, i)) != NULL; i++)
		describe_key(key, out);
	config_free(cfg);
	buf_printf(out, "\nExit status:\n");
	for (const struct exit_text *t = exit_texts; t->meaning; t++)
		buf_printf(out, "  %2d  %s\n", t->code, t->meaning);
	buf_printf(out,
		   "\nExamples:\n"
		   "  bantam run -i initrd.img /boot/vmlinuz\n"
		   "  bantam run -c cpus=4,sockets=1,cores=2,threads=2 -m 2G -p 'quiet' bzImage\n"
		   "  bantam run --accel soft --dump-config -k bzImage >vm.conf\n"
		   "  bantam run --config vm.conf -o memory.size=512M\n");
}

static int print_help(void)
{
	struct buf text = {0};

	run_describe(&text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static int print_dump(const struct config *cfg)
{
	struct buf text = {0};

	config_dump(cfg, &text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static void print_banner(const struct config *cfg)
{
	struct buf text = {0};

	if (!log_enabled(LOG_INFO))
		return;
	banner_compose(cfg, &text);
	fprintf(stderr, "%s\n", buf_text(&text));
	buf_free(&text);
}

static int status_of(struct vm_result result)
{
	switch (result.outcome) {
	case VM_POWERED_OFF:
		if (log_enabled(LOG_INFO))
			fprintf(stderr, "\n  # VM session ended normally.\n");
		return EXIT_POWERED_OFF;
	case VM_REBOOTED:
		return EXIT_REBOOTED;
	case VM_TRIPLE_FAULT:
		return EXIT_TRIPLE_FAULT;
	case VM_QUIT:
		return EXIT_USER_QUIT;
	case VM_TERMINATED:
		return EXIT_TERMINATED;
	case VM_TEST_EXIT:
		return result.test_status;
	case VM_RUNNING:
	case VM_ENGINE_FAILURE:
		break;
	}
	return EXIT_ENGINE_FAILURE;
}

static int run_vm(const struct config *cfg)
{
	struct error err = {0};

	print_banner(cfg);
	struct vm *vm = vm_new(cfg, &err);
	if (!vm)
		return verb_fail(EXIT_CONFIG, &err);
	struct vm_result result = vm_run(vm);
	vm_free(vm);
	return status_of(result);
}

static int run_request(struct run_request *r, int argc, char **argv)
{
	struct host_facts host;
	struct error err = {0};
	int rc = options_parse(&run_option_table, argc, argv, r, &err);

	if (rc) {
		verb_fail(rc, &err);
		if (rc == EXIT_USAGE)
			fprintf(stderr, USAGE);
		return rc;
	}
	if (r->wants_help)
		return print_help();
	log_set_level((enum log_level)config_enum(r->cfg, "log.level"));
	host_facts_get(&host);
	if (resolve_config(r->cfg, &host, &err))
		return verb_fail(EXIT_CONFIG, &err);
	/* A dump without a kernel is a file to be used with one. */
	if (resolve_kernel(r->cfg, &host, &err) && !r->wants_dump)
		return verb_fail(EXIT_CONFIG, &err);
	if (config_is_set(r->cfg, "kernel.path") && guest_root_resolve(r->cfg, &err))
		return verb_fail(EXIT_CONFIG, &err);
	return r->wants_dump ? print_dump(r->cfg) : run_vm(r->cfg);
}

static int run_main(int argc, char **argv)
{
	struct run_request r = {.cfg = config_new()};

	machine_register_keys(r.cfg);
	int rc = run_request(&r, argc, argv);
	config_free(r.cfg);
	return rc;
}

const struct verb verb_run = {"run", "run a virtual machine", run_main, run_describe};
