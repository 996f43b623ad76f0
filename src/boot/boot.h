/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From files to a guest about to run its first instruction: finds out what kind of kernel the image
 * is by its content, puts kernel, initrd, command line and tables into guest memory and says in
 * which state the boot processor starts. Knows bzImage (64-bit and 32-bit boot protocol), ELF with
 * a PVH note, multiboot 1 and plain Linux ELF64. Set-up code: one thread, no vCPU running.
 *
 * Guest RAM must read as zero where nothing was loaded: fresh, or after mem_clear_ram(). Booting
 * again is calling boot_load() again.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "boot/loader/image.h"
#include "boot/tables/acpi.h"
#include "boot/tables/e820.h"
#include "core/mem.h"

/* What to boot; everything is borrowed for the call. */
struct boot_config {
	const struct image *kernel;
	const struct image *initrd;  /* NULL: none */
	const char *cmdline;	     /* complete, see loader/cmdline.h; "" for none */
	const struct e820_map *e820; /* see e820_from_mem() */
	const uint32_t *apic_ids;    /* nr_cpus of them, boot processor first */
	unsigned nr_cpus;
	const struct acpi_pci *pci; /* what the tables say of PCI; NULL: there is none */
	bool has_acpi;		    /* ACPI tables, and their address handed to the kernel */
	bool has_mptable;	    /* MP table 1.4 */
	/* Random bytes for the kernel's entropy pool (bzImage); none when rng_seed_len is 0. */
	const void *rng_seed;
	size_t rng_seed_len;		  /* at most BOOT_RNG_SEED_MAX */
	const struct boot_virtio *virtio; /* virtio-mmio devices, named in the DSDT */
	unsigned nr_virtio;
	unsigned no_serial; /* bit N: the DSDT does not name serial port N, 0 to 3 */
};

#define BOOT_RNG_SEED_MAX 256

enum boot_kind { BOOT_BZIMAGE, BOOT_PVH, BOOT_MULTIBOOT, BOOT_LINUX_ELF };
enum boot_mode {
	BOOT_LONG64, /* 64-bit mode, paging on with the first 4 GiB mapped one to one */
	BOOT_PROT32, /* 32-bit flat protected mode, paging off */
};

/* The state in which the boot processor starts. Interrupts are off, segments flat. */
struct boot_entry {
	enum boot_kind kind;
	enum boot_mode mode;
	uint64_t rip, rsp;
	uint64_t rax, rbx, rsi; /* the other general registers are 0 */
};

/*
 * Loads everything into m. On failure guest memory is in no defined state and err has one sentence
 * that names the file, the offset and the reason. Returns 0, -ENOEXEC (no kernel we know), -EINVAL
 * (a damaged or unsuitable one), -E2BIG (something does not fit), -EIO or another errno of reading.
 */
int boot_load(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
	      struct error *err);

/*
 * Turns entry into register values. sregs comes with the values after reset; what the boot state
 * does not define (APIC base, CR8) stays as it is.
 */
void boot_entry_registers(const struct boot_entry *entry, struct kvm_regs *regs,
			  struct kvm_sregs *sregs);

#endif
