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
};

static inline uint64_t clock_mono_us(struct clock *c)
{
	return c->ops->mono_us(c);
}

static inline uint64_t clock_real_us(struct clock *c)
{
	return c->ops->real_us(c);
}

/* The machine's own clock; a constant object, never freed. Any thread. */
struct clock *clock_system(void);

#endif
