/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a store that is reached over a network really sends: a request that is tried three times is
 * three on the bill.
 *
 *	attempts = requests answered (and pages of a LIST) + retried + errors + hedges
 *		   + those under way
 *
 * (an error without an attempt, for want of credentials or memory, makes the right side larger).
 */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include <stdint.h>

#include "base/hist.h"
#include "store/store.h"

/**
 * enum wire_cause - why an attempt failed
 * @WIRE_THROTTLED:	503, 429, or a code that says so
 * @WIRE_SERVER:	another 5xx
 * @WIRE_TIMEOUT:	no answer in time, or a code that says so
 * @WIRE_NETWORK:	no connection, or one that broke; a certificate that does not verify
 * @WIRE_AUTH:		401, 403, credentials that have expired, a clock that is wrong
 * @WIRE_OTHER:		the rest: another 4xx, a conflict, another region, an answer that is none
 */
enum wire_cause {
	WIRE_THROTTLED,
	WIRE_SERVER,
	WIRE_TIMEOUT,
	WIRE_NETWORK,
	WIRE_AUTH,
	WIRE_OTHER,
	WIRE_NR_CAUSES,
};

/**
 * struct wire_op - of one kind of request; counters as in base/count.h
 * @attempts:	HTTP requests that were begun
 * @retried:	attempts that failed and were followed by another, by cause
 * @errors:	requests that ended with an error, by cause of the last attempt
 * @hedges:	second attempts beside one that was late, and how many of them were faster
 * @bytes_up:	of bodies, as far as they went, of every attempt
 * @us:		from an attempt's begin to its end, without those that lost against a hedge
 */
struct wire_op {
	uint64_t attempts;
	uint64_t retried[WIRE_NR_CAUSES];
	uint64_t errors[WIRE_NR_CAUSES];
	uint64_t hedges, hedges_won;
	uint64_t bytes_up, bytes_down;
	struct hist us;
};

/* @host: which the requests go to, without bucket and port */
struct wire {
	char host[256];
	struct wire_op op[STORE_NR_OPS];
};

/* Adds @from, which another thread may be counting in, to @to, the caller's alone. */
void wire_merge(struct wire_op *to, const struct wire_op *from);

const char *wire_cause_name(enum wire_cause c); /* "throttled" */

#endif
