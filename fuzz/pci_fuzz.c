/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI as a hostile guest reaches it: random accesses to configuration space by both mechanisms and
 * to whatever BARs they moved where, interrupts in between, and saved states with bytes changed. What
 * is read-only stays, a BAR is on its bus exactly where its registers say or waits for its place, and
 * an access through it reaches its own function.
 *
 * Input: steps of eight bytes: what to do, function and register, and a value.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "pci/root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NR_TOYS 3
#define ECAM	UINT64_C(0xc0000000)

enum {
	STEP_CONFIG,
	STEP_PORTS,
	STEP_BAR,
	STEP_MMIO,
	STEP_SIGNAL,
	STEP_STATE,
	STEP_RESET,
	NR_STEPS
};

struct toy {
	struct pci_function f;
	unsigned nr_accesses;
	uint32_t window;
	unsigned cap;
};

struct fuzz_machine {
	struct bus *pio, *mmio;
	struct bus_region address_port;
	struct pci_root *root;
	struct device *dev;
	struct toy toys[NR_TOYS];
	bool lines[PCI_NR_INTX_LINES];
};

static uint64_t toy_read(void *dev, uint64_t offset, unsigned size)
{
	struct toy *t = dev;

	t->nr_accesses++;
	return offset;
}

static void toy_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct toy *t = dev;

	t->nr_accesses++;
}

static const struct bus_ops toy_ops = {.read = toy_read, .write = toy_write, .max_size = 8};

static uint32_t window_read(void *ctx, unsigned offset, unsigned size)
{
	struct toy *t = ctx;

	BUG_ON(offset < 4 || offset + size > 8);
	return t->window >> (8 * (offset - 4));
}

static void window_write(void *ctx, unsigned offset, unsigned size, uint32_t value)
{
	struct toy *t = ctx;

	BUG_ON(offset < 4 || offset + size > 8);
	t->window = value;
}

static const struct pci_cap_ops window_ops = {.read = window_read, .write = window_write};

static void set_line(void *ctx, unsigned pin, bool level)
{
	struct fuzz_machine *m = ctx;

	BUG_ON(m->lines[pin] == level);
	m->lines[pin] = level;
}

static void take_message(void *ctx, uint64_t addr, uint32_t data)
{
	BUG_ON(addr & 3);
}

static void add_toy(struct fuzz_machine *m, unsigned i)
{
	static const uint8_t cap[8] = {PCI_CAP_ID_VENDOR, 0, 8};
	struct toy *t = &m->toys[i];

	pci_function_init(&t->f, &(struct pci_function_params){.name = "toy",
							       .vendor = 0x1af4,
							       .device = (uint16_t)(0x1040 + i),
							       .class = 0xff0000,
							       .has_intx = true});
	pci_add_bar(&t->f, 0, PCI_BAR_MEM32, 0x1000, &toy_ops, t);
	pci_add_bar(&t->f, 1, PCI_BAR_IO, 0x40, &toy_ops, t);
	pci_add_bar(&t->f, 2, PCI_BAR_MEM64, 0x4000, &toy_ops, t);
	t->cap = pci_add_capability(&t->f, cap, NULL, sizeof(cap));
	pci_hook_capability(&t->f, t->cap, 4, 4, &window_ops, t);
	if (i != 1)
		pci_add_msix(&t->f, 4, 40);
	if (i != 2)
		pci_add_msi(&t->f);
	BUG_ON(pci_root_add(m->root, &t->f, PCI_DEVICE_ANY, NULL));
}

static void machine_init(struct fuzz_machine *m)
{
	*m = (struct fuzz_machine){.pio = bus_new(BUS_PIO), .mmio = bus_new(BUS_MMIO)};
	struct pci_root_params params = {
		.pio = m->pio,
		.mmio = m->mmio,
		.io = {0xc000, 0x1000},
		.mem32 = {0xd0000000, 0x10000000},
		.mem64 = {0x4000000000, 0x1000000000},
		.ecam_base = ECAM,
		.ecam_nr_buses = 1,
		.msi = {.send = take_message},
	};
	for (unsigned i = 0; i < PCI_NR_INTX_LINES; i++)
		params.intx[i] = (struct irq_line){.set = set_line, .ctx = m, .pin = i};
	m->root = pci_root_new(&params, NULL);
	m->dev = pci_root_device(m->root);
	m->address_port = (struct bus_region){.name = "address",
					      .base = 0xcf8,
					      .size = 4,
					      .ops = &pci_root_address_ops,
					      .dev = m->root};
	BUG_ON(bus_add(m->pio, &m->address_port, NULL));
	for (unsigned i = 0; i < NR_TOYS; i++)
		add_toy(m, i);
}

