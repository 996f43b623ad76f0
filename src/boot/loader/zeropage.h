/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page of boot parameters every Linux kernel on x86 reads ("zero page", Documentation/x86/
 * boot.rst and zero-page.rst), for kernels with a setup header and without.
 */
#ifndef BOOT_LOADER_ZEROPAGE_H
#define BOOT_LOADER_ZEROPAGE_H

#include <asm/bootparam.h>

#include "boot/loader/initrd.h"

/* The longest command line of any Linux on x86 (COMMAND_LINE_SIZE without the zero byte). */
#define LINUX_CMDLINE_MAX 2047

/*
 * Returns -E2BIG when the command line of cfg is longer than max bytes, with both in err. It is
 * never cut: a kernel that misses its last words boots into something nobody asked for.
 */
int cmdline_check(const struct boot_config *cfg, uint64_t max, struct error *err);

/* Writes the command line and its zero byte to BOOT_CMDLINE. */
int cmdline_load(struct mem *m, const struct boot_config *cfg, struct error *err);

/*
 * Completes zp, which carries the kernel's setup header or one made up for it, with memory map,
 * command line, initrd, ACPI address and the chain of setup data, and writes it to BOOT_ZERO_PAGE.
 * The command line has been checked. Returns 0 or a negative errno with err filled.
 */
int zeropage_load(struct mem *m, const struct boot_config *cfg, const struct initrd *initrd,
		  struct boot_params *zp, struct error *err);

#endif
