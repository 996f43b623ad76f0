/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/boot.h"

#include <elf.h>
#include <string.h>

#include "base/base.h"
#include "boot/layout.h"
#include "boot/loader/bzimage.h"
#include "boot/loader/multiboot.h"
#include "boot/loader/pvh.h"
#include "boot/tables/acpi.h"
#include "boot/tables/mptable.h"
#include "x86/regs.h"

/* Selectors of the Linux boot protocol; the other protocols accept any. */
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define BOOT_TR 0x20

#define GDT_ENTRIES 5
/* Flat descriptors: base 0, limit 4 GiB, accessed, ring 0. */
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_CODE32 0x00cf9b000000ffffull
#define GDT_DATA   0x00cf93000000ffffull
#define GDT_TSS	   0x00008b000000ffffull /* busy, base 0, limit 64 KiB: never used */

static int load_gdt(struct mem *m, const struct boot_config *cfg, enum boot_mode mode,
		    struct error *err)
{
	const uint64_t gdt[GDT_ENTRIES] = {
		[BOOT_CS / 8] = mode == BOOT_LONG64 ? GDT_CODE64 : GDT_CODE32,
		[BOOT_DS / 8] = GDT_DATA,
		[BOOT_TR / 8] = GDT_TSS,
	};

	return image_put(cfg->kernel, m, BOOT_GDT, gdt, sizeof(gdt), "descriptor table", err);
}

/* One page of level 4, one of level 3, four of level 2: 2048 pages of 2 MiB. */
static int load_page_tables(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	uint64_t tables[6][512] = {0};
	const uint64_t flags = PTE_P | PTE_W | PTE_A;

	tables[0][0] = (BOOT_PAGE_TABLES + 0x1000) | flags;
	for (unsigned gib = 0; gib < 4; gib++) {
		tables[1][gib] = (BOOT_PAGE_TABLES + 0x2000 + gib * 0x1000) | flags;
		for (unsigned i = 0; i < 512; i++)
			tables[2 + gib][i] = (gib * GIB + i * 2 * MIB) | flags | PTE_D | PTE_PS;
	}
	return image_put(cfg->kernel, m, BOOT_PAGE_TABLES, tables, sizeof(tables), "page tables",
			 err);
}

static int load_bda(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	const uint16_t ebda = EBDA_START >> 4, base_kib = EBDA_START / KIB;
	const uint16_t ebda_kib = 1; /* the first byte of the EBDA is its size in KiB */
	int ret = image_put(cfg->kernel, m, BDA_EBDA_SEGMENT, &ebda, 2, "BIOS data", err);

	if (!ret)
		ret = image_put(cfg->kernel, m, BDA_BASE_KIB, &base_kib, 2, "BIOS data", err);
	if (!ret)
		ret = image_put(cfg->kernel, m, EBDA_START, &ebda_kib, 2, "BIOS data", err);
	return ret;
}

/* Files people try that are nearly kernels. */
static const struct {
	const char *magic;
	uint8_t len;
	const char *what;
} known_others[] = {
	{"\x1f\x8b", 2, "gzip-compressed data; unpack it first"},
	{"\xfd"
	 "7zXZ",
	 5, "xz-compressed data; unpack it first"},
	{"BZh", 3, "bzip2-compressed data; unpack it first"},
	{"\x02\x21\x4c\x18", 4, "LZ4-compressed data; unpack it first"},
	{"\x04\x22\x4d\x18", 4, "LZ4-compressed data; unpack it first"},
	{"\x28\xb5\x2f\xfd", 4, "Zstandard-compressed data; unpack it first"},
	{"\x5d\x00\x00", 3, "LZMA-compressed data; unpack it first"},
	{"MZ", 2, "an EFI program without a Linux boot header"},
	{"070701", 6, "a cpio archive, which is an initrd"},
};

static int refuse(const struct image *img, struct error *err)
{
	char start[8] = {0};

	if (!img->size)
		return image_error(img, err, -ENOEXEC, "the file is empty");
	image_read(img, 0, start, min(img->size, (uint64_t)sizeof(start)), "start", NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(known_others); i++)
		if (!memcmp(start, known_others[i].magic, known_others[i].len))
			return image_error(img, err, -ENOEXEC, "not a kernel but %s",
					   known_others[i].what);
	return image_error(
		img, err, -ENOEXEC,
		"no kernel: no bzImage (\"HdrS\" at offset 0x202), no ELF file, no multiboot "
		"header in the first 8192 bytes");
}

