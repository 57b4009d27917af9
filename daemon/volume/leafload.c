// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A load of leaves: see leafload.h, and leaves.c for the whole.
 *
 * Nothing of a block is used before its tag was right: that binds it to the run's name and place,
 * and the run stands in the manifest. Its records must lie on the device and in segments that the
 * table has; what does not is treated like a damaged block.
 */
#include "volume/leafload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/runs.h"
#include "volume/vol.h"

#define LOAD_BYTES (4u << 20) /* of run blocks in one load, but for a single leaf */
#define PART_BYTES (2u << 20) /* in one GET */
#define ALL_BYTES  (16u << 20) /* of loads under way together */

/* ---- planning -------------------------------------------------------------------------------- */

/* Adds block @i of run @run to the plan. */
static int plan_block(struct leafload *l, uint32_t run, uint32_t i)
{
	const struct fmt_run_index *x = &l->v->runs.x[run];
	struct leafload_part *p = l->nr_parts ? &l->parts[l->nr_parts - 1] : NULL;

	if (p && p->run == run && i < p->first + p->nr)
		return 0;
	l->bytes += x->blocks[i].len;
	if (p && p->run == run && i == p->first + p->nr &&
	    x->blocks[i].off + x->blocks[i].len - x->blocks[p->first].off <= PART_BYTES) {
		p->nr++;
		return 0;
	}
	if (l->nr_parts % 16 == 0) {
		p = realloc(l->parts, (l->nr_parts + 16) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		l->parts = p;
	}
	l->parts[l->nr_parts++] = (struct leafload_part){ .run = run, .first = i, .nr = 1 };
	return 0;
}

static int plan(struct leafload *l)
{
	const struct runs *r = &l->v->runs;
	uint32_t run, k, i, end;
	int err;

	l->nr_parts = 0;
	l->bytes = 0;
	for (run = 0; run < r->nr; run++) {
		for (k = 0; k < l->nr; k++) {
			end = runs_blocks(&r->x[run], l->dev, l->no[k] << EMAP_LEAF_SHIFT,
					  EMAP_LEAF_BLOCKS, &i);
			for (; i < end; i++) {
				err = plan_block(l, run, i);
				if (err)
					return err;
			}
		}
	}
	return 0;
}

struct leafload *leafload_new(struct volume *v, struct emap_dev *d, const uint64_t *no, uint32_t nr)
{
	struct leafload *l = calloc(1, sizeof(*l));
	uint32_t i;

	if (!l)
		return NULL;
	list_init(&l->link);
	list_init(&l->reads);
	emap_init(&l->map, NULL, NULL);
	l->v = v;
	l->dev = d->id;
	l->nblocks = d->nblocks;
	l->nr = nr < LEAVES_SET ? nr : LEAVES_SET;
	memcpy(l->no, no, l->nr * sizeof(*no));
	for (;;) {
		if (plan(l)) {
			leafload_free(l);
			return NULL;
		}
		if (l->nr == 1 || l->bytes <= LOAD_BYTES)
			break;
		l->nr /= 2;
	}
	for (i = 0; i < l->nr_parts; i++)
		l->parts[i].l = l;
	return l;
}

static bool has_blocks(const struct leafload *l, uint32_t run, uint32_t first, uint32_t end)
{
	const struct leafload_part *p;
	uint32_t i;

	for (i = 0; i < l->nr_parts && first < end; i++) {
		p = &l->parts[i];
		if (p->run == run && first >= p->first && first < p->first + p->nr)
			first = p->first + p->nr;
	}
	return first >= end;
}

bool leafload_covers(const struct leafload *l, uint64_t no)
{
	const struct runs *r = &l->v->runs;
	uint32_t run, first, end;

	for (run = 0; run < r->nr; run++) {
		end = runs_blocks(&r->x[run], l->dev, no << EMAP_LEAF_SHIFT, EMAP_LEAF_BLOCKS,
				  &first);
		if (!has_blocks(l, run, first, end))
			return false;
	}
	return true;
}

void leafload_free(struct leafload *l)
{
	struct leaves *s = &l->v->leaves;
	uint32_t i;

	rival_cancel(&l->rival);
	for (i = 0; i < l->nr_parts; i++)
		sio_drop(l->parts[i].get);
	if (l->state != LEAFLOAD_WAITING)
		s->bytes -= l->bytes;
	list_del(&l->link);
	emap_free(&l->map);
	free(l->seqs);
	free(l->parts);
	free(l);
}

/* ---- the worker ------------------------------------------------------------------------------ */

/* The first of its leaves with a number >= @no. */
static uint32_t at_or_behind(const struct leafload *l, uint64_t no)
{
	uint32_t lo = 0, hi = l->nr;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (l->no[mid] < no)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Puts [lba, lba + n) of the leaves that are loaded into the map; @e NULL: it reads as zero. */
static int put(struct leafload *l, struct emap_dev *d, uint64_t lba, uint64_t n,
	       const struct emap_ext *e)
{
	uint64_t end = lba + n;
	uint32_t k;
	int err;

	for (k = at_or_behind(l, lba >> EMAP_LEAF_SHIFT); k < l->nr; k++) {
		uint64_t first = l->no[k] << EMAP_LEAF_SHIFT, last = first + EMAP_LEAF_BLOCKS;
		uint64_t from = first > lba ? first : lba, to = last < end ? last : end;
		struct emap_ext part;

		if (first >= end)
			break;
		err = emap_reserve(&l->map, d, from, to - from, true);
		if (err)
			return err;
		if (!e) {
			emap_punch(&l->map, d, from, to - from);
			continue;
		}
		part = *e;
		emap_cut(&part, from - lba, to - from);
		emap_set(&l->map, d, from, &part);
	}
	return 0;
}

/* The index of a segment's number, the same one for the same number in a row. */
static int seq_of(struct leafload *l, uint64_t seq, uint32_t *ret)
{
	if (!l->nr_seqs || l->seqs[l->nr_seqs - 1] != seq) {
		if (l->nr_seqs == l->cap_seqs) {
			uint32_t cap = l->cap_seqs ? 2 * l->cap_seqs : 64;
			uint64_t *p = realloc(l->seqs, cap * sizeof(*p));

			if (!p)
				return -ENOMEM;
			l->seqs = p;
			l->cap_seqs = cap;
		}
		l->seqs[l->nr_seqs++] = seq;
	}
	*ret = l->nr_seqs - 1;
	return 0;
}

static bool concerns(const struct leafload *l, const struct fmt_extent *x)
{
	uint64_t from = l->no[0] << EMAP_LEAF_SHIFT;
	uint64_t to = (l->no[l->nr - 1] + 1) << EMAP_LEAF_SHIFT;

	return x->dev == l->dev && x->lba < to && x->lba + x->blocks > from;
}

static int put_extent(struct leafload *l, struct emap_dev *d, const struct fmt_extent *x)
{
	struct emap_ext e = {
		.kind = EMAP_FRAME,
		.nblocks = x->blocks,
		.delta = x->block,
		.fblocks = x->frame_blocks,
		.codec = x->codec,
		.pos = x->frame_off,
		.stored = x->stored_len,
		.wno = x->birth,
	};
	int err;

	if (!concerns(l, x))
		return 0;
	if (x->lba + x->blocks > l->nblocks)
		return -EBADMSG;
	if (x->tomb)
		return put(l, d, x->lba, x->blocks, NULL);
	if (x->gc)
		return -EPROTONOSUPPORT;
	err = seq_of(l, x->seq, &e.owner);
	return err ? err : put(l, d, x->lba, x->blocks, &e);
}

static int put_block(struct leafload *l, struct emap_dev *d, const struct leafload_part *p,
		     uint32_t i)
{
	const struct fmt_run_index *x = &l->v->runs.x[p->run];
	const struct fmt_run_block *b = &x->blocks[i];
	uint64_t at = b->off - x->blocks[p->first].off;
	struct fmt_extent *recs;
	uint32_t k;
	int err;

	if (p->get->res < 0)
		return (int)p->get->res;
	if (at + b->len > (uint64_t)p->get->res)
		return -ENODATA;
	recs = malloc(b->count * sizeof(*recs));
	if (!recs)
		return -ENOMEM;
	err = fmt_run_extents_open(recs, x, i, (uint8_t *)p->get->body + at, b->len,
				   keys_get(l->v->kr, KEYS_RUN));
	for (k = 0; k < b->count && !err; k++)
		err = put_extent(l, d, &recs[k]);
	free(recs);
	return err;
}

/* What the block may have held is lost. */
static int put_lost(struct leafload *l, struct emap_dev *d, const struct fmt_run_index *x,
		    uint32_t i, int why)
{
	uint64_t from = 0, to = 0;
	uint32_t k;
	int err;

	if (!runs_range(x, i, l->dev, &from, &to))
		return 0;
	if (to > l->nblocks)
		to = l->nblocks;
	for (k = 0; k < l->nr; k++) {
		uint64_t first = l->no[k] << EMAP_LEAF_SHIFT, last = first + EMAP_LEAF_BLOCKS;
		uint64_t a = first > from ? first : from, b = last < to ? last : to;
		struct emap_ext e = { .kind = EMAP_LOST };

		if (a >= b)
			continue;
		e.nblocks = b - a;
		err = put(l, d, a, b - a, &e);
		if (err)
			return err;
	}
	if (!l->lost) {
		l->bad = (struct leafload_bad){ .version = x->ref.version,
						.id = x->ref.id,
						.off = x->blocks[i].off,
						.len = x->blocks[i].len,
						.why = why };
		l->lost = true;
	}
	return 0;
}

static int merge(struct leafload *l)
{
	struct emap_dev *d;
	uint32_t i, k;
	int err;

	l->map.keep = true;
	err = emap_add_dev(&l->map, l->dev, l->nblocks);
	d = emap_dev(&l->map, l->dev);
	for (k = 0; !err && k < l->nr; k++)
		err = emap_reserve(&l->map, d, l->no[k] << EMAP_LEAF_SHIFT, 1, true);
	for (k = 0; !err && k < l->nr_parts; k++) {
		const struct leafload_part *p = &l->parts[k];

		for (i = p->first; !err && i < p->first + p->nr; i++) {
			err = put_block(l, d, p, i);
			if (err && err != -ENOMEM)
				err = put_lost(l, d, &l->v->runs.x[p->run], i, err);
		}
	}
	for (k = 0; !err && k < l->nr; k++)
		emap_shrink(&l->map, d, l->no[k]);
	return err;
}

static void run(struct exec_work *w)
{
	struct leafload *l = container_of(w, struct leafload, work);

	l->err = merge(l);
}

/* ---- moving on ------------------------------------------------------------------------------- */

static void drop_parts(struct leafload *l)
{
	uint32_t i;

	for (i = 0; i < l->nr_parts; i++) {
		sio_drop(l->parts[i].get);
		l->parts[i].get = NULL;
	}
	l->sent = 0;
	l->there = 0;
}

static void complain(const struct leafload *l)
{
	const struct leafload_bad *b = &l->bad;
	char name[FMT_NAME_MAX], range[64] = "";

	if (b->seq) {
		fmt_name_seg(name, b->seq);
	} else {
		fmt_name_run(name, b->version, b->id);
		snprintf(range, sizeof(range), " bytes %llu+%u", (unsigned long long)b->off,
			 b->len);
	}
	notice_say(&l->v->env, NOTICE_ERR,
		   "object %s%s: %s; some of device %u blocks %llu to %llu cannot be read", name,
		   range,
		   b->why == -ESTALE	      ? "the map names it, though it was deleted" :
		   b->why == -ENOENT	      ? "the object is missing" :
		   b->why == -ENODATA	      ? "the object is too short" :
		   b->why == -EPROTONOSUPPORT ? "made by a later version" :
						"damaged",
		   l->dev, (unsigned long long)l->no[0] << EMAP_LEAF_SHIFT,
		   (unsigned long long)((l->no[l->nr - 1] + 1) << EMAP_LEAF_SHIFT) - 1);
}

/* 0: segment @seq, whose index in the table is @seg (~0: there is none), may hold frame *e. */
static int check_place(const struct volume *v, uint64_t seq, uint32_t seg, const struct emap_ext *e)
{
	const struct fmt_segrec *r;

	if (seg == ~0u)
		return seq < v->head.floor ? -ESTALE : -ENOENT;
	r = &v->segs.ents[seg].rec;
	if (r->flags & FMT_SEGREC_DELETED)
		return -ESTALE;
	return (uint64_t)e->pos + e->stored > r->object_len ? -ENODATA : 0;
}

/* Segments by number become those of the table; what lies in none that there is, is lost. */
static void settle(struct leafload *l, struct emap_leaf *leaf)
{
	const struct volume *v = l->v;
	uint32_t i, seg;
	int err;

	for (i = 0; i < leaf->nr; i++) {
		struct emap_ext *e = &leaf->ext[i];
		uint64_t seq;

		if (e->kind != EMAP_FRAME)
			continue;
		seq = l->seqs[e->owner];
		seg = segtab_find(&v->segs, seq);
		err = check_place(v, seq, seg, e);
		if (err) {
			e->kind = EMAP_LOST;
			l->map.blocks -= e->nblocks;
			if (!l->lost)
				l->bad = (struct leafload_bad){ .seq = seq, .why = err };
			l->lost = true;
			continue;
		}
		e->owner = seg;
	}
}

/* The map is as good as it gets this time. */
static void merged(struct leafload *l)
{
	l->state = LEAFLOAD_MERGED;
	if (l->err || (l->lost && !l->tries++)) {
		emap_free(&l->map);
		l->nr_seqs = 0;
		l->lost = false;
		l->state = LEAFLOAD_FETCHING;
		if (l->err) { /* the parts are there: merged again at the next tick */
			volume_retry(l->v);
			return;
		}
	} else if (l->lost && vol_serving(l->v)) {
		complain(l);
	}
	drop_parts(l);
	leaves_pump(l->v);
}

static void on_rival(struct rival *r)
{
	merged(r->priv);
}

/* A run is missing: was it swept away by a newer owner? True: merged() comes later. */
static bool ask(struct leafload *l)
{
	if (l->err || !l->lost || l->bad.seq || l->bad.why != -ENOENT || l->asked)
		return false;
	l->rival = (struct rival){ .v = l->v, .done = on_rival, .priv = l };
	l->asked = !rival_look(&l->rival);
	if (l->asked)
		l->state = LEAFLOAD_ASKING;
	return l->asked;
}

static void complete(struct exec_work *w)
{
	struct leafload *l = container_of(w, struct leafload, work);
	struct emap_dev *d = emap_dev(&l->map, l->dev);
	uint32_t k;

	for (k = 0; k < l->nr && !l->err; k++)
		settle(l, emap_leaf(d, l->no[k]));
	if (!ask(l))
		merged(l);
}

static void on_get(struct sio *g)
{
	struct leafload_part *p = g->priv;
	struct volume *v = p->l->v;

	v->leaves.nr_gets--;
	p->l->there++;
	leaves_pump(v);
}

static bool fetch(struct leafload *l)
{
	struct leaves *s = &l->v->leaves;
	char name[FMT_NAME_MAX];

	if (l->state == LEAFLOAD_WAITING) {
		if (s->bytes && s->bytes + l->bytes > ALL_BYTES)
			return false;
		s->bytes += l->bytes;
		l->state = LEAFLOAD_FETCHING;
	}
	while (l->sent < l->nr_parts && s->nr_gets < LEAVES_GETS) {
		struct leafload_part *p = &l->parts[l->sent];
		const struct fmt_run_index *x = &l->v->runs.x[p->run];
		const struct fmt_run_block *a = &x->blocks[p->first], *b = a + p->nr - 1;

		fmt_name_run(name, x->ref.version, x->ref.id);
		p->get = sio_get(&l->v->sio, name, a->off, b->off + b->len - a->off);
		if (!p->get) {
			volume_retry(l->v);
			return false;
		}
		l->sent++;
		s->nr_gets++;
		p->get->done = on_get;
		p->get->priv = p;
		sio_start(p->get, SIO_FOR_EVER);
	}
	return l->there == l->nr_parts;
}

static bool move(struct leafload *l)
{
	struct emap_dev *from = emap_dev(&l->map, l->dev), *to = emap_dev(&l->v->base, l->dev);

	for (; l->moved < l->nr; l->moved++) {
		uint64_t no = l->no[l->moved];

		if (emap_graft(&l->v->base, to, &l->map, from, no)) {
			volume_retry(l->v);
			return false;
		}
	}
	return true;
}

bool leafload_go(struct leafload *l)
{
	if (l->state == LEAFLOAD_WAITING || l->state == LEAFLOAD_FETCHING) {
		if (!fetch(l))
			return false;
		l->state = LEAFLOAD_MERGING;
		l->work.run = run;
		l->work.complete = complete;
		exec_submit(l->v->env.exec, &l->work);
	}
	return l->state == LEAFLOAD_MERGED && move(l);
}
