// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_cap.h"

#define US_PER_S  1000000u
#define PIECE_MIN 512u
#define PIECE_MAX 65536u

void s3_cap_init(struct s3_cap *c, uint64_t bps, uint64_t now_us)
{
	pthread_mutex_init(&c->lock, NULL);
	c->bps = bps;
	c->credit = 1;
	c->at_us = now_us;
}

void s3_cap_destroy(struct s3_cap *c)
{
	pthread_mutex_destroy(&c->lock);
}

/* Credit of a tenth of a second at most: a cap has no bursts to speak of. */
static void refill(struct s3_cap *c, uint64_t now_us)
{
	uint64_t us = now_us > c->at_us ? now_us - c->at_us : 0;
	int64_t most = (int64_t)(c->bps / 10 + 1), more;

	if (us > 3600ull * US_PER_S)
		us = 3600ull * US_PER_S;
	more = (int64_t)(us * (c->bps / 1000) / 1000);
	if (!more)
		return; /* what is less than a byte counts later */
	c->at_us = now_us;
	c->credit = c->credit + more < most ? c->credit + more : most;
}

size_t s3_cap_piece(const struct s3_cap *c)
{
	uint64_t n = c->bps / 4;

	return n < PIECE_MIN ? PIECE_MIN : n > PIECE_MAX ? PIECE_MAX : (size_t)n;
}

bool s3_cap_take(struct s3_cap *c, uint64_t now_us, size_t n)
{
	bool yes;

	if (!c->bps)
		return true;
	pthread_mutex_lock(&c->lock);
	refill(c, now_us);
	yes = c->credit > 0;
	if (yes)
		c->credit -= (int64_t)n;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

uint64_t s3_cap_ready_us(struct s3_cap *c, uint64_t now_us)
{
	uint64_t at = now_us;

	if (!c->bps)
		return at;
	pthread_mutex_lock(&c->lock);
	refill(c, now_us);
	if (c->credit <= 0)
		at += (uint64_t)(1 - c->credit) * 1000 / (c->bps / 1000) + 1;
	pthread_mutex_unlock(&c->lock);
	return at;
}
