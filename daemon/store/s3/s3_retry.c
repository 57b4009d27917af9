// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_retry.h"

#include <errno.h>
#include <sodium.h>

#include "base/clock.h"

void s3_retry_init(struct s3_retry *r, struct clock *clock)
{
	r->clock = clock;
	r->tokens = S3_RETRY_TOKENS;
}

static uint64_t pause_us(uint32_t failed, bool throttled)
{
	uint64_t us = throttled ? S3_RETRY_BASE_THROTTLED : S3_RETRY_BASE;

	for (uint32_t i = 0; i < failed && us < S3_RETRY_MAX; i++)
		us *= 2;
	return us < S3_RETRY_MAX ? us : S3_RETRY_MAX;
}

bool s3_retry_failed(struct s3_retry *r, struct s3_retry_call *c, const struct s3_error *e,
		     uint64_t after_us, uint64_t *at_us)
{
	uint32_t cost = e->err == -ETIMEDOUT ? S3_RETRY_COST_TIMEOUT : S3_RETRY_COST;
	uint64_t us;

	if (e->act != S3_ERROR_RETRY && e->act != S3_ERROR_THROTTLED)
		return false;
	if (c->tries + 1 >= S3_RETRY_TRIES || r->tokens < cost)
		return false;
	r->tokens -= cost;
	us = randombytes_uniform((uint32_t)pause_us(c->tries, e->act == S3_ERROR_THROTTLED) + 1);
	if (after_us > S3_RETRY_MAX)
		after_us = S3_RETRY_MAX;
	c->tries++;
	*at_us = clock_mono_us(r->clock) + (us > after_us ? us : after_us);
	return true;
}

bool s3_retry_fixed(struct s3_retry_call *c)
{
	if (c->fixes >= S3_RETRY_FIXES)
		return false;
	c->fixes++;
	return true;
}

void s3_retry_answered(struct s3_retry *r, const struct s3_retry_call *c)
{
	uint32_t back = c->tries ? S3_RETRY_COST : 1;

	r->tokens = r->tokens + back < S3_RETRY_TOKENS ? r->tokens + back : S3_RETRY_TOKENS;
}
