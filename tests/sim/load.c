// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests of a host's kernel, and what their answers promise. */
#include <stdlib.h>
#include <string.h>

#include "lib/testrand.h"
#include "sim/sim.h"
#include "volume/vol.h"

static struct sim_io *io_new(struct host *h)
{
	struct sim_io *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->v.heap = true;
	x->acked = h->acked;
	list_init(&x->link);
	return x;
}

void load_flush(struct host *h)
{
	struct sim_io *x = io_new(h);

	/* it covers what had been answered */
	h->s->st->flushes++;
	sim_trace(h->s, "h%u: FLUSH of %u", h->no, h->w.acked);
	vol_submit(&x->v, &h->w, IO_FLUSH, 0, 0, 0, 0, h->w.acked);
}

static uint64_t random_lba(void)
{
	switch (testrand_below(4)) {
	case 0:
		return testrand_below(SIM_BLOCKS);
	case 1:
		return 1000 + testrand_below(48); /* a leaf ends at 1024 */
	default:
		return testrand_below(96);
	}
}

static uint32_t random_len(uint64_t lba, uint32_t max)
{
	uint32_t n = testrand_below(12) ? 1 + testrand_below(8) : 1 + testrand_below(max);

	return n < SIM_BLOCKS - lba ? n : SIM_BLOCKS - lba;
}

/* The place of the newest operation that was taken: those behind it wait for room, in order. */
static uint32_t newest_taken(const struct host *h)
{
	const struct list_head *held = &h->w.v->held;
	const struct io_req *first;

	if (list_empty(held))
		return h->br.m.ops;
	first = list_entry(held->next, struct io_req, link);
	return branch_place(&h->br, container_of(first, struct vol_io, io)->op) - 1;
}

static void load_read(struct host *h, uint32_t dev, uint64_t lba)
{
	struct sim_io *x = io_new(h);

	x->v.heap = false;
	x->place = newest_taken(h);
	h->s->st->reads++;
	list_add_tail(&x->link, &h->reads);
	sim_trace(h->s, "h%u: READ %u:%llu", h->no, dev, (unsigned long long)lba);
	vol_submit(&x->v, &h->w, IO_READ, 0, dev, lba, random_len(lba, 64), 0);
}

void load_op(struct host *h)
{
	static const char *const names[] = { "WRITE", "DISCARD", "WRITE_ZEROES" };
	uint32_t dev = testrand_below(h->s->sc.nr_devs), kind = testrand_below(24), n, op;
	uint8_t flags = testrand_below(25) ? 0 : IO_F_FUA;
	uint64_t lba = random_lba();
	struct sim_io *x;
	uint8_t what;

	if (kind >= 20) {
		load_read(h, dev, lba);
		return;
	}
	what = kind < 16 ? IO_WRITE : kind < 18 ? IO_DISCARD : IO_WRITE_ZEROES;
	n = random_len(lba, what == IO_WRITE ? 128 : SIM_BLOCKS);
	if (what == IO_WRITE_ZEROES && testrand_below(2))
		flags |= IO_F_NOUNMAP;
	h->s->st->ops++;
	op = branch_op(h->s, &h->br, dev, lba, n, what == IO_WRITE);
	sim_trace(h->s, "h%u: %s%s %u: %u:%llu+%u", h->no,
		  names[what == IO_WRITE   ? 0 :
			what == IO_DISCARD ? 1 :
					     2],
		  flags & IO_F_FUA ? "+FUA" : "", op, dev, (unsigned long long)lba, n);
	x = io_new(h);
	vol_submit(&x->v, &h->w, what, flags, dev, lba, n, op);
}

/* The answer to a FLUSH, or to what was FUA: everything up to @x's operation is safe. */
static void promised(struct host *h, const struct sim_io *x)
{
	struct sim *s = h->s;

	bool stored = x->v.io.dur <= h->w.v->committed_wno;
	uint64_t stop_us = h->w.opts.stop_after_ms * 1000ull;

	sim_must(!h->fenced || x->v.op <= h->fork || !stored,
		 "h%u: a flush of operation %u answered, though fenced after %u", h->no, x->v.op,
		 h->fork);
	sim_must(!h->fenced || x->v.op <= h->fork || !stop_us || s->now - h->fenced_at <= stop_us,
		 "h%u: a flush of operation %u answered %llu us after the fence", h->no, x->v.op,
		 (unsigned long long)(s->now - h->fenced_at));
	sim_must(h->fenced || h == s->owner, "h%u: a flush answered by who does not own the log",
		 h->no);
	if (!stored)
		disk_promised(h, x->v.op);
	else if (!h->fenced && x->v.op > s->durable)
		s->durable = x->v.op;
	if (x->v.io.dur > h->flushed)
		h->flushed = x->v.io.dur;
}

