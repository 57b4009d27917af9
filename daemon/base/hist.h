/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A histogram of times: four buckets an octave, so that a value is known to a quarter of itself. */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include <stdint.h>

#define HIST_BUCKETS 124u /* up to 2^32; what is beyond is in the last one */

/* Counters as in base/count.h: one thread adds. */
struct hist {
	uint64_t n, sum, max;
	uint64_t count[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t v);

/* Adds @from, which another thread may be adding to, to @to, which is the caller's alone. */
void hist_merge(struct hist *to, const struct hist *from);

/* The first value beyond bucket @b; that of the last one is 2^32 all the same. */
uint64_t hist_upper(unsigned int b);

/*
 * The value that a share @permille of the values do not exceed, interpolated in its bucket and not
 * above the largest value. 0 if there are none. @h is the caller's alone.
 */
uint64_t hist_quantile(const struct hist *h, unsigned int permille);

#endif
