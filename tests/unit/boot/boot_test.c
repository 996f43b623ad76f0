/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "x86/regs.h"

static void expect_refused(struct fixture *f, const char *bytes, size_t len, const char *sentence)
{
	fixture_kernel(f, bytes, len);
	fixture_fails(f, -ENOEXEC, sentence);
}

static void other_files_are_refused_by_what_they_are(void **state)
{
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	expect_refused(&f, "", 0, "kernel k: the file is empty");
	expect_refused(&f, "\x1f\x8b\x08", 3,
		       "kernel k: not a kernel but gzip-compressed data; unpack it first");
	expect_refused(&f,
		       "\xfd"
		       "7zXZ",
		       6, "kernel k: not a kernel but xz-compressed data; unpack it first");
	expect_refused(&f, "\x02\x21\x4c\x18", 4,
		       "kernel k: not a kernel but LZ4-compressed data; unpack it first");
	expect_refused(&f, "\x28\xb5\x2f\xfd", 4,
		       "kernel k: not a kernel but Zstandard-compressed data; unpack it first");
	expect_refused(&f, "MZ\x90", 3,
		       "kernel k: not a kernel but an EFI program without a Linux boot header");
	expect_refused(&f, "070701", 6,
		       "kernel k: not a kernel but a cpio archive, which is an initrd");
	expect_refused(
		&f, "#!/bin/sh\n", 10,
		"kernel k: no kernel: no bzImage (\"HdrS\" at offset 0x202), no ELF file, no "
		"multiboot header in the first 8192 bytes");
	fixture_fini(&f);
}

