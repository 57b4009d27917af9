// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dead segments: which are deleted and when, which never, what a death in between leaves, and that
 * space really comes back.
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
#include "volume/vol.h"

#define RUN_KIND_OFF 56 /* in a run's header: docs/format.md */

static void on_list(struct store_req *r)
{
	(void)r;
}

/* ---- what is deleted ------------------------------------------------------------------------- */

static void test_deleted(void **state)
{
	struct segs f;
	uint64_t a, b, c, bytes;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	b = segs_write(&f, &f.w, 16, 8);
	segs_save(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 2);
	assert_int_equal(segs_stats(&f.w).dead_bytes, 0);
	c = segs_write(&f, &f.w, 0, 8);
	bytes = segs_stats(&f.w).dead_bytes;
	assert_int_equal(bytes, segs_entry(&f.w, a)->rec.object_len);
	assert_true(segs_there(&f.w, a));
	segs_save(&f.w);
	assert_false(segs_there(&f.w, a));
	assert_true(segs_there(&f.w, b) && segs_there(&f.w, c));
	assert_int_equal(segs_objects(&f.w, FMT_SEG_FENCE), 1);
	assert_int_equal(segs_stats(&f.w).deleted_segments, 1);
	assert_int_equal(segs_stats(&f.w).deleted_bytes, bytes);
	assert_int_equal(segs_stats(&f.w).dead_bytes, 0);
	assert_int_equal(f.w.v->head.floor, a + 1);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	/* of b something is left */
	segs_write(&f, &f.w, 16, 7);
	segs_save(&f.w);
	assert_true(segs_there(&f.w, b));
	assert_int_equal(f.w.v->head.floor, a + 1);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_true(segs_entry(&f.w, a)->rec.flags & FMT_SEGREC_DELETED);
	/* then it is gone, too; the floor is not lowered when c, which is later, and then b die */
	segs_write(&f, &f.w, 0, 8);
	segs_save(&f.w);
	assert_false(segs_there(&f.w, c));
	assert_int_equal(f.w.v->head.floor, c + 1);
	segs_write(&f, &f.w, 23, 1);
	segs_save(&f.w);
	assert_false(segs_there(&f.w, b));
	assert_int_equal(f.w.v->head.floor, c + 1);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_FENCE), 2);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A segment of discards alone has done its work when a checkpoint has what it says. */
