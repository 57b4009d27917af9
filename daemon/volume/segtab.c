// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The segment table: see segtab.h.
 *
 * A frame's live bytes are stored length * live blocks / blocks, rounded down, and a segment's are
 * the sum over its frames. That is exact under any order of overwrites because each frame's count
 * of live blocks is kept.
 */
#include "volume/segtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume/emap.h"

void segtab_init(struct segtab *t)
{
	memset(t, 0, sizeof(*t));
}

void segtab_free(struct segtab *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		free(t->ents[i].live);
	free(t->ents);
	segtab_init(t);
}

int segtab_append(struct segtab *t, const struct fmt_segrec *rec, uint32_t nr_frames)
{
	struct segtab_ent *e;

	if (t->nr && t->ents[t->nr - 1].rec.seq >= rec->seq)
		return -EBADMSG;
	if (t->nr == t->cap) {
		uint32_t cap = t->cap ? t->cap + t->cap / 2 : 64;

		e = realloc(t->ents, cap * sizeof(*e));
		if (!e)
			return -ENOMEM;
		t->heap_bytes += (cap - t->cap) * sizeof(*e);
		t->ents = e;
		t->cap = cap;
	}
	e = &t->ents[t->nr];
	e->rec = *rec;
	e->nr_live = nr_frames;
	e->live = calloc(nr_frames ? nr_frames : 1, 1);
	if (!e->live)
		return -ENOMEM;
	t->heap_bytes += nr_frames;
	t->stored_bytes += rec->object_len;
	t->live_bytes += rec->live_bytes;
	t->nr++;
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
	uint32_t lo = 0, hi = t->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->ents[mid].rec.seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nr && t->ents[lo].rec.seq == seq ? lo : ~0u;
}

static uint64_t part(const struct emap_ext *e, uint32_t blocks)
{
	return (uint64_t)e->stored * blocks / e->fblocks;
}

static void change(struct segtab *t, const struct emap_ext *e, int sign)
{
	struct segtab_ent *s = &t->ents[e->owner];
	uint8_t *live = &s->live[e->frame];
	int64_t before = part(e, *live), diff;

	*live += sign * e->nblocks;
	diff = (int64_t)part(e, *live) - before;
	s->rec.live_blocks += sign * e->nblocks;
	s->rec.live_bytes += diff;
	t->live_bytes += diff;
}

void segtab_live(struct segtab *t, const struct emap_ext *e)
{
	change(t, e, 1);
}

void segtab_dead(struct segtab *t, const struct emap_ext *e)
{
	change(t, e, -1);
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

static struct ref *collect(struct emap *base)
{
	struct ref *r = malloc((base->extents + 1) * sizeof(*r));
	uint64_t n = 0, no;
	uint32_t i, j;

	for (i = 0; r && i < base->nr_devs; i++) {
		struct emap_leaf *l;

		for (no = 0; (l = emap_next_leaf(&base->devs[i], &no)); no++)
			for (j = 0; j < l->nr; j++)
				r[n++] = (struct ref){ l->ext[j].owner, l->ext[j].pos, &l->ext[j] };
	}
	if (r)
		qsort(r, n, sizeof(*r), by_place);
	return r;
}

/* Two extents of one frame must tell the same of it. */
static int number_frames(const struct segtab *t, struct ref *r, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		const struct emap_ext *p = i ? r[i - 1].e : NULL;
		struct emap_ext *e = r[i].e;

		e->frame = 0;
		if (!i || r[i - 1].seg != r[i].seg)
			continue;
		e->frame = p->frame;
		if (r[i - 1].pos != r[i].pos)
			e->frame++;
		else if (p->stored != e->stored || p->fblocks != e->fblocks || p->codec != e->codec)
			return -EBADMSG;
		if (e->frame >= t->ents[e->owner].rec.nr_frames)
			return -EBADMSG;
	}
	return 0;
}

int segtab_count(struct segtab *t, struct emap *base)
{
	struct ref *r = collect(base);
	uint64_t i, n = base->extents;
	uint32_t k;
	int err;

	if (!r)
		return -ENOMEM;
	for (k = 0; k < t->nr; k++) {
		t->ents[k].rec.live_blocks = 0;
		t->ents[k].rec.live_bytes = 0;
	}
	t->live_bytes = 0;
	err = number_frames(t, r, n);
	for (i = 0; !err && i < n; i++) {
		struct segtab_ent *s = &t->ents[r[i].seg];

		/* the last extent of a segment has its highest frame number */
		if ((i + 1 == n || r[i + 1].seg != r[i].seg)) {
			uint32_t nr = r[i].e->frame + 1;
			uint8_t *live = realloc(s->live, nr);

			if (!live) {
				err = -ENOMEM;
				break;
			}
			memset(live, 0, nr);
			t->heap_bytes += nr - s->nr_live;
			s->live = live;
			s->nr_live = nr;
		}
	}
	for (i = 0; !err && i < n; i++) {
		struct segtab_ent *s = &t->ents[r[i].seg];

		if (s->live[r[i].e->frame] + r[i].e->nblocks > r[i].e->fblocks)
			err = -EBADMSG;
		else
			segtab_live(t, r[i].e);
	}
	free(r);
	return err;
}

int segtab_check(const struct segtab *t, struct emap *base)
{
	struct ref *r = collect(base);
	uint64_t i, n = base->extents, sum = 0, seg_bytes = 0, blocks = 0, seg_blocks = 0;
	uint32_t frame_blocks = 0, k;
	int bad = 0;

	if (!r)
		return 1;
	for (i = 0; i < n; i++) {
		const struct emap_ext *e = r[i].e;
		bool last_of_frame = i + 1 == n || by_place(&r[i], &r[i + 1]);
		bool last_of_seg = i + 1 == n || r[i].seg != r[i + 1].seg;

		frame_blocks += e->nblocks;
		seg_blocks += e->nblocks;
		if (last_of_frame) {
			seg_bytes += part(e, frame_blocks);
			bad |= t->ents[e->owner].live[e->frame] != frame_blocks;
			frame_blocks = 0;
		}
		if (last_of_seg) {
			bad |= t->ents[e->owner].rec.live_bytes != seg_bytes ||
			       t->ents[e->owner].rec.live_blocks != seg_blocks;
			sum += seg_bytes;
			blocks += seg_blocks;
			seg_bytes = 0;
			seg_blocks = 0;
		}
	}
	for (k = 0; k < t->nr; k++)
		blocks -= t->ents[k].rec.live_blocks;
	free(r);
	return bad || blocks || sum != t->live_bytes;
}
