/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI (PCI 3.0, 6.8.1) with one vector, mask and pending bit. All of its registers are in
 * configuration space, under the function's lock. As with MSI-X, a message that cannot be sent for
 * want of bus mastering stays pending.
 */
#include "pci/function.h"
#include "pci/function_impl.h"
#include "pci/root.h"

static uint8_t *reg(struct pci_function *f, unsigned offset)
{
	return &f->config[f->msi_cap + offset];
}

bool pci_msi_is_on(const struct pci_function *f)
{
	return f->msi_cap && (f->config[f->msi_cap + PCI_MSI_CONTROL] & PCI_MSI_CONTROL_ENABLE);
}

static void send_pending(struct pci_function *f)
{
	bool can_send = f->root && !(*reg(f, PCI_MSI_MASK) & 1) &&
			(pci_command(f) & PCI_COMMAND_BUS_MASTER);

	if (f->msi_is_pending && can_send) {
		f->msi_is_pending = false;
		msi_send(pci_root_msi(f->root),
			 (uint64_t)pci_get32(reg(f, PCI_MSI_UPPER)) << 32 |
				 pci_get32(reg(f, PCI_MSI_ADDRESS)),
			 pci_get16(reg(f, PCI_MSI_DATA)));
	}
	*reg(f, PCI_MSI_PENDING) = f->msi_is_pending;
}

void pci_msi_signal(struct pci_function *f)
{
	if (!pci_msi_is_on(f) || pci_msix_is_on(f))
		return;
	f->msi_is_pending = true;
	send_pending(f);
}

void pci_msi_control_changed(struct pci_function *f)
{
	if (!f->msi_cap)
		return;
	if (!pci_msi_is_on(f))
		f->msi_is_pending = false;
	send_pending(f);
}

void pci_add_msi(struct pci_function *f)
{
	uint8_t cap[PCI_MSI_CAP_SIZE] = {PCI_CAP_ID_MSI}, writable[PCI_MSI_CAP_SIZE] = {0};

	BUG_ON(f->msi_cap);
	pci_put16(&cap[PCI_MSI_CONTROL], PCI_MSI_CONTROL_64BIT | PCI_MSI_CONTROL_MASKABLE);
	pci_put16(&writable[PCI_MSI_CONTROL], PCI_MSI_CONTROL_ENABLE);
	pci_put32(&writable[PCI_MSI_ADDRESS], ~3u);
	pci_put32(&writable[PCI_MSI_UPPER], ~0u);
	pci_put16(&writable[PCI_MSI_DATA], 0xffff);
	writable[PCI_MSI_MASK] = 1;
	f->msi_cap = (uint8_t)pci_add_capability(f, cap, writable, sizeof(cap));
}
