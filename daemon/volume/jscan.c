// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a journal: see jscan.h and docs/DESIGN.md 2.14.
 *
 * Happy path: the superblock with the higher generation; then record after record, each whole, at
 * its position and chained to the one before, until there is none. Failure modes: what does not
 * check ends the scan, as a torn WRITE does, unless a record behind it proves that more had been
 * durable: that is rot, and nobody may go on as if it were the end.
 */
#include "volume/jscan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdev.h"
#include "base/le.h"
#include "format/fmt_journal.h"
#include "volume/journal.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define WINDOW	    (4u << 20) /* read at once */
#define PROOF_BYTES (16ull << 20) /* behind the end, where proof of more is looked for */
#define REC_POS_OFF 64u /* of a record's position in its header */

/* ---- reading ------------------------------------------------------------------------------ */

struct jread {
	struct jdev_req req;
	struct volume *v;
	bool ended, dropped;
};

static void on_read(struct jdev_req *req)
{
	struct jread *r = req->priv;

	r->ended = true;
	if (!r->dropped)
		return;
	free(r->req.buf);
	free(r);
}

/* Reads into a new buffer, which is the caller's (free()). [waits] */
static int get(struct journal *j, uint64_t off, uint32_t len, uint8_t **ret)
{
	struct volume *v = j->v;
	struct jread *r = calloc(1, sizeof(*r));
	void *p;
	int err;

	if (!r || posix_memalign(&p, JDEV_BLOCK, len)) {
		free(r);
		return -ENOMEM;
	}
	r->v = v;
	r->req = (struct jdev_req){
		.op = JDEV_READ, .off = off, .buf = p, .len = len, .done = on_read, .priv = r
	};
	jdev_submit(j->dev, &r->req);
	err = v->env.wait(v->env.ctx, &r->ended);
	if (!r->ended) {
		r->dropped = true;
		return err ? err : -EINTR;
	}
	err = r->req.res;
	free(r);
	if (err) {
		free(p);
		return err;
	}
	*ret = p;
	return 0;
}

static int say(struct journal *j, const char *what, int err)
{
	notice_say(&j->v->env, NOTICE_ERR, "journal: %s", what);
	return err;
}

static int load(struct jscan_reader *w, uint64_t pos, uint32_t len)
{
	free(w->buf);
	w->buf = NULL;
	w->pos = pos;
	w->len = len;
	return get(w->j, FMT_JOURNAL_RING_OFF + pos % w->j->ring_len, len, &w->buf);
}

/*
 * The @len bytes at position @pos, which do not cross the lap's end; *ret is valid until the next
 * call. -EBADMSG: they cannot be read, as a torn sector may: not a record. [waits]
 */
static int see(struct jscan_reader *w, uint64_t pos, uint32_t len, const uint8_t **ret)
{
	struct journal *j = w->j;
	uint64_t lap = j->ring_len - pos % j->ring_len;
	int err;

	if (len > lap)
		return -EBADMSG;
	if (!w->buf || pos < w->pos || pos + len > w->pos + w->len) {
		err = load(w, pos, lap < WINDOW ? lap : WINDOW);
		if (err == -EIO)
			err = load(w, pos, len);
		if (err == -EIO)
			return -EBADMSG;
		if (err)
			return say(j, "it cannot be read", err);
	}
	*ret = w->buf + (pos - w->pos);
	return 0;
}

/*
 * ---- the superblock ---------------------------------------------------------------------------
 */

/* Why copy @p does not count. */
static int sb_error(struct journal *j, const uint8_t *p)
{
	struct fmt_journal_sb sb;
	uint8_t uuid[FMT_UUID_LEN];
	int err = fmt_journal_sb_open(&sb, p, FMT_JOURNAL_SB_LEN, NULL, uuid, NULL);

	if (!err && memcmp(uuid, j->v->uuid, sizeof(uuid)) != 0)
		return -EXDEV;
	return err ? err : -EBADMSG;
}

