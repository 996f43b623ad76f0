/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/bantam-image-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

/* A file of size bytes whose content is the low byte of the offset divided by 7. */
static void make_file(size_t size)
{
	snprintf(path, sizeof(path), "%s/f", dir);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	for (size_t i = 0; i < size; i++)
		fputc((i / 7) & 0xff, out);
	fclose(out);
}

static void expect_open_fails(const char *name, int code, const char *reason)
{
	struct error err = {0};
	struct image img;
	char expected[256];

	snprintf(expected, sizeof(expected), "kernel %s: %s", name, reason);
	assert_int_equal(image_open(&img, "kernel", name, &err), code);
	assert_string_equal(err.text, expected);
	image_close(&img);
}

static void open_refuses_what_is_no_regular_file(void **state)
{
	expect_open_fails("/nonexistent/k", -ENOENT, "No such file or directory");
	expect_open_fails("/", -EINVAL, "a directory, not a regular file");
	expect_open_fails("/dev/null", -EINVAL, "a device or pipe, not a regular file");
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_open_fails(path, -EINVAL, "a device or pipe, not a regular file");
	unlink(path);
}

static void read_gives_the_bytes_and_refuses_past_the_end(void **state)
{
	uint8_t bytes[4];
	struct error err = {0};
	struct image img;
	char expected[256];

	make_file(1000);
	assert_int_equal(image_open(&img, "kernel", path, &err), 0);
	assert_int_equal(image_read(&img, 700, bytes, 4, "header", &err), 0);
	assert_int_equal(bytes[0], 100);
	assert_int_equal(image_read(&img, 996, bytes, 4, "header", &err), 0);
	assert_int_equal(image_read(&img, 1000, bytes, 0, "header", &err), 0);
	assert_int_equal(image_read(&img, 997, bytes, 4, "header", &err), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "kernel %s: header: 4 bytes expected at offset 0x3e5, but the file has only 1000 "
		 "bytes",
		 path);
	assert_string_equal(err.text, expected);
	assert_int_equal(image_read(&img, UINT64_MAX, bytes, 4, "header", &err), -EINVAL);
	image_close(&img);
}

static void file_that_shrinks_is_an_error(void **state)
{
	uint8_t bytes[600];
	struct error err = {0};
	struct image img;
	char expected[256];

	make_file(1000);
	assert_int_equal(image_open(&img, "initrd", path, &err), 0);
	assert_int_equal(truncate(path, 500), 0);
	assert_int_equal(image_read(&img, 100, bytes, 600, "initrd", &err), -EIO);
	snprintf(expected, sizeof(expected),
		 "initrd %s: reading initrd: the file has shrunk to 500 bytes", path);
	assert_string_equal(err.text, expected);
	image_close(&img);
}

static void load_crosses_regions_and_stops_at_their_end(void **state)
{
	struct mem *m = mem_new();
	struct error err = {0};
	struct image img;
	uint8_t byte;

	make_file(200000);
	assert_int_equal(image_open(&img, "initrd", path, &err), 0);
	assert_int_equal(mem_add_region(m, 0, 64 * KIB, false, &err), 0);
	assert_int_equal(mem_add_region(m, 64 * KIB, 256 * KIB, false, &err), 0);
	assert_int_equal(image_load(&img, 0, 200000, m, 1000, "initrd", &err), 0);
	for (unsigned i = 0; i < 200000; i += 997) {
		assert_int_equal(mem_read(m, 1000 + i, &byte, 1), 0);
		assert_int_equal(byte, (i / 7) & 0xff);
	}
	assert_int_equal(image_load(&img, 0, 200000, m, 200000, "initrd", &err), -EFAULT);
	assert_non_null(strstr(err.text, " is not all guest RAM"));
	assert_int_equal(image_load(&img, 0, 200000, m, UINT64_MAX - 5, "initrd", &err), -EFAULT);
	assert_non_null(strstr(err.text, "initrd: goes beyond the end of the address space"));
	image_close(&img);
	mem_free(m);
}

static void closing_twice_is_fine(void **state)
{
	struct image img = {0};

	image_close(&img);
	image_from_bytes(&img, "kernel", "k", "x", 1);
	image_close(&img);
	image_close(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_refuses_what_is_no_regular_file),
		cmocka_unit_test(read_gives_the_bytes_and_refuses_past_the_end),
		cmocka_unit_test(file_that_shrinks_is_an_error),
		cmocka_unit_test(load_crosses_regions_and_stops_at_their_end),
		cmocka_unit_test(closing_twice_is_fine),
	};

	return cmocka_run_group_tests_name("boot/image", tests, make_dir, remove_dir);
}
