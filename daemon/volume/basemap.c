// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of the base map: see basemap.h.
 *
 * Happy path: room is reserved, the leaf is listed (once per checkpoint: its mark says so), the
 * segments' accounts are brought up to date, then the extent is set. Failure modes: no memory:
 * nothing of the leaf at hand has changed.
 */
#include "volume/basemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume/vol.h"

static void list_free(struct basemap_dirty *d)
{
	struct basemap_chunk *c, *next;

	for (c = d->first; c; c = next) {
		next = c->next;
		free(c);
	}
	*d = (struct basemap_dirty){ 0 };
}

void basemap_free(struct volume *v)
{
	list_free(&v->dirty);
	list_free(&v->saving);
}

/* Lists the leaf, which exists. */
static int touch(struct volume *v, uint32_t dev, struct emap_leaf *l, uint64_t no)
{
	struct basemap_dirty *d = &v->dirty;
	struct basemap_chunk *c = d->first;

	if (l->mark == v->segs.gen)
		return 0;
	if (!c || c->nr == BASEMAP_CHUNK) {
		c = malloc(sizeof(*c));
		if (!c)
			return -ENOMEM;
		c->next = d->first;
		c->nr = 0;
		d->first = c;
		d->bytes += sizeof(*c);
	}
	c->at[c->nr].dev = dev;
	c->at[c->nr++].no = no;
	d->nr++;
	l->mark = v->segs.gen;
	return 0;
}

/* Room for one extent in the leaf of @lba, which is listed. */
static int prepare(struct volume *v, struct emap_dev *d, uint64_t lba, uint32_t n)
{
	uint64_t no = lba >> EMAP_LEAF_SHIFT;
	int err = emap_reserve(&v->base, d, lba, n, true);

	if (!err)
		err = touch(v, d->id, emap_leaf(d, no), no);
	if (err)
		emap_unreserve(&v->base, d, lba, n);
	return err;
}

static uint32_t room_in_leaf(uint64_t lba, uint64_t n)
{
	uint32_t room = EMAP_LEAF_BLOCKS - (lba & (EMAP_LEAF_BLOCKS - 1));

	return n < room ? (uint32_t)n : room;
}

/* Before [lba, lba + n) becomes *e, or with NULL zero: the account. */
static void overwrite(struct volume *v, struct emap_dev *d, uint64_t lba, uint32_t n,
		      const struct emap_ext *e)
{
	uint32_t dead = segtab_overwrite(&v->segs, d, lba, n, e);

	v->mapped_blocks -= dead < v->mapped_blocks ? dead : v->mapped_blocks;
	v->mapped_blocks += e ? n : 0;
}

int basemap_set(struct volume *v, struct emap_dev *d, uint64_t lba, const struct emap_ext *e)
{
	uint32_t skip, n;

	for (skip = 0; skip < e->nblocks; skip += n) {
		struct emap_ext part = *e;
		int err;

		n = room_in_leaf(lba + skip, e->nblocks - skip);
		emap_cut(&part, skip, n);
		err = leaves_ready(v, d, lba + skip, n);
		if (!err)
			err = prepare(v, d, lba + skip, n);
		if (err)
			return err;
		overwrite(v, d, lba + skip, n, &part);
		emap_set(&v->base, d, lba + skip, &part);
	}
	return 0;
}

/* [lba, lba + n) of leaf @no, which may be something else than zero. */
static int zero_part(struct volume *v, struct emap_dev *d, uint64_t lba, uint32_t n, uint64_t wno)
{
	struct emap_ext e = { .kind = EMAP_ZERO, .nblocks = n, .wno = wno }, old;
	int err = leaves_ready(v, d, lba, n);

	if (err)
		return err;
	/* a hole reads as zero in all runs together, too */
	if (!emap_find(d, lba, n, &old) && old.nblocks == n)
		return 0;
	err = prepare(v, d, lba, n);
	if (err)
		return err;
	overwrite(v, d, lba, n, NULL);
	emap_set(&v->base, d, lba, &e);
	if (n == EMAP_LEAF_BLOCKS)
		emap_shrink(&v->base, d, lba >> EMAP_LEAF_SHIFT);
	return 0;
}