static void machine_fini(struct fuzz_machine *m)
{
	for (unsigned i = 0; i < NR_TOYS; i++)
		pci_function_fini(&m->toys[i].f);
	for (unsigned i = 0; i < PCI_NR_INTX_LINES; i++)
		BUG_ON(m->lines[i]);
	m->dev->ops->free(m->dev);
	bus_free(m->mmio);
	bus_free(m->pio);
}

/* A state that was saved, changed in a few bytes, and loaded. */
static void load_changed(struct toy *t, unsigned at, uint32_t value)
{
	struct buf saved = {0};
	struct state s;

	state_init_save(&s, &saved);
	state_begin(&s, "toy", 1);
	pci_function_state(&t->f, &s);
	state_end(&s);
	at = 16 + at % (unsigned)(saved.len - 16 - sizeof(value));
	memcpy(saved.data + at, &value, sizeof(value));
	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "toy", 1);
	pci_function_state(&t->f, &s);
	state_end(&s);
	buf_free(&saved);
}

static void access(struct bus *bus, uint64_t addr, unsigned size, bool is_write, uint32_t value)
{
	uint64_t data = value | (uint64_t)value << 32;

	if (is_write)
		bus_write(bus, addr, &data, size);
	else
		bus_read(bus, addr, &data, size);
}

static void step(struct fuzz_machine *m, const uint8_t *in)
{
	struct toy *t = &m->toys[in[1] % NR_TOYS];
	unsigned size = 1u << (in[1] >> 4 & 3), bar = in[1] >> 2 & 3, reg = in[2] | in[3] << 8;
	bool is_write = in[1] >> 6 & 1;
	unsigned slot = in[1] >> 7 ? 0 : t->f.devfn;
	uint32_t value;

	memcpy(&value, in + 4, sizeof(value));
	switch (in[0] % NR_STEPS) {
	case STEP_CONFIG:
		access(m->mmio, ECAM + (slot << 12) + (reg & 0xfff), size, is_write, value);
		break;
	case STEP_PORTS:
		access(m->pio, 0xcf8, 4, true, BIT(31) | slot << 8 | (reg & 0xfc));
		access(m->pio, 0xcfc + (reg & 3), size, is_write, value);
		break;
	case STEP_BAR:
		bar = bar == 3 ? 4 : bar;
		if (pci_bar_address(&t->f, bar) != PCI_BAR_NOT_MAPPED)
			access(bar == 1 ? m->pio : m->mmio, pci_bar_address(&t->f, bar) + reg, size,
			       is_write, value);
		break;
	case STEP_MMIO:
		access(m->mmio, (uint64_t)value << (reg & 15), size, is_write, value);
		break;
	case STEP_SIGNAL:
		if (is_write)
			pci_intx_set(&t->f, value & 1);
		else
			pci_msix_notify(&t->f, value & 63);
		break;
	case STEP_STATE:
		load_changed(t, reg, value);
		break;
	default:
		if (value % 8 == 0)
			m->dev->ops->reset(m->dev);
		else if (value % 8 == 1)
			pci_function_reset(&t->f);
	}
}

/* What must hold after every step. */
static void check(struct fuzz_machine *m, unsigned i)
{
	static const unsigned bars[] = {0, 1, 2};
	struct toy *t = &m->toys[i];

	BUG_ON(pci_config_read(&t->f, PCI_VENDOR_ID, 4) != ((0x1040 + i) << 16 | 0x1af4));
	BUG_ON(pci_config_read(&t->f, PCI_CAPABILITIES, 1) != t->cap);
	for (unsigned b = 0; b < ARRAY_SIZE(bars); b++) {
		uint64_t at = pci_bar_address(&t->f, bars[b]);
		uint32_t low = pci_config_read(&t->f, PCI_BARS + 4 * bars[b], 4);
		bool is_io = bars[b] == 1;
		unsigned before = t->nr_accesses;
		uint8_t byte;

		if (at == PCI_BAR_NOT_MAPPED)
			continue;
		BUG_ON((low & (is_io ? ~3u : ~15u)) != (uint32_t)at);
		BUG_ON(!(pci_config_read(&t->f, PCI_COMMAND, 2) & (is_io ? 1 : 2)));
		bus_read(is_io ? m->pio : m->mmio, at + 1, &byte, 1);
		BUG_ON(byte != 1 || t->nr_accesses != before + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_machine m;

	log_set_level(LOG_ERROR);
	machine_init(&m);
	for (; len >= 8; data += 8, len -= 8) {
		step(&m, data);
		for (unsigned i = 0; i < NR_TOYS; i++)
			check(&m, i);
	}
	machine_fini(&m);
	return 0;
}
