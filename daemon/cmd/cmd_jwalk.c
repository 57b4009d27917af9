// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_jwalk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/le.h"

#define REC_POS_OFF 64u /* of a record's position in its header */

struct walk {
	struct cmd_jwalk *w;
	uint64_t ring;
	uint8_t *buf, *payload;
	struct fmt_journal_op *ops;
	struct fmt_journal_rec rec; /* the one that was opened last */
	bool header; /* open_at() found a header that stands there and is whole */
	uint8_t prev[FMT_HASH_LEN]; /* of the last record that counts */
	uint64_t epoch;
	uint64_t *spots; /* positions of records behind the chain's end */
	size_t nr, room;
};

static void walk_free(struct walk *x)
{
	free(x->buf);
	free(x->payload);
	free(x->ops);
	free(x->spots);
}

static int walk_new(struct walk *x, struct cmd_jwalk *w)
{
	memset(x, 0, sizeof(*x));
	x->w = w;
	x->ring = w->sb->size - FMT_JOURNAL_RING_OFF;
	x->buf = malloc(FMT_JOURNAL_MAX_LEN);
	x->payload = malloc((size_t)FMT_JOURNAL_MAX_BLOCKS * FMT_JOURNAL_BLOCK);
	x->ops = calloc(FMT_JOURNAL_MAX_OPS, sizeof(*x->ops));
	memcpy(x->prev, w->sb->start_prev, sizeof(x->prev));
	w->records = w->ops = w->data = w->first = w->last = w->bytes = 0;
	w->gaps = w->broken_at = 0;
	w->end = w->top = w->sb->start;
	if (x->buf && x->payload && x->ops)
		return 0;
	walk_free(x);
	return -ENOMEM;
}

