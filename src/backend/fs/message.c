/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/message.h"

#include <string.h>

#include "base/base.h"

void fs_stream_init(struct fs_stream *s, const struct iovec *iov, unsigned nr)
{
	*s = (struct fs_stream){.iov = iov};
	for (unsigned i = 0; i < nr; i++)
		s->left += iov[i].iov_len;
}

void fs_stream_limit(struct fs_stream *s, size_t len)
{
	s->left = min(s->left, len);
}

/* The rest of the current piece, at most len bytes of it; moves past them. */
static uint8_t *take(struct fs_stream *s, size_t len, size_t *got)
{
	while (s->skipped == s->iov->iov_len) {
		s->iov++;
		s->skipped = 0;
	}
	uint8_t *at = (uint8_t *)s->iov->iov_base + s->skipped;

	*got = min(len, s->iov->iov_len - s->skipped);
	s->skipped += *got;
	s->left -= *got;
	return at;
}

bool fs_stream_get(struct fs_stream *s, void *dst, size_t len)
{
	if (len > s->left)
		return false;
	for (size_t got; len; len -= got) {
		const uint8_t *at = take(s, len, &got);

		memcpy(dst, at, got);
		dst = (uint8_t *)dst + got;
	}
	return true;
}

bool fs_stream_put(struct fs_stream *s, const void *src, size_t len)
{
	if (len > s->left)
		return false;
	for (size_t got; len; len -= got) {
		uint8_t *at = take(s, len, &got);

		memcpy(at, src, got);
		src = (const uint8_t *)src + got;
	}
	return true;
}

bool fs_stream_skip(struct fs_stream *s, size_t len)
{
	if (len > s->left)
		return false;
	for (size_t got; len; len -= got)
		take(s, len, &got);
	return true;
}

bool fs_stream_get_text(struct fs_stream *s, char *dst, size_t size)
{
	struct fs_stream ahead = *s;
	size_t len = min(size, ahead.left);

	fs_stream_get(&ahead, dst, len);
	const char *end = memchr(dst, 0, len);
	return end && fs_stream_skip(s, (size_t)(end - dst) + 1);
}

unsigned fs_stream_pieces(const struct fs_stream *s, size_t len, struct iovec *iov, unsigned max,
			  size_t *got)
{
	struct fs_stream at = *s;
	unsigned nr = 0;

	*got = 0;
	len = min(len, at.left);
	while (*got < len && nr < max) {
		iov[nr].iov_base = take(&at, len - *got, &iov[nr].iov_len);
		*got += iov[nr++].iov_len;
	}
	return nr;
}
