/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory balloon (virtio 1.2, section 5.5): the guest gives pages up while the host wants them
 * (inflate), takes them back when it may or when it runs out of memory (deflate), says how it stands
 * with memory, and reports free pages. What is given up or reported goes back to the host at once.
 */
#ifndef VIRTIO_DEV_BALLOON_H
#define VIRTIO_DEV_BALLOON_H

#include "virtio/virtio.h"

/* What the guest said last; UINT64_MAX where it did not. Memory in bytes. */
struct balloon_stats {
	uint64_t swapped_in, swapped_out;
	uint64_t major_faults, minor_faults;
	uint64_t free, total, available, caches;
};

struct virtio_balloon_params {
	uint64_t target;   /* bytes the balloon is to hold at first */
	bool can_deflate;  /* the guest may take pages back when it is out of memory */
	bool reports_free; /* it reports free pages */
	uint64_t stats_ns; /* time between statistics; 0: only when the driver starts */
};

/* Never NULL. */
struct virtio_device *virtio_balloon_new(struct mem *mem, struct loop *loop,
					 const struct virtio_balloon_params *params);

/* The loop's thread: how much the balloon is to hold, and holds by what the driver says; in bytes. */
void virtio_balloon_set_target(struct virtio_device *d, uint64_t bytes);
uint64_t virtio_balloon_actual(const struct virtio_device *d);

/* The loop's thread. */
const struct balloon_stats *virtio_balloon_stats(const struct virtio_device *d);

/* The loop's thread: bytes given back to the host so far, by ballooning and by reports. */
uint64_t virtio_balloon_given(const struct virtio_device *d);
uint64_t virtio_balloon_reported(const struct virtio_device *d);

#endif
