// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A host's journal disk: torn and lost, slow and failing, put back as it was, another volume's; and
 * the person who is asked what to do about it.
 */
#include <errno.h>
#include <string.h>

#include "format/fmt_arena.h"
#include "format/fmt_journal.h"
#include "lib/jdisk.h"
#include "lib/testrand.h"
#include "sim/sim.h"
#include "volume/keys.h"
#include "volume/vol.h"

#define SIZE (64u << 20)

static struct host *host_of(struct sim_disk *d)
{
	return container_of(d, struct host, disk);
}

/* ---- journals ---------------------------------------------------------------------------- */

/*
 * As 'zerofs journal create' makes it, or 'discard' leaves it; but the ring begins shortly before
 * the end of a lap, so that seeds get round.
 */
static void seal(struct host *h, const uint8_t *volume, uint64_t lap)
{
	struct fmt_journal_sb sb = { .generation = 1, .size = SIZE, .clean = true };
	static const uint8_t zeros[FMT_JOURNAL_SB_LEN];
	uint64_t ring = SIZE - FMT_JOURNAL_RING_OFF;
	uint8_t buf[FMT_JOURNAL_SB_LEN];

	memcpy(sb.journal, h->disk.uuid, sizeof(sb.journal));
	sb.start = lap * ring - (1 + testrand_below(200)) * FMT_JOURNAL_BLOCK;
	assert_int_equal(fmt_journal_sb_seal(buf, &sb, volume, keys_get(h->w.kr, KEYS_JOURNAL)), 0);
	jdisk_set(h->w.jdisk, 0, buf, sizeof(buf));
	jdisk_set(h->w.jdisk, FMT_JOURNAL_SB_LEN, zeros, sizeof(zeros));
}

static void make(struct host *h)
{
	struct sim_disk *d = &h->disk;

	jdisk_restore(h->w.jdisk, NULL);
	memset(d->uuid, 0x70 + h->no, sizeof(d->uuid));
	d->uuid[0] = ++d->made;
	seal(h, keys_uuid(h->w.kr), 1);
	jdisk_copy_free(d->copy);
	d->copy = NULL;
	d->plugged = true;
	d->left = d->aside = d->strayed = d->on_top = false;
	d->rolled = d->made > 1;
	d->local = 0;
}

/* The person gives up what is in it. */
static void discard(struct host *h)
{
	struct sim_disk *d = &h->disk;

	sim_trace(h->s, "h%u: its journal is discarded", h->no);
	seal(h, keys_uuid(h->w.kr), 1000 + h->s->next_life * 2ull);
	jdisk_copy_free(d->copy);
	d->copy = NULL;
	d->left = d->aside = false;
	d->rolled = true;
	d->local = 0;
}

/* Another volume's journal, or none, is put into its place. */
static void disguise(struct host *h)
{
	static const uint8_t other[16] = "another volume's";
	struct sim_disk *d = &h->disk;

	d->kept = jdisk_save(h->w.jdisk);
	d->strange = true;
	jdisk_restore(h->w.jdisk, NULL);
	if (testrand_below(2))
		seal(h, other, 1);
	sim_trace(h->s, "h%u: its disk is taken for another one", h->no);
}

static void undisguise(struct host *h)
{
	struct sim_disk *d = &h->disk;

	if (!d->strange)
		return;
	jdisk_restore(h->w.jdisk, d->kept);
	jdisk_copy_free(d->kept);
	d->kept = NULL;
	d->strange = false;
}

void disk_init(struct host *h)
{
	struct sim *s = h->s;
	const struct scenario *sc = &s->sc;

	if (!(sc->journals & (1u << h->no)))
		return;
	vol_journal(&h->w, SIZE);
	h->w.jdisk->unreadable = testrand_below(2);
	h->disk.there = true;
	make(h);
}

void disk_end(struct host *h)
{
	jdisk_copy_free(h->disk.copy);
	h->disk.copy = NULL;
	undisguise(h);
}

/* ---- what becomes of it ------------------------------------------------------------------ */

static bool dice(uint32_t pm)
{
	return pm && testrand_below(1000) < pm;
}