static void test_without_data(void **state)
{
	struct segs f;
	uint64_t a, d;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_save(&f.w);
	d = segs_discard(&f, &f.w, 2, 3);
	assert_true(segs_there(&f.w, d));
	segs_save(&f.w);
	assert_true(segs_there(&f.w, a));
	assert_false(segs_there(&f.w, d));
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_discard(&f, &f.w, 0, RUN_BLOCKS);
	segs_save(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 0);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* Only what has been applied can be dead: a segment that is replayed has no live block yet. */
static void test_replayed(void **state)
{
	struct segs f;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	segs_write(&f, &f.w, 0, 8);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	a = segs_write(&f, &f.w, 4, 8);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(f.w.rec.segments_replayed, 1);
	/* the leaf that it waits for has not come */
	assert_int_equal(segs_entry(&f.w, a)->rec.live_blocks, 0);
	assert_int_equal(segs_stats(&f.w).dead_bytes, 0);
	vol_settle(&f.w);
	segs_save(&f.w);
	assert_true(segs_there(&f.w, a));
	assert_int_equal(segs_entry(&f.w, a)->rec.live_blocks, 8);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A count that was too low: the segment is kept, by whoever attaches later, too. */
static void test_unsure(void **state)
{
	struct segtab_ent *e;
	struct segs f;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 16);
	f.w.check = false;
	e = &f.w.v->segs.ents[segtab_find(&f.w.v->segs, a)];
	f.w.v->segs.live_bytes -= e->rec.live_bytes;
	e->rec.live_blocks = 0;
	e->rec.live_bytes = 0;
	segs_write(&f, &f.w, 0, 2);
	e = &f.w.v->segs.ents[segtab_find(&f.w.v->segs, a)];
	assert_true(e->unsure);
	assert_int_equal(volume_check(f.w.v), 0);
	f.w.check = true;
	segs_save(&f.w);
	assert_true(segs_there(&f.w, a));
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.check = false; /* it says more than a scan finds */
	segs_write(&f, &f.w, 2, 13);
	segs_save(&f.w);
	assert_true(segs_there(&f.w, a));
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* It proves wrong while the head that calls it deleted is on its way: the next takes it back. */
static void test_unsure_meanwhile(void **state)
{
	struct segtab_ent *e;
	struct segs f;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 16);
	f.w.check = false;
	e = &f.w.v->segs.ents[segtab_find(&f.w.v->segs, a)];
	f.w.v->segs.live_bytes -= e->rec.live_bytes;
	e->rec.live_blocks = 0;
	e->rec.live_bytes = 0;
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "head/");
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	vol_settle(&f.w);
	segs_write(&f, &f.w, 0, 2);
	assert_true(segs_entry(&f.w, a)->unsure);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	vol_settle(&f.w);
	assert_null(f.w.v->ckpt);
	assert_int_equal(volume_check(f.w.v), 0);
	assert_true(segs_there(&f.w, a));
	segs_save(&f.w);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.check = false; /* it says more than a scan finds */
	assert_true(segs_there(&f.w, a));
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A part of the map is lost: nothing is deleted any more, whatever the counts say. */
static void test_lost_map(void **state)
{
	static struct store_entry ents[64];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 64, .done = on_list };
	uint8_t buf[4096], *p;
	struct segs f;
	uint64_t a, b;
	ssize_t i;
	size_t len;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	b = segs_write(&f, &f.w, 2000, 8);
	segs_save(&f.w);
	snprintf(r.name, sizeof(r.name), "run/");
	store_submit(f.w.mem, &r);
	while (mem_run(f.w.mem))
		;
	for (i = 0; i < r.res; i++) {
		p = mem_object(f.w.mem, ents[i].name, &len);
		if (p[RUN_KIND_OFF] == FMT_RUN_EXTENTS)
			p[70] ^= 1;
	}
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(vol_read(&f.w, 0, 0, 1, buf), -EBADMSG);
	segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 2000, 8);
	segs_write(&f, &f.w, 2000, 8); /* the one before has none: that is sure */
	segs_save(&f.w);
	assert_true(segs_there(&f.w, a) && segs_there(&f.w, b));
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 5);
	assert_int_equal(f.w.v->head.floor, 0);
	segs_end(&f);
}

/* An image that names what it calls deleted, or what neither it nor the floor knows of. */
static void test_contradiction(void **state)
{
	uint8_t buf[4096];
	struct segs f;
	uint64_t a;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		segs_begin(&f);
		a = segs_write(&f, &f.w, 0, 8);
		segs_save(&f.w);
		vol_kill(&f.w);
		f.w.check = false;
		assert_int_equal(vol_attach(&f.w, false), 0);
		assert_int_equal(f.w.v->segs.nr, 1);
		if (i)
			f.w.v->segs.nr = 0;
		else
			f.w.v->segs.ents[0].rec.flags = FMT_SEGREC_DELETED;
		if (i == 1)
			f.w.v->head.floor = a + 1;
		assert_int_equal(vol_read(&f.w, 0, 0, 1, buf), -EBADMSG);
		assert_non_null(strstr(f.w.notice, i < 2 ? "it was deleted" : "is missing"));
		segs_end(&f);
	}
}

/* ---- when ------------------------------------------------------------------------------------ */

/* Not before the head that says so is there, and was the newest. */
static void test_not_before_the_head(void **state)
{
	struct segs f;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_save(&f.w);
	segs_write(&f, &f.w, 0, 8);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "head/");
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	vol_settle(&f.w);
	vol_advance(&f.w, 10000000);
	vol_settle(&f.w);
	assert_non_null(f.w.v->ckpt);
	assert_true(segs_there(&f.w, a));
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	vol_settle(&f.w);
	assert_false(segs_there(&f.w, a));
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* By the image that the head names, not by what the map has become since. */
static void test_not_by_todays_map(void **state)
{
	struct segs f;
	uint64_t a, b;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_save(&f.w);
	b = segs_write(&f, &f.w, 100, 8);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "head/");
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	vol_settle(&f.w);
	segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 100, 8);
	assert_int_equal(segs_entry(&f.w, a)->rec.live_blocks, 0);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	vol_settle(&f.w);
	assert_null(f.w.v->ckpt);
	assert_true(segs_there(&f.w, a) && segs_there(&f.w, b));
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_save(&f.w);
	assert_false(segs_there(&f.w, a) || segs_there(&f.w, b));
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* A checkpoint that comes to nothing deletes nothing; the next one does. */
static void test_given_up(void **state)
{
	struct segs f;
	uint64_t a;

	(void)state;
	segs_begin(&f);
	a = segs_write(&f, &f.w, 0, 8);
	segs_write(&f, &f.w, 0, 8);
	f.w.net.refuse_puts = -EIO;
	assert_int_equal(checkpoint_start(f.w.v, false), 0);
	vol_settle(&f.w);
	vol_kill(&f.w);
	f.w.net.refuse_puts = 0;
	assert_true(segs_there(&f.w, a));
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	assert_true(segs_there(&f.w, a));
	segs_save(&f.w);
	assert_false(segs_there(&f.w, a));
	segs_end(&f);
}

