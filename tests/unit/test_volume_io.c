// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A volume's data: what was written is what is read, before and after it is in the store, and after
 * a new start.
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

#define BLOCKS RUN_BLOCKS

/* One write, flushed; read before the flush, after it, and by a second daemon. */
static void test_smoke(void **state)
{
	struct vol w;
	struct model m;
	uint32_t op;

	(void)state;
	vol_init(&w, 1, 1, BLOCKS * 4096ull);
	model_init(&m, 1, BLOCKS);
	assert_int_equal(vol_attach(&w, false), 0);
	op = model_op(&m, 0, 100, 20, true);
	assert_int_equal(vol_write(&w, 0, 100, 20, op), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	assert_int_equal(vol_flush(&w), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	vol_kill(&w);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	assert_int_equal(vol_detach(&w), 0);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_int_equal(w.rec.segments_replayed, 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	vol_end(&w);
	model_free(&m);
}

/*
 * Every read shows all that was submitted before it; a new start shows no less than what was
 * flushed.
 */
static void random_run(uint64_t seed)
{
	struct run r;
	uint32_t i, at;

	run_begin(&r, seed, 1 + seed % 3);
	for (i = 0; i < 1200; i++) {
		run_op(&r);
		if (testrand_below(100) == 0)
			vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
		if (testrand_below(200) == 0) {
			vol_settle(&r.w);
			vol_kill(&r.w);
			assert_int_equal(vol_attach(&r.w, false), 0);
			at = vol_assert_prefix(&r.w, &r.m, r.w.durable, r.m.ops);
			/* what is beyond is gone: the history goes on from there */
			model_cut(&r.m, at);
			r.w.durable = at;
		}
		if (testrand_below(300) == 0) {
			at = r.m.ops;
			assert_int_equal(vol_detach(&r.w), 0);
			assert_int_equal(vol_attach(&r.w, false), 0);
			assert_int_equal(r.w.rec.segments_replayed, 0);
			vol_assert_prefix(&r.w, &r.m, at, at);
			r.w.durable = at;
		}
	}
	assert_int_equal(vol_flush(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	run_end(&r);
}

static void test_random(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed < 1 + run_seeds(8); seed++)
		random_run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smoke),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
