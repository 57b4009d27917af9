// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Deaths: at every change of the store what another host would find is a prefix of the history, no
 * older than the last answered FLUSH; and a daemon that gets the arena of its dead predecessor has
 * everything that was answered.
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

static void on_mutation(void *ctx)
{
	*(bool *)ctx = true;
}

/* The cut oracle: after each PUT and DELETE, with lost requests and lost answers. */
static void cut_run(uint64_t seed, unsigned int faults_pm)
{
	bool mutated = false;
	struct run r;
	uint32_t i, cuts = 0;

	run_begin(&r, seed, 1 + seed % 2);
	r.w.net.mutated = on_mutation;
	r.w.net.ctx = &mutated;
	r.w.net.refuse_pm = faults_pm;
	r.w.net.lose_pm = faults_pm;
	for (i = 0; i < 250; i++) {
		run_op(&r);
		if (!mutated)
			continue;
		mutated = false;
		cuts++;
		vol_assert_store(&r.w, &r.m, r.w.durable, r.m.ops);
	}
	assert_true(cuts > 10);
	assert_int_equal(vol_flush(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	assert_int_equal(vol_detach(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	assert_int_equal(r.w.failed, 0);
	run_end(&r);
}

static void test_cut_at_every_mutation(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 100; seed < 100 + run_seeds(4); seed++)
		cut_run(seed, 0);
}

static void test_cut_with_faults(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 200; seed < 200 + run_seeds(4); seed++)
		cut_run(seed, 100);
}

/* Daemon after daemon dies, each with the arena of the one before; some die while they attach. */
static void adopt_run(uint64_t seed)
{
	struct run r;
	uint32_t i, at, died_attaching = 0, adopted = 0;

	run_begin(&r, seed, 1 + seed % 2);
	r.w.net.refuse_pm = testrand_below(2) * 50;
	r.w.net.lose_pm = testrand_below(2) * 50;
	for (i = 0; i < 900; i++) {
		run_op(&r);
		if (testrand_below(40))
			continue;
		vol_kill(&r.w);
		while (testrand_below(3) == 0) {
			r.w.stop_after = 1 + testrand_below(30);
			if (vol_attach(&r.w, true)) {
				died_attaching++;
			} else {
				if (!r.w.rec.adopted)
					fail_msg("seed %u: %s", (unsigned int)seed, r.w.notice);
				vol_kill(&r.w);
			}
			r.w.stop_after = 0;
		}
		assert_int_equal(vol_attach(&r.w, true), 0); /* whatever the network does */
		if (!r.w.rec.adopted)
			fail_msg("seed %u: %s", (unsigned int)seed, r.w.notice);
		assert_true(r.w.rec.recovered_wno >= r.w.rec.durable_wno);
		adopted += r.w.rec.adopted_entries;
		at = vol_assert_prefix(&r.w, &r.m, r.w.acked, r.m.ops);
		assert_true(at >= r.w.durable);
		model_cut(&r.m, at);
		if (testrand_below(3) == 0)
			vol_assert_store(&r.w, &r.m, r.w.durable, r.m.ops);
	}
	assert_true(adopted > 0);
	r.w.net.refuse_pm = 0;
	r.w.net.lose_pm = 0;
	assert_int_equal(vol_flush(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	run_end(&r);
}

static void test_adoption(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 300; seed < 300 + run_seeds(8); seed++)
		adopt_run(seed);
}

/*
 * Adopted records are in the store in part when a checkpoint is due; then comes a write of our own,
 * and death. Its number must not be one that the next daemon gives out again.
 */
static void test_checkpoint_between_adopted(void **state)
{
	struct vol w;
	struct model m;
	uint32_t i;

	(void)state;
	vol_init(&w, 31, 1, RUN_BLOCKS * 4096ull);
	model_init(&m, 1, RUN_BLOCKS);
	w.opts.segment_bytes = 64u << 10;
	w.opts.checkpoint_segments = 1;
	w.net.die_drops = true;
	assert_int_equal(vol_attach(&w, false), 0);
	w.net.refuse_puts = -EIO;
	for (i = 0; i < 4; i++) /* a batch each */
		assert_int_equal(vol_write(&w, 0, 16 * i, 16, model_op(&m, 0, 16 * i, 16, true)),
				 0);
	vol_kill(&w);
	w.net.refuse_puts = 0;
	assert_int_equal(vol_attach(&w, true), 0);
	assert_int_equal(w.rec.adopted_entries, 4);
	snprintf(w.net.hold, sizeof(w.net.hold), "seg/");
	w.net.hold_skip = 1;
	vol_settle(&w);
	assert_int_equal(vol_write(&w, 0, 500, 1, model_op(&m, 0, 500, 1, true)), 0);
	vol_settle(&w);
	vol_kill(&w);
	w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&w, true), 0);
	assert_true(w.rec.adopted);
	assert_int_equal(w.rec.adopted_entries, 4);
	vol_assert_prefix(&w, &m, 5, 5);
	assert_int_equal(vol_flush(&w), 0);
	vol_assert_store(&w, &m, 5, 5);
	vol_end(&w);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_mutation),
		cmocka_unit_test(test_cut_with_faults),
		cmocka_unit_test(test_adoption),
		cmocka_unit_test(test_checkpoint_between_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
