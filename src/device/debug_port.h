/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port that prints: 0xe9 as in Bochs, 0x402 as firmware debug builds use. Each byte written goes
 * to a character back end; a read gives the port number's usual signature byte.
 */
#ifndef DEVICE_DEBUG_PORT_H
#define DEVICE_DEBUG_PORT_H

#include "backend/char/char.h"
#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"

struct debug_port;

struct debug_port_params {
	struct bus *pio;
	uint16_t port; /* 0xe9 or 0x402 */
	unsigned index;
	struct char_dev *chr; /* borrowed; NULL: the monitor's stderr */
};

struct debug_port *debug_port_new(const struct debug_port_params *params, struct error *err);
struct device *debug_port_device(struct debug_port *d);

#endif
