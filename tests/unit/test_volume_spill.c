// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal as the room of an outage: what is in no memory any more is read, sealed and recovered
 * from its ring; and the limits of what this host alone may hold.
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

#include "base/le.h"
#include "format/fmt_journal.h"
#include "lib/jdisk.h"
#include "lib/jworld.h"
#include "lib/run.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/vol.h"

/* ---- more than memory holds ------------------------------------------------------------------ */

/* 80 MiB with the store away: twice what there are extents for. */
static void write_much(struct jworld *t)
{
	uint32_t i;

	for (i = 0; i < 80; i++) {
		uint32_t lba = testrand_below(RUN_BLOCKS - 256);

		jworld_write(t, lba, 256);
		if (testrand_below(4) == 0)
			jworld_write(t, testrand_below(RUN_BLOCKS), 1);
	}
	assert_true(t->w.v->arena.geo.write_len < 50u << 20);
	assert_true(t->w.v->st.parked > 20);
}

static void test_spill(void **state)
{
	struct jworld t;

	(void)state;
	jworld_begin_sized(&t, 30, 2 * JWORLD_SIZE);
	jworld_hold(&t.w);
	write_much(&t);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	assert_int_equal(vol_flush(&t.w), 0);
	jworld_let(&t.w);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_end(&t);
}

/* What was parked is nowhere but in the ring; the rest is in the arena. */
static void test_spill_and_death(void **state)
{
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin_sized(&t, 31, 2 * JWORLD_SIZE);
	jworld_hold(&t.w);
	write_much(&t);
	t.w.net.die_drops = true;
	for (i = 0; i < 3; i++) {
		vol_kill(&t.w);
		t.w.net.hold_skip = 1; /* the fence */
		assert_int_equal(vol_attach(&t.w, true), 0);
		assert_true(t.w.rec.adopted);
		assert_true(t.w.rec.journal_ops > 0);
		vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
		jworld_write(&t, i, 1);
	}
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold_skip = 1;
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.adopted);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_let(&t.w);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_end(&t);
}

/* Without the ring the arena's part is not a continuation of what the store has. */
static void test_spill_without_its_journal(void **state)
{
	struct jworld t;

	(void)state;
	jworld_begin_sized(&t, 32, 2 * JWORLD_SIZE);
	jworld_hold(&t.w);
	write_much(&t);
	t.w.net.die_drops = true;
	vol_kill(&t.w);
	t.w.net.hold[0] = 0;
	t.w.env.journal = NULL;
	t.w.opts.flush_local = false;
	t.w.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.adopted);
	assert_int_equal(t.w.rec.recovered_wno, t.w.rec.durable_wno);
	vol_assert_prefix(&t.w, &t.m, 0, t.m.ops);
	jworld_end(&t);
}

/*
 * The arena's index is damaged, the journal has less, and the daemon that finds out dies before the
 * kernel knows, after the numbers that nobody was given went to the store. Then a number is no
 * proof of what it was given for; the next daemon must not say that all is there.
 */
static void lost_and_not_told(bool fresh)
{
	struct fmt_arena_entry *e;
	uint64_t acked;
	struct jworld t;

	jworld_begin(&t, 34 + fresh);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	jworld_write(&t, 2, 1);
	acked = t.w.v->last_wno;
	e = &t.w.v->arena.index[t.w.v->arena.ring[t.w.v->arena.ring_head].slot];
	vol_kill(&t.w);
	jworld_let(&t.w);
	e->dev = le_32(77);
	t.w.untold = true;
	assert_int_equal(vol_attach(&t.w, !fresh), 0);
	assert_false(t.w.rec.adopted);
	assert_true(t.w.rec.recovered_wno < acked);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	assert_true(t.w.v->committed_wno > acked);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.adopted);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.adopted);
	volume_resumed(t.w.v);
	jworld_write(&t, 3, 1);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_true(t.w.rec.adopted);
	jworld_end(&t);
}

static void test_lost_and_not_told(void **state)
{
	(void)state;
	lost_and_not_told(false);
	lost_and_not_told(true);
}

static bool not_sealed(const struct vol *w, const struct emap_ext *e)
{
	const struct batch *b;

	list_for_each_entry(b, &w->v->batches, link)
		if (b->id == e->owner)
			return e->kind == EMAP_JOURNAL && b->state == BATCH_CUT;
	return false;
}

/* A record that cannot be read back: an error for its range, and nothing behind it is committed. */
/*
 * What was replayed from the journal into an arena that is new has no records there. Whoever adopts
 * that arena later, without the journal, must not take what came after it for all.
 */
