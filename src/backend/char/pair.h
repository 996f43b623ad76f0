/* SPDX-License-Identifier: BSD-2-Clause */
/* Byte streams made of others: one that reads here and writes there, and one that is nothing. */
#ifndef BACKEND_CHAR_PAIR_H
#define BACKEND_CHAR_PAIR_H

#include "backend/char/char.h"
#include "host/loop.h"

/* Input from in, output to out; both belong to the pair. It is open while both are. Never NULL. */
struct char_dev *char_pair_new(struct loop *loop, struct char_dev *in, struct char_dev *out);

/* Can be opened; nothing ever comes, what is written is dropped. Never NULL. */
struct char_dev *char_null_new(struct loop *loop);

#endif