/* The daemon dies between the head and the DELETEs: the next one finds them in the image. */
static void test_death_between(void **state)
{
	struct segs f;
	uint64_t a[3];
	uint32_t i;

	(void)state;
	segs_begin(&f);
	for (i = 0; i < 3; i++)
		a[i] = segs_write(&f, &f.w, 8 * i, 8);
	segs_write(&f, &f.w, 0, 24);
	f.w.net.refuse_deletes = -EIO;
	segs_save(&f.w);
	vol_kill(&f.w);
	for (i = 0; i < 3; i++)
		assert_true(segs_there(&f.w, a[i]));
	/* one that serves as briefly, and one that has the time */
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	assert_true(segs_stats(&f.w).dead_bytes > 0);
	vol_kill(&f.w);
	f.w.net.refuse_deletes = 0;
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_settle(&f.w);
	for (i = 0; i < 3; i++)
		assert_false(segs_there(&f.w, a[i]));
	assert_int_equal(segs_stats(&f.w).dead_bytes, 0);
	assert_int_equal(segs_stats(&f.w).deleted_segments, 3);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* ---- space ----------------------------------------------------------------------------------- */

/* A volume that is written over ten times is as big as after the first. */
static void test_space(void **state)
{
	uint32_t round, lba, most = 0, n;
	uint64_t bytes = 0, now;
	struct segs f;

	(void)state;
	segs_begin(&f);
	assert_int_equal(vol_detach(&f.w), 0);
	f.w.opts.checkpoint_segments = 8;
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.check = false;
	for (round = 0; round <= 10; round++) {
		for (lba = 0; lba < RUN_BLOCKS; lba += 64)
			assert_int_equal(
				vol_write(&f.w, 0, lba, 64, model_op(&f.m, 0, lba, 64, true)), 0);
		assert_int_equal(vol_flush(&f.w), 0);
		vol_settle(&f.w);
		n = segs_objects(&f.w, FMT_SEG_DATA);
		now = mem_bytes(f.w.mem);
		if (!round) {
			most = n;
			bytes = now;
		}
		/* and what has died since the last checkpoint */
		assert_in_range(n, 1, most + 20);
		assert_true(now < bytes + bytes / 2);
	}
	assert_int_equal(segs_stats(&f.w).segments_committed - segs_stats(&f.w).deleted_segments,
			 n);
	assert_true(segs_stats(&f.w).segments_committed > 9 * n);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_FENCE), 2);
	assert_int_equal(volume_check(f.w.v), 0);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

/* Records of segments that are gone leave the table when they are half of it. */
static void test_records_go(void **state)
{
	struct segs f;
	uint32_t i;

	(void)state;
	segs_begin(&f);
	f.w.check = false;
	for (i = 0; i < 700; i++) {
		segs_write(&f, &f.w, 8 * (i % 100), 8);
		if (i % 10 == 9)
			segs_save(&f.w);
	}
	assert_int_equal(volume_check(f.w.v), 0);
	assert_true(f.w.v->segs.nr_dropped > 200);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.check = true;
	assert_true(f.w.v->segs.nr < 500);
	assert_true(f.w.v->head.floor > 500);
	vol_settle(&f.w);
	assert_int_equal(segs_objects(&f.w, FMT_SEG_DATA), 100);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	segs_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_without_data),
		cmocka_unit_test(test_replayed),
		cmocka_unit_test(test_unsure),
		cmocka_unit_test(test_unsure_meanwhile),
		cmocka_unit_test(test_lost_map),
		cmocka_unit_test(test_contradiction),
		cmocka_unit_test(test_not_before_the_head),
		cmocka_unit_test(test_not_by_todays_map),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_death_between),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_records_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
