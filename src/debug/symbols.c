/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

#define TABLE_SIZE_MAX (256 * MIB) /* a debug vmlinux has about 10 MiB of symbols */

struct symbol {
	uint64_t address;
	uint32_t name; /* offset in strings */
};

struct symbols {
	struct symbol *table; /* ascending address */
	size_t nr;
	char *strings; /* ends in a zero byte */
	size_t strings_len;
	uint64_t end; /* first address past the last function */
};

/* Reads exactly len bytes at off into fresh memory (with a zero byte after); NULL when short. */
static void *read_at(int fd, uint64_t off, uint64_t len)
{
	if (len > TABLE_SIZE_MAX || off > INT64_MAX - len)
		return NULL;
	char *data = mem_alloc_zero(len + 1);
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, data + done, len - done, (off_t)(off + done));

		if (n <= 0) {
			free(data);
			return NULL;
		}
		done += (uint64_t)n;
	}
	return data;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* Takes the functions of a symbol table section and its string table. */
static struct symbols *take_table(int fd, const Elf64_Shdr *symtab, const Elf64_Shdr *strtab)
{
	Elf64_Sym *raw = read_at(fd, symtab->sh_offset, symtab->sh_size);
	char *strings = read_at(fd, strtab->sh_offset, strtab->sh_size);
	size_t nr = symtab->sh_size / sizeof(*raw);

	if (!raw || !strings || !nr) {
		free(raw);
		free(strings);
		return NULL;
	}
	struct symbols *s = mem_alloc_zero(sizeof(*s));
	s->table = mem_alloc_zero(nr * sizeof(s->table[0]));
	s->strings = strings;
	s->strings_len = strtab->sh_size;
	for (size_t i = 0; i < nr; i++) {
		unsigned type = ELF64_ST_TYPE(raw[i].st_info);

		if ((type != STT_FUNC && type != STT_NOTYPE) || !raw[i].st_value ||
		    raw[i].st_name >= s->strings_len)
			continue;
		s->table[s->nr++] = (struct symbol){raw[i].st_value, raw[i].st_name};
		if (type == STT_FUNC)
			s->end = max(s->end, (uint64_t)(raw[i].st_value + raw[i].st_size));
	}
	free(raw);
	qsort(s->table, s->nr, sizeof(s->table[0]), by_address);
	return s;
}

static struct symbols *load(int fd)
{
	Elf64_Ehdr *head = read_at(fd, 0, sizeof(*head));
	Elf64_Shdr *sections = NULL;
	struct symbols *s = NULL;

	if (head && !memcmp(head->e_ident, ELFMAG, SELFMAG) &&
	    head->e_ident[EI_CLASS] == ELFCLASS64 && head->e_shentsize == sizeof(*sections))
		sections = read_at(fd, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections));
	for (unsigned i = 0; sections && i < head->e_shnum; i++) {
		if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < head->e_shnum) {
			s = take_table(fd, &sections[i], &sections[sections[i].sh_link]);
			break;
		}
	}
	free(sections);
	free(head);
	return s;
}

struct symbols *symbols_load(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		error_set_errno(err, -errno, "%s", path);
		return NULL;
	}
	struct symbols *s = load(fd);
	close(fd);
	if (!s)
		error_set(err, -EINVAL, "%s: no symbol table in it", path);
	return s;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->table);
	free(s->strings);
	free(s);
}

const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset)
{
	if (!s || !s->nr || address < s->table[0].address || address >= s->end)
		return NULL;
	size_t lo = 0, hi = s->nr; /* table[lo] <= address < table[hi] */

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (s->table[mid].address <= address)
			lo = mid;
		else
			hi = mid;
	}
	*offset = address - s->table[lo].address;
	return s->strings + s->table[lo].name;
}
