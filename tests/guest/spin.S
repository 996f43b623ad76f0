/* SPDX-License-Identifier: BSD-2-Clause */
/* Never ends, with interrupts off: for signals and quitting. */
#include "multiboot.inc"

start:
	mov $0x90000, %esp
	print text
	jmp .

text:	.asciz "spinning\n"
