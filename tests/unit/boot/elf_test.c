/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

/* The start information of the PVH protocol, as the specification lays it out. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

static void pvh_kernel_gets_its_start_information(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	elf_make(&e);
	fixture_kernel(&f, &e, sizeof(e));
	fixture_initrd(&f, "initrd data", 11);
	f.cfg.has_acpi = true;
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.kind, BOOT_PVH);
	assert_int_equal(f.entry.mode, BOOT_PROT32);
	assert_int_equal(f.entry.rip, ELF_START + 0x20);
	assert_memory_equal(fixture_at(&f, ELF_START, sizeof(e.code)), e.code, sizeof(e.code));

	const struct start_info *info = fixture_at(&f, f.entry.rbx, sizeof(*info));
	assert_int_equal(info->magic, 0x336ec578);
	assert_int_equal(info->version, 1);
	assert_int_equal(info->rsdp, BIOS_ACPI);
	assert_string_equal(fixture_at(&f, info->cmdline, 64), "console=ttyS0");
	assert_int_equal(info->nr_modules, 1);
	const uint64_t *module = fixture_at(&f, info->modlist, 32);
	assert_int_equal(module[0], 64 * MIB - 4096);
	assert_int_equal(module[1], 11);
	assert_memory_equal(fixture_at(&f, module[0], 11), "initrd data", 11);
	assert_int_equal(info->memmap_entries, f.e820.nr);
	const uint8_t *map = fixture_at(&f, info->memmap, 24 * f.e820.nr);
	for (unsigned i = 0; i < f.e820.nr; i++)
		assert_memory_equal(map + 24 * i, &f.e820.entries[i], 20);
	fixture_fini(&f);
}

static void note_is_found_behind_other_notes(void **state)
{
	struct {
		struct small_elf e;
		struct {
			Elf64_Nhdr head;
			char name[8];
			uint32_t desc[2];
		} other;
		struct {
			Elf64_Nhdr head;
			char name[4];
			uint32_t desc;
		} xen;
	} __attribute__((packed)) k = {0};
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	elf_make(&k.e);
	k.other.head = (Elf64_Nhdr){.n_namesz = 6, .n_descsz = 5, .n_type = 18};
	memcpy(k.other.name, "Linux", 6);
	k.xen.head = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 4, .n_type = 18};
	memcpy(k.xen.name, "Xen", 4);
	k.xen.desc = ELF_START + 0x30;
	k.e.note.p_offset = sizeof(k.e);
	k.e.note.p_filesz = sizeof(k.other) + sizeof(k.xen);
	fixture_kernel(&f, &k, sizeof(k));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.rip, ELF_START + 0x30);
	fixture_fini(&f);
}

static void kernel_without_note_starts_at_its_64bit_entry(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	elf_make(&e);
	e.xen.head.n_type = 17;
	fixture_kernel(&f, &e, sizeof(e));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.kind, BOOT_LINUX_ELF);
	assert_int_equal(f.entry.mode, BOOT_LONG64);
	assert_int_equal(f.entry.rip, ELF_START + 0x10);
	const struct boot_params *zp = fixture_at(&f, f.entry.rsi, sizeof(*zp));
	assert_int_equal(zp->hdr.boot_flag, 0xaa55);
	assert_int_equal(zp->hdr.cmd_line_ptr, BOOT_CMDLINE);
	assert_int_equal(zp->e820_entries, f.e820.nr);

	e.eh.e_entry = e.load.p_vaddr + 0x18;
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.rip, ELF_START + 0x18);
	fixture_fini(&f);
}

static void damaged_headers_are_refused(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &e, sizeof(e));

	elf_make(&e);
	e.eh.e_ident[EI_CLASS] = 3;
	fixture_fails(&f, -EINVAL, "kernel k: ELF class 3 (offset 4); 1 and 2 are the only ones");
	elf_make(&e);
	e.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	fixture_fails(&f, -EINVAL,
		      "kernel k: an ELF file with data encoding 2 (offset 5), not little-endian");
	elf_make(&e);
	e.eh.e_type = ET_REL;
	fixture_fails(&f, -EINVAL,
		      "kernel k: an ELF file of type 1 (offset 0x10), not an executable");
	elf_make(&e);
	e.eh.e_machine = EM_AARCH64;
	fixture_fails(&f, -EINVAL,
		      "kernel k: an ELF file for machine 183 (offset 0x12), not for x86");
	elf_make(&e);
	e.eh.e_phnum = 0;
	fixture_fails(&f, -EINVAL, "kernel k: 0 program headers; a kernel has 1 to 64");
	elf_make(&e);
	e.eh.e_phnum = 65;
	fixture_fails(&f, -EINVAL, "kernel k: 65 program headers; a kernel has 1 to 64");
	elf_make(&e);
	e.eh.e_phentsize = 32;
	fixture_fails(&f, -EINVAL, "kernel k: program headers of 32 bytes; they have 56");
	elf_make(&e);
	e.eh.e_phoff = UINT64_MAX - 10;
	fixture_fails(&f, -EINVAL,
		      "kernel k: program headers: 112 bytes expected at offset 0xfffffffffffffff5, "
		      "but the "
		      "file has only 312 bytes");
	fixture_fini(&f);
}

static void damaged_segments_are_refused(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &e, sizeof(e));

	elf_make(&e);
	e.load.p_memsz = 63;
	fixture_fails(&f, -EINVAL,
		      "kernel k: segment 0 has 64 bytes in the file but only 63 in memory");
	elf_make(&e);
	e.load.p_paddr = 0x7000;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: segment 0 goes to 0x7000; below 0x30000 is what the boot loader hands "
		"over");
	elf_make(&e);
	e.load.p_paddr = 64 * MIB - 64;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: segment 0 takes 12288 bytes at 0x3ffffc0, which are not all RAM: the "
		"guest has 64 MiB");
	elf_make(&e);
	e.load.p_memsz = UINT64_MAX;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: segment 0 takes 18446744073709551615 bytes at 0x400000, which are not "
		"all RAM: the guest has 64 MiB");
	elf_make(&e);
	e.load.p_offset = sizeof(e) - 10;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: segment: 64 bytes expected at offset 0x12e, but the file has only 312 "
		"bytes");
	elf_make(&e);
	e.load.p_type = PT_NULL;
	fixture_fails(&f, -EINVAL, "kernel k: an ELF file without anything to load");
	elf_make(&e);
	e.xen.desc = ELF_START + ELF_MEM;
	fixture_fails(&f, -EINVAL,
		      "kernel k: the PVH entry point 0x403000 is not inside the kernel "
		      "(0x400000-0x402fff)");
	elf_make(&e);
	e.note.p_filesz = 1000000;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: segment 1 has 1000000 bytes of notes; more than 65536 make no sense");
	elf_make(&e);
	e.note.p_filesz = 1000;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: notes: 1000 bytes expected at offset 0xb0, but the file has only 312 "
		"bytes");
	fixture_fini(&f);
}

static void damaged_notes_are_passed_over(void **state)
{
	static const uint32_t hostile[] = {UINT32_MAX, 0x7fffffff, 0x1000, 5};
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &e, sizeof(e));
	for (unsigned i = 0; i < ARRAY_SIZE(hostile); i++) {
		elf_make(&e);
		e.xen.head.n_namesz = hostile[i];
		assert_int_equal(fixture_load(&f), 0);
		assert_int_equal(f.entry.kind, BOOT_LINUX_ELF);
		elf_make(&e);
		e.xen.head.n_descsz = hostile[i];
		assert_int_equal(fixture_load(&f), 0);
		assert_int_equal(f.entry.kind, BOOT_LINUX_ELF);
	}
	fixture_fini(&f);
}

static void entry_outside_every_segment_is_refused(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &e, sizeof(e));
	elf_make(&e);
	e.note.p_type = PT_NULL;
	e.eh.e_entry = ELF_START + ELF_MEM;
	fixture_fails(&f, -EINVAL, "kernel k: the entry point 0x403000 lies in no segment");
	fixture_fini(&f);
}

static void elf32_without_protocol_is_refused(void **state)
{
	struct {
		Elf32_Ehdr eh;
		Elf32_Phdr load;
	} e = {0};
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
	e.eh.e_ident[EI_CLASS] = ELFCLASS32;
	e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e.eh.e_type = ET_EXEC;
	e.eh.e_machine = EM_386;
	e.eh.e_phoff = sizeof(e.eh);
	e.eh.e_phentsize = sizeof(e.load);
	e.eh.e_phnum = 1;
	e.load = (Elf32_Phdr){.p_type = PT_LOAD, .p_paddr = MIB, .p_memsz = 100};
	fixture_kernel(&f, &e, sizeof(e));
	fixture_fails(&f, -ENOEXEC,
		      "kernel k: a 32-bit ELF file without PVH note or multiboot header: give the "
		      "bzImage "
		      "of this kernel, or build it with CONFIG_PVH");
	fixture_fini(&f);
}

static void long_command_line_is_refused(void **state)
{
	char line[2049];
	struct small_elf e;
	struct fixture f;

	memset(line, 'x', 2048);
	line[2048] = 0;
	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &e, sizeof(e));
	elf_make(&e);
	f.cfg.cmdline = line;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: the command line has 2048 bytes, but this kernel takes at most 2047");
	f.cfg.cmdline = line + 1;
	assert_int_equal(fixture_load(&f), 0);
	fixture_fini(&f);
}

static void every_truncation_is_refused_or_harmless(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	elf_make(&e);
	for (size_t len = 0; len < sizeof(e); len++) {
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, &e, len);
		fixture_kernel(&f, cut, len);
		assert_true(fixture_load(&f) < 0);
		free(cut);
	}
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pvh_kernel_gets_its_start_information),
		cmocka_unit_test(note_is_found_behind_other_notes),
		cmocka_unit_test(kernel_without_note_starts_at_its_64bit_entry),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(damaged_segments_are_refused),
		cmocka_unit_test(damaged_notes_are_passed_over),
		cmocka_unit_test(entry_outside_every_segment_is_refused),
		cmocka_unit_test(elf32_without_protocol_is_refused),
		cmocka_unit_test(long_command_line_is_refused),
		cmocka_unit_test(every_truncation_is_refused_or_harmless),
	};

	return cmocka_run_group_tests_name("boot/elf", tests, NULL, NULL);
}
