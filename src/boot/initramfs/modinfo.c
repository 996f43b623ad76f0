/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/modinfo.h"

#include <elf.h>
#include <string.h>

#include "base/base.h"

/* Section headers are copied out: the file need not be aligned. */
static int read_section(const uint8_t *file, size_t len, const Elf64_Ehdr *h, unsigned i,
			Elf64_Shdr *out)
{
	uint64_t at;

	if (add_overflows(h->e_shoff, (uint64_t)i * sizeof(*out), &at) ||
	    !range_fits(at, sizeof(*out), len))
		return -ENOEXEC;
	memcpy(out, file + at, sizeof(*out));
	return 0;
}

static bool has_name(const uint8_t *file, size_t len, const Elf64_Shdr *names, uint32_t at,
		     const char *name)
{
	size_t name_len = strlen(name) + 1;

	return range_fits(names->sh_offset, names->sh_size, len) &&
	       range_fits(at, name_len, names->sh_size) &&
	       !memcmp(file + names->sh_offset + at, name, name_len);
}

static int find_section(const uint8_t *file, size_t len, const char *name, Elf64_Shdr *out)
{
	Elf64_Shdr names;
	Elf64_Ehdr h;

	if (len < sizeof(h))
		return -ENOEXEC;
	memcpy(&h, file, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_type != ET_REL || h.e_shentsize != sizeof(*out))
		return -ENOEXEC;
	if (read_section(file, len, &h, h.e_shstrndx, &names))
		return -ENOEXEC;
	for (unsigned i = 0; i < h.e_shnum; i++) {
		if (read_section(file, len, &h, i, out))
			return -ENOEXEC;
		if (has_name(file, len, &names, out->sh_name, name))
			return range_fits(out->sh_offset, out->sh_size, len) ? 0 : -ENOEXEC;
	}
	return -ENOEXEC;
}

int modinfo_find(const uint8_t *file, size_t len, const char *name, const char **value)
{
	size_t name_len = strlen(name);
	Elf64_Shdr section;
	int rc = find_section(file, len, ".modinfo", &section);

	if (rc)
		return rc;
	const char *at = (const char *)file + section.sh_offset, *end = at + section.sh_size;
	while (at < end) {
		size_t size = strnlen(at, (size_t)(end - at));

		if (at + size == end)
			return -ENOEXEC; /* the last string has no end */
		if (size > name_len && at[name_len] == '=' && !memcmp(at, name, name_len)) {
			*value = at + name_len + 1;
			return 0;
		}
		at += size + 1;
	}
	return -ENOENT;
}
