// SPDX-License-Identifier: GPL-2.0-or-later
/* A host's lives: its daemon attaches, serves, detaches, dies; its kernel outlives it, or not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jdisk.h"
#include "lib/testrand.h"
#include "sim/sim.h"
#include "volume/vol.h"

static void trace_fate(void *ctx, const struct store_req *r, const char *what)
{
	static const char *const ops[] = { "PUT", "GET", "LIST", "DELETE" };
	struct host *h = ctx;

	sim_trace(h->s, "h%u: %s %s: %s (%ld)", h->no, ops[r->op], r->name, what, (long)r->res);
	oracle_request(h, r, what);
}

void host_faults(struct host *h, bool on)
{
	const struct scenario *sc = &h->s->sc;
	struct net *n = &h->w.net;

	n->refuse_pm = on ? sc->refuse_pm : 0;
	n->lose_pm = on ? sc->lose_pm : 0;
	n->hold_pm = on ? sc->hold_pm : 0;
	n->late_pm = on ? sc->late_pm : 0;
	n->ghost_pm = on ? sc->ghost_pm : 0;
	n->twice_pm = on ? sc->twice_pm : 0;
	if (!on) {
		n->refuse_puts = n->refuse_gets = n->refuse_deletes = 0;
		n->hold[0] = 0;
		h->outage_end = 0;
	}
}

void host_init(struct host *h, struct sim *s, unsigned int no, struct vol *share)
{
	h->s = s;
	h->no = no;
	list_init(&h->reads);
	if (share)
		vol_share(&h->w, share);
	else
		vol_init(&h->w, s->seed, s->sc.nr_devs, (uint64_t)SIM_BLOCKS * IO_BLOCK_SIZE);
	h->w.check = false; /* world_step() does */
	h->w.untold = true; /* a daemon may die before its kernel is told */
	h->w.env.wait = world_fiber_wait;
	h->w.answered = load_answered;
	h->w.net.mutated = oracle_mutated;
	h->w.net.fate = trace_fate;
	h->w.net.ctx = h;
	disk_init(h);
}

void host_end(struct host *h)
{
	h->w.net.mutated = NULL;
	disk_end(h);
	vol_end(&h->w);
	load_drop(h);
	branch_free(&h->br);
	branch_free(&h->found);
	fiber_free(&h->fiber);
}

/* While the kernel waits for an extent the rest of the world goes on. */
static bool step_all(struct vol *w)
{
	return world_step(container_of(w, struct host, w)->s);
}

/* ---- attaching --------------------------------------------------------------------------- */

/* As session.c and the module decide it. */
static bool intact(const struct host *h)
{
	const struct volume_recovery *r = &h->w.rec;

	return !r->foreign && !r->gone && r->recovered_wno >= h->flushed &&
	       r->recovered_wno >= h->acked && (h->acked <= h->flushed || r->adopted);
}

uint32_t *host_stamps(struct host *h)
{
	unsigned int hold_pm = h->w.net.hold_pm;
	uint32_t *stamps;

	h->w.net.hold_pm = 0;
	h->w.step = world_quiet_step;
	stamps = oracle_stamps(&h->w, h->s->sc.nr_devs);
	h->w.step = step_all;
	h->w.net.hold_pm = hold_pm;
	return stamps;
}

/*
 * How much of history @b must be there: with the arena all that was answered, without it what the
 * store held at the fence, and what the journal has answered flushes for.
 */
static uint32_t least(const struct host *h, const struct branch *b, bool all)
{
	uint32_t min, local = branch_place(b, disk_least(h));

	min = branch_place(b, all ? h->w.acked : branch_last(&h->found));
	sim_must(min != ~0u, "h%u: what it finds does not go on with %s", h->no,
		 all ? "what was answered last" : "the log");
	sim_must(local != ~0u, "h%u: the journal answered a flush of operation %u, which is lost",
		 h->no, disk_least(h));
	return local > min ? local : min;
}

/*
 * Checks what was found, and goes on from there. *ret_all: the kernel is told that all is there.
 * False: another has taken over meanwhile, and deleted what was found.
 */
