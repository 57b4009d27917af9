// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Extent map: see emap.h.
 *
 * Happy path: a write reserves (leaf made, room for two more extents), then sets; the extent under
 * its start is cut short, those inside go, the one under its end is cut from the front. A read
 * bisects one leaf. Failure modes: only emap_reserve() and emap_add_dev() allocate, so whoever has
 * reserved cannot be stopped half-way; an emptied leaf is freed together with its empty nodes.
 */
#include "volume/emap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODE_SHIFT 6
#define NODE_SLOTS (1u << NODE_SHIFT)
#define NODE_MASK  (NODE_SLOTS - 1)
#define LEAF_MASK  (EMAP_LEAF_BLOCKS - 1)

struct emap_node {
	uint32_t used;
	void *slot[NODE_SLOTS]; /* nodes, or leaves at the lowest level */
};

static bool has_data(const struct emap_ext *e)
{
	return e->kind != EMAP_ZERO && e->kind != EMAP_LOST;
}

static size_t leaf_bytes(uint32_t cap)
{
	return sizeof(struct emap_leaf) + (size_t)cap * sizeof(struct emap_ext);
}

void emap_init(struct emap *m, emap_drop_fn *drop, void *ctx)
{
	memset(m, 0, sizeof(*m));
	m->drop = drop;
	m->drop_ctx = ctx;
}

static void node_free(struct emap_node *n, uint32_t height)
{
	uint32_t i;

	if (!n)
		return;
	for (i = 0; i < NODE_SLOTS; i++) {
		if (height > 1)
			node_free(n->slot[i], height - 1);
		else
			free(n->slot[i]);
	}
	free(n);
}

void emap_free(struct emap *m)
{
	uint32_t i;

	for (i = 0; i < m->nr_devs; i++)
		node_free(m->devs[i].root, m->devs[i].height);
	free(m->devs);
	emap_init(m, m->drop, m->drop_ctx);
}

int emap_add_dev(struct emap *m, uint32_t id, uint64_t nblocks)
{
	uint64_t leaves = (nblocks + LEAF_MASK) >> EMAP_LEAF_SHIFT;
	struct emap_dev *devs;
	uint32_t at = 0;

	while (at < m->nr_devs && m->devs[at].id < id)
		at++;
	if (at < m->nr_devs && m->devs[at].id == id)
		return -EEXIST;
	devs = realloc(m->devs, (m->nr_devs + 1) * sizeof(*devs));
	if (!devs)
		return -ENOMEM;
	memmove(devs + at + 1, devs + at, (m->nr_devs - at) * sizeof(*devs));
	m->devs = devs;
	m->nr_devs++;
	devs[at] = (struct emap_dev){ .id = id, .height = 1, .nblocks = nblocks };
	while (leaves > NODE_SLOTS) {
		leaves = (leaves + NODE_MASK) >> NODE_SHIFT;
		devs[at].height++;
	}
	m->bytes += sizeof(*devs);
	return 0;
}

