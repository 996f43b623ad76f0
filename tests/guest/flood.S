/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints 4096 numbered lines as fast as the serial port takes them, then ends with value 0. */
#include "multiboot.inc"

start:
	mov $0x90000, %esp
	xor %ebx, %ebx
1:	mov %ebx, %eax
	mov $digits + 4, %edi
	mov $5, %ecx
2:	xor %edx, %edx
	mov $10, %ebp
	div %ebp
	add $'0', %dl
	mov %dl, (%edi)
	dec %edi
	dec %ecx
	jnz 2b
	print line
	inc %ebx
	cmp $4096, %ebx
	jne 1b
	exit_with 0

	.data
line:	.ascii "line "
digits:	.ascii "00000 the quick brown fox jumps over the lazy dog\n\0"
