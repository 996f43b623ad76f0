/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What test guests expect of a machine: an exit port, and the ports and memory of the device known
 * as pc-testdev. Off unless asked for.
 */
#ifndef DEVICE_TEST_DEVICE_H
#define DEVICE_TEST_DEVICE_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

#define TEST_DEVICE_NR_IRQS 24

struct test_device;

struct test_device_params {
	struct bus *pio, *mmio;
	struct irq_line irqs[TEST_DEVICE_NR_IRQS];

	/* The guest ends the VM with this process exit status: (value << 1) | 1, cut to 8 bits by
	 * the host. On a vCPU thread, no lock held. */
	void (*exit)(void *ctx, int status);
	void *ctx;
};

struct test_device *test_device_new(const struct test_device_params *params, struct error *err);
struct device *test_device_device(struct test_device *t);

#endif
