// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checkpoints as deltas: what they hold, that all of them together are the image, how many there
 * may be, and deaths in the middle of them.
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

#include "format/fmt_name.h"
#include "lib/run.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/basemap.h"
#include "volume/checkpoint.h"
#include "volume/vol.h"

struct fixture {
	struct vol w;
	struct model m;
};

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	vol_init(&f->w, 60, 1, RUN_BLOCKS * 4096ull);
	f->w.opts.checkpoint_segments = 1000;
	model_init(&f->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&f->w, false), 0);
}

static void end(struct fixture *f)
{
	vol_end(&f->w);
	model_free(&f->m);
}

static void write_blocks(struct fixture *f, uint64_t lba, uint32_t n)
{
	assert_int_equal(vol_write(&f->w, 0, lba, n, model_op(&f->m, 0, lba, n, true)), 0);
}

static void discard(struct fixture *f, uint64_t lba, uint32_t n)
{
	struct vol_io x = { .heap = false };

	vol_submit(&x, &f->w, IO_DISCARD, 0, 0, lba, n, model_op(&f->m, 0, lba, n, false));
	assert_int_equal(vol_wait(&x), 0);
}

/* A checkpoint of all so far. */
static void save(struct fixture *f)
{
	assert_int_equal(vol_flush(&f->w), 0);
	vol_settle(&f->w);
	assert_int_equal(checkpoint_start(f->w.v, false), 0);
	vol_settle(&f->w);
	assert_null(f->w.v->ckpt);
	assert_int_equal(f->w.v->ckpt_res, 0);
	assert_int_equal(f->w.v->saved_wno, f->w.v->last_wno);
}

/* The newest manifest's last run of a kind, NULL: none. */
static const struct fmt_run_ref *last_run(const struct vol *w, enum fmt_run_kind kind)
{
	const struct vol_image *img = &w->v->image[0];
	uint32_t i;

	for (i = img->nr_runs; i-- > 0;)
		if (img->runs[i].kind == kind)
			return &img->runs[i];
	return NULL;
}

static uint32_t nr_runs(const struct vol *w, enum fmt_run_kind kind)
{
	const struct vol_image *img = &w->v->image[0];
	uint32_t i, n = 0;

	for (i = 0; i < img->nr_runs; i++)
		n += img->runs[i].kind == kind;
	return n;
}

/* Runs that the newest manifest or the one before names. */
static uint32_t needed_runs(const struct vol *w)
{
	const struct vol_image *a = &w->v->image[0], *b = &w->v->image[1];
	uint32_t i, j, n = a->nr_runs;

	for (i = 0; i < b->nr_runs; i++) {
		for (j = 0; j < a->nr_runs && a->runs[j].id != b->runs[i].id; j++)
			;
		n += j == a->nr_runs;
	}
	return n;
}

static void on_list(struct store_req *r)
{
	(void)r;
}

static uint32_t objects(struct vol *w, const char *prefix)
{
	static struct store_entry ents[512];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 512, .done = on_list };

	snprintf(r.name, sizeof(r.name), "%s", prefix);
	store_submit(w->mem, &r);
	while (mem_run(w->mem))
		;
	assert_true(r.res >= 0 && r.res < 512);
	return r.res;
}

static void attach_again(struct fixture *f)
{
	vol_kill(&f->w);
	assert_int_equal(vol_attach(&f->w, false), 0);
	vol_assert_prefix(&f->w, &f->m, f->m.ops, f->m.ops);
}

/* ---- what they hold -------------------------------------------------------------------------- */

/* A delta holds what was written since, and the segments whose live counts that has changed. */
static void test_only_what_changed(void **state)
{
	const struct fmt_run_ref *r;
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f);
	for (i = 0; i < RUN_BLOCKS; i += 16)
		write_blocks(&f, i, 8);
	for (i = 0; i < 8; i++) { /* segments of their own */
		assert_int_equal(vol_flush(&f.w), 0);
		write_blocks(&f, 16 * i + 8, 4);
	}
	save(&f);
	r = last_run(&f.w, FMT_RUN_EXTENTS);
	assert_true(r->count >= RUN_BLOCKS / 16);
	assert_int_equal(r->level, 0);

	write_blocks(&f, 2 * 16 + 8, 1); /* of the third of the eight */
	write_blocks(&f, 1024 - 2, 4); /* crosses a leaf; into a hole and a frame */
	save(&f);
	r = last_run(&f.w, FMT_RUN_EXTENTS);
	assert_int_equal(r->count, 3);
	assert_int_equal(r->first_lba, 2 * 16 + 8);
	assert_int_equal(r->last_lba, 1025);
	assert_int_equal(nr_runs(&f.w, FMT_RUN_EXTENTS), 2);
	/* theirs, that of the eight, and the one of before with the frame that was written into */
	assert_int_equal(last_run(&f.w, FMT_RUN_SEGMENTS)->count, 3);

	/* nothing new: no run */
	save(&f);
	assert_int_equal(nr_runs(&f.w, FMT_RUN_EXTENTS), 2);
	attach_again(&f);
	assert_int_equal(f.w.rec.segments_replayed, 0);
	end(&f);
}

