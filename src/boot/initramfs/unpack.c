/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/unpack.h"

#include <string.h>

#include "base/base.h"

static const struct {
	const char *magic;
	size_t magic_len;
	int (*unpack)(const uint8_t *data, size_t len, struct buf *out);
} forms[] = {
	{"\x1f\x8b", 2, unpack_gzip},
	{"\xfd"
	 "7zXZ",
	 6, unpack_xz},
	{"\x28\xb5\x2f\xfd", 4, unpack_zstd},
};

int unpack(const uint8_t *data, size_t len, struct buf *out)
{
	*out = (struct buf){0};
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		if (len < forms[i].magic_len || memcmp(data, forms[i].magic, forms[i].magic_len))
			continue;
		int rc = forms[i].unpack(data, len, out);

		if (rc)
			buf_free(out);
		return rc;
	}
	buf_append(out, data, len);
	return 0;
}
