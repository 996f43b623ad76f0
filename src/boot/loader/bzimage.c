/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/bzimage.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "boot/layout.h"
#include "boot/loader/zeropage.h"

#define SETUP_HEADER 0x1f1 /* offset of struct setup_header in the file */
#define SECTOR	     512
#define BOOT_FLAG    0xaa55
#define HDRS	     0x53726448 /* "HdrS" */
#define ENTRY64	     0x200	/* startup_64 lies here in the protected-mode part */

/* Where the parts of the file are and where the kernel will run. */
struct layout {
	uint64_t payload; /* file offset of the protected-mode part */
	uint64_t payload_size;
	gpa_t start, end; /* RAM the kernel claims before it looks at the memory map */
};

bool bzimage_matches(const struct image *img)
{
	uint16_t flag;
	uint32_t magic;

	return !image_read(img, 0x1fe, &flag, sizeof(flag), "", NULL) && flag == BOOT_FLAG &&
	       !image_read(img, 0x202, &magic, sizeof(magic), "", NULL) && magic == HDRS;
}

/* The header ends where the jump over it leads; what lies behind that is code. */
static int read_header(const struct image *img, struct setup_header *hdr, struct error *err)
{
	uint8_t jump;
	int ret = image_read(img, 0x201, &jump, 1, "setup header", err);

	if (ret)
		return ret;
	size_t len = min(0x202 + jump - SETUP_HEADER, (int)sizeof(*hdr));
	memset(hdr, 0, sizeof(*hdr));
	ret = image_read(img, SETUP_HEADER, hdr, len, "setup header", err);
	if (ret)
		return ret;
	if (hdr->version < 0x206)
		return image_error(
			img, err, -EINVAL,
			"boot protocol %u.%02u (offset 0x206) is too old: 2.06 of Linux 2.6.22 or "
			"later is needed",
			hdr->version >> 8, hdr->version & 0xff);
	if (!(hdr->loadflags & LOADED_HIGH))
		return image_error(
			img, err, -EINVAL,
			"a zImage that loads below 1 MiB (offset 0x211, bit 0 clear) cannot be "
			"booted: build a bzImage");
	return 0;
}

static int find_payload(const struct image *img, const struct setup_header *hdr, struct layout *l,
			struct error *err)
{
	unsigned sectors = hdr->setup_sects ? hdr->setup_sects : 4;
	uint64_t declared = (uint64_t)hdr->syssize * 16;

	l->payload = (sectors + 1) * SECTOR;
	uint64_t present = img->size > l->payload ? img->size - l->payload : 0;
	/* The size counts paragraphs, rounded up; the last one may be incomplete in the file. */
	if (!present || present + 15 < declared)
		return image_error(img, err, -EINVAL,
				   "truncated: the kernel takes %" PRIu64
				   " bytes at offset 0x%" PRIx64 ", but the file has only %" PRIu64
				   " bytes",
				   declared, l->payload, img->size);
	l->payload_size = declared ? min(declared, present) : present;
	return 0;
}

/*
 * Chooses where the kernel goes: where it prefers to be. A relocatable kernel loaded lower moves
 * itself there anyway, so nothing is gained by trying elsewhere.
 */
static int place(const struct boot_config *cfg, const struct setup_header *hdr, struct layout *l,
		 struct error *err)
{
	const struct image *img = cfg->kernel;
	uint64_t start = HIGH_MEMORY, need = l->payload_size;

	if (hdr->version >= 0x20a) {
		start = hdr->pref_address ? hdr->pref_address : HIGH_MEMORY;
		need = max(need, (uint64_t)hdr->init_size);
	} else if (hdr->relocatable_kernel && hdr->kernel_alignment) {
		uint64_t align = hdr->kernel_alignment;

		start = (HIGH_MEMORY + align - 1) / align * align;
	}
	if (start < HIGH_MEMORY || start >= 4 * GIB || need > 4 * GIB - start)
		return image_error(
			img, err, -EINVAL,
			"wants %" PRIu64 " bytes at 0x%" PRIx64
			" (offsets 0x258 and 0x260), which is not between 1 MiB and 4 GiB",
			need, start);
	l->start = start;
	l->end = start + need;
	if (!e820_is_ram(cfg->e820, start, need))
		return image_error(img, err, -E2BIG,
				   "needs RAM at 0x%" PRIx64 "-0x%" PRIx64 ", at least %" PRIu64
				   " MiB of it in all, but the guest has %" PRIu64 " MiB",
				   start, l->end - 1, ALIGN_UP(l->end, MIB) / MIB,
				   ALIGN_UP(e820_ram_size(cfg->e820), MIB) / MIB);
	return 0;
}

static int load_initrd(struct mem *m, const struct boot_config *cfg, const struct setup_header *hdr,
		       const struct layout *l, struct initrd *initrd, struct error *err)
{
	const struct initrd_rules rules = {
		.limit = (uint64_t)hdr->initrd_addr_max + 1,
		.can_be_above =
			hdr->version >= 0x20c && (hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G),
		.kernel_start = l->start,
		.kernel_end = l->end,
	};

	return initrd_load(m, cfg, &rules, initrd, err);
}

int bzimage_load(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
		 struct error *err)
{
	const struct image *img = cfg->kernel;
	struct boot_params zp = {0};
	struct setup_header *hdr = &zp.hdr;
	struct layout l = {0};
	struct initrd initrd;

	int ret = read_header(img, hdr, err);
	if (ret)
		return ret;
	bool is_64bit = hdr->version >= 0x20c && (hdr->xloadflags & XLF_KERNEL_64);

	ret = cmdline_check(cfg, hdr->cmdline_size, err);
	if (!ret)
		ret = find_payload(img, hdr, &l, err);
	if (ret)
		return ret;
	if (is_64bit && l.payload_size <= ENTRY64)
		return image_error(img, err, -EINVAL,
				   "%" PRIu64 " bytes at offset 0x%" PRIx64
				   " are too few to hold a 64-bit entry point",
				   l.payload_size, l.payload);
	ret = place(cfg, hdr, &l, err);
	if (!ret)
		ret = image_load(img, l.payload, l.payload_size, m, l.start, "kernel", err);
	if (!ret)
		ret = load_initrd(m, cfg, hdr, &l, &initrd, err);
	if (ret)
		return ret;

	hdr->code32_start = l.start;
	hdr->ext_loader_ver = 0;
	hdr->ext_loader_type = 0;
	hdr->vid_mode = 0xffff; /* "normal"; nobody sets a mode */
	ret = zeropage_load(m, cfg, &initrd, &zp, err);
	if (ret)
		return ret;
	*entry = (struct boot_entry){
		.kind = BOOT_BZIMAGE,
		.mode = is_64bit ? BOOT_LONG64 : BOOT_PROT32,
		.rip = l.start + (is_64bit ? ENTRY64 : 0),
		.rsp = BOOT_STACK_TOP,
		.rsi = BOOT_ZERO_PAGE,
	};
	return 0;
}
