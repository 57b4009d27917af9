/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bill: what a volume that is used as somebody says would ask of a store in a month, by the
 * engine's own settings, and what that costs. Pure.
 */
#ifndef CMD_BILL_H
#define CMD_BILL_H

#include <stdint.h>

#include "store/price.h"

struct volume_opts;

/**
 * struct bill_load - a workload; bytes as they are stored, so after compression
 * @size:	kept in the store
 * @written:	a day, in @hours of it, in which there is always something to write
 * @read:	a day, from the store: what no cache has
 * @flushes:	a day, each with something new to store
 */
struct bill_load {
	uint64_t size, written, read, flushes;
	uint32_t hours;
};

#define BILL_BYTES_MAX	 (1ull << 58) /* a month of it fits 63 bits */
#define BILL_FLUSHES_MAX (1ull << 40)

/*
 * Requests and bytes of a month. No field is above its limit; @hours is 1 to 24. At most what the
 * engine does, since each cause of a segment is counted on its own.
 */
void bill_use(struct price_use *ret, const struct bill_load *l, const struct volume_opts *o);

/* What bill_use() takes for granted, in one line. Returns @out. */
#define BILL_ASSUMED_LEN 400
char *bill_assumed(char out[BILL_ASSUMED_LEN], const struct volume_opts *o);

#endif
