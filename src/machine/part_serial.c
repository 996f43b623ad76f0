/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The four serial ports of a PC, and which channel each is connected to.
 */
#include "machine/part_serial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/char/channel.h"
#include "base/base.h"
#include "base/buf.h"
#include "device/serial.h"
#include "machine/parts.h"
#include "machine/pc.h"
#include "machine/vm_impl.h"

#define NR_PORTS 4

struct serial_ports {
	struct char_dev *channels[NR_PORTS]; /* NULL: nothing is plugged in, or no port */
	unsigned missing;		     /* bit N: no port */
};

static const struct config_key keys[] = {
	{.name = "serial.N.channel",
	 .type = CONFIG_STRING,
	 .help = "what serial port N, 0 to 3, is connected to: stdio, fd:N, pts, tty:PATH, "
		 "port:[ADDR:]N, unix:PATH, file:PATH, null, none, or IN,OUT; with none the guest "
		 "has no such port"},
	{.name = "serial.channel",
	 .type = CONFIG_STRING,
	 .help = "the same for all serial ports without a channel of their own"},
	{.name = "tty.N",
	 .type = CONFIG_STRING,
	 .help = "channel of terminal N, 0 to 3: serial port N, or with console=virtio and N 0 the "
		 "console"},
};

const char *terminal_channel(const struct config *cfg, unsigned number, bool is_console)
{
	bool is_on_console = !number && config_enum(cfg, "console") == CONSOLE_VIRTIO;

	return is_on_console == is_console ? config_text(cfg, "tty.%u", number) : NULL;
}

/* The channel of a port: a word, or NULL when nothing is plugged in. */
static const char *channel_of(const struct config *cfg, unsigned i)
{
	const char *text = config_text(cfg, "serial.%u.channel", i);

	if (!text)
		text = terminal_channel(cfg, i, false);
	if (!text)
		text = config_text(cfg, "serial.channel");
	if (!text && !i && config_enum(cfg, "console") == CONSOLE_SERIAL)
		text = "stdio";
	return text;
}

static int check_group(const struct config *cfg, const char *group, const char *tail,
		       struct error *err)
{
	for (unsigned i = 0; config_next(cfg, group, &i); i++) {
		if (i >= NR_PORTS)
			return error_set(err, -EINVAL, "%s.%u%s: there are only 0 to %u", group, i,
					 tail, NR_PORTS - 1);
		if (channel_check(config_text(cfg, "%s.%u%s", group, i, tail), err)) {
			error_prefix(err, "%s.%u%s", group, i, tail);
			return -EINVAL;
		}
	}
	return 0;
}

static int check(const struct config *cfg, struct error *err)
{
	const char *general = config_text(cfg, "serial.channel");
	int rc = check_group(cfg, "serial", ".channel", err);

	if (!rc)
		rc = check_group(cfg, "tty", "", err);
	if (!rc && general && channel_check(general, err)) {
		error_prefix(err, "serial.channel");
		rc = -EINVAL;
	}
	return rc;
}

/* Opens what port i is connected to. */
static int open_channel(struct vm *vm, const struct config *cfg, unsigned i, const char *text,
			struct error *err)
{
	struct char_dev **to = &vm->serial_ports->channels[i];
	char what[32];

	if (!text) {
		/* The kernel's first messages, before the driver of the virtio console runs. */
		if (!i && config_enum(cfg, "console") == CONSOLE_VIRTIO)
			*to = channel_stdout(vm->channels);
		return 0;
	}
	snprintf(what, sizeof(what), "%s %u",
		 text == terminal_channel(cfg, i, false) ? "terminal" : "serial line", i);
	*to = channel_open(vm->channels, vm->loop, text, what, err);
	if (*to)
		return 0;
	error_prefix(err, "serial line %u", i);
	return -EIO;
}

static int add_port(struct vm *vm, const struct config *cfg, unsigned i, struct error *err)
{
	static const struct {
		const char *name;
		uint16_t base;
		uint8_t irq;
	} ports[NR_PORTS] = {{"serial0", 0x3f8, 4},
			     {"serial1", 0x2f8, 3},
			     {"serial2", 0x3e8, 4},
			     {"serial3", 0x2e8, 3}};
	const char *text = channel_of(cfg, i);

	if (text && channel_is_none(text)) {
		vm->serial_ports->missing |= BIT(i);
		return 0;
	}
	int rc = open_channel(vm, cfg, i, text, err);
	if (rc)
		return rc;
	struct serial_params params = {
		.pio = vm->pio,
		.clock = vm->clock,
		.base = ports[i].base,
		.name = ports[i].name,
		.index = i,
		.irq = pc_gsi_line(vm->pc, ports[i].irq),
		.chr = vm->serial_ports->channels[i],
	};
	struct serial *s = serial_new(&params, err);
	if (!s)
		return -EINVAL;
	device_add(&vm->devices, serial_device(s));
	return 0;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	int rc = 0;

	vm->serial_ports = mem_alloc_zero(sizeof(*vm->serial_ports));
	for (unsigned i = 0; !rc && i < NR_PORTS; i++)
		rc = add_port(vm, cfg, i, err);
	return rc;
}

unsigned serial_ports_missing(const struct serial_ports *s)
{
	return s->missing;
}

void serial_ports_free(struct serial_ports *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < NR_PORTS; i++)
		char_free(s->channels[i]);
	free(s);
}

const struct part_type part_serial = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
