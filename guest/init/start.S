/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's entry: the stack holds nothing the init needs. */
	.section .note.GNU-stack, "", @progbits
	.text
	.globl _start
_start:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	init_main
	ud2
