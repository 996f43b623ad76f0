/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of user.c where the build found no libslirp. */
#include <errno.h>

#include "backend/net/user.h"

bool user_is_available(void)
{
	return false;
}

struct net_dev *user_new(struct loop *loop, const struct user_config *cfg, struct error *err)
{
	error_set(err, -ENOTSUP,
		  "user-mode networking was left out of this build: libslirp was not found then");
	return NULL;
}
