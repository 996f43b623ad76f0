/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things are in the pc machine's physical address space.
 */
#ifndef MACHINE_MEMORY_MAP_H
#define MACHINE_MEMORY_MAP_H

#include "base/base.h"
#include "core/mem.h"

#define MEMORY_MIN MIB	     /* what is below cannot hold the boot structures */
#define MEMORY_MAX TIB	     /* fits the 40 physical address bits of every CPU model */
#define HOLE_START (3 * GIB) /* RAM ends here at the latest, PCI and chip registers follow */
#define HOLE_END   (4 * GIB) /* RAM goes on here */

/* Windows of virtio-mmio devices, up to the IOAPIC. */
#define VIRTIO_MMIO_BASE   0xfebf0000u
#define VIRTIO_MMIO_STRIDE 0x200u

#define IOAPIC_BASE 0xfec00000u
#define HPET_BASE   0xfed00000u
#define LAPIC_BASE  0xfee00000u

/* Adds size bytes of RAM (whole pages) from address 0, around the hole. */
int memory_map_add_ram(struct mem *m, uint64_t size, struct error *err);

#endif
