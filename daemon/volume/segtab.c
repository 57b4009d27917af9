// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The segment table: see segtab.h.
 *
 * A frame's live bytes are stored length * live blocks / blocks, rounded down, and a segment's are
 * the sum over its frames. A frame lies in one range of 32 blocks at most, so its live blocks are
 * counted in the map, before and after each change.
 */
#include "volume/segtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume/emap.h"

void segtab_init(struct segtab *t)
{
	memset(t, 0, sizeof(*t));
	t->gen = 1;
}

void segtab_free(struct segtab *t)
{
	free(t->ents);
	segtab_init(t);
}

static int grow(struct segtab *t)
{
	uint32_t cap = t->cap ? t->cap + t->cap / 2 : 64;
	struct segtab_ent *e;

	if (t->nr < t->cap)
		return 0;
	e = realloc(t->ents, cap * sizeof(*e));
	if (!e)
		return -ENOMEM;
	t->heap_bytes += (cap - t->cap) * sizeof(*e);
	t->ents = e;
	t->cap = cap;
	return 0;
}

int segtab_append(struct segtab *t, const struct fmt_segrec *rec)
{
	struct segtab_ent *e;
	int err;

	if (t->nr && t->ents[t->nr - 1].rec.seq >= rec->seq)
		return -EBADMSG;
	err = grow(t);
	if (err)
		return err;
	e = &t->ents[t->nr];
	*e = (struct segtab_ent){ .rec = *rec, .changed = t->gen };
	t->stored_bytes += rec->object_len;
	t->live_bytes += rec->live_bytes;
	t->nr++;
	return 0;
}

/* After anything that it follows from has changed. */
static void account_dead(struct segtab *t, struct segtab_ent *e)
{
	bool dead = e->applied && segtab_dead(e) && !e->gone;

	if (dead == e->dead)
		return;
	e->dead = dead;
	t->dead_bytes += dead ? e->rec.object_len : -e->rec.object_len;
}

void segtab_applied(struct segtab *t, uint32_t i)
{
	struct segtab_ent *e = &t->ents[i];

	e->applied = true;
	/* one that was replayed has been in the table for long, but in no manifest */
	e->changed = t->gen;
	account_dead(t, e);
}

void segtab_gone(struct segtab *t, uint32_t i)
{
	struct segtab_ent *e = &t->ents[i];

	e->gone = true;
	t->stored_bytes -= e->rec.object_len;
	t->nr_gone++;
	account_dead(t, e);
}

