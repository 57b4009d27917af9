// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * READ: see read.h.
 *
 * Happy path: each piece of the range is a page of a write extent (overlay), a part of a decoded
 * frame (base map, cache) or a hole (zero region); segs[] gets its address, the extent or cache
 * entry a pin, and the READ is answered without a copy. What owns an address follows from the
 * address, so a READ that hits allocates nothing. A miss takes a slot first and starts the fetch;
 * the address is known before the bytes are there.
 *
 * Failure modes: no slot to be had: all pins are given back and the READ waits, in order, for
 * others to be released; the cache always holds the frames of one READ (arena.c), so the first one
 * that waits gets on. A frame that cannot be had: -EBADMSG for the READs that need it and for
 * nobody else.
 *
 * vpriv of a READ that waits: [0] entries it waits for, [1] error so far, [2] its struct read_wait
 * array.
 */
#include "volume/read.h"

#include <errno.h>
#include <stdlib.h>

#include "io.h"
#include "volume/ahead.h"
#include "volume/fetch.h"
#include "volume/jfetch.h"
#include "volume/journal.h"
#include "volume/vol.h"

struct read_wait {
	struct list_head link; /* cache_ent.waiters */
	struct io_req *io;
};

struct plan {
	struct io_req *io;
	uint32_t nr_new, nr_waits, nr_hits;
	uint32_t nr_jnew;
	struct fetch_frame fresh[IO_MAX_BLOCKS];
	struct jfetch_block jfresh[IO_MAX_BLOCKS];
	struct cache_ent *waits[IO_MAX_BLOCKS];
};

static void unpin_at(struct volume *v, uint64_t off)
{
	uint32_t ext = arena_ext_at(&v->arena, off);

	if (ext != ~0u)
		arena_unpin(&v->arena, ext);
	else if (off >= v->cache.off)
		cache_unpin(&v->cache, cache_at(&v->cache, off));
}

static void unpin_all(struct volume *v, struct io_req *io)
{
	uint32_t i;

	for (i = 0; i < io->nsegs; i++)
		unpin_at(v, io->segs[i].off);
	io->nsegs = 0;
}

/* Does a piece at @off go on where the last seg ends, in the same extent or cache entry? */
static bool joins(const struct volume *v, const struct io_req *io, uint64_t off)
{
	const struct io_seg *last = io->nsegs ? &io->segs[io->nsegs - 1] : NULL;
	uint32_t ext = arena_ext_at(&v->arena, off);

	if (!last || last->off + last->len != off)
		return false;
	if (ext != ~0u)
		return arena_ext_at(&v->arena, last->off) == ext;
	return last->off >= v->cache.off && cache_at((struct cache *)&v->cache, last->off) ==
						    cache_at((struct cache *)&v->cache, off);
}

/* Adds a piece; true: the caller pins its owner. */
static bool add_seg(struct volume *v, struct io_req *io, uint64_t off, uint32_t blocks)
{
	uint32_t len = blocks << IO_BLOCK_SHIFT;

	if (joins(v, io, off)) {
		io->segs[io->nsegs - 1].len += len;
		return false;
	}
	io->segs[io->nsegs++] = (struct io_seg){ off, len };
	return true;
}

static void add_zero(struct io_req *io, uint32_t blocks)
{
	uint32_t len = blocks << IO_BLOCK_SHIFT;
	struct io_seg *last = io->nsegs ? &io->segs[io->nsegs - 1] : NULL;

	if (last && last->off == 0)
		last->len += len;
	else
		io->segs[io->nsegs++] = (struct io_seg){ 0, len };
}

static int add_frame(struct volume *v, struct plan *p, const struct emap_ext *e, uint64_t lba)
{
	struct cache_ent *ent = cache_find(&v->cache, e->owner, e->pos);
	uint64_t delta = (uint64_t)e->delta << IO_BLOCK_SHIFT;

	if (!ent) {
		ent = cache_new(&v->cache, e->owner, e->pos, e->fblocks);
		if (!ent)
			return -EAGAIN;
		p->fresh[p->nr_new++] = (struct fetch_frame){
			.ent = ent,
			.f = { .dev = p->io->dev,
			       .lba = lba - e->delta,
			       .blocks = e->fblocks,
			       .codec = e->codec,
			       .stored_len = e->stored,
			       .off = e->pos },
		};
		p->waits[p->nr_waits++] = ent;
		/*
		 * the pin that the new entry came with is this seg's: it cannot join another
		 * entry's
		 */
		add_seg(v, p->io, cache_off(ent) + delta, e->nblocks);
		return 0;
	}
	p->nr_hits++;
	if (!add_seg(v, p->io, cache_off(ent) + delta, e->nblocks))
		return 0;
	cache_pin(ent);
	if (ent->state == CACHE_LOADING)
		p->waits[p->nr_waits++] = ent;
	return 0;
}

