/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-9p: a 9P2000.L server behind one queue. The device is not part of virtio 1.2's text; its
 * configuration is a length and the mount tag (include/uapi/linux/virtio_9p.h of the kernel).
 */
#ifndef VIRTIO_DEV_P9_H
#define VIRTIO_DEV_P9_H

#include "backend/fs/export.h"
#include "virtio/virtio.h"

#define VIRTIO_P9_TAG_MAX \
	255 /* bytes; plenty for a name, and the configuration space stays small */

/* tag: 1 to VIRTIO_P9_TAG_MAX bytes. The export is the device's from now on. */
struct virtio_device *virtio_p9_new(struct mem *mem, struct loop *loop, struct export *ex,
				    const char *tag);

#endif
