/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/pvh.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "boot/layout.h"
#include "boot/loader/zeropage.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* Version 1 of the start info and what it points at; all addresses are physical. */
struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap;
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t addr, size, cmdline, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define HVM_START_MAGIC 0x336ec578

/* All of it as it lies in guest memory. */
struct start_area {
	struct hvm_start_info info;
	struct hvm_modlist_entry module;
	struct hvm_memmap_entry memmap[E820_ENTRIES_MAX];
};
static_assert(sizeof(struct start_area) <= BOOT_INFO_END - BOOT_INFO, "fits where it goes");

int pvh_find_entry(const struct image *img, const struct elf *elf, uint64_t *entry,
		   struct error *err)
{
	return elf_note_number(img, elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, entry, err);
}

static int load_start_info(struct mem *m, const struct boot_config *cfg,
			   const struct initrd *initrd, struct error *err)
{
	struct start_area area = {
		.info =
			{
				.magic = HVM_START_MAGIC,
				.version = 1,
				.cmdline = BOOT_CMDLINE,
				.rsdp = cfg->has_acpi ? BIOS_ACPI : 0,
				.memmap = BOOT_INFO + offsetof(struct start_area, memmap),
				.memmap_entries = cfg->e820->nr,
			},
	};

	if (initrd->size) {
		area.info.nr_modules = 1;
		area.info.modlist = BOOT_INFO + offsetof(struct start_area, module);
		area.module.addr = initrd->addr;
		area.module.size = initrd->size;
	}
	for (unsigned i = 0; i < cfg->e820->nr; i++)
		area.memmap[i] = (struct hvm_memmap_entry){
			.addr = cfg->e820->entries[i].addr,
			.size = cfg->e820->entries[i].size,
			.type = cfg->e820->entries[i].type,
		};
	return image_put(cfg->kernel, m, BOOT_INFO, &area, sizeof(area), "PVH start information",
			 err);
}

int pvh_load(struct mem *m, const struct boot_config *cfg, const struct elf *elf,
	     uint64_t pvh_entry, struct boot_entry *entry, struct error *err)
{
	struct initrd initrd;
	uint64_t start, end;

	/* The protocol has no field for the limit; Linux, its main user, cuts at this length. */
	int ret = cmdline_check(cfg, LINUX_CMDLINE_MAX, err);
	if (!ret)
		ret = elf_load(cfg->kernel, elf, m, cfg->e820, BOOT_AREA_END, &start, &end, err);
	if (ret)
		return ret;
	if (pvh_entry < start || pvh_entry >= end || pvh_entry >= 4 * GIB)
		return image_error(cfg->kernel, err, -EINVAL,
				   "the PVH entry point 0x%" PRIx64
				   " is not inside the kernel (0x%" PRIx64 "-0x%" PRIx64 ")",
				   pvh_entry, start, end - 1);

	const struct initrd_rules rules = {
		.limit = 2 * GIB,
		.kernel_start = start,
		.kernel_end = end,
	};
	ret = initrd_load(m, cfg, &rules, &initrd, err);
	if (!ret)
		ret = cmdline_load(m, cfg, err);
	if (!ret)
		ret = load_start_info(m, cfg, &initrd, err);
	if (ret)
		return ret;
	*entry = (struct boot_entry){
		.kind = BOOT_PVH,
		.mode = BOOT_PROT32,
		.rip = pvh_entry,
		.rsp = BOOT_STACK_TOP,
		.rbx = BOOT_INFO,
	};
	return 0;
}
