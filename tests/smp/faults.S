/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * void fault_NAME(struct fault_regs *r): loads all registers but RSP from r, executes the one instruction
 * at fault_NAME_at, and stores them into r. fault_NAME_after is behind it.
 */
	.macro FORM name:req insn:vararg
	.globl fault_\name, fault_\name\()_at, fault_\name\()_after
	.type fault_\name, @function
fault_\name:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	movq 0(%rdi), %xmm7
	punpcklqdq %xmm7, %xmm7
	pushq 120(%rdi)
	popfq
	mov 0(%rdi), %rax
	mov 8(%rdi), %rbx
	mov 16(%rdi), %rcx
	mov 24(%rdi), %rdx
	mov 32(%rdi), %rsi
	mov 48(%rdi), %rbp
	mov 56(%rdi), %r8
	mov 64(%rdi), %r9
	mov 72(%rdi), %r10
	mov 80(%rdi), %r11
	mov 88(%rdi), %r12
	mov 96(%rdi), %r13
	mov 104(%rdi), %r14
	mov 112(%rdi), %r15
	mov 40(%rdi), %rdi
fault_\name\()_at:
	\insn
fault_\name\()_after:
	push %rdi
	mov 8(%rsp), %rdi
	popq 40(%rdi)
	mov %rax, 0(%rdi)
	mov %rbx, 8(%rdi)
	mov %rcx, 16(%rdi)
	mov %rdx, 24(%rdi)
	mov %rsi, 32(%rdi)
	mov %rbp, 48(%rdi)
	mov %r8, 56(%rdi)
	mov %r9, 64(%rdi)
	mov %r10, 72(%rdi)
	mov %r11, 80(%rdi)
	mov %r12, 88(%rdi)
	mov %r13, 96(%rdi)
	mov %r14, 104(%rdi)
	mov %r15, 112(%rdi)
	pushfq
	popq 120(%rdi)
	pop %rdi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size fault_\name, . - fault_\name
	.endm

	.text
	FORM load mov (%rdi), %rax
	FORM store mov %rax, (%rdi)
	FORM store1 movb %al, (%rdi)
	FORM load_r14 mov (%rdi), %r14
	FORM load_r11 movzbl (%rdi), %r11d
	FORM add_to add %r15, (%rdi)
	FORM add_from add (%rdi), %rcx
	FORM compare cmp (%rdi), %rdx
	FORM lock_add lock addq %rbx, (%rdi)
	FORM exchange xchg %rax, (%rdi)
	FORM test_bit btl $5, (%rdi)
	FORM load_xmm movdqu (%rdi), %xmm7
	FORM store_xmm movdqu %xmm7, (%rdi)
	FORM divide divq (%rdi)
	FORM fetch_add lock xaddq %rbp, (%rdi)
	FORM copy rep movsb
	FORM fill rep stosb
	.section .note.GNU-stack, "", @progbits
