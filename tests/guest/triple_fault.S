/* SPDX-License-Identifier: BSD-2-Clause */
/* An exception with no interrupt table: the CPU shuts down. */
#include "multiboot.inc"

start:
	lidt empty
	ud2

empty:	.word 0
	.long 0
