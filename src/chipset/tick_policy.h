/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of periodic ticks whose time passed while the monitor could not deliver them. A
 * guest that counts ticks to know the time wants them all; one that reads a clock is better off
 * without a burst. Shared by the PIT and the RTC.
 */
#ifndef CHIPSET_TICK_POLICY_H
#define CHIPSET_TICK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum tick_policy {
	TICK_DELAY,   /* deliver each of them late, at twice the usual rate until none is owed */
	TICK_MERGE,   /* deliver one for all of them */
	TICK_DISCARD, /* deliver none of them; go on with the next that is due */
};

/* Ticks owed beyond this many are forgotten: ten seconds of the usual 100 Hz. */
#define TICKS_OWED_MAX 1000u

/*
 * due ticks have come in all and *done of them were dealt with (done <= due). Returns whether to
 * deliver one now; *done moves on by what is settled by that.
 */
static inline bool tick_take(enum tick_policy policy, uint64_t *done, uint64_t due)
{
	uint64_t owed = due - *done;

	if (!owed)
		return false;
	if (policy == TICK_DELAY) {
		*done += owed > TICKS_OWED_MAX ? owed - TICKS_OWED_MAX : 1;
		return true;
	}
	*done = due;
	return policy == TICK_MERGE || owed == 1;
}

#endif
