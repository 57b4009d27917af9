// SPDX-License-Identifier: GPL-2.0-or-later
/* One seed: its scenario, its turns, and the end, when all must come out well. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/testrand.h"
#include "sim/sim.h"

#define POINT_LIMIT_S 120u

static uint32_t one_of(const uint32_t *values, uint32_t n)
{
	return values[testrand_below(n)];
}

#define ONE_OF(...) \
	one_of((const uint32_t[]){ __VA_ARGS__ }, \
	       sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void draw(struct sim *s)
{
	struct scenario *sc = &s->sc;
	bool faults = testrand_below(4);

	sc->nr_devs = 1 + testrand_below(3);
	sc->nr_hosts = 1 + (testrand_below(5) < 3);
	sc->turns = 150 + testrand_below(350);
	if (faults) {
		sc->refuse_pm = ONE_OF(0, 20, 100);
		sc->lose_pm = ONE_OF(0, 20, 100, 300);
		sc->hold_pm = ONE_OF(0, 30, 100);
		sc->late_pm = ONE_OF(0, 50, 200);
		sc->ghost_pm = ONE_OF(0, 50, 200);
		sc->twice_pm = ONE_OF(0, 50, 200);
		sc->outage_pm = ONE_OF(0, 5, 20);
	}
	sc->patience = ONE_OF(16, 64, 64, 1000);
	sc->hurry = testrand_below(2);
	sc->die_pm = ONE_OF(10, 30, 80);
	sc->power_pm = ONE_OF(0, 5, 20);
	sc->detach_pm = ONE_OF(0, 5, 15);
	sc->freeze_pm = sc->nr_hosts > 1 ? ONE_OF(0, 10, 30) : 0;
	sc->attach_pm = sc->nr_hosts > 1 ? ONE_OF(5, 15, 40) : 0;
	sc->max_pending = 1 + testrand_below(24);
	sc->hold_segs = testrand_below(3) == 0;
	sc->lose_state = testrand_below(3) == 0;
	if (testrand_below(2))
		return;
	sc->journals = 1 + testrand_below(sc->nr_hosts > 1 ? 3 : 1);
	sc->hold_segs = testrand_below(2);
	sc->local_pm = ONE_OF(20, 50, 150);
	sc->jfail_pm = faults ? ONE_OF(0, 0, 2, 10) : 0;
	sc->jslow_pm = ONE_OF(0, 10, 50);
	sc->jlose_pc = ONE_OF(0, 0, 5, 20);
	sc->starve_pm = ONE_OF(0, 10, 50);
}

static void draw_opts(const struct scenario *sc, struct volume_opts *o)
{
	o->memory = (uint64_t)ONE_OF(144, 144, 176) << 20;
	o->segment_bytes = ONE_OF(64, 128, 512) << 10;
	o->segment_age_ms = ONE_OF(20, 500, 2000);
	o->frame_bytes = 4096u << testrand_below(6);
	o->zstd_level = testrand_below(3);
	o->checkpoint_segments = 1 + testrand_below(testrand_below(2) ? 4 : 24);
	if (!sc->journals)
		return;
	o->max_dirty_bytes = ONE_OF(0, 0, 0, 256, 2048) << 10;
	o->max_dirty_age_ms = ONE_OF(0, 0, 0, 3000);
	o->stop_after_ms = ONE_OF(0, 0, 3000);
}

static void begin(struct sim *s)
{
	struct scenario *sc = &s->sc;
	uint32_t i;

	sim_now = s;
	testrand_seed(s->seed);
	draw(s);
	s->now = 1000000;
	host_init(&s->h[0], s, 0, NULL);
	draw_opts(sc, &s->h[0].w.opts);
	for (i = 1; i < sc->nr_hosts; i++) {
		host_init(&s->h[i], s, i, &s->h[0].w);
		s->h[i].w.opts.checkpoint_segments = 1 + testrand_below(24);
	}
	branch_init(&s->orphan, sc->nr_devs);
	for (i = 0; i < sc->nr_hosts; i++)
		host_faults(&s->h[i], true);
	sim_trace(s,
		  "%u devices, %u hosts, %u turns; per mille lost %u unanswered %u held %u late %u "
		  "ghost %u twice %u; die %u cut %u; journals %x",
		  sc->nr_devs, sc->nr_hosts, sc->turns, sc->refuse_pm, sc->lose_pm, sc->hold_pm,
		  sc->late_pm, sc->ghost_pm, sc->twice_pm, sc->die_pm, sc->power_pm, sc->journals);
}

/* ---- turns ------------------------------------------------------------------------------- */

