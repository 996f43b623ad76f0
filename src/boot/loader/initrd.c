/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/initrd.h"

#include <inttypes.h>

#include "base/base.h"
#include "boot/layout.h"

static bool fits_after_kernel(const struct boot_config *cfg, const struct initrd_rules *rules,
			      uint64_t *addr)
{
	*addr = ALIGN_UP(rules->kernel_end, (uint64_t)GUEST_PAGE_SIZE);
	return rules->after_kernel && *addr < rules->limit &&
	       cfg->initrd->size <= rules->limit - *addr &&
	       e820_is_ram(cfg->e820, *addr, cfg->initrd->size);
}

static int find_place(const struct boot_config *cfg, const struct initrd_rules *rules,
		      uint64_t limit, uint64_t *addr, uint64_t *largest)
{
	const struct e820_wish wish = {
		.size = cfg->initrd->size,
		.align = GUEST_PAGE_SIZE,
		.floor = HIGH_MEMORY,
		.limit = limit,
		.avoid = rules->kernel_start,
		.avoid_end = rules->kernel_end,
	};

	return e820_find_high(cfg->e820, &wish, addr, largest);
}

int initrd_load(struct mem *m, const struct boot_config *cfg, const struct initrd_rules *rules,
		struct initrd *out, struct error *err)
{
	const struct image *img = cfg->initrd;
	uint64_t addr, room = 0;

	*out = (struct initrd){0};
	if (!img)
		return 0;
	if (!img->size)
		return image_error(img, err, -EINVAL, "the file is empty");

	int ret = 0;
	if (!fits_after_kernel(cfg, rules, &addr))
		ret = find_place(cfg, rules, rules->limit, &addr, &room);
	if (ret && rules->can_be_above)
		ret = find_place(cfg, rules, UINT64_MAX, &addr, &room);
	if (ret)
		return image_error(img, err, -E2BIG,
				   "%" PRIu64
				   " bytes do not fit: beside the kernel the largest free "
				   "piece of guest RAM it may be in has %" PRIu64 " bytes",
				   img->size, room);
	ret = image_load(img, 0, img->size, m, addr, "initrd", err);
	if (ret)
		return ret;
	*out = (struct initrd){.addr = addr, .size = img->size};
	return 0;
}
