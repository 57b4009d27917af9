/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store over a store that counts. */
#ifndef STORE_STAT_H
#define STORE_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hist.h"
#include "store/store.h"

struct clock;

struct stat_op {
	uint64_t requests;	/* completed */
	/* -EEXIST of a PUT and -ENOENT of a GET are answers, counted apart */
	uint64_t errors;
	uint64_t answers;	/* ... here */
	uint64_t bytes;		/* PUT: of the body, when it succeeded; GET: read */
	uint64_t entries;	/* LIST */
	struct hist us;		/* from the call to its answer, all tries together */
	uint32_t inflight, inflight_max;
};

struct stat_counters {
	struct stat_op op[STORE_NR_OPS];
};

/* @inner becomes this store's: closed with it. 0 or -ENOMEM (@inner is then still the caller's). */
int stat_new(struct store **ret, struct store *inner, struct clock *clock);

/* Core lock held. The counters live as long as the store. */
const struct stat_counters *stat_get(const struct store *s);

/**
 * struct stat_usage - what is paid for, of a span of time
 * @us:		how long that is
 * @wire:	requests and bytes are those of store_wire(), every attempt one; false: as the store
 *		was asked
 */
struct stat_usage {
	uint64_t us;
	bool wire;
	uint64_t requests[STORE_NR_OPS];
	uint64_t bytes_up, bytes_down;
};

/*
 * Since the store was opened, and over the last hour (all of it, if it is shorter). Core lock held.
 */
void stat_usage(struct store *s, struct stat_usage *ret_all, struct stat_usage *ret_hour);

const char *stat_op_name(enum store_op op);	/* "put", "get", "list", "delete" */

#endif
