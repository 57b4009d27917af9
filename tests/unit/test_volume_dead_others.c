// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dead segments and others: earlier and later owners, slow attaches, reads that are under way, late
 * DELETEs, a store that refuses.
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
#include "format/fmt_seg.h"
#include "lib/run.h"
#include "lib/segs.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/checkpoint.h"
#include "volume/contact.h"
#include "volume/vol.h"

/* DELETEs in seg/ that have been sent. */
static void count_deletes(void *ctx, const struct store_req *r, const char *what)
{
	if (r->op == STORE_DELETE && !strncmp(r->name, "seg/", 4) && !strcmp(what, "sent"))
		++*(uint32_t *)ctx;
}

/* ---- other owners ---------------------------------------------------------------------------- */

/* Whoever finds, when he looks after his head, that there is a newer one, deletes nothing. */
static void test_superseded(void **state)
{
	char name[FMT_NAME_MAX];
	struct segs f;
	struct vol b;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 0, 8);
	vol_share(&b, &f.w);
	/* heads 3 and 4; 3 is removed as too old */
	assert_int_equal(vol_attach(&b, false), 0);
	b.net.die_drops = true;
	vol_kill(&b);
	assert_int_equal(vol_attach(&b, false), 0);
	fmt_name_head(name, 3);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	f.w.net.deletes = 0;
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	vol_settle(&f.w);
	assert_true(f.w.superseded);
	assert_int_equal(f.w.net.deletes, 0);
	assert_true(segs_there(&f.w, a));
	vol_assert_prefix(&b, &f.m, f.m.ops, f.m.ops);
	vol_end(&b);
	segs_end(&f);
}

/* Superseded with deletions to be done: they are the successor's. */
static void test_superseded_later(void **state)
{
	struct segs f;
	struct vol b;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 0, 8);
	f.w.net.refuse_deletes = -EIO;
	segs_save(&f.w);
	f.w.net.refuse_deletes = 0;
	vol_share(&b, &f.w);
	b.net.refuse_deletes = -EIO;
	assert_int_equal(vol_attach(&b, false), 0);
	volume_superseded(f.w.v, "the test says so");
	f.w.net.deletes = 0;
	vol_advance(&f.w, 1000000000);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.deletes, 0);
	assert_true(segs_there(&f.w, a));
	b.net.refuse_deletes = 0;
	vol_advance(&b, 1000000000);
	vol_settle(&b);
	assert_false(segs_there(&f.w, a));
	vol_end(&b);
	segs_end(&f);
}

/* Who was superseded and does not know it reads what is gone: he finds out, and it is no damage. */
static void test_read_by_the_superseded(void **state)
{
	uint8_t buf[8 * 4096];
	struct segs f;
	struct vol b;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_share(&b, &f.w);
	assert_int_equal(vol_attach(&b, false), 0);
	segs_write(&f, &b, 0, 8);
	segs_save(&b);
	assert_false(segs_there(&b, a));
	assert_int_equal(vol_read(&f.w, 0, 0, 8, buf), -EIO);
	assert_true(f.w.superseded);
	assert_int_equal(segs_stats(&f.w).corrupt_frames, 0);
	vol_end(&b);
	segs_end(&f);
}

static void on_put(struct store_req *r)
{
	(void)r;
}

/* And a late fence of somebody who had an older head has come into the place of what is gone. */
static void test_fence_in_its_place(void **state)
{
	uint8_t buf[8 * 4096];
	struct iovec iov = { buf, 256 };
	struct store_req put = { .op = STORE_PUT, .iov = &iov, .niov = 1, .done = on_put };
	struct segs f;
	struct vol b;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_share(&b, &f.w);
	assert_int_equal(vol_attach(&b, false), 0);
	segs_write(&f, &b, 0, 8);
	segs_save(&b);
	memset(buf, 0x5a, sizeof(buf));
	fmt_name_seg(put.name, a);
	store_submit(b.mem, &put);
	while (mem_run(b.mem))
		;
	assert_int_equal(put.res, 0);
	assert_int_equal(vol_read(&f.w, 0, 0, 8, buf), -EIO);
	assert_true(f.w.superseded);
	assert_int_equal(segs_stats(&f.w).corrupt_frames, 0);
	vol_end(&b);
	segs_end(&f);
}

/* The same of a leaf that he has not loaded: the runs of his image were swept away. */
static void test_leaf_of_the_superseded(void **state)
{
	uint8_t buf[8 * 4096];
	struct segs f;
	struct vol b;
	uint32_t i;

	(void)state;
	segs_begin(&f);
	segs_write(&f, &f.w, 0, 8);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_share(&b, &f.w);
	assert_int_equal(vol_attach(&b, false), 0);
	for (i = 0; i < CHECKPOINT_RUNS + 3; i++) {
		segs_write(&f, &b, 0, 8);
		segs_save(&b);
	}
	assert_int_equal(vol_read(&f.w, 0, 0, 8, buf), -EIO);
	assert_true(f.w.superseded);
	assert_null(strstr(f.w.notice, "cannot be read"));
	vol_end(&b);
	segs_end(&f);
}