static void test_replayed_without_its_journal(void **state)
{
	struct jworld t;

	(void)state;
	jworld_begin(&t, 23);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	jworld_write(&t, 1, 1);
	jworld_write(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_int_equal(t.w.rec.journal_ops, 2);
	volume_resumed(t.w.v);
	jworld_hold(&t.w);
	jworld_write(&t, 3, 1);
	vol_kill(&t.w);
	t.w.net.hold[0] = 0;
	t.w.env.journal = NULL;
	t.w.opts.flush_local = false;
	t.w.opts.abandon_journal = true;
	/* the first one dies before the kernel knows */
	t.w.untold = true;
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_true(t.w.rec.gone);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_true(t.w.rec.gone);
	assert_false(t.w.rec.adopted);
	assert_int_equal(t.w.rec.adopted_entries, 0);
	vol_assert_prefix(&t.w, &t.m, 0, t.m.ops);
	volume_resumed(t.w.v);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.gone);
	jworld_end(&t);
}

static void test_spill_damaged(void **state)
{
	uint8_t *buf = malloc(4096);
	uint64_t pos, committed;
	struct emap_ext e;
	struct jworld t;
	uint32_t lba;

	(void)state;
	assert_non_null(buf);
	jworld_begin_sized(&t, 33, 2 * JWORLD_SIZE);
	jworld_hold(&t.w);
	write_much(&t);
	for (lba = 0;; lba++)
		if (emap_find(emap_dev(&t.w.v->overlay, 0), lba, 1, &e) && not_sealed(&t.w, &e))
			break;
	pos = journal_block_pos(t.w.v->journal, e.pos);
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + pos % t.w.v->journal->ring_len) ^= 1;
	assert_int_equal(vol_read(&t.w, 0, lba, 1, buf), -EBADMSG);
	jworld_let(&t.w);
	vol_settle(&t.w);
	vol_advance(&t.w, 1000000);
	vol_settle(&t.w);
	committed = t.w.v->committed_wno;
	assert_true(committed < e.wno);
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + pos % t.w.v->journal->ring_len) ^= 1;
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_end(&t);
	free(buf);
}

/* ---- limits of what this host may lose ------------------------------------------------------ */

static void test_dirty_bytes(void **state)
{
	struct vol_io *x;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 20);
	t.w.v->o.max_dirty_bytes = 1u << 20;
	jworld_hold(&t.w);
	jworld_write(&t, 0, 200);
	x = vol_io_new();
	vol_submit(x, &t.w, IO_WRITE, 0, 0, 300, 100, model_op(&t.m, 0, 300, 100, true));
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 1);
	/* and what comes behind it keeps its place */
	x = vol_io_new();
	vol_submit(x, &t.w, IO_WRITE, 0, 0, 310, 1, model_op(&t.m, 0, 310, 1, true));
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 2);
	jworld_let(&t.w);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	/* one that is larger than the limit still gets on */
	t.w.v->o.max_dirty_bytes = 4096;
	jworld_write(&t, 5, 20);
	jworld_write(&t, 5, 20);
	jworld_end(&t);
}

/* What must be known of each record is bounded, too: then a FLUSH waits for the store. */
static void test_many_records(void **state)
{
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 22);
	t.w.v->o.memory = 64 * 100 * sizeof(struct journal_ref);
	jworld_hold(&t.w);
	for (i = 0; i < 200 && !t.w.pending; i++) {
		jworld_write(&t, i, 1);
		vol_submit(vol_io_new(), &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
		vol_settle(&t.w);
	}
	assert_in_range(i, 100, 110);
	jworld_let(&t.w);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(t.w.pending, 0);
	jworld_end(&t);
}

static void test_dirty_age(void **state)
{
	struct vol_io *x;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 21);
	t.w.v->o.max_dirty_age_ms = 10000;
	jworld_hold(&t.w);
	jworld_write(&t, 0, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_advance(&t.w, 9000000);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_advance(&t.w, 2000000);
	jworld_write(&t, 2, 1); /* a WRITE does not wait */
	x = vol_io_new();
	vol_submit(x, &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 1);
	jworld_let(&t.w);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 0);
	jworld_hold(&t.w);
	jworld_write(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->committed_wno < t.w.v->last_wno);
	jworld_end(&t);
}

/* A daemon that is replaced closes the journal's device after the drain, and nothing more. */
static void test_drain_leaves_nothing(void **state)
{
	struct jworld t;
	uint32_t i, n;

	(void)state;
	jworld_begin(&t, 22);
	for (n = 0; n < 30; n++) {
		for (i = 0; i < 1 + testrand_below(20); i++)
			jworld_write(&t, testrand_below(10) * 256, 256);
		if (testrand_below(2))
			vol_submit(vol_io_new(), &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
		assert_int_equal(volume_drain(t.w.v), 0);
		assert_int_equal(t.w.jdisk->queued, 0);
	}
	assert_true(t.w.v->journal->sb.start > 0);
	jworld_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spill),
		cmocka_unit_test(test_spill_and_death),
		cmocka_unit_test(test_spill_without_its_journal),
		cmocka_unit_test(test_replayed_without_its_journal),
		cmocka_unit_test(test_lost_and_not_told),
		cmocka_unit_test(test_spill_damaged),
		cmocka_unit_test(test_dirty_bytes),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_dirty_age),
		cmocka_unit_test(test_drain_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
