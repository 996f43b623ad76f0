/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thunks of keep.h: each saves what a C function may change, aligns the stack and calls the
 * function it is named after. A function that leaves by cpu_unwind() simply never comes back.
 */
#include "engine/soft/keep.h"

#define KEEP_THUNK(fn)                                                 \
	asm(".pushsection .text.unlikely\n"                            \
	    ".globl " #fn "_keep\n"                                    \
	    ".type " #fn "_keep, @function\n" #fn "_keep:\n"           \
	    ".cfi_startproc\n\t"                                       \
	    "pushq %rbp\n\t"                                           \
	    ".cfi_def_cfa_offset 16\n\t"                               \
	    ".cfi_offset %rbp, -16\n\t"                                \
	    "movq %rsp, %rbp\n\t"                                      \
	    ".cfi_def_cfa_register %rbp\n\t"                           \
	    "pushq %rcx\n\tpushq %rdx\n\tpushq %rsi\n\tpushq %rdi\n\t" \
	    "pushq %r8\n\tpushq %r9\n\tpushq %r10\n\tpushq %r11\n\t"   \
	    "andq $-16, %rsp\n\t"                                      \
	    "call " #fn "\n\t"                                         \
	    "leaq -64(%rbp), %rsp\n\t"                                 \
	    "popq %r11\n\tpopq %r10\n\tpopq %r9\n\tpopq %r8\n\t"       \
	    "popq %rdi\n\tpopq %rsi\n\tpopq %rdx\n\tpopq %rcx\n\t"     \
	    "popq %rbp\n\t"                                            \
	    ".cfi_def_cfa %rsp, 8\n\t"                                 \
	    "ret\n"                                                    \
	    ".cfi_endproc\n"                                           \
	    ".size " #fn "_keep, . - " #fn "_keep\n"                   \
	    ".popsection\n");

KEEP_THUNK(mmu_load_slow)
KEEP_THUNK(mmu_store_slow)
KEEP_THUNK(mmu_rmw_slow)
KEEP_THUNK(ea_slow)
KEEP_THUNK(rmw_split_begin)
KEEP_THUNK(rmw_split_end)
KEEP_THUNK(stack_store64_slow)
KEEP_THUNK(stack_load64_slow)
KEEP_THUNK(branch_target)
