/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/elf.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "boot/layout.h"
#include "boot/loader/zeropage.h"

/* All notes of a kernel take a few hundred bytes. */
#define NOTES_MAX (64 * KIB)

bool elf_matches(const struct image *img)
{
	char magic[SELFMAG];

	return !image_read(img, 0, magic, sizeof(magic), "", NULL) &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

static int read_segments32(const struct image *img, uint64_t offset, struct elf *elf,
			   struct error *err)
{
	Elf32_Phdr ph[ELF_SEGMENTS_MAX];
	int ret = image_read(img, offset, ph, elf->nr * sizeof(ph[0]), "program headers", err);

	for (unsigned i = 0; !ret && i < elf->nr; i++)
		elf->segments[i] = (struct elf_segment){
			.type = ph[i].p_type,
			.offset = ph[i].p_offset,
			.file_size = ph[i].p_filesz,
			.vaddr = ph[i].p_vaddr,
			.paddr = ph[i].p_paddr,
			.mem_size = ph[i].p_memsz,
			.align = ph[i].p_align,
		};
	return ret;
}

static int read_segments64(const struct image *img, uint64_t offset, struct elf *elf,
			   struct error *err)
{
	Elf64_Phdr ph[ELF_SEGMENTS_MAX];
	int ret = image_read(img, offset, ph, elf->nr * sizeof(ph[0]), "program headers", err);

	for (unsigned i = 0; !ret && i < elf->nr; i++)
		elf->segments[i] = (struct elf_segment){
			.type = ph[i].p_type,
			.offset = ph[i].p_offset,
			.file_size = ph[i].p_filesz,
			.vaddr = ph[i].p_vaddr,
			.paddr = ph[i].p_paddr,
			.mem_size = ph[i].p_memsz,
			.align = ph[i].p_align,
		};
	return ret;
}

static int check_header(const struct image *img, const struct elf *elf, unsigned type,
			unsigned entry_size, struct error *err)
{
	unsigned wanted = elf->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (type != ET_EXEC && type != ET_DYN)
		return image_error(img, err, -EINVAL,
				   "an ELF file of type %u (offset 0x10), not an executable", type);
	if (elf->machine != EM_386 && elf->machine != EM_X86_64)
		return image_error(img, err, -EINVAL,
				   "an ELF file for machine %u (offset 0x12), not for x86",
				   elf->machine);
	if (!elf->nr || elf->nr > ELF_SEGMENTS_MAX)
		return image_error(img, err, -EINVAL, "%u program headers; a kernel has 1 to %u",
				   elf->nr, ELF_SEGMENTS_MAX);
	if (entry_size != wanted)
		return image_error(img, err, -EINVAL, "program headers of %u bytes; they have %u",
				   entry_size, wanted);
	return 0;
}

static int read32(const struct image *img, struct elf *elf, struct error *err)
{
	Elf32_Ehdr eh;
	int ret = image_read(img, 0, &eh, sizeof(eh), "ELF header", err);

	if (ret)
		return ret;
	elf->machine = eh.e_machine;
	elf->entry = eh.e_entry;
	elf->nr = eh.e_phnum;
	ret = check_header(img, elf, eh.e_type, eh.e_phentsize, err);
	return ret ? ret : read_segments32(img, eh.e_phoff, elf, err);
}

static int read64(const struct image *img, struct elf *elf, struct error *err)
{
	Elf64_Ehdr eh;
	int ret = image_read(img, 0, &eh, sizeof(eh), "ELF header", err);

	if (ret)
		return ret;
	elf->machine = eh.e_machine;
	elf->entry = eh.e_entry;
	elf->nr = eh.e_phnum;
	ret = check_header(img, elf, eh.e_type, eh.e_phentsize, err);
	return ret ? ret : read_segments64(img, eh.e_phoff, elf, err);
}

int elf_read(const struct image *img, struct elf *elf, struct error *err)
{
	uint8_t ident[EI_NIDENT];
	int ret = image_read(img, 0, ident, sizeof(ident), "ELF header", err);

	if (ret)
		return ret;
	memset(elf, 0, sizeof(*elf));
	elf->is_64 = ident[EI_CLASS] == ELFCLASS64;
	if (!elf->is_64 && ident[EI_CLASS] != ELFCLASS32)
		return image_error(img, err, -EINVAL,
				   "ELF class %u (offset 4); 1 and 2 are the only ones",
				   ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return image_error(
			img, err, -EINVAL,
			"an ELF file with data encoding %u (offset 5), not little-endian",
			ident[EI_DATA]);
	return elf->is_64 ? read64(img, elf, err) : read32(img, elf, err);
}

static int check_segment(const struct image *img, const struct elf_segment *s, unsigned i,
			 const struct e820_map *map, uint64_t floor, struct error *err)
{
	if (s->file_size > s->mem_size)
		return image_error(img, err, -EINVAL,
				   "segment %u has %" PRIu64 " bytes in the file but only %" PRIu64
				   " in memory",
				   i, s->file_size, s->mem_size);
	if (s->paddr < floor)
		return image_error(img, err, -EINVAL,
				   "segment %u goes to 0x%" PRIx64 "; below 0x%" PRIx64
				   " is what the boot loader hands over",
				   i, s->paddr, floor);
	if (!e820_is_ram(map, s->paddr, s->mem_size))
		return image_error(img, err, -E2BIG,
				   "segment %u takes %" PRIu64 " bytes at 0x%" PRIx64
				   ", which are not all RAM: the guest has %" PRIu64 " MiB",
				   i, s->mem_size, s->paddr,
				   ALIGN_UP(e820_ram_size(map), MIB) / MIB);
	return 0;
}

int elf_load(const struct image *img, const struct elf *elf, struct mem *m,
	     const struct e820_map *map, uint64_t floor, uint64_t *start, uint64_t *end,
	     struct error *err)
{
	*start = UINT64_MAX;
	*end = 0;
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type != PT_LOAD || !s->mem_size)
			continue;
		int ret = check_segment(img, s, i, map, floor, err);
		if (!ret)
			ret = image_load(img, s->offset, s->file_size, m, s->paddr, "segment", err);
		if (ret)
			return ret;
		*start = min(*start, s->paddr);
		*end = max(*end, s->paddr + s->mem_size);
	}
	if (!*end)
		return image_error(img, err, -EINVAL, "an ELF file without anything to load");
	return 0;
}

