/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/parts.h"

#include "base/base.h"
#include "machine/virtio_bus.h"

static const struct part_type *const types[] = {
	&part_serial,  &part_init, &part_console, &part_rng,   &part_vsock,
	&part_balloon, &part_disk, &part_net,	  &part_share,
};

void parts_register_keys(struct config *cfg)
{
	virtio_bus_register_keys(cfg);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		config_register(cfg, types[i]->keys, types[i]->nr_keys);
}

int parts_check(const struct config *cfg, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < ARRAY_SIZE(types); i++)
		rc = types[i]->check ? types[i]->check(cfg, err) : 0;
	return rc;
}

int parts_create(struct vm *vm, const struct config *cfg, struct error *err)
{
	int rc = virtio_bus_new(vm, cfg, err);

	for (unsigned i = 0; !rc && i < ARRAY_SIZE(types); i++)
		rc = types[i]->create(vm, cfg, err);
	return rc;
}
