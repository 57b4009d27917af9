// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaves on demand: see leaves.h.
 *
 * A load is a set of leaves of one device; its parts are the stretches of run blocks that they may
 * be in, oldest run first. Happy path: the parts are fetched, 32 GETs at a time over all loads; a
 * worker opens the blocks and puts the records into a map of its own, later runs over earlier ones;
 * then the leaves are moved into the base map, the READs that wait are submitted again, and
 * applying goes on.
 *
 * Failure modes: the store fails: sio.c tries for ever. An object is missing or a block is damaged:
 * the load is done once more; then what the block may have held is EMAP_LOST, and a notice names
 * it. No memory: later.
 */
#include "volume/leaves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "volume/batch.h"
#include "volume/commit.h"
#include "volume/leafload.h"
#include "volume/notice.h"
#include "volume/read.h"
#include "volume/vol.h"

#define PREFETCH_LOADS 32u
#define ALL_LOADS      8u

void leaves_init(struct volume *v)
{
	list_init(&v->leaves.loads);
	v->base.keep = true;
}

bool leaves_known(struct volume *v, struct emap_dev *d, uint64_t no)
{
	return emap_leaf(d, no) || v->leaves.complete ||
	       runs_next(&v->runs, d->id, no << EMAP_LEAF_SHIFT) >= (no + 1) << EMAP_LEAF_SHIFT;
}

bool leaves_next(struct volume *v, struct emap_dev *d, uint64_t from, uint64_t last,
		 uint64_t *ret_no)
{
	uint64_t covered = 0;

	for (; from <= last; from++) {
		uint64_t no = from;
		const struct emap_leaf *l = emap_next_leaf(d, &no);

		/* the next one that a run may hold; looked up anew only once it was passed */
		if (!v->leaves.complete && covered != ~0ull && covered <= from) {
			covered = runs_next(&v->runs, d->id, from << EMAP_LEAF_SHIFT);
			covered = covered == ~0ull ? covered : covered >> EMAP_LEAF_SHIFT;
		}
		if (v->leaves.complete)
			covered = ~0ull;
		if (covered < (l ? no : ~0ull)) {
			*ret_no = covered;
			return covered <= last;
		}
		if (!l || no > last)
			return false;
		if (l->nr) {
			*ret_no = no;
			return true;
		}
		from = no;
	}
	return false;
}

/* The load that leaf @no is a part of. */
static struct leafload *under_way(const struct volume *v, uint32_t dev, uint64_t no)
{
	struct leafload *l;
	uint32_t lo, hi;

	list_for_each_entry(l, &v->leaves.loads, link) {
		if (l->dev != dev)
			continue;
		for (lo = 0, hi = l->nr; lo < hi;) {
			uint32_t mid = (lo + hi) / 2;

			if (l->no[mid] < no)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < l->nr && l->no[lo] == no)
			return l;
	}
	return NULL;
}

static bool wanted(struct volume *v, struct emap_dev *d, uint64_t no)
{
	return !leaves_known(v, d, no) && !under_way(v, d->id, no);
}

/*
 * What is fetched for one leaf, blocks of 64 KiB, says most of many others beside it: those that
 * nothing more has to be fetched for are taken along.
 */
static void widen(struct volume *v, struct emap_dev *d, struct leafload *l)
{
	uint64_t end = (d->nblocks + EMAP_LEAF_BLOCKS - 1) >> EMAP_LEAF_SHIFT, no;
	uint32_t nr = 0;

	for (no = l->no[l->nr - 1] + 1; no < end && l->nr < LEAVES_SET; no++) {
		if (!wanted(v, d, no) || !leafload_covers(l, no))
			break;
		l->no[l->nr++] = no;
	}
	no = l->no[0];
	while (no && l->nr + nr < LEAVES_SET && wanted(v, d, no - 1) &&
	       leafload_covers(l, no - 1)) {
		no--;
		nr++;
	}
	memmove(l->no + nr, l->no, l->nr * sizeof(*l->no));
	l->nr += nr;
	while (nr--)
		l->no[nr] = no + nr;
}

