/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include <stdio.h>

#include "device/fw_cfg.h"

struct fixture {
	struct bus *pio;
	struct fw_cfg *fw;
};

static int setup(void **state)
{
	static struct fixture f;

	f.pio = bus_new(BUS_PIO);
	f.fw = fw_cfg_new(&(struct fw_cfg_params){.pio = f.pio}, NULL);
	assert_non_null(f.fw);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fw_cfg_device(f->fw)->ops->free(fw_cfg_device(f->fw));
	bus_free(f->pio);
	return 0;
}

static void read_item(struct fixture *f, uint16_t key, void *to, size_t len)
{
	out16(f->pio, 0x510, key);
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = in8(f->pio, 0x511);
}

static void signature_and_items_read_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	const uint16_t nr = 3;
	uint8_t got[8];

	read_item(f, FW_CFG_SIGNATURE, got, 4);
	assert_memory_equal(got, "QEMU", 4);
	fw_cfg_add(f->fw, FW_CFG_NR_CPUS, &nr, sizeof(nr));
	read_item(f, FW_CFG_NR_CPUS, got, 4);
	assert_memory_equal(got, "\3\0\0\0", 4); /* zeroes past the end */
	read_item(f, 0x4000 | FW_CFG_NR_CPUS, got, 1);
	assert_int_equal(got[0], 3);
	read_item(f, 0xbfff, got, 8);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0", 8);
}

static void files_are_listed_in_the_directory(void **state)
{
	struct fixture *f = *state;
	uint8_t dir[4 + 2 * 64];

	assert_int_equal(fw_cfg_add_file(f->fw, "etc/a", "hello", 5, NULL), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "opt/b", "x", 1, NULL), 0);
	read_item(f, FW_CFG_DIRECTORY, dir, sizeof(dir));
	assert_memory_equal(dir, "\0\0\0\2", 4);
	assert_memory_equal(dir + 4, "\0\0\0\5\0\x20\0\0etc/a", 14);
	assert_memory_equal(dir + 68, "\0\0\0\1\0\x21\0\0opt/b", 14);
	read_item(f, 0x20, dir, 5);
	assert_memory_equal(dir, "hello", 5);
}

static void bad_files_are_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	char name[80] = {0};

	assert_int_equal(fw_cfg_add_file(f->fw, "a", "", 0, &err), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "a", "", 0, &err), -EEXIST);
	assert_int_equal(fw_cfg_add_file(f->fw, "", "", 0, &err), -EINVAL);
	memset(name, 'n', 56);
	assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0, &err), -EINVAL);
	for (unsigned i = 1; i < FW_CFG_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0, &err), 0);
	}
	assert_int_equal(fw_cfg_add_file(f->fw, "more", "", 0, &err), -ENOSPC);
}

static void saved_state_is_complete(void **state)
{
	struct fixture *f = *state;
	uint8_t got[2];

	read_item(f, FW_CFG_SIGNATURE, got, 2);
	fake_round_trip(fw_cfg_device(f->fw));
	assert_int_equal(in8(f->pio, 0x511), 'M');
	fake_hostile_load(fw_cfg_device(f->fw));
	in8(f->pio, 0x511);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(signature_and_items_read_byte_by_byte),
		T(files_are_listed_in_the_directory),
		T(bad_files_are_refused),
		T(saved_state_is_complete),
	};

	return cmocka_run_group_tests_name("fw_cfg", tests, NULL, NULL);
}
