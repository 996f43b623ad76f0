/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device accesses of software vCPUs, memory-mapped and by port (KVM API, KVM_EXIT_MMIO and
 * KVM_EXIT_IO). An instruction in progress is run again after each exit; the log answers what it
 * already did. Should guest memory change in between so that the instruction takes another course,
 * the rest of the log is forgotten.
 */
#include "engine/soft/mmio.h"

#include <string.h>

#include "engine/soft/lapic.h"
#include "engine/soft/pio.h"

#define APICBASE_ENABLE BIT(11)
#define APICBASE_X2APIC BIT(10)

static bool is_lapic_page(struct cpu *c, uint64_t gpa)
{
	uint64_t base = lapic_base(c->lapic);

	return (base & (APICBASE_ENABLE | APICBASE_X2APIC)) == APICBASE_ENABLE &&
	       (gpa & ~0xfffull) == (base & PTE_ADDR);
}

/* The log's next entry if it is this access; otherwise what is left of the log is void. */
static bool log_answers(struct mmio_log *log, uint64_t gpa, unsigned size, bool is_write)
{
	if (log->next == log->nr)
		return false;
	if (log->access[log->next].gpa == gpa && log->access[log->next].size == size &&
	    log->access[log->next].is_write == is_write) {
		log->next++;
		return true;
	}
	log->nr = log->next;
	return false;
}

static void leave(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size, bool is_write,
		  uint64_t value) __attribute__((noreturn));
static void leave(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size, bool is_write,
		  uint64_t value)
{
	struct mmio_log *log = &c->mmio;

	if (log->nr == MMIO_LOG_MAX) {
		c->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
		c->run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
		c->run->internal.ndata = 0;
		mmio_forget(c);
		cpu_exit(c, i);
	}
	log->access[log->nr].gpa = gpa;
	log->access[log->nr].size = (uint8_t)size;
	log->access[log->nr].is_write = is_write;
	log->is_pending = true;
	c->run->exit_reason = KVM_EXIT_MMIO;
	c->run->mmio.phys_addr = gpa;
	c->run->mmio.len = size;
	c->run->mmio.is_write = is_write;
	memcpy(c->run->mmio.data, &value, sizeof(c->run->mmio.data));
	cpu_exit(c, i);
}

uint64_t mmio_read(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size)
{
	struct mmio_log *log = &c->mmio;

	if (is_lapic_page(c, gpa)) {
		unsigned off = gpa & 0xfff;
		uint32_t value = lapic_mmio_read(c->lapic, off & ~3u);

		/* Registers are 4 bytes wide every 16; what lies between reads as 0. */
		return (off & 3) + size > 4 ? value : value >> (off & 3) * 8;
	}
	if (!log_answers(log, gpa, size, false))
		leave(c, i, gpa, size, false, 0);
	return log->access[log->next - 1].data;
}

void mmio_write(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size, uint64_t value)
{
	if (is_lapic_page(c, gpa)) {
		if (size == 4 && !(gpa & 3))
			lapic_mmio_write(c->lapic, gpa & 0xfff, (uint32_t)value);
		return;
	}
	if (!log_answers(&c->mmio, gpa, size, true))
		leave(c, i, gpa, size, true, value);
}

bool mmio_complete(struct cpu *c)
{
	struct mmio_log *log = &c->mmio;

	if (log->is_pending) {
		uint64_t data = 0;

		memcpy(&data, c->run->mmio.data, log->access[log->nr].size);
		log->access[log->nr].data = data;
		log->nr++;
		log->is_pending = false;
	}
	log->next = 0;
	if (c->pio.state == PIO_PENDING)
		c->pio.state = PIO_READY;
	return log->nr || c->pio.state == PIO_READY;
}

void mmio_forget(struct cpu *c)
{
	c->mmio.nr = c->mmio.next = 0;
	c->pio.state = PIO_NONE;
}

/* ---- ports ---- */

static void fill_io(struct cpu *c, uint16_t port, unsigned size, unsigned count, uint8_t direction)
{
	BUG_ON(!count || size * count > PIO_DATA_SIZE);
	c->run->exit_reason = KVM_EXIT_IO;
	c->run->io.direction = direction;
	c->run->io.size = (uint8_t)size;
	c->run->io.port = port;
	c->run->io.count = count;
	c->run->io.data_offset = PIO_DATA_OFFSET;
}

const void *pio_in(struct cpu *c, const struct insn *i, uint16_t port, unsigned size,
		   unsigned count)
{
	uint8_t *data = (uint8_t *)c->run + PIO_DATA_OFFSET;
	bool is_same = c->pio.port == port && c->pio.size == size && c->pio.count == count;

	if (c->pio.state == PIO_READY && is_same)
		return data;
	c->pio = (struct pio_state){
		.state = PIO_PENDING, .port = port, .size = (uint8_t)size, .count = count};
	memset(data, 0, (size_t)size * count);
	fill_io(c, port, size, count, KVM_EXIT_IO_IN);
	cpu_exit(c, i);
}

void pio_in_done(struct cpu *c)
{
	c->pio.state = PIO_NONE;
}

void pio_out(struct cpu *c, uint64_t next_rip, uint16_t port, unsigned size, unsigned count,
	     const void *data)
{
	memcpy((uint8_t *)c->run + PIO_DATA_OFFSET, data, (size_t)size * count);
	fill_io(c, port, size, count, KVM_EXIT_IO_OUT);
	c->rip = next_rip;
	mmio_forget(c);
	cpu_exit(c, NULL);
}
