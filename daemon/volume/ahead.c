// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Read-ahead: see ahead.h; stream.h says what is wanted.
 *
 * Happy path: the frames of a wanted stretch that are in the store and not in the cache take their
 * slots and are planned (fetch.h), behind everything that somebody waits for; the leaves of the
 * base map that the next stretches need are asked for meanwhile. Failure modes: the leaf is not
 * there yet, no slot, no memory: the stretch ends there, and the stream's next READ tries again.
 * The store is away: nothing is read ahead. What was planned is wanted by nobody: it becomes the
 * oldest in the cache, and stream.c lowers the windows.
 */
#include "volume/ahead.h"

#include <errno.h>

#include "io.h"
#include "volume/fetch.h"
#include "volume/stream.h"
#include "volume/vol.h"

#define CACHE_SHARE 4u /* of the cache, ahead of all streams together */

/* Frames of one stretch: each has a block of it. */
struct stretch {
	uint32_t nr;
	struct fetch_frame f[STREAM_PIECE];
};

void ahead_init(struct volume *v)
{
	stream_init(&v->streams, (uint64_t)v->cache.nr_slabs * CACHE_SLAB_PAGES / CACHE_SHARE,
		    v->o.read_ahead >> IO_BLOCK_SHIFT);
}

/* False: no slot. */
static bool add_frame(struct volume *v, struct stretch *s, uint32_t dev, const struct emap_ext *e,
		      uint32_t seg, uint64_t lba)
{
	struct cache_ent *ent;

	if (cache_peek(&v->cache, seg, e->pos))
		return true;
	ent = cache_new_ahead(&v->cache, seg, e->pos, e->fblocks);
	if (!ent)
		return false;
	s->f[s->nr++] = (struct fetch_frame){
		.ent = ent,
		.f = { .dev = dev,
		       .lba = lba - e->delta,
		       .blocks = e->fblocks,
		       .codec = e->codec,
		       .stored_len = e->stored,
		       .off = e->pos },
	};
	return true;
}

/* Collects frames from @lba on; returns how far it came, at most @end. */
static uint64_t collect(struct volume *v, struct stretch *s, uint32_t dev, uint64_t lba,
			uint64_t end)
{
	struct emap_dev *over = emap_dev(&v->overlay, dev), *base = emap_dev(&v->base, dev);
	struct emap_ext e;

	s->nr = 0;
	for (; lba < end; lba += e.nblocks) {
		if (emap_find(over, lba, end - lba, &e)) {
			if (e.kind == EMAP_FRAME && !add_frame(v, s, dev, &e, e.seg, lba))
				break;
			continue;
		}
		if (!leaves_known(v, base, lba >> EMAP_LEAF_SHIFT))
			break;
		if (emap_find(base, lba, e.nblocks, &e) && e.kind == EMAP_FRAME &&
		    !add_frame(v, s, dev, &e, e.owner, lba))
			break;
	}
	return lba;
}

/* Returns up to where [lba, end), at most a piece, is planned. */
static uint64_t plan(struct volume *v, uint32_t dev, uint64_t lba, uint64_t end)
{
	struct stretch s;
	uint64_t to = collect(v, &s, dev, lba, end);
	uint32_t i;

	if (!s.nr || !fetch_ahead(v, s.f, s.nr))
		return to;
	for (i = 0; i < s.nr; i++)
		cache_failed(&v->cache, s.f[i].ent);
	return lba;
}

/*
 * Leaves are asked for before the stretches need them, several at a time: once the one that lies a
 * reach beyond what is ahead is not known, those of two more.
 */
static void map_ahead(struct volume *v, struct emap_dev *d, uint64_t at, uint64_t reach)
{
	uint64_t last = (d->nblocks - 1) >> EMAP_LEAF_SHIFT;
	uint64_t near = (at + reach + EMAP_LEAF_BLOCKS) >> EMAP_LEAF_SHIFT;
	uint64_t far = near + (reach >> EMAP_LEAF_SHIFT);

	near = near < last ? near : last;
	if (!leaves_known(v, d, near))
		leaves_ahead(v, d, at >> EMAP_LEAF_SHIFT, far < last ? far : last);
}

void ahead_read(struct volume *v, uint32_t dev, uint64_t lba, uint32_t n)
{
	struct stream *st = stream_read(&v->streams, dev, lba, n);
	struct emap_dev *d;
	uint64_t from, to, reach;
	uint32_t len;

	if (!st || v->sio.outage[STORE_GET])
		return;
	d = emap_dev(&v->base, dev);
	while (stream_wants(&v->streams, st, d->nblocks, &from, &len)) {
		to = stream_shadow(&v->streams) ? from + len : plan(v, dev, from, from + len);
		stream_ahead(st, to);
		if (to < from + len)
			break;
	}
	/* what this brings about may change the streams */
	reach = stream_reach(&v->streams, st);
	from = st->head > st->next ? st->head : st->next;
	if (from < d->nblocks && !stream_shadow(&v->streams))
		map_ahead(v, d, from, reach);
}
