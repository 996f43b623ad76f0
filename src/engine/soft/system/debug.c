/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breakpoint registers (SDM vol. 3, 17.2): which of them an instruction, a data access or a port
 * access meets. While a debugger outside holds them (KVM_GUESTDBG_USE_HW_BP) its registers count
 * and the guest's rest. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

/* DR7's two bits per breakpoint: what kind of access it waits for. */
enum breakpoint_kind { BREAK_INSN, BREAK_WRITE, BREAK_IO, BREAK_ACCESS };

static uint64_t active_dr7(const struct cpu *c)
{
	return c->guest_debug & KVM_GUESTDBG_USE_HW_BP ? c->guest_debug_dr[7] : c->dr7;
}

static uint64_t active_dr(const struct cpu *c, unsigned n)
{
	return c->guest_debug & KVM_GUESTDBG_USE_HW_BP ? c->guest_debug_dr[n] : c->dr[n];
}

static bool is_enabled(uint64_t dr7, unsigned n)
{
	return dr7 >> (n * 2) & 3;
}

static enum breakpoint_kind kind_of(uint64_t dr7, unsigned n)
{
	return (enum breakpoint_kind)(dr7 >> (16 + n * 4) & 3);
}

static unsigned length_of(uint64_t dr7, unsigned n)
{
	static const uint8_t lengths[] = {1, 2, 8, 4};

	return lengths[dr7 >> (18 + n * 4) & 3];
}

/* Whether [at, at + size) meets breakpoint n, which covers naturally aligned bytes. */
static bool is_met(const struct cpu *c, uint64_t dr7, unsigned n, uint64_t at, unsigned size)
{
	unsigned length = length_of(dr7, n);
	uint64_t start = active_dr(c, n) & ~(uint64_t)(length - 1);

	return at - start < length || start - at < size;
}

void debug_write_dr7(struct cpu *c, uint64_t value)
{
	c->dr7 = (value & DR7_WRITABLE) | DR7_FIXED;
	cpu_update_mode(c);
}

bool debug_instruction_hit(struct cpu *c, gva_t va, uint64_t *dr6)
{
	uint64_t dr7 = active_dr7(c);

	*dr6 = 0;
	for (unsigned n = 0; n < 4; n++)
		if (is_enabled(dr7, n) && kind_of(dr7, n) == BREAK_INSN && active_dr(c, n) == va)
			*dr6 |= BIT(n);
	return *dr6;
}

bool debug_has_watchpoints(const struct cpu *c)
{
	uint64_t dr7 = active_dr7(c);

	for (unsigned n = 0; n < 4; n++)
		if (is_enabled(dr7, n) && kind_of(dr7, n) != BREAK_INSN)
			return true;
	return false;
}

void debug_data_access(struct cpu *c, gva_t va, unsigned size, bool is_write)
{
	uint64_t dr7 = active_dr7(c);

	for (unsigned n = 0; n < 4; n++) {
		enum breakpoint_kind kind = kind_of(dr7, n);

		if (!is_enabled(dr7, n) || !is_met(c, dr7, n, va, size))
			continue;
		if (kind == BREAK_ACCESS || (kind == BREAK_WRITE && is_write))
			c->debug_hits |= BIT(n);
	}
}

void debug_io_access(struct cpu *c, uint16_t port, unsigned size)
{
	uint64_t dr7 = active_dr7(c);

	if (!(c->cr4 & CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (is_enabled(dr7, n) && kind_of(dr7, n) == BREAK_IO &&
		    is_met(c, dr7, n, port, size))
			c->debug_hits |= BIT(n);
}

uint64_t debug_take_hits(struct cpu *c)
{
	uint64_t hits = c->debug_hits;

	c->debug_hits = 0;
	return hits;
}
