/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over MMIO, version 2 (virtio 1.2, section 4.2): a page of registers and an interrupt per
 * device. The guest finds it through ACPI (LNRO0005) or its command line.
 */
#ifndef VIRTIO_TRANSPORT_MMIO_H
#define VIRTIO_TRANSPORT_MMIO_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "virtio/virtio.h"

#define VIRTIO_MMIO_SIZE 0x200u /* bytes of a device's window */

struct virtio_mmio_params {
	struct bus *mmio;
	uint64_t base;
	struct irq_line irq; /* level */
	unsigned index;	     /* which of its type, for saved state */
};

/*
 * Makes the transport of d, which it frees in the end, also when this fails (NULL with err). Main
 * loop thread, vCPUs standing still.
 */
struct device *virtio_mmio_new(struct virtio_device *d, const struct virtio_mmio_params *params,
			       struct error *err);

#endif