static int load_elf(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
		    struct error *err)
{
	const struct image *img = cfg->kernel;
	struct multiboot_header header;
	struct elf elf;
	uint64_t pvh_entry;

	int ret = elf_read(img, &elf, err);
	if (ret)
		return ret;
	ret = pvh_find_entry(img, &elf, &pvh_entry, err);
	if (!ret)
		return pvh_load(m, cfg, &elf, pvh_entry, entry, err);
	if (ret != -ENOENT)
		return ret;
	if (!multiboot_find(img, &header))
		return multiboot_load(m, cfg, &header, &elf, entry, err);
	if (elf.is_64 && elf.machine == EM_X86_64)
		return elf_load_linux(m, cfg, &elf, entry, err);
	return image_error(
		img, err, -ENOEXEC,
		"a 32-bit ELF file without PVH note or multiboot header: give the bzImage of "
		"this kernel, or build it with CONFIG_PVH");
}

static int load_kernel(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
		       struct error *err)
{
	struct multiboot_header header;

	if (bzimage_matches(cfg->kernel))
		return bzimage_load(m, cfg, entry, err);
	if (elf_matches(cfg->kernel))
		return load_elf(m, cfg, entry, err);
	if (!multiboot_find(cfg->kernel, &header))
		return multiboot_load(m, cfg, &header, NULL, entry, err);
	return refuse(cfg->kernel, err);
}

static int load_acpi(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	const struct acpi_config acpi = {.apic_ids = cfg->apic_ids,
					 .nr_cpus = cfg->nr_cpus,
					 .virtio = cfg->virtio,
					 .nr_virtio = cfg->nr_virtio,
					 .pci = cfg->pci,
					 .no_serial = cfg->no_serial};
	struct buf tables = {0};
	int ret = acpi_build(&tables, BIOS_ACPI, BIOS_ACPI_END - BIOS_ACPI, &acpi, err);

	if (!ret)
		ret = image_put(cfg->kernel, m, BIOS_ACPI, tables.data, tables.len, "ACPI tables",
				err);
	buf_free(&tables);
	return ret;
}

static int load_mptable(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	const struct mptable_config mp = {.apic_ids = cfg->apic_ids,
					  .nr_cpus = cfg->nr_cpus,
					  .has_pci = cfg->pci,
					  .first_pci_pin = cfg->pci ? cfg->pci->first_gsi : 0};
	struct buf table = {0};
	int ret = mptable_build(&table, BIOS_MPTABLE, BIOS_MP_END - BIOS_MPTABLE, &mp, err);

	if (!ret)
		ret = image_put(cfg->kernel, m, BIOS_MPTABLE, table.data, table.len, "MP table",
				err);
	buf_free(&table);
	return ret;
}

int boot_load(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
	      struct error *err)
{
	int ret = load_kernel(m, cfg, entry, err);

	if (!ret)
		ret = load_bda(m, cfg, err);
	if (!ret)
		ret = load_gdt(m, cfg, entry->mode, err);
	if (!ret && entry->mode == BOOT_LONG64)
		ret = load_page_tables(m, cfg, err);
	if (!ret && cfg->has_acpi)
		ret = load_acpi(m, cfg, err);
	if (!ret && cfg->has_mptable)
		ret = load_mptable(m, cfg, err);
	return ret;
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
	};
}

void boot_entry_registers(const struct boot_entry *entry, struct kvm_regs *regs,
			  struct kvm_sregs *sregs)
{
	bool is_long = entry->mode == BOOT_LONG64;

	*regs = (struct kvm_regs){
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rax = entry->rax,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rflags = FLAG_FIXED,
	};
	sregs->cs = flat_segment(BOOT_CS, 0xb);
	sregs->cs.l = is_long;
	sregs->cs.db = !is_long;
	sregs->ds = flat_segment(BOOT_DS, 0x3);
	sregs->ds.db = 1;
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment){
		.selector = BOOT_TR, .limit = 0xffff, .type = 0xb, .present = 1};
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->gdt = (struct kvm_dtable){.base = BOOT_GDT, .limit = GDT_ENTRIES * 8 - 1};
	/* No interrupt table: a fault before the kernel has its own ends in a triple fault. */
	sregs->idt = (struct kvm_dtable){0};
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE;
	sregs->cr2 = 0;
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (is_long) {
		sregs->cr0 |= CR0_PG | CR0_WP;
		sregs->cr3 = BOOT_PAGE_TABLES;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
}
