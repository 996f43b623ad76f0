/* SPDX-License-Identifier: BSD-2-Clause */
#include "../test.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "boot/initramfs/cpio.h"
#include "boot/initramfs/init_program.h"
#include "boot/initramfs/initramfs.h"
#include "boot/initramfs/modinfo.h"
#include "boot/initramfs/modules.h"
#include "boot/initramfs/unpack.h"
#include "boot/loader/kernel_version.h"

/* ---- a module as the kernel's build makes it, as far as anybody here looks ---- */

struct tiny_module {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3]; /* none, .modinfo, .shstrtab */
	char names[32];
	char info[256];
};

static const char section_names[] = "\0.modinfo\0.shstrtab";

static struct tiny_module new_module(const void *info, size_t info_len)
{
	struct tiny_module m = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = ET_REL,
			   .e_machine = EM_X86_64,
			   .e_shoff = offsetof(struct tiny_module, sections),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 3,
			   .e_shstrndx = 2},
		.sections = {[1] = {.sh_name = 1,
				    .sh_offset = offsetof(struct tiny_module, info),
				    .sh_size = info_len},
			     [2] = {.sh_name = 10,
				    .sh_offset = offsetof(struct tiny_module, names),
				    .sh_size = sizeof(section_names)}},
	};

	memcpy(m.names, section_names, sizeof(section_names));
	memcpy(m.info, info, info_len);
	return m;
}

/* ---- a tree of modules ---- */

struct tree {
	char folder[64];
	struct modules *m;
};

static void put(const struct tree *t, const char *name, const void *data, size_t len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void put_text(const struct tree *t, const char *name, const char *text)
{
	put(t, name, text, strlen(text));
}

/* info: strings, each with its zero. */
static void put_module(const struct tree *t, const char *name, const char *info, size_t len)
{
	struct tiny_module m = new_module(info, len);

	put(t, name, &m, sizeof(m));
}

#define PUT_MODULE(t, name, info) put_module(t, name, info, sizeof(info))

static void make_tree(struct tree *t)
{
	char path[128];

	snprintf(t->folder, sizeof(t->folder), "/tmp/bantam-modules-XXXXXX");
	assert_non_null(mkdtemp(t->folder));
	snprintf(path, sizeof(path), "%s/kernel", t->folder);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void open_tree(struct tree *t)
{
	struct error err = {0};

	t->m = modules_open(t->folder, &err);
	assert_string_equal(err.text, "");
	assert_non_null(t->m);
}

static void remove_tree(struct tree *t)
{
	static const char *const names[] = {"kernel/a.ko",
					    "kernel/b.ko",
					    "kernel/c-d.ko",
					    "kernel/e.ko.xz",
					    "kernel/crc_generic.ko",
					    "modules.order",
					    "modules.builtin",
					    "modules.dep",
					    "kernel",
					    ""};

	modules_close(t->m);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", t->folder, names[i]);
		remove(path);
	}
	assert_int_equal(access(t->folder, F_OK), -1);
}

/* The wanted modules' names in order, separated by blanks. */
static void expect_order(const struct modules *m, const char *expected)
{
	const struct module *module;
	struct buf names = {0};

	for (unsigned i = 0; (module = modules_at(m, i)) != NULL; i++)
		buf_printf(&names, "%s%s", i ? " " : "", module->name);
	assert_string_equal(buf_text(&names), expected);
	buf_free(&names);
}

static void needs_are_loaded_first_as_modules_say(void **state)
{
	struct error err = {0};
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.order", "kernel/a.ko\nkernel/b.ko\nkernel/c-d.ko\n");
	put_text(&t, "modules.builtin", "kernel/lib/inside.ko\n");
	PUT_MODULE(&t, "kernel/a.ko", "license=GPL\0depends=c_d,inside");
	PUT_MODULE(&t, "kernel/b.ko", "depends=");
	PUT_MODULE(&t, "kernel/c-d.ko", "depends=b");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "a", false, &err), 0);
	assert_int_equal(modules_want(t.m, "b", false, &err), 0);
	expect_order(t.m, "b.ko c-d.ko a.ko");
	assert_int_equal(modules_look_up(t.m, "c_d"), MODULE_FILE);
	assert_int_equal(modules_look_up(t.m, "inside"), MODULE_BUILT_IN);
	assert_int_equal(modules_look_up(t.m, "c"), MODULE_ABSENT);
	remove_tree(&t);
}

