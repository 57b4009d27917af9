// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commit point: see commit.h.
 *
 * Happy path: a PUT ends; if it was the lowest one, the commit point passes it and all that are
 * durable behind it; waiting flushes up to there are answered; then each committed batch replaces
 * its overlay pieces by frames in the base map, and its index entries in the arena are cleared.
 * Only then may its extents be posted again: until the base map has a block, the overlay's page is
 * where it is read from. Failure modes: a leaf of the base map is not in memory, or no memory: what
 * has been applied stays (setting an extent twice is harmless, it is in both maps then and the
 * overlay wins), the rest follows when the leaf is there, or at the next tick.
 */
#include "volume/commit.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "io.h"
#include "volume/basemap.h"
#include "volume/batch.h"
#include "volume/checkpoint.h"
#include "volume/contact.h"
#include "volume/journal.h"
#include "volume/pace.h"
#include "volume/seal.h"
#include "volume/spill.h"
#include "volume/uploader.h"
#include "volume/vol.h"

/* vpriv[0] of a waiting FLUSH or FUA: the number it waits for. */
static uint64_t waits_for(const struct io_req *io)
{
	return (uint64_t)(uintptr_t)io->vpriv[0];
}

static void answer(struct volume *v, struct io_req *io, int err)
{
	io->res = err;
	io->dur = err ? 0 : commit_durable_wno(v);
	io->done(io);
}

uint64_t commit_dirty_since(const struct volume *v)
{
	const struct batch *b;

	list_for_each_entry(b, &v->batches, link)
		if (b->state != BATCH_COMMITTED)
			return b->opened_us;
	return batch_dirty(v) ? v->open->opened_us : ~0ull;
}

bool commit_overdue(const struct volume *v)
{
	uint64_t since;

	if (!v->o.max_dirty_age_ms)
		return false;
	since = commit_dirty_since(v);
	return since != ~0ull &&
	       clock_mono_us(v->env.clock) - since >= (uint64_t)v->o.max_dirty_age_ms * 1000;
}

uint64_t commit_durable_wno(const struct volume *v)
{
	const struct journal *j = v->journal;

	/* a journal that has failed still holds what it held before */
	if (v->o.flush_local && j && j->written > v->committed_wno && !commit_overdue(v) &&
	    contact_ok(v))
		return j->written;
	return v->committed_wno;
}

uint64_t commit_wanted(const struct volume *v)
{
	return list_empty(&v->flushes) ?
		       0 :
		       waits_for(list_entry(v->flushes.prev, struct io_req, link));
}

void commit_wait(struct volume *v, struct io_req *io, uint64_t wno)
{
	struct io_req *at;

	if (wno <= commit_durable_wno(v)) {
		answer(v, io, 0);
		return;
	}
	io->vpriv[0] = (void *)(uintptr_t)wno;
	v->nr_flushes++;
	/* numbers ascend but for a FLUSH between FUAs that are held; search from the end */
	for (struct list_head *p = v->flushes.prev; p != &v->flushes; p = p->prev) {
		at = list_entry(p, struct io_req, link);
		if (waits_for(at) <= wno) {
			list_add(&io->link, p);
			return;
		}
	}
	list_add(&io->link, &v->flushes);
}

void commit_answer(struct volume *v)
{
	uint64_t durable = commit_durable_wno(v);

	while (!list_empty(&v->flushes)) {
		struct io_req *io = list_first_entry(&v->flushes, struct io_req, link);

		if (waits_for(io) > durable)
			return;
		list_del(&io->link);
		v->nr_flushes--;
		answer(v, io, 0);
	}
}

void commit_fail_waiters(struct volume *v, int err)
{
	while (!list_empty(&v->flushes)) {
		struct io_req *io = list_first_entry(&v->flushes, struct io_req, link);

		list_del(&io->link);
		v->nr_flushes--;
		answer(v, io, err);
	}
}

