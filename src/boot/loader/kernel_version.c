/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/kernel_version.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "boot/loader/bzimage.h"
#include "boot/loader/elf.h"

#define AT_VERSION 0x20e /* word: where the text lies, less 0x200 (boot protocol 2.00) */
#define GREETING   "Linux version "
#define PIECE	   (256 * KIB)

/* Takes the first word of text. A release has no slash: it names a folder. */
static int take_word(const char *text, size_t len, char out[KERNEL_VERSION_MAX])
{
	size_t n = 0;

	while (n < len && isgraph((unsigned char)text[n]) && text[n] != '/')
		n++;
	if (!n || n == len || n >= KERNEL_VERSION_MAX || !isspace((unsigned char)text[n]) ||
	    text[0] == '.')
		return -ENOENT;
	memcpy(out, text, n);
	out[n] = '\0';
	return 0;
}

static int from_header(const struct image *img, char out[KERNEL_VERSION_MAX])
{
	char text[KERNEL_VERSION_MAX + 1];
	uint16_t at;

	if (image_read(img, AT_VERSION, &at, sizeof(at), "setup header", NULL) || !at ||
	    at + 0x200u >= img->size)
		return -ENOENT;
	size_t len = min(img->size - (at + 0x200u), (uint64_t)sizeof(text));

	if (image_read(img, at + 0x200u, text, len, "version", NULL))
		return -ENOENT;
	return take_word(text, len, out);
}

/* Pieces overlap by the longest text that is looked for. */
static int from_greeting(const struct image *img, char out[KERNEL_VERSION_MAX])
{
	const size_t overlap = sizeof(GREETING) + KERNEL_VERSION_MAX;
	char *piece = mem_alloc_zero(PIECE);
	int rc = -ENOENT;

	for (uint64_t at = 0; rc && at < img->size; at += PIECE - overlap) {
		size_t len = min(img->size - at, (uint64_t)PIECE);

		if (image_read(img, at, piece, len, "version", NULL))
			break;
		const char *found = memmem(piece, len, GREETING, strlen(GREETING));
		if (found) {
			found += strlen(GREETING);
			rc = take_word(found, (size_t)(piece + len - found), out);
		}
	}
	free(piece);
	return rc;
}

int kernel_version(const struct image *img, char out[KERNEL_VERSION_MAX])
{
	out[0] = '\0';
	if (bzimage_matches(img))
		return from_header(img, out);
	return elf_matches(img) ? from_greeting(img, out) : -ENOENT;
}
