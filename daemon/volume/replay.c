// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replay: see replay.h, and docs/DESIGN.md for why each rule is there.
 *
 * At slot n:
 *   data, epoch < mine		chain, numbers and epoch must go on from what was
 *				applied: apply, n + 1
 *   fence, epoch < mine	the same checks: go to its resume_at
 *   mine (my nonce)		a fence whose answer was lost: done
 *   anything, epoch >= mine	somebody newer owns the volume: -ESTALE
 *   free			any slot >= n + W taken, or one behind n that says that
 *				n was durable: an object was lost: -ENODATA. Else create
 *				the fence here; taken meanwhile: look at n again
 * Failure modes: whatever does not authenticate, is shorter than it says, or does not continue the
 * chain: -EBADMSG with a notice. Nothing was overwritten in any of these.
 */
#include "volume/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "format/fmt_name.h"
#include "format/fmt_seg.h"
#include "volume/batch.h"
#include "volume/contact.h"
#include "volume/head.h"
#include "volume/journal.h"
#include "volume/jreplay.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define AHEAD	   16u /* slots fetched at once */
#define FIRST_READ (96u << 10) /* header and table, nearly always */

struct walk {
	struct volume *v;
	struct replay *out;
	bool look; /* nothing is applied or written */
	uint64_t version; /* of the head that says where to begin */
	uint64_t epoch; /* objects of an owner before this one are the log */
	uint64_t seq; /* the slot looked at */
	uint64_t last_epoch; /* of the last applied object */
	struct sio *ahead[AHEAD]; /* slot seq in place seq % AHEAD */
	uint64_t ahead_seq[AHEAD];
};

static void drop_ahead(struct walk *w)
{
	uint32_t i;

	for (i = 0; i < AHEAD; i++) {
		sio_drop(w->ahead[i]);
		w->ahead[i] = NULL;
	}
}

static struct sio *start_get(struct volume *v, uint64_t seq, size_t len)
{
	char name[FMT_NAME_MAX];
	struct sio *s;

	fmt_name_seg(name, seq);
	s = sio_get(&v->sio, name, 0, len);
	if (s)
		sio_start(s, SIO_PATIENT);
	return s;
}

/* The beginning of the object in slot @seq. [waits] */
static int peek(struct walk *w, uint64_t seq, struct sio **ret)
{
	uint32_t i = seq % AHEAD;
	int err;

	if (!w->ahead[i] || w->ahead_seq[i] != seq) {
		sio_drop(w->ahead[i]);
		w->ahead[i] = start_get(w->v, seq, FIRST_READ);
		w->ahead_seq[i] = seq;
		if (!w->ahead[i])
			return -ENOMEM;
	}
	*ret = w->ahead[i];
	err = sio_wait(*ret);
	if (err)
		return err;
	return (*ret)->res < 0 ? (int)(*ret)->res : 0;
}

/* The same of slot w->seq, with the slots behind it under way. [waits] */
static int slot_get(struct walk *w, struct sio **ret)
{
	uint64_t seq;

	for (seq = w->seq; seq < w->seq + AHEAD; seq++) {
		uint32_t i = seq % AHEAD;

		if (w->ahead[i] && w->ahead_seq[i] == seq)
			continue;
		sio_drop(w->ahead[i]);
		w->ahead[i] = start_get(w->v, seq, FIRST_READ);
		w->ahead_seq[i] = seq;
		if (!w->ahead[i])
			return -ENOMEM;
	}
	return peek(w, w->seq, ret);
}

/* Header and table of a segment whose table is longer than what was read. [waits] */
static int get_long(struct walk *w, const struct fmt_seg *seg, struct sio **s)
{
	struct sio *big = start_get(w->v, w->seq, fmt_seg_frames_off(seg));
	int err;

	if (!big)
		return -ENOMEM;
	w->ahead[w->seq % AHEAD] = big;
	sio_drop(*s);
	*s = big;
	err = sio_wait(big);
	return err ? err : big->res < 0 ? (int)big->res : 0;
}

static int complain(struct walk *w, const char *what, int err)
{
	char name[FMT_NAME_MAX];

	fmt_name_seg(name, w->seq);
	notice_say(&w->v->env, NOTICE_ERR, "object %s: %s", name, what);
	return err;
}

/* ---- applying -------------------------------------------------------------------------------- */

