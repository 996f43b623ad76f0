/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <stdio.h>

static const struct boot_params *zero_page(struct fixture *f)
{
	return fixture_at(f, BOOT_ZERO_PAGE, sizeof(struct boot_params));
}

static void bzimage_loads_at_its_preferred_address(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.kind, BOOT_BZIMAGE);
	assert_int_equal(f.entry.mode, BOOT_LONG64);
	assert_int_equal(f.entry.rip, BZ_START + 0x200);
	assert_int_equal(f.entry.rsi, BOOT_ZERO_PAGE);
	assert_memory_equal(fixture_at(&f, BZ_START, BZ_PAYLOAD), image + BZ_SETUP, BZ_PAYLOAD);
	fixture_fini(&f);
}

static void zero_page_carries_header_and_parameters(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	f.cfg.has_acpi = true;
	assert_int_equal(fixture_load(&f), 0);
	const struct boot_params *zp = zero_page(&f);
	assert_int_equal(zp->hdr.header, 0x53726448);
	assert_int_equal(zp->hdr.version, 0x20f);
	assert_int_equal(zp->hdr.boot_flag, 0xaa55);
	assert_int_equal(zp->hdr.init_size, BZ_INIT);
	assert_int_equal(zp->hdr.type_of_loader, 0xff);
	assert_int_equal(zp->hdr.code32_start, BZ_START);
	assert_int_equal(zp->hdr.cmd_line_ptr, BOOT_CMDLINE);
	assert_int_equal(zp->hdr.ramdisk_size, 0);
	assert_int_equal(zp->hdr.setup_data, 0);
	assert_int_equal(zp->acpi_rsdp_addr, BIOS_ACPI);
	assert_int_equal(zp->sentinel, 0);
	assert_string_equal(fixture_at(&f, BOOT_CMDLINE, 64), "console=ttyS0");
	assert_int_equal(zp->e820_entries, f.e820.nr);
	for (unsigned i = 0; i < f.e820.nr; i++) {
		assert_int_equal(zp->e820_table[i].addr, f.e820.entries[i].addr);
		assert_int_equal(zp->e820_table[i].size, f.e820.entries[i].size);
		assert_int_equal(zp->e820_table[i].type, f.e820.entries[i].type);
	}
	fixture_fini(&f);
}

static void header_copy_ends_where_the_jump_leads(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	bz_header(image)->jump = 0x62eb; /* to 0x264: without handover_offset */
	bz_header(image)->handover_offset = 0x12345678;
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(zero_page(&f)->hdr.init_size, BZ_INIT);
	assert_int_equal(zero_page(&f)->hdr.handover_offset, 0);
	fixture_fini(&f);
}

static void setup_sectors_of_zero_mean_four(void **state)
{
	uint8_t image[5 * 512 + BZ_PAYLOAD];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	memset(image, 0, sizeof(image));
	bz_make(image);
	memset(image + BZ_SETUP, 0, sizeof(image) - BZ_SETUP);
	memset(image + 5 * 512, 0xa5, BZ_PAYLOAD);
	bz_header(image)->setup_sects = 0;
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_memory_equal(fixture_at(&f, BZ_START, BZ_PAYLOAD), image + 5 * 512, BZ_PAYLOAD);
	fixture_fini(&f);
}

static void kernel_without_64bit_entry_starts_in_protected_mode(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	bz_header(image)->xloadflags = 0;
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.mode, BOOT_PROT32);
	assert_int_equal(f.entry.rip, BZ_START);
	assert_int_equal(f.entry.rsi, BOOT_ZERO_PAGE);
	fixture_fini(&f);
}

static void protocol_2_06_loads_at_its_alignment(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	bz_header(image)->version = 0x206;
	bz_header(image)->kernel_alignment = 0x400000;
	fixture_kernel(&f, image, sizeof(image));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.mode, BOOT_PROT32);
	assert_int_equal(f.entry.rip, 0x400000);
	bz_header(image)->relocatable_kernel = 0;
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(f.entry.rip, 0x100000);
	fixture_fini(&f);
}