static bool dice(uint32_t pm)
{
	return pm && testrand_below(1000) < pm;
}

static void outage(struct host *h)
{
	int err = testrand_below(2) ? -EIO : -ENOSPC;

	h->w.net.refuse_puts = testrand_below(4) ? err : 0;
	h->w.net.refuse_gets = h->w.net.refuse_puts && testrand_below(2) ? 0 : -EIO;
	h->w.net.refuse_deletes = h->w.net.refuse_puts;
	h->outage_end = h->s->now + 1 + testrand_below(20000000);
	h->noisy = true;
	sim_trace(h->s, "h%u: outage: PUT %d GET %d for %llu us", h->no, h->w.net.refuse_puts,
		  h->w.net.refuse_gets, (unsigned long long)(h->outage_end - h->s->now));
}

static void use(struct host *h)
{
	if (h->w.pending < h->s->sc.max_pending) {
		if (testrand_below(h->s->sc.journals ? 4 : 16))
			load_op(h);
		else
			load_flush(h);
	}
}

static void turn_of(struct host *h)
{
	struct sim *s = h->s;
	const struct scenario *sc = &s->sc;

	if (h->state == HOST_DOWN) {
		/* somebody serves, nearly always */
		if (!s->owner ? testrand_below(6) == 0 : dice(sc->attach_pm))
			host_attach(h);
		return;
	}
	disk_turn(h);
	if (h->frozen) {
		if (dice(60)) {
			sim_trace(s, "h%u: thaws", h->no);
			h->frozen = false;
		} else if (dice(20)) {
			host_die(h, testrand_below(2));
		}
		return;
	}
	if (dice(sc->die_pm * (h->state == HOST_DETACHING ? 3 : 1)) ||
	    (sc->hurry && h->state == HOST_SERVING && h->w.rec.adopted_entries && dice(100)) ||
	    (h->w.superseded && dice(100))) {
		host_die(h, false);
	} else if (dice(sc->power_pm)) {
		host_die(h, true);
	} else if (h->disk.local > s->durable && dice(sc->local_pm)) {
		host_die(h, testrand_below(4));
	} else if (dice(sc->freeze_pm)) {
		sim_trace(s, "h%u: freezes", h->no);
		h->frozen = true;
	} else if (dice(sc->outage_pm) && !h->outage_end) {
		outage(h);
	} else if (h->state == HOST_SERVING) {
		if (dice(sc->detach_pm) && !h->w.superseded)
			host_detach(h);
		else
			use(h);
	}
}

/* ---- the end ----------------------------------------------------------------------------- */

static bool down(const struct host *h)
{
	return h->state == HOST_DOWN || h->state == HOST_SERVING;
}

static void until_down(struct host *h)
{
	bool d;
	uint32_t n = 0;

	while (!(d = down(h))) {
		sim_must(world_step(h->s), "h%u: an attach or detach has no end", h->no);
		sim_must(++n < 400000, "h%u: an attach or detach takes too long", h->no);
	}
}

static void flush(struct host *h)
{
	struct sim_io x = { .acked = h->acked };

	vol_submit(&x.v, &h->w, IO_FLUSH, 0, 0, 0, 0, h->w.acked);
	world_wait(h->s, &x.v.done);
	sim_must(!x.v.io.res, "h%u: the last flush failed: %d", h->no, x.v.io.res);
}

/* A host attaches, writes, flushes, detaches. */
static void last_life(struct host *h)
{
	struct sim *s = h->s;
	uint32_t i, *stamps;

	/* who died while it attached may have left a head that ends this life */
	if (h->state != HOST_DOWN &&
	    (h->fenced || h->state != HOST_SERVING || h->others != s->by_others[h->no]))
		host_die(h, false);
	while (h->state != HOST_SERVING || h != s->owner) {
		if (h->state == HOST_SERVING)
			host_die(h, false);
		if (h->state == HOST_DOWN)
			host_attach(h);
		until_down(h);
	}
	for (i = 0; i < 20; i++)
		load_op(h);
	flush(h);
	for (i = 0; h->w.pending; i++)
		sim_must(world_step(s) && i < 400000, "h%u: a write waits for ever", h->no);
	stamps = host_stamps(h);
	sim_must(stamps, "h%u: superseded at the end", h->no);
	sim_must(branch_prefix(&h->br, stamps, h->br.m.ops, h->br.m.ops) != ~0u,
		 "h%u: not the newest of everything", h->no);
	free(stamps);
	host_detach(h);
	until_down(h);
	sim_must(h->state == HOST_DOWN, "h%u: the last detach failed", h->no);
}