static int check_entries(struct volume *v, const struct fmt_table *t)
{
	uint32_t i;

	for (i = 0; i < t->nr_entries; i++) {
		const struct fmt_entry *e = &t->entries[i];
		const struct emap_dev *d;

		if (e->kind == FMT_E_VOID)
			continue;
		if (e->kind != FMT_E_DATA && e->kind != FMT_E_ZERO && e->kind != FMT_E_DISCARD)
			return -EPROTONOSUPPORT;
		d = emap_dev(&v->base, e->dev);
		if (!d || e->lba + e->blocks > d->nblocks)
			return -EBADMSG;
	}
	return 0;
}

static int apply(struct walk *w, const struct fmt_seg *seg, const struct sio *s)
{
	struct volume *v = w->v;
	const uint8_t *kdata = keys_data(v->kr, seg->key_gen);
	const uint8_t *p = s->body;
	struct fmt_segkey key;
	struct fmt_segrec rec;
	struct fmt_table t;
	int err;

	if (!kdata)
		return complain(w, "made with a data key that the keys object does not have",
				-EBADMSG);
	fmt_seg_key(&key, seg, kdata);
	err = fmt_seg_table_open(&t, seg, &key, p + FMT_SEG_HDR_LEN, s->res - FMT_SEG_HDR_LEN);
	fmt_segkey_wipe(&key);
	if (err)
		return err == -EBADMSG ? complain(w, "its table is damaged", err) : err;
	segtab_rec(&rec, seg);
	err = check_entries(v, &t);
	if (!err)
		err = segtab_append(&v->segs, &rec);
	if (!err)
		err = batch_replayed(v, seg, &t, v->segs.nr - 1);
	fmt_table_free(&t);
	if (err == -EBADMSG)
		complain(w, "names a place that does not exist", err);
	return err;
}

/* ---- one slot -------------------------------------------------------------------------------- */

/* Has this host seen another object at this point of the log, or one beyond the end? */
static int check_seen(struct walk *w, const struct fmt_seg *seg)
{
	const struct fmt_state *seen = &w->v->seen;

	if (seg->seq == seen->commit_seq && memcmp(seg->hash, seen->commit_hash, sizeof(seg->hash)))
		return complain(w, "not the object that this host has seen there", -ESTALE);
	return 0;
}

static void went_over(struct walk *w, const struct fmt_seg *seg)
{
	struct volume *v = w->v;

	v->commit_seq = seg->seq;
	memcpy(v->commit_chain, seg->hash, sizeof(v->commit_chain));
	memcpy(v->chain, seg->hash, sizeof(v->chain));
	w->last_epoch = seg->epoch;
}

/* 0: it continues the log. */
static int continues(struct walk *w, const struct fmt_seg *seg)
{
	struct volume *v = w->v;

	if (seg->epoch < w->last_epoch)
		return complain(w, "written by an earlier owner than what precedes it", -EBADMSG);
	if (memcmp(seg->prev_hash, v->chain, sizeof(v->chain)))
		return complain(w, "does not follow the object before it", -EBADMSG);
	if (seg->type == FMT_SEG_FENCE) {
		if (seg->wno_last != v->committed_wno || seg->resume_at != seg->seq + v->window ||
		    seg->resume_wno <= seg->wno_last)
			return complain(w, "a fence that contradicts the log", -EBADMSG);
		return 0;
	}
	if (seg->type != FMT_SEG_DATA || seg->wno_first != v->committed_wno + 1)
		return complain(w, "its numbers do not follow those before it", -EBADMSG);
	return 0;
}

/* Whose log it was, and where it left that of our journal's owner. */
static void note_fence(struct walk *w, const struct fmt_seg *seg)
{
	const struct journal *j = w->v->journal;
	struct replay *out = w->out;

	memcpy(out->owner_journal, seg->journal, sizeof(out->owner_journal));
	if (!j || out->left_seen || out->left_hidden || seg->epoch <= j->epoch ||
	    !memcmp(seg->journal, j->sb.journal, sizeof(seg->journal)))
		return;
	out->left_seen = out->ours_seen;
	out->left_hidden = !out->ours_seen;
	out->left_wno = seg->wno_last;
}

