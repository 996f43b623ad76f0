/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for io_uring.c in a build without liburing. */
#include "backend/block/aio_impl.h"
#include "base/base.h"

static int absent_open(struct aio *aio, struct error *err)
{
	return error_set(err, -ENOSYS, "io_uring: this build of bantam was made without liburing");
}

const struct aio_way aio_way_uring = {.name = "io_uring", .open = absent_open};
