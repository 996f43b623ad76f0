/* SPDX-License-Identifier: BSD-2-Clause */
#include "device/uart_fifo.h"

void uart_fifo_clear(struct uart_fifo *f)
{
	f->first = f->count = 0;
}

void uart_fifo_push(struct uart_fifo *f, uint8_t data, uint8_t errors)
{
	unsigned at = (f->first + f->count) % UART_FIFO_SIZE;

	if (f->count == UART_FIFO_SIZE)
		return;
	f->slots[at].data = data;
	f->slots[at].errors = errors;
	f->count++;
}

bool uart_fifo_pop(struct uart_fifo *f, uint8_t *data)
{
	*data = 0;
	if (!f->count)
		return false;
	*data = f->slots[f->first].data;
	f->first = (f->first + 1) % UART_FIFO_SIZE;
	f->count--;
	return true;
}

uint8_t uart_fifo_errors(const struct uart_fifo *f)
{
	return f->count ? f->slots[f->first].errors : 0;
}

void uart_fifo_clear_errors(struct uart_fifo *f)
{
	if (f->count)
		f->slots[f->first].errors = 0;
}

bool uart_fifo_has_errors(const struct uart_fifo *f)
{
	for (unsigned i = 0; i < f->count; i++)
		if (f->slots[(f->first + i) % UART_FIFO_SIZE].errors)
			return true;
	return false;
}

void uart_fifo_state(struct uart_fifo *f, struct state *s)
{
	state_u32(s, &f->first);
	state_u32(s, &f->count);
	if (f->first >= UART_FIFO_SIZE || f->count > UART_FIFO_SIZE) {
		state_fail(s, "serial: impossible FIFO position");
		uart_fifo_clear(f);
	}
	for (unsigned i = 0; i < UART_FIFO_SIZE; i++) {
		state_u8(s, &f->slots[i].data);
		state_u8(s, &f->slots[i].errors);
	}
}
