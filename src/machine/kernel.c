/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/kernel.h"

#include <asm/bootparam.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "boot/initramfs/unpack.h"
#include "boot/loader/bzimage.h"
#include "boot/loader/elf.h"
#include "config/config.h"
#include "machine/init_image.h"
#include "machine/part_serial.h"
#include "machine/pc.h"
#include "machine/virtio_bus.h"
#include "machine/vm_impl.h"
#include "x86/regs.h"

#define RNG_SEED_BYTES 32 /* what the kernel's entropy pool needs to count as full */

struct kernel {
	struct image image, initrd;
	bool has_initrd;
	struct buf init_image; /* bytes of initrd when bantam builds it */
	struct buf unpacked;   /* bytes of image when bantam has unpacked it */
};

static int open_initrd(struct kernel *k, const char *path, const struct config *cfg,
		       struct error *err)
{
	k->has_initrd = path || init_image_is_wanted(cfg);
	if (path)
		return image_open(&k->initrd, "initrd", path, err);
	if (!k->has_initrd)
		return 0;
	int rc = init_image_build(cfg, &k->image, &k->init_image, err);
	if (!rc)
		image_from_bytes(&k->initrd, "initrd", "(made by bantam)", k->init_image.data,
				 k->init_image.len);
	return rc;
}

/*
 * The payload of a bzImage is a packed ELF kernel (boot protocol 2.08). Where it cannot be unpacked here,
 * the kernel does it itself as ever; so it does with LZ4, which it unpacks as fast as we would.
 */
static void unpack_kernel(struct kernel *k)
{
	struct setup_header h;
	struct buf packed = {0};
	struct image inner;

	if (!bzimage_matches(&k->image) ||
	    image_read(&k->image, 0x1f1, &h, sizeof(h), "setup header", NULL) ||
	    h.version < 0x208 || h.payload_length > k->image.size)
		return;
	uint64_t at = (h.setup_sects ? h.setup_sects + 1u : 5u) * 512ull + h.payload_offset;
	buf_append(&packed, NULL, h.payload_length);
	if (!image_read(&k->image, at, packed.data, packed.len, "payload", NULL) &&
	    !unpack(packed.data, packed.len, &k->unpacked)) {
		image_from_bytes(&inner, "kernel", k->image.path, k->unpacked.data,
				 k->unpacked.len);
		if (elf_matches(&inner)) {
			image_close(&k->image);
			k->image = inner;
		} else {
			image_close(&inner);
		}
	}
	buf_free(&packed);
}

struct kernel *kernel_open(const struct vm *vm, const struct config *cfg, struct error *err)
{
	struct kernel *k = mem_alloc_zero(sizeof(*k));

	if (image_open(&k->image, "kernel", vm->settings.kernel_path, err) ||
	    open_initrd(k, vm->settings.initrd_path, cfg, err)) {
		kernel_close(k);
		return NULL;
	}
	if (config_bool(cfg, "kernel.unpack"))
		unpack_kernel(k);
	return k;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	image_close(&k->initrd);
	image_close(&k->image);
	buf_free(&k->init_image);
	buf_free(&k->unpacked);
	free(k);
}

/*
 * Memory types as firmware leaves them: caching on, write-back by default (SDM vol. 3, 12.11.2.1).
 * A kernel that finds the MTRRs off does without the PAT. An engine without MTRRs goes without.
 */
static void enable_mtrrs(struct engine_vcpu *v)
{
	const struct kvm_msr_entry def_type = {.index = MSR_IA32_MTRR_DEF_TYPE,
					       .data = 1 << 11 | 6};

	engine_vcpu_set_msrs(v, &def_type, 1);
}

/* Takes the registers of a freshly reset vCPU to the kernel's entry. */
static int enter(struct engine_vcpu *v, const struct boot_entry *entry, struct error *err)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int rc = engine_vcpu_get_sregs(v, &sregs);

	if (!rc)
		rc = engine_vcpu_get_regs(v, &regs);
	if (!rc) {
		boot_entry_registers(entry, &regs, &sregs);
		rc = engine_vcpu_set_sregs(v, &sregs);
	}
	if (!rc)
		rc = engine_vcpu_set_regs(v, &regs);
	return rc ? error_set_errno(err, rc, "setting the registers of vCPU 0") : 0;
}

int kernel_boot(struct kernel *k, struct vm *vm, struct error *err)
{
	const struct settings *s = &vm->settings;
	struct boot_entry entry;
	struct e820_map e820;
	struct acpi_pci pci;
	uint8_t seed[RNG_SEED_BYTES];
	const struct boot_virtio *windows;
	unsigned nr_windows = virtio_bus_windows(vm->virtio_bus, &windows);
	uint32_t *apic_ids = mem_alloc_zero(vm->nr_vcpus * sizeof(*apic_ids));

	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		apic_ids[i] = topology_apic_id(&s->topology, i);
	pc_describe_pci(vm->pc, &pci);
	e820_from_mem(&e820, vm->mem);
	BUG_ON(e820_set(&e820, pci.ecam_base, pci.nr_buses * ACPI_ECAM_BUS_SIZE, E820_RESERVED));
	struct boot_config cfg = {
		.kernel = &k->image,
		.initrd = k->has_initrd ? &k->initrd : NULL,
		.cmdline = s->cmdline,
		.e820 = &e820,
		.apic_ids = apic_ids,
		.nr_cpus = vm->nr_vcpus,
		.pci = &pci,
		.has_acpi = true,
		.virtio = windows,
		.nr_virtio = nr_windows,
		.no_serial = serial_ports_missing(vm->serial_ports),
		.has_mptable = s->has_mptable,
		.rng_seed = seed,
	};
	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed))
		cfg.rng_seed_len = sizeof(seed);
	int rc = boot_load(vm->mem, &cfg, &entry, err);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		enable_mtrrs(vm->vcpus[i].engine);
	if (!rc)
		rc = enter(vm->vcpus[0].engine, &entry, err);
	explicit_bzero(seed, sizeof(seed));
	free(apic_ids);
	return rc;
}
