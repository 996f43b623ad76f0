/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The random number generator (virtio-rng).
 */
#include <errno.h>

#include "base/base.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/rng.h"

static const struct config_key keys[] = {
	{.name = "rng.enabled",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "a virtio random number generator, fed by the host's"},
	{.name = "rng.rate",
	 .type = CONFIG_SIZE,
	 .fallback = "0",
	 .help = "bytes per second the guest may take from it; 0 is no limit"},
};

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	if (!config_bool(cfg, "rng.enabled"))
		return 0;
	struct io_thread *io = vm_shared_io(vm, err);
	if (!io)
		return -EAGAIN;
	struct virtio_device *d =
		virtio_rng_new(vm->mem, io_thread_loop(io), config_uint(cfg, "rng.rate"));
	return vm_add_virtio(vm, d, 0, err);
}

const struct part_type part_rng = {.keys = keys, .nr_keys = ARRAY_SIZE(keys), .create = create};
