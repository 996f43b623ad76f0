/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/loader/zeropage.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "boot/layout.h"

static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");
static_assert(sizeof(struct boot_e820_entry) == 20, "packed as in the boot protocol");

int cmdline_check(const struct boot_config *cfg, uint64_t max, struct error *err)
{
	size_t len = strlen(cfg->cmdline);

	max = min(max, (uint64_t)(BOOT_CMDLINE_END - BOOT_CMDLINE - 1));
	if (len <= max)
		return 0;
	return image_error(cfg->kernel, err, -E2BIG,
			   "the command line has %zu bytes, but this kernel takes at most %" PRIu64,
			   len, max);
}

int cmdline_load(struct mem *m, const struct boot_config *cfg, struct error *err)
{
	return image_put(cfg->kernel, m, BOOT_CMDLINE, cfg->cmdline, strlen(cfg->cmdline) + 1,
			 "command line", err);
}

/* Appends one element to the chain of setup data that will lie at BOOT_SETUP_DATA. */
static void add_setup_data(struct buf *chain, uint64_t *last_next, uint32_t type, const void *data,
			   uint32_t len)
{
	static const uint8_t zeroes[8];
	uint64_t here = chain->len;
	const struct setup_data head = {.type = type, .len = len};

	buf_append(chain, &head, sizeof(head));
	buf_append(chain, data, len);
	buf_append(chain, zeroes, ALIGN_UP(chain->len, 8) - chain->len);

	const uint64_t link = BOOT_SETUP_DATA + here;
	if (here)
		memcpy(chain->data + *last_next, &link, sizeof(link));
	*last_next = here + offsetof(struct setup_data, next);
}

static void add_e820(struct buf *chain, uint64_t *last_next, const struct e820_map *map,
		     struct boot_params *zp)
{
	struct boot_e820_entry all[E820_ENTRIES_MAX];

	for (unsigned i = 0; i < map->nr; i++)
		all[i] = (struct boot_e820_entry){
			.addr = map->entries[i].addr,
			.size = map->entries[i].size,
			.type = map->entries[i].type,
		};
	zp->e820_entries = min(map->nr, (unsigned)E820_MAX_ENTRIES_ZEROPAGE);
	memcpy(zp->e820_table, all, zp->e820_entries * sizeof(all[0]));
	if (map->nr > zp->e820_entries)
		add_setup_data(chain, last_next, SETUP_E820_EXT, all + zp->e820_entries,
			       (map->nr - zp->e820_entries) * sizeof(all[0]));
}

int zeropage_load(struct mem *m, const struct boot_config *cfg, const struct initrd *initrd,
		  struct boot_params *zp, struct error *err)
{
	struct buf chain = {0};
	uint64_t last_next = 0;

	BUG_ON(cfg->rng_seed_len > BOOT_RNG_SEED_MAX);
	zp->hdr.type_of_loader = 0xff; /* a loader without a number of its own */
	zp->hdr.cmd_line_ptr = BOOT_CMDLINE;
	zp->ext_cmd_line_ptr = 0;
	zp->hdr.ramdisk_image = (uint32_t)initrd->addr;
	zp->hdr.ramdisk_size = (uint32_t)initrd->size;
	zp->ext_ramdisk_image = initrd->addr >> 32;
	zp->ext_ramdisk_size = initrd->size >> 32;
	zp->acpi_rsdp_addr = cfg->has_acpi ? BIOS_ACPI : 0;

	add_e820(&chain, &last_next, cfg->e820, zp);
	if (cfg->rng_seed_len)
		add_setup_data(&chain, &last_next, SETUP_RNG_SEED, cfg->rng_seed,
			       cfg->rng_seed_len);
	zp->hdr.setup_data = chain.len ? BOOT_SETUP_DATA : 0;

	int ret = image_put(cfg->kernel, m, BOOT_SETUP_DATA, chain.data, chain.len, "setup data",
			    err);
	buf_free(&chain);
	if (!ret)
		ret = cmdline_load(m, cfg, err);
	if (!ret)
		ret = image_put(cfg->kernel, m, BOOT_ZERO_PAGE, zp, sizeof(*zp), "zero page", err);
	return ret;
}
