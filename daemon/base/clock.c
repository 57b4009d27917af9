// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/clock.h"

#include <time.h>

static uint64_t now_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t system_mono(struct clock *c)
{
	(void)c;
	return now_us(CLOCK_MONOTONIC);
}

static uint64_t system_real(struct clock *c)
{
	(void)c;
	return now_us(CLOCK_REALTIME);
}

struct clock *clock_system(void)
{
	static const struct clock_ops ops = {
		.mono_us = system_mono,
		.real_us = system_real,
	};
	static struct clock system_clock = { .ops = &ops };

	return &system_clock;
}