static bool found(struct host *h, bool *ret_all)
{
	const struct volume_recovery *r = &h->w.rec;
	bool all = h->session && intact(h), mine = all || r->adopted_entries || r->journal_ops;
	struct branch *b = mine ? &h->br : &h->found;
	uint32_t min, at, *stamps;

	sim_must(!mine || h->has_br, "h%u: goes on with a history that it never had", h->no);
	sim_must(all || !h->session || h->passed || h->disk.may_lose,
		 "h%u: told that the cache is lost, and nobody else owned the volume", h->no);
	sim_must(all || !r->adopted_entries || h->disk.may_lose, "h%u: adopted, but not intact",
		 h->no);
	stamps = host_stamps(h);
	if (!stamps)
		return false;
	min = least(h, b, all);
	at = branch_prefix(b, stamps, min, b->m.ops);
	free(stamps);
	sim_must(at != ~0u, "h%u: %s, but what it finds is no prefix of at least %u of %u", h->no,
		 all  ? "intact" :
		 mine ? "its journal was replayed" :
			"nothing adopted",
		 min, b->m.ops);
	h->s->st->intact += all;
	h->s->st->replayed += r->journal_ops > 0;
	h->s->st->replayed_ops += r->journal_ops;
	h->s->st->lost += h->session && !all;
	if (mine)
		branch_cut(&h->br, at);
	else
		branch_copy(&h->br, &h->found);
	h->has_br = true;
	*ret_all = all;
	return true;
}

static void serving(struct host *h)
{
	struct sim *s = h->s;
	bool all = false;

	h->state = HOST_SERVING;
	s->st->attaches++;
	s->st->adopted += h->w.rec.adopted_entries > 0;
	sim_must(h->fence_down, "h%u: serves without a fence of its own", h->no);
	if ((h->w.rec.adopted_entries || h->w.rec.journal_ops) && !h->fenced)
		branch_copy(&s->orphan, &h->br); /* these will be in the store next */
	/* a successor may find that this one died before it could tell its kernel */
	if (testrand_below(12) == 0 && !s->calm) {
		sim_trace(s, "h%u: attached, and dies before it can say so", h->no);
		host_die(h, false);
		return;
	}
	if (!found(h, &all)) {
		host_die(h, false);
		return;
	}
	if (!h->fenced) {
		s->owner = h;
		branch_free(&s->orphan);
	}
	if (!all)
		h->acked = h->flushed = h->session ? h->w.rec.recovered_wno : 0;
	sim_trace(s, "h%u: serves: %s, %u operations, %u adopted, epoch %llu", h->no,
		  all	     ? "intact" :
		  h->session ? "lost" :
			       "anew",
		  h->br.m.ops, h->w.rec.adopted_entries, (unsigned long long)h->w.rec.epoch);
	disk_serving(h);
	h->session = true;
	h->passed = h->fenced;
	h->w.acked = branch_last(&h->br);
	volume_resumed(h->w.v);
}

static void not_attached(struct host *h, int err)
{
	struct sim *s = h->s;

	h->state = HOST_DOWN;
	disk_check(h);
	sim_trace(s, "h%u: attach: %d, %s", h->no, err, err == -EINTR ? "killed" : h->w.notice);
	if (h->fiber.kill && err == -EINTR)
		return;
	if ((err == -ETIMEDOUT || err == -EIO || err == -ENOSPC) && h->noisy)
		return;
	if (err == -ESTALE && s->by_others[h->no] != h->others)
		return;
	if (disk_refused(h, err))
		return;
	sim_fail("h%u: attach failed: %d, %s", h->no, err, h->w.notice);
}

static void attach(void *arg)
{
	struct host *h = arg;
	int err = vol_attach(&h->w, h->session && h->w.arena);

	h->w.net.tag = 0;
	if (err)
		not_attached(h, err);
	else if (h->fiber.kill)
		sim_trace(h->s, "h%u: attached, and is dead", h->no);
	else
		serving(h);
}

