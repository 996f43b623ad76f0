/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/pc.h"

#include <endian.h>
#include <stdlib.h>

#include "base/buf.h"
#include "chipset/acpi_pm.h"
#include "chipset/hpet.h"
#include "chipset/ioapic.h"
#include "chipset/pic.h"
#include "chipset/pit.h"
#include "chipset/reset.h"
#include "chipset/rtc.h"
#include "device/debug_port.h"
#include "device/fw_cfg.h"
#include "device/i8042.h"
#include "device/test_device.h"
#include "machine/gsi.h"
#include "machine/memory_map.h"
#include "machine/vm_impl.h"
#include "pci/root.h"

/* IOAPIC inputs HPET timers may be routed to: those no ISA device uses. */
#define HPET_PINS 0x00f00000u

struct pc {
	struct vm *vm;
	struct gsi_router *gsis;
	struct pic *pic;
	struct ioapic *ioapic;
	struct acpi_pm *pm;
	struct pci_root *pci;
	struct pci_window mem64;
	struct engine_route
		routes[IOAPIC_NR_PINS]; /* as last told to the engine; under the IOAPIC's lock */
};

/* ---- what chips report ---- */

static void pic_output_changed(void *ctx, bool level)
{
	struct pc *pc = ctx;

	if (level)
		vcpu_request(&pc->vm->vcpus[0], VCPU_REQ_PIC);
}

static void send_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct pc *pc = ctx;

	engine_vm_signal_msi(pc->vm->engine_vm, addr, data);
}

static void ioapic_routes_changed(void *ctx, const struct ioapic_route routes[IOAPIC_PINS])
{
	struct pc *pc = ctx;
	_Static_assert(IOAPIC_PINS == IOAPIC_NR_PINS, "one IOAPIC of 24 pins");
	for (unsigned i = 0; i < IOAPIC_NR_PINS; i++)
		pc->routes[i] =
			(struct engine_route){routes[i].addr, routes[i].data, routes[i].is_masked};
	engine_vm_set_ioapic_routes(pc->vm->engine_vm, pc->routes);
}

static void guest_powers_off(void *ctx)
{
	struct pc *pc = ctx;

	vm_end(pc->vm, VM_POWERED_OFF);
}

static void guest_resets(void *ctx)
{
	struct pc *pc = ctx;

	vm_request_reset(pc->vm);
}

static void guest_exits(void *ctx, int status)
{
	struct pc *pc = ctx;

	atomic_store(&pc->vm->test_status, status & 0xff);
	vm_end(pc->vm, VM_TEST_EXIT);
}

/* ---- the parts ---- */

/* Takes a constructor's result into the VM's list; false when it failed. */
static bool add(struct pc *pc, struct device *d)
{
	if (d)
		device_add(&pc->vm->devices, d);
	return d;
}

#define DEVICE_OF(part, make) ((part) ? make(part) : NULL)

static int add_interrupt_controllers(struct pc *pc, struct error *err)
{
	struct vm *vm = pc->vm;

	pc->pic = pic_new(
		&(struct pic_params){.pio = vm->pio, .int_changed = pic_output_changed, .ctx = pc},
		err);
	if (!add(pc, DEVICE_OF(pc->pic, pic_device)))
		return -EINVAL;
	pc->ioapic = ioapic_new(&(struct ioapic_params){.mmio = vm->mmio,
							.msi = {.send = send_msi, .ctx = pc},
							.routes_changed = ioapic_routes_changed,
							.ctx = pc},
				err);
	if (!add(pc, DEVICE_OF(pc->ioapic, ioapic_device)))
		return -EINVAL;
	gsi_router_connect(pc->gsis, pc->pic, pc->ioapic);
	return 0;
}

