// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/hist.h"

#include "base/count.h"

static unsigned int bucket(uint64_t v)
{
	unsigned int log, b;

	if (v < 4)
		return (unsigned int)v;
	log = 63u - (unsigned int)__builtin_clzll(v);
	b = log * 4 + (unsigned int)(v >> (log - 2) & 3) - 4;
	return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

uint64_t hist_upper(unsigned int b)
{
	b++;
	if (b < 4)
		return b;
	return (uint64_t)(4 + (b & 3)) << ((b + 4) / 4 - 2);
}

void hist_add(struct hist *h, uint64_t v)
{
	count_add(&h->n, 1);
	count_add(&h->sum, v);
	count_max(&h->max, v);
	count_add(&h->count[bucket(v)], 1);
}

void hist_merge(struct hist *to, const struct hist *from)
{
	uint64_t max = count_read(&from->max);

	to->sum += count_read(&from->sum);
	if (max > to->max)
		to->max = max;
	for (unsigned int b = 0; b < HIST_BUCKETS; b++) {
		uint64_t n = count_read(&from->count[b]);

		to->count[b] += n;
		to->n += n; /* not from->n: it may be of another moment */
	}
}

uint64_t hist_quantile(const struct hist *h, unsigned int permille)
{
	uint64_t want = (uint64_t)(((unsigned __int128)h->n * permille + 999) / 1000), below = 0;

	if (!h->n)
		return 0;
	if (!want)
		want = 1;
	for (unsigned int b = 0; b < HIST_BUCKETS; b++) {
		uint64_t lo = b ? hist_upper(b - 1) : 0, v;

		if (below + h->count[b] < want) {
			below += h->count[b];
			continue;
		}
		if (b == HIST_BUCKETS - 1)
			break; /* it has no end to speak of */
		v = lo + (uint64_t)((unsigned __int128)(hist_upper(b) - 1 - lo) * (want - below) /
				    h->count[b]);
		return v < h->max ? v : h->max;
	}
	return h->max;
}
