/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The root of PCI Express: configuration mechanism #1 (ports 0xcf8 and 0xcfc, PCI 3.0, 3.2.2.3.2),
 * ECAM (PCI Express 6.0, 7.2.2), the host bridge at 00:00.0 and the functions of bus 0. There is no
 * firmware below a kernel that is booted directly, so the root gives BARs their addresses.
 *
 * Register accesses come on vCPU threads and take no lock of the root but for the address register.
 * Functions come and go on the main loop thread while all vCPUs stand still.
 */
#ifndef PCI_ROOT_H
#define PCI_ROOT_H

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "pci/function.h"

#define PCI_CONFIG_DATA	  0xcfcu
#define PCI_NR_DEVICES	  32
#define PCI_NR_INTX_LINES 4
#define PCI_DEVICE_ANY	  (~0u)
#define PCI_ECAM_BUS_SIZE (UINT64_C(1) << 20)

/* Addresses BARs can have; size 0: none. */
struct pci_window {
	uint64_t base, size;
};

struct pci_root_params {
	struct bus *pio, *mmio;
	struct pci_window io, mem32, mem64; /* aligned to 4 KiB (io: to 256) at least */
	uint64_t ecam_base;		    /* aligned to its size; 0: no ECAM */
	unsigned ecam_nr_buses;
	struct msi_sink msi;
	/* INTA# of device D is line D % 4, INTB# the next and so on: pci_intx_line_of(). */
	struct irq_line intx[PCI_NR_INTX_LINES];
};

struct pci_root;

/* Claims the data ports and the ECAM window. The address register is reached through
 * pci_root_address_ops. */
struct pci_root *pci_root_new(const struct pci_root_params *params, struct error *err);
struct device *pci_root_device(struct pci_root *root);

/*
 * Puts f on bus 0 as function 0 of a device number, 1-31, or, for PCI_DEVICE_ANY, where the root
 * likes: guests find such functions in the order in which they were added. Once there are more than
 * device numbers, several share one, and for that those that are there move; so the guest must not
 * run yet. Gives f's BARs addresses and lets it decode them. Returns 0, or -EBUSY when the number is
 * taken, -ENOSPC when there is no place or no room in the windows, with err filled.
 */
int pci_root_add(struct pci_root *root, struct pci_function *f, unsigned device, struct error *err);
void pci_root_remove(struct pci_root *root, struct pci_function *f);

/* Which of the root's four lines pin (0 = INTA#) of a device drives. */
static inline unsigned pci_intx_line_of(unsigned device, unsigned pin)
{
	return (device + pin) % PCI_NR_INTX_LINES;
}

/*
 * Port 0xcf8, accesses of 4 bytes; dev is the root. Whoever owns the port passes them on, because a
 * byte of it is the reset control register.
 */
extern const struct bus_ops pci_root_address_ops;

#endif