/* What became zero since is in a delta as one tombstone, whatever it covers; then it is gone. */
static void test_tombstones(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	write_blocks(&f, 1000, 200);
	write_blocks(&f, 2000, 200);
	save(&f);
	discard(&f, 0, RUN_BLOCKS);
	save(&f);
	assert_int_equal(last_run(&f.w, FMT_RUN_EXTENTS)->count, 1);
	assert_int_equal(f.w.v->base.extents, 0);
	attach_again(&f);
	write_blocks(&f, 1010, 10);
	assert_int_equal(vol_flush(&f.w), 0);
	discard(&f, 1015, 2);
	discard(&f, 1100, 100); /* is zero already */
	save(&f);
	/* two frames, of which one lost its middle */
	assert_int_equal(last_run(&f.w, FMT_RUN_EXTENTS)->count, 4);
	attach_again(&f);
	assert_int_equal(f.w.v->base.extents, 3);
	/* replayed zeroes are tombstones too */
	discard(&f, 1012, 1);
	assert_int_equal(vol_flush(&f.w), 0);
	attach_again(&f);
	save(&f);
	assert_int_equal(last_run(&f.w, FMT_RUN_EXTENTS)->count, 1);
	attach_again(&f);
	end(&f);
}

/* Random operations, checkpoints of a few segments: every attach finds all of it. */
static void test_random(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 600; seed < 600 + run_seeds(6); seed++) {
		uint32_t i, most = 0;
		struct run r;

		run_begin(&r, seed, 1 + seed % 2);
		r.w.opts.checkpoint_segments = 1;
		for (i = 0; i < 600; i++) {
			run_op(&r);
			if (testrand_below(100))
				continue;
			assert_int_equal(vol_flush(&r.w), 0);
			if (nr_runs(&r.w, FMT_RUN_EXTENTS) > most)
				most = nr_runs(&r.w, FMT_RUN_EXTENTS);
			if (testrand_below(2))
				assert_int_equal(vol_detach(&r.w), 0);
			else
				vol_kill(&r.w);
			assert_int_equal(vol_attach(&r.w, false), 0);
			vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
			r.w.durable = r.m.ops;
		}
		assert_true(most > 3);
		run_end(&r);
	}
}

/* A checkpoint that comes to nothing: the next one holds what it would have held. */
static void test_given_up(void **state)
{
	struct basemap_leaf *leaves;
	struct fixture f;
	uint64_t n;

	(void)state;
	begin(&f);
	write_blocks(&f, 5, 5);
	write_blocks(&f, 1500, 5);
	save(&f);
	write_blocks(&f, 6, 2);
	discard(&f, 1501, 2);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_settle(&f.w);
	assert_int_equal(basemap_freeze(f.w.v, &leaves, &n), 0);
	assert_int_equal(n, 2);
	free(leaves);
	f.w.v->segs.gen++;
	write_blocks(&f, 7, 2);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_settle(&f.w);
	basemap_give_back(f.w.v);
	save(&f);
	assert_int_equal(last_run(&f.w, FMT_RUN_EXTENTS)->count, 3);
	attach_again(&f);
	end(&f);
}

/* ---- how many -------------------------------------------------------------------------------- */

/*
 * After CHECKPOINT_RUNS deltas everything is written anew. What no manifest needs is swept away,
 * what one does is not.
 */
