/* SPDX-License-Identifier: BSD-2-Clause */
/* What reaches stderr: levels, prefixes, line ends on a raw terminal, and no line too long. */
#include "unit/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"

static int saved_stderr, from_stderr;

static int catch_stderr(void **state)
{
	int ends[2];

	saved_stderr = dup(STDERR_FILENO);
	if (pipe(ends))
		return -1;
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	from_stderr = ends[0];
	return 0;
}

/* Puts stderr back and gives what was written. */
static const char *written(struct buf *out)
{
	char chunk[512];
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	while ((n = read(from_stderr, chunk, sizeof(chunk))) > 0)
		buf_append(out, chunk, (size_t)n);
	return buf_text(out);
}

static int release_stderr(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(from_stderr);
	log_set_level(LOG_INFO);
	log_set_raw_terminal(false);
	return 0;
}

static void messages_carry_their_level_and_lower_ones_are_dropped(void **state)
{
	struct buf out = {0};

	log_set_level(LOG_WARN);
	log_error("one %d", 1);
	log_warn("two");
	log_info("three");
	log_debug("four");
	assert_string_equal(written(&out), "bantam: one 1\nbantam: warning: two\n");
	buf_free(&out);
}

static void once_means_once(void **state)
{
	struct buf out = {0};

	for (unsigned i = 0; i < 3; i++)
		log_once(LOG_WARN, "number %u", i);
	assert_string_equal(written(&out), "bantam: warning: number 0\n");
	buf_free(&out);
}

static void raw_terminal_gets_carriage_returns(void **state)
{
	struct buf out = {0};

	log_set_raw_terminal(true);
	log_info("line");
	log_text("a\nb\n\nrest");
	assert_string_equal(written(&out), "bantam: line\r\na\r\nb\r\n\r\nrest");
	buf_free(&out);
}

static void text_is_left_alone_otherwise(void **state)
{
	struct buf out = {0};

	log_text("a\nb\n");
	log_text("");
	assert_string_equal(written(&out), "a\nb\n");
	buf_free(&out);
}

static void long_line_is_cut_but_ended(void **state)
{
	struct buf out = {0};
	char *text = mem_alloc_zero(5001);

	memset(text, 'x', 5000);
	log_info("%s", text);
	written(&out);
	assert_in_range(out.len, 1000, 2048);
	assert_int_equal(out.data[out.len - 1], '\n');
	free(text);
	buf_free(&out);
}

static void errors_are_prefixed_and_cut(void **state)
{
	struct error err;
	char *text = mem_alloc_zero(5001);

	memset(text, 'x', 5000);
	assert_int_equal(error_set_errno(&err, -ENOENT, "file %s", "f"), -ENOENT);
	error_prefix(&err, "disk %u", 3);
	assert_string_equal(err.text, "disk 3: file f: No such file or directory");
	assert_int_equal(error_set(&err, -EINVAL, "%s", text), -EINVAL);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	assert_int_equal(error_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
	free(text);
}

#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_stderr, release_stderr)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAUGHT(messages_carry_their_level_and_lower_ones_are_dropped),
		CAUGHT(once_means_once),
		CAUGHT(raw_terminal_gets_carriage_returns),
		CAUGHT(text_is_left_alone_otherwise),
		CAUGHT(long_line_is_cut_but_ended),
		cmocka_unit_test(errors_are_prefixed_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