static void modules_dep_wins_over_what_modules_say(void **state)
{
	struct error err = {0};
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.dep",
		 "kernel/a.ko: kernel/b.ko kernel/c-d.ko\nkernel/b.ko: "
		 "kernel/c-d.ko\nkernel/c-d.ko:\n");
	PUT_MODULE(&t, "kernel/a.ko", "depends=nothing_here");
	PUT_MODULE(&t, "kernel/b.ko", "x=y");
	PUT_MODULE(&t, "kernel/c-d.ko", "x=y");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "a", false, &err), 0);
	expect_order(t.m, "c-d.ko b.ko a.ko");
	remove_tree(&t);
}

static void soft_needs_of_before_are_loaded_when_there(void **state)
{
	struct error err = {0};
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.order", "kernel/a.ko\nkernel/b.ko\nkernel/crc_generic.ko\n");
	PUT_MODULE(&t, "kernel/a.ko", "softdep=pre: crc gone post: b");
	PUT_MODULE(&t, "kernel/b.ko", "x=y");
	PUT_MODULE(&t, "kernel/crc_generic.ko", "x=y");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "a", false, &err), 0);
	expect_order(t.m, "crc_generic.ko a.ko");
	remove_tree(&t);
}

static void modules_that_need_each_other_are_loaded_once(void **state)
{
	struct error err = {0};
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.order", "kernel/a.ko\nkernel/b.ko\n");
	PUT_MODULE(&t, "kernel/a.ko", "depends=b,a");
	PUT_MODULE(&t, "kernel/b.ko", "depends=a");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "a", false, &err), 0);
	expect_order(t.m, "b.ko a.ko");
	remove_tree(&t);
}

static void missing_module_is_refused_by_name_unless_optional(void **state)
{
	struct error err = {0};
	char expected[160];
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.order", "kernel/a.ko\n");
	PUT_MODULE(&t, "kernel/a.ko", "depends=gone");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "gone", true, &err), 0);
	assert_int_equal(modules_want(t.m, "a", true, &err), -ENOENT);
	snprintf(expected, sizeof(expected), "%s has no module gone", t.folder);
	assert_string_equal(err.text, expected);
	expect_order(t.m, "");
	remove_tree(&t);
}

static void folder_without_lists_is_refused(void **state)
{
	struct error err = {0};

	assert_null(modules_open("/proc/self", &err));
	assert_string_equal(err.text,
			    "modules: /proc/self has neither modules.dep nor modules.order");
}

static void damaged_modinfo_is_refused(void **state)
{
	static const char info[] = "name=x\0depends=a";
	struct tiny_module good = new_module(info, sizeof(info)), bad;
	const char *value;

	assert_int_equal(modinfo_find((uint8_t *)&good, sizeof(good), "depends", &value), 0);
	assert_string_equal(value, "a");
	assert_int_equal(modinfo_find((uint8_t *)&good, sizeof(good), "dep", &value), -ENOENT);
	assert_int_equal(modinfo_find((uint8_t *)&good, 63, "name", &value), -ENOEXEC);
	bad = good;
	bad.header.e_shoff = UINT64_MAX - 8;
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "name", &value), -ENOEXEC);
	bad = good;
	bad.header.e_shstrndx = 0xffff;
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "name", &value), -ENOEXEC);
	bad = good;
	bad.header.e_type = ET_EXEC;
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "name", &value), -ENOEXEC);
	bad = good;
	bad.sections[1].sh_size = UINT64_MAX;
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "name", &value), -ENOEXEC);
	bad = good;
	bad.sections[1].sh_size--; /* the last string without its zero */
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "depends", &value), -ENOEXEC);
	bad = good;
	bad.sections[1].sh_name = 5000;
	assert_int_equal(modinfo_find((uint8_t *)&bad, sizeof(bad), "name", &value), -ENOEXEC);
}