static void random_seed_is_handed_over_as_setup_data(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	f.cfg.rng_seed = "0123456789abcdef0123456789abcde";
	f.cfg.rng_seed_len = 32;
	assert_int_equal(fixture_load(&f), 0);
	const struct setup_data *d = fixture_at(&f, zero_page(&f)->hdr.setup_data, 64);
	assert_int_equal(d->type, SETUP_RNG_SEED);
	assert_int_equal(d->len, 32);
	assert_int_equal(d->next, 0);
	assert_memory_equal(d->data, f.cfg.rng_seed, 32);
	fixture_fini(&f);
}

static void long_memory_map_continues_in_setup_data(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	unsigned before = f.e820.nr;
	for (unsigned i = 0; i < 140; i++)
		assert_int_equal(e820_set(&f.e820, 8 * GIB + i * 2 * MIB, MIB, E820_RESERVED), 0);
	f.cfg.rng_seed = "seed";
	f.cfg.rng_seed_len = 4;
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(zero_page(&f)->e820_entries, 128);

	unsigned rest = before + 140 - 128;
	const struct setup_data *d = fixture_at(&f, zero_page(&f)->hdr.setup_data, 4096);
	const struct boot_e820_entry *e = (const void *)d->data;
	assert_int_equal(d->type, SETUP_E820_EXT);
	assert_int_equal(d->len, rest * 20);
	assert_int_equal(e[rest - 1].addr, 8 * GIB + 139 * 2 * MIB);
	assert_int_equal(e[0].addr, f.e820.entries[128].addr);
	d = fixture_at(&f, d->next, 64);
	assert_int_equal(d->type, SETUP_RNG_SEED);
	assert_int_equal(d->next, 0);
	fixture_fini(&f);
}

static void initrd_goes_as_high_as_allowed(void **state)
{
	static const uint8_t initrd[5000] = {1, 2, 3, [4999] = 9};
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	fixture_initrd(&f, initrd, sizeof(initrd));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(zero_page(&f)->hdr.ramdisk_image, 64 * MIB - 8192);
	assert_int_equal(zero_page(&f)->hdr.ramdisk_size, 5000);
	assert_memory_equal(fixture_at(&f, 64 * MIB - 8192, 5000), initrd, 5000);

	bz_header(image)->initrd_addr_max = 0x2ffffff;
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(zero_page(&f)->hdr.ramdisk_image, 0x3000000 - 8192);
	fixture_fini(&f);
}

static void initrd_goes_above_4g_only_when_it_must_and_may(void **state)
{
	static uint8_t initrd[50 * MIB];
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 64 * MIB);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	fixture_initrd(&f, initrd, sizeof(initrd));
	assert_int_equal(fixture_load(&f), 0);
	uint64_t addr =
		zero_page(&f)->hdr.ramdisk_image | (uint64_t)zero_page(&f)->ext_ramdisk_image << 32;
	assert_int_equal(addr, 4 * GIB + 14 * MIB);

	bz_header(image)->xloadflags = XLF_KERNEL_64;
	fixture_fails(
		&f, -E2BIG,
		"initrd i: 52428800 bytes do not fit: beside the kernel the largest free piece "
		"of guest RAM it may be in has 48234496 bytes");
	fixture_fini(&f);
}

static void initrd_avoids_the_kernel(void **state)
{
	static uint8_t initrd[10 * MIB];
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 20 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	fixture_initrd(&f, initrd, sizeof(initrd));
	assert_int_equal(fixture_load(&f), 0);
	assert_int_equal(zero_page(&f)->hdr.ramdisk_image, BZ_START - 10 * MIB);
	fixture_fini(&f);
}

static void empty_initrd_is_refused(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, sizeof(image));
	fixture_initrd(&f, "", 0);
	fixture_fails(&f, -EINVAL, "initrd i: the file is empty");
	fixture_fini(&f);
}

