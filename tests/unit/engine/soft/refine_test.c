/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What blocks gain by being looked at as a whole must not show: random programs run once in blocks
 * and once instruction by instruction, and end with the same registers, flags and memory, also when
 * they end in a fault in the middle.
 */
#include "unit/engine/soft/code_machine.h"

#define NR_PROGRAMS 3000
#define NR_INSNS    40

/* Registers with a purpose: R14 points at a missing page, R15 at data. */
#define BASE_MISSING 14
#define BASE_DATA    15

struct program {
	uint64_t seed;
	uint8_t code[NR_INSNS * 16];
	unsigned len;
	bool is_for_amd;
};

static uint64_t random_u64(struct program *p)
{
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	return p->seed;
}

static unsigned random_below(struct program *p, unsigned n)
{
	return (unsigned)(random_u64(p) >> 20) % n;
}

/* Any register but RSP and those with a purpose. */
static unsigned random_register(struct program *p)
{
	unsigned r = random_below(p, 13);

	return r < RSP ? r : r + 1;
}

static void emit(struct program *p, unsigned byte)
{
	p->code[p->len++] = (uint8_t)byte;
}

/* REX for two registers, with W half of the time. */
static void emit_rex(struct program *p, unsigned reg, unsigned rm)
{
	emit(p, 0x40 | random_below(p, 2) << 3 | reg >> 3 << 2 | rm >> 3);
}

