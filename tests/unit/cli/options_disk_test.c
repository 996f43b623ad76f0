/* SPDX-License-Identifier: BSD-2-Clause */
/* The grammar of --disk: what each form sets, and the sentence for each mistake. */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/exit_codes.h"
#include "cli/options_disk.h"
#include "machine/keys.h"

struct fixture {
	struct config *cfg;
	struct error err;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));

	f->cfg = config_new();
	machine_register_keys(f->cfg);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	config_free(f->cfg);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *text)
{
	int rc = disk_option_add(f->cfg, text, &f->err);

	if (rc)
		fail_msg("%s: %s", text, f->err.text);
}

static void expect_dump(struct fixture *f, const char *wanted)
{
	struct buf dump = {0};

	config_dump(f->cfg, &dump);
	assert_string_equal(buf_text(&dump), wanted);
	buf_free(&dump);
}

static void expect_error(struct fixture *f, const char *text, int code, const char *sentence)
{
	assert_int_equal(disk_option_add(f->cfg, text, &f->err), code);
	assert_string_equal(f->err.text, sentence);
}

static void a_bare_word_is_the_path(void **state)
{
	struct fixture *f = *state;

	add(f, "a.img");
	add(f, "b.img,ro,direct,format=raw,serial=X,queues=2");
	expect_dump(f, "disk.0.path=a.img\ndisk.1.path=b.img\ndisk.1.format=raw\n"
		       "disk.1.readonly=true\ndisk.1.direct=true\ndisk.1.serial=X\n"
		       "disk.1.queues=2\n");
}

static void a_size_counts_gigabytes(void **state)
{
	struct fixture *f = *state;

	add(f, "file=a.img,size=3");
	add(f, "b.img,size=512M");
	expect_dump(f, "disk.0.path=a.img\ndisk.1.path=b.img\ndisk.0.size=3G\n"
		       "disk.1.size=512M\n");
}

static void a_size_without_path_names_a_file_of_its_own(void **state)
{
	struct fixture *f = *state;

	add(f, "size=1G");
	add(f, "size=2G");
	expect_dump(f, "disk.0.path=disk.img\ndisk.1.path=disk1.img\ndisk.0.size=1G\n"
		       "disk.1.size=2G\n");
}

static void an_image_to_boot_from_comes_first(void **state)
{
	struct fixture *f = *state;

	add(f, "a.img,ro");
	add(f, "b.img,size=1G");
	assert_int_equal(disk_option_prepend(f->cfg, "boot.qcow2", &f->err), 0);
	expect_dump(f, "disk.0.path=boot.qcow2\ndisk.1.path=a.img\ndisk.2.path=b.img\n"
		       "disk.2.size=1G\ndisk.1.readonly=true\n");
}

static void mistakes_are_named(void **state)
{
	struct fixture *f = *state;

	expect_error(f, "", EXIT_USAGE, "disk specified with no size or name");
	expect_error(f, "format=raw", EXIT_USAGE, "disk specified with no size or name");
	expect_error(f, "a.img,colour=red", EXIT_USAGE, "Unknown disk config: colour");
	expect_error(f, "a.img,rw", EXIT_USAGE, "Unknown disk config: rw");
	expect_error(f, "a.img,size=0", EXIT_USAGE,
		     "Invalid disk size: 0 (a number and one of K, M, G or T; gigabytes without a "
		     "letter)");
	assert_int_equal(disk_option_add(f->cfg, "a.img,format=vmdk", &f->err), EXIT_CONFIG);
	assert_int_equal(disk_option_add(f->cfg, "a.img,queues=0", &f->err), EXIT_CONFIG);
}

static void images_are_told_from_kernels(void **state)
{
	static const struct {
		const char *head;
		size_t len;
		const char *behind; /* at 0x202 */
		bool is_boot_sector, is_image;
	} files[] = {
		{"QFI\xfb", 4, "", false, true},
		{"OOOM", 4, "", false, true},
		{"MZ", 2, "HdrS", true, false},
		{"", 0, "", true, true},
		{"\x7f"
		 "ELF",
		 4, "", false, false},
	};
	char path[] = "/tmp/bantam-word-XXXXXX";
	int fd = mkstemp(path);

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		uint8_t bytes[2048] = {0};

		memcpy(bytes, files[i].head, files[i].len);
		memcpy(bytes + 0x202, files[i].behind, strlen(files[i].behind));
		if (files[i].is_boot_sector)
			memcpy(bytes + 510, "\x55\xaa", 2);
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		assert_int_equal(disk_option_is_image(path), files[i].is_image);
	}
	close(fd);
	unlink(path);
	assert_false(disk_option_is_image("/nothing/here"));
	assert_false(disk_option_is_image("/tmp"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_bare_word_is_the_path),
		T(a_size_counts_gigabytes),
		T(a_size_without_path_names_a_file_of_its_own),
		T(an_image_to_boot_from_comes_first),
		T(mistakes_are_named),
		T(images_are_told_from_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
