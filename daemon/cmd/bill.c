// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/bill.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "volume/checkpoint.h"
#include "volume/lease.h"
#include "volume/volume.h"

#define MONTH_HOURS (PRICE_MONTH_US / 3600000000ull)
#define DAY_HOURS   24u

static uint64_t monthly(uint64_t a_day)
{
	return (uint64_t)((unsigned __int128)a_day * MONTH_HOURS / DAY_HOURS);
}

/* Full ones, or as many as are cut for their age: what there is more of. And one a FLUSH. */
static uint64_t segments_a_day(const struct bill_load *l, const struct volume_opts *o)
{
	uint64_t full = (l->written + o->segment_bytes - 1) / o->segment_bytes;
	uint64_t aged = l->hours * 3600000ull / o->segment_age_ms;

	if (!l->written)
		return 0;
	return (full > aged ? full : aged) + l->flushes;
}

void bill_use(struct price_use *ret, const struct bill_load *l, const struct volume_opts *o)
{
	uint64_t segments = monthly(segments_a_day(l, o));
	uint64_t checkpoints = segments / o->checkpoint_segments;

	memset(ret, 0, sizeof(*ret));
	ret->us = PRICE_MONTH_US;
	ret->stored = l->size;
	ret->egress = monthly(l->read);
	ret->requests[PRICE_PUT] =
		segments + checkpoints * CHECKPOINT_PUTS + PRICE_MONTH_US / LEASE_PERIOD;
	ret->requests[PRICE_LIST] = checkpoints * CHECKPOINT_LISTS;
	ret->requests[PRICE_GET] = (ret->egress + o->frame_bytes - 1) / o->frame_bytes;
	/* In the long run what is written goes again. */
	ret->requests[PRICE_DELETE] = segments + checkpoints * CHECKPOINT_DELETES;
}

char *bill_assumed(char out[BILL_ASSUMED_LEN], const struct volume_opts *o)
{
	char segment[PARSE_SIZE_STR], frame[PARSE_SIZE_STR];

	snprintf(out, BILL_ASSUMED_LEN,
		 "bytes as stored, after compression; a PUT per segment of %s or %g s, whichever "
		 "comes first, and per FLUSH; %u PUT and %u LIST per %u segments; a lease every "
		 "%llu s; a GET per %s read from the store, none for what a cache has; month of "
		 "%llu hours",
		 parse_size_str(segment, o->segment_bytes), o->segment_age_ms / 1000.0,
		 CHECKPOINT_PUTS, CHECKPOINT_LISTS, o->checkpoint_segments, LEASE_PERIOD / 1000000,
		 parse_size_str(frame, o->frame_bytes), (unsigned long long)MONTH_HOURS);
	return out;
}
