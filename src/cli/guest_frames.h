/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of a session (boot/initramfs/protocol.h) as bytes arrive from the guest, who may send
 * anything. Pure; one thread.
 */
#ifndef CLI_GUEST_FRAMES_H
#define CLI_GUEST_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct guest_frame {
	uint32_t type; /* enum frame_type, or anything else */
	uint32_t len;
	const uint8_t *payload; /* in the buffer of what arrived; valid until it changes */
};

/*
 * Takes the first whole frame at *at of what arrived and moves *at behind it. Returns 1, 0 (more has
 * to arrive) or -EPROTO (no frame is that long).
 */
int guest_frame_next(const struct buf *arrived, size_t *at, struct guest_frame *f);

/* The number in a payload of four bytes or more; 0 when there are fewer. */
uint32_t guest_frame_number(const struct guest_frame *f);

#endif
