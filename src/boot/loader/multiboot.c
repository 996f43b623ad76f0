/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/multiboot.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "boot/layout.h"
#include "boot/loader/initrd.h"

#define SEARCH_BYTES 8192
#define HEADER_MAGIC 0x1badb002
#define LOADER_MAGIC 0x2badb002

/* Header flags. Bits 0-15 are demands: one that is unknown forbids booting. */
#define WANTS_MODULES_ALIGNED	BIT(0)
#define WANTS_MEMORY_INFO	BIT(1)
#define WANTS_VIDEO_MODE	BIT(2)
#define MULTIBOOT_HAS_ADDRESSES BIT(16)
#define KNOWN_DEMANDS		(WANTS_MODULES_ALIGNED | WANTS_MEMORY_INFO | WANTS_VIDEO_MODE)

/* Information flags: which fields are valid. */
#define INFO_MEMORY	 BIT(0)
#define INFO_CMDLINE	 BIT(2)
#define INFO_MODULES	 BIT(3)
#define INFO_MEMORY_MAP	 BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower_kib, mem_upper_kib;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t rest[8]; /* APM, VBE */
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

int multiboot_find(const struct image *img, struct multiboot_header *header)
{
	uint32_t words[SEARCH_BYTES / 4] = {0};
	size_t len = min(img->size, (uint64_t)sizeof(words));

	if (image_read(img, 0, words, len, "", NULL))
		return -ENOENT;
	for (unsigned i = 0; i + 3 <= len / 4; i++) {
		if (words[i] != HEADER_MAGIC || words[i] + words[i + 1] + words[i + 2])
			continue;
		size_t have = min(offsetof(struct multiboot_header, offset), len - i * 4);

		*header = (struct multiboot_header){.offset = i * 4};
		memcpy(header, &words[i], have);
		return 0;
	}
	return -ENOENT;
}

/* Loads by the addresses in the header, which count even when the file is ELF too. */
static int load_by_addresses(struct mem *m, const struct boot_config *cfg,
			     const struct multiboot_header *h, uint64_t *start, uint64_t *end,
			     struct error *err)
{
	const struct image *img = cfg->kernel;
	uint64_t lead = (uint64_t)h->header_addr - h->load_addr;

	if (h->header_addr < h->load_addr || lead > h->offset)
		return image_error(img, err, -EINVAL,
				   "multiboot header at offset 0x%" PRIx64
				   ": its own address 0x%x does not fit the load address 0x%x",
				   h->offset, h->header_addr, h->load_addr);
	uint64_t file_at = h->offset - lead;
	uint64_t len = img->size - file_at;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr)
			return image_error(img, err, -EINVAL,
					   "multiboot header at offset 0x%" PRIx64
					   ": the load end 0x%x is below the load address 0x%x",
					   h->offset, h->load_end_addr, h->load_addr);
		len = h->load_end_addr - h->load_addr;
	}
	*start = h->load_addr;
	*end = max(*start + len, (uint64_t)h->bss_end_addr);
	if (*start < MULTIBOOT_LOW || !e820_is_ram(cfg->e820, *start, *end - *start))
		return image_error(img, err, -E2BIG,
				   "wants RAM at 0x%" PRIx64 "-0x%" PRIx64
				   ", which the guest with %" PRIu64 " MiB does not have free",
				   *start, *end - 1, ALIGN_UP(e820_ram_size(cfg->e820), MIB) / MIB);
	return image_load(img, file_at, len, m, *start, "kernel", err);
}

static int load_image(struct mem *m, const struct boot_config *cfg,
		      const struct multiboot_header *h, const struct elf *elf, uint64_t *start,
		      uint64_t *end, uint64_t *rip, struct error *err)
{
	int ret;

	if (h->flags & MULTIBOOT_HAS_ADDRESSES) {
		*rip = h->entry_addr;
		ret = load_by_addresses(m, cfg, h, start, end, err);
	} else if (elf) {
		ret = elf_entry(cfg->kernel, elf, rip, err);
		if (!ret)
			ret = elf_load(cfg->kernel, elf, m, cfg->e820, MULTIBOOT_LOW, start, end,
				       err);
	} else {
		return image_error(cfg->kernel, err, -EINVAL,
				   "multiboot header at offset 0x%" PRIx64
				   ": the file is not ELF and the header has no load addresses",
				   h->offset);
	}
	if (ret)
		return ret;
	if (*start<MULTIBOOT_CMDLINE_END && * end> MULTIBOOT_CMDLINE)
		return image_error(cfg->kernel, err, -E2BIG,
				   "takes 0x%" PRIx64 "-0x%" PRIx64
				   ", which overlaps its command line at 0x%x",
				   *start, *end - 1, MULTIBOOT_CMDLINE);
	if (*rip < *start || *rip >= *end || *rip >= 4 * GIB)
		return image_error(cfg->kernel, err, -EINVAL,
				   "the entry point 0x%" PRIx64
				   " is not inside the kernel (0x%" PRIx64 "-0x%" PRIx64 ")",
				   *rip, *start, *end - 1);
	return 0;
}

