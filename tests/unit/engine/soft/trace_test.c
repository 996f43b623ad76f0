/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace: every block that is executed is in it, in order, whether it was interpreted or
 * translated; where it begins and ends.
 */
#include <stdio.h>
#include <unistd.h>

#include "engine/soft/cache.h"
#include "unit/engine/tiny_guest.h"

/* A call, a loop within one block and a jump over two bytes, 30 times. */
GUEST_CODE(loops, 64,
	   "mov $30, %ebx\n" /* 8000 */
	   "1: call 3f\n"    /* 8005 */
	   "dec %ebx\n"	     /* 800a */
	   "jnz 1b\n"
	   "out %al, $0xf0\n" /* 800e */
	   ".skip 0x8020 - 0x8010\n"
	   "3: mov $3, %ecx\n" /* 8020 */
	   "4: dec %ecx\n"     /* 8025 */
	   "jnz 4b\n"
	   "jmp 5f\n" /* 8029 */
	   "ud2\n"
	   "5: ret\n"); /* 802d */

#define ROUND	   "0 8020\n0 8025\n0 8025\n0 802d\n0 800a\n"
#define NEXT_ROUND "0 8005\n" ROUND

static char *path_of_new_file(void)
{
	char *path = strdup("/tmp/bantam-trace-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	return path;
}

static char *contents(const char *path)
{
	char *text = calloc(1, MIB);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_in_range(fread(text, 1, MIB, f), 0, MIB - 1);
	fclose(f);
	return text;
}

/* The trace of a run of the guest; opt's file is filled in. */
static char *trace_of(struct engine_options opt)
{
	char *path = path_of_new_file(), *text;
	struct tiny t;
	int rc;

	opt.trace_file = path;
	tiny_open_with(&t, 1, &opt);
	tiny_long_mode(&t);
	tiny_load(&t, PHYS_CODE, loops);
	do
		rc = engine_vcpu_run(t.vcpu[0]);
	while (rc == -EINTR);
	assert_int_equal(rc, 0);
	assert_int_equal(t.run->exit_reason, KVM_EXIT_IO);
	tiny_close(&t);
	text = contents(path);
	unlink(path);
	free(path);
	return text;
}

/* Without the lines of instructions. */
static void keep_blocks(char *text)
{
	char *out = text;

	for (char *line = text; *line;) {
		size_t len = strcspn(line, "\n") + 1;

		if (*line != '\t') {
			memmove(out, line, len);
			out += len;
		}
		line += len;
	}
	*out = 0;
}

static void check_blocks(struct engine_options opt)
{
	char *text = trace_of(opt), *expected = calloc(1, MIB);

	strcpy(expected, "0 8000\n" ROUND);
	for (unsigned n = 1; n < 30; n++)
		strcat(expected, NEXT_ROUND);
	keep_blocks(text);
	assert_string_equal(text, expected);
	free(expected);
	free(text);
}

static void interpreted_blocks_are_all_there(void **state)
{
	check_blocks((struct engine_options){.is_interpreter = true});
}

static void translated_blocks_are_all_there(void **state)
{
	check_blocks((struct engine_options){.heat = 5});
}

static void instructions_are_written_once(void **state)
{
	static const char first[] = "0 8000\n"
				    "\t8000: mov ebx,0x1e\n"
				    "\t8005: call 0x8020\n"
				    "0 8020\n"
				    "\t8020: mov ecx,0x3\n"
				    "\t8025: dec ecx\n"
				    "\t8027: jne 0x8025\n"
				    "\t8029: jmp 0x802d\n"
				    "0 8025\n"
				    "\t8025: dec ecx\n"
				    "\t8027: jne 0x8025\n"
				    "\t8029: jmp 0x802d\n"
				    "0 8025\n"
				    "0 802d\n"
				    "\t802d: ret\n";
	char *text = trace_of((struct engine_options){.heat = 5});

	assert_memory_equal(text, first, sizeof(first) - 1);
	free(text);
}

static void trace_begins_at_an_address(void **state)
{
	char *text = trace_of((struct engine_options){.trace_from = 0x802d});

	assert_memory_equal(text, "0 802d\n", 7);
	free(text);
	/* An instruction in the middle of a block. */
	text = trace_of((struct engine_options){.trace_from = 0x8005});
	assert_memory_equal(text, "0 8000\n", 7);
	free(text);
	text = trace_of((struct engine_options){.trace_from = 0x9000});
	assert_string_equal(text, "");
	free(text);
}

static void trace_ends_at_its_limit(void **state)
{
	static const char end[] = "limit reached\n";
	char *text = trace_of((struct engine_options){.trace_limit = 600});
	size_t len = strlen(text);

	assert_in_range(len, 500, 600);
	assert_string_equal(text + len - strlen(end), end);
	free(text);
}

static void file_that_cannot_be_made_is_an_error(void **state)
{
	struct engine_options opt = {.trace_file = "/nonexistent/trace"};
	struct engine *e = engine_open("soft", &opt, NULL);
	struct error err = {.text = ""};
	struct mem *mem = mem_new();

	assert_null(engine_vm_new(e, mem, &err));
	assert_string_equal(err.text, "/nonexistent/trace: No such file or directory");
	mem_free(mem);
	engine_close(e);
}

static void kvm_does_not_trace(void **state)
{
	struct engine_options opt = {.trace_file = "/dev/null"};
	struct error err = {.text = ""};
	struct engine *e;

	assert_null(engine_open("kvm", &opt, &err));
	assert_string_equal(err.text, "kvm: it does not trace guest code");
	e = engine_open("kvm:soft", &opt, &err);
	assert_non_null(e);
	assert_string_equal(engine_name(e), "soft");
	engine_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreted_blocks_are_all_there),
		cmocka_unit_test(translated_blocks_are_all_there),
		cmocka_unit_test(instructions_are_written_once),
		cmocka_unit_test(trace_begins_at_an_address),
		cmocka_unit_test(trace_ends_at_its_limit),
		cmocka_unit_test(file_that_cannot_be_made_is_an_error),
		cmocka_unit_test(kvm_does_not_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
