/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory balloon.
 */
#include <errno.h>

#include "base/base.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/balloon.h"

static const struct config_key keys[] = {
	{.name = "balloon.enabled",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "a virtio memory balloon, through which the guest gives memory back"},
	{.name = "balloon.target",
	 .type = CONFIG_SIZE,
	 .unit = "M",
	 .fallback = "0",
	 .help = "memory the balloon is to take from the guest at first"},
	{.name = "balloon.deflate_on_oom",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "the guest may take memory out of the balloon when it has no other"},
	{.name = "balloon.reporting",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "the guest reports free memory, which goes back to the host"},
	{.name = "balloon.stats_period",
	 .type = CONFIG_UINT,
	 .unit = "s",
	 .max = 86400,
	 .fallback = "0",
	 .help = "time between the guest's statistics of its memory; 0 asks for them once"},
};

static int check(const struct config *cfg, struct error *err)
{
	uint64_t target = config_uint(cfg, "balloon.target");

	if (target && target >= config_uint(cfg, "memory.size"))
		return error_set(err, -EINVAL,
				 "balloon.target: the balloon must be smaller than memory.size, %s",
				 config_text(cfg, "memory.size"));
	return 0;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	if (!config_bool(cfg, "balloon.enabled"))
		return 0;
	struct io_thread *io = vm_shared_io(vm, err);
	if (!io)
		return -EAGAIN;
	const struct virtio_balloon_params params = {
		.target = config_uint(cfg, "balloon.target"),
		.can_deflate = config_bool(cfg, "balloon.deflate_on_oom"),
		.reports_free = config_bool(cfg, "balloon.reporting"),
		.stats_ns = config_uint(cfg, "balloon.stats_period") * NS_PER_SEC,
	};
	return vm_add_virtio(vm, virtio_balloon_new(vm->mem, io_thread_loop(io), &params), 0, err);
}

const struct part_type part_balloon = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