/* The size of RAM from addr on, up to the first hole. */
static uint32_t ram_kib_from(const struct e820_map *map, uint64_t addr)
{
	for (unsigned i = 0; i < map->nr; i++) {
		const struct e820_entry *e = &map->entries[i];

		if (e->type == E820_RAM && e->addr <= addr && addr - e->addr < e->size)
			return min((e->addr + e->size - addr) / KIB, (uint64_t)UINT32_MAX);
	}
	return 0;
}

/* Appends bytes to the information area and returns their guest address. */
static uint32_t add(struct buf *area, const void *data, size_t len)
{
	static const uint8_t zeroes[8];
	uint32_t at = BOOT_INFO + area->len;

	buf_append(area, data, len);
	buf_append(area, zeroes, ALIGN_UP(area->len, 8) - area->len);
	return at;
}

static uint32_t add_string(struct buf *area, const char *text)
{
	return add(area, text, strlen(text) + 1);
}

static void add_memory_map(struct buf *area, const struct e820_map *map,
			   struct multiboot_info *info)
{
	struct multiboot_mmap_entry entries[E820_ENTRIES_MAX];

	for (unsigned i = 0; i < map->nr; i++)
		entries[i] = (struct multiboot_mmap_entry){
			.size = sizeof(entries[0]) - sizeof(entries[0].size),
			.addr = map->entries[i].addr,
			.len = map->entries[i].size,
			.type = map->entries[i].type,
		};
	info->mmap_length = map->nr * sizeof(entries[0]);
	info->mmap_addr = add(area, entries, info->mmap_length);
}

/* By custom the command line begins with the kernel's own name, and programs skip one word. */
static int load_cmdline(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	struct buf line = {0};
	size_t room = MULTIBOOT_CMDLINE_END - MULTIBOOT_CMDLINE - 1;
	int ret;

	buf_printf(&line, "%s%s%s", cfg->kernel->path, *cfg->cmdline ? " " : "", cfg->cmdline);
	if (line.len > room)
		ret = image_error(
			cfg->kernel, err, -E2BIG,
			"the command line with the kernel's path has %zu bytes, but at most "
			"%zu can be handed over",
			line.len, room);
	else
		ret = image_put(cfg->kernel, m, MULTIBOOT_CMDLINE, buf_text(&line), line.len + 1,
				"command line", err);
	buf_free(&line);
	return ret;
}

static int load_info(struct mem *m, const struct boot_config *cfg, const struct initrd *initrd,
		     struct error *err)
{
	struct buf area = {0};
	struct multiboot_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP |
			 INFO_LOADER_NAME,
		.mem_lower_kib = min(ram_kib_from(cfg->e820, 0), (uint32_t)(640)),
		.mem_upper_kib = ram_kib_from(cfg->e820, HIGH_MEMORY),
		.cmdline = MULTIBOOT_CMDLINE,
	};
	int ret;

	add(&area, &info, sizeof(info));
	info.boot_loader_name = add_string(&area, "bantam");
	add_memory_map(&area, cfg->e820, &info);
	if (initrd->size) {
		struct multiboot_module module = {
			.start = initrd->addr,
			.end = initrd->addr + initrd->size,
			.string = add_string(&area, cfg->initrd->path),
		};

		info.mods_count = 1;
		info.mods_addr = add(&area, &module, sizeof(module));
	}
	memcpy(area.data, &info, sizeof(info));
	if (area.len > BOOT_INFO_END - BOOT_INFO)
		ret = image_error(cfg->initrd, err, -E2BIG,
				  "its path is too long to be handed to the kernel");
	else
		ret = image_put(cfg->kernel, m, BOOT_INFO, area.data, area.len,
				"multiboot information", err);
	buf_free(&area);
	return ret;
}

int multiboot_load(struct mem *m, const struct boot_config *cfg,
		   const struct multiboot_header *header, const struct elf *elf,
		   struct boot_entry *entry, struct error *err)
{
	struct initrd initrd;
	uint64_t start = 0, end = 0, rip = 0;
	uint32_t unknown = header->flags & 0xffff & ~KNOWN_DEMANDS;

	if (unknown)
		return image_error(cfg->kernel, err, -EINVAL,
				   "multiboot header at offset 0x%" PRIx64
				   ": demands 0x%x are not known to multiboot 1",
				   header->offset, unknown);
	int ret = load_image(m, cfg, header, elf, &start, &end, &rip, err);
	if (ret)
		return ret;
	/* Modules follow the kernel, where small kernels that map little memory can see them. */
	const struct initrd_rules rules = {
		.limit = 4 * GIB,
		.kernel_start = start,
		.kernel_end = end,
		.after_kernel = true,
	};
	ret = initrd_load(m, cfg, &rules, &initrd, err);
	if (!ret)
		ret = load_cmdline(m, cfg, err);
	if (!ret)
		ret = load_info(m, cfg, &initrd, err);
	if (ret)
		return ret;
	*entry = (struct boot_entry){
		.kind = BOOT_MULTIBOOT,
		.mode = BOOT_PROT32,
		.rip = rip,
		.rsp = MULTIBOOT_STACK_TOP,
		.rax = LOADER_MAGIC,
		.rbx = BOOT_INFO,
	};
	return 0;
}
