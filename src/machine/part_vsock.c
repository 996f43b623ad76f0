/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device, whose host end are Unix sockets or, with vhost-vsock, those of the host's kernel.
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
#include "virtio/vhost/vsock.h"

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
	{.name = "vsock.vhost",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "on KVM: packets pass in the host's kernel (vhost-vsock), whose own sockets, "
		 "AF_VSOCK, take the place of Unix sockets"},
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

static int check(const struct config *cfg, struct error *err)
{
	if (!config_bool(cfg, "vsock.vhost"))
		return 0;
	if (!config_is_set(cfg, "vsock.cid"))
		return error_set(err, -EINVAL, "vsock.vhost: the guest has no CID (set vsock.cid)");
	if (config_is_set(cfg, "vsock.path"))
		return error_set(
			err, -EINVAL,
			"vsock.path means nothing with vsock.vhost: the host's programs use "
			"AF_VSOCK (leave one of them out)");
	return 0;
}

/* What goes to the I/O thread, on which the device is made. */
struct making {
	struct vm *vm;
	struct loop *loop;
	uint64_t cid;
	struct error *err;
	struct virtio_device *device;
};

static void make_on_loop(void *ctx)
{
	struct making *m = ctx;

	m->device = vhost_vsock_new(m->vm->mem, m->loop, m->cid, m->err);
}

static int create_in_kernel(struct vm *vm, struct loop *loop, uint64_t cid, struct error *err)
{
	struct making m = {.vm = vm, .loop = loop, .cid = cid, .err = err};
	int rc = vm_check_vhost(vm, err);

	if (!rc)
		loop_call(loop, make_on_loop, &m);
	if (!m.device) {
		error_prefix(err, "vsock: vhost");
		return -EIO;
	}
	return vm_add_virtio(vm, m.device, 0, err);
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
	if (config_bool(cfg, "vsock.vhost"))
		return create_in_kernel(vm, loop, cid, err);
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

const struct part_type part_vsock = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
