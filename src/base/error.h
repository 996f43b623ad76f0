/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One sentence about why a set-up step failed. The origin writes it with error_set(), callers put
 * their own name before it with error_prefix(), and cli/ prints it. Any thread; one error object
 * belongs to one call chain.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define ERROR_TEXT_MAX 1024 /* enough for two long paths and a sentence */

struct error {
	char text[ERROR_TEXT_MAX]; /* empty when nothing failed; never ends in a newline */
};

/*
 * Stores the formatted sentence and returns code (a negative errno), so that an origin reads
 * `return error_set(err, -EINVAL, "...")`. err may be NULL. A longer text is cut.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set(), with ": " and the text of errno value -code appended. */
int error_set_errno(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts the formatted text and ": " before what err already says. err may be NULL. */
void error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
