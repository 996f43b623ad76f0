/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci/function.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "pci/function_impl.h"
#include "pci/root.h"

#define CAPABILITIES_START 0x40

#define COMMAND_WRITABLE                                                                     \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

/* ---- description ---- */

void pci_function_init(struct pci_function *f, const struct pci_function_params *params)
{
	memset(f, 0, sizeof(*f));
	f->name = params->name;
	f->ops = params->ops;
	f->capabilities_end = CAPABILITIES_START;
	pthread_mutex_init(&f->lock, NULL);

	pci_put16(&f->initial[PCI_VENDOR_ID], params->vendor);
	pci_put16(&f->initial[PCI_DEVICE_ID], params->device);
	pci_put32(&f->initial[PCI_REVISION_ID], params->class << 8 | params->revision);
	pci_put16(&f->initial[PCI_SUBSYSTEM_VENDOR_ID], params->subsystem_vendor);
	pci_put16(&f->initial[PCI_SUBSYSTEM_ID], params->subsystem);
	f->initial[PCI_INTERRUPT_PIN] = params->has_intx;
	pci_put16(&f->writable[PCI_COMMAND], COMMAND_WRITABLE);
	f->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	f->writable[PCI_INTERRUPT_LINE] = 0xff;
	memcpy(f->config, f->initial, sizeof(f->config));
}

void pci_function_fini(struct pci_function *f)
{
	if (f->root)
		pci_root_remove(f->root, f);
	free(f->vectors);
	pthread_mutex_destroy(&f->lock);
}

static void put_both(struct pci_function *f, unsigned at, uint32_t initial, uint32_t writable)
{
	pci_put32(&f->initial[at], initial);
	pci_put32(&f->config[at], initial);
	pci_put32(&f->writable[at], writable);
}

void pci_add_bar(struct pci_function *f, unsigned index, enum pci_bar_type type, uint64_t size,
		 const struct bus_ops *ops, void *dev)
{
	bool is_io = type == PCI_BAR_IO, is_64bit = type == PCI_BAR_MEM64;
	unsigned at = PCI_BARS + 4 * index;
	uint64_t mask = ~(size - 1);

	BUG_ON(f->root || index + is_64bit >= PCI_NR_BARS || f->bars[index].type);
	BUG_ON(size < (is_io ? 4 : 16) || size & (size - 1));
	BUG_ON(size > (is_io ? 256 : is_64bit ? BIT64(62) : BIT64(31)));
	f->bars[index] = (struct pci_bar){
		.type = type,
		.region = {.name = f->name, .size = size, .ops = ops, .dev = dev},
	};
	put_both(f, at, is_io ? PCI_BAR_IS_IO : is_64bit ? PCI_BAR_IS_64BIT : 0, (uint32_t)mask);
	if (is_64bit) {
		BUG_ON(f->bars[index + 1].type);
		f->bars[index + 1].type = PCI_BAR_UPPER;
		put_both(f, at + 4, 0, (uint32_t)(mask >> 32));
	}
}

