/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/fake.h"

#include <unistd.h>

#include "device/debug_port.h"

struct fake_char {
	struct char_dev dev;
	char out[16];
	size_t len, room;
};

static size_t fake_write(struct char_dev *c, const void *data, size_t len)
{
	struct fake_char *f = container_of(c, struct fake_char, dev);
	size_t taken = min(len, f->room - f->len);

	memcpy(f->out + f->len, data, taken);
	f->len += taken;
	return taken;
}

static const struct char_ops fake_ops = {.write = fake_write};

static void bytes_reach_the_back_end_and_a_full_one_drops(void **state)
{
	struct bus *pio = bus_new(BUS_PIO);
	struct fake_char chr = {.dev.ops = &fake_ops, .room = 3};
	struct debug_port *d = debug_port_new(
		&(struct debug_port_params){.pio = pio, .port = 0x402, .chr = &chr.dev}, NULL);

	assert_int_equal(in8(pio, 0x402), 0xe9);
	for (const char *p = "abcd"; *p; p++)
		out8(pio, 0x402, *p);
	assert_int_equal(chr.len, 3);
	assert_memory_equal(chr.out, "abc", 3);
	debug_port_device(d)->ops->free(debug_port_device(d));
	bus_free(pio);
}

static void lines_reach_stderr_whole(void **state)
{
	struct bus *pio = bus_new(BUS_PIO);
	struct debug_port *d =
		debug_port_new(&(struct debug_port_params){.pio = pio, .port = 0xe9}, NULL);
	char got[16] = {0};
	int pipe_fd[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(pipe_fd), 0);
	dup2(pipe_fd[1], STDERR_FILENO);
	for (const char *p = "hi\nyo"; *p; p++)
		out8(pio, 0xe9, *p);
	debug_port_device(d)->ops->free(debug_port_device(d));
	dup2(saved, STDERR_FILENO);
	assert_int_equal(read(pipe_fd[0], got, sizeof(got)), 5);
	assert_string_equal(got, "hi\nyo");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(saved);
	bus_free(pio);
}

static void a_taken_port_is_refused(void **state)
{
	struct bus *pio = bus_new(BUS_PIO);
	struct error err = {0};
	struct debug_port *d =
		debug_port_new(&(struct debug_port_params){.pio = pio, .port = 0xe9}, &err);

	assert_null(debug_port_new(&(struct debug_port_params){.pio = pio, .port = 0xe9}, &err));
	assert_string_not_equal(err.text, "");
	debug_port_device(d)->ops->free(debug_port_device(d));
	bus_free(pio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_reach_the_back_end_and_a_full_one_drops),
		cmocka_unit_test(lines_reach_stderr_whole),
		cmocka_unit_test(a_taken_port_is_refused),
	};

	return cmocka_run_group_tests_name("debug_port", tests, NULL, NULL);
}
