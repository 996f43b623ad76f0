/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The root of PCI: configuration mechanism #1 (ports 0xcf8 and 0xcfc, PCI 3.0, 3.2.2.3.2) and the
 * host bridge at 00:00.0, the only function on the bus. A kernel that looks for PCI finds an empty,
 * healthy bus instead of none. Functions with BARs, MSI-X and ECAM are left out.
 *
 * Register accesses come on vCPU threads; the root locks itself.
 */
#ifndef PCI_ROOT_H
#define PCI_ROOT_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"

#define PCI_CONFIG_DATA 0xcfcu

struct pci_root;

/* Claims the data ports on pio. The address register is reached through pci_root_address_ops. */
struct pci_root *pci_root_new(struct bus *pio, struct error *err);
struct device *pci_root_device(struct pci_root *root);

/*
 * Port 0xcf8, accesses of 4 bytes; dev is the root. Whoever owns the port passes them on, because a
 * byte of it is the reset control register.
 */
extern const struct bus_ops pci_root_address_ops;

#endif
