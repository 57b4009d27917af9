// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaching to a volume: newest head, a head of our own, its image, the log behind it, the fence,
 * adoption.
 *
 * Failure modes: each errno of volume_recover() with a notice that names the object; nothing in the
 * store has been overwritten, at most a head or a fence was added, which the next attach takes in
 * its stride.
 */
#include "volume/recover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "volume/batch.h"
#include "volume/head.h"
#include "volume/image.h"
#include "volume/journal.h"
#include "volume/jreplay.h"
#include "volume/keys.h"
#include "volume/lease.h"
#include "volume/notice.h"
#include "volume/probe.h"
#include "volume/replay.h"
#include "volume/seen.h"
#include "volume/vol.h"
#include "volume/write.h"

#define RACES_MAX 64u /* heads that others make under our eyes before we give up */

/* Is this the image this host may serve? */
static int check_head(struct volume *v, const struct fmt_head *h)
{
	const char *what = NULL;
	int err = -ESTALE;

	if (h->version < v->seen.head_version || h->epoch < v->seen.epoch)
		what = "the store shows an older image than this host has seen";
	else if (keys_version(v->kr) < v->seen.keys_version)
		what = "the store shows older keys than this host has seen";
	else if (keys_version(v->kr) < h->keys_version)
		what = "the keys object is older than the head allows";
	if (what)
		notice_say(&v->env, NOTICE_ERR, "%s (head %llu, epoch %llu)", what,
			   (unsigned long long)h->version, (unsigned long long)h->epoch);
	else
		err = 0;
	return err;
}

/*
 * Makes the head that says: this process owns the volume now. -EEXIST: another was faster. [waits]
 */
static int claim(struct volume *v, const struct fmt_head *old)
{
	struct head_op *op = calloc(1, sizeof(*op));
	int err;

	if (!op)
		return -ENOMEM;
	op->v = v;
	op->h = *old;
	op->h.version++;
	op->h.epoch++;
	op->h.flags = 0;
	op->h.keys_version = keys_version(v->kr);
	op->h.created_us = clock_real_us(v->env.clock);
	jreplay_claim(v, &op->h);
	memcpy(op->h.nonce, v->nonce, sizeof(op->h.nonce));
	head_create(op, SIO_PATIENT);
	err = op->finished ? 0 : v->env.wait(v->env.ctx, &op->finished);
	err = op->finished ? op->res : err ? err : -EINTR;
	head_cancel(op);
	if (!err) {
		v->epoch = op->h.epoch;
		v->window = op->h.window;
	}
	free(op);
	return err;
}

/*
 * Nothing is written before the lease was found to be free and the store has passed @probe. (The
 * probe's object may be.) [waits]
 */
static int take_ownership(struct volume *v, struct probe *probe)
{
	struct fmt_head h;
	uint64_t version;
	uint32_t i;
	int err = -EEXIST;

	for (i = 0; i < RACES_MAX && (err == -EEXIST || err == -ENOENT); i++) {
		err = head_newest(v, &version);
		if (err)
			return err;
		err = head_read(v, version, &h);
		if (err == -ENOENT)
			continue;
		if (!err)
			err = check_head(v, &h);
		if (!err)
			err = lease_wait(v);
		if (!err)
			err = jreplay_policy(v, &h);
		if (err == -EEXIST) /* the owner goes on meanwhile */
			continue;
		if (!err)
			err = probe_wait(probe);
		if (err)
			return err;
		err = claim(v, &h);
	}
	if (err == -EEXIST || err == -ESTALE)
		notice_say(&v->env, NOTICE_ERR, "another process is attaching to this volume");
	return err == -EEXIST || err == -ENOENT ? -ESTALE : err;
}

/* Is there a head after ours? [waits] */
static int check_newest(struct volume *v)
{
	int err = head_overtaken(v, v->head.version);

	if (err == -ESTALE)
		notice_say(&v->env, NOTICE_ERR,
			   "another process has attached to this volume since");
	return err;
}

/*
 * Image and log up to our fence. What is missing there, or contradicts the rest, may be so because
 * a newer owner has deleted objects that our image, but not his, needs. [waits]
 */
