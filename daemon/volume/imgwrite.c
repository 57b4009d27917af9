// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing an image: see imgwrite.h.
 *
 * Happy path: the changed leaves are sorted; of each, the extents and zeroes that are younger than
 * the newest manifest go into a run of level 0, which overrides older runs; the same with the
 * records of segments. Or everything of a kind goes into runs of level 1, which take the place of
 * all others. A segment of which the image needs nothing is called deleted; once it is gone, level
 * 1 leaves its record out. Failure modes: no memory; the caller tries again later.
 */
#include "volume/imgwrite.h"

#include <errno.h>
#include <stdlib.h>

#include "format/fmt_run.h"
#include "volume/basemap.h"
#include "volume/keys.h"
#include "volume/vol.h"

/* One more object at the end of bodies[] and names[], and room for a run in the manifest. */
static int grow(struct imgwrite *x)
{
	uint32_t cap = x->cap ? x->cap * 2 : 8;
	void *p;

	if (x->m.nr_runs >= x->cap_runs) {
		p = realloc(x->m.runs, (x->m.nr_runs + 8) * sizeof(*x->m.runs));
		if (!p)
			return -ENOMEM;
		x->m.runs = p;
		x->cap_runs = x->m.nr_runs + 8;
	}
	if (x->nr < x->cap)
		return 0;
	p = realloc(x->bodies, cap * sizeof(*x->bodies));
	if (!p)
		return -ENOMEM;
	x->bodies = p;
	p = realloc(x->names, cap * sizeof(*x->names));
	if (!p)
		return -ENOMEM;
	x->names = p;
	x->cap = cap;
	return 0;
}

static int run_end(struct imgwrite *x)
{
	struct fmt_run_ref *ref = &x->m.runs[x->m.nr_runs];
	int err;

	if (!x->w)
		return 0;
	buf_init(&x->bodies[x->nr]);
	err = fmt_run_finish(x->w, &x->bodies[x->nr], ref);
	if (err)
		return err;
	fmt_run_writer_free(x->w);
	x->w = NULL;
	fmt_name_run(x->names[x->nr], ref->version, ref->id);
	x->nr++;
	x->m.nr_runs++;
	return 0;
}

/* Adds a record, in a run of its kind that has room. */
static int add(struct imgwrite *x, enum fmt_run_kind kind, bool all, const void *rec)
{
	int err = 0;

	if (!x->w) {
		err = grow(x);
		if (err)
			return err;
		x->w = fmt_run_writer_new(x->v->uuid, x->m.version, kind, all,
					  keys_get(x->v->kr, KEYS_RUN));
		if (!x->w)
			return -ENOMEM;
	}
	err = kind == FMT_RUN_EXTENTS ? fmt_run_add_extent(x->w, rec) :
					fmt_run_add_segrec(x->w, rec);
	if (err != -EFBIG)
		return err;
	err = run_end(x);
	return err ? err : add(x, kind, all, rec);
}

static void extent_of(const struct volume *v, const struct emap_ext *e, uint32_t dev, uint64_t lba,
		      struct fmt_extent *ret)
{
	*ret = (struct fmt_extent){ .dev = dev, .blocks = e->nblocks, .lba = lba, .birth = e->wno };
	if (e->kind == EMAP_ZERO) {
		ret->tomb = 1;
		return;
	}
	ret->seq = v->segs.ents[e->owner].rec.seq;
	ret->gc = v->segs.ents[e->owner].rec.gc;
	ret->frame_off = e->pos;
	ret->stored_len = e->stored;
	ret->block = e->delta;
	ret->frame_blocks = e->fblocks;
	ret->codec = e->codec;
}

/* A zero that goes on from the one before it, by the same operation, is one with it. */
static bool joins(const struct fmt_extent *p, const struct fmt_extent *q)
{
	return p->tomb && q->tomb && p->dev == q->dev && p->birth == q->birth &&
	       p->lba + p->blocks == q->lba && (uint64_t)p->blocks + q->blocks <= UINT32_MAX;
}

/* The leaf's extents beyond @since; *held is the tombstone that may go on (blocks 0: none). */
static int add_leaf(struct imgwrite *x, const struct basemap_leaf *at, uint64_t since,
		    struct fmt_extent *held)
{
	uint32_t i;
	int err;

