/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration device firmware and test programs of QEMU's world read: ports 0x510 (selector)
 * and 0x511 (data, byte by byte). Items are numbered; named ones are "files", listed in a directory
 * item.
 */
#ifndef DEVICE_FW_CFG_H
#define DEVICE_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/bus.h"
#include "core/device.h"

/* Numbers of items with a fixed meaning. */
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_ID	 0x01
#define FW_CFG_RAM_SIZE	 0x03 /* 8 bytes */
#define FW_CFG_NR_CPUS	 0x05 /* 2 bytes */
#define FW_CFG_MAX_CPUS	 0x0f /* 2 bytes */
#define FW_CFG_DIRECTORY 0x19
#define FW_CFG_FILES	 0x20 /* the first file; the others follow */

#define FW_CFG_FILES_MAX 64 /* more than any firmware is known to be given */
#define FW_CFG_NAME_MAX	 56 /* bytes of a file's name, its zero included */

struct fw_cfg;

struct fw_cfg_params {
	struct bus *pio;
};

struct fw_cfg *fw_cfg_new(const struct fw_cfg_params *params, struct error *err);
struct device *fw_cfg_device(struct fw_cfg *fw);

/*
 * Adds len bytes as item key (below FW_CFG_FILES and not there yet), or as a file. They are copied.
 * Set-up only. fw_cfg_add_file() returns 0, -EEXIST for a name already there, -EINVAL for an empty
 * or too long one, -ENOSPC past FW_CFG_FILES_MAX.
 */
void fw_cfg_add(struct fw_cfg *fw, uint16_t key, const void *data, size_t len);
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
		    struct error *err);

#endif