static int load(struct volume *v, struct replay *walk)
{
	int err = image_load(v, &v->head);

	if (!err)
		err = replay_walk(v, walk);
	/*
	 * Our fence may have come late, into a slot that another owner has applied and done away
	 * with: then there is a head after ours.
	 */
	if (!err)
		return check_newest(v);
	if ((err == -ENOENT || err == -ENODATA || err == -EBADMSG) && check_newest(v) == -ESTALE)
		return -ESTALE;
	return err == -ENOENT ? -ENODATA : err;
}

/* ---- adoption -------------------------------------------------------------------------------- */

static bool rec_fits(struct volume *v, const struct fmt_arena_rec *r, uint64_t end_wno)
{
	struct emap_dev *d = emap_dev(&v->overlay, r->dev);

	return d && r->wno < end_wno && r->lba < d->nblocks && r->blocks <= d->nblocks - r->lba;
}

/* Numbers up to here are in the store or in a journal that goes on with it. */
static uint64_t held_elsewhere(const struct volume *v, const struct replay *walk)
{
	if (walk->continues && v->journal->written > v->committed_wno)
		return v->journal->written;
	return v->committed_wno;
}

/*
 * All or nothing: with one record missing, what is left may not be a prefix of what was
 * acknowledged. Each number has its record before the next one is given, and records go in the
 * order of their numbers, so the only gaps are those between two processes, and these are wide: a
 * number less that is missing is a record that is. Only what the journal holds may be missing here:
 * the arena gave it up for that, and says so (spill.h).
 */
static bool adoptable(struct volume *v, const struct replay *walk)
{
	uint64_t last = held_elsewhere(v, walk), elsewhere = last;
	uint32_t i;

	if (!v->adopt_sound)
		return false;
	for (i = 0; i < v->nr_adopt; i++) {
		const struct fmt_arena_rec *r = &v->adopt[i];

		if (r->wno <= v->committed_wno)
			continue;
		if (!rec_fits(v, r, walk->resume_wno))
			return false;
		if (r->wno <= elsewhere)
			continue;
		if (r->wno != last + 1 && r->wno - last < VOL_WNO_JUMP / 2)
			return false;
		last = r->wno;
	}
	return true;
}

/*
 * Has another host written since our kernel was last in accord with the log? The owner then had an
 * epoch, which the arena names. Without the kernel's arena the state folder must do; without both
 * (0) nobody knows, and whatever is in the log may be another host's.
 */
static bool others_wrote(const struct volume *v)
{
	uint64_t owner = v->adopted ? arena_owner(&v->arena) : 0;
	uint32_t i;

	if (!owner)
		owner = v->seen.epoch;
	for (i = 0; i < v->segs.nr; i++)
		if (v->segs.ents[i].rec.epoch > owner)
			return true;
	return false;
}

/* May the arena's records be adopted? If not it is given up. */
static bool arena_usable(struct volume *v, const struct replay *walk, struct volume_recovery *ret)
{
	const char *why = NULL;
	uint64_t spilled;

	if (!v->adopted)
		return false;
	spilled = arena_spilled(&v->arena);
	ret->gone = spilled != FMT_ARENA_LOST && spilled > held_elsewhere(v, walk);
	if (ret->foreign)
		why = "another host has written to the volume since";
	else if (ret->gone)
		why = "writes that only a journal held are gone with it";
	else if (spilled == FMT_ARENA_LOST)
		why = "an earlier start ended before it could say what it had found";
	else if (!adoptable(v, walk))
		why = "the arena's index is damaged";
	if (why) {
		notice_say(&v->env, NOTICE_ERR, "%s: what the arena held beyond the store is lost",
			   why);
		arena_give_up(&v->arena, ret->gone);
		return false;
	}
	arena_trim(&v->arena, v->committed_wno);
	return true;
}

/*
 * From which number on the arena's records are used, ~0 = none are. Both go on from the commit
 * point without a gap, so a journal that goes further holds what the arena holds.
 */
static uint64_t arena_begins(const struct volume *v, uint64_t held)
{
	uint32_t i;

	if (v->nr_adopt && v->adopt[v->nr_adopt - 1].wno < held)
		return ~0ull;
	for (i = 0; i < v->nr_adopt; i++)
		if (v->adopt[i].wno > v->committed_wno)
			return v->adopt[i].wno;
	return ~0ull;
}

