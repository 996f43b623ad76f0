/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/init_program.h"

/* The assembler takes the file in; the Makefile says where it was built. */
__asm__(".section .rodata\n"
	".balign 16\n"
	".globl init_program\n"
	"init_program:\n"
	".incbin \"" BANTAM_INIT_PROGRAM "\"\n"
	".globl init_program_end\n"
	"init_program_end:\n"
	".previous\n");

extern const uint8_t init_program_end[];

size_t init_program_size(void)
{
	return (size_t)(init_program_end - init_program);
}
