// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading ahead in random worlds: readers in sequence that go on from within done(), small caches,
 * little memory, a network with all faults, writers, discards, checkpoints and deletes, a journal.
 * What is read is never older than what was acknowledged, all invariants hold after each step, and
 * every READ ends.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/run.h"
#include "lib/testrand.h"
#include "lib/vol.h"
#include "volume/vol.h"

#define DEVS	2u
#define BLOCKS	4096u
#define READERS 8u
#define STEP	32u

struct reader {
	struct vol_io x;
	uint32_t dev;
	uint64_t at;
	uint32_t n, before[STEP], ops;
	bool busy, answered;
};

struct world {
	struct vol w;
	struct model m;
	struct reader r[READERS];
	bool stop;
};

static bool later(const struct model *m, const struct reader *r, uint32_t i, uint32_t stamp)
{
	const struct model_block *b = &m->b[(size_t)r->dev * m->blocks + r->x.io.lba + i];
	uint32_t k;

	for (k = 0; k < b->nr; k++)
		if (b->ev[k].op > r->ops && (b->ev[k].data ? b->ev[k].op : 0) == stamp)
			return true;
	return false;
}

static void look(struct world *t, struct reader *r)
{
	uint8_t *data = (uint8_t *)t->w.arena + t->w.data_off;
	uint32_t i, k, b = 0;

	for (i = 0; i < r->x.io.nsegs; i++) {
		for (k = 0; k < r->x.segs[i].len; k += 4096, b++) {
			uint32_t s =
				model_stamp(data + r->x.segs[i].off + k, r->dev, r->x.io.lba + b);

			if (s != r->before[b] && !later(&t->m, r, b, s))
				fail_msg("dev %u block %llu: %u, not %u", r->dev,
					 (unsigned long long)r->x.io.lba + b, s, r->before[b]);
		}
	}
	assert_int_equal(b, r->n);
}

static void next(struct world *t, struct reader *r)
{
	uint32_t i;

	if (r->at >= BLOCKS || testrand_below(150) == 0) {
		r->dev = testrand_below(DEVS);
		r->at = testrand_below(BLOCKS);
	}
	r->n = testrand_below(4) ? STEP : 1 + testrand_below(STEP);
	if (r->n > BLOCKS - r->at)
		r->n = BLOCKS - r->at;
	for (i = 0; i < r->n; i++)
		r->before[i] = model_now(&t->m, r->dev, r->at + i);
	r->ops = t->m.ops;
	r->busy = true;
	r->answered = false;
	r->at += r->n;
	vol_submit(&r->x, &t->w, IO_READ, 0, r->dev, r->at - r->n, r->n, 0);
}

static void give_back(struct world *t, struct reader *r)
{
	r->busy = false;
	if (!r->x.io.res)
		volume_release(t->w.v, &r->x.io);
}

static void answered(struct vol_io *x)
{
	struct world *t = container_of(x->w, struct world, w);
	struct reader *r = (struct reader *)x;

	if (x->io.op != IO_READ)
		return;
	if (t->stop && x->io.res == -EIO) {
		r->busy = false;
		return;
	}
	assert_int_equal(x->io.res, 0);
	look(t, r);
	r->answered = true;
	if (t->stop || testrand_below(2))
		return;
	give_back(t, r);
	if (testrand_below(2)) {
		bool check = t->w.check;

		t->w.check = false; /* in the midst of something */
		next(t, r);
		t->w.check = check;
	}
}

static bool step(struct vol *w)
{
	if (testrand_below(40) == 0) {
		net_release(&w->net);
		while (net_answer(&w->net))
			;
	}
	if (vol_step(w))
		return true;
	if (!w->net.nr_held && !w->net.nr_late)
		return false;
	net_release(&w->net);
	net_answer(&w->net);
	return true;
}

/* Leaves the cache only so many slabs. */
static void squeeze(struct vol *w, uint32_t slabs)
{
	struct cache *c = &w->v->cache;
	uint32_t i;

	for (i = 0; i + slabs < c->nr_slabs; i++)
		assert_non_null(cache_new(c, 0x7fffffff, i, CACHE_SLAB_PAGES));
}

static void faults(struct world *t, bool on)
{
	struct net *n = &t->w.net;

	n->refuse_pm = on && testrand_below(2) ? testrand_below(200) : 0;
	n->lose_pm = on && testrand_below(2) ? testrand_below(100) : 0;
	n->late_pm = on && testrand_below(2) ? testrand_below(200) : 0;
	n->hold_pm = on && testrand_below(2) ? testrand_below(200) : 0;
}

static void attach(struct world *t)
{
	struct vol *w = &t->w;

	assert_int_equal(vol_attach(w, testrand_below(2)), 0);
	squeeze(w, 20 + testrand_below(100));
	w->v->fetch_cap = testrand_below(2) ? 4u << 20 : 64u << testrand_below(16);
	if (testrand_below(2))
		w->v->streams.budget = 64 + testrand_below(8192);
}

