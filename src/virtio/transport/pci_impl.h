/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of virtio over PCI share: the transport, and its eventfds (pci_eventfds.c) by which
 * notifications and interrupts pass without a vCPU thread or a thread of the device.
 */
#ifndef VIRTIO_TRANSPORT_PCI_IMPL_H
#define VIRTIO_TRANSPORT_PCI_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "virtio/transport.h"
#include "virtio/transport/pci.h"

#define BAR_REGISTERS 0
#define AT_NOTIFY     0x3000u
#define NOTIFY_STRIDE 4u /* a doorbell for every queue */

/* A queue's doorbell where the engine answers it: no vCPU thread is involved. */
struct doorbell {
	struct loop_fd watch; /* fd -1: not made */
	struct virtio_pci *owner;
	unsigned queue;
};

/* What the engine sends when the host's kernel wants a queue's interrupt. */
struct call {
	bool is_on;
	uint64_t addr;
	uint32_t data;
};

struct virtio_pci {
	struct device dev;
	struct device_ops ops; /* as the virtio device's type has it */
	struct pci_function function;
	struct virtio_transport transport;
	struct virtio_device *virtio;
	unsigned window_cap; /* the capability that is a window to the BAR */
	unsigned nr_vectors;

	pthread_mutex_t lock; /* of register accesses: guards what follows */
	uint32_t offered_word, accepted_word;
	uint16_t queue;

	/* Written under lock, read by the loop's thread. */
	_Atomic uint16_t config_vector, queue_vectors[VIRTIO_QUEUES_MAX];

	pthread_mutex_t
		isr_lock; /* guards isr and INTx; order: after lock, before the function's */
	uint8_t isr;

	/* Under the function's lock. */
	struct virtio_pci_engine engine;
	struct doorbell bells[VIRTIO_QUEUES_MAX];
	uint64_t bells_at; /* the address they are set for, or PCI_BAR_NOT_MAPPED */
	struct call calls[VIRTIO_QUEUES_MAX];
};

void virtio_pci_init_eventfds(struct virtio_pci *p, const struct virtio_pci_engine *engine);

/* Has the engine let go of all, for good, and ends them. Without the function's lock. */
void virtio_pci_end_eventfds(struct virtio_pci *p);

/* The BAR, the vectors or who they are assigned to may have changed. Function's lock. */
void virtio_pci_update_eventfds(struct virtio_pci *p);

/* The engine is another one, which knows of none. Function's lock. */
void virtio_pci_forget_eventfds(struct virtio_pci *p);

#endif
