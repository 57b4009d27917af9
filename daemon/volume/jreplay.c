// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A journal at attach: see jreplay.h and docs/DESIGN.md 2.14.
 *
 * Happy path: the journal is read before the store is written; the head's journal is this one; the
 * last fence names it; its operations beyond the commit point are put where writes lie. Failure
 * modes: each errno with a notice; neither journal nor log is changed by any of them.
 */
#include "volume/jreplay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "format/fmt_head.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/jscan.h"
#include "volume/notice.h"
#include "volume/replay.h"
#include "volume/seen.h"
#include "volume/spill.h"
#include "volume/vol.h"
#include "volume/write.h"

int jreplay_open(struct volume *v)
{
	struct journal *j = v->journal;
	int err;

	if (!j)
		return 0;
	err = jscan_run(j, &j->epoch, &j->store_to);
	if (!err)
		j->epoch = journal_epoch(j);
	return err;
}

/* Is the head's journal one of this machine's? Host names may be equal where machines are not. */
static bool is_here(const struct volume *v, const struct fmt_head *h)
{
	if (!uuid_is_null(h->journal_host_id) && !uuid_is_null(v->o.host_id))
		return !memcmp(h->journal_host_id, v->o.host_id, sizeof(h->journal_host_id));
	return !strcmp(h->journal_host, v->o.host);
}

/*
 * Head @h names this journal: is there less in it than was durable once? Then a copy of the disk
 * was put back, or its end is gone, and with it perhaps flushes that were answered. What a clean
 * owner left is in the store, whatever became of the disk.
 */
static int check_age(const struct volume *v, const struct fmt_head *h, bool given_up)
{
	const struct journal *j = v->journal;

	if (h->journal_state != FMT_JOURNAL_OPEN ||
	    (j->epoch >= h->journal_epoch && j->head >= h->journal_pos && !seen_older(v)))
		return 0;
	if (given_up) {
		notice_say(&v->env, NOTICE_WARN,
			   "the journal holds less than it once held: flushes that it had answered "
			   "are lost unless they had been uploaded since");
		return 0;
	}
	notice_say(&v->env, NOTICE_ERR,
		   "the journal holds less than it once held: an older copy of its disk was put "
		   "back, or its end is damaged; use the newest one, or give what is missing up "
		   "with %s",
		   is_here(v, h) ? "--abandon-journal" : "--takeover --accept-loss");
	return -ENOMEDIUM;
}

/*
 * Memory has writes of an owner who had a later journal than this. Nobody may mix them with what
 * this one holds, not even who gives up what is missing: it may be of a history that was given up
 * before.
 */
static bool arena_is_younger(const struct volume *v)
{
	const struct journal *j = v->journal;

	if (!j || !j->nr_refs || !v->adopted || arena_journal(&v->arena) <= j->epoch)
		return false;
	notice_say(&v->env, NOTICE_ERR,
		   "the journal is older than the one that was in use here until now: use the "
		   "newest one, or none: --abandon-journal without --journal goes on with what "
		   "memory and store have");
	return true;
}

/* The journal holds something, and head @h is not its owner's. [waits] */
static int doubt(struct volume *v, const struct fmt_head *h)
{
	if (v->o.takeover)
		return replay_look(v, h);
	notice_say(&v->env, NOTICE_ERR,
		   "the journal holds writes up to number %llu, and another host has owned the "
		   "volume since; 'zerofs journal export' saves them, 'zerofs journal discard' "
		   "gives them up, --takeover asks the log whether they still belong to it",
		   (unsigned long long)v->journal->written);
	return -EUCLEAN;
}

