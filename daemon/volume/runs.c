// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/runs.h"

#include <stdlib.h>

void runs_free(struct runs *r)
{
	uint32_t i;

	for (i = 0; i < r->nr; i++)
		fmt_run_index_free(&r->x[i]);
	free(r->x);
	*r = (struct runs){ 0 };
}

static bool before(uint32_t dev_a, uint64_t lba_a, uint32_t dev_b, uint64_t lba_b)
{
	return dev_a < dev_b || (dev_a == dev_b && lba_a < lba_b);
}

/* How many blocks of the run begin before (dev, lba). */
static uint32_t begun(const struct fmt_run_index *x, uint32_t dev, uint64_t lba)
{
	uint32_t lo = 0, hi = x->nr_blocks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (before(x->blocks[mid].first_dev, x->blocks[mid].first_lba, dev, lba))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The key behind block @i: that of the next block, or the one behind the run's last. */
static void end_of(const struct fmt_run_index *x, uint32_t i, uint32_t *ret_dev, uint64_t *ret_lba)
{
	bool last = i + 1 == x->nr_blocks;

	*ret_dev = last ? x->ref.last_dev : x->blocks[i + 1].first_dev;
	*ret_lba = last ? x->ref.last_lba + 1 : x->blocks[i + 1].first_lba;
}

uint32_t runs_blocks(const struct fmt_run_index *x, uint32_t dev, uint64_t lba, uint64_t n,
		     uint32_t *ret_first)
{
	uint32_t first = begun(x, dev, lba + 1), end_dev;
	uint64_t end_lba;

	/* the block that begins at or before lba, unless it ends there */
	if (first) {
		end_of(x, first - 1, &end_dev, &end_lba);
		if (before(dev, lba, end_dev, end_lba))
			first--;
	}
	*ret_first = first;
	return begun(x, dev, lba + n);
}

bool runs_range(const struct fmt_run_index *x, uint32_t i, uint32_t dev, uint64_t *ret_from,
		uint64_t *ret_to)
{
	const struct fmt_run_block *b = &x->blocks[i];
	uint32_t end_dev;
	uint64_t end_lba;

	end_of(x, i, &end_dev, &end_lba);
	if (b->first_dev > dev || !before(dev, 0, end_dev, end_lba))
		return false;
	*ret_from = b->first_dev == dev ? b->first_lba : 0;
	*ret_to = end_dev == dev ? end_lba : UINT64_MAX;
	return true;
}

uint64_t runs_next(const struct runs *r, uint32_t dev, uint64_t lba)
{
	uint64_t best = UINT64_MAX, from, to;
	uint32_t i, k;

	for (i = 0; i < r->nr; i++) {
		const struct fmt_run_index *x = &r->x[i];

		for (k = begun(x, dev, lba + 1); k <= x->nr_blocks; k++) {
			/* first the block that lba may lie in, then the one behind it */
			if (k && runs_range(x, k - 1, dev, &from, &to) && to > lba) {
				from = from > lba ? from : lba;
				best = from < best ? from : best;
				break;
			}
			if (k < x->nr_blocks && x->blocks[k].first_dev > dev)
				break;
		}
	}
	return best;
}
