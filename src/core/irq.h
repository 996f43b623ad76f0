/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts as wires and messages. A device drives an irq_line it was given and knows nothing of
 * what is behind it. Lines may be driven from any thread; the receiver locks itself. A receiver
 * must not call back into the device that drives it.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* An input pin of some receiver. A line whose set is NULL is not connected. */
struct irq_line {
	void (*set)(void *ctx, unsigned pin, bool level);
	void *ctx;
	unsigned pin;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->ctx, line->pin, level);
}

static inline void irq_raise(const struct irq_line *line)
{
	irq_set(line, true);
}

static inline void irq_lower(const struct irq_line *line)
{
	irq_set(line, false);
}

/* One edge: up, then down. */
static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

/* Where message-signalled interrupts go (SDM vol. 3, 11.11: address and data formats). */
struct msi_sink {
	void (*send)(void *ctx, uint64_t addr, uint32_t data);
	void *ctx;
};

static inline void msi_send(const struct msi_sink *sink, uint64_t addr, uint32_t data)
{
	if (sink->send)
		sink->send(sink->ctx, addr, data);
}

#endif
