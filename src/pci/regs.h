/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of configuration space (PCI Local Bus 3.0, chapter 6), header type 0.
 */
#ifndef PCI_REGS_H
#define PCI_REGS_H

#include "base/base.h"

#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_COMMAND		0x04
#define PCI_STATUS		0x06
#define PCI_REVISION_ID		0x08
#define PCI_CLASS		0x09 /* three bytes: interface, subclass, base class */
#define PCI_CACHE_LINE_SIZE	0x0c
#define PCI_LATENCY_TIMER	0x0d
#define PCI_HEADER_TYPE		0x0e
#define PCI_BARS		0x10
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_CAPABILITIES	0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_INTERRUPT_PIN	0x3d

#define PCI_COMMAND_IO		 BIT(0)
#define PCI_COMMAND_MEMORY	 BIT(1)
#define PCI_COMMAND_BUS_MASTER	 BIT(2)
#define PCI_COMMAND_PARITY	 BIT(6)
#define PCI_COMMAND_SERR	 BIT(8)
#define PCI_COMMAND_INTX_DISABLE BIT(10)

#define PCI_STATUS_INTX		BIT(3)
#define PCI_STATUS_CAPABILITIES BIT(4)

#define PCI_HEADER_MULTI_FUNCTION BIT(7)

#define PCI_BAR_IS_IO		BIT(0)
#define PCI_BAR_IS_64BIT	BIT(2)
#define PCI_BAR_IS_PREFETCHABLE BIT(3)
#define PCI_BAR_IO_FLAGS	0x3u /* bits below the address */
#define PCI_BAR_MEMORY_FLAGS	0xfu

#define PCI_CAP_ID_MSI	  0x05
#define PCI_CAP_ID_VENDOR 0x09
#define PCI_CAP_ID_MSIX	  0x11

/* MSI capability with 64-bit address and mask bits, 6.8.1. */
#define PCI_MSI_CONTROL		 0x02
#define PCI_MSI_ADDRESS		 0x04
#define PCI_MSI_UPPER		 0x08
#define PCI_MSI_DATA		 0x0c
#define PCI_MSI_MASK		 0x10
#define PCI_MSI_PENDING		 0x14
#define PCI_MSI_CAP_SIZE	 0x18
#define PCI_MSI_CONTROL_ENABLE	 BIT(0)
#define PCI_MSI_CONTROL_64BIT	 BIT(7)
#define PCI_MSI_CONTROL_MASKABLE BIT(8)

/* MSI-X capability and table entry, 6.8.2. */
#define PCI_MSIX_CONTROL	0x02
#define PCI_MSIX_TABLE		0x04
#define PCI_MSIX_PBA		0x08
#define PCI_MSIX_CAP_SIZE	0x0c
#define PCI_MSIX_CONTROL_MASKED BIT(14)
#define PCI_MSIX_CONTROL_ENABLE BIT(15)
#define PCI_MSIX_ENTRY_SIZE	16u
#define PCI_MSIX_ENTRY_MASKED	BIT(0) /* of the vector control dword */

#endif