/* Where segment @seq is, or would be. */
static uint32_t lower(const struct segtab *t, uint64_t seq)
{
	uint32_t lo = 0, hi = t->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->ents[mid].rec.seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int segtab_load(struct segtab *t, const struct fmt_segrec *rec)
{
	uint32_t at = lower(t, rec->seq);
	struct segtab_ent *e;
	int err;

	if (at < t->nr && t->ents[at].rec.seq == rec->seq) {
		e = &t->ents[at];
		t->stored_bytes -= e->rec.object_len;
		t->live_bytes -= e->rec.live_bytes;
		t->dead_bytes -= e->dead ? e->rec.object_len : 0;
	} else {
		err = grow(t);
		if (err)
			return err;
		e = &t->ents[at];
		memmove(e + 1, e, (t->nr - at) * sizeof(*e));
		t->nr++;
	}
	*e = (struct segtab_ent){ .rec = *rec, .applied = true };
	t->stored_bytes += rec->object_len;
	t->live_bytes += rec->live_bytes;
	account_dead(t, e);
	return 0;
}

void segtab_rec(struct fmt_segrec *ret, const struct fmt_seg *s)
{
	memset(ret, 0, sizeof(*ret));
	ret->gc = s->type == FMT_SEG_GC;
	ret->seq = s->seq;
	ret->epoch = s->epoch;
	ret->key_gen = s->key_gen;
	ret->table_len = s->table_len;
	ret->nr_frames = s->nr_frames;
	ret->data_blocks = s->data_blocks;
	ret->object_len = s->object_len;
	ret->wno_first = s->wno_first;
	ret->wno_last = s->wno_last;
	ret->created_us = s->created_us;
	memcpy(ret->salt, s->salt, sizeof(ret->salt));
	memcpy(ret->hash, s->hash, sizeof(ret->hash));
}

uint32_t segtab_find(const struct segtab *t, uint64_t seq)
{
	uint32_t at = lower(t, seq);

	return at < t->nr && t->ents[at].rec.seq == seq ? at : ~0u;
}

static uint64_t part(const struct emap_ext *e, uint32_t blocks)
{
	return (uint64_t)e->stored * blocks / e->fblocks;
}

/*
 * Blocks of the frame that @e, at @lba, is a part of, that the map names outside [from, to).
 */
static uint32_t frame_live(struct emap_dev *d, uint64_t lba, const struct emap_ext *e,
			   uint64_t from, uint64_t to)
{
	uint64_t at = lba - e->delta, end = at + e->fblocks;
	uint32_t live = 0;
	struct emap_ext x;

	if (end > d->nblocks)
		end = d->nblocks;
	while (at < end) {
		if (at >= from && at < to) {
			at = to;
			continue;
		}
		if (emap_find(d, at, at < from && end > from ? from - at : end - at, &x) &&
		    x.kind == EMAP_FRAME && x.owner == e->owner && x.pos == e->pos)
			live += x.nblocks;
		at += x.nblocks;
	}
	return live;
}

/*
 * A manifest's word was not true: the segment is kept for good. The next manifest says that all of
 * it lives, which is no less than what does: who attaches then must not take it for dead either.
 */
static void keep(struct segtab *t, struct segtab_ent *s)
{
	uint64_t frames =
		s->rec.object_len - FMT_SEG_HDR_LEN - s->rec.table_len - FMT_SEG_FOOTER_LEN;

	s->unsure = true;
	s->rec.flags = 0;
	if (s->gone) {
		/* too late; reads of it will say so, and the volume can be attached */
		s->gone = false;
		t->stored_bytes += s->rec.object_len;
	}
	t->live_bytes += frames - s->rec.live_bytes;
	s->rec.live_blocks = s->rec.data_blocks;
	s->rec.live_bytes = frames;
}

/* The live blocks of e's frame go from @before to @after. */
static void change(struct segtab *t, const struct emap_ext *e, uint32_t before, uint32_t after)
{
	struct segtab_ent *s = &t->ents[e->owner];
	uint64_t less = part(e, before), more = part(e, after);

	s->changed = t->gen;
	if (s->unsure)
		return;
	if (s->rec.live_blocks < before || s->rec.live_bytes < less) {
		keep(t, s);
	} else {
		s->rec.live_blocks += after - before;
		s->rec.live_bytes += more - less;
		t->live_bytes += more - less;
	}
	account_dead(t, s);
}

uint32_t segtab_overwrite(struct segtab *t, struct emap_dev *d, uint64_t lba, uint32_t n,
			  const struct emap_ext *e)
{
	uint64_t at = lba, end = lba + n;
	uint32_t dead = 0;
	struct emap_ext x;

	for (; at < end; at += x.nblocks) {
		if (emap_find(d, at, end - at, &x) && x.kind == EMAP_FRAME) {
			uint32_t live = frame_live(d, at, &x, lba, at);

			change(t, &x, live, live - x.nblocks);
			dead += x.nblocks;
		}
	}
	if (e) {
		uint32_t live = frame_live(d, lba, e, lba, end);

		change(t, e, live, live + e->nblocks);
	}
	return dead;
}

struct ref {
	uint32_t seg, pos;
	struct emap_ext *e;
};

static int by_place(const void *x, const void *y)
{
	const struct ref *a = x, *b = y;

	if (a->seg != b->seg)
		return a->seg < b->seg ? -1 : 1;
	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

static struct ref *collect(struct emap *base, uint64_t *ret_nr)
{
	struct ref *r = malloc((base->extents + 1) * sizeof(*r));
	uint64_t n = 0, no;
	uint32_t i, j;

	for (i = 0; r && i < base->nr_devs; i++) {
		struct emap_leaf *l;

		for (no = 0; (l = emap_next_leaf(&base->devs[i], &no)); no++)
			for (j = 0; j < l->nr; j++)
				if (l->ext[j].kind == EMAP_FRAME)
					r[n++] = (struct ref){ l->ext[j].owner, l->ext[j].pos,
							       &l->ext[j] };
	}
	if (r)
		qsort(r, n, sizeof(*r), by_place);
	*ret_nr = n;
	return r;
}

int segtab_check(const struct segtab *t, struct emap *base, bool exact)
{
	uint64_t i, n, *bytes = calloc(t->nr + 1, sizeof(*bytes));
	uint64_t *blocks = calloc(t->nr + 1, sizeof(*blocks)), sum = 0;
	struct ref *r = collect(base, &n);
	uint32_t frame_blocks = 0, k;
	uint64_t dead = 0, stored = 0;
	int bad = !r || !bytes || !blocks;

	for (i = 0; i < n && !bad; i++) {
		const struct emap_ext *e = r[i].e;

		frame_blocks += e->nblocks;
		blocks[e->owner] += e->nblocks;
		if (i + 1 == n || by_place(&r[i], &r[i + 1])) {
			bytes[e->owner] += part(e, frame_blocks);
			bad = frame_blocks > e->fblocks;
			frame_blocks = 0;
		}
	}
	for (k = 0; k < t->nr && !bad; k++) {
		const struct fmt_segrec *s = &t->ents[k].rec;

		sum += s->live_bytes;
		dead += t->ents[k].dead ? s->object_len : 0;
		stored += t->ents[k].gone ? 0 : s->object_len;
		bad = s->live_blocks < blocks[k] || s->live_bytes < bytes[k] ||
		      ((s->flags & FMT_SEGREC_DELETED) && blocks[k]) ||
		      (exact && !t->ents[k].unsure &&
		       (s->live_blocks != blocks[k] || s->live_bytes != bytes[k]));
	}
	free(r);
	free(bytes);
	free(blocks);
	return bad || sum != t->live_bytes || dead != t->dead_bytes || stored != t->stored_bytes;
}