void disk_turn(struct host *h)
{
	const struct scenario *sc = &h->s->sc;
	struct sim_disk *d = &h->disk;

	if (h->state == HOST_SERVING && !h->frozen && dice(sc->starve_pm)) {
		sim_trace(h->s, "h%u: its kernel has no room for a write", h->no);
		volume_starved(h->w.v);
	}
	if (!d->there)
		return;
	if (dice(sc->jslow_pm)) {
		d->slow = !d->slow;
		sim_trace(h->s, "h%u: the journal's disk is %s", h->no, d->slow ? "slow" : "fast");
	}
	if (dice(sc->jfail_pm) && !h->w.jdisk->fail_writes) {
		sim_trace(h->s, "h%u: the journal's disk fails", h->no);
		h->s->st->failed++;
		h->w.jdisk->fail_writes = -EIO;
		h->w.jdisk->fail_writes_skip = testrand_below(4);
	}
}

void disk_calm(struct host *h)
{
	h->disk.slow = false;
	if (h->disk.there)
		h->w.jdisk->fail_writes = 0;
}

void disk_check(const struct host *h)
{
	const struct sim_disk *d = &h->disk;

	if (d->aside && d->sum && !d->strange)
		sim_must(jdisk_sum(h->w.jdisk) == d->sum,
			 "h%u: its journal was set aside, and somebody has written to it", h->no);
}

/* Does it alone have a flush of its host's? Then it is not to be touched. */
static void set_aside(struct sim_disk *d)
{
	struct host *h = host_of(d);

	if (!d->aside && d->left && d->local && branch_place(oracle_log(h->s), d->local) == ~0u) {
		sim_trace(h->s, "h%u: its journal alone has operation %u", h->no, d->local);
		d->aside = true;
		d->sum = 0;
	}
	if (d->aside && !d->sum && h->state == HOST_DOWN)
		d->sum = jdisk_sum(h->w.jdisk);
}

void disk_died(struct host *h)
{
	struct sim_disk *d = &h->disk;

	if (!d->there)
		return;
	undisguise(h);
	disk_check(h);
	if (testrand_below(2))
		h->w.jdisk->fail_writes = 0;
	set_aside(d);
	if (d->used && testrand_below(100) < h->s->sc.jlose_pc) {
		sim_trace(h->s, "h%u: the journal's disk is lost", h->no);
		h->s->st->lost_disks++;
		d->plugged = false;
	}
	if (testrand_below(8) == 0 && !d->left) {
		jdisk_copy_free(d->copy);
		d->copy = jdisk_save(h->w.jdisk);
		d->copy_local = d->local;
		sim_trace(h->s, "h%u: a copy of the journal's disk is made", h->no);
	}
}

/* It comes back, or its copy does, or a new one is made. */
static void replace(struct host *h)
{
	struct sim_disk *d = &h->disk;

	if (!d->plugged && testrand_below(3) == 0) {
		sim_trace(h->s, "h%u: the journal's disk is found again", h->no);
		d->plugged = true;
	} else if (!d->plugged && d->left && testrand_below(3) == 0) {
		sim_trace(h->s, "h%u: it gets a new journal", h->no);
		make(h);
	}
	if (d->plugged && d->copy && !d->left && testrand_below(8) == 0 &&
	    (!d->copy_local || branch_place(&h->br, d->copy_local) != ~0u)) {
		sim_trace(h->s, "h%u: the copy of the journal's disk is put back", h->no);
		h->s->st->copies++;
		jdisk_restore(h->w.jdisk, d->copy);
		d->local = d->copy_local;
		d->rolled = true;
	}
}

void disk_attach(struct host *h)
{
	struct volume_opts *o = &h->w.opts;
	struct sim_disk *d = &h->disk;
	bool calm = h->s->calm;

	undisguise(h);
	o->accept_loss = calm || testrand_below(8);
	o->takeover = d->takeover;
	o->abandon_journal = calm || d->abandon;
	d->takeover = false;
	d->claimed = false;
	if (!d->there)
		return;
	if (!calm)
		replace(h);
	d->used = d->plugged;
	if (!calm && d->used && testrand_below(40) == 0)
		disguise(h);
	d->on_top_before = d->on_top;
	d->left_before = d->left;
	h->w.env.journal = d->used ? &h->w.jdisk->dev : NULL;
	o->flush_local = d->used;
	if (!h->session)
		d->answered = false;
	/* the numbers of a flush may be in the journal alone, even if none was given to anything */
	if (h->session && h->w.arena && (!d->used || d->rolled) &&
	    (fmt_arena_spilled(h->w.arena) || d->answered))
		d->may_lose = true;
	sim_trace(h->s, "h%u: %s journal%s%s%s%s", h->no, d->used ? "with its" : "without a",
		  d->rolled ? ", older" : "", o->takeover ? ", takeover" : "",
		  o->abandon_journal ? ", abandon" : "", o->accept_loss ? ", accept loss" : "");
}

