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

/* PCI: configuration space of 256 buses at the start of the hole, then what BARs may have. */
#define ECAM_BASE      0xc0000000u
#define ECAM_NR_BUSES  256
#define PCI_MEM32_BASE 0xd0000000u
#define PCI_MEM32_SIZE (VIRTIO_MMIO_BASE - PCI_MEM32_BASE)
#define PCI_IO_BASE    0xc000u
#define PCI_IO_SIZE    0x3f00u
#define PCI_FIRST_GSI  16u /* INTx has GSIs 16-19: of those beyond the PIC, HPET timers have 20-23 */

/*
 * Where 64-bit BARs may be: above ram_size bytes of RAM, with room for more of it, and within
 * physical_bits of address. *size is 0 when there is no such place.
 */
void memory_map_mem64(uint64_t ram_size, unsigned physical_bits, uint64_t *base, uint64_t *size);

/* Adds size bytes of RAM (whole pages) from address 0, around the hole. */
int memory_map_add_ram(struct mem *m, uint64_t size, struct error *err);

#endif