unsigned pci_add_capability(struct pci_function *f, const void *bytes, const void *writable,
			    unsigned len)
{
	unsigned at = f->capabilities_end;

	BUG_ON(f->root || len < 4 || len % 4 || at + len > PCI_CONFIG_SIZE);
	memcpy(&f->initial[at], bytes, len);
	if (writable)
		memcpy(&f->writable[at], writable, len);
	f->initial[at + 1] = 0;
	f->initial[f->last_capability ? f->last_capability + 1 : PCI_CAPABILITIES] = (uint8_t)at;
	f->initial[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	f->last_capability = (uint8_t)at;
	f->capabilities_end = at + len;
	memcpy(f->config, f->initial, sizeof(f->config));
	return at;
}

void pci_hook_capability(struct pci_function *f, unsigned cap, unsigned start, unsigned len,
			 const struct pci_cap_ops *ops, void *ctx)
{
	BUG_ON(f->nr_hooks == PCI_HOOKED_CAPS_MAX || (cap | start | len) % 4 || !len);
	BUG_ON(cap + start + len > f->capabilities_end);
	f->hooks[f->nr_hooks++] = (struct pci_cap_hook){.cap = (uint8_t)cap,
							.start = (uint8_t)(cap + start),
							.len = (uint8_t)len,
							.ops = ops,
							.ctx = ctx};
}

/* ---- BARs; locked ---- */

static uint64_t register_address(const struct pci_function *f, unsigned index)
{
	uint32_t low = pci_get32(&f->config[PCI_BARS + 4 * index]);

	if (f->bars[index].type == PCI_BAR_IO)
		return low & ~PCI_BAR_IO_FLAGS;
	if (f->bars[index].type == PCI_BAR_MEM32)
		return low & ~PCI_BAR_MEMORY_FLAGS;
	return (uint64_t)pci_get32(&f->config[PCI_BARS + 4 * index + 4]) << 32 |
	       (low & ~PCI_BAR_MEMORY_FLAGS);
}

/*
 * Where a BAR is decoded. A register that holds 0 has no address yet, and one that holds all ones
 * is being sized; neither shall cover what is there.
 */
static uint64_t decoded_address(const struct pci_function *f, unsigned index)
{
	const struct pci_bar *bar = &f->bars[index];
	bool is_io = bar->type == PCI_BAR_IO;
	uint64_t base, last;

	if (!f->root || bar->type == PCI_BAR_NONE || bar->type == PCI_BAR_UPPER)
		return PCI_BAR_NOT_MAPPED;
	if (!(pci_command(f) & (is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return PCI_BAR_NOT_MAPPED;
	base = register_address(f, index);
	last = base + (bar->region.size - 1);
	if (!base || last == UINT64_MAX || last == UINT32_MAX || (is_io && last >= UINT16_MAX))
		return PCI_BAR_NOT_MAPPED;
	return base;
}

static struct bus *bus_of(const struct pci_function *f, const struct pci_bar *bar)
{
	return pci_root_bus(f->root, bar->type == PCI_BAR_IO ? BUS_PIO : BUS_MMIO);
}

static void take_off_bus(struct pci_function *f, struct pci_bar *bar)
{
	if (bar->is_mapped)
		bus_remove(bus_of(f, bar), &bar->region);
	bar->is_mapped = false;
}

/* What is in the way may leave before the wait for that is noted, hence the second try. */
static void put_on_bus(struct pci_function *f, struct pci_bar *bar, uint64_t base)
{
	struct bus *bus = bus_of(f, bar);
	struct error err;

	bar->region.base = base;
	bar->is_mapped = !bus_add(bus, &bar->region, &err);
	if (bar->is_mapped)
		return;
	pci_root_note_waiting(f->root);
	bar->is_mapped = !bus_add(bus, &bar->region, &err);
	if (!bar->is_mapped)
		log_once(LOG_WARN, "the guest put a BAR where it cannot be: %s", err.text);
}

/* What map_bars_locked() did. */
#define BARS_LEFT  BIT(0)
#define BARS_MOVED BIT(1)

static unsigned map_bars_locked(struct pci_function *f)
{
	unsigned done = 0;

	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *bar = &f->bars[i];
		uint64_t base = decoded_address(f, i);

		if (bar->is_mapped && bar->region.base == base)
			continue;
		if (bar->is_mapped) {
			take_off_bus(f, bar);
			done |= BARS_LEFT | BARS_MOVED;
		}
		if (base != PCI_BAR_NOT_MAPPED)
			put_on_bus(f, bar, base);
		if (bar->is_mapped)
			done |= BARS_MOVED;
	}
	return done;
}

void pci_tell_changed(struct pci_function *f)
{
	if (f->ops && f->ops->changed)
		f->ops->changed(f);
}

void pci_map_bars(struct pci_function *f)
{
	pthread_mutex_lock(&f->lock);
	if (map_bars_locked(f) & BARS_MOVED)
		pci_tell_changed(f);
	pthread_mutex_unlock(&f->lock);
}

void pci_place_bar(struct pci_function *f, unsigned index, uint64_t base)
{
	uint8_t *reg = &f->config[PCI_BARS + 4 * index];

	pthread_mutex_lock(&f->lock);
	pci_put32(reg, pci_get32(&f->initial[PCI_BARS + 4 * index]) | (uint32_t)base);
	if (f->bars[index].type == PCI_BAR_MEM64)
		pci_put32(reg + 4, (uint32_t)(base >> 32));
	pthread_mutex_unlock(&f->lock);
}

void pci_decode_bars(struct pci_function *f)
{
	uint16_t bits = 0;

	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		if (f->bars[i].type == PCI_BAR_IO)
			bits |= PCI_COMMAND_IO;
		else if (f->bars[i].type)
			bits |= PCI_COMMAND_MEMORY;
	}
	pthread_mutex_lock(&f->lock);
	pci_put16(&f->config[PCI_COMMAND], pci_command(f) | bits);
	pthread_mutex_unlock(&f->lock);
	pci_map_bars(f);
}

uint64_t pci_bar_address_locked(const struct pci_function *f, unsigned index)
{
	BUG_ON(index >= PCI_NR_BARS);
	return f->bars[index].is_mapped ? f->bars[index].region.base : PCI_BAR_NOT_MAPPED;
}

uint64_t pci_bar_address(struct pci_function *f, unsigned index)
{
	pthread_mutex_lock(&f->lock);
	uint64_t base = pci_bar_address_locked(f, index);
	pthread_mutex_unlock(&f->lock);
	return base;
}

/* ---- interrupts ---- */

static void drive_intx_locked(struct pci_function *f)
{
	bool is_raised = f->intx_level && f->root && !pci_msix_is_on(f) && !pci_msi_is_on(f) &&
			 !(pci_command(f) & PCI_COMMAND_INTX_DISABLE);

	f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	f->config[PCI_STATUS] |= f->intx_level ? PCI_STATUS_INTX : 0;
	if (is_raised == f->intx_is_raised)
		return;
	f->intx_is_raised = is_raised;
	pci_root_set_intx(f->root, f->devfn, is_raised);
}

void pci_intx_set(struct pci_function *f, bool level)
{
	pthread_mutex_lock(&f->lock);
	if (level && !f->intx_level)
		pci_msi_signal(f);
	f->intx_level = level;
	drive_intx_locked(f);
	pthread_mutex_unlock(&f->lock);
}

static bool is_bus_master_locked(const struct pci_function *f)
{
	return pci_command(f) & PCI_COMMAND_BUS_MASTER;
}

bool pci_is_bus_master(struct pci_function *f)
{
	pthread_mutex_lock(&f->lock);
	bool is_master = is_bus_master_locked(f);
	pthread_mutex_unlock(&f->lock);
	return is_master;
}

/* ---- configuration space ---- */

static const struct pci_cap_hook *hook_at(const struct pci_function *f, unsigned offset)
{
	for (unsigned i = 0; i < f->nr_hooks; i++) {
		const struct pci_cap_hook *h = &f->hooks[i];

		if (offset >= h->start && offset - h->start < h->len)
			return h;
	}
	return NULL;
}

uint32_t pci_config_read(struct pci_function *f, unsigned offset, unsigned size)
{
	const struct pci_cap_hook *h = hook_at(f, offset);
	uint32_t value = 0;

	if (offset + size > PCI_CONFIG_SIZE)
		return 0;
	if (h)
		return h->ops->read(h->ctx, offset - h->cap, size);
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)f->config[offset + i] << (8 * i);
	pthread_mutex_unlock(&f->lock);
	return value;
}

/* What is left to do without the lock once registers took effect. */
#define EFFECT_BARS_LEFT BIT(0) /* another BAR may have room now */
#define EFFECT_MASTERING BIT(1)

/* Whatever else follows from the registers; was_master: before they changed. Returns EFFECT_ bits. */
static unsigned take_effect_locked(struct pci_function *f, bool was_master)
{
	unsigned done = map_bars_locked(f);

	drive_intx_locked(f);
	pci_msi_control_changed(f);
	pci_msix_control_changed(f);
	pci_tell_changed(f);
	return (done & BARS_LEFT ? EFFECT_BARS_LEFT : 0) |
	       (is_bus_master_locked(f) != was_master ? EFFECT_MASTERING : 0);
}

static void finish_effects(struct pci_function *f, unsigned effects)
{
	if (effects & EFFECT_BARS_LEFT)
		pci_root_bar_left(f->root);
	if ((effects & EFFECT_MASTERING) && f->ops && f->ops->mastering_changed)
		f->ops->mastering_changed(f);
}

/* Registers with effects: command, BARs, control of MSI-X and all of MSI. */
static bool has_effects(const struct pci_function *f, unsigned offset)
{
	unsigned dword = ALIGN_DOWN(offset, 4);

	if (f->msi_cap && dword >= f->msi_cap && dword - f->msi_cap < PCI_MSI_CAP_SIZE)
		return true;

	return dword == PCI_COMMAND || (f->msix_cap && dword == f->msix_cap) ||
	       (dword >= PCI_BARS && dword < PCI_BARS + 4 * PCI_NR_BARS);
}

void pci_config_write(struct pci_function *f, unsigned offset, unsigned size, uint32_t value)
{
	const struct pci_cap_hook *h = hook_at(f, offset);
	unsigned effects = 0;

	if (offset + size > PCI_CONFIG_SIZE)
		return;
	if (h) {
		h->ops->write(h->ctx, offset - h->cap, size, value);
		return;
	}
	pthread_mutex_lock(&f->lock);
	bool was_master = is_bus_master_locked(f);
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = f->writable[offset + i];
		uint8_t *byte = &f->config[offset + i];

		*byte = (uint8_t)((*byte & ~mask) | (value >> (8 * i) & mask));
	}
	if (has_effects(f, offset))
		effects = take_effect_locked(f, was_master);
	pthread_mutex_unlock(&f->lock);
	finish_effects(f, effects);
}

