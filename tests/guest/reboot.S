/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts its boots in a byte of CMOS memory, which a reset leaves alone, and resets the machine by
 * 0xcf9 and by the keyboard controller in turn. At boot LOOK and at the last it prints "look" and
 * waits for a byte on the serial port. Ends with value 1 after BOOTS boots.
 */
#include "multiboot.inc"

#define LOOK	   60
#define BOOTS	   200
#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define COUNTER	   0x50

start:
	mov $0x90000, %esp
	print text

	/* Memory must be as after power-on: the mark of the boot before is gone. */
	cmpl $0, 0x200000
	jne dirty
	movl $0xdeadbeef, 0x200000

	mov $COUNTER, %al
	outb %al, $CMOS_INDEX
	inb $CMOS_DATA, %al
	inc %al
	mov %al, %bl
	mov $COUNTER, %al
	outb %al, $CMOS_INDEX
	mov %bl, %al
	outb %al, $CMOS_DATA
	cmp $LOOK, %bl
	je look
	cmp $BOOTS, %bl
	jne again
look:
	print look_text
	mov $SERIAL_PORT + 5, %dx
1:	inb %dx, %al
	test $1, %al
	jz 1b
	mov $SERIAL_PORT, %dx
	inb %dx, %al
	cmp $BOOTS, %bl
	je done
again:
	test $1, %bl
	jz keyboard
	mov $0xcf9, %dx
	mov $0x06, %al
	outb %al, %dx
	jmp .
keyboard:
	mov $0xfe, %al
	outb %al, $0x64
	jmp .
done:
	exit_with 1
dirty:
	exit_with 2

text:	.asciz "boot\n"
look_text: .asciz "look\n"