/* ---- whom it may serve ------------------------------------------------------------------- */

bool disk_refused(struct host *h, int err)
{
	struct sim_disk *d = &h->disk;
	bool strange = d->strange;

	undisguise(h);
	if (strange) {
		sim_must(err == -EBADMSG || err == -ENODATA,
			 "h%u: another's journal, and the attach ends with %d", h->no, err);
		sim_must(!d->claimed, "h%u: another's journal, and it has made a head", h->no);
		return true;
	}
	if (err == -ENOMEDIUM) {
		sim_must(!h->w.opts.accept_loss || !h->w.opts.abandon_journal,
			 "h%u: an open journal is missed that was given up", h->no);
		sim_must(h->s->sc.journals, "h%u: nobody has a journal, and one is missed", h->no);
		sim_must(!d->claimed, "h%u: a journal is missed, and it has made a head", h->no);
		sim_must(!d->used || d->rolled || !d->on_top || !d->on_top_before,
			 "h%u: its journal is missed, and there it is", h->no);
		d->abandon = testrand_below(2);
		return true;
	}
	if (err == -ESTALE && d->used && d->rolled && h->session) {
		sim_must(!d->claimed, "h%u: an older journal, and it has made a head", h->no);
		d->plugged = false;
		return true;
	}
	if (err != -EUCLEAN || !d->used)
		return false;
	h->s->st->refused++;
	sim_must(d->strayed || d->rolled, "h%u: its journal is set aside, and every head names it",
		 h->no);
	/* with --takeover it looks first; but a fence may come after that */
	sim_must(!d->claimed || d->on_top_before || (d->left && !d->left_before),
		 "h%u: its journal is set aside, and it has made a head", h->no);
	disk_check(h);
	switch (h->s->calm ? 0 : testrand_below(3)) {
	case 0:
		discard(h);
		break;
	case 1:
		d->takeover = true;
		break;
	default:
		d->plugged = false;
	}
	return true;
}

uint32_t disk_least(const struct host *h)
{
	const struct sim_disk *d = &h->disk;

	return d->there && d->used && !d->left && !d->rolled ? d->local : 0;
}

void disk_serving(struct host *h)
{
	struct sim_disk *d = &h->disk;

	d->abandon = false;
	if (!d->there)
		return;
	d->may_lose = false;
	if (!d->used)
		return;
	sim_must(!d->strange, "h%u: serves with another's journal", h->no);
	sim_must(!d->aside || (h->fenced && !d->sum),
		 "h%u: serves with a journal that was set aside", h->no);
	d->strayed = !d->on_top; /* somebody may be attaching by now */
	d->left = d->left && h->fenced;
	d->rolled = false;
	if (branch_place(&h->br, d->local) == ~0u)
		d->local = 0;
}

void disk_head(struct host *h, const uint8_t *journal)
{
	struct sim_disk *d = &h->disk;

	d->on_top = !memcmp(journal, d->uuid, sizeof(d->uuid));
	d->strayed = d->strayed || !d->on_top;
}

void disk_fence(struct host *h, const uint8_t *journal)
{
	struct sim_disk *d = &h->disk;

	if (!d->there || !memcmp(journal, d->uuid, sizeof(d->uuid)))
		return;
	d->left = true;
	set_aside(d);
}

void disk_promised(struct host *h, uint32_t op)
{
	struct sim_disk *d = &h->disk;

	sim_must(d->there && d->used, "h%u: a flush of operation %u answered by nothing", h->no,
		 op);
	h->s->st->local++;
	d->answered = true;
	if (op > d->local)
		d->local = op;
}
