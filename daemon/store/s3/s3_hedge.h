/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a small GET that has not been answered is asked a second time, on another connection: after
 * what 99 of 100 took, 300 ms at least; and for one in twenty at most, so that a store that has
 * become slow as a whole is not asked everything twice. Pure. One thread.
 */
#ifndef S3_S3_HEDGE_H
#define S3_S3_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

#define S3_HEDGE_MIN   300000u	/* microseconds */
#define S3_HEDGE_MAX   2000000u
#define S3_HEDGE_SMALL 524288u	/* bytes: above, a GET is not small */
#define S3_HEDGE_BUCKETS 96u	/* quarters of an octave */
#define S3_HEDGE_MEMORY 1024u	/* GETs; then all counts are halved */
#define S3_HEDGE_ENOUGH 100u	/* below so many there is no p99 */

struct s3_hedge {
	uint32_t count[S3_HEDGE_BUCKETS];
	uint32_t n;
	uint32_t credit; /* twentieths of a hedge */
};

void s3_hedge_init(struct s3_hedge *h);

/* A small GET was answered after @us. */
void s3_hedge_add(struct s3_hedge *h, uint64_t us);

/* How long to wait before the second is sent. */
uint64_t s3_hedge_delay_us(const struct s3_hedge *h);

/* Whether one may be sent; it is counted then. */
bool s3_hedge_take(struct s3_hedge *h);

#endif
