// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading a parked batch: see jload.h.
 *
 * Happy path: the records that speak for the batch's numbers, one after the other; a worker
 * decrypts each and copies what survived of its writes to its place in the buffer; when all is
 * there the batch is sealed as any other. Failure modes: a record cannot be read: the batch stays
 * as it is, is loaded again at the next tick, and the log says so once; what was acknowledged is
 * nowhere else, so nothing behind it can be committed.
 */
#include "volume/jload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/jread.h"
#include "volume/notice.h"
#include "volume/seal.h"
#include "volume/vol.h"

struct jload {
	struct batch *b;
	uint32_t *by_wno; /* indices of the pieces with data, by (number, address) */
	uint32_t nr;
	uint64_t *frame_at; /* of each frame in the buffer */
	uint64_t blocks; /* that were copied; the worker's while a read is under way */
	uint64_t next; /* position of the record to be read */
	bool first;
};

static int by_wno(const void *x, const void *y, void *ctx)
{
	const struct batch_piece *pieces = ctx;
	const struct batch_piece *a = &pieces[*(const uint32_t *)x];
	const struct batch_piece *b = &pieces[*(const uint32_t *)y];

	if (a->wno != b->wno)
		return a->wno < b->wno ? -1 : 1;
	return a->lba < b->lba ? -1 : a->lba > b->lba;
}

void jload_free(struct batch *b)
{
	struct jload *l = b->load;

	if (!l)
		return;
	b->load = NULL;
	free(l->by_wno);
	free(l->frame_at);
	free(l);
}

static struct jload *load_new(struct batch *b)
{
	struct jload *l = calloc(1, sizeof(*l));
	uint64_t at = 0;
	uint32_t i;

	if (!l)
		return NULL;
	b->load = l;
	l->b = b;
	l->by_wno = malloc((b->nr_pieces + 1) * sizeof(*l->by_wno));
	l->frame_at = malloc((b->nr_frames + 1) * sizeof(*l->frame_at));
	b->loaded = malloc(b->data_bytes + 1);
	if (!l->by_wno || !l->frame_at || !b->loaded) {
		free(b->loaded);
		b->loaded = NULL;
		jload_free(b);
		return NULL;
	}
	for (i = 0; i < b->nr_pieces; i++)
		if (b->pieces[i].kind == FMT_E_DATA)
			l->by_wno[l->nr++] = i;
	qsort_r(l->by_wno, l->nr, sizeof(*l->by_wno), by_wno, b->pieces);
	for (i = 0; i < b->nr_frames; i++) {
		l->frame_at[i] = at;
		at += (uint64_t)b->frames[i].blocks << IO_BLOCK_SHIFT;
	}
	return l;
}

/* The first piece of number @wno, or of a later one. */
static uint32_t find(const struct jload *l, uint64_t wno)
{
	uint32_t lo = 0, hi = l->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->b->pieces[l->by_wno[mid]].wno < wno)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* What has survived of one write. False: the record says something else than the map. */
static bool copy_op(struct jload *l, const struct fmt_journal_op *op, const uint8_t *data)
{
	struct batch *b = l->b;
	uint32_t i;

	for (i = find(l, op->wno); i < l->nr; i++) {
		const struct batch_piece *p = &b->pieces[l->by_wno[i]];
		uint64_t to;

		if (p->wno != op->wno)
			break;
		if (p->dev != op->dev || p->lba < op->lba ||
		    p->lba + p->blocks > op->lba + op->blocks)
			return false;
		to = l->frame_at[p->frame] + ((uint64_t)p->block << IO_BLOCK_SHIFT);
		memcpy(b->loaded + to, data + ((p->lba - op->lba) << IO_BLOCK_SHIFT),
		       (size_t)p->blocks << IO_BLOCK_SHIFT);
		l->blocks += p->blocks;
	}
	return true;
}

/* On the worker. */
static void copy(struct jread *r)
{
	struct jload *l = r->priv;
	const uint8_t *data = r->payload;
	uint32_t i;

	for (i = 0; i < r->rec.nr_ops; i++) {
		const struct fmt_journal_op *op = &r->ops[i];

		if (op->kind != FMT_JOURNAL_WRITE)
			continue;
		if (op->wno >= l->b->first_wno && op->wno <= l->b->last_wno &&
		    !copy_op(l, op, data)) {
			r->err = -EBADMSG;
			return;
		}
		data += (size_t)op->blocks << IO_BLOCK_SHIFT;
	}
}

static void end(struct batch *b, int err)
{
	struct volume *v = b->v;

	if (!err && b->load->blocks << IO_BLOCK_SHIFT != b->data_bytes)
		err = -EBADMSG;
	jload_free(b);
	b->state = BATCH_CUT;
	if (err) {
		seal_free(b);
		if (err != -ENOMEM && !b->told)
			notice_say(&v->env, NOTICE_ERR,
				   "journal: writes %llu to %llu cannot be read back (%s), nothing "
				   "behind them can go to the store; trying on",
				   (unsigned long long)b->first_wno,
				   (unsigned long long)b->last_wno, notice_errno(err));
		b->told = b->told || err != -ENOMEM;
		volume_retry(v);
		return;
	}
	seal_pump(v);
}

static void on_done(struct jread *r);

static int next(struct jload *l)
{
	struct volume *v = l->b->v;
	uint64_t pos;
	uint32_t len;
	bool any = l->first ? journal_first(v->journal, l->b->first_wno, &pos, &len) :
			      journal_find(v->journal, l->next, &pos, &len);

	l->first = false;
	return any ? jread_start(v, pos, len, copy, on_done, l) : -EBADMSG;
}

static void on_done(struct jread *r)
{
	struct jload *l = r->priv;
	struct batch *b = l->b;
	int err = r->err;

	l->next = r->pos + r->rec.len;
	if (!err && (r->rec.type == FMT_JOURNAL_PAD || r->rec.last < b->last_wno)) {
		err = next(l);
		if (!err)
			return;
	}
	end(b, err);
}

int jload_start(struct batch *b)
{
	struct jload *l = load_new(b);
	int err;

	if (!l)
		return -ENOMEM;
	l->first = true;
	b->state = BATCH_LOADING;
	if (!l->nr) {
		end(b, 0);
		return 0;
	}
	err = next(l);
	if (err)
		end(b, err);
	return 0;
}
