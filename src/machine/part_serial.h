/* SPDX-License-Identifier: BSD-2-Clause */
/* Host ends of the serial ports, and what kvmtool calls terminals. */
#ifndef MACHINE_PART_SERIAL_H
#define MACHINE_PART_SERIAL_H

#include <stdbool.h>

struct config;
struct serial_ports;

/* Closes the channels, after the devices; NULL is fine. */
void serial_ports_free(struct serial_ports *s);

/* Bit N: serial port N is not there, because its channel is none. */
unsigned serial_ports_missing(const struct serial_ports *s);

/*
 * The channel of key tty.N if it is set and terminal N is a serial port (is_console false) or the
 * virtio console (true); else NULL.
 */
const char *terminal_channel(const struct config *cfg, unsigned number, bool is_console);

#endif