static void long_mode_entry_has_paging_and_flat_segments(void **state)
{
	const struct boot_entry entry = {
		.mode = BOOT_LONG64, .rip = 0x1000200, .rsp = 0x8ff0, .rsi = 0x7000};
	struct kvm_sregs s = {.apic_base = 0xfee00900, .cr8 = 3};
	struct kvm_regs r;

	boot_entry_registers(&entry, &r, &s);
	assert_int_equal(r.rip, 0x1000200);
	assert_int_equal(r.rsi, 0x7000);
	assert_int_equal(r.rflags, 2);
	assert_int_equal(s.cr0 & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
	assert_int_equal(s.cr3, BOOT_PAGE_TABLES);
	assert_int_equal(s.cr4, CR4_PAE);
	assert_int_equal(s.efer, EFER_LME | EFER_LMA);
	assert_int_equal(s.cs.selector, 0x10);
	assert_int_equal(s.cs.l, 1);
	assert_int_equal(s.cs.db, 0);
	assert_int_equal(s.ds.selector, 0x18);
	assert_int_equal(s.ss.limit, 0xffffffff);
	assert_int_equal(s.apic_base, 0xfee00900);
	assert_int_equal(s.cr8, 3);
}

static void protected_mode_entry_has_no_paging(void **state)
{
	const struct boot_entry entry = {
		.mode = BOOT_PROT32, .rip = 0x100000, .rax = 0x2badb002, .rbx = 0x2000};
	struct kvm_sregs s = {0};
	struct kvm_regs r;

	boot_entry_registers(&entry, &r, &s);
	assert_int_equal(r.rax, 0x2badb002);
	assert_int_equal(r.rbx, 0x2000);
	assert_int_equal(s.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(s.efer, 0);
	assert_int_equal(s.cs.l, 0);
	assert_int_equal(s.cs.db, 1);
}

/* Walks the boot page tables as the processor does. */
static uint64_t translate(struct fixture *f, uint64_t linear)
{
	uint64_t table = BOOT_PAGE_TABLES;

	for (int shift = 39; shift > 12; shift -= 9) {
		const uint64_t *entries = fixture_at(f, table, 4096);
		uint64_t e = entries[linear >> shift & 511];

		assert_int_equal(e & (PTE_P | PTE_W), PTE_P | PTE_W);
		if (e & PTE_PS)
			return (e & PTE_ADDR) | (linear & ((1ull << shift) - 1));
		table = e & PTE_ADDR;
	}
	fail();
	return 0;
}

static void low_memory_holds_tables_as_the_entry_state_says(void **state)
{
	static const uint64_t addresses[] = {0,		 0x1fffff,   0x200000,	0x1234567,
					     0x7fffffff, 0xfee00000, 0xffffffff};
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	f.cfg.has_acpi = f.cfg.has_mptable = true;
	assert_int_equal(fixture_load(&f), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
		assert_int_equal(translate(&f, addresses[i]), addresses[i]);
	const uint64_t *gdt = fixture_at(&f, BOOT_GDT, 40);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[2], 0x00af9b000000ffff);
	assert_int_equal(gdt[3], 0x00cf93000000ffff);
	assert_int_equal(*(uint16_t *)fixture_at(&f, 0x40e, 2), 0x9fc0);
	assert_memory_equal(fixture_at(&f, 0x413, 2), "\x7f\x02", 2); /* 639 KiB */
	assert_memory_equal(fixture_at(&f, BIOS_ACPI, 8), "RSD PTR ", 8);
	assert_memory_equal(fixture_at(&f, BIOS_MPTABLE, 4), "_MP_", 4);
	fixture_fini(&f);
}

static void tables_are_left_out_when_not_wanted(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(*(uint32_t *)fixture_at(&f, BIOS_ACPI, 4), 0);
	assert_int_equal(*(uint32_t *)fixture_at(&f, BIOS_MPTABLE, 4), 0);
	const struct boot_params *zp = fixture_at(&f, BOOT_ZERO_PAGE, sizeof(*zp));
	assert_int_equal(zp->acpi_rsdp_addr, 0);
	fixture_fini(&f);
}

static void booting_again_gives_the_same_memory(void **state)
{
	uint8_t image[BZ_SIZE], *first = malloc(MIB);
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	fixture_initrd(&f, "data", 4);
	f.cfg.has_acpi = f.cfg.has_mptable = true;
	assert_int_equal(fixture_load(&f), 0);
	memcpy(first, fixture_at(&f, 0, MIB), MIB);
	mem_clear_ram(f.mem);
	assert_int_equal(fixture_load(&f), 0);
	assert_memory_equal(first, fixture_at(&f, 0, MIB), MIB);
	free(first);
	fixture_fini(&f);
}

/* The kernel file that BANTAM_TEST_KERNEL names, or one written here. */
static void kernel_file_loads(void **state)
{
	const char *path = getenv("BANTAM_TEST_KERNEL");
	char made[] = "/tmp/bantam-kernel-XXXXXX";
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 512 * MIB, 0);
	if (!path) {
		int fd = mkstemp(made);

		bz_make(image);
		assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
		close(fd);
		path = made;
	}
	assert_int_equal(image_open(&f.kernel, "kernel", path, &f.err), 0);
	if (path == made)
		unlink(made);
	f.cfg.has_acpi = true;
	int ret = fixture_load(&f);
	if (ret)
		print_error("%s\n", f.err.text);
	assert_int_equal(ret, 0);
	print_message("kind %d mode %d entry 0x%llx\n", f.entry.kind, f.entry.mode,
		      (unsigned long long)f.entry.rip);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_files_are_refused_by_what_they_are),
		cmocka_unit_test(long_mode_entry_has_paging_and_flat_segments),
		cmocka_unit_test(protected_mode_entry_has_no_paging),
		cmocka_unit_test(low_memory_holds_tables_as_the_entry_state_says),
		cmocka_unit_test(tables_are_left_out_when_not_wanted),
		cmocka_unit_test(booting_again_gives_the_same_memory),
		cmocka_unit_test(kernel_file_loads),
	};

	return cmocka_run_group_tests_name("boot/boot", tests, NULL, NULL);
}
