/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI root on buses of its own with a function that has one BAR of each kind, a vendor capability
 * and MSI-X, and what it takes to act as the guest: configuration accesses, lines and messages that
 * are counted.
 */
#ifndef TESTS_UNIT_PCI_MACHINE_H
#define TESTS_UNIT_PCI_MACHINE_H

#include "unit/fake.h"

#include "pci/function.h"
#include "pci/root.h"

#define ECAM  UINT64_C(0xc0000000)
#define MEM32 UINT64_C(0xd0000000)
#define MEM64 UINT64_C(0x4000000000)

enum { BAR_MEM32 = 0, BAR_IO = 1, BAR_MEM64 = 2, BAR_MSIX = 4 };

struct sent {
	unsigned nr;
	uint64_t addr;
	uint32_t data;
};

struct toy {
	struct pci_function f;
	uint64_t offset, value;
	unsigned nr_changed;
	uint32_t window; /* behind the hooked dword of its capability */
	unsigned cap;
};

struct machine {
	struct bus *pio, *mmio;
	struct fake_line lines[PCI_NR_INTX_LINES];
	struct sent sent;
	struct pci_root *root;
	struct device *dev;
};

static inline void count_message(void *ctx, uint64_t addr, uint32_t data)
{
	struct sent *s = ctx;

	*s = (struct sent){s->nr + 1, addr, data};
}

static inline struct pci_root_params machine_params(struct machine *m)
{
	struct pci_root_params p = {
		.pio = m->pio,
		.mmio = m->mmio,
		.io = {0x4000, 0x4000},
		.mem32 = {MEM32, 0x10000000},
		.mem64 = {MEM64, UINT64_C(0x1000000000)},
		.ecam_base = ECAM,
		.ecam_nr_buses = 2,
		.msi = {.send = count_message, .ctx = &m->sent},
	};

	for (unsigned i = 0; i < PCI_NR_INTX_LINES; i++)
		p.intx[i] = fake_line(m->lines, i);
	return p;
}

static inline void machine_init(struct machine *m)
{
	struct error err;

	*m = (struct machine){.pio = bus_new(BUS_PIO), .mmio = bus_new(BUS_MMIO)};
	struct pci_root_params params = machine_params(m);
	m->root = pci_root_new(&params, &err);
	assert_non_null(m->root);
	m->dev = pci_root_device(m->root);
}

static inline void machine_fini(struct machine *m)
{
	m->dev->ops->free(m->dev);
	bus_free(m->mmio);
	bus_free(m->pio);
}

/* ---- the function ---- */

static inline uint64_t toy_read(void *dev, uint64_t offset, unsigned size)
{
	struct toy *t = dev;

	t->offset = offset;
	return 0xa0 + offset;
}

static inline void toy_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct toy *t = dev;

	t->offset = offset;
	t->value = value;
}

static const struct bus_ops toy_ops = {.read = toy_read, .write = toy_write, .max_size = 4};

static inline void toy_changed(struct pci_function *f)
{
	container_of(f, struct toy, f)->nr_changed++;
}

static const struct pci_function_ops toy_function_ops = {.changed = toy_changed};

static inline uint32_t window_read(void *ctx, unsigned offset, unsigned size)
{
	struct toy *t = ctx;

	assert_true(offset >= 8 && offset + size <= 12);
	return t->window >> (8 * (offset - 8));
}

static inline void window_write(void *ctx, unsigned offset, unsigned size, uint32_t value)
{
	struct toy *t = ctx;

	assert_true(offset >= 8 && offset + size <= 12);
	t->window = value;
}

static const struct pci_cap_ops window_ops = {.read = window_read, .write = window_write};

static inline void toy_init(struct toy *t, unsigned nr_vectors)
{
	static const uint8_t cap[12] = {PCI_CAP_ID_VENDOR, 0, 12, 5, 1, 2, 3, 4};
	static const uint8_t writable[12] = {[4] = 0xff};

	*t = (struct toy){0};
	pci_function_init(&t->f, &(struct pci_function_params){.name = "toy",
							       .vendor = 0x1af4,
							       .device = 0x1042,
							       .subsystem_vendor = 0x1af4,
							       .subsystem = 0x1100,
							       .class = 0x018000,
							       .revision = 1,
							       .has_intx = true,
							       .ops = &toy_function_ops});
	pci_add_bar(&t->f, BAR_MEM32, PCI_BAR_MEM32, 0x1000, &toy_ops, t);
	pci_add_bar(&t->f, BAR_IO, PCI_BAR_IO, 0x40, &toy_ops, t);
	pci_add_bar(&t->f, BAR_MEM64, PCI_BAR_MEM64, 0x4000, &toy_ops, t);
	t->cap = pci_add_capability(&t->f, cap, writable, sizeof(cap));
	pci_hook_capability(&t->f, t->cap, 8, 4, &window_ops, t);
	pci_add_msix(&t->f, BAR_MSIX, nr_vectors);
}

static inline void toy_add(struct machine *m, struct toy *t, unsigned device)
{
	struct error err = {0};

	toy_init(t, 3);
	assert_int_equal(pci_root_add(m->root, &t->f, device, &err), 0);
}

/* ---- the guest ---- */

static inline uint64_t ecam_address(unsigned device, unsigned reg)
{
	return ECAM + (device << 15) + reg;
}

static inline uint32_t config32(struct machine *m, unsigned device, unsigned reg)
{
	return in32(m->mmio, ecam_address(device, reg));
}

static inline uint16_t config16(struct machine *m, unsigned device, unsigned reg)
{
	return in16(m->mmio, ecam_address(device, reg));
}

static inline void set_config32(struct machine *m, unsigned device, unsigned reg, uint32_t value)
{
	out32(m->mmio, ecam_address(device, reg), value);
}

static inline void set_config16(struct machine *m, unsigned device, unsigned reg, uint16_t value)
{
	out16(m->mmio, ecam_address(device, reg), value);
}

static inline void set_command(struct machine *m, unsigned device, uint16_t set, uint16_t clear)
{
	uint16_t command = config16(m, device, PCI_COMMAND);

	set_config16(m, device, PCI_COMMAND, (command | set) & ~clear);
}

#endif
