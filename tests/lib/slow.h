/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slow: a store behind a thin line, in the time of a test: PUTs share so many bytes a second among
 * them, and each takes a time of its own besides; all else takes that time. Objects lie in a
 * store_mem, segments without their bytes. Single-threaded.
 */
#ifndef SLOW_H
#define SLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct slow {
	struct store store;
	struct store *mem;
	uint64_t bytes_per_s, latency_us;
	bool each;			/* each PUT has as many, however many there are */
	bool away;			/* nothing moves */
	struct list_head calls;
	uint64_t now_us;
	uint64_t put_bytes;		/* carried out */
};

void slow_init(struct slow *s, struct store *mem, uint64_t bytes_per_s, uint64_t latency_us);

/* When a request ends next, ~0 = never. */
uint64_t slow_next(const struct slow *s);

/* Time is @now: what has got through meanwhile ends. */
void slow_advance(struct slow *s, uint64_t now_us);

/* The client dies: what is under way ends with -EIO, and does not get there. */
void slow_die(struct slow *s);

#endif
