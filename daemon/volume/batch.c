// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Batches: see batch.h.
 *
 * Happy path: reserve, add ..., cut. Failure modes: no memory at reserve: the request is held and
 * nothing has happened; no memory at the cut: the batch stays open and is cut later.
 *
 * Frames: the surviving pieces, sorted by (device, lba), are joined while they follow each other in
 * device, lba *and arena*, up to frame_bytes. A frame is therefore always compressed and encrypted
 * straight from the arena; a gather of scattered pieces would be a second copy of every byte of it.
 * What that costs: neighbouring blocks written at different times (so at different places) become
 * frames of their own and compress less well.
 */
#include "volume/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "volume/jload.h"
#include "volume/seal.h"
#include "volume/vol.h"

static struct batch *batch_new(struct volume *v)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	list_init(&b->link);
	buf_init(&b->head);
	b->v = v;
	b->seg_index = ~0u;
	if (++v->next_batch == 0)
		v->next_batch = 1;
	b->id = v->next_batch;
	return b;
}

static void account(struct batch *b, uint64_t heap)
{
	b->v->batch_bytes += heap - b->heap;
	b->heap = heap;
}

struct batch *batch_open(struct volume *v)
{
	if (!v->open)
		v->open = batch_new(v);
	return v->open;
}

static int leaves_grow(struct batch *b, uint64_t more)
{
	uint64_t want = b->nr_leaves + more, cap = b->cap_leaves;
	struct batch_leaf *p;

	if (want <= cap)
		return 0;
	cap += cap / 2;
	if (cap < want + 16)
		cap = want + 16;
	p = realloc(b->leaves, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	b->leaves = p;
	b->cap_leaves = cap;
	account(b, cap * sizeof(*p));
	return 0;
}

static int voids_grow(struct batch *b)
{
	struct batch_void *p = realloc(b->voids, (b->nr_voids + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	b->voids = p;
	return 0;
}

/*
 * The first leaf in [from, last] that the overlay has, or where the base map may be something else
 * than zero; false: none.
 */
static bool next_touched(struct volume *v, struct emap_dev *over, uint64_t from, uint64_t last,
			 uint64_t *ret_no)
{
	uint64_t a = from, b;

	if (from > last)
		return false;
	if (!emap_next_leaf(over, &a))
		a = ~0ull;
	if (!leaves_next(v, emap_dev(&v->base, over->id), from, a < last ? a : last, &b))
		b = ~0ull;
	*ret_no = a < b ? a : b;
	return *ret_no <= last;
}

static int reserve(struct volume *v, struct batch *b, struct emap_dev *over, uint64_t lba,
		   uint64_t n, bool fresh)
{
	uint64_t no = lba >> EMAP_LEAF_SHIFT, last = (lba + n - 1) >> EMAP_LEAF_SHIFT, count = 0;
	int err = 0;

	if (fresh) {
		count = last - no + 1;
		err = emap_reserve(&v->overlay, over, lba, n, true);
	}
	for (; !fresh && !err && next_touched(v, over, no, last, &no); no++) {
		err = emap_reserve(&v->overlay, over, no << EMAP_LEAF_SHIFT, 1, true);
		count++;
	}
	if (!err)
		err = leaves_grow(b, count);
	if (!err)
		err = voids_grow(b);
	if (err)
		emap_unreserve(&v->overlay, over, lba, n);
	return err;
}

int batch_reserve(struct volume *v, struct emap_dev *over, uint64_t lba, uint64_t n, bool fresh)
{
	struct batch *b = batch_open(v);

	return b ? reserve(v, b, over, lba, n, fresh) : -ENOMEM;
}

static void touch(struct batch *b, struct emap_dev *over, uint64_t no)
{
	struct emap_leaf *l = emap_leaf(over, no);

	b->max_pieces += 2;
	if (l->mark == b->id)
		return;
	l->mark = b->id;
	b->leaves[b->nr_leaves++] = (struct batch_leaf){ over->id, no };
}

static void add_part(struct volume *v, struct batch *b, struct emap_dev *over,
		     const struct emap_ext *e, uint64_t lba)
{
	emap_set(&v->overlay, over, lba, e);
	touch(b, over, lba >> EMAP_LEAF_SHIFT);
}

/* [lba, lba + n) becomes *e, leaf by leaf. */
static void add_data(struct volume *v, struct batch *b, struct emap_dev *over,
		     const struct emap_ext *e, uint64_t lba, uint64_t n)
{
	uint64_t skip, room;

	for (skip = 0; skip < n; skip += room) {
		struct emap_ext part = *e;

		room = EMAP_LEAF_BLOCKS - ((lba + skip) & (EMAP_LEAF_BLOCKS - 1));
		if (room > n - skip)
			room = n - skip;
		emap_cut(&part, skip, room);
		add_part(v, b, over, &part, lba + skip);
	}
}

/* [lba, lba + n) becomes the zero *e; leaves that neither map has read as zero already. */
static void add_zero(struct volume *v, struct batch *b, struct emap_dev *over, struct emap_ext *e,
		     uint64_t lba, uint64_t n)
{
	uint64_t end = lba + n, last = (end - 1) >> EMAP_LEAF_SHIFT, no = lba >> EMAP_LEAF_SHIFT;

	for (; next_touched(v, over, no, last, &no); no++) {
		uint64_t first = no << EMAP_LEAF_SHIFT, to = first + EMAP_LEAF_BLOCKS;
		uint64_t from = first > lba ? first : lba;

		e->nblocks = (to < end ? to : end) - from;
		add_part(v, b, over, e, from);
	}
}

/*
 * Ranges are contiguous: numbers that nobody was given, or that were never acknowledged, are void.
 */
static void count_op(struct volume *v, uint64_t wno)
{
	struct batch *b = v->open;
	uint64_t next = v->last_wno + 1;

	if (!b->ops++) {
		b->first_wno = next;
		b->opened_us = clock_mono_us(v->env.clock);
	}
	if (wno > next)
		b->voids[b->nr_voids++] = (struct batch_void){ next, wno - 1 };
	b->last_wno = wno;
	v->last_wno = wno;
}

void batch_add(struct volume *v, struct emap_dev *over, uint8_t kind, uint64_t lba, uint64_t n,
	       uint32_t page, uint64_t wno)
{
	struct emap_ext e = { .owner = v->open->id, .wno = wno };

	if (kind == FMT_E_DATA) {
		e.kind = v->open->parked ? EMAP_JOURNAL : EMAP_PAGE;
		e.pos = page;
		add_data(v, v->open, over, &e, lba, n);
		v->open->raw_bytes += n << IO_BLOCK_SHIFT;
		v->dirty_bytes += n << IO_BLOCK_SHIFT;
	} else {
		e.kind = EMAP_ZERO;
		e.codec = kind;
		add_zero(v, v->open, over, &e, lba, n);
	}
	count_op(v, wno);
}

int batch_void(struct volume *v, uint64_t last)
{
	struct batch *b = batch_open(v);

	if (!b || voids_grow(b))
		return -ENOMEM;
	count_op(v, last + 1);
	b->last_wno = last;
	v->last_wno = last;
	return 0;
}

bool batch_dirty(const struct volume *v)
{
	return v->open && v->open->ops;
}

static uint32_t batches_under_way(const struct volume *v)
{
	const struct batch *b;
	uint32_t n = 0;

	list_for_each_entry(b, &v->batches, link)
		n += b->state < BATCH_DURABLE;
	return n;
}

/*
 * Data that is about segment_bytes once stored, if it compresses like what was sealed before. Not
 * so much that two segments of data that does not compress would exceed what may be sealed.
 */
static uint64_t cut_bytes(const struct volume *v)
{
	uint64_t n = (uint64_t)v->o.segment_bytes * v->pack / VOL_PACK_NONE;

	if (n > v->sealed_cap / 16 * 7)
		n = v->sealed_cap / 16 * 7;
	return n > v->o.segment_bytes ? n : v->o.segment_bytes;
}

bool batch_due(const struct volume *v, uint64_t now)
{
	const struct batch *b = v->open;

	if (!batch_dirty(v))
		return false;
	if (b->starved || b->raw_bytes >= cut_bytes(v) || b->ops >= BATCH_MAX_OPS ||
	    b->max_pieces >= BATCH_MAX_PIECES || now >= batch_deadline(v))
		return true;
	return b->urgent && batches_under_way(v) < VOL_FLUSH_BATCHES;
}

uint64_t batch_deadline(const struct volume *v)
{
	if (!batch_dirty(v))
		return ~0ull;
	return v->open->opened_us + (uint64_t)v->o.segment_age_ms * 1000;
}

/* ---- the cut --------------------------------------------------------------------------- */

static int by_leaf(const void *x, const void *y)
{
	const struct batch_leaf *a = x, *b = y;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->no < b->no ? -1 : a->no > b->no;
}

static uint32_t count_pieces(struct volume *v, struct batch *b)
{
	uint32_t i, j, n = 0;

	for (i = 0; i < b->nr_leaves; i++) {
		struct emap_leaf *l =
			emap_leaf(emap_dev(&v->overlay, b->leaves[i].dev), b->leaves[i].no);

		for (j = 0; l && j < l->nr; j++)
			n += l->ext[j].owner == b->id;
	}
	return n;
}

/* A zero that goes on from the one before it, by the same operation, is one with it. */
static bool zero_joins(const struct batch_piece *p, const struct batch_piece *q)
{
	return p->kind != FMT_E_DATA && p->kind == q->kind && p->dev == q->dev &&
	       p->wno == q->wno && p->lba + p->blocks == q->lba &&
	       (uint64_t)p->blocks + q->blocks <= UINT32_MAX;
}

static void list_pieces(struct volume *v, struct batch *b)
{
	uint32_t i, j, n = 0;

	for (i = 0; i < b->nr_leaves; i++) {
		const struct batch_leaf *bl = &b->leaves[i];
		struct emap_leaf *l = emap_leaf(emap_dev(&v->overlay, bl->dev), bl->no);

		for (j = 0; l && j < l->nr; j++) {
			const struct emap_ext *e = &l->ext[j];
			struct batch_piece p = { .wno = e->wno,
						 .dev = bl->dev,
						 .blocks = e->nblocks };

			if (e->owner != b->id)
				continue;
			p.lba = (bl->no << EMAP_LEAF_SHIFT) + e->start;
			p.kind = e->kind == EMAP_ZERO ? e->codec : FMT_E_DATA;
			p.page = e->kind == EMAP_ZERO ? 0 : e->pos;
			if (n && zero_joins(&b->pieces[n - 1], &p))
				b->pieces[n - 1].blocks += p.blocks;
			else
				b->pieces[n++] = p;
		}
	}
	b->nr_pieces = n;
}

/*
 * Splits pieces at frame boundaries and groups them. With @out NULL only counts: returns the number
 * of pieces, and in *ret_frames that of the frames.
 */
static uint32_t group(struct batch *b, uint32_t max_blocks, struct batch_piece *out,
		      uint32_t *ret_frames)
{
	uint32_t i, n = 0, nf = 0, blocks = 0, dev = 0, next_page = 0;
	uint64_t next_lba = 0;

	for (i = 0; i < b->nr_pieces; i++) {
		struct batch_piece p = b->pieces[i];
		uint32_t left = p.blocks;

		if (p.kind != FMT_E_DATA) {
			if (out)
				out[n] = p;
			n++;
			continue;
		}
		while (left) {
			bool joins = nf && blocks < max_blocks && dev == p.dev &&
				     next_lba == p.lba && next_page == p.page;

			if (!joins) {
				nf++;
				blocks = 0;
			}
			p.blocks = left < max_blocks - blocks ? left : max_blocks - blocks;
			p.frame = nf - 1;
			p.block = blocks;
			if (out) {
				out[n] = p;
				if (!blocks) {
					b->frames[nf - 1] =
						(struct fmt_frame){ .dev = p.dev, .lba = p.lba };
					b->frame_page[nf - 1] = p.page;
				}
				b->frames[nf - 1].blocks += p.blocks;
				b->data_bytes += (uint64_t)p.blocks << IO_BLOCK_SHIFT;
			}
			n++;
			blocks += p.blocks;
			left -= p.blocks;
			p.lba += p.blocks;
			p.page += p.blocks;
			dev = p.dev;
			next_lba = p.lba;
			next_page = p.page;
		}
	}
	*ret_frames = nf;
	return n;
}

static int make_frames(struct volume *v, struct batch *b)
{
	uint32_t max_blocks = v->o.frame_bytes >> IO_BLOCK_SHIFT, nf, n;
	struct batch_piece *out;

	n = group(b, max_blocks, NULL, &nf);
	out = malloc((n + 1) * sizeof(*out));
	b->frames = calloc(nf + 1, sizeof(*b->frames));
	b->frame_page = calloc(nf + 1, sizeof(*b->frame_page));
	if (!out || !b->frames || !b->frame_page) {
		free(out);
		return -ENOMEM;
	}
	b->nr_pieces = group(b, max_blocks, out, &b->nr_frames);
	free(b->pieces);
	b->pieces = out;
	return 0;
}

int batch_cut(struct volume *v)
{
	struct batch *b = v->open;

	if (b->nr_leaves)
		qsort(b->leaves, b->nr_leaves, sizeof(*b->leaves), by_leaf);
	b->pieces = malloc((count_pieces(v, b) + 1) * sizeof(*b->pieces));
	if (!b->pieces)
		return -ENOMEM;
	list_pieces(v, b);
	b->data_bytes = 0;
	if (make_frames(v, b)) {
		free(b->pieces);
		free(b->frames);
		free(b->frame_page);
		b->pieces = NULL;
		b->frames = NULL;
		b->frame_page = NULL;
		return -ENOMEM;
	}
	account(b, b->cap_leaves * sizeof(*b->leaves) + b->nr_pieces * sizeof(*b->pieces) +
			   b->nr_frames * (sizeof(*b->frames) + sizeof(*b->frame_page)));
	b->state = BATCH_CUT;
	b->seq = v->next_seq++;
	list_add_tail(&b->link, &v->batches);
	pace_busy(v);
	v->open = NULL;
	/* they are there when it is committed */
	leaves_prefetch(v, b->leaves, b->nr_leaves);
	return 0;
}

/*
 * ---- replayed segments ------------------------------------------------------------------------
 */

static int replay_entry(struct volume *v, struct batch *b, const struct fmt_entry *e)
{
	struct emap_dev *over = emap_dev(&v->overlay, e->dev);
	struct emap_ext x = { .owner = b->id, .wno = e->wno };
	int err = reserve(v, b, over, e->lba, e->blocks, e->kind == FMT_E_DATA);

	if (err)
		return err;
	b->pieces[b->nr_pieces++] = (struct batch_piece){ .wno = e->wno,
							  .lba = e->lba,
							  .dev = e->dev,
							  .blocks = e->blocks,
							  .frame = e->frame,
							  .kind = e->kind,
							  .block = e->block };
	if (e->kind == FMT_E_DATA) {
		const struct fmt_frame *f = &b->frames[e->frame];

		x.kind = EMAP_FRAME;
		x.nblocks = e->blocks;
		x.delta = e->block;
		x.fblocks = f->blocks;
		x.codec = f->codec;
		x.pos = f->off;
		x.stored = f->stored_len;
		x.seg = b->seg_index;
		add_data(v, b, over, &x, e->lba, e->blocks);
	} else {
		x.kind = EMAP_ZERO;
		x.codec = e->kind;
		add_zero(v, b, over, &x, e->lba, e->blocks);
	}
	return 0;
}

int batch_replayed(struct volume *v, const struct fmt_seg *seg, struct fmt_table *t,
		   uint32_t seg_index)
{
	struct batch *b = batch_new(v);
	uint32_t i;
	int err = 0;

	if (!b)
		return -ENOMEM;
	b->state = BATCH_COMMITTED;
	b->replayed = true;
	b->seq = seg->seq;
	b->seg = *seg;
	b->seg_index = seg_index;
	b->first_wno = seg->wno_first;
	b->last_wno = seg->wno_last;
	b->frames = t->frames;
	b->nr_frames = t->nr_frames;
	t->frames = NULL;
	b->pieces = malloc((t->nr_entries + 1) * sizeof(*b->pieces));
	if (!b->pieces)
		err = -ENOMEM;
	for (i = 0; i < t->nr_entries && !err; i++)
		if (t->entries[i].kind != FMT_E_VOID)
			err = replay_entry(v, b, &t->entries[i]);
	if (err) {
		batch_purge(v, b);
		batch_free(b);
		return err;
	}
	if (b->nr_leaves)
		qsort(b->leaves, b->nr_leaves, sizeof(*b->leaves), by_leaf);
	account(b, b->cap_leaves * sizeof(*b->leaves) + t->nr_entries * sizeof(*b->pieces) +
			   b->nr_frames * sizeof(*b->frames));
	list_add_tail(&b->link, &v->batches);
	return 0;
}

void batch_purge(struct volume *v, struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_leaves; i++)
		emap_purge_owner(&v->overlay, emap_dev(&v->overlay, b->leaves[i].dev),
				 b->leaves[i].no, b->id);
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	seal_free(b);
	jload_free(b);
	account(b, 0);
	free(b->leaves);
	free(b->voids);
	free(b->pieces);
	free(b->frames);
	free(b->frame_page);
	free(b);
}