static int add_timers(struct pc *pc, struct error *err)
{
	struct vm *vm = pc->vm;
	struct hpet_params hpet_params = {
		.mmio = vm->mmio,
		.clock = vm->clock,
		.routable = HPET_PINS,
		.irq0 = gsi_line(pc->gsis, 0),
		.irq8 = gsi_line(pc->gsis, 8),
	};
	for (unsigned pin = 0; pin < HPET_NR_PINS; pin++) {
		if (HPET_PINS & BIT(pin))
			hpet_params.pins[pin] = gsi_line(pc->gsis, pin);
	}
	struct hpet *hpet = hpet_new(&hpet_params, err);
	if (!add(pc, DEVICE_OF(hpet, hpet_device)))
		return -EINVAL;

	struct pit *pit = pit_new(&(struct pit_params){.pio = vm->pio,
						       .clock = vm->clock,
						       .irq = hpet_pit_line(hpet),
						       .missed = vm->settings.missed_ticks},
				  err);
	if (!add(pc, DEVICE_OF(pit, pit_device)))
		return -EINVAL;

	uint64_t low = min(vm->settings.memory_size, HOLE_START);
	struct rtc *rtc =
		rtc_new(&(struct rtc_params){.pio = vm->pio,
					     .clock = vm->clock,
					     .irq = hpet_rtc_line(hpet),
					     .is_local_time = vm->settings.rtc_uses_localtime,
					     .ram_below_4g = low,
					     .ram_above_4g = vm->settings.memory_size - low,
					     .missed = vm->settings.missed_ticks},
			err);
	return add(pc, DEVICE_OF(rtc, rtc_device)) ? 0 : -EINVAL;
}

static int add_pci(struct pc *pc, struct error *err)
{
	struct vm *vm = pc->vm;
	struct pci_root_params params = {
		.pio = vm->pio,
		.mmio = vm->mmio,
		.io = {PCI_IO_BASE, PCI_IO_SIZE},
		.mem32 = {PCI_MEM32_BASE, PCI_MEM32_SIZE},
		.ecam_base = ECAM_BASE,
		.ecam_nr_buses = ECAM_NR_BUSES,
		.msi = {.send = send_msi, .ctx = pc},
	};

	unsigned physical_bits = cpuid_lookup(&vm->vcpus[0].cpuid, 0x80000008, 0).eax & 0xff;
	memory_map_mem64(vm->settings.memory_size, physical_bits, &params.mem64.base,
			 &params.mem64.size);
	pc->mem64 = params.mem64;
	for (unsigned i = 0; i < PCI_NR_INTX_LINES; i++)
		params.intx[i] = gsi_line(pc->gsis, PCI_FIRST_GSI + i);
	pc->pci = pci_root_new(&params, err);
	return add(pc, DEVICE_OF(pc->pci, pci_root_device)) ? 0 : -EINVAL;
}

static int add_power_and_reset(struct pc *pc, struct error *err)
{
	struct vm *vm = pc->vm;

	pc->pm = acpi_pm_new(&(struct acpi_pm_params){.pio = vm->pio,
						      .clock = vm->clock,
						      .is_32bit_timer = true,
						      .sci = gsi_line(pc->gsis, ACPI_SCI_IRQ),
						      .power_off = guest_powers_off,
						      .ctx = pc},
			     err);
	if (!add(pc, DEVICE_OF(pc->pm, acpi_pm_device)))
		return -EINVAL;
	struct reset *reset = reset_new(&(struct reset_params){.pio = vm->pio,
							       .wide = &pci_root_address_ops,
							       .wide_dev = pc->pci,
							       .reset = guest_resets,
							       .ctx = pc},
					err);
	if (!add(pc, DEVICE_OF(reset, reset_device)))
		return -EINVAL;
	struct i8042 *i8042 =
		i8042_new(&(struct i8042_params){.pio = vm->pio,
						 .irq_keyboard = gsi_line(pc->gsis, 1),
						 .irq_mouse = gsi_line(pc->gsis, 12),
						 .reset = guest_resets,
						 .ctx = pc},
			  err);
	return add(pc, DEVICE_OF(i8042, i8042_device)) ? 0 : -EINVAL;
}

