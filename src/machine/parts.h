/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds of optional parts of a machine: disks, networks, shares, consoles ... Each kind is one file
 * part_KIND.c with its configuration keys and two functions; parts.c lists the kinds.
 */
#ifndef MACHINE_PARTS_H
#define MACHINE_PARTS_H

#include "base/error.h"
#include "config/config.h"

struct device;
struct io_thread;
struct virtio_device;
struct vm;

struct part_type {
	const struct config_key *keys;
	unsigned nr_keys;

	/*
	 * Checks all of the configuration that can be checked before anything is made; nothing on the
	 * host is changed. Returns 0 or a negative errno with one sentence. May be NULL.
	 */
	int (*check)(const struct config *cfg, struct error *err);

	/* Makes back ends and devices, in order of their index. Returns 0 or a negative errno. */
	int (*create)(struct vm *vm, const struct config *cfg, struct error *err);
};

extern const struct part_type part_net;
extern const struct part_type part_init;
extern const struct part_type part_balloon;
extern const struct part_type part_console;
extern const struct part_type part_disk;
extern const struct part_type part_rng;
extern const struct part_type part_serial;
extern const struct part_type part_vsock;
extern const struct part_type part_share;

void parts_register_keys(struct config *cfg);
int parts_check(const struct config *cfg, struct error *err);
int parts_create(struct vm *vm, const struct config *cfg, struct error *err);

/*
 * Puts a virtio device on the machine's bus for such devices (virtio.transport); it is the VM's from
 * now on, also when this fails, and freed with it. index: which of its type.
 */
int vm_add_virtio(struct vm *vm, struct virtio_device *d, unsigned index, struct error *err);

/*
 * Whether the host's kernel may serve queues of the VM's devices (vhost): its engine must allow that, for
 * as long as the VM lives. Returns 0 or a negative errno with err.
 */
int vm_check_vhost(struct vm *vm, struct error *err);

/*
 * A new I/O thread of the VM's, ended when all devices are gone. Devices with little to do share
 * vm_shared_io(). NULL with err.
 */
struct io_thread *vm_new_io(struct vm *vm, const char *name, struct error *err);
struct io_thread *vm_shared_io(struct vm *vm, struct error *err);

#endif
