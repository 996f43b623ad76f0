/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_frames.h"

#include <errno.h>
#include <string.h>

#include "boot/initramfs/protocol.h"

int guest_frame_next(const struct buf *arrived, size_t *at, struct guest_frame *f)
{
	size_t left = arrived->len - *at;
	struct frame head;

	if (left < sizeof(head))
		return 0;
	memcpy(&head, arrived->data + *at, sizeof(head));
	if (head.len > FRAME_DATA_MAX)
		return -EPROTO;
	if (left - sizeof(head) < head.len)
		return 0;
	*f = (struct guest_frame){head.type, head.len, arrived->data + *at + sizeof(head)};
	*at += sizeof(head) + head.len;
	return 1;
}

uint32_t guest_frame_number(const struct guest_frame *f)
{
	uint32_t number = 0;

	if (f->len >= sizeof(number))
		memcpy(&number, f->payload, sizeof(number));
	return number;
}