static void test_limit(void **state)
{
	uint32_t i, rewritten = 0;
	struct fixture f;

	(void)state;
	begin(&f);
	for (i = 0; i < 2 * CHECKPOINT_RUNS + 10; i++) {
		write_blocks(&f, testrand_below(RUN_BLOCKS - 8), 8);
		save(&f);
		assert_true(nr_runs(&f.w, FMT_RUN_EXTENTS) <= CHECKPOINT_RUNS + 1);
		assert_true(nr_runs(&f.w, FMT_RUN_SEGMENTS) <= CHECKPOINT_RUNS + 1);
		if (last_run(&f.w, FMT_RUN_EXTENTS)->level) {
			rewritten++;
			assert_int_equal(nr_runs(&f.w, FMT_RUN_EXTENTS), 1);
		}
		assert_true(objects(&f.w, "manifest/") <= 2);
		assert_true(objects(&f.w, "run/") >= needed_runs(&f.w));
		if (i % 20 == 0)
			attach_again(&f); /* knows of no manifest before its own */
		else if (i % 20 > 2)
			assert_int_equal(objects(&f.w, "run/"), needed_runs(&f.w));
	}
	assert_int_equal(rewritten, 2);
	/* short sessions alone: each end adds a delta, and yet there is an end to it */
	for (i = 0; i < 2 * CHECKPOINT_RUNS + 10; i++) {
		write_blocks(&f, 3 * i, 2);
		assert_int_equal(vol_detach(&f.w), 0);
		assert_int_equal(vol_attach(&f.w, false), 0);
		assert_true(nr_runs(&f.w, FMT_RUN_EXTENTS) <= 2 * CHECKPOINT_RUNS + 1);
	}
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* A big map and many flushes of little: what checkpoints write is little too. */
static void test_little(void **state)
{
	struct volume_stats s;
	struct fixture f;
	uint64_t bytes = 0;
	uint32_t i;

	(void)state;
	begin(&f);
	for (i = 0; i < RUN_BLOCKS; i += 2)
		write_blocks(&f, i, 1);
	assert_int_equal(vol_detach(&f.w), 0);
	f.w.opts.checkpoint_segments = 4;
	assert_int_equal(vol_attach(&f.w, false), 0);
	for (i = 0; i < 32; i++) {
		write_blocks(&f, i, 1);
		assert_int_equal(vol_flush(&f.w), 0);
		vol_settle(&f.w);
	}
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.manifests, 8);
	for (i = 0; i < f.w.v->image[0].nr_runs; i++)
		if (f.w.v->image[0].runs[i].version > 3)
			bytes += f.w.v->image[0].runs[i].len;
	assert_true(bytes < 32 * 1024);
	attach_again(&f);
	end(&f);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void on_mutation(void *ctx)
{
	++*(uint32_t *)ctx;
}

/*
 * The daemon dies at the @at-th change of the store from the beginning of a checkpoint on. False:
 * it was over before.
 */
static bool die_at(uint32_t at, bool full)
{
	uint32_t mutations = 0, i;
	struct fixture f;
	bool died;

	begin(&f);
	for (i = 0; i < (full ? CHECKPOINT_RUNS : 3); i++) {
		write_blocks(&f, 13 * i, 20);
		discard(&f, 13 * i + 3, 2);
		save(&f);
	}
	write_blocks(&f, 700, 50);
	discard(&f, 10, 5);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_settle(&f.w);
	f.w.net.mutated = on_mutation;
	f.w.net.ctx = &mutations;
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	assert_int_equal(f.w.v->image[0].nr_runs, full ? 2 * CHECKPOINT_RUNS : 6);
	while (mutations < at && vol_step(&f.w))
		;
	died = mutations == at;
	f.w.net.mutated = NULL;
	f.w.net.die_drops = testrand_below(2);
	attach_again(&f);
	/* and it goes on from there; what was left half done is gone after two more */
	for (i = 0; i < 3; i++) {
		write_blocks(&f, 800 + 10 * i, 5);
		save(&f);
	}
	assert_int_equal(objects(&f.w, "manifest/"), 2);
	assert_int_equal(objects(&f.w, "run/"), needed_runs(&f.w));
	attach_again(&f);
	end(&f);
	return died;
}

static void test_deaths(void **state)
{
	uint32_t at;

	(void)state;
	for (at = 0; die_at(at, false); at++)
		;
	assert_true(at > 4); /* two runs, manifest, head, and what is swept */
	for (at = 0; die_at(at, true); at++)
		;
	assert_true(at > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_changed),
		cmocka_unit_test(test_tombstones),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