int basemap_zero(struct volume *v, struct emap_dev *d, uint64_t lba, uint64_t n, uint64_t wno)
{
	uint64_t end = lba + n, no = lba >> EMAP_LEAF_SHIFT, last = (end - 1) >> EMAP_LEAF_SHIFT;

	/* the others read as zero already */
	for (; leaves_next(v, d, no, last, &no); no++) {
		uint64_t first = no << EMAP_LEAF_SHIFT, from = first > lba ? first : lba;
		int err = zero_part(v, d, from, room_in_leaf(from, end - from), wno);

		if (err)
			return err;
	}
	return 0;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

int basemap_freeze(struct volume *v, struct basemap_leaf **ret_leaves, uint64_t *ret_nr)
{
	struct basemap_leaf *l = malloc((v->dirty.nr + 1) * sizeof(*l));
	const struct basemap_chunk *c;
	uint64_t n = 0;
	uint32_t i;

	if (!l)
		return -ENOMEM;
	for (c = v->dirty.first; c; c = c->next) {
		for (i = 0; i < c->nr; i++) {
			l[n].dev = c->at[i].dev;
			l[n].no = c->at[i].no;
			l[n].leaf = emap_leaf(emap_dev(&v->base, l[n].dev), l[n].no);
			n += !!l[n].leaf;
		}
	}
	v->saving = v->dirty;
	v->dirty = (struct basemap_dirty){ 0 };
	*ret_leaves = l;
	*ret_nr = n;
	return 0;
}

void basemap_give_back(struct volume *v)
{
	struct basemap_chunk **end = &v->dirty.first;

	while (*end)
		end = &(*end)->next;
	*end = v->saving.first;
	v->dirty.nr += v->saving.nr;
	v->dirty.bytes += v->saving.bytes;
	v->saving = (struct basemap_dirty){ 0 };
}

void basemap_saved(struct volume *v, uint64_t wno)
{
	const struct basemap_chunk *c;
	uint32_t i;

	for (c = v->saving.first; c; c = c->next)
		for (i = 0; i < c->nr; i++)
			emap_purge_zero(&v->base, emap_dev(&v->base, c->at[i].dev), c->at[i].no,
					wno);
	list_free(&v->saving);
}

/* ---- the checker ----------------------------------------------------------------------------- */

static bool listed(const struct basemap_dirty *d, uint32_t dev, uint64_t no)
{
	const struct basemap_chunk *c;
	uint32_t i;

	for (c = d->first; c; c = c->next)
		for (i = 0; i < c->nr; i++)
			if (c->at[i].dev == dev && c->at[i].no == no)
				return true;
	return false;
}

static int check_leaf(const struct volume *v, const struct emap_leaf *l, bool is_listed)
{
	uint32_t i;

	for (i = 0; i < l->nr; i++) {
		const struct emap_ext *e = &l->ext[i];

		if (e->kind == EMAP_PAGE || (e->wno > v->saved_wno && !is_listed) ||
		    (e->kind == EMAP_ZERO && e->wno <= v->saved_wno))
			return 80;
	}
	return 0;
}

int basemap_check(struct volume *v)
{
	struct emap_leaf *l;
	uint32_t i;
	uint64_t no;
	int bad;

	for (i = 0; i < v->base.nr_devs; i++) {
		uint32_t dev = v->base.devs[i].id;

		for (no = 0; (l = emap_next_leaf(&v->base.devs[i], &no)); no++) {
			bad = check_leaf(v, l,
					 listed(&v->dirty, dev, no) || listed(&v->saving, dev, no));
			if (bad)
				return bad;
		}
	}
	return 0;
}
