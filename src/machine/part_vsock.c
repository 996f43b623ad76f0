/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device, whose host end are Unix sockets.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/vsock/vsock.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/vsock.h"

static const struct config_key keys[] = {
	{.name = "vsock.cid",
	 .type = CONFIG_UINT,
	 .min = 3, /* 0 to 2 are the hypervisor, the local and the host */
	 .max = UINT32_MAX - 1,
	 .help = "context id of the guest; a virtio socket device is there when it is given"},
	{.name = "vsock.path",
	 .type = CONFIG_PATH,
	 .help = "Unix socket through which the host reaches the guest, PATH.seq that for sockets "
		 "that keep messages apart; that of the host's port N is PATH_N; "
		 "bantam-NAME.vsock in XDG_RUNTIME_DIR, or in /tmp, when not given"},
};

/* Returns the path, now the caller's. */
static char *path_of(struct vm *vm, const struct config *cfg)
{
	const char *given = config_text(cfg, "vsock.path");
	const char *folder = getenv("XDG_RUNTIME_DIR");
	struct buf path = {0};

	if (given)
		return mem_strdup(given);
	buf_printf(&path, "%s/bantam-%s.vsock", folder && *folder ? folder : "/tmp",
		   vm->settings.name);
	char *text = mem_strdup(buf_text(&path));
	buf_free(&path);
	return text;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	if (!config_is_set(cfg, "vsock.cid"))
		return 0;
	struct io_thread *io = vm_shared_io(vm, err);
	if (!io)
		return -EAGAIN;
	uint64_t cid = config_uint(cfg, "vsock.cid");
	struct loop *loop = io_thread_loop(io);
	char *path = path_of(vm, cfg);
	struct vsock_host *host = vsock_host_new(loop, path, err);
	if (host && !config_is_set(cfg, "vsock.path"))
		log_info("vsock: the guest's CID is %llu, its socket %s", (unsigned long long)cid,
			 path);
	free(path);
	if (!host) {
		error_prefix(err, "vsock");
		return -EIO;
	}
	return vm_add_virtio(vm, virtio_vsock_new(vm->mem, loop, cid, host), 0, err);
}

const struct part_type part_vsock = {.keys = keys, .nr_keys = ARRAY_SIZE(keys), .create = create};
