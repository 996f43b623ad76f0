/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the machine's virtio devices go, and the I/O threads they live on. vm_add_virtio() and the
 * functions for threads are declared in machine/parts.h, for those who make parts.
 */
#ifndef MACHINE_VIRTIO_BUS_H
#define MACHINE_VIRTIO_BUS_H

#include "base/error.h"
#include "boot/boot.h"

struct config;
struct virtio_bus;
struct vm;

void virtio_bus_register_keys(struct config *cfg);

/* Makes vm->virtio_bus. */
int virtio_bus_new(struct vm *vm, const struct config *cfg, struct error *err);
void virtio_bus_free(
	struct virtio_bus *bus); /* after the devices: ends the threads; NULL is fine */

/* The virtio-mmio windows in use, which the guest must be told of. Returns how many. */
unsigned virtio_bus_windows(const struct virtio_bus *bus, const struct boot_virtio **windows);

/* The VM goes on in another engine VM. vCPUs parked. */
void virtio_bus_engine_changed(struct virtio_bus *bus);

#endif
