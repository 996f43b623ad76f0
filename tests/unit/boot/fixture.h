/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader's tests share: a guest memory, a configuration, and builders of small kernel
 * images whose every field a test can damage.
 */
#ifndef TESTS_BOOT_FIXTURE_H
#define TESTS_BOOT_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <asm/bootparam.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "boot/boot.h"
#include "boot/layout.h"

struct fixture {
	struct mem *mem;
	struct e820_map e820;
	struct image kernel, initrd;
	uint32_t apic_ids[4];
	struct boot_config cfg;
	struct boot_entry entry;
	struct error err;
};

/* Guest memory of low bytes at 0 and high bytes (may be 0) at 4 GiB; two CPUs; no kernel yet. */
static inline void fixture_init(struct fixture *f, uint64_t low, uint64_t high)
{
	memset(f, 0, sizeof(*f));
	f->mem = mem_new();
	assert_int_equal(mem_add_region(f->mem, 0, low, false, &f->err), 0);
	if (high)
		assert_int_equal(mem_add_region(f->mem, 4 * GIB, high, false, &f->err), 0);
	e820_from_mem(&f->e820, f->mem);
	for (unsigned i = 0; i < 4; i++)
		f->apic_ids[i] = i;
	f->cfg = (struct boot_config){
		.kernel = &f->kernel,
		.cmdline = "console=ttyS0",
		.e820 = &f->e820,
		.apic_ids = f->apic_ids,
		.nr_cpus = 2,
	};
}

static inline void fixture_fini(struct fixture *f)
{
	image_close(&f->kernel);
	image_close(&f->initrd);
	mem_free(f->mem);
}

/* bytes must outlive the fixture. */
static inline void fixture_kernel(struct fixture *f, const void *bytes, size_t len)
{
	image_close(&f->kernel);
	image_from_bytes(&f->kernel, "kernel", "k", bytes, len);
}

static inline void fixture_initrd(struct fixture *f, const void *bytes, size_t len)
{
	image_close(&f->initrd);
	image_from_bytes(&f->initrd, "initrd", "i", bytes, len);
	f->cfg.initrd = &f->initrd;
}

static inline int fixture_load(struct fixture *f)
{
	memset(&f->err, 0, sizeof(f->err));
	return boot_load(f->mem, &f->cfg, &f->entry, &f->err);
}

/* Loads and expects this failure with exactly this sentence. */
static inline void fixture_fails(struct fixture *f, int code, const char *sentence)
{
	assert_int_equal(fixture_load(f), code);
	assert_string_equal(f->err.text, sentence);
}

static inline void *fixture_at(struct fixture *f, gpa_t gpa, size_t len)
{
	void *p = mem_slice(f->mem, gpa, len, MEM_READ);

	assert_non_null(p);
	return p;
}

/* ---- bzImage: one setup sector and BZ_PAYLOAD bytes of kernel ---- */

#define BZ_SETUP   1024
#define BZ_PAYLOAD 4096
#define BZ_SIZE	   (BZ_SETUP + BZ_PAYLOAD)
#define BZ_START   0x1000000
#define BZ_INIT	   0x200000

static inline struct setup_header *bz_header(uint8_t *image)
{
	return (struct setup_header *)(image + 0x1f1);
}

/* A well-formed relocatable 64-bit kernel of protocol 2.15, its payload counting up. */
static inline void bz_make(uint8_t image[BZ_SIZE])
{
	struct setup_header *h = bz_header(image);

	memset(image, 0, BZ_SIZE);
	h->setup_sects = 1;
	h->syssize = BZ_PAYLOAD / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;
	h->header = 0x53726448;
	h->version = 0x20f;
	h->loadflags = LOADED_HIGH;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	h->cmdline_size = 2047;
	h->pref_address = BZ_START;
	h->init_size = BZ_INIT;
	for (unsigned i = 0; i < BZ_PAYLOAD; i++)
		image[BZ_SETUP + i] = i * 7;
}

/* ---- ELF of class 64: one loaded segment and one of notes ---- */

struct small_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint64_t desc;
	} xen;
	uint32_t multiboot[12];
	uint8_t code[64];
} __attribute__((packed));

#define ELF_START 0x400000
#define ELF_MEM	  0x3000

static inline void elf_make(struct small_elf *e)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->eh.e_ident, ELFMAG, SELFMAG);
	e->eh.e_ident[EI_CLASS] = ELFCLASS64;
	e->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e->eh.e_type = ET_EXEC;
	e->eh.e_machine = EM_X86_64;
	e->eh.e_entry = ELF_START + 0x10;
	e->eh.e_phoff = offsetof(struct small_elf, load);
	e->eh.e_phentsize = sizeof(Elf64_Phdr);
	e->eh.e_phnum = 2;
	e->load = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offsetof(struct small_elf, code),
		.p_filesz = sizeof(e->code),
		.p_memsz = ELF_MEM,
		.p_paddr = ELF_START,
		.p_vaddr = 0xffffffff80000000 + ELF_START,
	};
	e->note = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct small_elf, xen),
		.p_filesz = sizeof(e->xen),
		.p_align = 4,
	};
	e->xen.head = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 8, .n_type = 18};
	memcpy(e->xen.name, "Xen", 4);
	e->xen.desc = ELF_START + 0x20;
	for (unsigned i = 0; i < sizeof(e->code); i++)
		e->code[i] = i + 1;
}

#endif
