/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store over a store that fails as told: for tests. Rules are looked at in the order they were
 * added; the first one that fits decides.
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum fault_kind {
	FAULT_ERROR,	/* -> @err, and the inner store never sees the request */
	FAULT_LOST,	/* the inner store does it; the answer is @err all the same */
	FAULT_HOLD,	/* held back until fault_release(); then done */
	FAULT_SHORT,	/* GET: at most @arg bytes of what was asked */
	FAULT_CORRUPT,	/* GET: bit @arg of the bytes read is flipped (modulo what there is) */
	FAULT_REPLACE,	/* PUT: a taken name is taken again; the answer is @err, if not 0 */
	FAULT_SHIFT,	/* GET: from @arg bytes further on */
	FAULT_FORGET,	/* LIST: the last name is left out */
	FAULT_ORDER,	/* LIST: the names come in reverse */
	FAULT_AFTER,	/* LIST: from the beginning, whatever it was to go on behind */
};

/**
 * struct fault_rule
 * @ops:	bits 1 << enum store_op it is for
 * @prefix:	of the names it is for ("" = all)
 * @part:	what these have in them somewhere ("" = anything)
 * @skip:	so many fitting requests pass first
 * @count:	then so many are hit; 0 = all
 */
struct fault_rule {
	enum fault_kind kind;
	unsigned int ops;
	char prefix[64];
	char part[32];
	uint32_t skip;
	uint32_t count;
	int err;
	uint64_t arg;
};

/* @inner stays the caller's: closed after this one. 0 or -ENOMEM. */
int fault_new(struct store **ret, struct store *inner);

/* Core lock held, as all of these. 0 or -ENOMEM. */
int fault_add(struct store *s, const struct fault_rule *r);
void fault_clear(struct store *s);		/* forgets all rules; what is held stays held */

/* Lets go of the oldest held request, in the inner store's time. False: none. */
bool fault_release(struct store *s);
unsigned int fault_held(const struct store *s);
uint64_t fault_hits(const struct store *s);	/* requests that a rule has hit */

/* Completes FAULT_ERROR answers that wait. Call it where mem_run() is called. False: none. */
bool fault_run(struct store *s);

#endif
