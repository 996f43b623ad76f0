/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies bytes of fw_cfg's signature, whose port gives each only once, to a register of the I/O
 * APIC by instructions that do both. An access that is lost or made twice shows. Ends with status
 * 1, or 3 when a byte is wrong.
 */
#include "multiboot.inc"

#define FW_CFG	 0x510
#define IOAPIC	 0xfec00000
#define ENTRY_23 0x3e /* lower half: the vector in bits 0-7 */
#define WINDOW	 (IOAPIC + 0x10)
#define ROUNDS	 50000

start:
	cld
	movl $ENTRY_23, IOAPIC
	mov $ROUNDS, %ecx
round:
	mov $FW_CFG, %dx
	xor %eax, %eax
	outw %ax, %dx
	inc %dx
	mov $signature, %esi
1:	mov $WINDOW, %edi
	insl
	lodsb
	cmpb %al, WINDOW
	jne wrong
	cmp $signature + 4, %esi
	jne 1b
	dec %ecx
	jnz round
	exit_with 0
wrong:
	exit_with 1

signature:
	.ascii "QEMU"
