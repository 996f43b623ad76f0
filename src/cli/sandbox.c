/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bantam sandbox`: one command in a guest of its own on the host's files, which it cannot change. Its
 * streams and its exit status are bantam's.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/parse.h"
#include "boot/initramfs/protocol.h"
#include "cli/exit_codes.h"
#include "cli/guest_command.h"
#include "cli/guest_root.h"
#include "cli/resolve.h"
#include "cli/sandbox_options.h"
#include "cli/verb.h"
#include "config/config.h"
#include "machine/keys.h"
#include "machine/vm.h"

#define USAGE "usage: bantam sandbox [OPTION...] [--] COMMAND [ARGUMENT...]\n"

/* Statuses that are not the command's, as env(1) and timeout(1) have them. */
#define STATUS_FAILED	 125
#define STATUS_TIMED_OUT 124

#define MEMORY_WANTED GIB /* only what is touched is used */

/* The self-tests of the crypto drivers are a fifth of a boot, and say nothing about the command. */
#define KERNEL_PARAMS "quiet cryptomgr.notests"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

static void sandbox_describe(struct buf *out)
{
	buf_printf(out, USAGE
		   "\nRuns a command in a virtual machine that sees this host's files, but changes "
		   "nothing of\nthem but in folders given with --rw. Its status is bantam's.\n\n");
	options_describe(&sandbox_option_table, out);
	buf_printf(out,
		   "\nThe options of 'bantam run' are taken too. The first word that is no option "
		   "begins the\ncommand.\n"
		   "\nExit status:\n"
		   "  0-255  that of the command; 128 + N when signal N ended it\n"
		   "  124  the time was up (--timeout)\n"
		   "  125  bantam could not run the virtual machine\n"
		   "  126  the command was found but cannot be run\n"
		   "  127  the command was not found\n"
		   "\nOn a terminal, Ctrl-] three times within a second ends the guest.\n"
		   "\nExamples:\n"
		   "  bantam sandbox make test\n"
		   "  bantam sandbox --rw . --timeout 10m -c 4 -m 4G -- make -j4\n"
		   "  bantam sandbox --net --env http_proxy -- curl https://example.org\n");
}

/* ---- the request ---- */

static void add_text(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text) + 1);
}

/* Variables are kept as NAME=VALUE, each name once; a later one replaces an earlier. */
struct variables {
	struct buf text;
	uint32_t nr;
};

static void set_variable(struct variables *v, const char *name, size_t name_len, const char *value)
{
	size_t at = 0;

	while (at < v->text.len) {
		char *entry = (char *)v->text.data + at;
		size_t len = strlen(entry) + 1;

		if (len > name_len && entry[name_len] == '=' && !memcmp(entry, name, name_len)) {
			memmove(entry, entry + len, v->text.len - at - len);
			v->text.len -= len;
			v->nr--;
			break;
		}
		at += len;
	}
	buf_printf(&v->text, "%.*s=%s", (int)name_len, name, value);
	buf_append(&v->text, "", 1);
	v->nr++;
}

static void pass_variable(struct variables *v, const char *name)
{
	const char *value = getenv(name);

	if (value)
		set_variable(v, name, strlen(name), value);
}

static void collect_variables(const struct sandbox_request *r, struct variables *v)
{
	static const char *const passed[] = {"PATH", "HOME", "TERM", "LANG", "LC_ALL", "TZ"};
	const char *user = r->uid ? NULL : "root";

	set_variable(v, "PATH", 4, DEFAULT_PATH);
	set_variable(v, "HOME", 4, "/");
	for (char **e = environ; r->keeps_env && *e; e++) {
		const char *equals = strchr(*e, '=');

		if (equals)
			set_variable(v, *e, (size_t)(equals - *e), equals + 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(passed); i++)
		pass_variable(v, passed[i]);
	if (user) {
		set_variable(v, "USER", 4, user);
		set_variable(v, "LOGNAME", 7, user);
	}
	set_variable(v, "SHELL", 5, "/bin/sh");
	for (unsigned i = 0; i < r->nr_env; i++) {
		const char *equals = strchr(r->env[i], '=');

		if (equals)
			set_variable(v, r->env[i], (size_t)(equals - r->env[i]), equals + 1);
		else
			pass_variable(v, r->env[i]);
	}
}

static int compose_request(const struct sandbox_request *r, bool is_terminal, struct buf *out,
			   struct error *err)
{
	struct variables v = {0};
	char *cwd = r->cwd ? mem_strdup(r->cwd) : getcwd(NULL, 0);

	if (!cwd)
		return error_set_errno(err, -errno, "the current folder; give one with --cwd");
	collect_variables(r, &v);
	struct winsize size = {0};
	if (is_terminal)
		ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	const struct request head = {
		.flags = is_terminal ? REQUEST_TERMINAL : 0,
		.uid = r->uid,
		.gid = r->gid,
		.nr_args = (uint32_t)r->argc,
		.nr_env = v.nr,
		.window = {.rows = size.ws_row, .columns = size.ws_col},
	};
	buf_append(out, &head, sizeof(head));
	add_text(out, cwd);
	for (int i = 0; i < r->argc; i++)
		add_text(out, r->argv[i]);
	buf_append(out, v.text.data, v.text.len);
	buf_free(&v.text);
	free(cwd);
	return out->len <= FRAME_REQUEST_MAX
		       ? 0
		       : error_set(err, -E2BIG, "the command and its environment are too long");
}

/* ---- the machine ---- */

/* Each pair: bantam's devices hold [0], the command's thread [1]. */
struct wires {
	int channel[2], console[2];
};

static int set_default(struct config *cfg, const char *key, const char *value, struct error *err)
{
	return config_is_set(cfg, "%s", key) ? 0 : config_set(cfg, key, value, err);
}

static int set_channel(struct config *cfg, const char *key, int fd, struct error *err)
{
	char text[32];

	snprintf(text, sizeof(text), "fd:%d", fd);
	return config_set(cfg, key, text, err);
}

static int configure_memory(struct config *cfg, const struct host_facts *host, struct error *err)
{
	char text[32];

	if (config_is_set(cfg, "memory.size") || !host->ram_bytes)
		return 0;
	format_size(ALIGN_DOWN(min(MEMORY_WANTED, host->ram_bytes / 2), MIB), text, sizeof(text));
	return config_set(cfg, "memory.size", text, err);
}

static int configure_network(const struct sandbox_request *r, struct error *err)
{
	struct config *cfg = r->run.cfg;
	unsigned first = 0;
	bool has_cards = config_next(cfg, "net", &first);

	if (!has_cards && config_set(cfg, "net.0.mode", r->has_net ? "user" : "none", err))
		return -EINVAL;
	return has_cards || r->has_net ? config_set(cfg, "init.dhcp", "true", err) : 0;
}

/* The port that carries the session gets a number no other port has. */
static int configure_port(struct config *cfg, int fd, struct error *err)
{
	char key[CONFIG_NAME_MAX];
	unsigned i = 0;

	while (config_next(cfg, "port", &i))
		i++;
	snprintf(key, sizeof(key), "port.%u.channel", i);
	int rc = set_channel(cfg, key, fd, err);
	snprintf(key, sizeof(key), "port.%u.name", i);
	return rc ? rc : config_set(cfg, key, CHANNEL_NAME, err);
}

static int configure_shares(const struct sandbox_request *r, const struct kernel_abilities *kernel,
			    struct error *err)
{
	int rc = 0;

	if (config_is_set(r->run.cfg, "kernel.initrd"))
		return error_set(
			err, -EINVAL,
			"kernel.initrd: a sandbox has an initrd of its own (leave out --initrd)");
	/* Disks are for the command; the guest boots from none of them. */
	if (!config_is_set(r->run.cfg, "init.root.tag"))
		rc = guest_root_set(r->run.cfg, kernel, err);
	for (unsigned i = 0; !rc && i < r->nr_folders; i++) {
		rc = guest_root_add_folder(r->run.cfg, kernel, r->folders[i], err);
		if (rc)
			error_prefix(err, "--rw");
	}
	return rc;
}

static int configure(const struct sandbox_request *r, const struct wires *w, struct error *err)
{
	struct config *cfg = r->run.cfg;
	struct kernel_abilities kernel;
	struct host_facts host;

	host_facts_get(&host);
	int rc = configure_memory(cfg, &host, err);
	if (!rc)
		rc = set_default(cfg, "name", "sandbox", err);
	if (!rc)
		rc = configure_network(r, err);
	if (!rc)
		rc = resolve_config(cfg, &host, err);
	if (!rc)
		rc = resolve_kernel(cfg, &host, err);
	if (!rc)
		rc = kernel_abilities_get(cfg, &kernel, err);
	if (!rc)
		rc = configure_shares(r, &kernel, err);
	if (!rc)
		rc = set_default(cfg, "init.session", kernel.has_ports ? "virtio" : "serial", err);
	if (!rc && !strcmp(config_text(cfg, "init.session"), "serial"))
		rc = set_channel(cfg, "serial.1.channel", w->channel[0], err);
	else if (!rc)
		rc = configure_port(cfg, w->channel[0], err);
	if (!rc)
		rc = set_channel(cfg, "serial.0.channel", w->console[0], err);
	if (!rc)
		rc = set_default(cfg, "kernel.params", KERNEL_PARAMS, err);
	/* Starting at once counts for more here than a random address of the guest's kernel. */
	if (!rc)
		rc = set_default(cfg, "kernel.unpack", "true", err);
	return rc ? rc : config_set(cfg, "reboot", "false", err);
}

static void close_pair(int pair[2], int side)
{
	if (pair[side] >= 0)
		close(pair[side]);
	pair[side] = -1;
}

static int open_wires(struct wires *w, struct error *err)
{
	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->channel) &&
	    !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->console))
		return 0;
	return error_set_errno(err, -errno, "socketpair");
}

static void close_wires(struct wires *w)
{
	for (int side = 0; side < 2; side++) {
		close_pair(w->channel, side);
		close_pair(w->console, side);
	}
}

/* ---- running ---- */

static void print_console(struct buf *console)
{
	if (!console->len)
		return;
	fprintf(stderr, "bantam: the guest's last messages:\n");
	fwrite(console->data, 1, console->len, stderr);
}

static int status_of(struct guest_command_result *result)
{
	switch (result->outcome) {
	case COMMAND_ENDED:
		return result->status;
	case COMMAND_SIGNALLED:
		return 128 + result->status;
	case COMMAND_QUIT:
		return 128 + SIGKILL;
	case COMMAND_TIMED_OUT:
		log_error("sandbox: the time is up");
		return STATUS_TIMED_OUT;
	case COMMAND_FAILED:
		log_error("sandbox: %s", result->text);
		break;
	case COMMAND_LOST:
		log_error("sandbox: the guest ended before the command did");
		break;
	}
	print_console(&result->console);
	return STATUS_FAILED;
}

/* What the command's thread knows of the VM, which may be gone before it. */
struct link {
	pthread_mutex_t lock;
	struct vm *vm; /* NULL: not there any more */
};

static void guest_is_over(void *ctx)
{
	struct link *link = ctx;

	pthread_mutex_lock(&link->lock);
	if (link->vm)
		vm_quit(link->vm);
	pthread_mutex_unlock(&link->lock);
}

static void unlink_vm(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	link->vm = NULL;
	pthread_mutex_unlock(&link->lock);
}

static void signal_came(void *ctx, int number)
{
	guest_command_signal(ctx, number);
}

static void block_window_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool wants_terminal(const struct sandbox_request *r)
{
	bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

	return r->terminal == TERMINAL_ALWAYS || (r->terminal == TERMINAL_AUTO && is_terminal);
}

/*
 * Runs the VM and the command to their end. Freeing the VM passes on what its devices still hold;
 * closing their ends then tells the command's thread that nothing more will come.
 */
static int run_guest(struct vm *vm, const struct guest_command_params *params, struct wires *w,
		     struct error *err)
{
	struct link *link = params->ctx;
	struct guest_command *command = guest_command_start(params, err);

	if (!command) {
		vm_free(vm);
		return STATUS_FAILED;
	}
	vm_on_signal(vm, signal_came, command);
	vm_run(vm);
	unlink_vm(link);
	vm_free(vm);
	close_pair(w->channel, 0);
	close_pair(w->console, 0);
	struct guest_command_result result = guest_command_finish(command);
	int status = status_of(&result);
	buf_free(&result.console);
	return status;
}

static int make_guest(const struct sandbox_request *r, struct wires *w, struct error *err)
{
	const struct config *cfg = r->run.cfg;
	struct link link = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct guest_command_params params = {
		.channel = w->channel[1],
		.console = w->console[1],
		.is_terminal = wants_terminal(r),
		.stdin_window = STDIN_WINDOW,
		.timeout_ns = r->timeout_ns,
		.over = guest_is_over,
		.ctx = &link,
	};

	if (params.is_terminal && !isatty(STDIN_FILENO))
		return error_set(err, STATUS_FAILED, "--tty: stdin is no terminal");
	if (compose_request(r, params.is_terminal, &params.request, err))
		goto fail;
	block_window_signal();
	link.vm = vm_new(cfg, err);
	if (link.vm)
		return run_guest(link.vm, &params, w, err);
fail:
	buf_free(&params.request);
	return STATUS_FAILED;
}

/* err has a sentence when it is bantam that failed. */
static int run_sandbox(const struct sandbox_request *r, struct error *err)
{
	struct wires w = {{-1, -1}, {-1, -1}};
	int status = STATUS_FAILED;

	if (!open_wires(&w, err) && !configure(r, &w, err))
		status = make_guest(r, &w, err);
	close_wires(&w);
	return status;
}

static int print_help(void)
{
	struct buf text = {0};

	sandbox_describe(&text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static int handle(struct sandbox_request *r, int argc, char **argv)
{
	struct error err = {0};
	int rc = sandbox_options_parse(r, argc, argv, &err);

	if (r->run.wants_help)
		return print_help();
	if (!rc && !r->argc)
		rc = error_set(&err, EXIT_USAGE, "a command is missing");
	if (rc) {
		verb_fail(rc, &err);
		fprintf(stderr, USAGE);
		return STATUS_FAILED;
	}
	log_set_level((enum log_level)config_enum(r->run.cfg, "log.level"));
	int status = run_sandbox(r, &err);
	if (err.text[0])
		verb_fail(STATUS_FAILED, &err);
	return status;
}

static int sandbox_main(int argc, char **argv)
{
	struct sandbox_request r = {.run = {.cfg = config_new()}};

	machine_register_keys(r.run.cfg);
	/* The command's stderr is its own; what bantam has to say otherwise is for -v. */
	config_set(r.run.cfg, "log.level", "error", NULL);
	int rc = handle(&r, argc, argv);
	sandbox_request_fini(&r);
	config_free(r.run.cfg);
	return rc;
}

const struct verb verb_sandbox = {"sandbox", "run a command in a guest on this host's files",
				  sandbox_main, sandbox_describe};
