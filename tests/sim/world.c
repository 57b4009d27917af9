// SPDX-License-Identifier: GPL-2.0-or-later
/* Time, and what can happen next: one thing at a time, drawn from the seed. */
#include <errno.h>
#include <string.h>

#include "lib/jdisk.h"
#include "lib/testrand.h"
#include "sim/sim.h"
#include "volume/vol.h"

#define WAIT_STEPS 400000u
#define LONGEST_US 3000000u

enum kind {
	DO_WORK,
	DO_NET,
	DO_ANSWER,
	DO_FIBER,
	DO_GHOST,
	DO_RELEASE,
	DO_DISK,
	DO_KINDS,
};

struct choice {
	struct host *h;
	enum kind kind;
};

static bool awake(const struct host *h)
{
	return h->state != HOST_DOWN && !h->frozen;
}

static void tick_all(struct sim *s)
{
	uint32_t i;

	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *h = &s->h[i];

		h->w.now = s->now;
		if (h->outage_end && s->now >= h->outage_end) {
			h->outage_end = 0;
			h->w.net.refuse_puts = h->w.net.refuse_gets = 0;
			h->w.net.refuse_deletes = 0;
			sim_trace(s, "h%u: the store is back", i);
		}
		if (awake(h) && h->w.v && volume_deadline_us(h->w.v) <= s->now)
			volume_tick(h->w.v);
	}
}

static uint64_t next_deadline(struct sim *s)
{
	uint64_t next = ~0ull, at;
	uint32_t i;

	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *h = &s->h[i];

		if (!awake(h) || !h->w.v)
			continue;
		at = volume_deadline_us(h->w.v);
		if (at < next)
			next = at;
	}
	return next;
}

/* Time passes, at most until something is due. False: nothing ever will be. */
static bool pass(struct sim *s, bool all)
{
	uint64_t next = next_deadline(s), at;

	if (next == ~0ull && all)
		return false;
	at = next > s->now ? next : s->now;
	if (!all && at - s->now > 1000)
		at = s->now + testrand_below(at - s->now < LONGEST_US ? at - s->now : LONGEST_US);
	s->now = at;
	tick_all(s);
	return true;
}

static void run_work(struct host *h)
{
	struct inline_exec *e = &h->w.exec;
	unsigned int n = 0, at;
	struct list_head *p;

	for (p = e->queue.next; p != &e->queue; p = p->next)
		n++;
	/* several workers: what was asked for last may end first */
	for (at = testrand_below(n < 4 ? n : 4), p = e->queue.next; at; at--)
		p = p->next;
	list_del(p);
	list_add(p, &e->queue);
	inline_run(e);
}

static uint32_t choices(struct sim *s, struct choice *c, bool rare)
{
	uint32_t i, n = 0;

	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *h = &s->h[i];
		struct net *net = &h->w.net;

		if (awake(h) && !list_empty(&h->w.exec.queue))
			c[n++] = (struct choice){ h, DO_WORK };
		/* what a frozen host has sent travels on, its answers wait */
		if (awake(h) && net->queued)
			c[n++] = (struct choice){ h, DO_NET };
		if (awake(h) && net->nr_late &&
		    (rare || testrand_below(1 + s->sc.patience / 16) == 0))
			c[n++] = (struct choice){ h, DO_ANSWER };
		if (awake(h) && h->fiber.live && h->fiber.done && *h->fiber.done)
			c[n++] = (struct choice){ h, DO_FIBER };
		if (net->nr_ghosts && (rare || testrand_below(64) == 0))
			c[n++] = (struct choice){ h, DO_GHOST };
		if (awake(h) && net->nr_held &&
		    (rare || testrand_below(s->sc.patience * (net->hold[0] ? 8 : 1)) == 0))
			c[n++] = (struct choice){ h, DO_RELEASE };
		if (awake(h) && h->w.jdisk && h->w.jdisk->queued &&
		    (rare || !h->disk.slow || testrand_below(s->sc.patience) == 0))
			c[n++] = (struct choice){ h, DO_DISK };
	}
	return n;
}

static void carry_out(struct choice *c)
{
	switch (c->kind) {
	case DO_WORK:
		run_work(c->h);
		break;
	case DO_NET:
		net_run(&c->h->w.net);
		break;
	case DO_ANSWER:
		net_answer(&c->h->w.net);
		break;
	case DO_FIBER:
		host_resume(c->h);
		break;
	case DO_GHOST:
		c->h->s->st->ghosts++;
		net_ghost(&c->h->w.net);
		break;
	case DO_RELEASE:
		net_release(&c->h->w.net);
		break;
	case DO_DISK:
		jdisk_run(c->h->w.jdisk);
		break;
	case DO_KINDS:
		break;
	}
}

static void check_all(struct sim *s)
{
	uint32_t i;
	int bad;

	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *h = &s->h[i];

		bad = awake(h) && h->w.v ? volume_check(h->w.v) : 0;
		sim_must(!bad, "h%u: invariant %d of the engine", i, bad);
		load_committed(h);
		host_check(h);
		load_reads(h);
	}
}

bool world_step(struct sim *s)
{
	struct choice c[DO_KINDS * SIM_HOSTS];
	uint32_t n = choices(s, c, false);
	bool done = true;

	s->step++;
	s->st->steps++;
	sim_must(s->step < SIM_STEPS, "no end after %llu steps", (unsigned long long)s->step);
	if (n && testrand_below(40)) {
		carry_out(&c[testrand_below(n)]);
	} else if (n || testrand_below(2)) {
		done = pass(s, !n);
	} else {
		done = false;
	}
	if (!done) {
		n = choices(s, c, true);
		if (n)
			carry_out(&c[testrand_below(n)]);
		done = n || pass(s, true);
	}
	check_all(s);
	return done;
}

void world_wait(struct sim *s, const bool *done)
{
	uint32_t n = 0;

	while (!*done) {
		sim_must(world_step(s), "nothing will ever happen, and somebody waits");
		sim_must(++n < WAIT_STEPS, "a wait has no end");
	}
}

int world_fiber_wait(void *ctx, const bool *done)
{
	struct vol *w = ctx;
	struct host *h = container_of(w, struct host, w);

	return fiber_wait(&h->fiber, done);
}

bool world_quiet_step(struct vol *w)
{
	struct sim *s = container_of(w, struct host, w)->s;
	uint32_t i;

	if (!list_empty(&w->exec.queue))
		return inline_run(&w->exec);
	if (net_run_get(&w->net) || (w->jdisk && jdisk_run(w->jdisk)))
		return true;
	/* what is read in the background may have been held, or its answer late */
	if (net_release_gets(&w->net) || net_answer(&w->net))
		return true;
	/* a GET that failed before waits for its next try */
	s->now += 100000;
	for (i = 0; i < s->sc.nr_hosts; i++)
		s->h[i].w.now = s->now;
	volume_tick(w->v);
	return w->net.queued || !list_empty(&w->exec.queue) || volume_deadline_us(w->v) != ~0ull;
}