int jreplay_policy(struct volume *v, const struct fmt_head *h)
{
	const struct journal *j = v->journal;
	bool here = is_here(v, h);
	bool ours, given_up = here ? v->o.abandon_journal : v->o.accept_loss;
	int err;

	if (j && j->epoch > h->epoch) {
		notice_say(&v->env, NOTICE_ERR,
			   "the store shows an older image than the journal has seen (epoch %llu, "
			   "the journal's is %llu)",
			   (unsigned long long)h->epoch, (unsigned long long)j->epoch);
		return -ESTALE;
	}
	if (arena_is_younger(v))
		return -ESTALE;
	ours = j && !memcmp(j->sb.journal, h->journal, sizeof(h->journal));
	if (j && j->nr_refs && !ours) {
		err = doubt(v, h);
		if (err)
			return err;
	}
	if (ours)
		return check_age(v, h, given_up);
	if (h->journal_state != FMT_JOURNAL_OPEN)
		return 0;
	if (given_up) {
		notice_say(
			&v->env, NOTICE_WARN,
			"the journal of host '%s' is given up: flushes that it answered after "
			"number %llu was in the store are lost unless they had been uploaded since",
			h->journal_host, (unsigned long long)h->last_wno);
		return 0;
	}
	notice_say(&v->env, NOTICE_ERR,
		   "the volume's journal on host '%s'%s is open and is not here; it may hold "
		   "flushed writes that the store lacks%s",
		   h->journal_host,
		   !here && !strcmp(h->journal_host, v->o.host) ? " (another machine)" : "",
		   here ? ": --journal names it, --abandon-journal gives those writes up" :
			  ": stop the daemon there cleanly, or give those writes up with "
			  "--takeover --accept-loss");
	return -ENOMEDIUM;
}

void jreplay_note(const struct volume *v, struct fmt_head *h)
{
	const struct journal *j = v->journal;

	h->journal_epoch = j ? journal_epoch(j) : 0;
	h->journal_pos = j ? j->head : 0;
}

void jreplay_claim(const struct volume *v, struct fmt_head *h)
{
	const struct journal *j = v->journal;

	memset(h->journal, 0, sizeof(h->journal));
	memset(h->journal_host, 0, sizeof(h->journal_host));
	memset(h->journal_host_id, 0, sizeof(h->journal_host_id));
	h->journal_state = FMT_JOURNAL_NONE;
	snprintf(h->host, sizeof(h->host), "%s", v->o.host);
	jreplay_note(v, h);
	if (!j)
		return;
	memcpy(h->journal, j->sb.journal, sizeof(h->journal));
	h->journal_state = FMT_JOURNAL_OPEN;
	snprintf(h->journal_host, sizeof(h->journal_host), "%s", v->o.host);
	memcpy(h->journal_host_id, v->o.host_id, sizeof(h->journal_host_id));
}

int jreplay_judge(struct volume *v, struct replay *r)
{
	const struct journal *j = v->journal;
	uint64_t stored;

	if (!j)
		return 0;
	stored = j->store_to > j->sb.start_wno ? j->store_to : j->sb.start_wno;
	/* not by the superblock's epoch: a WRITE that failed leaves that behind */
	r->continues = !memcmp(r->owner_journal, j->sb.journal, sizeof(j->sb.journal));
	/* it had been left before: what is in it is older than that */
	if (r->left_seen || r->left_hidden)
		r->continues = false;
	if (r->continues && stored > v->committed_wno) {
		notice_say(
			&v->env, NOTICE_ERR,
			"the journal knows that the store held everything up to number %llu, but "
			"it ends at %llu: segments were lost",
			(unsigned long long)stored, (unsigned long long)v->committed_wno);
		return -ENODATA;
	}
	if (r->continues || !j->nr_refs || (r->left_seen && j->written <= r->left_wno))
		return 0;
	notice_say(
		&v->env, NOTICE_ERR,
		"the journal holds writes up to number %llu of a history that the volume has left: "
		"another host took it over at number %llu; 'zerofs journal export' saves them, "
		"'zerofs journal discard' gives them up",
		(unsigned long long)j->written,
		(unsigned long long)(r->left_seen ? r->left_wno : v->committed_wno));
	return -EUCLEAN;
}

/* ---- replay ------------------------------------------------------------------------------- */

static bool op_fits(struct volume *v, const struct fmt_journal_op *op, uint64_t end_wno)
{
	struct emap_dev *d = emap_dev(&v->overlay, op->dev);

	return d && op->wno < end_wno && op->lba < d->nblocks && op->blocks <= d->nblocks - op->lba;
}

