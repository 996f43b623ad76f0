/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few macros every file uses. Nothing here knows of virtual machines.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Smaller and larger of two values of one type; each is evaluated once. */
#define min(a, b)                                  \
	({                                         \
		__auto_type _min_a = (a);          \
		__auto_type _min_b = (b);          \
		_min_a < _min_b ? _min_a : _min_b; \
	})
#define max(a, b)                                  \
	({                                         \
		__auto_type _max_a = (a);          \
		__auto_type _max_b = (b);          \
		_max_a > _max_b ? _max_a : _max_b; \
	})

/* Rounding to a power of two; the result wraps like any unsigned sum. */
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)	 ALIGN_DOWN((x) + ((__typeof__(x))(a)-1), a)

#define BIT(n)	 (1u << (n))
#define BIT64(n) (UINT64_C(1) << (n))

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_US  UINT64_C(1000)

/* True, and *sum untouched, when a + b does not fit 64 bits. */
static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
	uint64_t r;

	if (__builtin_add_overflow(a, b, &r))
		return true;
	*sum = r;
	return false;
}

/* True when [off, off + len) lies inside [0, size), whatever the three values are. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/*
 * BUG_ON(x) ends the process when x, a mistake of our own, is true. Always compiled, always
 * evaluated; never fed by guest data or user input.
 */
void bug(const char *file, int line, const char *what) __attribute__((noreturn, cold));
#define BUG_ON(x)                                    \
	do {                                         \
		if (unlikely(x))                     \
			bug(__FILE__, __LINE__, #x); \
	} while (0)

#endif
