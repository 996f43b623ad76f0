/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci/root.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pci/function_impl.h"

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_KEPT   0x80fffffcu /* enable, bus, device, function, register */

/* A Q35 memory controller hub: kernels know it as a host bridge without quirks. */
#define BRIDGE_VENDOR 0x8086
#define BRIDGE_DEVICE 0x29c0
#define BRIDGE_CLASS  0x060000 /* base class bridge, host */

#define NR_DEVFNS (PCI_NR_DEVICES * 8)

/* 64-bit BARs up to this size go below 4 GiB, where any kernel reaches them. */
#define LOW_BAR_MAX (64 * MIB)

struct pci_root {
	struct device dev;
	struct pci_root_params params;
	struct bus_region data_ports, ecam;
	struct pci_function bridge;
	struct pci_function *functions[NR_DEVFNS]; /* changes while vCPUs stand still */
	struct pci_function *numbered[NR_DEVFNS];  /* those the root numbers, in order of adding */
	unsigned nr_numbered;
	_Atomic uint32_t address;
	atomic_bool has_waiting; /* BARs that found their place taken */

	pthread_mutex_t intx_lock; /* guards nr_raised, held while a line is driven; order: after
				      functions' locks */
	unsigned nr_raised[PCI_NR_INTX_LINES];

	struct allocator {
		uint64_t next, end;
	} io, mem32, mem64; /* what windows have left */
};

struct bus *pci_root_bus(struct pci_root *root, enum bus_space space)
{
	return space == BUS_PIO ? root->params.pio : root->params.mmio;
}

const struct msi_sink *pci_root_msi(const struct pci_root *root)
{
	return &root->params.msi;
}

/* ---- configuration space ---- */

/* A function that is not there reads as all ones. */
static uint32_t config_read(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset,
			    unsigned size)
{
	struct pci_function *f = bus ? NULL : root->functions[devfn];

	return f ? pci_config_read(f, offset, size) : UINT32_MAX;
}

static void config_write(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset,
			 unsigned size, uint32_t value)
{
	struct pci_function *f = bus ? NULL : root->functions[devfn];

	if (f)
		pci_config_write(f, offset, size, value);
}

static uint64_t address_read(void *dev, uint64_t offset, unsigned size)
{
	struct pci_root *root = dev;

	return atomic_load_explicit(&root->address, memory_order_relaxed);
}

static void address_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_root *root = dev;

	atomic_store_explicit(&root->address, (uint32_t)value & ADDRESS_KEPT, memory_order_relaxed);
}

const struct bus_ops pci_root_address_ops = {
	.read = address_read, .write = address_write, .min_size = 4, .max_size = 4};

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct pci_root *root = dev;
	uint32_t address = (uint32_t)address_read(root, 0, 4);

	if (!(address & ADDRESS_ENABLE))
		return UINT64_MAX;
	return config_read(root, address >> 16 & 0xff, address >> 8 & 0xff,
			   (address & 0xfc) + (unsigned)offset, size);
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_root *root = dev;
	uint32_t address = (uint32_t)address_read(root, 0, 4);

	if (address & ADDRESS_ENABLE)
		config_write(root, address >> 16 & 0xff, address >> 8 & 0xff,
			     (address & 0xfc) + (unsigned)offset, size, (uint32_t)value);
}

static const struct bus_ops data_ops = {.read = data_read, .write = data_write, .max_size = 4};

static uint64_t ecam_read(void *dev, uint64_t offset, unsigned size)
{
	return config_read(dev, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff,
			   size);
}

static void ecam_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	config_write(dev, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff, size,
		     (uint32_t)value);
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write, .max_size = 4};

/* ---- INTx ---- */

void pci_root_set_intx(struct pci_root *root, unsigned devfn, bool level)
{
	unsigned line = pci_intx_line_of(devfn >> 3, 0);

	pthread_mutex_lock(&root->intx_lock);
	unsigned *nr = &root->nr_raised[line];
	*nr += level ? 1 : -1;
	if (*nr == level)
		irq_set(&root->params.intx[line], level);
	pthread_mutex_unlock(&root->intx_lock);
}

/* ---- BARs ---- */

void pci_root_note_waiting(struct pci_root *root)
{
	atomic_store(&root->has_waiting, true);
}