static void note_wno(struct sim *s, uint32_t op, uint64_t wno)
{
	if (op >= s->cap_wnos) {
		uint32_t cap = 2 * op + 64;

		s->wnos = realloc(s->wnos, cap * sizeof(*s->wnos));
		assert_non_null(s->wnos);
		memset(s->wnos + s->cap_wnos, 0, (cap - s->cap_wnos) * sizeof(*s->wnos));
		s->cap_wnos = cap;
	}
	s->wnos[op] = wno;
}

static uint64_t wno_of(const struct sim *s, uint32_t op)
{
	return op < s->cap_wnos ? s->wnos[op] : 0;
}

/*
 * Of the last operation that is known to be at or below number @wno in @b; an answer that has not
 * come yet has told no number.
 */
static uint32_t last_op(const struct sim *s, const struct branch *b, uint64_t wno)
{
	uint32_t at;

	for (at = b->m.ops; at; at--)
		if (wno_of(s, b->ids[at]) && wno_of(s, b->ids[at]) <= wno)
			return b->ids[at];
	return 0;
}

void load_committed(struct host *h)
{
	struct sim *s = h->s;
	uint32_t op;

	if ((h->state != HOST_SERVING && h->state != HOST_DETACHING) ||
	    h->w.v->committed_wno == h->committed)
		return;
	h->committed = h->w.v->committed_wno;
	op = last_op(s, &h->br, h->committed);
	sim_must(!h->fenced || op <= h->fork,
		 "h%u: its commit point passes operation %u, though fenced after %u", h->no, op,
		 h->fork);
	if (h == s->owner && op > s->durable)
		s->durable = op;
}

void load_answered(struct vol_io *v)
{
	struct host *h = container_of(v->w, struct host, w);
	struct sim_io *x = container_of(v, struct sim_io, v);
	const struct io_req *io = &v->io;

	if (io->op == IO_READ)
		return;
	sim_trace(h->s, "h%u: answer to %u: %d, wno %llu, durable %llu", h->no, v->op, io->res,
		  (unsigned long long)io->wno, (unsigned long long)io->dur);
	if (io->res) {
		sim_must(h->w.superseded, "h%u: operation %u failed: %d", h->no, v->op, io->res);
		return;
	}
	sim_must(!h->w.superseded, "h%u: operation %u answered after the end", h->no, v->op);
	if (io->op != IO_FLUSH) {
		note_wno(h->s, v->op, io->wno);
		sim_must(io->wno > h->acked || (io->flags & IO_F_FUA) || !io->wno,
			 "h%u: numbers do not ascend", h->no);
		if (io->wno > h->acked)
			h->acked = io->wno;
	}
	if (io->op == IO_FLUSH)
		/* the module ends a session whose FLUSH covers less */
		sim_must(io->dur >= x->acked, "h%u: a flush names %llu, %llu had been answered",
			 h->no, (unsigned long long)io->dur, (unsigned long long)x->acked);
	else if (io->flags & IO_F_FUA)
		sim_must(io->dur >= io->wno, "h%u: FUA names less than its own number", h->no);
	if (io->op == IO_FLUSH || (io->flags & IO_F_FUA))
		promised(h, x);
}

/* ---- reads ------------------------------------------------------------------------------- */

static void check_read(struct host *h, struct sim_io *x)
{
	const struct io_req *io = &x->v.io;
	uint8_t *buf = malloc((size_t)io->nblocks * IO_BLOCK_SIZE);
	size_t len = 0;
	uint32_t i, id;

	assert_non_null(buf);
	for (i = 0; i < io->nsegs; i++) {
		memcpy(buf + len, (uint8_t *)h->w.arena + h->w.data_off + x->v.segs[i].off,
		       x->v.segs[i].len);
		len += x->v.segs[i].len;
	}
	sim_must(len == (size_t)io->nblocks * IO_BLOCK_SIZE, "h%u: a READ of %zu bytes", h->no,
		 len);
	for (i = 0; i < io->nblocks; i++) {
		id = model_stamp(buf + (size_t)i * IO_BLOCK_SIZE, io->dev, io->lba + i);
		sim_must(id != ~0u && branch_held(&h->br, io->dev, io->lba + i, id, x->place,
						  h->br.m.ops),
			 "h%u: READ of block %u:%llu: operation %u's bytes, not the newest", h->no,
			 io->dev, (unsigned long long)io->lba + i, id);
	}
	free(buf);
}

void load_reads(struct host *h)
{
	struct sim_io *x, *tmp;

	list_for_each_entry_safe(x, tmp, &h->reads, link) {
		/* what is answered stays pinned for a while */
		if (!x->v.done || h->frozen || testrand_below(2))
			continue;
		if (!x->v.io.res) {
			check_read(h, x);
			volume_release(h->w.v, &x->v.io);
		} else {
			sim_must(h->w.superseded, "h%u: READ failed: %d", h->no, x->v.io.res);
		}
		list_del(&x->link);
		free(x);
	}
}

void load_drop(struct host *h)
{
	struct sim_io *x, *tmp;

	list_for_each_entry_safe(x, tmp, &h->reads, link) {
		list_del(&x->link);
		free(x);
	}
}
