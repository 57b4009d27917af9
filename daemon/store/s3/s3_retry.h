/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a failed request is tried again: full jitter, min(2^i * base, 20 s), and a budget that tries
 * of all requests share, so that a store in trouble is not asked many times as much as one in
 * health. Pure but for the clock and libsodium's generator.
 *
 * Threads: one at a time for a budget.
 */
#ifndef S3_S3_RETRY_H
#define S3_S3_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/s3/s3_error.h"

struct clock;

#define S3_RETRY_TRIES	    6u /* in all; who asked goes on with pauses of seconds */
#define S3_RETRY_BASE	    50000u /* microseconds */
#define S3_RETRY_BASE_THROTTLED 1000000u
#define S3_RETRY_MAX	    20000000u
#define S3_RETRY_TOKENS	    500u
#define S3_RETRY_COST	    5u
#define S3_RETRY_COST_TIMEOUT 10u

struct s3_retry {
	struct clock *clock;
	uint32_t tokens;
};

/* Of one request. Zero to begin. */
struct s3_retry_call {
	uint32_t tries; /* that failed */
	uint32_t fixes; /* that something was set right after, at once: clock, keys, region */
};

#define S3_RETRY_FIXES 3u

void s3_retry_init(struct s3_retry *r, struct clock *clock);

/*
 * A try failed with @e, and the store asks to be left alone for @after_us (0: it did not say).
 * True: again at *@at_us (monotonic). False: @e.err is the result.
 */
bool s3_retry_failed(struct s3_retry *r, struct s3_retry_call *c, const struct s3_error *e,
		     uint64_t after_us, uint64_t *at_us);

/* True: again at once, as something was set right. No more than S3_RETRY_FIXES times. */
bool s3_retry_fixed(struct s3_retry_call *c);

/* A request was answered. */
void s3_retry_answered(struct s3_retry *r, const struct s3_retry_call *c);

#endif