/* Test programs learn the number of CPUs and the size of memory from fw_cfg. */
static int add_test_devices(struct pc *pc, struct error *err)
{
	struct vm *vm = pc->vm;
	struct test_device_params params = {
		.pio = vm->pio, .mmio = vm->mmio, .exit = guest_exits, .ctx = pc};

	for (unsigned i = 0; i < TEST_DEVICE_NR_IRQS; i++) {
		if (i != 2)
			params.irqs[i] = gsi_line(pc->gsis, i);
	}
	struct test_device *t = test_device_new(&params, err);
	if (!add(pc, DEVICE_OF(t, test_device_device)))
		return -EINVAL;

	struct fw_cfg *fw = fw_cfg_new(&(struct fw_cfg_params){.pio = vm->pio}, err);
	if (!add(pc, DEVICE_OF(fw, fw_cfg_device)))
		return -EINVAL;
	uint64_t ram = htole64(vm->settings.memory_size);
	uint16_t nr_cpus = htole16((uint16_t)vm->settings.nr_vcpus);

	fw_cfg_add(fw, FW_CFG_RAM_SIZE, &ram, sizeof(ram));
	fw_cfg_add(fw, FW_CFG_NR_CPUS, &nr_cpus, sizeof(nr_cpus));
	fw_cfg_add(fw, FW_CFG_MAX_CPUS, &nr_cpus, sizeof(nr_cpus));
	return 0;
}

static int add_debug_devices(struct pc *pc, struct error *err)
{
	static const uint16_t ports[] = {0xe9, 0x402};
	struct vm *vm = pc->vm;

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		if (!(vm->settings.debug_ports & BIT(i)))
			continue;
		struct debug_port *d = debug_port_new(
			&(struct debug_port_params){.pio = vm->pio, .port = ports[i], .index = i},
			err);

		if (!add(pc, DEVICE_OF(d, debug_port_device)))
			return -EINVAL;
	}
	return vm->settings.has_test_device ? add_test_devices(pc, err) : 0;
}

int pc_new(struct vm *vm, struct error *err)
{
	struct pc *pc = mem_alloc_zero(sizeof(*pc));
	int rc;

	pc->vm = vm;
	vm->pc = pc;
	pc->gsis = gsi_router_new();
	rc = add_interrupt_controllers(pc, err);
	if (!rc)
		rc = add_timers(pc, err);
	if (!rc)
		rc = add_pci(pc, err);
	if (!rc)
		rc = add_power_and_reset(pc, err);
	if (!rc)
		rc = add_debug_devices(pc, err);
	return rc;
}

void pc_free(struct pc *pc)
{
	if (!pc)
		return;
	gsi_router_free(pc->gsis);
	free(pc);
}

void pc_reset(struct pc *pc)
{
	gsi_router_reset(pc->gsis);
}

bool pc_pic_is_pending(struct pc *pc)
{
	return pic_is_raised(pc->pic);
}

unsigned pc_pic_acknowledge(struct pc *pc)
{
	return pic_ack(pc->pic);
}

void pc_end_of_interrupt(struct pc *pc, unsigned vector)
{
	ioapic_eoi(pc->ioapic, vector);
}

void pc_engine_changed(struct pc *pc)
{
	engine_vm_set_ioapic_routes(pc->vm->engine_vm, pc->routes);
}

struct pci_root *pc_pci_root(struct pc *pc)
{
	return pc->pci;
}

void pc_describe_pci(const struct pc *pc, struct acpi_pci *pci)
{
	*pci = (struct acpi_pci){
		.ecam_base = ECAM_BASE,
		.nr_buses = ECAM_NR_BUSES,
		.mem32 = {PCI_MEM32_BASE, PCI_MEM32_SIZE},
		.mem64 = {pc->mem64.base, pc->mem64.size},
		.first_gsi = PCI_FIRST_GSI,
	};
}

void pc_press_power_button(struct pc *pc)
{
	acpi_pm_power_button(pc->pm);
}

struct irq_line pc_gsi_line(struct pc *pc, unsigned gsi)
{
	return gsi_line(pc->gsis, gsi);
}