void pci_root_bar_left(struct pci_root *root)
{
	if (!atomic_exchange(&root->has_waiting, false))
		return;
	for (unsigned i = 0; i < NR_DEVFNS; i++) {
		if (root->functions[i])
			pci_map_bars(root->functions[i]);
	}
}

static void allocators_init(struct pci_root *root)
{
	const struct pci_root_params *p = &root->params;

	root->io = (struct allocator){p->io.base, p->io.base + p->io.size};
	root->mem32 = (struct allocator){p->mem32.base, p->mem32.base + p->mem32.size};
	root->mem64 = (struct allocator){p->mem64.base, p->mem64.base + p->mem64.size};
}

/* BARs are aligned to their size. Returns 0 when there is no room: no window begins there. */
static uint64_t allocate(struct allocator *a, uint64_t size)
{
	uint64_t base = ALIGN_UP(a->next, size);

	if (base < a->next || base >= a->end || size > a->end - base)
		return 0;
	a->next = base + size;
	return base;
}

static uint64_t allocate_for(struct pci_root *root, const struct pci_bar *bar)
{
	uint64_t size = bar->region.size, base = 0;

	switch (bar->type) {
	case PCI_BAR_IO:
		return allocate(&root->io, size);
	case PCI_BAR_MEM32:
		return allocate(&root->mem32, size);
	default:
		if (size <= LOW_BAR_MAX)
			base = allocate(&root->mem32, size);
		if (!base)
			base = allocate(&root->mem64, size);
		return base ? base : allocate(&root->mem32, size);
	}
}

/* As firmware does: addresses for all BARs, and decoding on. */
static int assign(struct pci_root *root, struct pci_function *f, struct error *err)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &f->bars[i];

		if (bar->type == PCI_BAR_NONE || bar->type == PCI_BAR_UPPER)
			continue;
		uint64_t base = allocate_for(root, bar);
		if (!base)
			return error_set(err, -ENOSPC,
					 "%s: no room for %llu bytes of BAR %u in the PCI windows",
					 f->name, (unsigned long long)bar->region.size, i);
		pci_place_bar(f, i, base);
	}
	pci_decode_bars(f);
	return 0;
}

/* ---- functions come and go ---- */

static bool is_numbered(const struct pci_root *root, const struct pci_function *f)
{
	for (unsigned i = 0; i < root->nr_numbered; i++) {
		if (root->numbered[i] == f)
			return true;
	}
	return false;
}

/* Device numbers without a function that asked for its number; returns how many. */
static unsigned free_devices(const struct pci_root *root, unsigned devices[PCI_NR_DEVICES])
{
	unsigned nr = 0;

	for (unsigned device = 1; device < PCI_NR_DEVICES; device++) {
		const struct pci_function *f = root->functions[device << 3];

		if (!f || is_numbered(root, f))
			devices[nr++] = device;
	}
	return nr;
}

/*
 * Numbers those without a wish in the order in which they were added, which is the order in which
 * guests find them: one function for each device while there are enough of these, else two, and so
 * on. They move as others come, while no guest runs.
 */
static void renumber(struct pci_root *root)
{
	unsigned devices[PCI_NR_DEVICES], nr_devices = free_devices(root, devices);
	unsigned nr = root->nr_numbered;
	unsigned share = nr_devices ? (nr + nr_devices - 1) / nr_devices : 0;

	for (unsigned i = 0; i < NR_DEVFNS; i++) {
		if (root->functions[i] && is_numbered(root, root->functions[i]))
			root->functions[i] = NULL;
	}
	for (unsigned i = 0; i < nr; i++) {
		unsigned devfn = devices[i / share] << 3 | i % share;
		bool has_siblings = share > 1 && (i % share || i + 1 < nr);

		root->functions[devfn] = root->numbered[i];
		pci_function_move(root->numbered[i], devfn, has_siblings);
	}
}

static int take_number(struct pci_root *root, struct pci_function *f, unsigned device,
		       struct error *err)
{
	BUG_ON(!device || device >= PCI_NR_DEVICES);
	const struct pci_function *other = root->functions[device << 3];
	if (other)
		return error_set(err, -EBUSY, "%s and %s both want PCI device %u", f->name,
				 other->name, device);
	root->functions[device << 3] = f;
	pci_function_enter(f, root, device << 3);
	return 0;
}

