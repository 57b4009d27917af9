/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time by vtable, so that tests and the simulator set it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock_ops;

struct clock {
	const struct clock_ops *ops;
};

struct clock_ops {
	uint64_t (*mono_us)(struct clock *c);	/* never goes back */
	uint64_t (*real_us)(struct clock *c);	/* since the epoch, for people only */
	/* when mono_us will be @at_us, by CLOCK_MONOTONIC; NULL: then, too */
	uint64_t (*wake_us)(struct clock *c, uint64_t at_us);
};

static inline uint64_t clock_mono_us(struct clock *c)
{
	return c->ops->mono_us(c);
}

static inline uint64_t clock_real_us(struct clock *c)
{
	return c->ops->real_us(c);
}

/*
 * For who sleeps until it is @at_us by @c: the same moment by CLOCK_MONOTONIC; ~0 = never stays. He
 * looks again when he wakes: a clock that is set for a test may have changed its speed.
 */
static inline uint64_t clock_wake_us(struct clock *c, uint64_t at_us)
{
	return c->ops->wake_us && at_us != UINT64_MAX ? c->ops->wake_us(c, at_us) : at_us;
}

/* The machine's own clock; a constant object, never freed. Any thread. */
struct clock *clock_system(void);

#endif
