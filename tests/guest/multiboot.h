/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every small guest starts with: a multiboot 1 header, flat 32-bit protected mode at start, and
 * macros to print on the first serial port and to end through the test device.
 */

#define EXIT_PORT   0xf4
#define SERIAL_PORT 0x3f8

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.code32

/* Ends the VM; its exit status is (value << 1) | 1. */
	.macro exit_with value
	mov $\value, %eax
	mov $EXIT_PORT, %dx
	outl %eax, %dx
	.endm

/* Prints the zero-terminated string at a label. Clobbers eax, edx, esi. */
	.macro print label
	mov $\label, %esi
	call puts
	.endm

	.globl _start
_start:
	jmp start

puts:
	mov $SERIAL_PORT + 5, %dx
1:	inb %dx, %al
	test $0x20, %al
	jz 1b
	lodsb
	test %al, %al
	jz 2f
	mov $SERIAL_PORT, %dx
	outb %al, %dx
	jmp puts
2:	ret