static int take_any_number(struct pci_root *root, struct pci_function *f, struct error *err)
{
	unsigned devices[PCI_NR_DEVICES], places = 8 * free_devices(root, devices);

	if (root->nr_numbered == places)
		return error_set(err, -ENOSPC, "%s: all %u places of the PCI bus are taken",
				 f->name, places);
	root->numbered[root->nr_numbered++] = f;
	pci_function_enter(f, root, 0);
	renumber(root);
	return 0;
}

int pci_root_add(struct pci_root *root, struct pci_function *f, unsigned device, struct error *err)
{
	BUG_ON(f->root);
	int ret = device == PCI_DEVICE_ANY ? take_any_number(root, f, err)
					   : take_number(root, f, device, err);
	if (ret)
		return ret;
	ret = assign(root, f, err);
	if (ret)
		pci_root_remove(root, f);
	return ret;
}

void pci_root_remove(struct pci_root *root, struct pci_function *f)
{
	BUG_ON(f->root != root || root->functions[f->devfn] != f);
	root->functions[f->devfn] = NULL;
	for (unsigned i = 0; i < root->nr_numbered; i++) {
		if (root->numbered[i] != f)
			continue;
		root->nr_numbered--;
		memmove(&root->numbered[i], &root->numbered[i + 1],
			(root->nr_numbered - i) * sizeof(root->numbered[0]));
		break;
	}
	pci_function_leave(f);
	pci_root_bar_left(root);
}

/* ---- device ---- */

/* All BARs leave before the first gets its address again. What had room once has it again. */
static void reset(struct device *d)
{
	struct pci_root *root = container_of(d, struct pci_root, dev);

	address_write(root, 0, 4, 0);
	allocators_init(root);
	for (unsigned i = 0; i < NR_DEVFNS; i++) {
		if (root->functions[i])
			pci_function_reset(root->functions[i]);
	}
	for (unsigned i = 0; i < NR_DEVFNS; i++) {
		if (root->functions[i])
			assign(root, root->functions[i], NULL);
	}
}

static void state(struct device *d, struct state *s)
{
	struct pci_root *root = container_of(d, struct pci_root, dev);
	uint32_t address = (uint32_t)address_read(root, 0, 4);

	state_u32(s, &address);
	address_write(root, 0, 4, address);
	pci_function_state(&root->bridge, s);
}

static void root_free(struct device *d)
{
	struct pci_root *root = container_of(d, struct pci_root, dev);

	pci_function_fini(&root->bridge);
	for (unsigned i = 0; i < NR_DEVFNS; i++)
		BUG_ON(root->functions[i]);
	bus_remove(root->params.pio, &root->data_ports);
	bus_remove(root->params.mmio, &root->ecam);
	pthread_mutex_destroy(&root->intx_lock);
	free(root);
}

static const struct device_ops device_ops = {
	.type = "pci_root",
	.reset = reset,
	.state = state,
	.free = root_free,
};

static void add_bridge(struct pci_root *root)
{
	pci_function_init(&root->bridge, &(struct pci_function_params){.name = "host bridge",
								       .vendor = BRIDGE_VENDOR,
								       .device = BRIDGE_DEVICE,
								       .class = BRIDGE_CLASS});
	root->functions[0] = &root->bridge;
	pci_function_enter(&root->bridge, root, 0);
}

static int claim(struct pci_root *root, struct error *err)
{
	const struct pci_root_params *p = &root->params;
	int ret = bus_add(p->pio, &root->data_ports, err);

	if (!ret && p->ecam_base)
		ret = bus_add(p->mmio, &root->ecam, err);
	return ret;
}

struct pci_root *pci_root_new(const struct pci_root_params *params, struct error *err)
{
	struct pci_root *root = mem_alloc_zero(sizeof(*root));

	root->dev.ops = &device_ops;
	list_init(&root->dev.node);
	root->params = *params;
	pthread_mutex_init(&root->intx_lock, NULL);
	allocators_init(root);
	root->data_ports = (struct bus_region){.name = "pci data",
					       .base = PCI_CONFIG_DATA,
					       .size = 4,
					       .ops = &data_ops,
					       .dev = root};
	root->ecam = (struct bus_region){.name = "pci ecam",
					 .base = params->ecam_base,
					 .size = params->ecam_nr_buses * PCI_ECAM_BUS_SIZE,
					 .ops = &ecam_ops,
					 .dev = root};
	add_bridge(root);
	if (claim(root, err)) {
		root_free(&root->dev);
		return NULL;
	}
	return root;
}

struct device *pci_root_device(struct pci_root *root)
{
	return &root->dev;
}
