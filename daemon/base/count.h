/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters with one thread that writes and any that read. A reader sees each counter as it was at
 * some moment, not all of them as of the same.
 */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdint.h>

static inline uint64_t count_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

/* The writer's thread. */
static inline void count_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, count_read(c) + n, __ATOMIC_RELAXED);
}

/* The same: raises it to @v. */
static inline void count_max(uint64_t *c, uint64_t v)
{
	if (v > count_read(c))
		__atomic_store_n(c, v, __ATOMIC_RELAXED);
}

#endif
