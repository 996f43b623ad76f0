/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#define MAGIC 0x1badb002u

/* A flat image described by addresses: header at 0x100, 256 bytes in the file, 4 KiB in memory. */
struct flat {
	uint8_t lead[0x100];
	uint32_t header[8];
	uint8_t code[0x100];
};

#define FLAT_START 0x200000

static void flat_make(struct flat *k)
{
	memset(k, 0xcc, sizeof(*k));
	const uint32_t flags = BIT(16) | 3;
	const uint32_t header[] = {MAGIC,
				   flags,
				   -(MAGIC + flags),
				   FLAT_START + 0x100,
				   FLAT_START,
				   FLAT_START + 0x200,
				   FLAT_START + 0x1000,
				   FLAT_START + 0x120};
	memcpy(k->header, header, sizeof(header));
}

/* Puts a header without addresses into the ELF kernel and takes the PVH note away. */
static void make_multiboot_elf(struct small_elf *e, uint32_t flags)
{
	elf_make(e);
	e->note.p_type = PT_NULL;
	e->multiboot[0] = MAGIC;
	e->multiboot[1] = flags;
	e->multiboot[2] = -(MAGIC + flags);
}

static uint32_t info_field(struct fixture *f, unsigned offset)
{
	uint32_t v;

	memcpy(&v, fixture_at(f, f->entry.rbx + offset, 4), 4);
	return v;
}

static void elf_kernel_gets_information_and_module(void **state)
{
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	make_multiboot_elf(&e, 3);
	fixture_kernel(&f, &e, sizeof(e));
	fixture_initrd(&f, "NR_CPUS=2\n", 10);
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.kind, BOOT_MULTIBOOT);
	assert_int_equal(f.entry.mode, BOOT_PROT32);
	assert_int_equal(f.entry.rip, ELF_START + 0x10);
	assert_int_equal(f.entry.rax, 0x2badb002);

	assert_int_equal(info_field(&f, 0), 0x24d);
	assert_int_equal(info_field(&f, 4), 639);
	assert_int_equal(info_field(&f, 8), 63 * 1024);
	assert_string_equal(fixture_at(&f, info_field(&f, 16), 64), "k console=ttyS0");
	assert_string_equal(fixture_at(&f, info_field(&f, 64), 64), "bantam");

	assert_int_equal(info_field(&f, 20), 1);
	const uint32_t *module = fixture_at(&f, info_field(&f, 24), 16);
	assert_int_equal(module[0], ELF_START + ELF_MEM);
	assert_int_equal(module[1] - module[0], 10);
	assert_memory_equal(fixture_at(&f, module[0], 10), "NR_CPUS=2\n", 10);
	assert_string_equal(fixture_at(&f, module[2], 64), "i");

	assert_int_equal(info_field(&f, 44), 24 * f.e820.nr);
	const uint8_t *map = fixture_at(&f, info_field(&f, 48), 24 * f.e820.nr);
	for (unsigned i = 0; i < f.e820.nr; i++) {
		assert_int_equal(map[24 * i], 20);
		assert_memory_equal(map + 24 * i + 4, &f.e820.entries[i], 20);
	}
	fixture_fini(&f);
}

static void module_goes_high_when_there_is_no_room_behind_the_kernel(void **state)
{
	static const uint8_t module_data[3 * MIB];
	struct small_elf e;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	make_multiboot_elf(&e, 3);
	e.load.p_paddr = 62 * MIB;
	e.eh.e_entry = 62 * MIB;
	fixture_kernel(&f, &e, sizeof(e));
	fixture_initrd(&f, module_data, sizeof(module_data));
	assert_int_equal(fixture_load(&f), 0);
	const uint32_t *module = fixture_at(&f, info_field(&f, 24), 16);
	assert_int_equal(module[0], 59 * MIB);
	fixture_fini(&f);
}

