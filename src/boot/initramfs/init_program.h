/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's init, a static program built from guest/init/ and carried inside bantam.
 */
#ifndef BOOT_INITRAMFS_INIT_PROGRAM_H
#define BOOT_INITRAMFS_INIT_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t init_program[];
size_t init_program_size(void);

#endif
