/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receive FIFO of a 16550A: sixteen characters, each with the error bits its line status is to
 * show. No locking.
 */
#ifndef DEVICE_UART_FIFO_H
#define DEVICE_UART_FIFO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

#define UART_FIFO_SIZE 16u

struct uart_fifo {
	struct {
		uint8_t data, errors; /* LSR bits of this character */
	} slots[UART_FIFO_SIZE];
	uint32_t first, count;
};

void uart_fifo_clear(struct uart_fifo *f);

/* The caller checks for room; none: the character is dropped. */
void uart_fifo_push(struct uart_fifo *f, uint8_t data, uint8_t errors);

/* The oldest character; false and 0 when there is none. */
bool uart_fifo_pop(struct uart_fifo *f, uint8_t *data);

/* The oldest character's error bits, and their end once they were looked at. */
uint8_t uart_fifo_errors(const struct uart_fifo *f);
void uart_fifo_clear_errors(struct uart_fifo *f);

/* Whether any character in it has errors. */
bool uart_fifo_has_errors(const struct uart_fifo *f);

void uart_fifo_state(struct uart_fifo *f, struct state *s);

#endif