static int (*real_wait)(void *ctx, const bool *done);
static struct segs *racing;
static struct vol *racer;

/* Once the head is there, the attach stands still, and another one deletes what it would replay. */
static int wait_and_race(void *ctx, const bool *done)
{
	struct vol *w = ctx, *r = racer;

	if (r && w->v->head.version) {
		racer = NULL;
		assert_int_equal(vol_attach(r, false), 0);
		assert_int_equal(r->rec.segments_replayed, 2);
		vol_settle(r);
		segs_write(racing, r, 0, 16);
		assert_int_equal(vol_detach(r), 0);
	}
	return real_wait(ctx, done);
}

/* A slow attach finds objects of the log gone: it was overtaken, and nothing was lost. */
static void test_slow_attach(void **state)
{
	struct segs f;
	struct vol b;
	uint64_t a, c;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	c = segs_write(&f, &f.w, 8, 8);
	vol_kill(&f.w);
	vol_share(&b, &f.w);
	real_wait = b.env.wait;
	b.env.wait = wait_and_race;
	racing = &f;
	racer = &f.w;
	assert_int_equal(vol_attach(&b, false), -ESTALE);
	assert_null(racer);
	assert_false(segs_there(&b, a) || segs_there(&b, c));
	assert_null(strstr(b.notice, "lost"));
	assert_int_equal(vol_attach(&b, false), 0);
	vol_assert_prefix(&b, &f.m, f.m.ops, f.m.ops);
	vol_end(&b);
	segs_end(&f);
}

/*
 * A host whose kernel has the device open comes back, and of what another one wrote meanwhile no
 * object and hardly a record is left: that it wrote is known all the same.
 */
static void test_foreign(void **state)
{
	struct segs f;
	struct vol b;
	uint32_t i;

	(void)state;
	segs_begin(&f);
	segs_write(&f, &f.w, 0, 8);
	vol_kill(&f.w); /* its kernel waits, with the arena */
	vol_share(&b, &f.w);
	assert_int_equal(vol_attach(&b, false), 0);
	for (i = 0; i < 5; i++)
		segs_write(&f, &b, 8 * i, 8);
	segs_discard(&f, &b, 0, RUN_BLOCKS);
	segs_save(&b);
	assert_int_equal(segs_objects(&b, FMT_SEG_DATA), 0);
	b.v->segs.nr_gone += 1000;
	segs_save(&b);
	assert_int_equal(vol_detach(&b), 0);
	assert_int_equal(vol_attach(&f.w, true), 0);
	assert_int_equal(f.w.v->segs.nr, 1);
	assert_true(f.w.rec.foreign);
	assert_false(f.w.rec.adopted);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	vol_end(&b);
	segs_end(&f);
}

/*
 * Cut off, with a PUT that was carried out and never answered. Its object is replayed by the next
 * owner, dies and is deleted, so the PUT can be repeated: that the slot is free proves nothing.
 */
static void test_no_contact(void **state)
{
	struct vol_io x = { .heap = false };
	struct segs f;
	struct vol b;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	f.w.v->o.stop_after_ms = 10000;
	a = f.w.v->next_seq;
	assert_int_equal(vol_write(&f.w, 0, 0, 8, model_op(&f.m, 0, 0, 8, true)), 0);
	f.w.net.lose_pm = 1000;
	vol_submit(&x, &f.w, IO_FLUSH, 0, 0, 0, 0, 0);
	vol_settle(&f.w);
	f.w.net.lose_pm = 0;
	f.w.net.refuse_puts = f.w.net.refuse_gets = -ETIMEDOUT;
	assert_true(segs_there(&f.w, a));
	vol_share(&b, &f.w);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(b.rec.segments_replayed, 1);
	vol_settle(&b);
	segs_write(&f, &b, 0, 8);
	segs_save(&b);
	assert_false(segs_there(&b, a));
	vol_advance(&f.w, 100000000);
	vol_settle(&f.w);
	assert_false(contact_ok(f.w.v));
	f.w.net.refuse_puts = f.w.net.refuse_gets = 0;
	/* what it waits for is in the log: that is true */
	assert_int_equal(vol_wait(&x), 0);
	assert_true(segs_there(&f.w, a));
	assert_false(contact_ok(f.w.v));
	assert_int_equal(vol_write(&f.w, 0, 0, 1, 1), 0);
	assert_int_equal(vol_flush(&f.w), -EIO);
	assert_true(f.w.superseded);
	vol_assert_prefix(&b, &f.m, f.m.ops, f.m.ops);
	vol_end(&b);
	segs_end(&f);
}

/* ---- what goes on beside it ------------------------------------------------------------------ */

