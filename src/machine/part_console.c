/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio console device: consoles hvc0 ... and named ports, each with a channel. There is one
 * device, and only when somebody asks for a console or port.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/char/channel.h"
#include "base/base.h"
#include "host/io_thread.h"
#include "machine/part_serial.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/console.h"

#define NAME_MAX_LEN 63 /* of a port; the guest's own limit is that of a file name */

static const struct config_key keys[] = {
	{.name = "console.N.channel",
	 .type = CONFIG_STRING,
	 .help = "what the virtio console hvcN is connected to, as with serial.N.channel; stdio "
		 "for "
		 "hvc0 with console=virtio when not given"},
	{.name = "console.channel",
	 .type = CONFIG_STRING,
	 .help = "the same for all virtio consoles without a channel of their own"},
	{.name = "port.N.channel",
	 .type = CONFIG_STRING,
	 .help = "makes a byte stream of the guest, /dev/virtio-ports/NAME there, and says what it "
		 "is connected to; none: there is no such stream"},
	{.name = "port.N.name",
	 .type = CONFIG_STRING,
	 .help = "name the guest sees of that stream"},
};

static bool is_main(const struct config *cfg, unsigned i)
{
	return !i && config_enum(cfg, "console") == CONSOLE_VIRTIO;
}

static unsigned nr_consoles(const struct config *cfg)
{
	unsigned nr = is_main(cfg, 0) ? 1 : 0;

	for (unsigned i = 0; config_next(cfg, "console", &i); i++)
		nr = i + 1;
	return nr;
}

/* Consoles that are only there because a later one is take what all take. */
static const char *console_channel(const struct config *cfg, unsigned i)
{
	const char *text = config_text(cfg, "console.%u.channel", i);

	if (!text)
		text = terminal_channel(cfg, i, true);
	if (!text)
		text = config_text(cfg, "console.channel");
	if (!text)
		text = is_main(cfg, i) ? "stdio" : "null";
	return text;
}

/* ---- checks ---- */

static int check_channel(const struct config *cfg, const char *key, unsigned i, struct error *err)
{
	char name[CONFIG_NAME_MAX];

	snprintf(name, sizeof(name), key, i);
	const char *text = config_text(cfg, "%s", name);
	if (!text || !channel_check(text, err))
		return 0;
	error_prefix(err, "%s", name);
	return -EINVAL;
}

/* A name becomes a file name in the guest, so it must be one, and the only one. */
static int check_name(const struct config *cfg, unsigned i, struct error *err)
{
	const char *name = config_text(cfg, "port.%u.name", i);

	if (!name)
		return 0;
	if (!*name || strlen(name) > NAME_MAX_LEN || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return error_set(err, -EINVAL,
				 "port.%u.name: '%s' must be a file name of 1 to %u bytes", i, name,
				 NAME_MAX_LEN);
	for (unsigned k = 0; config_next(cfg, "port", &k) && k < i; k++) {
		const char *other = config_text(cfg, "port.%u.name", k);

		if (other && !strcmp(other, name))
			return error_set(err, -EINVAL,
					 "port.%u.name: port %u is called '%s' already", i, k,
					 name);
	}
	return 0;
}

static int check(const struct config *cfg, struct error *err)
{
	unsigned nr = max(nr_consoles(cfg), 1u);
	int rc = check_channel(cfg, "console.channel", 0, err);

	for (unsigned i = 0; !rc && config_next(cfg, "console", &i); i++)
		rc = check_channel(cfg, "console.%u.channel", i, err);
	for (unsigned i = 0; !rc && config_next(cfg, "port", &i); i++) {
		rc = check_channel(cfg, "port.%u.channel", i, err);
		if (!rc)
			rc = check_name(cfg, i, err);
		if (!rc && !config_text(cfg, "port.%u.channel", i))
			rc = error_set(err, -EINVAL, "port.%u.channel is missing", i);
		nr++;
	}
	if (!rc && nr > VIRTIO_CONSOLE_PORTS_MAX)
		rc = error_set(
			err, -EINVAL,
			"more than %u consoles and ports; consoles without a channel of their "
			"own, up to the last that has one, count too",
			VIRTIO_CONSOLE_PORTS_MAX);
	return rc;
}

/* ---- making ---- */

/* Opens a channel for a port, unless it says that there shall be none. */
static int open_port(struct vm *vm, struct loop *loop, const char *text, const char *what,
		     struct virtio_console_port *port, struct error *err)
{
	if (channel_is_none(text))
		return 0;
	port->chr = channel_open(vm->channels, loop, text, what, err);
	if (port->chr)
		return 0;
	error_prefix(err, "%s", what);
	return -EIO;
}

static int open_consoles(struct vm *vm, const struct config *cfg, struct loop *loop,
			 struct virtio_console_port *ports, struct error *err)
{
	unsigned nr = nr_consoles(cfg);
	int rc = 0;

	for (unsigned i = 0; !rc && i < nr; i++) {
		const char *text = console_channel(cfg, i);
		bool is_terminal = text == terminal_channel(cfg, i, true);
		char what[32];

		snprintf(what, sizeof(what), "%s %u", is_terminal ? "terminal" : "console", i);
		rc = open_port(vm, loop, text, what, &ports[i], err);
	}
	return rc;
}

/* Fills ports from the first that is no console; *nr becomes the number of all. */
static int open_streams(struct vm *vm, const struct config *cfg, struct loop *loop,
			struct virtio_console_port *ports, unsigned *nr, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && config_next(cfg, "port", &i); i++) {
		struct virtio_console_port *port = &ports[(*nr)++];
		char what[96];

		port->is_console = false;
		port->name = config_text(cfg, "port.%u.name", i);
		snprintf(what, sizeof(what), "port %s", port->name ? port->name : "without a name");
		rc = open_port(vm, loop, config_text(cfg, "port.%u.channel", i), what, port, err);
	}
	return rc;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = {{0}};
	unsigned nr = nr_consoles(cfg), first_stream = 0;

	if (!nr && !config_next(cfg, "port", &first_stream))
		return 0;
	nr = max(nr, 1u); /* the first is never a stream: a driver may know of one console only */
	for (unsigned i = 0; i < nr; i++)
		ports[i].is_console = true;
	struct io_thread *io = vm_shared_io(vm, err);
	if (!io)
		return -EAGAIN;
	struct loop *loop = io_thread_loop(io);
	int rc = open_consoles(vm, cfg, loop, ports, err);
	if (!rc)
		rc = open_streams(vm, cfg, loop, ports, &nr, err);
	/* Also after a failure: with the device the channels are freed, on their thread. */
	struct virtio_device *d = virtio_console_new(vm->mem, loop, ports, nr);
	if (!rc)
		return vm_add_virtio(vm, d, 0, err);
	virtio_free(d);
	return rc;
}

const struct part_type part_console = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
