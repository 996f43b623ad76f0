/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI Express root in ACPI: what it passes on, where INTx arrives, and which of its features
 * the operating system may control (PCI Firmware Specification 3.3, 4). ECAM is described by the
 * MCFG table; here its addresses are claimed, so that nothing else is put there.
 */
#include "base/base.h"
#include "boot/tables/acpi.h"
#include "boot/tables/aml.h"

#define CONFIG_PORTS	 0xcf8
#define CONFIG_PORTS_END 0xd00

/* The third dword of _OSC's buffer: control over PME, AER and the PCIe capability. */
#define OSC_GRANTED 0x1c
/* Its first dword, in the answer. */
#define OSC_UNKNOWN_UUID     0x04
#define OSC_UNKNOWN_REVISION 0x08
#define OSC_MASKED	     0x10

/* 33db4d5b-1ff7-401c-9657-7441c03dd766, as ToUUID() stores it. */
static const uint8_t osc_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
				     0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

static void add_window(struct buf *resources, const struct acpi_window *w)
{
	if (!w->size)
		return;
	if (w->base + w->size <= 4 * GIB)
		aml_resource_window(resources, w->base, w->base + w->size - 1);
	else
		aml_resource_high_window(resources, w->base, w->base + w->size - 1);
}

static void add_resources(struct buf *b, const struct acpi_pci *pci)
{
	struct buf resources = {0};

	aml_resource_buses(&resources, 0, pci->nr_buses - 1);
	aml_resource_io(&resources, CONFIG_PORTS, CONFIG_PORTS_END - CONFIG_PORTS);
	aml_resource_ports(&resources, 0, CONFIG_PORTS - 1);
	aml_resource_ports(&resources, CONFIG_PORTS_END, UINT16_MAX);
	add_window(&resources, &pci->mem32);
	add_window(&resources, &pci->mem64);
	aml_current_resources(b, &resources);
	buf_free(&resources);
}

/* _PRT: for each pin of each device, but for the host bridge, the GSI it is wired to (6.2.13). */
static void add_interrupt_routes(struct buf *b, const struct acpi_pci *pci)
{
	struct buf routes = {0};
	unsigned nr = 0;

	for (unsigned device = 1; device < ACPI_PCI_DEVICES; device++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			struct buf route = {0};

			aml_integer(&route, device << 16 | 0xffff); /* any function */
			aml_integer(&route, pin);
			aml_integer(&route, 0); /* no link device: hard-wired */
			aml_integer(&route, ACPI_PCI_INTX_GSI(pci, device, pin));
			aml_package(&routes, 4, &route);
			buf_free(&route);
			nr++;
		}
	}
	aml_name(b, "_PRT");
	aml_package(b, nr, &routes);
	buf_free(&routes);
}

static void add_field(struct buf *b, unsigned offset, const char *name)
{
	aml_op(b, AML_CREATE_DWORD_FIELD);
	aml_op(b, AML_ARG0 + 3);
	aml_integer(b, offset);
	aml_path(b, name);
}

/* CDW1 |= bits, if !(left == right): each a term. */
static void report_unless_equal(struct buf *b, const struct buf *left, const struct buf *right,
				unsigned bits)
{
	struct buf differ = {0}, report = {0};

	aml_op(&differ, AML_NOT);
	aml_op(&differ, AML_EQUAL);
	buf_append(&differ, left->data, left->len);
	buf_append(&differ, right->data, right->len);
	aml_op(&report, AML_OR);
	aml_path(&report, "CDW1");
	aml_integer(&report, bits);
	aml_path(&report, "CDW1");
	aml_if(b, &differ, &report);
	buf_free(&differ);
	buf_free(&report);
}

/* For our UUID: grants of what is asked for that which may be granted, and says if that is less. */
static void add_grant(struct buf *b)
{
	struct buf revision = {0}, one = {0}, granted = {0}, asked = {0};

	aml_op(&revision, AML_ARG0 + 1);
	aml_integer(&one, 1);
	aml_path(&asked, "CDW3");
	aml_op(&granted, AML_LOCAL0);

	add_field(b, 8, "CDW3");
	aml_op(b, AML_AND);
	aml_path(b, "CDW3");
	aml_integer(b, OSC_GRANTED);
	aml_op(b, AML_LOCAL0);
	report_unless_equal(b, &revision, &one, OSC_UNKNOWN_REVISION);
	report_unless_equal(b, &asked, &granted, OSC_MASKED);
	aml_op(b, AML_STORE);
	aml_op(b, AML_LOCAL0);
	aml_path(b, "CDW3");
	buf_free(&revision);
	buf_free(&one);
	buf_free(&granted);
	buf_free(&asked);
}

static void add_osc(struct buf *b)
{
	struct buf method = {0}, is_ours = {0}, grant = {0}, refuse = {0};

	aml_op(&is_ours, AML_EQUAL);
	aml_op(&is_ours, AML_ARG0);
	aml_buffer(&is_ours, osc_uuid, sizeof(osc_uuid));
	add_grant(&grant);
	aml_op(&refuse, AML_OR);
	aml_path(&refuse, "CDW1");
	aml_integer(&refuse, OSC_UNKNOWN_UUID);
	aml_path(&refuse, "CDW1");

	add_field(&method, 0, "CDW1");
	aml_if(&method, &is_ours, &grant);
	aml_else(&method, &refuse);
	aml_op(&method, AML_RETURN);
	aml_op(&method, AML_ARG0 + 3);
	aml_method(b, "_OSC", 4, &method);
	buf_free(&method);
	buf_free(&is_ours);
	buf_free(&grant);
	buf_free(&refuse);
}

/* A motherboard resource: kernels trust MCFG only if somebody claims its addresses. */
static void add_ecam(struct buf *system_bus, const struct acpi_pci *pci)
{
	struct buf body = {0}, resources = {0};

	aml_name(&body, "_HID");
	aml_eisa_id(&body, "PNP0C02");
	aml_resource_memory(&resources, pci->ecam_base, pci->nr_buses * ACPI_ECAM_BUS_SIZE);
	aml_current_resources(&body, &resources);
	aml_device(system_bus, "ECAM", &body);
	buf_free(&resources);
	buf_free(&body);
}

void acpi_add_pci(struct buf *system_bus, const struct acpi_pci *pci)
{
	struct buf body = {0};

	aml_name(&body, "_HID");
	aml_eisa_id(&body, "PNP0A08");
	aml_name(&body, "_CID");
	aml_eisa_id(&body, "PNP0A03");
	aml_name(&body, "_UID");
	aml_integer(&body, 0);
	aml_name(&body, "_SEG");
	aml_integer(&body, 0);
	aml_name(&body, "_BBN");
	aml_integer(&body, 0);
	add_resources(&body, pci);
	add_interrupt_routes(&body, pci);
	add_osc(&body);
	aml_device(system_bus, "PCI0", &body);
	buf_free(&body);
	add_ecam(system_bus, pci);
}