void host_attach(struct host *h)
{
	sim_trace(h->s, "h%u: attaches%s", h->no, h->session ? ", its kernel waits" : "");
	h->state = HOST_ATTACHING;
	h->fence_down = false;
	h->fenced = false;
	h->frozen = false;
	h->others = h->s->by_others[h->no];
	h->noisy = h->w.net.refuse_pm || h->w.net.lose_pm || h->w.net.ghost_pm || h->outage_end;
	h->committed = 0;
	h->made_head = false;
	h->looks = h->sweeps = 0;
	memset(h->resend, 0, sizeof(h->resend));
	disk_attach(h);
	if (h->s->sc.hold_segs && !h->s->calm && testrand_below(2)) {
		snprintf(h->w.net.hold, sizeof(h->w.net.hold), "seg/");
		h->w.net.hold_skip = 1 + testrand_below(4); /* the fence, and some */
	}
	h->life = ++h->s->next_life;
	h->w.net.tag = h->life;
	h->w.now = h->s->now;
	h->w.step = step_all;
	branch_free(&h->found);
	fiber_start(&h->fiber, attach, h);
}

void host_resume(struct host *h)
{
	fiber_resume(&h->fiber);
}

/* ---- the end of a life ------------------------------------------------------------------- */

static void gone(struct host *h)
{
	struct sim *s = h->s;

	if (s->owner == h) {
		s->owner = NULL;
		branch_copy(&s->orphan, &h->br);
	}
	h->state = HOST_DOWN;
	h->frozen = false;
	load_drop(h);
	disk_died(h);
}

static void detach(void *arg)
{
	struct host *h = arg;
	int err;

	/* volume_detach() and not vol_detach(): who is to be killed is killed by host_die() */
	err = volume_detach(h->w.v);
	sim_trace(h->s, "h%u: detach: %d", h->no, err);
	if (h->fiber.kill)
		return;
	sim_must(!err || h->w.superseded, "h%u: detach failed: %d, %s", h->no, err, h->w.notice);
	if (err) {
		h->state = HOST_SERVING;
		return;
	}
	if (!h->fenced)
		h->s->durable = branch_last(&h->br);
	vol_kill(&h->w);
	gone(h);
	h->s->st->detaches++;
	sim_must(h->fenced || oracle_store(h->s) == h->s->orphan.m.ops,
		 "h%u: detached, and not all is in the store", h->no);
	h->session = testrand_below(2); /* a device was open, or none */
}

void host_detach(struct host *h)
{
	sim_trace(h->s, "h%u: detaches", h->no);
	h->state = HOST_DETACHING;
	fiber_start(&h->fiber, detach, h);
}

void host_die(struct host *h, bool power)
{
	struct sim *s = h->s;
	bool superseded = h->w.superseded;

	sim_trace(s, "h%u: %s", h->no, power ? "power cut" : "its daemon dies");
	if (power)
		s->st->power_cuts++;
	else if (h->state == HOST_ATTACHING)
		s->st->kills_attach++;
	else if (h->state == HOST_DETACHING)
		s->st->kills_detach++;
	else
		s->st->kills++;
	h->dying = true;
	h->frozen = false;
	h->w.net.hold[0] = 0;
	if (h->w.v)
		s->st->parked += h->w.v->st.parked;
	if (power && h->w.jdisk)
		jdisk_cut(h->w.jdisk);
	if (h->fiber.live && h->fiber.done) {
		h->fiber.kill = true;
		while (h->fiber.live)
			fiber_resume(&h->fiber);
	}
	if (h->w.v && power)
		vol_cut(&h->w);
	else if (h->w.v)
		vol_kill(&h->w);
	if (h->w.jdisk)
		jdisk_revive(h->w.jdisk);
	/* only now: until it is freed the volume may look at what READs wait for */
	load_drop(h);
	h->dying = false;
	gone(h);
	if (power || superseded)
		h->session = false;
	if (s->sc.lose_state && testrand_below(4) == 0) {
		sim_trace(s, "h%u: its state folder is lost", h->no);
		h->w.file_len = 0;
	}
}

void host_check(struct host *h)
{
	if (!h->w.superseded || h->state == HOST_DOWN)
		return;
	sim_must(h->s->by_others[h->no] != h->others, "h%u: superseded by nobody: %s", h->no,
		 h->w.notice);
}