/* ---- into the base map ------------------------------------------------------------------- */

static int apply_piece(struct volume *v, const struct batch *b, const struct batch_piece *p,
		       uint32_t seg)
{
	struct emap_dev *d = emap_dev(&v->base, p->dev);
	const struct fmt_frame *f = &b->frames[p->frame];
	struct emap_ext e = { .kind = EMAP_FRAME,
			      .owner = seg,
			      .wno = p->wno,
			      .nblocks = p->blocks,
			      .delta = p->block };

	if (p->kind != FMT_E_DATA)
		return basemap_zero(v, d, p->lba, p->blocks, p->wno);
	e.fblocks = f->blocks;
	e.codec = f->codec;
	e.pos = f->off;
	e.stored = f->stored_len;
	return basemap_set(v, d, p->lba, &e);
}

static int apply_batch(struct volume *v, struct batch *b)
{
	struct fmt_segrec rec;
	int err = 0;

	if (b->seg_index == ~0u) {
		segtab_rec(&rec, &b->seg);
		err = segtab_append(&v->segs, &rec);
		if (err)
			return err;
		b->seg_index = v->segs.nr - 1;
	}
	while (b->nr_applied < b->nr_pieces) {
		err = apply_piece(v, b, &b->pieces[b->nr_applied], b->seg_index);
		if (err)
			return err;
		b->nr_applied++;
	}
	segtab_applied(&v->segs, b->seg_index);
	return 0;
}

/* What the next few batches will need, the first one first. */
static void prefetch(struct volume *v)
{
	const struct batch *b;

	list_for_each_entry(b, &v->batches, link) {
		if (b->state != BATCH_COMMITTED)
			return;
		leaves_prefetch(v, b->leaves, b->nr_leaves);
	}
}

void commit_apply(struct volume *v)
{
	bool any = false;
	int err;

	while (!v->frozen && !list_empty(&v->batches)) {
		struct batch *b = list_first_entry(&v->batches, struct batch, link);

		if (b->state != BATCH_COMMITTED)
			break;
		v->part_applied = true;
		err = apply_batch(v, b);
		if (err == -EAGAIN) { /* their end calls again */
			prefetch(v);
			break;
		}
		if (err) {
			volume_retry(v);
			break;
		}
		batch_purge(v, b);
		v->applied_wno = b->last_wno;
		v->part_applied = false;
		v->replay_from = b->seq + 1;
		memcpy(v->replay_chain, b->seg.hash, sizeof(v->replay_chain));
		v->segments_since++;
		arena_trim(&v->arena, b->last_wno);
		list_del(&b->link);
		batch_free(b);
		any = true;
		/* now, between two batches: the next one may have to wait for leaves */
		checkpoint_due(v);
	}
	if (any) {
		v->wake = true;
		if (list_empty(&v->batches))
			pace_idle(v);
		journal_trim(v);
		spill_pump(v);
		volume_room(v);
	}
}

static void advance(struct volume *v)
{
	bool moved = false;
	struct batch *b;

	list_for_each_entry(b, &v->batches, link) {
		if (b->state == BATCH_COMMITTED)
			continue;
		if (b->state != BATCH_DURABLE)
			break;
		b->state = BATCH_COMMITTED;
		v->commit_seq = b->seq;
		v->lowest_seq = b->seq + 1;
		v->committed_wno = b->last_wno;
		memcpy(v->commit_chain, b->seg.hash, sizeof(v->commit_chain));
		v->st.segments_committed++;
		v->dirty_bytes -= b->raw_bytes;
		contact_proved(v, b->sent_us);
		moved = true;
	}
	if (!moved)
		return;
	commit_answer(v);
	commit_apply(v);
}

void commit_durable(struct batch *b)
{
	struct volume *v = b->v;

	b->state = BATCH_DURABLE;
	seal_free(b);
	advance(v);
	if (!vol_serving(v))
		return;
	volume_pump(v);
}
