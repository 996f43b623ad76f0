/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/vsock_cid.h"

#include <endian.h>
#include <linux/virtio_vsock.h>
#include <string.h>

#include "base/base.h"

void vsock_cid_read_config(const struct vsock_cid *cid, unsigned offset, void *data, unsigned len)
{
	const struct virtio_vsock_config config = {.guest_cid = htole64(cid->guest)};

	if (offset < sizeof(config))
		memcpy(data, (const uint8_t *)&config + offset,
		       min(len, (unsigned)sizeof(config) - offset));
}

void vsock_cid_state(struct vsock_cid *cid, struct state *s)
{
	uint64_t guest = cid->guest;

	state_u64(s, &guest);
	if (!state_is_loading(s))
		return;
	if (guest != cid->guest)
		state_fail(s, "virtio_vsock: the saved guest has CID %llu, not %llu",
			   (unsigned long long)guest, (unsigned long long)cid->guest);
	cid->must_report_reset = true;
}

void vsock_cid_report_reset(struct vsock_cid *cid, struct virtio_device *d)
{
	const struct virtio_vsock_event event = {.id = htole32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET)};
	struct virtio_chain *chain;

	if (!cid->must_report_reset || !(chain = virtio_pop(d, VSOCK_QUEUE_EVENT)))
		return;
	cid->must_report_reset = false;
	virtio_push(chain, (uint32_t)virtio_write(chain, &event, sizeof(event)));
}
