/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 real-time clock of a PC with its 128 bytes of CMOS memory, ports 0x70 and 0x71.
 * Follows the host's wall clock, plus what the guest shifted it by.
 */
#ifndef CHIPSET_RTC_H
#define CHIPSET_RTC_H

#include "base/error.h"
#include "chipset/tick_policy.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

#define RTC_CENTURY 0x32 /* index of the century byte, for the FADT */

struct rtc;

struct rtc_params {
	struct bus *pio;
	struct clock *clock;
	struct irq_line irq;	 /* IRQ 8 */
	bool is_local_time;	 /* show the host's local time instead of UTC */
	uint64_t ram_below_4g;	 /* bytes, from 0 to the hole; for the size bytes in CMOS */
	uint64_t ram_above_4g;	 /* bytes, from 4 GiB */
	enum tick_policy missed; /* of the periodic interrupt */

	/* Nanoseconds since 1970 UTC; NULL: the host's CLOCK_REALTIME. */
	uint64_t (*wall_ns)(void *ctx);
	void *ctx;
};

struct rtc *rtc_new(const struct rtc_params *params, struct error *err);
struct device *rtc_device(struct rtc *rtc);

/* A byte of CMOS memory (index 0x0e-0x7f) that firmware looks at. With the vCPUs stopped. */
void rtc_set_cmos(struct rtc *rtc, unsigned index, uint8_t value);

#endif