	for (i = 0; i < at->leaf->nr; i++) {
		const struct emap_ext *e = &at->leaf->ext[i];
		struct fmt_extent rec;

		if (x->all_extents ? e->kind == EMAP_ZERO : e->wno <= since)
			continue;
		extent_of(x->v, e, at->dev, (at->no << EMAP_LEAF_SHIFT) + e->start, &rec);
		if (held->blocks && joins(held, &rec)) {
			held->blocks += rec.blocks;
			continue;
		}
		err = held->blocks ? add(x, FMT_RUN_EXTENTS, x->all_extents, held) : 0;
		held->blocks = 0;
		if (!err && rec.tomb)
			*held = rec;
		else if (!err)
			err = add(x, FMT_RUN_EXTENTS, x->all_extents, &rec);
		if (err)
			return err;
	}
	return 0;
}

static int by_leaf(const void *p, const void *q)
{
	const struct basemap_leaf *a = p, *b = q;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->no < b->no ? -1 : a->no > b->no;
}

static int add_changed(struct imgwrite *x)
{
	struct fmt_extent held = { .blocks = 0 };
	uint64_t i;
	int err = 0;

	qsort(x->leaves, x->nr_leaves, sizeof(*x->leaves), by_leaf);
	for (i = 0; i < x->nr_leaves && !err; i++)
		if (!i || by_leaf(&x->leaves[i - 1], &x->leaves[i]))
			err = add_leaf(x, &x->leaves[i], x->v->saved_wno, &held);
	if (!err && held.blocks)
		err = add(x, FMT_RUN_EXTENTS, false, &held);
	return err;
}

static int add_all(struct imgwrite *x)
{
	const struct volume *v = x->v;
	struct fmt_extent held = { .blocks = 0 };
	struct basemap_leaf at;
	uint32_t i;
	int err = 0;

	for (i = 0; i < v->base.nr_devs && !err; i++) {
		at.dev = v->base.devs[i].id;
		for (at.no = 0; !err; at.no++) {
			at.leaf = emap_next_leaf(&v->base.devs[i], &at.no);
			if (!at.leaf)
				break;
			err = add_leaf(x, &at, 0, &held);
		}
	}
	return err;
}

/* Segment @i of the table is deleted as of this image. */
static int add_dead(struct imgwrite *x, uint32_t i, struct fmt_segrec *rec)
{
	if (x->nr_dead == x->cap_dead) {
		uint32_t cap = x->cap_dead ? 2 * x->cap_dead : 64;
		uint32_t *p = realloc(x->dead, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->dead = p;
		x->cap_dead = cap;
	}
	x->dead[x->nr_dead++] = i;
	x->floor = rec->seq + 1;
	rec->flags |= FMT_SEGREC_DELETED;
	return 0;
}

static int add_segs(struct imgwrite *x)
{
	const struct segtab *t = &x->v->segs;
	uint32_t i, nr = 0;
	int err = 0;

	/* those from replay_from on are not in the map yet, and are replayed once more */
	while (nr < t->nr && t->ents[nr].rec.seq < x->m.replay_from)
		nr++;
	for (i = 0; i < nr && !err; i++) {
		const struct segtab_ent *e = &t->ents[i];
		struct fmt_segrec rec = e->rec;
		bool dies = x->reap && segtab_dead(e) && !(rec.flags & FMT_SEGREC_DELETED);

		if (dies)
			err = add_dead(x, i, &rec);
		/* the last one stays: its epoch says who has written (recover.c) */
		if (!err && (x->all_segs ? !e->gone || i == nr - 1 : dies || segtab_changed(t, i)))
			err = add(x, FMT_RUN_SEGMENTS, x->all_segs, &rec);
	}
	return err;
}

int imgwrite_run(struct imgwrite *x)
{
	int err = add_segs(x);

	if (!err)
		err = run_end(x);
	if (!err)
		err = x->all_extents ? add_all(x) : add_changed(x);
	if (!err)
		err = run_end(x);
	if (!err)
		err = grow(x);
	if (err)
		return err;
	buf_init(&x->bodies[x->nr]);
	err = fmt_manifest_seal(&x->bodies[x->nr], &x->m, x->v->uuid,
				keys_get(x->v->kr, KEYS_MANIFEST), x->hash);
	fmt_name_manifest(x->names[x->nr], x->m.version, x->m.id);
	x->nr++;
	return err;
}

void imgwrite_free(struct imgwrite *x)
{
	uint32_t i;

	for (i = 0; i < x->nr; i++)
		buf_free(&x->bodies[i]);
	fmt_run_writer_free(x->w);
	free(x->bodies);
	free(x->names);
	free(x->m.runs);
	free(x->dead);
	free(x->leaves);
}
