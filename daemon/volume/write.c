// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sequencer: see write.h.
 *
 * Happy path: the place is checked, room is reserved, then nothing can fail any more: number, index
 * entry (its valid word stored last, with release), overlay and open batch, answer. Failure modes:
 * no free index entry or no memory: the request and all behind it are held, in order, and the open
 * batch is cut so that room comes; a place in the arena that was never posted: EINVAL.
 */
#include "volume/write.h"

#include <errno.h>

#include "io.h"
#include "volume/batch.h"
#include "volume/commit.h"
#include "volume/contact.h"
#include "volume/journal.h"
#include "volume/spill.h"
#include "volume/vol.h"

static uint8_t kind_of(const struct io_req *io)
{
	if (io->op == IO_WRITE)
		return FMT_E_DATA;
	return io->op == IO_WRITE_ZEROES && (io->flags & IO_F_NOUNMAP) ? FMT_E_ZERO : FMT_E_DISCARD;
}

static uint8_t arena_op_of(const struct io_req *io)
{
	if (io->op == IO_WRITE)
		return FMT_ARENA_WRITE;
	return io->op == IO_DISCARD ? FMT_ARENA_DISCARD : FMT_ARENA_ZEROES;
}

/* Beyond what may be lost with this host? A WRITE that is larger than that goes alone. */
static bool over_limit(const struct volume *v, const struct io_req *io)
{
	uint64_t max = v->o.max_dirty_bytes;

	return max && v->dirty_bytes &&
	       v->dirty_bytes + ((uint64_t)io->nblocks << IO_BLOCK_SHIFT) > max;
}

/* Room for the request, or -EAGAIN; -EINVAL. */
static int prepare(struct volume *v, struct io_req *io, struct emap_dev *d)
{
	uint32_t freed = ~0u;
	int err;

	if ((io->op == IO_WRITE && over_limit(v, io)) || spill_maps_full(v)) {
		if (v->open)
			v->open->starved = true;
		return -EAGAIN;
	}
	if (io->op == IO_WRITE) {
		err = arena_use(&v->arena, io->queue, io->buf,
				(uint64_t)io->nblocks << IO_BLOCK_SHIFT, &freed);
		if (err)
			return err == -ENOMEM ? -EAGAIN : err;
	}
	if (batch_due(v, 0))
		volume_pump(v);
	if (!arena_has_slot(&v->arena) ||
	    (v->open && (v->open->ops >= BATCH_MAX_OPS || v->open->max_pieces >= BATCH_MAX_PIECES)))
		return -EAGAIN;
	return batch_reserve(v, d, io->lba, io->nblocks, io->op == IO_WRITE) ? -EAGAIN : 0;
}

static int try_write(struct volume *v, struct io_req *io)
{
	struct emap_dev *d = emap_dev(&v->overlay, io->dev);
	struct fmt_arena_rec rec = { .lba = io->lba, .dev = io->dev, .blocks = io->nblocks };
	int err = prepare(v, io, d);

	if (err)
		return err;
	rec.wno = v->next_wno++;
	rec.op = arena_op_of(io);
	if (io->op == IO_WRITE)
		rec.off = io->buf;
	else if (kind_of(io) == FMT_E_ZERO)
		rec.flags = FMT_ARENA_NOUNMAP;
	arena_record(&v->arena, &rec);
	batch_add(v, d, kind_of(io), io->lba, io->nblocks, io->buf >> IO_BLOCK_SHIFT, rec.wno);
	io->wno = rec.wno;
	if (io->flags & IO_F_FUA) {
		if (!journal_answers(v) || !contact_ok(v))
			v->open->urgent = true;
		commit_wait(v, io, rec.wno);
	} else {
		io->res = 0;
		io->done(io);
	}
	return 0;
}

static void hold(struct volume *v, struct io_req *io)
{
	list_add_tail(&io->link, &v->held);
	if (v->open)
		v->open->starved = true;
	spill_pump(v);
	volume_retry(v);
}

void write_submit(struct volume *v, struct io_req *io)
{
	int err = list_empty(&v->held) ? try_write(v, io) : -EAGAIN;

	if (err == -EAGAIN) {
		hold(v, io);
	} else if (err) {
		io->res = err;
		io->done(io);
		return;
	}
	volume_pump(v);
}

void write_resume(struct volume *v)
{
	while (!list_empty(&v->held)) {
		struct io_req *io = list_first_entry(&v->held, struct io_req, link);
		int err;

		list_del(&io->link);
		err = try_write(v, io);
		if (err == -EAGAIN) {
			list_add(&io->link, &v->held);
			if (v->open)
				v->open->starved = true;
			volume_retry(v);
			return;
		}
		if (err) {
			io->res = err;
			io->done(io);
		}
	}
}

void write_fail_held(struct volume *v, int err)
{
	while (!list_empty(&v->held)) {
		struct io_req *io = list_first_entry(&v->held, struct io_req, link);

		list_del(&io->link);
		io->res = err;
		io->done(io);
	}
}

int write_adopted(struct volume *v, const struct fmt_arena_rec *r)
{
	struct emap_dev *d = emap_dev(&v->overlay, r->dev);
	uint8_t kind = r->op == FMT_ARENA_WRITE					   ? FMT_E_DATA :
		       r->op == FMT_ARENA_ZEROES && (r->flags & FMT_ARENA_NOUNMAP) ? FMT_E_ZERO :
										     FMT_E_DISCARD;
	int err = batch_reserve(v, d, r->lba, r->blocks, kind == FMT_E_DATA);

	if (err)
		return err;
	batch_add(v, d, kind, r->lba, r->blocks, r->off >> IO_BLOCK_SHIFT, r->wno);
	return 0;
}