static int no_sb(struct journal *j, int worst)
{
	if (worst == -EXDEV)
		return say(j, "it belongs to another volume", -EBADMSG);
	if (worst == -ENODATA)
		return say(j, "this is not a journal; 'zerofs journal create' makes one", worst);
	if (worst == -EPROTONOSUPPORT)
		return say(j, "it was made by a later version", worst);
	if (worst != -EBADMSG)
		return say(j, "it cannot be read", worst);
	return say(j, "its superblock is damaged, or this is not a journal", worst);
}

static int load_sb(struct journal *j)
{
	const uint8_t *key = keys_get(j->v->kr, KEYS_JOURNAL);
	int i, err, worst = -ENODATA;
	struct fmt_journal_sb sb;
	bool any = false;
	uint8_t *p;

	if (j->dev->size < FMT_JOURNAL_MIN_SIZE)
		return say(j, "it is shorter than any journal", -EBADMSG);
	for (i = 0; i < 2; i++) {
		err = get(j, i * FMT_JOURNAL_SB_LEN, FMT_JOURNAL_SB_LEN, &p);
		if (err == -EINTR || err == -ENOMEM)
			return err;
		if (err) {
			worst = err;
			continue;
		}
		err = fmt_journal_sb_open(&sb, p, FMT_JOURNAL_SB_LEN, j->v->uuid, NULL, key);
		if (err)
			err = sb_error(j, p);
		free(p);
		if (err && err != -ENODATA)
			worst = err;
		if (err || (any && sb.generation < j->sb.generation))
			continue;
		any = true;
		j->sb = sb;
		j->sb_copy = i;
	}
	if (!any)
		return no_sb(j, worst);
	if (j->sb.size > j->dev->size)
		return say(j, "it is shorter than it was made", -EBADMSG);
	j->ring_len = j->sb.size - FMT_JOURNAL_RING_OFF;
	if (j->ring_len >> 12 > UINT32_MAX)
		return say(j, "it is larger than 16 TiB", -EFBIG);
	return 0;
}

/* ---- records ------------------------------------------------------------------------------ */

/* The record at @pos, whole. -EBADMSG: there is none. [waits] */
static int open_at(struct jscan_reader *w, uint64_t pos, uint8_t *payload)
{
	struct fmt_journal_rec *rec = w->rec;
	struct journal *j = w->j;
	const struct volume *v = j->v;
	const uint8_t *p;
	uint32_t len;
	int err = see(w, pos, FMT_JOURNAL_BLOCK, &p);

	if (!err)
		err = fmt_journal_peek(rec, p, FMT_JOURNAL_BLOCK, v->uuid, j->sb.journal, pos);
	if (err)
		return err;
	/* of a pad only the first block was written */
	len = rec->type == FMT_JOURNAL_PAD ? FMT_JOURNAL_BLOCK : rec->len;
	if (rec->len > j->ring_len - pos % j->ring_len)
		return -EBADMSG;
	err = see(w, pos, len, &p);
	if (err)
		return err;
	return fmt_journal_open(rec, w->ops, payload, p, len, v->uuid, j->sb.journal, pos,
				keys_get(v->kr, KEYS_JOURNAL));
}

/*
 * Does record @rec at position @pos say that more had been durable when it was written than the
 * scan has found, which ended at @end with everything up to number @last? The first one of a group
 * follows what was durable without a gap, so all before it in the ring was; of another one, what is
 * missing before it may be of its own group, or be what the store alone had.
 */
static bool proves(const struct fmt_journal_rec *rec, uint64_t pos, uint64_t end, uint64_t last)
{
	if (rec->type == FMT_JOURNAL_OPS && rec->first == rec->flushed_to + 1)
		return pos > end || rec->flushed_to > last;
	return rec->flushed_to > last && rec->flushed_to > rec->store_to;
}

/*
 * Is there a record behind the end of the scan that proves that it is rot? It stands where it says,
 * in this lap or, if the ring has been used again from there on, in a later one. 1: yes. [waits]
 */