/* ---- packed modules ---- */

/* "bantam unpacks this\n", twenty times. */
static const uint8_t gzip_bytes[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0x4a, 0xcc, 0x2b, 0x49,
	0xcc, 0x55, 0x28, 0xcd, 0x2b, 0x48, 0x4c, 0xce, 0x2e, 0x56, 0x28, 0xc9, 0xc8, 0x2c, 0xe6,
	0x4a, 0x1a, 0x15, 0x1b, 0x30, 0x31, 0x00, 0xf5, 0x93, 0x83, 0xcd, 0x90, 0x01, 0x00, 0x00};
static const uint8_t xz_bytes[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00,
	0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x01, 0x8f, 0x00,
	0x1d, 0x5d, 0x00, 0x31, 0x18, 0x4a, 0x22, 0x4e, 0x02, 0x7d, 0x1b, 0x18, 0x00, 0x73,
	0x5e, 0xc5, 0xed, 0x94, 0xce, 0xec, 0xdd, 0x7b, 0x99, 0x58, 0x5a, 0xf9, 0x3a, 0x50,
	0x5a, 0x91, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf5, 0x93, 0x83, 0xcd, 0x00, 0x01,
	0x35, 0x90, 0x03, 0x00, 0x00, 0x00, 0x3d, 0xca, 0x51, 0x54, 0x3e, 0x30, 0x0d, 0x8b,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a};
static const uint8_t zstd_bytes[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0xdd, 0x00, 0x00, 0xa0,
				     0x62, 0x61, 0x6e, 0x74, 0x61, 0x6d, 0x20, 0x75, 0x6e, 0x70,
				     0x61, 0x63, 0x6b, 0x73, 0x20, 0x74, 0x68, 0x69, 0x73, 0x0a,
				     0x01, 0x00, 0xf2, 0x4e, 0x9d, 0x4c, 0xe1, 0x33, 0x8f, 0x8e};

