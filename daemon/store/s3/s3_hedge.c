// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_hedge.h"

#include <string.h>

#define ONE   20u
#define SAVED (10u * ONE)

void s3_hedge_init(struct s3_hedge *h)
{
	memset(h, 0, sizeof(*h));
	h->credit = SAVED;
}

static unsigned int bucket(uint64_t us)
{
	unsigned int log, b;

	if (us < 4)
		return (unsigned int)us;
	log = 63u - (unsigned int)__builtin_clzll(us);
	b = log * 4 + (unsigned int)(us >> (log - 2) & 3) - 4;
	return b < S3_HEDGE_BUCKETS ? b : S3_HEDGE_BUCKETS - 1;
}

/* The first value beyond bucket @b. */
static uint64_t upper(unsigned int b)
{
	b++;
	if (b < 4)
		return b;
	return (uint64_t)(4 + (b & 3)) << ((b + 4) / 4 - 2);
}

void s3_hedge_add(struct s3_hedge *h, uint64_t us)
{
	h->count[bucket(us)]++;
	h->n++;
	if (h->credit < SAVED)
		h->credit++;
	if (h->n < S3_HEDGE_MEMORY)
		return;
	h->n = 0;
	for (unsigned int i = 0; i < S3_HEDGE_BUCKETS; i++) {
		h->count[i] /= 2;
		h->n += h->count[i];
	}
}

uint64_t s3_hedge_delay_us(const struct s3_hedge *h)
{
	uint32_t beyond = 0, allowed = h->n / 100;
	unsigned int b = S3_HEDGE_BUCKETS;
	uint64_t us;

	if (h->n < S3_HEDGE_ENOUGH)
		return S3_HEDGE_MIN;
	while (b && beyond + h->count[b - 1] <= allowed)
		beyond += h->count[--b];
	us = b ? upper(b - 1) : 0;
	return us < S3_HEDGE_MIN ? S3_HEDGE_MIN : us > S3_HEDGE_MAX ? S3_HEDGE_MAX : us;
}

bool s3_hedge_take(struct s3_hedge *h)
{
	if (h->credit < ONE)
		return false;
	h->credit -= ONE;
	return true;
}