/* Loads of @nr leaves, ascending, which are unknown and not under way. */
static int start(struct volume *v, struct emap_dev *d, const uint64_t *no, uint32_t nr, bool first)
{
	struct leafload *l;

	while (nr) {
		l = leafload_new(v, d, no, nr);
		if (!l)
			return -ENOMEM;
		if (first)
			list_add(&l->link, &v->leaves.loads);
		else
			list_add_tail(&l->link, &v->leaves.loads);
		v->leaves.nr_loads++;
		no += l->nr;
		nr -= l->nr;
		if (!nr)
			widen(v, d, l);
	}
	leaves_pump(v);
	return 0;
}

static int want(struct volume *v, struct emap_dev *d, uint64_t from, uint64_t last, bool first)
{
	uint64_t no[LEAVES_SET];
	uint32_t n = 0;

	for (; from <= last && n < LEAVES_SET; from++)
		if (wanted(v, d, from))
			no[n++] = from;
	return n ? start(v, d, no, n, first) : 0;
}

/* ---- for changes ----------------------------------------------------------------------------- */

/* Does a frame that has blocks in [from, to) of a known leaf reach to or beyond block @beyond? */
static bool reaches(struct emap_dev *d, uint64_t from, uint64_t to, uint64_t beyond, bool up)
{
	struct emap_ext e;

	for (; from < to; from += e.nblocks) {
		uint64_t begin, end;

		if (!emap_find(d, from, to - from, &e) || e.kind != EMAP_FRAME)
			continue;
		begin = from - e.delta;
		end = begin + e.fblocks;
		if (up ? end > beyond : begin < beyond)
			return true;
	}
	return false;
}

int leaves_ready(struct volume *v, struct emap_dev *d, uint64_t lba, uint32_t n)
{
	uint64_t no = lba >> EMAP_LEAF_SHIFT, first = no << EMAP_LEAF_SHIFT;
	uint64_t next = first + EMAP_LEAF_BLOCKS, end = lba + n;
	int err;

	if (v->leaves.complete)
		return 0;
	if (!leaves_known(v, d, no)) {
		err = want(v, d, no, no, false);
		return err ? err : -EAGAIN;
	}
	/* no frame is longer than FMT_FRAME_MAX_BLOCKS */
	if (no && lba < first + FMT_FRAME_MAX_BLOCKS && !leaves_known(v, d, no - 1) &&
	    reaches(d, lba, end, first, false)) {
		err = want(v, d, no - 1, no - 1, false);
		return err ? err : -EAGAIN;
	}
	if (next < d->nblocks && end + FMT_FRAME_MAX_BLOCKS > next && !leaves_known(v, d, no + 1) &&
	    reaches(d, lba, end, next, true)) {
		err = want(v, d, no + 1, no + 1, false);
		return err ? err : -EAGAIN;
	}
	return 0;
}

void leaves_prefetch(struct volume *v, const struct batch_leaf *at, uint32_t nr)
{
	uint64_t no[LEAVES_SET];
	struct emap_dev *d = NULL;
	uint32_t i, n = 0;

	for (i = 0; i < nr && !v->leaves.complete; i++) {
		if (v->leaves.nr_loads >= PREFETCH_LOADS)
			return;
		if (n && (n == LEAVES_SET || d->id != at[i].dev)) {
			if (start(v, d, no, n, false))
				return; /* who needs them asks again */
			n = 0;
		}
		d = emap_dev(&v->base, at[i].dev);
		if (wanted(v, d, at[i].no))
			no[n++] = at[i].no;
	}
	if (n)
		start(v, d, no, n, false);
}

/* ---- for READs ------------------------------------------------------------------------------- */

/* Is some of [lba, end) not in the overlay? */
static bool needs_base(struct volume *v, const struct io_req *io, uint64_t lba, uint64_t end)
{
	struct emap_dev *over = emap_dev(&v->overlay, io->dev);
	struct emap_ext e;

	for (; lba < end; lba += e.nblocks)
		if (!emap_find(over, lba, end - lba, &e))
			return true;
	return false;
}