/* No faults any more: a host attaches, writes, flushes, detaches, and everything is there. */
static void finish(struct sim *s)
{
	struct host *h = &s->h[testrand_below(s->sc.nr_hosts)];
	uint32_t i;

	sim_trace(s, "the end: no faults");
	s->calm = true;
	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *o = &s->h[i];

		host_faults(o, false);
		disk_calm(o);
		net_release(&o->w.net);
		while (net_ghost(&o->w.net))
			;
		o->frozen = false;
		if (o != h && o->state != HOST_DOWN &&
		    (o->state != HOST_SERVING || testrand_below(2)))
			host_die(o, false);
	}
	last_life(h);
	for (i = 0; i < s->sc.nr_hosts; i++)
		disk_check(&s->h[i]);
	sim_must(oracle_store(s) == s->orphan.m.ops, "the end: something is missing in the store");
}

static void all_die(struct sim *s)
{
	uint32_t i;

	for (i = 0; i < s->sc.nr_hosts; i++)
		if (s->h[i].state != HOST_DOWN)
			host_die(&s->h[i], testrand_below(2));
}

static void over(struct sim *s)
{
	uint32_t i;

	/* h[0] has the store */
	for (i = s->sc.nr_hosts; i-- > 0;) {
		if (s->h[i].state != HOST_DOWN)
			host_die(&s->h[i], false);
		if (i)
			host_end(&s->h[i]);
	}
	host_end(&s->h[0]);
	branch_free(&s->orphan);
	free(s->slots);
	free(s->wnos);
	if (s->spare)
		munmap(s->spare, s->spare_len);
}

/* A process of its own dies here and goes on to the end; this one goes on as if it had not. */
static void die_here(struct sim *s)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		sim_fail("fork");
	if (pid) {
		if (waitpid(pid, &status, 0) != pid)
			sim_fail("waitpid");
		if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			s->point = s->step;
			if (!WIFEXITED(status))
				sim_fail("died of signal %d", WTERMSIG(status));
			_exit(1);
		}
		return;
	}
	alarm(POINT_LIMIT_S);
	s->point = s->step;
	s->oracle = true;
	s->st->points++;
	all_die(s);
	finish(s);
	_exit(0);
}

static uint32_t steps_of(struct sim *s)
{
	bool attaching = false;
	uint32_t i;

	for (i = 0; i < s->sc.nr_hosts; i++)
		attaching |= s->h[i].state == HOST_ATTACHING;
	/* an attach has many more steps than anything else */
	return testrand_below(attaching ? 40 : 7);
}

/* Turns until @step, or to the end. */
static void turns(struct sim *s, uint64_t stride)
{
	uint32_t i, n, k;

	for (i = 0; i < s->sc.turns; i++) {
		for (k = 0; k < s->sc.nr_hosts; k++)
			turn_of(&s->h[k]);
		for (n = steps_of(s); n; n--) {
			world_step(s);
			if (s->point && s->step >= s->point)
				return;
			if (stride && s->step % stride == 0)
				die_here(s);
		}
	}
}

bool seed_run(uint64_t seed, uint64_t point, uint64_t stride, struct sim_stats *st)
{
	struct sim *s = calloc(1, sizeof(*s));
	struct timespec a, b;
	bool reached;

	assert_non_null(s);
	clock_gettime(CLOCK_MONOTONIC, &a);
	s->seed = seed;
	s->st = st;
	s->oracle = !point && !stride;
	begin(s);
	s->point = point;
	turns(s, stride);
	reached = !point || s->step >= point;
	if (point) {
		s->oracle = true;
		all_die(s);
	}
	finish(s);
	over(s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	st->seeds++;
	st->deleted_seeds += s->deleted > 0;
	st->sim_us += s->now;
	st->real_us += (b.tv_sec - a.tv_sec) * 1000000ll + (b.tv_nsec - a.tv_nsec) / 1000;
	sim_now = NULL;
	free(s);
	return reached;
}
