/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compressed clusters: which library, and what to say when the build has not got it.
 */
#include "backend/block/compress.h"
#include "backend/block/qcow2_impl.h"
#include "base/log.h"

static const struct compressor *compressor_of(bool is_zstd)
{
	return is_zstd ? &compress_zstd : &compress_zlib;
}

bool qcow2_has_zstd(void)
{
	return compress_zstd.is_there;
}

int qcow2_unpack(bool is_zstd, const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	if (!compressor_of(is_zstd)->is_there)
		log_once(LOG_ERROR,
			 "a compressed cluster cannot be read: this build of bantam was made "
			 "without %s",
			 is_zstd ? "libzstd" : "zlib");
	int rc = compressor_of(is_zstd)->unpack(in, len, out, out_len);
	if (rc == -EIO)
		log_once(LOG_WARN, "a compressed cluster of a qcow2 image is damaged");
	return rc ? -EIO : 0;
}

int qcow2_pack(bool is_zstd, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	return compressor_of(is_zstd)->pack(in, len, out, out_len);
}
