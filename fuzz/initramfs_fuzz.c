/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the making of an initramfs reads: packed modules, what modules say of themselves, lists of
 * modules, and the version in a kernel image; also the DHCP answers that the guest's init reads, and
 * the frames it sends. The first byte says which.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../guest/init/dhcp_packet.c"
#include "boot/initramfs/modinfo.h"
#include "boot/initramfs/modules.h"
#include "boot/initramfs/unpack.h"
#include "boot/loader/kernel_version.h"
#include "cli/guest_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char folder[] = "/tmp/bantam-fuzz-XXXXXX";

static void list_path(char path[64])
{
	snprintf(path, 64, "%s/modules.dep", folder);
}

static void remove_folder(void)
{
	char path[64];

	list_path(path);
	unlink(path);
	rmdir(folder);
}

/* The modules themselves are not there, so this is about the list. */
static void fuzz_list(const uint8_t *data, size_t len)
{
	static int is_made;
	char path[64];

	if (!is_made) {
		if (!mkdtemp(folder))
			abort();
		atexit(remove_folder);
		is_made = 1;
	}
	list_path(path);
	FILE *f = fopen(path, "w");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		abort();
	struct modules *m = modules_open(folder, NULL);
	modules_look_up(m, "a");
	modules_want(m, "a", false, NULL);
	modules_close(m);
}

static void fuzz_version(const uint8_t *data, size_t len)
{
	char version[KERNEL_VERSION_MAX];
	struct image img;

	image_from_bytes(&img, "kernel", "k", data, len);
	kernel_version(&img, version);
	image_close(&img);
}

static void fuzz_unpack(const uint8_t *data, size_t len)
{
	struct buf out;

	unpack(data, len, &out);
	buf_free(&out);
}

static void fuzz_frames(const uint8_t *data, size_t len)
{
	const struct buf arrived = {.data = (uint8_t *)data, .len = len};
	struct guest_frame f;
	uint32_t sum = 0;
	size_t at = 0;

	while (guest_frame_next(&arrived, &at, &f) > 0) {
		sum += guest_frame_number(&f);
		for (uint32_t i = 0; i < f.len; i++)
			sum += f.payload[i];
	}
	__asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dhcp_lease lease;
	const char *value;

	if (len < 7)
		return 0;
	switch (data[0] % 6) {
	case 0:
		fuzz_unpack(data + 1, len - 1);
		break;
	case 1:
		modinfo_find(data + 1, len - 1, "depends", &value);
		break;
	case 2:
		fuzz_list(data + 1, len - 1);
		break;
	case 3:
		fuzz_version(data + 1, len - 1);
		break;
	case 5:
		fuzz_frames(data + 1, len - 1);
		break;
	case 4:
		dhcp_read(data + 7, len - 7, 0x41414141, data + 1, &lease);
		break;
	}
	return 0;
}
