/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng (virtio 1.2, section 5.4): fills the guest's buffers with the host kernel's random bytes.
 */
#ifndef VIRTIO_DEV_RNG_H
#define VIRTIO_DEV_RNG_H

#include "virtio/virtio.h"

/* bytes_per_second: 0 is no limit. Freed with virtio_free(). */
struct virtio_device *virtio_rng_new(struct mem *mem, struct loop *loop, uint64_t bytes_per_second);

#endif