/* What neither store nor arena has; and the journal is ours from here on. [waits] */
static int replay_journal(struct volume *v, const struct replay *walk, uint64_t first,
			  struct volume_recovery *ret)
{
	uint64_t held = held_elsewhere(v, walk);
	int err = 0;

	if (!v->journal)
		return 0;
	if (!walk->continues)
		journal_reset(v->journal);
	if (held > v->committed_wno) {
		err = jreplay_run(v, first <= held ? first - 1 : held, walk->resume_wno,
				  &ret->journal_ops);
		if (err)
			return err;
		ret->recovered_wno = held;
	}
	if (ret->journal_ops)
		notice_say(&v->env, NOTICE_INFO,
			   "%llu writes that the store lacked were found in the journal",
			   (unsigned long long)ret->journal_ops);
	err = journal_start(v->journal);
	if (err == -EINTR || err == -ENOMEM || !err)
		return err;
	notice_say(&v->env, NOTICE_ERR,
		   "the journal cannot be written (%s): a FLUSH returns when everything is in the "
		   "store",
		   notice_errno(err));
	return 0;
}

/* Records before number @first are in the store or, up to @held, in the journal. */
static int adopt_arena(struct volume *v, uint64_t first, uint64_t held, struct volume_recovery *ret)
{
	uint32_t i;
	int err;

	arena_spill(&v->arena, first - 1 < held ? first - 1 : held);
	for (i = 0; i < v->nr_adopt; i++) {
		if (v->adopt[i].wno < first)
			continue;
		err = write_adopted(v, &v->adopt[i]);
		if (!err && batch_due(v, 0))
			err = batch_cut(v);
		if (err)
			return err;
		ret->adopted_entries++;
		ret->recovered_wno = v->last_wno;
	}
	ret->adopted = true;
	return 0;
}

/* Everything acknowledged that the store lacks. [waits] */
static int take_over(struct volume *v, const struct replay *walk, struct volume_recovery *ret)
{
	bool arena = arena_usable(v, walk, ret);
	uint64_t held = held_elsewhere(v, walk), first = arena ? arena_begins(v, held) : ~0ull;
	int err = replay_journal(v, walk, first, ret);

	if (!err && arena)
		err = adopt_arena(v, first, held, ret);
	else if (!err) /* a new one has no records of what the journal holds */
		arena_spill(&v->arena, held);
	if (err || !(ret->adopted_entries || ret->journal_ops))
		return err;
	/*
	 * What lies between their numbers and ours was never given to anybody. This must be in the
	 * log before a manifest may hide the fence, which is what else tells our successor which
	 * numbers we have used: checkpoint_start().
	 */
	return batch_void(v, walk->resume_wno - 1);
}

int recover_run(struct volume *v, struct volume_recovery *ret)
{
	struct probe probe;
	struct replay walk;
	int err;

	memset(ret, 0, sizeof(*ret));
	randombytes_buf(v->nonce, sizeof(v->nonce));
	err = seen_load(v);
	if (!err)
		err = jreplay_open(v);
	if (!err) {
		probe_start(&probe, &v->sio, v->uuid, v->o.no_fencing, SIO_PATIENT);
		lease_look(v);
		err = take_ownership(v, &probe);
		probe_cancel(&probe);
		lease_cancel(v);
	}
	if (!err)
		err = load(v, &walk);
	if (err)
		return err;
	v->last_wno = v->committed_wno;
	v->next_wno = walk.resume_wno;
	v->own_wno = walk.resume_wno;
	v->fence_seq = walk.fence_seq;
	v->next_seq = walk.resume_at;
	v->lowest_seq = walk.resume_at;
	ret->foreign = others_wrote(v);
	if (!ret->foreign)
		v->seen.epoch = v->epoch;
	err = seen_save(v);
	if (err) {
		seen_complain(v, NOTICE_ERR, err);
		return err;
	}
	if (!ret->foreign && v->adopted)
		arena_set_owner(&v->arena, v->epoch);
	ret->durable_wno = v->committed_wno;
	ret->recovered_wno = v->committed_wno;
	v->state = VOL_SERVING;
	err = take_over(v, &walk, ret);
	free(v->adopt);
	v->adopt = NULL;
	v->nr_adopt = 0;
	if (err)
		return err;
	v->seen_us = 0; /* that the journal's disk has our epoch now */
	ret->segments_replayed = walk.segments;
	ret->epoch = v->epoch;
	return 0;
}
