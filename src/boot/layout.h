/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a directly booted kernel finds what the loader leaves in guest memory. Everything the
 * kernel reads once lies in the first 192 KiB of RAM, below any place a kernel image may use; what
 * firmware would leave for good lies in the BIOS area below 1 MiB.
 */
#ifndef BOOT_LAYOUT_H
#define BOOT_LAYOUT_H

/* BIOS data area: two words that kernels of all kinds look at. */
#define BDA_EBDA_SEGMENT 0x40e
#define BDA_BASE_KIB	 0x413
#define EBDA_START	 0x9fc00 /* end of conventional memory: 639 KiB */
#define EBDA_END	 0xa0000

/* Read once by the kernel, then free. A kernel image must not load below BOOT_AREA_END. */
#define BOOT_GDT	 0x1000
#define BOOT_INFO	 0x2000 /* hvm_start_info or multiboot information */
#define BOOT_INFO_END	 0x7000
#define BOOT_ZERO_PAGE	 0x7000
#define BOOT_STACK_TOP	 0x8ff0 /* one page of stack, for entry code that pushes */
#define BOOT_PAGE_TABLES 0x9000 /* six pages: 4 GiB mapped one to one by 2 MiB pages */
#define BOOT_CMDLINE	 0x10000
#define BOOT_CMDLINE_END 0x20000
#define BOOT_SETUP_DATA	 0x20000
#define BOOT_AREA_END	 0x30000

/*
 * Multiboot kernels may be real-mode programs that load in conventional memory: what they are handed
 * lies below MULTIBOOT_LOW, stack included, and their command line at the top of that memory.
 */
#define MULTIBOOT_STACK_TOP   0x7ff0
#define MULTIBOOT_LOW	      0x8000
#define MULTIBOOT_CMDLINE     0x90000
#define MULTIBOOT_CMDLINE_END 0x9f000

/* Kept for the life of the guest; reserved in the E820 map. */
#define BIOS_AREA     0xe0000
#define BIOS_ACPI     0xe0000 /* RSDP first, then the tables it leads to */
#define BIOS_ACPI_END 0xf8000
#define BIOS_MPTABLE \
	0xf8000 /* MP floating pointer first: inside the last 64 KiB, where it is sought */
#define BIOS_MP_END   0xfe000
#define BIOS_AREA_END 0x100000

/* Kernel images and modules start here or above. */
#define HIGH_MEMORY 0x100000

#endif