static void damaged_headers_are_refused(void **state)
{
	uint8_t image[BZ_SIZE];
	struct setup_header *h = bz_header(image);
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	fixture_kernel(&f, image, sizeof(image));

	bz_make(image);
	h->version = 0x203;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: boot protocol 2.03 (offset 0x206) is too old: 2.06 of Linux 2.6.22 or "
		"later is needed");
	bz_make(image);
	h->loadflags = 0;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: a zImage that loads below 1 MiB (offset 0x211, bit 0 clear) cannot be "
		"booted: build a bzImage");
	bz_make(image);
	h->syssize++;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: truncated: the kernel takes 4112 bytes at offset 0x400, but the file "
		"has only 5120 bytes");
	bz_make(image);
	h->setup_sects = 200;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: truncated: the kernel takes 4096 bytes at offset 0x19200, but the file "
		"has only 5120 bytes");
	bz_make(image);
	h->syssize = 2;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: 32 bytes at offset 0x400 are too few to hold a 64-bit entry point");
	bz_make(image);
	h->pref_address = 0x1000;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: wants 2097152 bytes at 0x1000 (offsets 0x258 and 0x260), which is not "
		"between 1 MiB and 4 GiB");
	bz_make(image);
	h->pref_address = UINT64_MAX - 0xfff;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: wants 2097152 bytes at 0xfffffffffffff000 (offsets 0x258 and 0x260), "
		"which is not between 1 MiB and 4 GiB");
	bz_make(image);
	h->init_size = 0xffffffff;
	fixture_fails(
		&f, -EINVAL,
		"kernel k: wants 4294967295 bytes at 0x1000000 (offsets 0x258 and 0x260), which is "
		"not between 1 MiB and 4 GiB");
	bz_make(image);
	h->init_size = 100 * MIB;
	fixture_fails(
		&f, -E2BIG,
		"kernel k: needs RAM at 0x1000000-0x73fffff, at least 116 MiB of it in all, but "
		"the guest has 64 MiB");
	bz_make(image);
	h->cmdline_size = 12;
	fixture_fails(&f, -E2BIG,
		      "kernel k: the command line has 13 bytes, but this kernel takes at most 12");
	bz_make(image);
	h->cmdline_size = 13;
	assert_int_equal(fixture_load(&f), 0);
	fixture_fini(&f);
}

/* Wherever a good image is cut, the loader says so and reads nothing behind the cut. */
static void every_truncation_is_refused(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	for (size_t len = 0; len < BZ_SIZE - 15; len += len < 0x300 ? 1 : 97) {
		/* A copy of its own, so that a sanitizer sees a read past the end. */
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, image, len);
		fixture_kernel(&f, cut, len);
		assert_true(fixture_load(&f) < 0);
		assert_non_null(strstr(f.err.text, "kernel k: "));
		free(cut);
	}
	fixture_fini(&f);
}

static void header_cut_short_names_offset_and_size(void **state)
{
	uint8_t image[BZ_SIZE];
	struct fixture f;

	fixture_init(&f, 64 * MIB, 0);
	bz_make(image);
	fixture_kernel(&f, image, 0x220);
	fixture_fails(
		&f, -EINVAL,
		"kernel k: setup header: 123 bytes expected at offset 0x1f1, but the file has only "
		"544 bytes");
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage_loads_at_its_preferred_address),
		cmocka_unit_test(zero_page_carries_header_and_parameters),
		cmocka_unit_test(header_copy_ends_where_the_jump_leads),
		cmocka_unit_test(setup_sectors_of_zero_mean_four),
		cmocka_unit_test(kernel_without_64bit_entry_starts_in_protected_mode),
		cmocka_unit_test(protocol_2_06_loads_at_its_alignment),
		cmocka_unit_test(random_seed_is_handed_over_as_setup_data),
		cmocka_unit_test(long_memory_map_continues_in_setup_data),
		cmocka_unit_test(initrd_goes_as_high_as_allowed),
		cmocka_unit_test(initrd_goes_above_4g_only_when_it_must_and_may),
		cmocka_unit_test(initrd_avoids_the_kernel),
		cmocka_unit_test(empty_initrd_is_refused),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(header_cut_short_names_offset_and_size),
	};

	return cmocka_run_group_tests_name("boot/bzimage", tests, NULL, NULL);
}