/* A block that lies only in the journal. */
static int add_journal_block(struct volume *v, struct plan *p, uint32_t block)
{
	uint64_t pos = journal_block_pos(v->journal, block);
	struct cache_ent *ent = cache_find(&v->cache, JFETCH_SEG(pos), JFETCH_POS(pos));

	if (!ent) {
		ent = cache_new(&v->cache, JFETCH_SEG(pos), JFETCH_POS(pos), 1);
		if (!ent)
			return -EAGAIN;
		p->jfresh[p->nr_jnew++] = (struct jfetch_block){ ent, pos };
		p->waits[p->nr_waits++] = ent;
		add_seg(v, p->io, cache_off(ent), 1);
		return 0;
	}
	p->nr_hits++;
	if (!add_seg(v, p->io, cache_off(ent), 1))
		return 0;
	cache_pin(ent);
	if (ent->state == CACHE_LOADING)
		p->waits[p->nr_waits++] = ent;
	return 0;
}

static int add_journal(struct volume *v, struct plan *p, const struct emap_ext *e)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < e->nblocks && !err; i++)
		err = add_journal_block(v, p, e->pos + i);
	return err;
}

/* Gives back the slots that nobody will fill. */
static void forget_new(struct volume *v, struct plan *p)
{
	uint32_t i;

	for (i = 0; i < p->nr_new; i++)
		cache_failed(&v->cache, p->fresh[i].ent);
	for (i = 0; i < p->nr_jnew; i++)
		cache_failed(&v->cache, p->jfresh[i].ent);
}

/* Fills segs[]. -EAGAIN: no slot; -EBADMSG: the map is damaged there; everything is given back. */
static int look_up(struct volume *v, struct plan *p)
{
	struct io_req *io = p->io;
	struct emap_dev *over = emap_dev(&v->overlay, io->dev), *base = emap_dev(&v->base, io->dev);
	uint64_t lba = io->lba, end = lba + io->nblocks;
	struct emap_ext e;
	int err = -EAGAIN;

	io->nsegs = 0;
	p->nr_new = 0;
	p->nr_jnew = 0;
	p->nr_waits = 0;
	p->nr_hits = 0;
	for (; lba < end; lba += e.nblocks) {
		if (emap_find(over, lba, end - lba, &e)) {
			if (e.kind == EMAP_ZERO) {
				add_zero(io, e.nblocks);
			} else if (e.kind == EMAP_JOURNAL) {
				if (add_journal(v, p, &e))
					goto undo;
			} else if (e.kind == EMAP_FRAME) {
				e.owner = e.seg;
				if (add_frame(v, p, &e, lba))
					goto undo;
			} else {
				uint64_t off = (uint64_t)e.pos << IO_BLOCK_SHIFT;

				if (add_seg(v, io, off, e.nblocks))
					arena_pin(&v->arena, arena_ext_at(&v->arena, off));
			}
			continue;
		}
		if (!emap_find(base, lba, e.nblocks, &e) || e.kind == EMAP_ZERO) {
			add_zero(io, e.nblocks);
			continue;
		}
		if (e.kind == EMAP_LOST) {
			err = -EBADMSG;
			goto undo;
		}
		if (add_frame(v, p, &e, lba))
			goto undo;
	}
	return 0;
undo:
	forget_new(v, p);
	unpin_all(v, io);
	return err;
}

static void finish(struct volume *v, struct io_req *io, int err)
{
	io->res = err;
	if (err)
		unpin_all(v, io);
	else
		v->st.bytes[IO_READ] += (uint64_t)io->nblocks << IO_BLOCK_SHIFT;
	io->done(io);
}

/* -ENOMEM: nothing is planned. */
static int prepare(struct volume *v, struct plan *p)
{
	int err = p->nr_jnew ? jfetch_prepare(v, p->jfresh, p->nr_jnew) : 0;

	if (err)
		return err;
	err = p->nr_new ? fetch_prepare(v, p->fresh, p->nr_new) : 0;
	if (err && p->nr_jnew)
		jfetch_unprepare(v, p->jfresh, p->nr_jnew);
	return err;
}

