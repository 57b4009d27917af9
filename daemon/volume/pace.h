/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the kernel gets extents to write to when the store does not follow: docs/DESIGN.md 2.13.
 * Threads: core lock.
 */
#ifndef VOLUME_PACE_H
#define VOLUME_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct volume;

#define PACE_EXTENTS 512u /* the rate is taken over twice as many as there are, or over these */

/**
 * struct pace - how fast extents have become free of late
 * @posted:	extents, ever
 * @freed:	those that have become free, ever; the first @base were free at the start
 * @at:		when the last ones did, by number: in time that segments were under way
 * @busy_us:	that time, without the span that began at
 * @since_us:	when a segment was under way again (0: none is)
 * @next_us:	no extent is posted before
 * @wanted:	the kernel has none left since the last one was posted
 */
struct pace {
	uint64_t posted, freed, base;
	uint64_t at[PACE_EXTENTS];
	uint64_t busy_us, since_us, next_us;
	bool wanted;
};

/* Extents go to the kernel from here on. */
void pace_start(struct volume *v);

/* A segment is under way; none is any more. */
void pace_busy(struct volume *v);
void pace_idle(struct volume *v);

/* May a free extent, if there is one, be posted now? */
bool pace_may_post(struct volume *v);
void pace_posted(struct volume *v);

/*
 * The kernel has no extent left. True: there are free ones, and it gets the next one at
 * pace_deadline(), ~0 = it waits for none.
 */
bool pace_starved(struct volume *v);
uint64_t pace_deadline(const struct volume *v);

#endif
