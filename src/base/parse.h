/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers and sizes as people write them. Pure functions, any thread.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/*
 * Parses the whole of text as an unsigned number: decimal, 0x hexadecimal or 0 octal.
 * Returns 0, -EINVAL (empty, a sign, trailing text) or -ERANGE (does not fit 64 bits).
 */
int parse_u64(const char *text, uint64_t *value);

/*
 * Parses a decimal size with at most one unit letter of BKMGTP in either case (powers of 1024);
 * without a letter the number counts units of default_unit bytes.
 * *rest (may be NULL) receives the first character not read; when NULL the whole text must match.
 * Returns 0, -EINVAL (no digits, trailing text) or -ERANGE (the bytes do not fit 64 bits).
 */
int parse_size(const char *text, uint64_t default_unit, uint64_t *bytes, const char **rest);

/*
 * Writes bytes with the largest unit letter that divides it exactly ("512M", "1025K", "7B") to out
 * of out_len bytes (32 are always enough), so that parse_size() gives the same number back.
 */
void format_size(uint64_t bytes, char *out, unsigned out_len);

/* The edit distance of two words, for naming the nearest known one. Words over 63 bytes are cut. */
unsigned word_distance(const char *a, const char *b);

#endif
