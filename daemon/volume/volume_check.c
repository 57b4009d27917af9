// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The checker of the invariants in vol.h and in the parts' headers; tests run it after each step.
 */
#include "volume/batch.h"
#include "volume/commit.h"
#include "volume/fetch.h"
#include "volume/journal.h"
#include "volume/vol.h"

static bool batch_known(const struct volume *v, uint32_t id)
{
	const struct batch *b;

	if (v->open && v->open->id == id)
		return true;
	list_for_each_entry(b, &v->batches, link)
		if (b->id == id)
			return true;
	return false;
}

static bool in_ring(const struct volume *v, const struct emap_ext *e)
{
	uint64_t pos = journal_block_pos(v->journal, e->pos), rec;
	uint32_t len;

	return journal_find(v->journal, pos, &rec, &len) &&
	       pos + ((uint64_t)e->nblocks << IO_BLOCK_SHIFT) <= rec + len;
}

static int check_overlay(struct volume *v)
{
	uint32_t i, j;
	uint64_t no;

	for (i = 0; i < v->overlay.nr_devs; i++) {
		struct emap_leaf *l;

		for (no = 0; (l = emap_next_leaf(&v->overlay.devs[i], &no)); no++) {
			for (j = 0; j < l->nr; j++) {
				const struct emap_ext *e = &l->ext[j];
				uint32_t ext;

				if (!batch_known(v, e->owner))
					return 30;
				if (e->kind == EMAP_JOURNAL && !in_ring(v, e))
					return 40;
				if (e->kind != EMAP_PAGE)
					continue;
				ext = arena_ext_at(&v->arena, (uint64_t)e->pos << IO_BLOCK_SHIFT);
				if (ext == ~0u || v->arena.exts[ext].state == ARENA_FREE ||
				    !v->arena.exts[ext].live)
					return 40;
			}
		}
	}
	return 0;
}

static int check_batches(const struct volume *v)
{
	uint64_t seq = 0, wno = v->applied_wno, sealed = 0;
	uint64_t dirty = v->open ? v->open->raw_bytes : 0;
	bool durable = true, replayed = false;
	const struct batch *b;

	list_for_each_entry(b, &v->batches, link) {
		/* replayed ones have the fences of earlier owners between them */
		if ((seq && (replayed ? b->seq <= seq : b->seq != seq + 1)) ||
		    b->first_wno != wno + 1 || b->last_wno < b->first_wno)
			return 20;
		seq = b->seq;
		replayed = b->replayed;
		wno = b->last_wno;
		sealed += b->mem;
		if (b->state == BATCH_COMMITTED && !durable)
			return 20;
		if (b->state != BATCH_COMMITTED) {
			durable = false;
			dirty += b->raw_bytes;
		}
		if (b->state == BATCH_PUT && b->seq >= v->lowest_seq + v->window)
			return 50;
	}
	if (seq && !replayed && seq + 1 != v->next_seq)
		return 20;
	if (v->open && v->open->ops && v->open->first_wno != wno + 1)
		return 20;
	if (dirty != v->dirty_bytes)
		return 80;
	if (v->spares.bytes && sealed + v->spares.bytes > v->sealed_cap)
		return 71;
	return sealed == v->sealed_bytes ? 0 : 70;
}

static int check_counts(struct volume *v)
{
	bool exact = !v->leaves.lost && leaves_all_known(v);

	if (segtab_check(&v->segs, &v->base, exact))
		return 90;
	if (v->mapped_blocks < v->base.blocks || (exact && v->mapped_blocks != v->base.blocks))
		return 90;
	return 0;
}

int volume_check(struct volume *v)
{
	const struct io_req *io;
	int bad;

	if (!vol_serving(v))
		return 0;
	if (v->committed_wno > v->last_wno || v->last_wno >= v->next_wno ||
	    v->applied_wno > v->committed_wno)
		return 10;
	bad = check_batches(v);
	if (!bad)
		bad = check_overlay(v);
	list_for_each_entry(io, &v->flushes, link)
		if (!bad && (uint64_t)(uintptr_t)io->vpriv[0] <= commit_durable_wno(v))
			bad = 60;
	if (!bad && fetch_check(v))
		bad = 72;
	if (!bad && emap_check(&v->base))
		bad = 101;
	if (!bad && emap_check(&v->overlay))
		bad = 102;
	if (!bad && arena_check(&v->arena))
		bad = 110 + arena_check(&v->arena);
	if (!bad && v->journal && journal_check(v->journal))
		bad = 140 + journal_check(v->journal);
	if (!bad && cache_check(&v->cache))
		bad = 120 + cache_check(&v->cache);
	if (!bad)
		bad = basemap_check(v);
	if (!bad && dead_check(v))
		bad = 160 + dead_check(v);
	if (!bad && !v->part_applied)
		bad = check_counts(v);
	return bad;
}