/* The READ itself may have ended, and the volume with it. */
static void read_ahead(struct volume *v, uint32_t dev, uint64_t lba, uint32_t n)
{
	if (!vol_serving(v) || v->no_ahead)
		return;
	ahead_read(v, dev, lba, n);
	if (!list_empty(&v->aheads))
		fetch_pump(v);
}

static int try_read(struct volume *v, struct io_req *io)
{
	struct plan p;
	struct read_wait *w;
	uint32_t i, dev = io->dev, n = io->nblocks;
	uint64_t lba = io->lba;
	int err;

	p.io = io;
	err = leaves_read(v, io);
	if (err == -EINPROGRESS)
		return 0;
	if (!err)
		err = look_up(v, &p);
	if (err == -EAGAIN && fetch_shed(v))
		err = look_up(v, &p);
	if (err == -EBADMSG) {
		finish(v, io, err);
		return 0;
	}
	if (err)
		return -EAGAIN;
	v->st.cache_hits += p.nr_hits;
	v->st.cache_misses += p.nr_new + p.nr_jnew;
	if (!p.nr_waits) {
		finish(v, io, 0);
		read_ahead(v, dev, lba, n);
		return 0;
	}
	w = calloc(p.nr_waits, sizeof(*w));
	if (!w || prepare(v, &p)) {
		free(w);
		forget_new(v, &p);
		unpin_all(v, io);
		volume_retry(v);
		return -EAGAIN;
	}
	io->vpriv[0] = (void *)(uintptr_t)p.nr_waits;
	io->vpriv[1] = NULL;
	io->vpriv[2] = w;
	v->reads_waiting++;
	for (i = 0; i < p.nr_waits; i++) {
		w[i].io = io;
		list_add_tail(&w[i].link, &p.waits[i]->waiters);
		fetch_promote(v, p.waits[i]);
	}
	fetch_pump(v);
	read_ahead(v, dev, lba, n);
	return 0;
}

void read_submit(struct volume *v, struct io_req *io)
{
	if (list_empty(&v->stalled) && !try_read(v, io))
		return;
	list_add_tail(&io->link, &v->stalled);
	/* a release takes it up; should it have been memory that lacked, time does */
	volume_retry(v);
}

void read_resume(struct volume *v)
{
	while (!list_empty(&v->stalled)) {
		struct io_req *io = list_first_entry(&v->stalled, struct io_req, link);

		list_del(&io->link);
		if (try_read(v, io)) {
			list_add(&io->link, &v->stalled);
			volume_retry(v);
			return;
		}
	}
}

void read_fail_list(struct list_head *reads, int err)
{
	while (!list_empty(reads)) {
		struct io_req *io = list_first_entry(reads, struct io_req, link);

		list_del(&io->link);
		io->res = err;
		io->done(io);
	}
}

void read_loaded(struct volume *v, struct cache_ent *e, int err)
{
	struct list_head waiters;
	struct read_wait *w, *tmp;

	list_init(&waiters);
	list_splice_tail(&e->waiters, &waiters);
	if (err)
		cache_failed(&v->cache, e);
	else
		cache_ready(&v->cache, e);
	list_for_each_entry_safe(w, tmp, &waiters, link) {
		struct io_req *io = w->io;
		uintptr_t left = (uintptr_t)io->vpriv[0] - 1;

		list_del(&w->link);
		if (err)
			io->vpriv[1] = (void *)(intptr_t)err;
		io->vpriv[0] = (void *)left;
		if (left)
			continue;
		free(io->vpriv[2]);
		io->vpriv[2] = NULL;
		v->reads_waiting--;
		finish(v, io, vol_serving(v) ? (int)(intptr_t)io->vpriv[1] : -EIO);
	}
}

void read_forget(struct cache_ent *e)
{
	struct read_wait *w, *tmp;

	list_for_each_entry_safe(w, tmp, &e->waiters, link) {
		struct io_req *io = w->io;
		uintptr_t left = (uintptr_t)io->vpriv[0] - 1;

		list_del(&w->link);
		io->vpriv[0] = (void *)left;
		if (!left)
			free(io->vpriv[2]);
	}
}

void read_release(struct volume *v, struct io_req *io)
{
	unpin_all(v, io);
	volume_room(v);
}
