/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * void state_spin(struct state *in, struct state *out, unsigned long spins, int with_avx): loads vector,
 * x87 and general registers, control words and status flags from in, goes round the given number of times
 * without changing any, and stores them into out.
 */
	.text
	.globl state_spin
	.type state_spin, @function
state_spin:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rsi
	push %rcx
	sub $16, %rsp
	stmxcsr (%rsp)
	fnstcw 4(%rsp)

	test %ecx, %ecx
	jz 1f
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu \n * 32(%rdi), %ymm\n
	.endr
	jmp 2f
1:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu \n * 32(%rdi), %xmm\n
	.endr
2:
	fninit
	ldmxcsr 640(%rdi)
	fldcw 644(%rdi)
	.irp n, 0, 1, 2, 3, 4
	fldt \n * 16 + 512(%rdi)
	.endr
	mov 656(%rdi), %rax
	mov 664(%rdi), %rbx
	mov 672(%rdi), %rbp
	mov 680(%rdi), %r8
	mov 688(%rdi), %r9
	mov 696(%rdi), %r10
	mov 704(%rdi), %r11
	mov 712(%rdi), %r12
	mov 720(%rdi), %r13
	mov 728(%rdi), %r14
	mov 736(%rdi), %r15
	mov %rdx, %rcx
	pushq 648(%rdi)
	popfq
3:
	jrcxz 4f
	lea -1(%rcx), %rcx
	jmp 3b
4:
	pushfq
	mov 32(%rsp), %rsi
	popq 648(%rsi)
	mov %rax, 656(%rsi)
	mov %rbx, 664(%rsi)
	mov %rbp, 672(%rsi)
	mov %r8, 680(%rsi)
	mov %r9, 688(%rsi)
	mov %r10, 696(%rsi)
	mov %r11, 704(%rsi)
	mov %r12, 712(%rsi)
	mov %r13, 720(%rsi)
	mov %r14, 728(%rsi)
	mov %r15, 736(%rsi)
	stmxcsr 640(%rsi)
	fnstcw 644(%rsi)
	.irp n, 4, 3, 2, 1, 0
	fstpt \n * 16 + 512(%rsi)
	.endr
	mov 16(%rsp), %rcx
	test %ecx, %ecx
	jz 5f
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu %ymm\n, \n * 32(%rsi)
	.endr
	vzeroupper
	jmp 6f
5:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu %xmm\n, \n * 32(%rsi)
	.endr
6:
	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	add $16, %rsp
	pop %rcx
	pop %rsi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size state_spin, . - state_spin
	.section .note.GNU-stack, "", @progbits