/* A READ whose GET is under way gets what it came for; then the object goes. */
static void test_read_under_way(void **state)
{
	struct vol_io x = { .heap = false };
	struct segs f;
	uint64_t a;
	uint32_t op;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	op = f.m.ops;
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "seg/");
	f.w.net.hold_op = STORE_GET;
	vol_submit(&x, &f.w, IO_READ, 0, 0, 0, 8, 0);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.nr_held, 1);
	segs_write(&f, &f.w, 0, 8);
	segs_save(&f.w);
	vol_advance(&f.w, 100000000);
	vol_settle(&f.w);
	assert_false(x.done);
	assert_true(segs_entry(&f.w, a)->rec.flags & FMT_SEGREC_DELETED);
	assert_true(segs_there(&f.w, a));
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	assert_int_equal(vol_wait(&x), 0);
	assert_int_equal(model_stamp((uint8_t *)f.w.arena + f.w.data_off + x.segs[0].off, 0, 0),
			 op);
	vol_settle(&f.w);
	assert_false(segs_there(&f.w, a));
	/* the address that it was answered with is good as long as it is pinned */
	assert_int_equal(model_stamp((uint8_t *)f.w.arena + f.w.data_off + x.segs[0].off, 0, 0),
			 op);
	volume_release(f.w.v, &x.io);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* DELETEs that arrive twice, and much later, after other owners: nothing that is needed goes. */
static void test_late_deletes(void **state)
{
	struct segs f;
	uint32_t i, k, deletes = 0;

	(void)state;
	segs_begin(&f);
	f.w.net.fate = count_deletes;
	f.w.net.ctx = &deletes;
	for (i = 0; i < 12; i++) {
		f.w.net.twice_pm = 500;
		f.w.net.ghost_pm = 300;
		for (k = 0; k < 6; k++)
			segs_write(&f, &f.w, 8 * testrand_below(6), 8);
		assert_int_equal(checkpoint_start(f.w.v, false), 0);
		while (f.w.v->ckpt)
			assert_true(vol_step(&f.w));
		for (k = testrand_below(4); k; k--)
			net_ghost(&f.w.net);
		f.w.net.twice_pm = 0;
		f.w.net.ghost_pm = 0;
		vol_kill(&f.w);
		assert_int_equal(vol_attach(&f.w, false), 0);
		vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	}
	while (net_ghost(&f.w.net))
		;
	assert_true(deletes > 40);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_FENCE), 13);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A store that deletes nothing holds nothing up, and is not stormed. */
static void test_store_refuses(void **state)
{
	uint32_t i, tries = 0;
	struct segs f;
	uint64_t t0;

	(void)state;
	segs_begin(&f);
	f.w.net.refuse_deletes = -EACCES;
	for (i = 0; i < 40; i++) {
		segs_write(&f, &f.w, 0, 8);
		segs_save(&f.w);
	}
	assert_int_equal(segs_stats(&f.w).deleted_segments, 0);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 40);
	assert_int_equal(segs_stats(&f.w).store_errno, 0);
	assert_non_null(strstr(f.w.notice, "cannot be deleted"));
	f.w.net.fate = count_deletes;
	f.w.net.ctx = &tries;
	for (i = 0; i < 1000; i++) {
		vol_advance(&f.w, 1000000);
		vol_settle(&f.w);
	}
	assert_in_range(tries, 10, 40);
	f.w.net.fate = NULL;
	t0 = f.w.now;
	assert_int_equal(vol_detach(&f.w), 0);
	assert_true(f.w.now - t0 < 2 * DEAD_LAST);
	f.w.net.refuse_deletes = 0;
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 1);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A DELETE that is not answered: a clean end waits for it, but not for long. */
static void test_end_waits_a_moment(void **state)
{
	struct segs f;
	uint64_t t0;

	(void)state;
	segs_begin(&f);
	segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 0, 8);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "seg/");
	f.w.net.hold_op = STORE_DELETE;
	t0 = f.w.now;
	assert_int_equal(vol_detach(&f.w), 0);
	assert_in_range(f.w.now - t0, DEAD_LAST, DEAD_LAST + 2000000);
	f.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 1);
	segs_end(&f);
}

/*
 * A process that lets go waits until the store is idle, which it must become however much there is
 * to be deleted: its successor does that.
 */
static void test_ending(void **state)
{
	struct segs f;
	uint32_t i;

	(void)state;
	segs_begin(&f);
	for (i = 0; i < 20; i++)
		segs_write(&f, &f.w, 0, 8);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "seg/");
	f.w.net.hold_op = STORE_DELETE;
	segs_save(&f.w);
	assert_int_equal(f.w.net.nr_held, DEAD_DELETES);
	assert_int_equal(volume_drain(f.w.v), 0);
	volume_ending(f.w.v);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	vol_settle(&f.w);
	vol_advance(&f.w, 100000000);
	vol_settle(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 20 - DEAD_DELETES);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 1);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_superseded),
		cmocka_unit_test(test_superseded_later),
		cmocka_unit_test(test_read_by_the_superseded),
		cmocka_unit_test(test_fence_in_its_place),
		cmocka_unit_test(test_leaf_of_the_superseded),
		cmocka_unit_test(test_slow_attach),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_no_contact),
		cmocka_unit_test(test_read_under_way),
		cmocka_unit_test(test_late_deletes),
		cmocka_unit_test(test_store_refuses),
		cmocka_unit_test(test_end_waits_a_moment),
		cmocka_unit_test(test_ending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