static void op(struct world *t)
{
	struct vol *w = &t->w;
	uint32_t dev = testrand_below(DEVS), n = 1 + testrand_below(STEP);
	uint64_t lba = testrand_below(BLOCKS - n);
	struct reader *r = &t->r[testrand_below(READERS)];
	struct vol_io *x;

	switch (testrand_below(60)) {
	case 0:
		assert_int_equal(vol_write(w, dev, lba, n, model_op(&t->m, dev, lba, n, true)), 0);
		break;
	case 1:
		x = vol_io_new();
		vol_submit(x, w, IO_DISCARD, 0, dev, lba, n, model_op(&t->m, dev, lba, n, false));
		break;
	case 2:
		x = vol_io_new();
		vol_submit(x, w, IO_FLUSH, 0, 0, 0, 0, 0);
		break;
	case 3:
		if (testrand_below(8) == 0)
			faults(t, testrand_below(3));
		break;
	case 4:
		if (testrand_below(8) == 0)
			w->net.refuse_gets = testrand_below(3) ? 0 : -ETIMEDOUT;
		break;
	case 5:
		if (testrand_below(8) == 0)
			w->net.refuse_puts = testrand_below(3) ? 0 : -ETIMEDOUT;
		break;
	default:
		if (r->busy && r->answered)
			give_back(t, r);
		else if (!r->busy)
			next(t, r);
		if (testrand_below(3))
			step(w);
	}
}

static bool any_busy(const struct world *t)
{
	uint32_t i;

	for (i = 0; i < READERS; i++)
		if (t->r[i].busy && !t->r[i].answered)
			return true;
	return false;
}

static void quiet(struct world *t)
{
	uint32_t i, steps = 0;

	faults(t, false);
	t->w.net.refuse_gets = 0;
	t->w.net.refuse_puts = 0;
	t->stop = true;
	for (;;) {
		for (i = 0; i < READERS; i++)
			if (t->r[i].busy && t->r[i].answered)
				give_back(t, &t->r[i]);
		if (!any_busy(t))
			break;
		assert_true(step(&t->w));
		assert_true(++steps < 200000);
	}
	net_release(&t->w.net);
	while (net_answer(&t->w.net))
		;
}

/* With READs under way. */
static void die(struct world *t)
{
	uint32_t i;

	/* a PUT whose answer was lost needs a GET: the FLUSH would wait for ever */
	faults(t, false);
	t->w.net.refuse_puts = 0;
	t->w.net.refuse_gets = 0;
	net_release(&t->w.net);
	while (net_answer(&t->w.net))
		;
	assert_int_equal(vol_flush(&t->w), 0);
	for (i = 0; i < READERS; i++) {
		if (t->r[i].busy && t->r[i].answered)
			give_back(t, &t->r[i]);
		if (!t->r[i].busy)
			next(t, &t->r[i]);
	}
	t->stop = true;
	vol_kill(&t->w);
	for (i = 0; i < READERS; i++)
		t->r[i].busy = false;
}

static void one(uint64_t seed)
{
	struct world *t = calloc(1, sizeof(*t));
	uint32_t i, dev, at, k;

	assert_non_null(t);
	vol_init(&t->w, seed, DEVS, BLOCKS * 4096ull);
	model_init(&t->m, DEVS, BLOCKS);
	if (testrand_below(2))
		vol_journal(&t->w, 64u << 20);
	t->w.opts.memory = 160u << 20;
	t->w.opts.segment_bytes = 256u << 10 << testrand_below(4);
	t->w.opts.zstd_level = testrand_below(2);
	t->w.opts.frame_bytes = 4096u << testrand_below(6);
	t->w.opts.checkpoint_segments = 2 + testrand_below(40);
	assert_int_equal(vol_attach(&t->w, false), 0);
	t->w.check = false;
	for (dev = 0; dev < DEVS; dev++)
		for (at = 0; at < BLOCKS; at += STEP)
			if (testrand_below(10))
				assert_int_equal(vol_write(&t->w, dev, at, STEP,
							   model_op(&t->m, dev, at, STEP, true)),
						 0);
	assert_int_equal(vol_detach(&t->w), 0);
	t->w.step = step;
	t->w.answered = answered;
	for (k = 0; k < 3; k++) {
		t->stop = false;
		attach(t);
		t->w.check = true;
		faults(t, true);
		for (i = 0; i < 1500; i++)
			op(t);
		if (testrand_below(3) == 0) {
			die(t);
			continue;
		}
		quiet(t);
		if (testrand_below(2)) {
			assert_int_equal(vol_detach(&t->w), 0);
		} else {
			assert_int_equal(vol_flush(&t->w), 0);
			vol_kill(&t->w);
		}
	}
	vol_end(&t->w);
	model_free(&t->m);
	free(t);
}

static void test_any(void **state)
{
	uint64_t seed, n = run_seeds(3);

	(void)state;
	for (seed = 1; seed <= n; seed++)
		one(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_any) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
