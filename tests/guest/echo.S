/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the serial port by polling, slowly, until a '~': prints a count and a sum of what came, then
 * ends with value 0. For pastes that are larger than any buffer. Zero bytes do not count: those that
 * arrive before the FIFO is set up are lost, as on hardware.
 */
#include "multiboot.inc"

start:
	mov $0x90000, %esp
	mov $SERIAL_PORT + 2, %dx
	mov $0x07, %al			/* FIFOs on and empty */
	outb %al, %dx
	print ready
	xor %ebx, %ebx			/* count */
	xor %edi, %edi			/* sum of byte * 31 ... */
next:	mov $SERIAL_PORT + 5, %dx
	inb %dx, %al
	test $1, %al
	jz next
	mov $SERIAL_PORT, %dx
	inb %dx, %al
	movzx %al, %eax
	test %al, %al
	jz next
	cmp $'~', %al
	je done
	imul $31, %edi
	add %eax, %edi
	inc %ebx
	jmp next
done:	mov %ebx, %eax
	call hex
	mov %edi, %eax
	call hex
	exit_with 0

hex:	mov $8, %ecx
	mov %eax, %ebp
1:	rol $4, %ebp
	mov %ebp, %eax
	and $15, %eax
	mov alphabet(%eax), %al
	mov $SERIAL_PORT, %dx
	outb %al, %dx
	loop 1b
	mov $'\n', %al
	outb %al, %dx
	ret

ready:	.asciz "ready\n"
alphabet: .ascii "0123456789abcdef"