static void expect_unpacked(const uint8_t *data, size_t len)
{
	struct buf out;
	int rc = unpack(data, len, &out);

	if (rc == -ENOTSUP) {
		print_message("built without the library\n");
		return;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(out.len, 400);
	assert_memory_equal(out.data + 380, "bantam unpacks this\n", 20);
	buf_free(&out);
	for (size_t cut = 7; cut < len - 13; cut += 5) {
		assert_int_equal(unpack(data, cut, &out), -EINVAL);
		assert_null(out.data);
	}
}

static void packed_bytes_are_unpacked(void **state)
{
	expect_unpacked(gzip_bytes, sizeof(gzip_bytes));
	expect_unpacked(xz_bytes, sizeof(xz_bytes));
	expect_unpacked(zstd_bytes, sizeof(zstd_bytes));
}

static void other_bytes_are_copied(void **state)
{
	struct buf out;

	assert_int_equal(unpack((const uint8_t *)"\x7f"
						 "ELF",
				4, &out),
			 0);
	assert_int_equal(out.len, 4);
	buf_free(&out);
}

/* ---- the archive ---- */

static void archive_has_the_newc_form(void **state)
{
	static const char head[] = "070701"
				   "00000000000081A40000000000000000"
				   "00000001"
				   "00000000"
				   "00000005"
				   "00000000000000000000000000000000"
				   "00000002"
				   "00000000"
				   "f\0hello\0\0\0";
	struct buf out = {0};

	cpio_add_file(&out, "f", 0644, "hello", 5);
	assert_int_equal(out.len, sizeof(head) - 1);
	assert_memory_equal(out.data, head, out.len);
	cpio_add_char_device(&out, "dev/console", 0600, 5, 1);
	assert_memory_equal(out.data + sizeof(head) - 1 + 14, "00002180", 8);
	assert_memory_equal(out.data + sizeof(head) - 1 + 78, "0000000500000001", 16);
	cpio_end(&out);
	assert_int_equal(out.len % 4, 0);
	assert_non_null(memmem(out.data, out.len, "TRAILER!!!", 11));
	buf_free(&out);
}

static void initramfs_has_init_modules_and_configuration(void **state)
{
	static const char config[] = "module\0/modules/a.ko\0\0root\0"
				     "9p\0tag\0";
	struct buf records = {0}, out = {0};
	struct error err = {0};
	struct tree t = {0};

	make_tree(&t);
	put_text(&t, "modules.order", "kernel/a.ko\n");
	PUT_MODULE(&t, "kernel/a.ko", "x=y");
	open_tree(&t);
	assert_int_equal(modules_want(t.m, "a", false, &err), 0);
	initramfs_record(&records, "root", "9p", "tag", NULL);
	initramfs_build(&out, t.m, &records);
	assert_non_null(memmem(out.data, out.len, "modules/a.ko", 13));
	assert_non_null(memmem(out.data, out.len, init_program, init_program_size()));
	assert_non_null(memmem(out.data, out.len, config, sizeof(config)));
	buf_free(&records);
	buf_free(&out);
	remove_tree(&t);
}

/* ---- the kernel's version ---- */

static void expect_version(const void *bytes, size_t len, const char *expected)
{
	char version[KERNEL_VERSION_MAX];
	struct image img;

	image_from_bytes(&img, "kernel", "k", bytes, len);
	assert_int_equal(kernel_version(&img, version), *expected ? 0 : -ENOENT);
	assert_string_equal(version, expected);
	image_close(&img);
}

static void version_is_read_from_the_setup_header(void **state)
{
	static uint8_t bytes[0x1000];
	uint16_t at = 0x300;

	memcpy(bytes + 0x202, "HdrS", 4);
	bytes[0x1fe] = 0x55;
	bytes[0x1ff] = 0xaa;
	bytes[0x206] = 0x0f; /* protocol 2.15 */
	bytes[0x207] = 0x02;
	memcpy(bytes + 0x20e, &at, 2);
	memcpy(bytes + 0x500, "6.1.0-9-amd64 (x) #1", 21);
	expect_version(bytes, sizeof(bytes), "6.1.0-9-amd64");
	memcpy(bytes + 0x500, "../etc ", 7);
	expect_version(bytes, sizeof(bytes), "");
	at = 0xfff0;
	memcpy(bytes + 0x20e, &at, 2);
	expect_version(bytes, sizeof(bytes), "");
}

static void version_is_read_from_the_greeting_of_an_elf_kernel(void **state)
{
	const size_t len = 600 * KIB;
	uint8_t *bytes = mem_alloc_zero(len);

	/* Across the end of the first piece that is read. */
	memcpy(bytes,
	       "\x7f"
	       "ELF",
	       4);
	memcpy(bytes + 256 * KIB - 7, "Linux version 5.10.0 (a@b)", 27);
	expect_version(bytes, len, "5.10.0");
	bytes[256 * KIB - 7] = 'l';
	expect_version(bytes, len, "");
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(needs_are_loaded_first_as_modules_say),
		cmocka_unit_test(modules_dep_wins_over_what_modules_say),
		cmocka_unit_test(soft_needs_of_before_are_loaded_when_there),
		cmocka_unit_test(modules_that_need_each_other_are_loaded_once),
		cmocka_unit_test(missing_module_is_refused_by_name_unless_optional),
		cmocka_unit_test(folder_without_lists_is_refused),
		cmocka_unit_test(damaged_modinfo_is_refused),
		cmocka_unit_test(packed_bytes_are_unpacked),
		cmocka_unit_test(other_bytes_are_copied),
		cmocka_unit_test(archive_has_the_newc_form),
		cmocka_unit_test(initramfs_has_init_modules_and_configuration),
		cmocka_unit_test(version_is_read_from_the_setup_header),
		cmocka_unit_test(version_is_read_from_the_greeting_of_an_elf_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