/* An object in slot w->seq: applies it and moves on. 1: it is my own fence. */
static int take_object(struct walk *w, struct sio *s)
{
	struct volume *v = w->v;
	struct fmt_seg seg;
	int err;

	err = fmt_seg_header_open(&seg, s->body, s->res, v->uuid, 0, w->seq,
				  keys_get(v->kr, KEYS_HEADER));
	if (err)
		return complain(w,
				err == -EPROTONOSUPPORT ? "made by a later version" :
							  "its header is damaged or forged",
				err);
	/* the nonce before the epoch: it tells a lost answer from a newer owner */
	if (!memcmp(seg.nonce, v->nonce, sizeof(seg.nonce))) {
		w->out->resume_wno = seg.resume_wno;
		went_over(w, &seg);
		return 1;
	}
	if (seg.epoch >= w->epoch)
		return complain(w, "written by a newer owner than the newest head tells of",
				-ESTALE);
	if (s->req.size != seg.object_len)
		return complain(w, "shorter or longer than its header says", -EBADMSG);
	err = check_seen(w, &seg);
	if (!err)
		err = continues(w, &seg);
	if (err)
		return err;
	if (v->journal && seg.epoch <= v->journal->epoch)
		w->out->ours_seen = true;
	if (seg.type == FMT_SEG_FENCE) {
		if (seg.resume_wno > w->out->resume_wno)
			w->out->resume_wno = seg.resume_wno;
		note_fence(w, &seg);
		went_over(w, &seg);
		w->seq = seg.resume_at;
		return 0;
	}
	if (!w->look && (uint64_t)s->res < fmt_seg_frames_off(&seg))
		err = get_long(w, &seg, &s);
	if (!err && !w->look)
		err = apply(w, &seg, s);
	if (err)
		return err;
	went_over(w, &seg);
	v->committed_wno = seg.wno_last;
	w->out->segments++;
	w->seq++;
	return 0;
}

/*
 * Slots (n, n + W) may hold what an earlier owner had under way. One that says that n was durable
 * when it was made, or a fence, whose maker must have seen n, proves that n was there. 1: proved.
 * [waits]
 */
static int proof_behind(struct walk *w)
{
	struct volume *v = w->v;
	uint64_t seq;

	for (seq = w->seq + 1; seq < w->seq + v->window; seq++) {
		struct fmt_seg seg;
		struct sio *s;
		int err = peek(w, seq, &s);

		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		if (fmt_seg_header_open(&seg, s->body, s->res, v->uuid, 0, seq,
					keys_get(v->kr, KEYS_HEADER)))
			continue;
		if (seg.type == FMT_SEG_FENCE || seg.resume_at > w->seq)
			return 1;
	}
	return 0;
}

/* So does any slot >= n + W that is taken. [waits] */
static int proof_far_behind(struct walk *w)
{
	struct volume *v = w->v;
	char after[FMT_NAME_MAX];
	struct sio *s;
	int err;

	fmt_name_seg(after, w->seq + v->window - 1);
	s = sio_list(&v->sio, FMT_PREFIX_SEG, after, 1);
	if (!s)
		return -ENOMEM;
	sio_start(s, SIO_PATIENT);
	err = sio_wait(s);
	if (!err)
		err = s->res < 0 ? (int)s->res : s->res > 0;
	sio_drop(s);
	return err;
}

/*
 * Nothing was in slot w->seq: is that the end of the log? 0: yes. -EEXIST: something is there now:
 * an earlier owner that is still alive may have put it, and more behind it, since we looked.
 * [waits]
 */
static int check_gap(struct walk *w)
{
	int err = proof_far_behind(w);
	struct sio *s;

	if (!err)
		err = proof_behind(w);
	if (err < 0)
		return err;
	if (!err && w->v->seen.commit_seq < w->seq)
		return 0;
	drop_ahead(w);
	err = peek(w, w->seq, &s);
	if (!err)
		return -EEXIST;
	if (err != -ENOENT)
		return err;
	/* or deleted, by a newer owner, or while we look by the one that there is */
	err = head_overtaken(w->v, w->version);
	if (err == -ESTALE && !w->look)
		complain(w, "missing: another process has attached to this volume since", err);
	if (err)
		return err;
	return complain(w, "missing, though the log went on behind it: it was lost", -ENODATA);
}

