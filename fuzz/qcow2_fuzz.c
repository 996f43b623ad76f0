/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: any bytes as a qcow2 image. The first bytes choose facts of a header that is mostly
 * right, so that the tables behind it are reached; the rest are the clusters.
 */
#include <endian.h>

#include "image_fuzz.h"

#define CLUSTER 512

static void put32(uint8_t *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	v = htobe64(v);
	memcpy(at, &v, sizeof(v));
}

/* Control bytes, entries of the L1 table, entries of the refcount table. */
enum { CONTROL = 8, L1 = 16, REFTABLE = 4, HEAD = CONTROL + L1 + REFTABLE };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[32 * 1024];

	if (size < HEAD + 1)
		return 0;
	memset(image, 0, sizeof(image));
	if (data[0] & 1) { /* as it is, but for the magic */
		size_t len = min(size, sizeof(image));

		memcpy(image, data, len);
		memcpy(image, "QFI\xfb\0\0\0\x03", 8);
		fuzz_image("qcow2", image, len);
		return 0;
	}
	memcpy(image, "QFI\xfb\0\0\0", 7);
	image[7] = data[0] & 2 ? 2 : 3;
	put32(image + 20, 9);
	put64(image + 24, (data[1] % 128 + 1u) * 4096ull);
	put32(image + 36, 64);
	put64(image + 40, CLUSTER);
	put64(image + 48, 2 * CLUSTER);
	put32(image + 56, 1);
	put32(image + 60, data[2] % 3);
	put64(image + 64, 3 * CLUSTER);
	put64(image + 72, (data[3] & 3) | (data[3] & 4 ? 8 : 0));
	put64(image + 88, data[4] & 1);
	put32(image + 96, data[5] % 7);
	put32(image + 100, 112);
	image[104] = data[3] & 4 ? data[6] & 1 : 0;
	/* Entries of both tables point to the first clusters of the file; then come those. */
	const uint8_t *l1 = data + CONTROL, *reftable = l1 + L1;
	for (unsigned i = 0; i < L1; i++)
		put64(image + CLUSTER + i * 8, (l1[i] % 64u) * CLUSTER | (uint64_t)(l1[i] & 128)
										 << 56);
	for (unsigned i = 0; i < REFTABLE; i++)
		put64(image + 2 * CLUSTER + i * 8, (reftable[i] % 64u) * CLUSTER);
	size_t rest = min(size - HEAD, sizeof(image) - 3 * CLUSTER);
	memcpy(image + 3 * CLUSTER, data + HEAD, rest);
	fuzz_image("qcow2", image, max(3 * CLUSTER + rest, (size_t)(16 + data[7] % 32) * CLUSTER));
	return 0;
}
