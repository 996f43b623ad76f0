/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bantam itself has to say, one line per message, always on stderr: stdout belongs to the
 * guest's console. Any thread; lines are written whole.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Messages above this level are dropped. LOG_INFO at start. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * While on, lines end in CR LF: set while the terminal is raw, where a bare newline does not
 * return to the first column.
 */
void log_set_raw_terminal(bool on);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes a text of whole lines to stderr as it is, but for the line ends of a raw terminal. */
void log_text(const char *text);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                     \
	do {                                               \
		if (log_enabled(LOG_DEBUG))                \
			log_write(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

/* For mistakes a guest can repeat at will: says it the first time this line is reached. */
#define log_once(level, ...)                                                          \
	do {                                                                          \
		static atomic_flag _said = ATOMIC_FLAG_INIT;                          \
		if (!atomic_flag_test_and_set_explicit(&_said, memory_order_relaxed)) \
			log_write(level, __VA_ARGS__);                                \
	} while (0)

#endif
