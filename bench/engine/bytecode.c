/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An interpreter for a small stack language with computed gotos: an indirect jump per instruction, as
 * scripting languages do.
 */
#include "programs.h"

enum op { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, DUP, LESS, JUMP_IF, JUMP, HALT };

/* Variables: 0 is i, 1 is the sum, 2 the limit. Jump targets are indices of code words. */
static const int32_t program[] = {
	PUSH, 0,     STORE, 0,			      /* i = 0 */
	LOAD, 0,     LOAD,  2,	   LESS, JUMP_IF, 13, /* 4: while (i < limit) */
	JUMP, 44,				      /* 11: leave */
	LOAD, 1,     PUSH,  31,	   MUL,		      /* 13: sum * 31 */
	LOAD, 0,     DUP,   MUL,   XOR,		      /* ^ i * i */
	PUSH, 12345, ADD,   STORE, 1,		      /* + 12345 */
	LOAD, 0,     PUSH,  1,	   ADD,	 STORE,	  0,  /* i += 1 */
	PUSH, 0,     PUSH,  5,	   SUB,	 STORE,	  3,  /* something for SUB */
	JUMP, 4,				      /* 42 */
	HALT,					      /* 44 */
};

static int64_t interpret(const int32_t *code, int64_t *variables)
{
	static const void *const labels[] = {
		[PUSH] = &&push, [LOAD] = &&load, [STORE] = &&store,	 [ADD] = &&add,
		[SUB] = &&sub,	 [MUL] = &&mul,	  [XOR] = &&xor_,	 [DUP] = &&dup,
		[LESS] = &&less, [JUMP] = &&jump, [JUMP_IF] = &&jump_if, [HALT] = &&halt,
	};
	const int32_t *pc = code;
	int64_t stack[16];
	int64_t *top = stack;

#define NEXT goto *labels[*pc++]
	NEXT;
push:
	*++top = *pc++;
	NEXT;
load:
	*++top = variables[*pc++];
	NEXT;
store:
	variables[*pc++] = *top--;
	NEXT;
add:
	top--;
	top[0] = (int64_t)((uint64_t)top[0] + (uint64_t)top[1]);
	NEXT;
sub:
	top--;
	top[0] = (int64_t)((uint64_t)top[0] - (uint64_t)top[1]);
	NEXT;
mul:
	top--;
	top[0] = (int64_t)((uint64_t)top[0] * (uint64_t)top[1]);
	NEXT;
xor_:
	top--;
	top[0] ^= top[1];
	NEXT;
dup:
	top++;
	top[0] = top[-1];
	NEXT;
less:
	top--;
	top[0] = top[0] < top[1];
	NEXT;
jump_if:
	pc = *top-- ? code + *pc : pc + 1;
	NEXT;
jump:
	pc = code + *pc;
	NEXT;
halt:
#undef NEXT
	return variables[1];
}

uint64_t run_bytecode(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		int64_t variables[4] = {0, (int64_t)round, 10000, 0};
		sum = mix(sum, (uint64_t)interpret(program, variables));
	}
	return sum;
}
