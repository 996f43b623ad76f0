/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci/root.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_KEPT   0x80fffffcu /* enable, bus, device, function, register */
#define ADDRESS_TARGET 0x00ffff00u /* bus, device, function */

/* Configuration space of the host bridge, by dword (PCI 3.0, 6.1): all of it read-only. */
#define BRIDGE_ID    0x29c08086u /* vendor and device of a Q35 memory controller hub */
#define BRIDGE_CLASS 0x06000000u /* base class bridge, host, revision 0 */

struct pci_root {
	struct device dev;
	pthread_mutex_t lock; /* guards address */
	struct bus *pio;
	struct bus_region data_ports;
	uint32_t address;
};

static uint64_t address_read(void *dev, uint64_t offset, unsigned size)
{
	struct pci_root *root = dev;

	pthread_mutex_lock(&root->lock);
	uint32_t address = root->address;
	pthread_mutex_unlock(&root->lock);
	return address;
}

static void address_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_root *root = dev;

	pthread_mutex_lock(&root->lock);
	root->address = (uint32_t)value & ADDRESS_KEPT;
	pthread_mutex_unlock(&root->lock);
}

const struct bus_ops pci_root_address_ops = {
	.read = address_read, .write = address_write, .min_size = 4, .max_size = 4};

static uint32_t bridge_dword(unsigned reg)
{
	switch (reg) {
	case 0x00:
		return BRIDGE_ID;
	case 0x08:
		return BRIDGE_CLASS;
	default:
		return 0;
	}
}

/* A function that is not there reads as all ones. */
static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	uint32_t address = (uint32_t)address_read(dev, 0, 4);

	if (!(address & ADDRESS_ENABLE) || (address & ADDRESS_TARGET))
		return UINT64_MAX;
	return bridge_dword(address & 0xfc) >> (8 * offset);
}

static const struct bus_ops data_ops = {.read = data_read, .max_size = 4};

static void reset(struct device *d)
{
	address_write(container_of(d, struct pci_root, dev), 0, 4, 0);
}

static void state(struct device *d, struct state *s)
{
	struct pci_root *root = container_of(d, struct pci_root, dev);

	state_u32(s, &root->address);
	root->address &= ADDRESS_KEPT;
}

static void root_free(struct device *d)
{
	struct pci_root *root = container_of(d, struct pci_root, dev);

	bus_remove(root->pio, &root->data_ports);
	pthread_mutex_destroy(&root->lock);
	free(root);
}

static const struct device_ops device_ops = {
	.type = "pci_root",
	.reset = reset,
	.state = state,
	.free = root_free,
};

struct pci_root *pci_root_new(struct bus *pio, struct error *err)
{
	struct pci_root *root = mem_alloc_zero(sizeof(*root));

	root->dev.ops = &device_ops;
	list_init(&root->dev.node);
	pthread_mutex_init(&root->lock, NULL);
	root->pio = pio;
	root->data_ports = (struct bus_region){.name = "pci data",
					       .base = PCI_CONFIG_DATA,
					       .size = 4,
					       .ops = &data_ops,
					       .dev = root};
	if (bus_add(pio, &root->data_ports, err)) {
		root_free(&root->dev);
		return NULL;
	}
	return root;
}

struct device *pci_root_device(struct pci_root *root)
{
	return &root->dev;
}