/* -EBADMSG: not there, or the disk cannot read it, as what a power cut tore. */
static int get(struct walk *x, uint64_t at, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(x->w->fd, x->buf + done, len - done,
				  (off_t)(FMT_JOURNAL_RING_OFF + at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EIO)
			return -errno;
		if (n <= 0)
			return -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

/* The record at @pos, whole, into x->rec, ops and payload. -EBADMSG: there is none. */
static int open_at(struct walk *x, uint64_t pos)
{
	const struct fmt_journal_sb *sb = x->w->sb;
	const struct cmd_journal_owner *o = x->w->o;
	uint64_t at = pos % x->ring;
	size_t len;
	int rc = get(x, at, FMT_JOURNAL_BLOCK);

	x->header = false;
	if (rc)
		return rc;
	rc = fmt_journal_peek(&x->rec, x->buf, FMT_JOURNAL_BLOCK, o->uuid, sb->journal, pos);
	if (rc == -EPROTONOSUPPORT)
		x->header = true;
	if (rc || x->rec.len > x->ring - at)
		return -EBADMSG;
	x->header = true;
	/* Of a pad only the first block was written. */
	len = x->rec.type == FMT_JOURNAL_PAD ? FMT_JOURNAL_BLOCK : x->rec.len;
	rc = get(x, at, len);
	if (rc)
		return rc;
	return fmt_journal_open(&x->rec, x->ops, x->payload, x->buf, len, o->uuid, sb->journal, pos,
				o->key);
}

/* The record that was opened counts. */
static int take(struct walk *x)
{
	const struct fmt_journal_rec *r = &x->rec;
	struct cmd_jwalk *w = x->w;

	if (r->type == FMT_JOURNAL_OPS) {
		if (!w->records++ || r->first < w->first)
			w->first = r->first;
		if (r->last > w->last)
			w->last = r->last;
		w->ops += r->nr_ops;
		w->data += (uint64_t)r->nr_blocks * FMT_JOURNAL_BLOCK;
	}
	w->bytes += r->len;
	w->end = r->pos + r->len;
	if (w->end > w->top)
		w->top = w->end;
	x->epoch = r->epoch;
	memcpy(x->prev, r->hash, sizeof(x->prev));
	return r->type == FMT_JOURNAL_OPS && w->record ? w->record(w->ctx, r, x->ops, x->payload) :
							 0;
}

static int gap(struct walk *x, uint64_t to)
{
	struct cmd_jwalk *w = x->w;

	if (!w->gaps++)
		w->broken_at = w->end;
	return w->gap ? w->gap(w->ctx, w->end, to) : 0;
}

/* *ret_torn: at the end there is a header, but no record. */
static int chain(struct walk *x, bool *ret_torn)
{
	struct cmd_jwalk *w = x->w;
	int rc = 0;

	*ret_torn = false;
	/* More than a ring of records cannot be needed. */
	while (!rc && w->end - w->sb->start < x->ring) {
		rc = open_at(x, w->end);
		if (rc == -EBADMSG) {
			*ret_torn = x->header;
			return 0;
		}
		if (!rc && memcmp(x->rec.prev, x->prev, sizeof(x->prev)) != 0)
			return 0;
		if (!rc)
			rc = take(x);
	}
	return rc;
}

static int add_spot(struct walk *x)
{
	if (x->nr == x->room) {
		size_t room = x->room ? 2 * x->room : 64;
		uint64_t *p = reallocarray(x->spots, room, sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->spots = p;
		x->room = room;
	}
	x->spots[x->nr++] = x->rec.pos;
	return 0;
}

/*
 * All records at positions from the chain's end on, wherever they lie: the ring may have been used
 * again beyond what a superblock that is one generation old would allow.
 */
static int search(struct walk *x)
{
	struct cmd_jwalk *w = x->w;
	uint64_t step, n;

	for (n = 0; n < x->ring; n += step) {
		uint64_t at = (w->end + n) % x->ring, pos;
		int rc = get(x, at, FMT_JOURNAL_BLOCK);

		step = FMT_JOURNAL_BLOCK;
		if (rc == -EBADMSG)
			continue;
		if (rc)
			return rc;
		pos = le_get64(x->buf + REC_POS_OFF);
		if (pos < w->end || pos % x->ring != at)
			continue;
		rc = open_at(x, pos);
		if (rc == -EBADMSG)
			continue;
		if (!rc)
			rc = add_spot(x);
		if (rc)
			return rc;
		if (pos + x->rec.len > w->top)
			w->top = pos + x->rec.len;
		step = x->rec.len;
	}
	return 0;
}

static int by_pos(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int rest(struct walk *x, bool torn)
{
	struct cmd_jwalk *w = x->w;
	int rc = search(x);

	if (rc)
		return rc;
	/* Then no record from the start on counts, and what may lie there did not end. */
	if (w->sb->clean && !w->records)
		return 0;
	if (x->nr)
		qsort(x->spots, x->nr, sizeof(*x->spots), by_pos);
	for (size_t i = 0; i < x->nr; i++) {
		/* One that was written over in part may still be found, below what did it. */
		if (x->spots[i] < w->end)
			continue;
		rc = open_at(x, x->spots[i]);
		if (rc == -EBADMSG)
			continue;
		if (rc)
			return rc;
		/* Of an owner that a later one followed at a lower position: it did not count. */
		if (x->rec.epoch < x->epoch)
			continue;
		if (x->rec.pos != w->end || memcmp(x->rec.prev, x->prev, sizeof(x->prev)) != 0)
			rc = gap(x, x->rec.pos);
		if (!rc)
			rc = take(x);
		if (rc)
			return rc;
	}
	return torn && !w->gaps ? gap(x, 0) : 0;
}

static int run(struct cmd_jwalk *w, bool all)
{
	struct walk x;
	bool torn;
	int rc = walk_new(&x, w);

	if (rc)
		return rc;
	rc = chain(&x, &torn);
	if (!rc && all)
		rc = rest(&x, torn);
	walk_free(&x);
	return rc;
}

int cmd_jwalk_chain(struct cmd_jwalk *w)
{
	return run(w, false);
}

int cmd_jwalk_all(struct cmd_jwalk *w)
{
	return run(w, true);
}

/*
 * A record counts at its own position only, so a start above every position that was ever used is
 * enough; that nothing old names the new start's hash comes on top. The writer stays within one
 * ring from the start of the superblock that it made durable last. If that one is damaged, the
 * other, which is read then, is one generation older, and its start at most one ring below: two
 * rings from here. What was found is looked at all the same: a record behind a broken chain, or one
 * that a superblock put back from a copy knows nothing of.
 */
uint64_t cmd_jwalk_fresh_start(const struct cmd_jwalk *w)
{
	uint64_t ring = w->sb->size - FMT_JOURNAL_RING_OFF, top = w->sb->start + 2 * ring;

	if (w->top > top)
		top = w->top;
	return (top / ring + 1) * ring;
}
