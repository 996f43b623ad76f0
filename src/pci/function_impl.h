/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of pci/ need of each other. "Locked" means that the caller holds f->lock.
 */
#ifndef PCI_FUNCTION_IMPL_H
#define PCI_FUNCTION_IMPL_H

#include "pci/function.h"

static inline uint16_t pci_get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t pci_get32(const uint8_t *bytes)
{
	return pci_get16(bytes) | (uint32_t)pci_get16(bytes + 2) << 16;
}

static inline void pci_put16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

static inline void pci_put32(uint8_t *bytes, uint32_t value)
{
	pci_put16(bytes, (uint16_t)value);
	pci_put16(bytes + 2, (uint16_t)(value >> 16));
}

static inline uint16_t pci_command(const struct pci_function *f)
{
	return pci_get16(&f->config[PCI_COMMAND]);
}

/* ---- function.c ---- */

/* Gives a BAR an address, and the command register the bits that decode all BARs. Set-up only. */
void pci_place_bar(struct pci_function *f, unsigned index, uint64_t base);
void pci_decode_bars(struct pci_function *f);

/* Maps BARs where the registers say; one that another device is in the way of waits. Not locked. */
void pci_map_bars(struct pci_function *f);

/* Tells the owner that something it may want to know of has changed. Locked. */
void pci_tell_changed(struct pci_function *f);

/* On a root as devfn from here on, or on none: BARs leave their buses, INTx falls. Set-up only. */
void pci_function_enter(struct pci_function *f, struct pci_root *root, unsigned devfn);
void pci_function_leave(struct pci_function *f);

/* Another place on its root, and whether its device has further functions. Set-up only. */
void pci_function_move(struct pci_function *f, unsigned devfn, bool has_siblings);

/* ---- msi.c; all locked ---- */

bool pci_msi_is_on(const struct pci_function *f);
void pci_msi_signal(struct pci_function *f);
void pci_msi_control_changed(struct pci_function *f); /* or the command register did */

/* ---- msix.c; all locked ---- */

bool pci_msix_is_on(const struct pci_function *f);
void pci_msix_reset(struct pci_function *f);
void pci_msix_control_changed(struct pci_function *f); /* or the command register did */
void pci_msix_state(struct pci_function *f, struct state *s);

/* ---- root.c ---- */

struct bus *pci_root_bus(struct pci_root *root, enum bus_space space);
const struct msi_sink *pci_root_msi(const struct pci_root *root);

/* One function more or less asserts INTA#. Any thread. */
void pci_root_set_intx(struct pci_root *root, unsigned devfn, bool level);

/* A BAR found its place taken: it is tried again whenever another one has moved. Any thread. */
void pci_root_note_waiting(struct pci_root *root);

/* A BAR was taken off its bus. No function's lock is held. vCPU threads, or vCPUs stand still. */
void pci_root_bar_left(struct pci_root *root);

#endif