static void addresses_in_the_header_place_a_flat_image(void **state)
{
	struct flat k;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	flat_make(&k);
	fixture_kernel(&f, &k, sizeof(k));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.rip, FLAT_START + 0x120);
	assert_memory_equal(fixture_at(&f, FLAT_START, 0x200), &k, 0x200);
	assert_int_equal(*(uint8_t *)fixture_at(&f, FLAT_START + 0x200, 1), 0);

	k.header[5] = 0; /* no load end: the whole file */
	assert_int_equal(fixture_load(&f), 0);
	assert_memory_equal(fixture_at(&f, FLAT_START, sizeof(k)), &k, sizeof(k));
	fixture_fini(&f);
}

static void damaged_headers_are_refused(void **state)
{
	struct flat k;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, &k, sizeof(k));

	flat_make(&k);
	k.header[1] |= 0x88;
	k.header[2] -= 0x88;
	fixture_fails(&f, -EINVAL,
		      "kernel k: multiboot header at offset 0x100: demands 0x88 are not known to "
		      "multiboot 1");
	flat_make(&k);
	k.header[3] = FLAT_START - 1;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: multiboot header at offset 0x100: its own address 0x1fffff does not fit "
		"the load address 0x200000");
	flat_make(&k);
	k.header[3] = FLAT_START + 0x101;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: multiboot header at offset 0x100: its own address 0x200101 does not fit "
		"the load address 0x200000");
	flat_make(&k);
	k.header[5] = FLAT_START - 1;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: multiboot header at offset 0x100: the load end 0x1fffff is below the "
		"load address 0x200000");
	flat_make(&k);
	k.header[5] = FLAT_START + 0x300;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: kernel: 768 bytes expected at offset 0x0, but the file has only 544 "
		"bytes");
	flat_make(&k);
	k.header[6] = 0x80000000;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: wants RAM at 0x200000-0x7fffffff, which the guest with 64 MiB does not "
		"have free");
	flat_make(&k);
	k.header[7] = FLAT_START + 0x1000;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: the entry point 0x201000 is not inside the kernel (0x200000-0x200fff)");
	flat_make(&k);
	k.header[1] = 3;
	k.header[2] = -(MAGIC + 3);
	fixture_fails(&f, -EINVAL,
		      "kernel k: multiboot header at offset 0x100: the file is not ELF and the "
		      "header has "
		      "no load addresses");
	flat_make(&k);
	k.header[2]++; /* a wrong checksum makes it no header at all */
	fixture_fails(&f, -ENOEXEC,
		      "kernel k: no kernel: no bzImage (\"HdrS\" at offset 0x202), no ELF file, no "
		      "multiboot header in the first 8192 bytes");
	fixture_fini(&f);
}

static void header_cut_by_the_end_of_the_file_is_refused(void **state)
{
	struct flat k;
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	flat_make(&k);
	for (size_t len = 0; len < sizeof(k.lead) + sizeof(k.header); len++) {
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, &k, len);
		fixture_kernel(&f, cut, len);
		assert_true(fixture_load(&f) < 0);
		free(cut);
	}
	fixture_fini(&f);
}

static void long_command_line_is_refused(void **state)
{
	static char line[70001];
	struct small_elf e;
	struct fixture f;

	memset(line, 'x', 70000);
	fixture_init(&f, 64 * MIB, 0);
	make_multiboot_elf(&e, 0);
	fixture_kernel(&f, &e, sizeof(e));
	f.cfg.cmdline = line;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: the command line with the kernel's path has 70002 bytes, but at most "
		"61439 can be handed over");
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_kernel_gets_information_and_module),
		cmocka_unit_test(module_goes_high_when_there_is_no_room_behind_the_kernel),
		cmocka_unit_test(addresses_in_the_header_place_a_flat_image),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(header_cut_by_the_end_of_the_file_is_refused),
		cmocka_unit_test(long_command_line_is_refused),
	};

	return cmocka_run_group_tests_name("boot/multiboot", tests, NULL, NULL);
}
