// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two processes and one volume: the later one wins, the earlier one is superseded, and no flush
 * that either has answered is lost. Slots that are taken, by oneself or by somebody else.
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
#include "volume/checkpoint.h"
#include "volume/vol.h"

#define SIZE (RUN_BLOCKS * 4096ull)

/* A writer frozen in the middle of its uploads, thawed after another has taken over. */
static void test_zombie(void **state)
{
	struct vol a, b;
	struct model m;
	struct vol_io *x;
	uint32_t i, op, k;

	(void)state;
	vol_init(&a, 10, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&a, false), 0);
	op = model_op(&m, 0, 0, 5, true);
	assert_int_equal(vol_write(&a, 0, 0, 5, op), 0);
	assert_int_equal(vol_flush(&a), 0);
	snprintf(a.net.hold, sizeof(a.net.hold), "seg/");
	for (i = 0; i < 3; i++) {
		op = model_op(&m, 0, 10 + i, 1, true);
		assert_int_equal(vol_write(&a, 0, 10 + i, 1, op), 0);
		x = vol_io_new();
		vol_submit(x, &a, IO_FLUSH, 0, 0, 0, 0, op);
		vol_settle(&a);
	}
	assert_int_equal(a.pending, 3);

	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	k = vol_assert_prefix(&b, &m, 1, 1);
	assert_int_equal(k, 1);
	model_cut(&m, 1);
	op = model_op(&m, 0, 10, 2, true);
	assert_int_equal(vol_write(&b, 0, 10, 2, op), 0);
	assert_int_equal(vol_flush(&b), 0);

	a.net.hold[0] = 0;
	net_release(&a.net);
	while (!a.superseded)
		assert_true(vol_step(&a));
	vol_settle(&a);
	assert_int_equal(a.durable, 0);
	assert_int_equal(a.pending, 0);
	assert_int_equal(a.failed, 3);
	assert_int_not_equal(vol_flush(&a), 0);
	assert_int_equal(vol_write(&a, 0, 0, 1, 7), -EIO);
	assert_int_equal(volume_detach(a.v), -ESTALE);
	vol_assert_prefix(&b, &m, 2, 2);
	vol_assert_store(&b, &m, 2, 2);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/*
 * The same at random: A runs, B attaches while A's requests are under way, both go on; whatever A
 * has answered as flushed must be in what B found.
 */
static void takeover(uint64_t seed)
{
	struct model theirs;
	struct run r;
	struct vol b;
	uint32_t i, op, found, mine = 0, tries = 0;
	int err;

	run_begin(&r, seed, 1);
	r.w.net.lose_pm = testrand_below(3) * 60;
	for (i = 0; i < 30 + testrand_below(100); i++)
		run_op(&r);
	vol_share(&b, &r.w);
	b.net.lose_pm = testrand_below(3) * 60;
	b.beside = &r.w;
	/* B attaches in steps of B's own, between which A goes on */
	b.stop_after = 1 + testrand_below(60);
	while ((err = vol_attach(&b, false))) {
		if (err != -EINTR && err != -ETIMEDOUT)
			fail_msg("seed %u: error %d, %s", (unsigned int)seed, err, b.notice);
		for (i = testrand_below(20); i; i--)
			if (!r.w.superseded)
				run_op(&r);
		b.stop_after = ++tries > 5 ? 0 : 1 + testrand_below(200);
		if (tries > 5)
			b.net.lose_pm = 0;
	}
	b.stop_after = 0;
	b.beside = NULL;
	found = vol_assert_prefix(&b, &r.m, 0, r.m.ops);
	/* from here on B's history is what A's was up to there, and what B does */
	theirs = r.m;
	for (i = 0; i < 60; i++) {
		if (testrand_below(2) && !r.w.superseded)
			vol_step(&r.w);
		op = 1000000 + i;
		mine = testrand_below(500);
		assert_int_equal(vol_write(&b, 0, mine, 1, op), 0);
		if (testrand_below(10) == 0)
			assert_int_equal(vol_flush(&b), 0);
	}
	assert_int_equal(vol_flush(&b), 0);
	assert_false(b.superseded);
	/* A comes to life, has something to do, and finds out */
	while (!r.w.superseded) {
		if (!r.w.pending)
			vol_submit(vol_io_new(), &r.w, IO_WRITE, IO_F_FUA, 0, 0, 1,
				   model_op(&theirs, 0, 0, 1, true));
		assert_true(vol_step(&r.w));
	}
	r.m = theirs;
	assert_true(r.w.durable <= found);
	assert_false(b.superseded);
	assert_int_equal(vol_write(&b, 0, mine, 1, 2000000), 0);
	assert_int_equal(vol_flush(&b), 0);
	vol_kill(&b);
	b.net.lose_pm = 0;
	/* nothing of A's came after what B found, and nothing of B's is missing */
	assert_int_equal(vol_attach(&b, false), 0);
	{
		uint8_t block[4096];

		assert_int_equal(vol_read(&b, 0, mine, 1, block), 0);
		assert_int_equal(model_stamp(block, 0, mine), 2000000);
	}
	vol_end(&b);
	run_end(&r);
}

