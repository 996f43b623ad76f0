/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-fs (virtio 1.2, section 5.11): a FUSE server behind a high-priority queue, for what gives
 * something back, and one queue of requests.
 */
#ifndef VIRTIO_DEV_FS_H
#define VIRTIO_DEV_FS_H

#include "backend/fs/fuse.h"
#include "virtio/virtio.h"

#define VIRTIO_FS_TAG_MAX 36 /* bytes */

/*
 * tag: what the guest mounts, 1 to VIRTIO_FS_TAG_MAX bytes. The export is the device's from now on.
 * Freed with virtio_free().
 */
struct virtio_device *virtio_fs_new(struct mem *mem, struct loop *loop, struct export *ex,
				    enum fuse_cache cache, const char *tag);

#endif
