/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The little that the init needs of a C library. One thread.
 */
#ifndef INIT_LIB_H
#define INIT_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_ROOM 4096

/* The names the compiler itself uses too. */
void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
bool same(const char *a, const char *b);

/* A decimal number; 0 for anything else. */
unsigned long number(const char *text);

/* Joins the strings up to a NULL into out, cut to room. Returns out. */
char *join(char *out, size_t room, const char *first, ...) __attribute__((sentinel));

/* Decimal digits of value, in a buffer of 24 bytes. Returns out. */
char *decimal(char out[24], unsigned long value);

/* Prints "bantam: " and the strings up to a NULL on the console. */
void say(const char *first, ...) __attribute__((sentinel));

/* As say(), with ": " and what the errno value -code means. */
void say_errno(long code, const char *first, ...) __attribute__((sentinel));

/* The first len bytes written, whatever the descriptor. Returns 0 or a negative errno. */
long write_all(int fd, const void *data, size_t len);

/* Writes a text to a file that exists or is made. Returns 0 or a negative errno. */
long write_file(const char *path, const char *text);

/* Reads up to room - 1 bytes and ends them with zero. Returns their number or a negative errno. */
long read_file(const char *path, char *out, size_t room);

/* Fresh zeroed memory; the init never gives any back. Ends the guest when there is none. */
void *allocate(size_t len);

/* mkdir of a path with all its parents; those that exist are fine. */
long make_path(const char *path);

/* Calls fn with each name in a directory but . and .., until it gives false. */
void each_name(const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);

/* Monotonic milliseconds. */
uint64_t now_ms(void);

/* Power off at once. */
void power_off(void) __attribute__((noreturn));

#endif