struct emap_dev *emap_dev(struct emap *m, uint32_t id)
{
	uint32_t lo = 0, hi = m->nr_devs;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (m->devs[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->nr_devs && m->devs[lo].id == id ? &m->devs[lo] : NULL;
}

static uint32_t slot_of(uint64_t no, uint32_t height)
{
	return (uint32_t)(no >> ((height - 1) * NODE_SHIFT)) & NODE_MASK;
}

/* The place of leaf @no's pointer, or NULL if its node does not exist. */
static void **leaf_place(struct emap_dev *d, uint64_t no)
{
	struct emap_node *n = d->root;
	uint32_t h;

	for (h = d->height; n && h > 1; h--)
		n = n->slot[slot_of(no, h)];
	return n ? &n->slot[slot_of(no, 1)] : NULL;
}

struct emap_leaf *emap_leaf(struct emap_dev *d, uint64_t no)
{
	void **place = leaf_place(d, no);

	return place ? *place : NULL;
}

static struct emap_leaf *next_below(struct emap_node *n, uint32_t height, uint64_t base,
				    uint64_t *no)
{
	uint32_t shift = (height - 1) * NODE_SHIFT;
	uint32_t i = *no > base ? slot_of(*no, height) : 0;

	for (; i < NODE_SLOTS; i++) {
		uint64_t at = base + ((uint64_t)i << shift);
		struct emap_leaf *l;

		if (!n->slot[i])
			continue;
		if (height == 1) {
			*no = at;
			return n->slot[i];
		}
		l = next_below(n->slot[i], height - 1, at, no);
		if (l)
			return l;
	}
	return NULL;
}

struct emap_leaf *emap_next_leaf(struct emap_dev *d, uint64_t *no)
{
	if (!d->root || *no >> (d->height * NODE_SHIFT))
		return NULL;
	return next_below(d->root, d->height, 0, no);
}

static struct emap_node *node_new(struct emap *m)
{
	struct emap_node *n = calloc(1, sizeof(*n));

	if (n)
		m->bytes += sizeof(*n);
	return n;
}

/* As leaf_place(), and makes the nodes on the way. */
static void **leaf_place_make(struct emap *m, struct emap_dev *d, uint64_t no)
{
	struct emap_node *n;
	uint32_t h;

	if (!d->root)
		d->root = node_new(m);
	n = d->root;
	for (h = d->height; n && h > 1; h--) {
		void **s = &n->slot[slot_of(no, h)];

		if (!*s) {
			*s = node_new(m);
			if (*s)
				n->used++;
		}
		n = *s;
	}
	return n ? &n->slot[slot_of(no, 1)] : NULL;
}

static void count_leaf_in_node(struct emap_dev *d, uint64_t no)
{
	struct emap_node *n = d->root;
	uint32_t h;

	for (h = d->height; h > 1; h--)
		n = n->slot[slot_of(no, h)];
	n->used++;
}

/* Takes a leaf out of the tree, and frees the nodes that are empty without it. */
static void leaf_unlink(struct emap *m, struct emap_dev *d, uint64_t no)
{
	struct emap_node *path[16];
	struct emap_node *n = d->root;
	uint32_t h;

	for (h = d->height; h >= 1; h--) {
		path[h] = n;
		if (h > 1)
			n = n->slot[slot_of(no, h)];
	}
	for (h = 1; h <= d->height; h++) {
		path[h]->slot[slot_of(no, h)] = NULL;
		if (--path[h]->used)
			return;
		free(path[h]);
		m->bytes -= sizeof(struct emap_node);
	}
	d->root = NULL;
}

static void leaf_remove(struct emap *m, struct emap_dev *d, uint64_t no)
{
	struct emap_leaf *l = emap_leaf(d, no);

	if (m->keep)
		return;
	leaf_unlink(m, d, no);
	m->bytes -= leaf_bytes(l->cap);
	free(l);
}

/* Room for @more extents beyond those that are there. */
static int leaf_grow(struct emap *m, void **place, uint32_t more)
{
	struct emap_leaf *l = *place;
	uint32_t nr = l ? l->nr : 0, cap = l ? l->cap : 0, want = nr + more;

	if (want <= cap)
		return 0;
	if (want < cap + cap / 2)
		want = cap + cap / 2;
	l = realloc(l, leaf_bytes(want));
	if (!l)
		return -ENOMEM;
	if (!*place) {
		l->nr = 0;
		l->mark = 0;
		m->bytes += leaf_bytes(want);
	} else {
		m->bytes += leaf_bytes(want) - leaf_bytes(cap);
	}
	l->cap = want;
	*place = l;
	return 0;
}

int emap_reserve(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n, bool fresh)
{
	uint64_t no = lba >> EMAP_LEAF_SHIFT, last = (lba + n - 1) >> EMAP_LEAF_SHIFT;

	for (; no <= last; no++) {
		void **place;
		bool had;
		int err;

		if (!fresh && !emap_next_leaf(d, &no))
			return 0;
		if (no > last)
			return 0;
		place = leaf_place_make(m, d, no);
		if (!place)
			return -ENOMEM;
		had = *place;
		/* one for the new extent, one for the second half of an extent it splits */
		err = leaf_grow(m, place, 2);
		if (err)
			return err;
		if (!had)
			count_leaf_in_node(d, no);
	}
	return 0;
}

void emap_unreserve(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n)
{
	uint64_t no = lba >> EMAP_LEAF_SHIFT, last = (lba + n - 1) >> EMAP_LEAF_SHIFT;
	struct emap_leaf *l;

	for (; (l = emap_next_leaf(d, &no)) && no <= last; no++)
		if (!l->nr)
			leaf_remove(m, d, no);
}

void emap_cut(struct emap_ext *e, uint32_t skip, uint32_t n)
{
	e->start += skip;
	e->nblocks = n;
	if (e->kind == EMAP_PAGE || e->kind == EMAP_JOURNAL)
		e->pos += skip;
	else if (e->kind == EMAP_FRAME)
		e->delta += skip;
}

/* Index of the first extent that ends beyond @start. */
static uint32_t leaf_search(const struct emap_leaf *l, uint32_t start)
{
	uint32_t lo = 0, hi = l->nr;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if ((uint32_t)l->ext[mid].start + l->ext[mid].nblocks <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void dropped(struct emap *m, const struct emap_ext *e, uint32_t from, uint32_t to)
{
	struct emap_ext piece = *e;

	if (has_data(e))
		m->blocks -= to - from;
	if (!m->drop)
		return;
	emap_cut(&piece, from - e->start, to - from);
	m->drop(m->drop_ctx, &piece);
}

/* Removes [start, end) from the leaf and returns the index where an extent for it belongs. */
static uint32_t leaf_clear(struct emap *m, struct emap_leaf *l, uint32_t start, uint32_t end)
{
	uint32_t i = leaf_search(l, start), j, keep;
	struct emap_ext *e;

	if (i == l->nr || l->ext[i].start >= end)
		return i;
	e = &l->ext[i];
	if (e->start < start) {
		uint32_t e_end = (uint32_t)e->start + e->nblocks;

		if (e_end > end) { /* a hole in the middle: two extents */
			memmove(e + 1, e, (l->nr - i) * sizeof(*e));
			l->nr++;
			m->extents++;
			dropped(m, e, start, end);
			emap_cut(e, 0, start - e->start);
			emap_cut(e + 1, end - e[1].start, e_end - end);
			return i + 1;
		}
		dropped(m, e, start, e_end);
		emap_cut(e, 0, start - e->start);
		i++;
	}
	for (j = i; j < l->nr && l->ext[j].start < end; j++) {
		uint32_t e_end;

		e = &l->ext[j];
		e_end = (uint32_t)e->start + e->nblocks;
		if (e_end > end) {
			dropped(m, e, e->start, end);
			emap_cut(e, end - e->start, e_end - end);
			break;
		}
		dropped(m, e, e->start, e_end);
	}
	keep = l->nr - j;
	memmove(&l->ext[i], &l->ext[j], keep * sizeof(*e));
	m->extents -= j - i;
	l->nr = i + keep;
	return i;
}

void emap_set(struct emap *m, struct emap_dev *d, uint64_t lba, const struct emap_ext *e)
{
	struct emap_leaf *l = emap_leaf(d, lba >> EMAP_LEAF_SHIFT);
	uint32_t start = lba & LEAF_MASK;
	uint32_t i = leaf_clear(m, l, start, start + e->nblocks);

	memmove(&l->ext[i + 1], &l->ext[i], (l->nr - i) * sizeof(*e));
	l->ext[i] = *e;
	l->ext[i].start = start;
	l->nr++;
	m->extents++;
	if (has_data(e))
		m->blocks += e->nblocks;
}

void emap_punch(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n)
{
	uint64_t end = lba + n, no = lba >> EMAP_LEAF_SHIFT;
	struct emap_leaf *l;

	for (; (l = emap_next_leaf(d, &no)); no++) {
		uint64_t first = no << EMAP_LEAF_SHIFT;
		uint32_t from = lba > first ? lba - first : 0;

		if (first >= end)
			return;
		leaf_clear(m, l, from,
			   end - first < EMAP_LEAF_BLOCKS ? end - first : EMAP_LEAF_BLOCKS);
		if (!l->nr)
			leaf_remove(m, d, no);
	}
}

bool emap_find(struct emap_dev *d, uint64_t lba, uint32_t n, struct emap_ext *ret)
{
	struct emap_leaf *l = emap_leaf(d, lba >> EMAP_LEAF_SHIFT);
	uint32_t start = lba & LEAF_MASK, i;

	if (n > EMAP_LEAF_BLOCKS - start)
		n = EMAP_LEAF_BLOCKS - start;
	ret->nblocks = n;
	if (!l)
		return false;
	i = leaf_search(l, start);
	if (i == l->nr)
		return false;
	if (l->ext[i].start > start) {
		if (n > l->ext[i].start - start)
			ret->nblocks = l->ext[i].start - start;
		return false;
	}
	*ret = l->ext[i];
	if (n > (uint32_t)ret->start + ret->nblocks - start)
		n = (uint32_t)ret->start + ret->nblocks - start;
	emap_cut(ret, start - ret->start, n);
	return true;
}

/* Removes what is of batch @owner, or with @owner 0 the zeroes up to @wno. */
static void purge(struct emap *m, struct emap_dev *d, uint64_t no, uint32_t owner, uint64_t wno)
{
	struct emap_leaf *l = emap_leaf(d, no);
	uint32_t i, keep = 0;

	if (!l)
		return;
	for (i = 0; i < l->nr; i++) {
		const struct emap_ext *e = &l->ext[i];
		bool goes = owner ? e->owner == owner : e->kind == EMAP_ZERO && e->wno <= wno;

		if (!goes) {
			l->ext[keep++] = *e;
			continue;
		}
		m->extents--;
		if (has_data(e))
			m->blocks -= e->nblocks;
	}
	l->nr = keep;
	if (!keep)
		leaf_remove(m, d, no);
}

void emap_purge_owner(struct emap *m, struct emap_dev *d, uint64_t no, uint32_t owner)
{
	purge(m, d, no, owner, 0);
}

void emap_purge_zero(struct emap *m, struct emap_dev *d, uint64_t no, uint64_t wno)
{
	purge(m, d, no, 0, wno);
}

void emap_shrink(struct emap *m, struct emap_dev *d, uint64_t no)
{
	void **place = leaf_place(d, no);
	struct emap_leaf *l = *place;
	uint32_t cap = l->nr + 2;

	if (cap >= l->cap)
		return;
	l = realloc(l, leaf_bytes(cap));
	if (!l)
		return;
	m->bytes -= leaf_bytes(l->cap) - leaf_bytes(cap);
	l->cap = cap;
	*place = l;
}

int emap_graft(struct emap *m, struct emap_dev *d, struct emap *from, struct emap_dev *from_d,
	       uint64_t no)
{
	void **place = leaf_place_make(m, d, no);
	struct emap_leaf *l = emap_leaf(from_d, no);
	uint64_t blocks = 0;
	uint32_t i;

	if (!place)
		return -ENOMEM;
	leaf_unlink(from, from_d, no);
	for (i = 0; i < l->nr; i++)
		blocks += has_data(&l->ext[i]) ? l->ext[i].nblocks : 0;
	from->bytes -= leaf_bytes(l->cap);
	from->extents -= l->nr;
	from->blocks -= blocks;
	m->bytes += leaf_bytes(l->cap);
	m->extents += l->nr;
	m->blocks += blocks;
	*place = l;
	count_leaf_in_node(d, no);
	return 0;
}

static int leaf_check(const struct emap *m, const struct emap_leaf *l)
{
	uint32_t i, end = 0;

	if ((!l->nr && !m->keep) || l->nr > l->cap)
		return 2;
	for (i = 0; i < l->nr; i++) {
		const struct emap_ext *e = &l->ext[i];

		if (e->start < end || !e->nblocks)
			return 1;
		end = (uint32_t)e->start + e->nblocks;
		if (e->kind == EMAP_FRAME && (uint32_t)e->delta + e->nblocks > e->fblocks)
			return 3;
	}
	return end > EMAP_LEAF_BLOCKS ? 1 : 0;
}

static uint64_t node_bytes(const struct emap_node *n, uint32_t height)
{
	uint64_t sum = sizeof(*n);
	uint32_t i;

	for (i = 0; i < NODE_SLOTS; i++) {
		if (!n->slot[i])
			continue;
		if (height > 1)
			sum += node_bytes(n->slot[i], height - 1);
		else
			sum += leaf_bytes(((const struct emap_leaf *)n->slot[i])->cap);
	}
	return sum;
}

void emap_to_journal(struct emap_dev *d, uint64_t lba, uint32_t n, uint32_t owner, uint64_t wno,
		     uint32_t pos)
{
	uint64_t no, last = (lba + n - 1) >> EMAP_LEAF_SHIFT;

	for (no = lba >> EMAP_LEAF_SHIFT; no <= last; no++) {
		struct emap_leaf *l = emap_leaf(d, no);
		uint32_t i;

		for (i = 0; l && i < l->nr; i++) {
			struct emap_ext *e = &l->ext[i];

			if (e->kind != EMAP_PAGE || e->owner != owner || e->wno != wno)
				continue;
			e->kind = EMAP_JOURNAL;
			e->pos = pos + ((no << EMAP_LEAF_SHIFT) + e->start - lba);
		}
	}
}

int emap_check(struct emap *m)
{
	uint64_t extents = 0, blocks = 0, bytes = m->nr_devs * sizeof(*m->devs);
	uint32_t i, j;

	for (i = 0; i < m->nr_devs; i++) {
		struct emap_dev *d = &m->devs[i];
		struct emap_leaf *l;
		uint64_t no;

		if (d->root)
			bytes += node_bytes(d->root, d->height);
		for (no = 0; (l = emap_next_leaf(d, &no)); no++) {
			int bad = leaf_check(m, l);

			if (bad)
				return bad;
			extents += l->nr;
			for (j = 0; j < l->nr; j++)
				blocks += has_data(&l->ext[j]) ? l->ext[j].nblocks : 0;
		}
	}
	return extents == m->extents && blocks == m->blocks && bytes == m->bytes ? 0 : 4;
}