static void test_takeover(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 400; seed < 400 + run_seeds(30); seed++)
		takeover(seed);
}

/* Two that attach at the same time: at most one serves in the end, and it can. */
static void race(uint64_t seed)
{
	struct vol a, b;
	struct model m;
	int ea, eb;

	vol_init(&a, seed, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	vol_share(&b, &a);
	a.stop_after = 1 + testrand_below(12);
	ea = vol_attach(&a, false);
	b.beside = ea ? NULL : &a;
	eb = vol_attach(&b, false);
	b.beside = NULL;
	assert_int_equal(eb, 0);
	if (!ea) {
		assert_int_equal(vol_write(&b, 0, 0, 1, model_op(&m, 0, 0, 1, true)), 0);
		assert_int_equal(vol_flush(&b), 0);
		assert_int_equal(vol_write(&a, 0, 1, 1, 9), 0);
		assert_int_equal(vol_flush(&a), -EIO);
		assert_true(a.superseded);
	}
	vol_assert_store(&b, &m, m.ops, m.ops);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

static void test_race(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 500; seed < 500 + run_seeds(40); seed++)
		race(seed);
}

/* Every PUT's answer is lost once: each retry meets its own object, and that is success. */
static void test_own_object(void **state)
{
	struct vol w;
	struct model m;
	uint32_t i;

	(void)state;
	vol_init(&w, 11, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	w.opts.checkpoint_segments = 3;
	w.net.lose_pm = 500;
	while (vol_attach(&w, false))
		;
	for (i = 0; i < 12; i++) {
		assert_int_equal(vol_write(&w, 0, i, 1, model_op(&m, 0, i, 1, true)), 0);
		assert_int_equal(vol_flush(&w), 0);
	}
	assert_false(w.superseded);
	vol_assert_store(&w, &m, 12, 12);
	assert_int_equal(vol_detach(&w), 0);
	vol_end(&w);
	model_free(&m);
}

/* The place of the next segment is taken by something that is nobody's. */
static void test_foreign_object(void **state)
{
	struct volume_stats s;
	char name[FMT_NAME_MAX];
	struct vol w;

	(void)state;
	vol_init(&w, 12, 1, SIZE);
	assert_int_equal(vol_attach(&w, false), 0);
	volume_get_stats(w.v, &s);
	fmt_name_seg(name, s.next_seq);
	assert_int_equal(mem_set(w.mem, name, "rubbish", 7), 0);
	assert_int_equal(vol_write(&w, 0, 0, 1, 1), 0);
	assert_int_equal(vol_flush(&w), -EIO);
	assert_true(w.superseded);
	vol_end(&w);
}

/* A newer head appears while we run: found at the next checkpoint, nothing is deleted. */
static void test_foreign_head(void **state)
{
	struct volume_stats s;
	char name[FMT_NAME_MAX];
	struct vol a, b;
	struct model m;
	size_t len;
	uint32_t i;

	(void)state;
	vol_init(&a, 13, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&a, false), 0);
	assert_int_equal(vol_write(&a, 0, 0, 1, model_op(&m, 0, 0, 1, true)), 0);
	assert_int_equal(vol_flush(&a), 0);
	vol_share(&b, &a);
	/* B claims the volume and dies before its fence */
	volume_get_stats(a.v, &s);
	fmt_name_head(name, s.head_version + 1);
	for (i = 1; i < 40 && !mem_object(a.mem, name, &len); i++) {
		b.stop_after = i;
		assert_int_equal(vol_attach(&b, false), -EINTR);
	}
	assert_int_equal(vol_detach(&a), -ESTALE);
	assert_true(a.superseded);
	assert_int_equal(a.net.deletes, 0);
	b.stop_after = 0;
	assert_int_equal(vol_attach(&b, false), 0);
	vol_assert_prefix(&b, &m, 1, 1);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/*
 * A writer frozen for so long that the head after its own was made, followed by others, and removed
 * as too old: its next head can be created, and is not the newest.
 */
static void test_head_behind(void **state)
{
	char name[FMT_NAME_MAX];
	struct vol a, b;
	struct model m;

	(void)state;
	vol_init(&a, 14, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&a, false), 0);
	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_detach(&b), 0);
	assert_int_equal(vol_attach(&b, false), 0);
	fmt_name_head(name, 3);
	assert_int_equal(mem_drop(a.mem, name), 0);
	assert_int_equal(vol_detach(&a), -ESTALE);
	assert_true(a.superseded);
	assert_int_equal(a.net.deletes, 0);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/*
 * Who was superseded and does not know it reads what a later owner has deleted: he finds out, and
 * it is no damage.
 */
static void test_read_of_deleted(void **state)
{
	char name[FMT_NAME_MAX];
	struct volume_stats s;
	struct vol a, b;
	uint8_t buf[4096];

	(void)state;
	vol_init(&a, 16, 1, SIZE);
	assert_int_equal(vol_attach(&a, false), 0);
	fmt_name_seg(name, a.v->next_seq);
	assert_int_equal(vol_write(&a, 0, 0, 1, 1), 0);
	assert_int_equal(vol_flush(&a), 0);
	vol_settle(&a);
	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(mem_drop(a.mem, name), 0);
	assert_int_equal(vol_read(&a, 0, 0, 1, buf), -EIO);
	assert_true(a.superseded);
	volume_get_stats(a.v, &s);
	assert_int_equal(s.corrupt_frames, 0);
	/* to the owner it is damage */
	assert_int_equal(vol_read(&b, 0, 0, 1, buf), -EBADMSG);
	assert_false(b.superseded);
	vol_end(&b);
	vol_end(&a);
}

/* A newer head that a checkpoint of our own has just made is no rival's. */
static void test_missing_while_saving(void **state)
{
	char name[FMT_NAME_MAX];
	uint8_t buf[4096];
	struct vol w;

	(void)state;
	vol_init(&w, 17, 1, SIZE);
	assert_int_equal(vol_attach(&w, false), 0);
	fmt_name_seg(name, w.v->next_seq);
	assert_int_equal(vol_write(&w, 0, 0, 1, 1), 0);
	assert_int_equal(vol_flush(&w), 0);
	vol_settle(&w);
	assert_int_equal(mem_drop(w.mem, name), 0);
	/* the head gets there, and is not looked for yet */
	snprintf(w.net.hold, sizeof(w.net.hold), "head/");
	w.net.hold_op = STORE_LIST;
	assert_int_equal(checkpoint_start(w.v, false), 0);
	vol_settle(&w);
	assert_int_equal(w.net.nr_held, 1);
	w.net.hold[0] = 0;
	assert_int_equal(vol_read(&w, 0, 0, 1, buf), -EBADMSG);
	assert_false(w.superseded);
	assert_non_null(w.v->ckpt);
	net_release(&w.net);
	vol_settle(&w);
	assert_null(w.v->ckpt);
	assert_int_equal(w.v->ckpt_res, 0);
	vol_end(&w);
}

static int (*real_wait)(void *ctx, const bool *done);
static struct vol *late_owner, *late_successor;

/*
 * Once the fence is under way the attach stands still: the owner of before fills its slot, another
 * one takes over, overwrites what was in it, and deletes it. Then the fence arrives.
 */
static int wait_for_late_fence(void *ctx, const bool *done)
{
	struct vol *w = ctx, *a = late_owner, *b = late_successor;
	char name[FMT_NAME_MAX];
	size_t len;

	while (a && !w->net.nr_held)
		if (!vol_step(w))
			break;
	if (a && w->net.nr_held) {
		late_owner = NULL;
		fmt_name_seg(name, a->v->next_seq);
		assert_int_equal(vol_write(a, 0, 1, 1, 2), 0);
		assert_int_equal(vol_flush(a), 0);
		assert_int_equal(vol_attach(b, false), 0);
		assert_int_equal(vol_write(b, 0, 1, 1, 3), 0);
		assert_int_equal(vol_detach(b), 0);
		assert_null(mem_object(w->mem, name, &len));
		w->net.hold[0] = 0;
		net_release(&w->net);
	}
	return real_wait(ctx, done);
}

static void test_late_fence(void **state)
{
	struct vol a, b, c;

	(void)state;
	vol_init(&a, 19, 1, SIZE);
	assert_int_equal(vol_attach(&a, false), 0);
	assert_int_equal(vol_write(&a, 0, 0, 1, 1), 0);
	assert_int_equal(vol_flush(&a), 0);
	vol_share(&b, &a);
	vol_share(&c, &a);
	late_owner = &a;
	late_successor = &b;
	real_wait = c.env.wait;
	c.env.wait = wait_for_late_fence;
	snprintf(c.net.hold, sizeof(c.net.hold), "seg/");
	assert_int_equal(vol_attach(&c, false), -ESTALE);
	assert_null(late_owner);
	vol_end(&c);
	vol_end(&b);
	vol_end(&a);
}

static struct vol *racer;

/*
 * Once its head is there, the attach stands still while @racer attaches and detaches three times.
 */
static int wait_and_race(void *ctx, const bool *done)
{
	struct vol *w = ctx, *r = racer;
	uint32_t i;

	if (r && w->v->head.version) {
		racer = NULL;
		for (i = 0; i < 3; i++) {
			assert_int_equal(vol_attach(r, false), 0);
			assert_int_equal(vol_write(r, 0, i, 1, 1 + i), 0);
			assert_int_equal(vol_detach(r), 0);
		}
	}
	return real_wait(ctx, done);
}

/*
 * An attach frozen between its head and the manifest that this names, for so long that the manifest
 * was swept away: it was overtaken, and nothing is lost.
 */
static void test_attach_overtaken(void **state)
{
	struct vol a, b;

	(void)state;
	vol_init(&a, 15, 1, SIZE);
	vol_share(&b, &a);
	real_wait = b.env.wait;
	b.env.wait = wait_and_race;
	racer = &a;
	assert_int_equal(vol_attach(&b, false), -ESTALE);
	assert_null(racer);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_end(&b);
	vol_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_own_object),
		cmocka_unit_test(test_foreign_object),
		cmocka_unit_test(test_foreign_head),
		cmocka_unit_test(test_head_behind),
		cmocka_unit_test(test_read_of_deleted),
		cmocka_unit_test(test_missing_while_saving),
		cmocka_unit_test(test_late_fence),
		cmocka_unit_test(test_attach_overtaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
