// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/spill.h"

#include "io.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/vol.h"

#define MAPS_SHARE 32u /* of volume_opts.memory */

bool spill_maps_full(const struct volume *v)
{
	const struct batch *first =
		list_empty(&v->batches) ? NULL : list_first_entry(&v->batches, struct batch, link);

	/* what lies in the arena is bounded by it */
	return first && first->parked &&
	       v->overlay.bytes + v->batch_bytes > v->o.memory / MAPS_SHARE;
}

static bool pressed(const struct volume *v)
{
	return v->starving || !list_empty(&v->held);
}

/*
 * While a worker reads the batch's pages it cannot be parked; one that is committed is about to
 * give everything back by itself, and its records with it.
 */
static bool parkable(const struct volume *v, const struct batch *b)
{
	return b->state != BATCH_ENCODING && b->state != BATCH_LOADING &&
	       b->state != BATCH_COMMITTED && b->last_wno <= v->journal->written;
}

/* False: the ring does not have all of it, or it is not known where. */
static bool park(struct volume *v, struct batch *b)
{
	uint32_t from = arena_after(&v->arena, b->first_wno - 1), at;
	struct fmt_arena_rec r;

	for (at = from; arena_nth(&v->arena, at, &r) && r.wno <= b->last_wno; at++)
		if (r.op == FMT_ARENA_WRITE && arena_ring_block(&v->arena, at) == ~0u)
			return false;
	for (at = from; arena_nth(&v->arena, at, &r) && r.wno <= b->last_wno; at++)
		if (r.op == FMT_ARENA_WRITE)
			emap_to_journal(emap_dev(&v->overlay, r.dev), r.lba, r.blocks, b->id, r.wno,
					arena_ring_block(&v->arena, at));
	b->parked = true;
	v->st.parked++;
	return true;
}

void spill_pump(struct volume *v)
{
	struct journal *j = v->journal;
	struct batch *b;

	if (!j || j->state != JOURNAL_ACTIVE || !vol_serving(v) || !pressed(v))
		return;
	list_for_each_entry(b, &v->batches, link) {
		if (!b->parked && (!parkable(v, b) || !park(v, b)))
			break;
		arena_spill(&v->arena, b->last_wno);
	}
	/* what comes next is wanted in the ring, too */
	if (j->spill_to < v->last_wno)
		j->spill_to = v->last_wno;
}