static int proof_behind(struct jscan_reader *w, uint64_t end, uint64_t last)
{
	struct journal *j = w->j;
	uint64_t n, span = j->ring_len < PROOF_BYTES ? j->ring_len : PROOF_BYTES;
	struct fmt_journal_rec rec;

	for (n = 0; n < span; n += FMT_JOURNAL_BLOCK) {
		uint64_t at = end + n, pos;
		const uint8_t *p;
		le64 claim;
		int err = see(w, at, FMT_JOURNAL_BLOCK, &p);

		if (err == -EBADMSG)
			continue;
		if (err)
			return err;
		memcpy(&claim, p + REC_POS_OFF, sizeof(claim));
		pos = le_cpu64(claim);
		if (pos < at || pos % j->ring_len != at % j->ring_len)
			continue;
		if (fmt_journal_peek(&rec, p, FMT_JOURNAL_BLOCK, j->v->uuid, j->sb.journal, pos) ||
		    !proves(&rec, pos, end, last))
			continue;
		err = open_at(w, pos, NULL);
		if (!err)
			return 1;
		if (err != -EBADMSG)
			return err;
	}
	return 0;
}

static int scan(struct jscan_reader *w, uint64_t *ret_epoch, uint64_t *ret_store_to)
{
	const struct fmt_journal_rec *rec = w->rec;
	struct journal *j = w->j;
	int err;

	for (;;) {
		/* more than a ring of records cannot be needed */
		if (j->head - j->sb.start >= j->ring_len)
			break;
		err = open_at(w, j->head, NULL);
		if (err == -EBADMSG)
			break;
		if (err)
			return err;
		if (memcmp(rec->prev, j->prev, sizeof(rec->prev)) != 0)
			break;
		err = journal_ref_add(j, rec);
		if (err)
			return err;
		j->head += rec->len;
		memcpy(j->prev, rec->hash, sizeof(j->prev));
		if (rec->last > j->written)
			j->written = rec->last;
		*ret_epoch = rec->epoch;
		*ret_store_to = rec->store_to;
	}
	err = proof_behind(w, j->head, j->written);
	if (err == 1)
		return say(j,
			   "records that were acknowledged as durable are damaged; nothing was "
			   "changed: 'zerofs journal export' saves what can be read",
			   -EBADMSG);
	return err;
}

int jscan_run(struct journal *j, uint64_t *ret_epoch, uint64_t *ret_store_to)
{
	struct jscan_reader w;
	int err = jscan_open(&w, j);

	*ret_epoch = 0;
	*ret_store_to = 0;
	if (!err)
		err = load_sb(j);
	if (!err) {
		j->head = j->sb.start;
		j->tail = j->sb.start;
		memcpy(j->prev, j->sb.start_prev, sizeof(j->prev));
		j->written = j->sb.start_wno;
		err = scan(&w, ret_epoch, ret_store_to);
	}
	if (!err)
		j->state = JOURNAL_SCANNED;
	jscan_close(&w);
	return err;
}

int jscan_open(struct jscan_reader *r, struct journal *j)
{
	memset(r, 0, sizeof(*r));
	r->j = j;
	r->rec = calloc(1, sizeof(*r->rec));
	r->ops = malloc(FMT_JOURNAL_MAX_OPS * sizeof(*r->ops));
	r->payload = malloc(FMT_JOURNAL_MAX_BLOCKS * FMT_JOURNAL_BLOCK);
	if (r->rec && r->ops && r->payload)
		return 0;
	jscan_close(r);
	return -ENOMEM;
}

void jscan_close(struct jscan_reader *r)
{
	free(r->buf);
	free(r->rec);
	free(r->ops);
	free(r->payload);
	memset(r, 0, sizeof(*r));
}

int jscan_read(struct jscan_reader *r, uint64_t pos)
{
	return open_at(r, pos, r->payload);
}
