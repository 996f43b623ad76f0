/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int parse_u64(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 0);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*value = v;
	return 0;
}

/* The power of two behind a unit letter, or -1 for any other character. */
static int unit_shift(char c)
{
	static const char letters[] = "BKMGTP";
	const char *at = c ? strchr(letters, toupper((unsigned char)c)) : NULL;

	return at ? (int)(at - letters) * 10 : -1;
}

int parse_size(const char *text, uint64_t default_unit, uint64_t *bytes, const char **rest)
{
	uint64_t unit = default_unit, product;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	uint64_t n = strtoull(text, &end, 10);
	bool too_large = errno == ERANGE;

	int shift = unit_shift(*end);
	if (shift >= 0) {
		unit = BIT64(shift);
		end++;
	}
	if (rest)
		*rest = end;
	else if (*end)
		return -EINVAL;
	if (too_large || __builtin_mul_overflow(n, unit, &product))
		return -ERANGE;
	*bytes = product;
	return 0;
}

void format_size(uint64_t bytes, char *out, unsigned out_len)
{
	static const char letters[] = "BKMGTP";
	unsigned i = 0;

	while (bytes && i < 5 && bytes % 1024 == 0) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, out_len, "%llu%c", (unsigned long long)bytes, letters[i]);
}

unsigned word_distance(const char *a, const char *b)
{
	size_t la = min(strlen(a), (size_t)63), lb = min(strlen(b), (size_t)63);
	unsigned row[64];

	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			unsigned indel = min(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = min(change, indel);
		}
	}
	return row[lb];
}
