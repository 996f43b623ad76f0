/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/publish.h"
#include "base/base.h"
#include "base/buf.h"
#include "cli/exit_codes.h"
#include "config/config.h"

#define MODES "user, tap, bridge, socket, mcast or none"

static const char *const modes[] = {"user", "tap", "bridge", "socket", "mcast", "none"};

/* kvmtool's names, and others that are at hand, beside those of the keys. */
static const struct {
	const char *name, *key;
} parameters[] = {
	{"guest_mac", "mac"},
	{"mac", "mac"},
	{"host_mac", "host_mac"},
	{"guest_ip", "guest_ip"},
	{"host_ip", "host_ip"},
	{"script", "script"},
	{"downscript", "downscript"},
	{"tapif", "tap"},
	{"tap", "tap"},
	{"fd", "fd"},
	{"vhost", "vhost"},
	{"mq", "queues"},
	{"queues", "queues"},
	{"bridge", "bridge"},
	{"path", "path"},
	{"mcast", "group"},
	{"group", "group"},
	{"ttl", "ttl"},
	{"local", "local"},
	{"mtu", "mtu"},
	{"offload", "offload"},
	{"restrict", "restrict"},
	{"ipv6", "ipv6"},
	{"host_loopback", "host_loopback"},
};

static int set(struct config *cfg, unsigned card, const char *key, const char *value,
	       struct error *err)
{
	char name[CONFIG_NAME_MAX];

	snprintf(name, sizeof(name), "net.%u.%s", card, key);
	return config_set(cfg, name, value, err) ? EXIT_CONFIG : 0;
}

/* The number after the last card there is. */
static unsigned next_card(const struct config *cfg)
{
	unsigned i = 0;

	while (config_next(cfg, "net", &i))
		i++;
	return i;
}

static int set_mode(struct config *cfg, unsigned card, const char *mode, struct error *err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(mode, modes[i]))
			return set(cfg, card, "mode", mode, err);
	return error_set(err, EXIT_USAGE, "Unknown network mode %s, please use " MODES, mode);
}

static int set_parameter(struct config *cfg, unsigned card, const char *name, const char *value,
			 struct error *err)
{
	if (!strcmp(name, "mode"))
		return set_mode(cfg, card, value, err);
	if (!strcmp(name, "publish"))
		return net_option_publish(cfg, value, err);
	/* kvmtool's word for the kind of card. There is one kind. */
	if (!strcmp(name, "trans"))
		return !strcmp(value, "virtio")
			       ? 0
			       : error_set(err, EXIT_USAGE,
					   "Unknown network transport %s, please use virtio",
					   value);
	for (unsigned i = 0; i < ARRAY_SIZE(parameters); i++)
		if (!strcmp(name, parameters[i].name))
			return set(cfg, card, parameters[i].key, value, err);
	return error_set(err, EXIT_USAGE, "Unknown network parameter %s", name);
}

static int set_item(struct config *cfg, unsigned card, char *item, struct error *err)
{
	char *equals = strchr(item, '=');

	if (equals) {
		*equals = '\0';
		return set_parameter(cfg, card, item, equals + 1, err);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(item, modes[i]))
			return set_mode(cfg, card, item, err);
	return error_set(err, EXIT_USAGE, "Unknown network parameter %s", item);
}

int net_option_add(struct config *cfg, const char *text, struct error *err)
{
	unsigned card = next_card(cfg);
	char *copy = mem_strdup(text), *rest = copy, *item;
	int rc = set(cfg, card, "mode", "tap", err);

	while (!rc && (item = strsep(&rest, ",")) != NULL)
		if (*item)
			rc = set_item(cfg, card, item, err);
	free(copy);
	return rc;
}

static int set_named(struct config *cfg, const char *mode, const char *key, const char *name,
		     struct error *err)
{
	unsigned card = next_card(cfg);

	if (!name || !*name)
		return error_set(err, EXIT_USAGE, "Not enough arguments for \"%s\" networking mode",
				 mode);
	int rc = set(cfg, card, "mode", mode, err);
	return rc ? rc : set(cfg, card, key, name, err);
}

int net_option_mode(struct config *cfg, const char *text, struct error *err)
{
	char *copy = mem_strdup(text), *name = copy, *mode = strsep(&name, ",");
	int rc;

	if (!strcmp(mode, "tap"))
		rc = set_named(cfg, mode, "tap", name, err);
	else if (!strcmp(mode, "bridge"))
		rc = set_named(cfg, mode, "bridge", name, err);
	else if (!*mode || !strcmp(mode, "default") || !strcmp(mode, "user"))
		rc = set(cfg, next_card(cfg), "mode", "user", err);
	else if (!strcmp(mode, "none"))
		rc = set(cfg, next_card(cfg), "mode", "none", err);
	else
		rc = error_set(err, EXIT_USAGE, "Invalid networking mode: %s", mode);
	free(copy);
	return rc;
}

int net_option_publish(struct config *cfg, const char *text, struct error *err)
{
	struct publish_rule rules[PUBLISH_MAX];
	const char *already = config_text(cfg, "publish");
	struct buf list = {0};

	if (already)
		buf_printf(&list, "%s,", already);
	buf_printf(&list, "%s", text);
	int rc = publish_parse_list(buf_text(&list), rules, err) < 0 ? EXIT_USAGE : 0;
	if (!rc && config_set(cfg, "publish", buf_text(&list), err))
		rc = EXIT_CONFIG;
	buf_free(&list);
	return rc;
}