/* Until the maps have room. [waits] */
static int wait_for_maps(struct volume *v)
{
	int err = 0;

	while (!err && spill_maps_full(v) && !list_empty(&v->batches))
		err = volume_wait(v);
	return err;
}

/* An operation whose data, if it has any, is block @block of the ring. [waits] */
static int put_op(struct volume *v, const struct fmt_journal_op *op, uint32_t block)
{
	struct fmt_arena_rec r = {
		.wno = op->wno,
		.lba = op->lba,
		.off = (uint64_t)block << IO_BLOCK_SHIFT,
		.dev = op->dev,
		.blocks = op->blocks,
		.op = op->kind == FMT_JOURNAL_WRITE   ? FMT_ARENA_WRITE :
		      op->kind == FMT_JOURNAL_DISCARD ? FMT_ARENA_DISCARD :
							FMT_ARENA_ZEROES,
		.flags = op->flags & FMT_JOURNAL_NOUNMAP ? FMT_ARENA_NOUNMAP : 0,
	};
	struct batch *b;
	int err = wait_for_maps(v);

	if (err)
		return err;
	b = batch_open(v);
	if (!b)
		return -ENOMEM;
	b->parked = true;
	err = write_adopted(v, &r);
	if (!err && batch_due(v, 0)) {
		err = batch_cut(v);
		volume_pump(v);
	}
	return err;
}

/* The arena has it, and now knows that the ring has it as well. */
static void tell_arena(struct volume *v, const struct fmt_journal_op *op, uint32_t block)
{
	uint32_t at = arena_after(&v->arena, op->wno - 1);
	struct fmt_arena_rec r;

	if (arena_nth(&v->arena, at, &r) && r.wno == op->wno)
		arena_set_ring_block(&v->arena, at, block);
}

/* Operations up to @upto are put, what is beyond lies in the arena. */
static int put_rec(struct volume *v, const struct jscan_reader *rd, uint64_t upto, uint64_t end_wno,
		   uint64_t *ops)
{
	const struct fmt_journal_rec *rec = rd->rec;
	uint32_t i, block = (rec->pos % v->journal->ring_len +
			     FMT_JOURNAL_HEAD_LEN(rec->nr_ops, rec->nr_blocks)) /
			    FMT_JOURNAL_BLOCK;
	int err = 0;

	for (i = 0; i < rec->nr_ops && !err; i++) {
		const struct fmt_journal_op *op = &rd->ops[i];

		if (!op_fits(v, op, end_wno))
			return -EBADMSG;
		if (op->wno > upto) {
			tell_arena(v, op, block);
		} else if (op->wno > v->last_wno) {
			/* neither the store has it, nor did a record before this one bring it */
			err = put_op(v, op, block);
			++*ops;
		}
		if (op->kind == FMT_JOURNAL_WRITE)
			block += op->blocks;
	}
	return err;
}

int jreplay_run(struct volume *v, uint64_t upto, uint64_t end_wno, uint64_t *ret_ops)
{
	struct journal *j = v->journal;
	uint64_t pos = j->refs[j->ref_head].pos, last = v->committed_wno, ops = 0;
	struct jscan_reader rd;
	int err = jscan_open(&rd, j);

	for (; !err && pos < j->head; pos += rd.rec->len) {
		err = jscan_read(&rd, pos);
		if (err)
			break;
		if (rd.rec->type == FMT_JOURNAL_PAD || rd.rec->last <= last)
			continue;
		if (rd.rec->first > last + 1)
			err = -EBADMSG;
		else
			err = put_rec(v, &rd, upto, end_wno, &ops);
		last = rd.rec->last;
	}
	jscan_close(&rd);
	/* what comes next lies in the arena: not in one batch with this */
	if (!err && batch_dirty(v))
		err = batch_cut(v);
	if (err == -EBADMSG)
		notice_say(&v->env, NOTICE_ERR,
			   "journal: damaged after number %llu, or numbers are missing",
			   (unsigned long long)last);
	if (err)
		return err;
	*ret_ops = ops;
	return 0;
}