int elf_entry(const struct image *img, const struct elf *elf, uint64_t *entry, struct error *err)
{
	for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
		for (unsigned i = 0; i < elf->nr; i++) {
			const struct elf_segment *s = &elf->segments[i];
			uint64_t base = is_virtual ? s->vaddr : s->paddr;

			if (s->type != PT_LOAD || elf->entry - base >= s->mem_size)
				continue;
			*entry = elf->entry - base + s->paddr;
			return 0;
		}
	}
	return image_error(img, err, -EINVAL, "the entry point 0x%" PRIx64 " lies in no segment",
			   elf->entry);
}

/* One note header, then name and description, each padded to the alignment. */
struct note_cursor {
	const uint8_t *data;
	uint64_t len, pos, align;
};

/* False at the end, which is also where a note would reach past it. */
static bool next_note(struct note_cursor *c, Elf64_Nhdr *head, const uint8_t **name,
		      const uint8_t **desc)
{
	if (!range_fits(c->pos, sizeof(*head), c->len))
		return false;
	memcpy(head, c->data + c->pos, sizeof(*head));
	uint64_t name_at = c->pos + sizeof(*head);
	uint64_t desc_at = ALIGN_UP(name_at + head->n_namesz, c->align);
	if (!range_fits(name_at, head->n_namesz, c->len) ||
	    !range_fits(desc_at, head->n_descsz, c->len))
		return false;
	*name = c->data + name_at;
	*desc = c->data + desc_at;
	c->pos = ALIGN_UP(desc_at + head->n_descsz, c->align);
	return true;
}

static bool find_in_notes(struct note_cursor *c, const char *name, uint32_t type, uint64_t *number)
{
	const uint8_t *this_name, *desc;
	Elf64_Nhdr head;

	while (next_note(c, &head, &this_name, &desc)) {
		if (head.n_type != type || head.n_namesz != strlen(name) + 1 ||
		    memcmp(this_name, name, head.n_namesz))
			continue;
		if (head.n_descsz != 4 && head.n_descsz != 8)
			continue;
		*number = 0;
		memcpy(number, desc, head.n_descsz);
		return true;
	}
	return false;
}

int elf_note_number(const struct image *img, const struct elf *elf, const char *name, uint32_t type,
		    uint64_t *number, struct error *err)
{
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type != PT_NOTE || !s->file_size)
			continue;
		if (s->file_size > NOTES_MAX)
			return image_error(img, err, -EINVAL,
					   "segment %u has %" PRIu64
					   " bytes of notes; more than %" PRIu64 " make no sense",
					   i, s->file_size, NOTES_MAX);
		uint8_t *notes = mem_alloc_zero(s->file_size);
		int ret = image_read(img, s->offset, notes, s->file_size, "notes", err);
		struct note_cursor c = {
			.data = notes,
			.len = s->file_size,
			.align = s->align == 8 ? 8 : 4,
		};
		bool found = !ret && find_in_notes(&c, name, type, number);
		free(notes);
		if (ret || found)
			return ret;
	}
	return -ENOENT;
}

int elf_load_linux(struct mem *m, const struct boot_config *cfg, const struct elf *elf,
		   struct boot_entry *entry, struct error *err)
{
	struct boot_params zp = {0};
	struct initrd initrd;
	uint64_t start, end, rip;

	int ret = cmdline_check(cfg, LINUX_CMDLINE_MAX, err);
	if (!ret)
		ret = elf_entry(cfg->kernel, elf, &rip, err);
	if (!ret)
		ret = elf_load(cfg->kernel, elf, m, cfg->e820, BOOT_AREA_END, &start, &end, err);
	if (ret)
		return ret;
	if (end > 4 * GIB)
		return image_error(cfg->kernel, err, -EINVAL,
				   "segments reach 0x%" PRIx64 ", above 4 GiB", end);

	const struct initrd_rules rules = {
		.limit = 2 * GIB, /* what every 64-bit kernel accepts */
		.kernel_start = start,
		.kernel_end = end,
	};
	ret = initrd_load(m, cfg, &rules, &initrd, err);
	if (ret)
		return ret;
	/* The header a bzImage would have had, as far as the kernel proper looks at it. */
	zp.hdr.boot_flag = 0xaa55;
	zp.hdr.header = 0x53726448;
	zp.hdr.version = 0x20f;
	zp.hdr.loadflags = LOADED_HIGH;
	zp.hdr.cmdline_size = LINUX_CMDLINE_MAX;
	zp.hdr.kernel_alignment = 2 * MIB;
	ret = zeropage_load(m, cfg, &initrd, &zp, err);
	if (ret)
		return ret;
	*entry = (struct boot_entry){
		.kind = BOOT_LINUX_ELF,
		.mode = BOOT_LONG64,
		.rip = rip,
		.rsp = BOOT_STACK_TOP,
		.rsi = BOOT_ZERO_PAGE,
	};
	return 0;
}
