/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store over a store that counts. */
#ifndef STORE_STAT_H
#define STORE_STAT_H

#include <stdint.h>

#include "store/store.h"

struct clock;

/* bucket b: latency in [2^b, 2^(b+1)) microseconds; 0 also holds below 1 */
#define STAT_BUCKETS	32

struct stat_op {
	uint64_t requests;	/* completed */
	/* -EEXIST of a PUT and -ENOENT of a GET are answers, counted apart */
	uint64_t errors;
	uint64_t answers;	/* ... here */
	uint64_t bytes;		/* PUT: of the body, when it succeeded; GET: read */
	uint64_t entries;	/* LIST */
	uint64_t us_sum, us_max;
	uint64_t us_hist[STAT_BUCKETS];
	uint32_t inflight, inflight_max;
};

struct stat_counters {
	struct stat_op op[STORE_NR_OPS];
};

/* @inner becomes this store's: closed with it. 0 or -ENOMEM (@inner is then still the caller's). */
int stat_new(struct store **ret, struct store *inner, struct clock *clock);

/* Core lock held. The counters live as long as the store. */
const struct stat_counters *stat_get(const struct store *s);

/*
 * Latency below which a share @permille of requests stayed: upper bound of its bucket, in us. 0
 * without requests.
 */
uint64_t stat_quantile(const struct stat_op *o, unsigned int permille);

const char *stat_op_name(enum store_op op);	/* "put", "get", "list", "delete" */

#endif
