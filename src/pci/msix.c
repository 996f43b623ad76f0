/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages and one pending bit each, in a BAR of its own with
 * the bits behind the table. A function that may not master the bus cannot send a message; it stays
 * pending as if it were masked. Entered by vCPU threads through the BAR and by any thread that
 * signals a vector; the function's lock guards all.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "pci/function.h"
#include "pci/function_impl.h"
#include "pci/root.h"

#define ENTRY_ADDRESS  0
#define ENTRY_UPPER    4
#define ENTRY_DATA     8
#define ENTRY_CONTROL  12
#define BAR_SIZE_LEAST UINT64_C(4096)

static unsigned table_size(const struct pci_function *f)
{
	return f->nr_vectors * PCI_MSIX_ENTRY_SIZE;
}

static uint16_t control_of(const struct pci_function *f)
{
	return f->msix_cap ? pci_get16(&f->config[f->msix_cap + PCI_MSIX_CONTROL]) : 0;
}

bool pci_msix_is_on(const struct pci_function *f)
{
	return control_of(f) & PCI_MSIX_CONTROL_ENABLE;
}

/* ---- messages; locked ---- */

static bool can_send(const struct pci_function *f)
{
	return f->root && pci_msix_is_on(f) && !(control_of(f) & PCI_MSIX_CONTROL_MASKED) &&
	       (pci_command(f) & PCI_COMMAND_BUS_MASTER);
}

static void send_pending(struct pci_function *f, struct pci_msix_vector *v)
{
	if (!v->is_pending || v->is_masked || !can_send(f))
		return;
	v->is_pending = false;
	msi_send(pci_root_msi(f->root), v->addr, v->data);
}

void pci_msix_control_changed(struct pci_function *f)
{
	for (unsigned i = 0; i < f->nr_vectors; i++) {
		if (!pci_msix_is_on(f))
			f->vectors[i].is_pending = false;
		send_pending(f, &f->vectors[i]);
	}
}

void pci_msix_notify(struct pci_function *f, unsigned vector)
{
	pthread_mutex_lock(&f->lock);
	if (vector < f->nr_vectors && pci_msix_is_on(f)) {
		f->vectors[vector].is_pending = true;
		send_pending(f, &f->vectors[vector]);
	}
	pthread_mutex_unlock(&f->lock);
}

bool pci_msix_message_locked(const struct pci_function *f, unsigned vector, uint64_t *addr,
			     uint32_t *data)
{
	if (vector >= f->nr_vectors || f->vectors[vector].is_masked || !can_send(f))
		return false;
	*addr = f->vectors[vector].addr;
	*data = f->vectors[vector].data;
	return true;
}

bool pci_msix_is_enabled(struct pci_function *f)
{
	pthread_mutex_lock(&f->lock);
	bool is_on = pci_msix_is_on(f);
	pthread_mutex_unlock(&f->lock);
	return is_on;
}

/* ---- the BAR ---- */

static uint32_t read_entry(const struct pci_msix_vector *v, unsigned reg)
{
	switch (reg) {
	case ENTRY_ADDRESS:
		return (uint32_t)v->addr;
	case ENTRY_UPPER:
		return (uint32_t)(v->addr >> 32);
	case ENTRY_DATA:
		return v->data;
	default:
		return v->is_masked ? PCI_MSIX_ENTRY_MASKED : 0;
	}
}

static void write_entry(struct pci_function *f, struct pci_msix_vector *v, unsigned reg,
			uint32_t value)
{
	switch (reg) {
	case ENTRY_ADDRESS:
		v->addr = (v->addr & ~UINT64_C(0xffffffff)) | (value & ~3u);
		break;
	case ENTRY_UPPER:
		v->addr = (v->addr & 0xffffffff) | (uint64_t)value << 32;
		break;
	case ENTRY_DATA:
		v->data = value;
		break;
	default:
		v->is_masked = value & PCI_MSIX_ENTRY_MASKED;
		send_pending(f, v);
	}
}

static uint32_t pending_bits(const struct pci_function *f, unsigned first)
{
	uint32_t bits = 0;

	for (unsigned i = first; i < min(first + 32, f->nr_vectors); i++)
		bits |= f->vectors[i].is_pending ? BIT(i - first) : 0;
	return bits;
}

static uint32_t read_dword(const struct pci_function *f, uint64_t offset)
{
	if (offset < table_size(f))
		return read_entry(&f->vectors[offset / PCI_MSIX_ENTRY_SIZE],
				  offset % PCI_MSIX_ENTRY_SIZE);
	offset -= table_size(f);
	return offset * 8 < f->nr_vectors ? pending_bits(f, (unsigned)offset * 8) : 0;
}

static uint64_t msix_read(void *dev, uint64_t offset, unsigned size)
{
	struct pci_function *f = dev;

	pthread_mutex_lock(&f->lock);
	uint64_t value = read_dword(f, offset);
	if (size == 8)
		value |= (uint64_t)read_dword(f, offset + 4) << 32;
	pthread_mutex_unlock(&f->lock);
	return value;
}

static void msix_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_function *f = dev;

	pthread_mutex_lock(&f->lock);
	for (unsigned done = 0; done < size && offset + done < table_size(f); done += 4)
		write_entry(f, &f->vectors[(offset + done) / PCI_MSIX_ENTRY_SIZE],
			    (offset + done) % PCI_MSIX_ENTRY_SIZE, (uint32_t)(value >> (8 * done)));
	pci_tell_changed(f);
	pthread_mutex_unlock(&f->lock);
}

/* Software must use accesses of 4 or 8 bytes. */
static const struct bus_ops msix_ops = {
	.read = msix_read, .write = msix_write, .min_size = 4, .max_size = 8};

/* ---- set-up, reset, state ---- */

void pci_add_msix(struct pci_function *f, unsigned bar, unsigned nr_vectors)
{
	static const uint8_t writable[PCI_MSIX_CAP_SIZE] = {
		[PCI_MSIX_CONTROL + 1] = (PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASKED) >> 8};
	uint8_t cap[PCI_MSIX_CAP_SIZE] = {PCI_CAP_ID_MSIX};
	uint64_t size = BAR_SIZE_LEAST;

	BUG_ON(f->vectors || !nr_vectors || nr_vectors > PCI_MSIX_VECTORS_MAX);
	f->nr_vectors = nr_vectors;
	f->vectors = mem_alloc_zero(nr_vectors * sizeof(f->vectors[0]));
	while (size < table_size(f) + ALIGN_UP(nr_vectors, 64) / 8)
		size *= 2;
	pci_add_bar(f, bar, PCI_BAR_MEM32, size, &msix_ops, f);
	pci_put16(&cap[PCI_MSIX_CONTROL], (uint16_t)(nr_vectors - 1));
	pci_put32(&cap[PCI_MSIX_TABLE], bar);
	pci_put32(&cap[PCI_MSIX_PBA], table_size(f) | bar);
	f->msix_cap = (uint8_t)pci_add_capability(f, cap, writable, sizeof(cap));
	pci_msix_reset(f);
}

void pci_msix_reset(struct pci_function *f)
{
	for (unsigned i = 0; i < f->nr_vectors; i++)
		f->vectors[i] = (struct pci_msix_vector){.is_masked = true};
}

void pci_msix_state(struct pci_function *f, struct state *s)
{
	for (unsigned i = 0; i < f->nr_vectors; i++) {
		struct pci_msix_vector *v = &f->vectors[i];

		state_u64(s, &v->addr);
		v->addr &= ~UINT64_C(3);
		state_u32(s, &v->data);
		state_bool(s, &v->is_masked);
		state_bool(s, &v->is_pending);
	}
}
