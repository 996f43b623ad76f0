/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which sanitizer the build has, and what AddressSanitizer has to be told. Any thread.
 */
#ifndef BASE_SANITIZE_H
#define BASE_SANITIZE_H

#include <stddef.h>

#if defined(__has_feature)
#define HAS_ASAN __has_feature(address_sanitizer)
#define HAS_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#define HAS_TSAN 0
#elif defined(__SANITIZE_THREAD__)
#define HAS_ASAN 0
#define HAS_TSAN 1
#else
#define HAS_ASAN 0
#define HAS_TSAN 0
#endif

/*
 * Around code that runs on another stack, size bytes from bottom, and may call C there: the second
 * when this thread is back on its own stack. The first returns what the second wants, which is also
 * told, if it was longjmp() that came back, how far down that stack had been in use; else NULL.
 */
#if HAS_ASAN
#include <sanitizer/asan_interface.h>

static inline void *sanitize_stack_begin(const void *bottom, size_t size)
{
	void *token = NULL;

	__sanitizer_start_switch_fiber(&token, bottom, size);
	return token;
}

static inline void sanitize_stack_end(void *token, const void *lowest)
{
	const char *here = __builtin_frame_address(0), *from = lowest;
	const void *bottom;
	size_t size;
	void *other;

	__sanitizer_finish_switch_fiber(NULL, &bottom, &size);
	__sanitizer_start_switch_fiber(&other, bottom, size);
	__sanitizer_finish_switch_fiber(token, NULL, NULL);
	if (from && from < here)
		__asan_unpoison_memory_region(from, (size_t)(here - from));
}
#else
static inline void *sanitize_stack_begin(const void *bottom, size_t size)
{
	return NULL;
}

static inline void sanitize_stack_end(void *token, const void *lowest)
{
}
#endif

#endif