int leaves_read(struct volume *v, struct io_req *io)
{
	struct emap_dev *d = emap_dev(&v->base, io->dev);
	uint64_t end = io->lba + io->nblocks, lba = io->lba, next;
	struct leafload *l;
	int err;

	for (; lba < end && !v->leaves.complete; lba = next) {
		uint64_t no = lba >> EMAP_LEAF_SHIFT;

		next = (no + 1) << EMAP_LEAF_SHIFT;
		if (leaves_known(v, d, no) || !needs_base(v, io, lba, end < next ? end : next))
			continue;
		err = want(v, d, no, (end - 1) >> EMAP_LEAF_SHIFT, true);
		if (err)
			return err;
		l = under_way(v, d->id, no);
		if (!l) { /* its load has ended meanwhile */
			next = lba;
			continue;
		}
		list_add_tail(&io->link, &l->reads);
		return -EINPROGRESS;
	}
	return 0;
}

void leaves_ahead(struct volume *v, struct emap_dev *d, uint64_t no, uint64_t last)
{
	if (!v->leaves.complete && v->leaves.nr_loads < PREFETCH_LOADS)
		want(v, d, no, last, false); /* else they are loaded when they are read */
}

void leaves_fail_reads(struct volume *v, int err)
{
	struct leafload *l;

	list_for_each_entry(l, &v->leaves.loads, link)
		read_fail_list(&l->reads, err);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Keeps a few loads under way until the last leaf was passed. */
static void go_on(struct volume *v)
{
	struct leaves *s = &v->leaves;

	while (s->everything && s->nr_loads < ALL_LOADS) {
		struct emap_dev *d = s->at_dev < v->base.nr_devs ? &v->base.devs[s->at_dev] : NULL;
		uint64_t no[LEAVES_SET], lba;
		uint32_t n = 0;

		if (!d) {
			s->everything = s->nr_loads > 0;
			s->complete = !s->nr_loads;
			return;
		}
		while (n < LEAVES_SET) {
			lba = runs_next(&v->runs, d->id, s->at_no << EMAP_LEAF_SHIFT);
			if (lba >= d->nblocks) {
				s->at_dev++;
				s->at_no = 0;
				break;
			}
			s->at_no = lba >> EMAP_LEAF_SHIFT;
			if (wanted(v, d, s->at_no))
				no[n++] = s->at_no;
			s->at_no++;
		}
		if (n && start(v, d, no, n, false)) {
			s->at_dev = 0;
			s->at_no = 0;
			volume_retry(v);
			return;
		}
	}
}

void leaves_everything(struct volume *v)
{
	if (v->leaves.complete || v->leaves.everything)
		return;
	v->leaves.everything = true;
	v->leaves.at_dev = 0;
	v->leaves.at_no = 0;
	go_on(v);
}

bool leaves_all_known(struct volume *v)
{
	uint32_t i;

	for (i = 0; i < v->base.nr_devs; i++) {
		struct emap_dev *d = &v->base.devs[i];
		uint64_t lba = 0;

		while ((lba = runs_next(&v->runs, d->id, lba)) < d->nblocks) {
			if (!leaves_known(v, d, lba >> EMAP_LEAF_SHIFT))
				return false;
			lba = ((lba >> EMAP_LEAF_SHIFT) + 1) << EMAP_LEAF_SHIFT;
		}
	}
	return true;
}

/* ---- what moves loads on --------------------------------------------------------------------- */

/* The leaves are in the base map. */
static void ended(struct leafload *l)
{
	struct volume *v = l->v;
	struct list_head reads;

	list_init(&reads);
	list_splice_tail(&l->reads, &reads);
	v->leaves.nr_loads--;
	v->leaves.loaded += l->nr;
	v->leaves.lost |= l->lost;
	leafload_free(l);
	if (!vol_serving(v)) {
		read_fail_list(&reads, -EIO);
		return;
	}
	while (!list_empty(&reads)) {
		struct io_req *io = list_first_entry(&reads, struct io_req, link);

		list_del(&io->link);
		read_submit(v, io);
	}
	go_on(v);
	commit_apply(v);
}

void leaves_pump(struct volume *v)
{
	struct leafload *l, *tmp;
	bool again = true;

	/* an end may bring about anything: the list is looked at anew */
	while (again) {
		again = false;
		list_for_each_entry_safe(l, tmp, &v->leaves.loads, link) {
			if (leafload_go(l)) {
				again = true;
				ended(l);
				break;
			}
		}
	}
	go_on(v);
}

void leaves_free(struct volume *v)
{
	while (!list_empty(&v->leaves.loads))
		leafload_free(list_first_entry(&v->leaves.loads, struct leafload, link));
}
