/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runs of extents that leaves of the base map are loaded from: their indexes, oldest run first.
 * They say which blocks of a device may be in a run, and in which blocks of it.
 *
 * Threads: core lock; a worker may read the indexes of runs while loads are under way.
 */
#ifndef VOLUME_RUNS_H
#define VOLUME_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt_run.h"

struct runs {
	struct fmt_run_index *x;
	uint32_t nr;
	uint64_t bytes;			/* heap memory */
};

void runs_free(struct runs *r);		/* it is empty then */

/*
 * Blocks [*ret_first, return) of run @x that may hold something of [lba, lba + n) of device @dev;
 * none if both are equal.
 */
uint32_t runs_blocks(const struct fmt_run_index *x, uint32_t dev, uint64_t lba, uint64_t n,
		     uint32_t *ret_first);

/* What block @i may hold of device @dev: false: nothing; else [*ret_from, *ret_to). */
bool runs_range(const struct fmt_run_index *x, uint32_t i, uint32_t dev, uint64_t *ret_from,
		uint64_t *ret_to);

/* The first block of the device at or behind @lba that a run may hold, ~0: none. */
uint64_t runs_next(const struct runs *r, uint32_t dev, uint64_t lba);

#endif