/* Creates the fence. 0: it is there; -EEXIST: the slot was taken meanwhile. [waits] */
static int put_fence(struct walk *w)
{
	struct volume *v = w->v;
	struct fmt_seg f = {
		.type = FMT_SEG_FENCE,
		.epoch = v->epoch,
		.seq = w->seq,
		.wno_last = v->committed_wno,
		.resume_at = w->seq + v->window,
		.created_us = clock_real_us(v->env.clock),
	};
	struct buf b = BUF_INIT;
	char name[FMT_NAME_MAX];
	uint8_t footer[FMT_SEG_FOOTER_LEN];
	struct sio *s;
	int err;

	if (w->out->resume_wno <= v->committed_wno)
		w->out->resume_wno = v->committed_wno;
	f.resume_wno = w->out->resume_wno + VOL_WNO_JUMP;
	memcpy(f.uuid, v->uuid, sizeof(f.uuid));
	memcpy(f.nonce, v->nonce, sizeof(f.nonce));
	memcpy(f.prev_hash, v->chain, sizeof(f.prev_hash));
	if (v->journal)
		memcpy(f.journal, v->journal->sb.journal, sizeof(f.journal));
	err = fmt_seg_seal(&b, &f, NULL, NULL, keys_get(v->kr, KEYS_HEADER));
	if (!err) {
		fmt_seg_footer(footer, crc32c(0, b.data, b.len));
		buf_put(&b, footer, sizeof(footer));
		err = buf_err(&b);
	}
	if (err) {
		buf_free(&b);
		return err;
	}
	fmt_name_seg(name, w->seq);
	s = sio_put(&v->sio, name, b.data, b.len);
	if (!s)
		return -ENOMEM;
	sio_start(s, SIO_PATIENT);
	err = sio_wait(s);
	if (!err)
		err = (int)s->res;
	if (!err)
		contact_proved(v, s->sent_us);
	sio_drop(s);
	if (err)
		return err;
	went_over(w, &f);
	w->out->resume_wno = f.resume_wno;
	return 0;
}

/* From the point that @h names on, to the log's end, and our fence there. [waits] */
static int walk(struct walk *w, const struct fmt_head *h)
{
	struct volume *v = w->v;
	int err;

	memset(w->out, 0, sizeof(*w->out));
	memcpy(w->out->owner_journal, h->image_journal, sizeof(w->out->owner_journal));
	w->out->ours_seen = v->journal && !memcmp(h->image_journal, v->journal->sb.journal,
						  sizeof(h->image_journal));
	w->seq = h->replay_from;
	w->version = h->version;
	v->window = h->window;
	v->committed_wno = h->last_wno;
	v->applied_wno = h->last_wno;
	v->commit_seq = w->seq - 1;
	v->replay_from = w->seq;
	memcpy(v->chain, h->chain, sizeof(v->chain));
	memcpy(v->commit_chain, v->chain, sizeof(v->chain));
	memcpy(v->replay_chain, v->chain, sizeof(v->chain));
	for (;;) {
		struct sio *s;

		err = slot_get(w, &s);
		if (!err) {
			err = take_object(w, s);
			if (!err)
				continue;
			if (err > 0)
				err = 0;
			break;
		}
		if (err != -ENOENT)
			break;
		err = check_gap(w);
		if (!err)
			err = jreplay_judge(v, w->out);
		if (!err && !w->look)
			err = put_fence(w);
		if (err != -EEXIST)
			break;
		drop_ahead(w);
	}
	drop_ahead(w);
	return err;
}

int replay_walk(struct volume *v, struct replay *ret)
{
	struct walk w = { .v = v, .out = ret, .epoch = v->epoch };
	int err = walk(&w, &v->head);

	if (err)
		return err;
	ret->fence_seq = v->commit_seq;
	ret->resume_at = v->commit_seq + v->window;
	return 0;
}

int replay_look(struct volume *v, const struct fmt_head *h)
{
	struct replay found;
	struct walk w = { .v = v, .out = &found, .look = true, .epoch = h->epoch + 1 };
	int err = walk(&w, h);

	v->commit_seq = 0; /* not known before replay_walk(): seen_save() */
	if ((err == -ENOENT || err == -ENODATA || err == -EBADMSG || err == -ESTALE) &&
	    head_overtaken(v, h->version) == -ESTALE)
		return -EEXIST;
	return err;
}