/* ---- life ---- */

void pci_function_enter(struct pci_function *f, struct pci_root *root, unsigned devfn)
{
	pthread_mutex_lock(&f->lock);
	f->root = root;
	f->devfn = devfn;
	take_effect_locked(f, false);
	pthread_mutex_unlock(&f->lock);
}

void pci_function_move(struct pci_function *f, unsigned devfn, bool has_siblings)
{
	pthread_mutex_lock(&f->lock);
	BUG_ON(f->intx_is_raised);
	f->devfn = devfn;
	f->initial[PCI_HEADER_TYPE] = has_siblings ? PCI_HEADER_MULTI_FUNCTION : 0;
	f->config[PCI_HEADER_TYPE] = f->initial[PCI_HEADER_TYPE];
	pthread_mutex_unlock(&f->lock);
}

void pci_function_leave(struct pci_function *f)
{
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < PCI_NR_BARS; i++)
		take_off_bus(f, &f->bars[i]);
	f->intx_level = false;
	drive_intx_locked(f);
	f->root = NULL;
	pthread_mutex_unlock(&f->lock);
}

void pci_function_reset(struct pci_function *f)
{
	pthread_mutex_lock(&f->lock);
	bool was_master = is_bus_master_locked(f);
	memcpy(f->config, f->initial, sizeof(f->config));
	f->intx_level = false;
	f->msi_is_pending = false;
	pci_msix_reset(f);
	unsigned effects = take_effect_locked(f, was_master);
	pthread_mutex_unlock(&f->lock);
	finish_effects(f, effects);
}

void pci_function_state(struct pci_function *f, struct state *s)
{
	uint8_t config[PCI_CONFIG_SIZE];
	unsigned effects = 0;

	pthread_mutex_lock(&f->lock);
	bool was_master = is_bus_master_locked(f);
	memcpy(config, f->config, sizeof(config));
	state_bytes(s, config, sizeof(config));
	state_bool(s, &f->intx_level);
	state_bool(s, &f->msi_is_pending);
	pci_msix_state(f, s);
	if (state_is_loading(s)) {
		for (unsigned i = 0; i < sizeof(config); i++)
			f->config[i] = (uint8_t)((f->initial[i] & ~f->writable[i]) |
						 (config[i] & f->writable[i]));
		effects = take_effect_locked(f, was_master);
	}
	pthread_mutex_unlock(&f->lock);
	finish_effects(f, effects);
}
