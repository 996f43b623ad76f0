/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over PCI, without the legacy interface (virtio 1.2, section 4.1): the registers are in one
 * BAR, each queue has a doorbell of its own, and interrupts are MSI-X vectors for the configuration
 * and every queue, or fewer when the driver wants that, or MSI, or INTx. While the function may not
 * master the bus, queues stand still and messages stay pending. A driver may set DRIVER_OK before it
 * turns mastering on: what it makes available meanwhile is served then.
 */
#ifndef VIRTIO_TRANSPORT_PCI_H
#define VIRTIO_TRANSPORT_PCI_H

#include "core/device.h"
#include "pci/root.h"
#include "virtio/virtio.h"

/* What an engine does with eventfds. Any thread. NULL: nothing. */
struct virtio_pci_engine {
	/*
	 * Makes guest writes of any size to an address signal an eventfd instead of leaving the engine,
	 * or ends that. Returns 0, or a negative errno: then the writes arrive on the bus.
	 */
	int (*set_doorbell)(void *ctx, uint64_t addr, int eventfd, bool on);

	/*
	 * Makes signals of an eventfd send a message, one that is there already included, or ends that.
	 * Returns 0, or a negative errno: then none are sent.
	 */
	int (*set_call)(void *ctx, int eventfd, bool on, uint64_t addr, uint32_t data);
	void *ctx;
};

struct virtio_pci_params {
	struct pci_root *root;
	unsigned device; /* number on the bus, or PCI_DEVICE_ANY */
	unsigned index;	 /* which of its type, for saved state */
	bool has_msix;	 /* false: MSI with one vector, and INTx */
	struct virtio_pci_engine engine;
};

/*
 * Makes the transport of d, which it frees in the end, also when this fails (NULL with err). Main
 * loop thread, vCPUs standing still.
 */
struct device *virtio_pci_new(struct virtio_device *d, const struct virtio_pci_params *params,
			      struct error *err);

/* The engine is another one: its eventfds are set again. vCPUs and the device stand still. */
void virtio_pci_engine_changed(struct device *dev);

#endif
