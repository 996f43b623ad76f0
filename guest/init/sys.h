/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls of x86-64 Linux, without a C library. Each gives the kernel's answer: a value, or a
 * negative errno. Constants and structures come from the headers of kernel and C library.
 */
#ifndef INIT_SYS_H
#define INIT_SYS_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define SYS_CHOOSE(a, b, c, d, e, f, g, n, ...) n
#define SYS1(n)					sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS2(n, a)				sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS3(n, a, b)				sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS4(n, a, b, c)			sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS5(n, a, b, c, d)			sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS6(n, a, b, c, d, e)			sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS7(n, a, b, c, d, e, f) \
	sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* sys(__NR_name, arguments...): up to six of any integer or pointer type. */
#define sys(...) SYS_CHOOSE(__VA_ARGS__, SYS7, SYS6, SYS5, SYS4, SYS3, SYS2, SYS1, 0)(__VA_ARGS__)

#endif