static void emit_registers(struct program *p, unsigned reg, unsigned rm)
{
	emit(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* An operation on two registers, or on a register and an extension of the opcode. */
static void emit_group(struct program *p, unsigned opcode, unsigned digit)
{
	unsigned rm = random_register(p);

	emit_rex(p, 0, rm);
	emit(p, opcode);
	emit_registers(p, digit, rm);
}

/*
 * What MUL and IMUL leave undefined, AMD's CPUs keep from before: on the host, from whatever the engine
 * did last. INC defines all of it, and keeps CF.
 */
static void hide_undefined(struct program *p)
{
	if (p->is_for_amd)
		emit_group(p, 0xff, 0);
}

static void emit_op(struct program *p, unsigned map_0f, unsigned opcode)
{
	unsigned reg = random_register(p), rm = random_register(p);

	emit_rex(p, reg, rm);
	if (map_0f)
		emit(p, 0x0f);
	emit(p, opcode);
	emit_registers(p, reg, rm);
}

/* reg and [base + disp8]. */
static void emit_memory(struct program *p, unsigned opcode, unsigned reg, unsigned base)
{
	emit_rex(p, reg, base);
	emit(p, opcode);
	emit(p, 0x40 | (reg & 7) << 3 | (base & 7));
	emit(p, random_below(p, 8) * 8);
}

static void emit_random(struct program *p)
{
	static const uint8_t shifts[] = {0, 1, 2, 3, 4, 5, 7};
	unsigned alu = random_below(p, 8) << 3;

	switch (random_below(p, 20)) {
	case 0:
	case 1:
	case 2:
		emit_op(p, 0, alu | 1);
		break;
	case 3:
		emit_op(p, 0, alu | 3);
		break;
	case 4:
		emit_op(p, 0, alu | 2);
		break;
	case 5:
		emit_group(p, 0x83, alu >> 3);
		emit(p, random_below(p, 256));
		break;
	case 6:
		emit_group(p, 0xc1, shifts[random_below(p, 7)]);
		emit(p, random_below(p, 3) ? random_below(p, 256) : 0);
		break;
	case 7:
		emit_group(p, random_below(p, 2) ? 0xd1 : 0xd3, shifts[random_below(p, 7)]);
		break;
	case 8:
		emit_group(p, 0xff, random_below(p, 2));
		break;
	case 9:
		alu = 2 + random_below(p, 3);
		emit_group(p, 0xf7, alu);
		if (alu == 4)
			hide_undefined(p);
		break;
	case 10:
		emit_op(p, 1, 0xaf);
		hide_undefined(p);
		break;
	case 11:
		emit_op(p, 1, 0x90 + random_below(p, 16));
		break;
	case 12:
		emit_op(p, 1, 0x40 + random_below(p, 16));
		break;
	case 13:
		emit_op(p, 0, random_below(p, 2) ? 0x89 : 0x85);
		break;
	case 14:
		emit_memory(p, alu | 3, random_register(p), BASE_DATA);
		break;
	case 15:
		emit_memory(p, random_below(p, 2) ? 0x89 : 0x8b, random_register(p), BASE_DATA);
		break;
	case 16:
		emit_memory(p, alu | 1, random_register(p), BASE_DATA);
		break;
	case 17:
		emit_memory(p, 0x8d, random_register(p), random_register(p) & 3);
		break;
	case 18:
		emit_op(p, 1, 0xa3);
		break;
	default:
		if (random_below(p, 8) == 0)
			emit_memory(p, alu | 3, random_register(p), BASE_MISSING);
		else
			emit(p, 0xf5 + random_below(p, 2) * 3);
		break;
	}
}

/* A comparison, a conditional branch, and one instruction it may jump over. */
static void emit_branch(struct program *p)
{
	unsigned at;

	if (random_below(p, 4))
		emit_group(p, 0x83, 7), emit(p, random_below(p, 4));
	else
		emit_op(p, 0, random_below(p, 2) ? 0x39 : 0x85);
	emit(p, 0x70 + random_below(p, 16));
	at = p->len;
	emit(p, 0);
	emit_random(p);
	p->code[at] = (uint8_t)(p->len - at - 1);
}

static void make_program(struct program *p, uint64_t seed, bool is_for_amd)
{
	p->is_for_amd = is_for_amd;
	p->seed = seed * 0x9e3779b97f4a7c15ull | 1;
	p->len = 0;
	for (unsigned n = 0; n < NR_INSNS; n++) {
		if (random_below(p, 5) == 0)
			emit_branch(p);
		else
			emit_random(p);
		if (p->len > sizeof(p->code) - 64)
			break;
	}
	emit(p, 0x0f);
	emit(p, 0x0b);
}

static void run_program(struct machine *m, struct program *p, bool is_stepped)
{
	__u64 *const registers[] = {&m->regs.rax, &m->regs.rcx, &m->regs.rdx, &m->regs.rbx,
				    &m->regs.rbp, &m->regs.rsi, &m->regs.rdi, &m->regs.r8,
				    &m->regs.r9,  &m->regs.r10, &m->regs.r11, &m->regs.r12,
				    &m->regs.r13};
	struct program values = {.seed = p->seed};

	machine_reset(m, LONG);
	for (unsigned n = 0; n < ARRAY_SIZE(registers); n++)
		*registers[n] = random_u64(&values) >> random_below(&values, 64);
	m->regs.r14 = MISSING;
	m->regs.r15 = DATA;
	for (unsigned n = 0; n < 128; n += 8)
		machine_put(m, DATA + n, 8, random_u64(&values));
	m->is_stepped = is_stepped;
	machine_run(m, p->code, p->code + p->len);
	m->is_stepped = false;
}

static void blocks_do_what_their_instructions_do(void **state)
{
	struct machine *m = *state;
	unsigned nr_faults = 0;

	for (unsigned n = 1; n <= NR_PROGRAMS; n++) {
		static struct program p;
		struct kvm_regs stepped;
		uint8_t data[128];
		unsigned vector;

		make_program(&p, n, m->is_amd);
		run_program(m, &p, true);
		stepped = m->regs;
		vector = m->vector;
		memcpy(data, m->ram + DATA, sizeof(data));
		run_program(m, &p, false);
		if (memcmp(&stepped, &m->regs, sizeof(stepped)) || vector != m->vector)
			print_message("program %u: rip %llx, stepped %llx; flags %llx, %llx\n", n,
				      m->regs.rip, stepped.rip, m->regs.rflags, stepped.rflags);
		assert_int_equal(m->vector, vector);
		assert_memory_equal(&m->regs, &stepped, sizeof(stepped));
		assert_memory_equal(m->ram + DATA, data, sizeof(data));
		nr_faults += vector == VEC_PF;
	}
	/* Both ends happen often enough to mean something. */
	assert_in_range(nr_faults, NR_PROGRAMS / 20, NR_PROGRAMS / 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_do_what_their_instructions_do),
	};

	return cmocka_run_group_tests(tests, machine_setup, machine_teardown);
}
