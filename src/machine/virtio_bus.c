/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/virtio_bus.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/buf.h"
#include "host/io_thread.h"
#include "machine/memory_map.h"
#include "machine/parts.h"
#include "machine/pc.h"
#include "machine/vm_impl.h"
#include "virtio/transport/mmio.h"
#include "virtio/transport/pci.h"

#define GSI_FIRST 16 /* windows share the GSIs no ISA device uses */
#define NR_GSIS	  8

#define WINDOWS_MAX ((IOAPIC_BASE - VIRTIO_MMIO_BASE) / VIRTIO_MMIO_STRIDE)

struct virtio_bus {
	struct vm *vm;
	struct boot_virtio windows[WINDOWS_MAX];
	unsigned nr_windows;
	struct device *functions[PCI_NR_DEVICES * 8];
	unsigned nr_functions;
	bool is_pci, has_msix;

	struct io_thread *shared;
	struct io_thread **threads;
	unsigned nr_threads;
};

static const struct config_key keys[] = {
	{.name = "virtio.transport",
	 .type = CONFIG_ENUM,
	 .choices = "pci mmio",
	 .fallback = "pci",
	 .help = "how the guest reaches virtio devices: as PCI functions, or by windows of "
		 "registers found through ACPI"},
	{.name = "virtio.msix",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "virtio devices on PCI have an interrupt vector per queue; false: one each"},
};

void virtio_bus_register_keys(struct config *cfg)
{
	config_register(cfg, keys, ARRAY_SIZE(keys));
}

int virtio_bus_new(struct vm *vm, const struct config *cfg, struct error *err)
{
	vm->virtio_bus = mem_alloc_zero(sizeof(*vm->virtio_bus));
	vm->virtio_bus->vm = vm;
	vm->virtio_bus->is_pci = config_enum(cfg, "virtio.transport") == 0;
	vm->virtio_bus->has_msix = config_bool(cfg, "virtio.msix");
	return 0;
}

void virtio_bus_free(struct virtio_bus *bus)
{
	if (!bus)
		return;
	for (unsigned i = 0; i < bus->nr_threads; i++)
		io_thread_free(bus->threads[i]);
	free(bus->threads);
	free(bus);
}

unsigned virtio_bus_windows(const struct virtio_bus *bus, const struct boot_virtio **windows)
{
	*windows = bus->windows;
	return bus->nr_windows;
}

static int add_window(struct virtio_bus *bus, struct virtio_device *d, unsigned index,
		      struct error *err)
{
	unsigned n = bus->nr_windows;

	if (n == WINDOWS_MAX) {
		virtio_free(d);
		return error_set(err, -ENOSPC, "more than %u virtio devices",
				 (unsigned)WINDOWS_MAX);
	}
	struct boot_virtio *w = &bus->windows[n];
	*w = (struct boot_virtio){.base = VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_STRIDE,
				  .size = VIRTIO_MMIO_SIZE,
				  .gsi = GSI_FIRST + n % NR_GSIS};
	struct virtio_mmio_params params = {.mmio = bus->vm->mmio,
					    .base = w->base,
					    .irq = pc_gsi_line(bus->vm->pc, w->gsi),
					    .index = index};
	struct device *dev = virtio_mmio_new(d, &params, err);
	if (!dev)
		return -EINVAL;
	bus->nr_windows++;
	device_add(&bus->vm->devices, dev);
	return 0;
}

static int set_doorbell(void *ctx, uint64_t addr, int eventfd, bool on)
{
	struct vm *vm = ctx;

	return engine_vm_set_doorbell(vm->engine_vm, addr, eventfd, on);
}

static int set_call(void *ctx, int eventfd, bool on, uint64_t addr, uint32_t data)
{
	const struct engine_message message = {addr, data};
	struct vm *vm = ctx;

	return engine_vm_set_call(vm->engine_vm, eventfd, on ? &message : NULL);
}

static int add_function(struct virtio_bus *bus, struct virtio_device *d, unsigned index,
			struct error *err)
{
	struct virtio_pci_params params = {
		.root = pc_pci_root(bus->vm->pc),
		.device = PCI_DEVICE_ANY,
		.index = index,
		.has_msix = bus->has_msix,
		.engine = {.set_doorbell = set_doorbell, .set_call = set_call, .ctx = bus->vm}};
	struct device *dev = virtio_pci_new(d, &params, err);

	if (!dev)
		return -EINVAL;
	bus->functions[bus->nr_functions++] = dev;
	device_add(&bus->vm->devices, dev);
	return 0;
}

int vm_add_virtio(struct vm *vm, struct virtio_device *d, unsigned index, struct error *err)
{
	struct virtio_bus *bus = vm->virtio_bus;

	return bus->is_pci ? add_function(bus, d, index, err) : add_window(bus, d, index, err);
}

void virtio_bus_engine_changed(struct virtio_bus *bus)
{
	for (unsigned i = 0; i < bus->nr_functions; i++)
		virtio_pci_engine_changed(bus->functions[i]);
}

int vm_check_vhost(struct vm *vm, struct error *err)
{
	if (engine_must_hear_of_writes(vm->engine))
		return error_set(
			err, -ENOTSUP,
			"the host's kernel can serve a guest on KVM only, and this one is on "
			"the engine %s (leave vhost out)",
			engine_name(vm->engine));
	if (vm->settings.move_every_ms)
		return error_set(err, -ENOTSUP,
				 "the VM is to move between engines (leave out vhost or "
				 "debug.move_every)");
	return 0;
}

struct io_thread *vm_new_io(struct vm *vm, const char *name, struct error *err)
{
	struct virtio_bus *bus = vm->virtio_bus;
	struct io_thread *t = io_thread_new(name, err);

	if (!t)
		return NULL;
	bus->threads = realloc(bus->threads, (bus->nr_threads + 1) * sizeof(bus->threads[0]));
	BUG_ON(!bus->threads);
	bus->threads[bus->nr_threads++] = t;
	return t;
}

struct io_thread *vm_shared_io(struct vm *vm, struct error *err)
{
	struct virtio_bus *bus = vm->virtio_bus;

	if (!bus->shared)
		bus->shared = vm_new_io(vm, "io", err);
	return bus->shared;
}
