// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flush = local: what a FLUSH has answered survives the loss of power with the journal's disk; and
 * nobody goes on with a journal that does not go on with the log.
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
#include "lib/run.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/vol.h"

#define SIZE (64u << 20)

struct one {
	struct vol w;
	struct model m;
};

static void begin_sized(struct one *t, uint64_t seed, uint64_t size)
{
	memset(t, 0, sizeof(*t));
	vol_init(&t->w, seed, 1, RUN_BLOCKS * 4096ull);
	vol_journal(&t->w, size);
	model_init(&t->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&t->w, false), 0);
}

static void begin(struct one *t, uint64_t seed)
{
	begin_sized(t, seed, SIZE);
}

static void end(struct one *t)
{
	vol_end(&t->w);
	model_free(&t->m);
}

static void write_one(struct one *t, uint64_t lba, uint32_t n)
{
	assert_int_equal(vol_write(&t->w, 0, lba, n, model_op(&t->m, 0, lba, n, true)), 0);
}

static void hold_segments(struct vol *w)
{
	snprintf(w->net.hold, sizeof(w->net.hold), "seg/");
}

static void let_segments(struct vol *w)
{
	w->net.hold[0] = 0;
	net_release(&w->net);
}

/* ---- what it is for ----------------------------------------------------------------------- */

static void test_flush_without_the_store(void **state)
{
	struct one t;

	(void)state;
	begin(&t, 1);
	hold_segments(&t.w);
	write_one(&t, 7, 3);
	write_one(&t, 100, 20);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(t.w.v->committed_wno, 0);
	write_one(&t, 8, 1);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_int_equal(t.w.rec.journal_ops, 2);
	assert_false(t.w.rec.adopted);
	vol_assert_prefix(&t.w, &t.m, 2, 3);
	end(&t);
}

static void test_flush_cuts_no_batch(void **state)
{
	struct one t;
	uint32_t i;

	(void)state;
	begin(&t, 2);
	for (i = 0; i < 50; i++) {
		write_one(&t, i, 1);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	assert_true(t.w.v->st.segments_sealed <= 1);
	assert_true(t.w.v->journal->groups >= 50);
	end(&t);
}

/* Deaths, losses of power and faults of the network, over and over. */
static void cuts_run(uint64_t seed)
{
	uint32_t i, at, cuts = 0, kills = 0;
	uint64_t replayed = 0;
	struct run r;
	int err;

	run_begin_journal(&r, seed, 1 + seed % 2, SIZE);
	r.w.net.refuse_pm = testrand_below(2) * 50;
	r.w.net.lose_pm = testrand_below(2) * 50;
	r.w.jdisk->unreadable = testrand_below(2);
	for (i = 0; i < 700; i++) {
		bool power;

		run_op(&r);
		if (testrand_below(6) == 0)
			run_flush(&r);
		if (testrand_below(40))
			continue;
		power = testrand_below(3) > 0;
		if (power)
			vol_cut(&r.w);
		else
			vol_kill(&r.w);
		while (testrand_below(3) == 0) {
			r.w.stop_after = 1 + testrand_below(40);
			if (!vol_attach(&r.w, true))
				vol_kill(&r.w);
			r.w.stop_after = 0;
			if (power)
				vol_cut(&r.w);
		}
		while ((err = vol_attach(&r.w, true)))
			if (err != -ETIMEDOUT)
				fail_msg("seed %u: %d %s", (unsigned int)seed, err, r.w.notice);
		cuts += power;
		kills += !power;
		replayed += r.w.rec.journal_ops;
		at = vol_assert_prefix(&r.w, &r.m, power ? r.w.durable : r.w.acked, r.m.ops);
		model_cut(&r.m, at);
		r.w.acked = at;
		if (testrand_below(3) == 0)
			vol_assert_store(&r.w, &r.m, 0, r.m.ops);
	}
	assert_true(cuts > 2 && kills && replayed);
	r.w.net.refuse_pm = 0;
	r.w.net.lose_pm = 0;
	assert_int_equal(vol_detach(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	run_end(&r);
}

static void test_cuts(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 500; seed < 500 + run_seeds(4); seed++)
		cuts_run(seed);
}

/* Enough to go round the ring several times, the store now and then too slow to follow. */
static void test_round_and_round(void **state)
{
	struct one t;
	uint32_t i, at;

	(void)state;
	begin(&t, 3);
	for (i = 0; i < 600; i++) {
		uint32_t n = 1 + testrand_below(IO_MAX_BLOCKS);

		write_one(&t, testrand_below(RUN_BLOCKS - n), n);
		if (testrand_below(3) == 0)
			assert_int_equal(vol_flush(&t.w), 0);
		if (testrand_below(100) == 0) {
			vol_cut(&t.w);
			assert_int_equal(vol_attach(&t.w, false), 0);
			at = vol_assert_prefix(&t.w, &t.m, t.w.durable, t.m.ops);
			model_cut(&t.m, at);
		}
	}
	assert_true(t.w.v->journal->head > 3ull * SIZE);
	end(&t);
}

/* With the store away, until a FLUSH does not come back: the ring is full. */
static uint32_t fill_ring(struct one *t)
{
	uint32_t i;

	hold_segments(&t->w);
	for (i = 0; i < 100 && !t->w.pending; i++) {
		struct vol_io *x = vol_io_new();

		write_one(t, i % 10 * 256, 256);
		vol_submit(x, &t->w, IO_FLUSH, 0, 0, 0, 0, t->m.ops);
		vol_settle(&t->w);
	}
	return i;
}

/* Memory for more dirty data than the ring holds. */
static void begin_large(struct one *t, uint64_t seed)
{
	begin(t, seed);
	assert_int_equal(vol_detach(&t->w), 0);
	t->w.opts.memory = 640u << 20;
	assert_int_equal(vol_attach(&t->w, false), 0);
}

/* The ring fills; flushes wait then, and go on when the store is back. */
static void test_full(void **state)
{
	struct one t;
	uint32_t n;

	(void)state;
	begin_large(&t, 4);
	n = fill_ring(&t);
	assert_true(n > 40 && n < 70);
	assert_int_equal(t.w.pending, 1);
	let_segments(&t.w);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(t.w.pending, 0);
	vol_cut(&t.w);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* ---- more than memory holds ------------------------------------------------------------------ */

/* 80 MiB with the store away: twice what there are extents for. */
static void write_much(struct one *t)
{
	uint32_t i;

	for (i = 0; i < 80; i++) {
		uint32_t lba = testrand_below(RUN_BLOCKS - 256);

		write_one(t, lba, 256);
		if (testrand_below(4) == 0)
			write_one(t, testrand_below(RUN_BLOCKS), 1);
	}
	assert_true(t->w.v->arena.geo.write_len < 50u << 20);
	assert_true(t->w.v->st.parked > 20);
}

static void test_spill(void **state)
{
	struct one t;

	(void)state;
	begin_sized(&t, 30, 2 * SIZE);
	hold_segments(&t.w);
	write_much(&t);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	assert_int_equal(vol_flush(&t.w), 0);
	let_segments(&t.w);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* What was parked is nowhere but in the ring; the rest is in the arena. */
static void test_spill_and_death(void **state)
{
	struct one t;
	uint32_t i;

	(void)state;
	begin_sized(&t, 31, 2 * SIZE);
	hold_segments(&t.w);
	write_much(&t);
	t.w.net.die_drops = true;
	for (i = 0; i < 3; i++) {
		vol_kill(&t.w);
		t.w.net.hold_skip = 1; /* the fence */
		assert_int_equal(vol_attach(&t.w, true), 0);
		assert_true(t.w.rec.adopted);
		assert_true(t.w.rec.journal_ops > 0);
		vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
		write_one(&t, i, 1);
	}
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold_skip = 1;
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_false(t.w.rec.adopted);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	let_segments(&t.w);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* Without the ring the arena's part is not a continuation of what the store has. */
static void test_spill_without_its_journal(void **state)
{
	struct one t;

	(void)state;
	begin_sized(&t, 32, 2 * SIZE);
	hold_segments(&t.w);
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
	end(&t);
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
	struct one t;

	begin(&t, 34 + fresh);
	hold_segments(&t.w);
	t.w.net.die_drops = true;
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	write_one(&t, 2, 1);
	acked = t.w.v->last_wno;
	e = &t.w.v->arena.index[t.w.v->arena.ring[t.w.v->arena.ring_head].slot];
	vol_kill(&t.w);
	let_segments(&t.w);
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
	write_one(&t, 3, 1);
	vol_kill(&t.w);
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_true(t.w.rec.adopted);
	end(&t);
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
static void test_spill_damaged(void **state)
{
	uint8_t *buf = malloc(4096);
	uint64_t pos, committed;
	struct emap_ext e;
	struct one t;
	uint32_t lba;

	(void)state;
	assert_non_null(buf);
	begin_sized(&t, 33, 2 * SIZE);
	hold_segments(&t.w);
	write_much(&t);
	for (lba = 0;; lba++)
		if (emap_find(emap_dev(&t.w.v->overlay, 0), lba, 1, &e) && not_sealed(&t.w, &e))
			break;
	pos = journal_block_pos(t.w.v->journal, e.pos);
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + pos % t.w.v->journal->ring_len) ^= 1;
	assert_int_equal(vol_read(&t.w, 0, lba, 1, buf), -EBADMSG);
	let_segments(&t.w);
	vol_settle(&t.w);
	vol_advance(&t.w, 1000000);
	vol_settle(&t.w);
	committed = t.w.v->committed_wno;
	assert_true(committed < e.wno);
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + pos % t.w.v->journal->ring_len) ^= 1;
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
	free(buf);
}

/* ---- limits of what this host may lose ------------------------------------------------------ */

static void test_dirty_bytes(void **state)
{
	struct vol_io *x;
	struct one t;

	(void)state;
	begin(&t, 20);
	t.w.v->o.max_dirty_bytes = 1u << 20;
	hold_segments(&t.w);
	write_one(&t, 0, 200);
	x = vol_io_new();
	vol_submit(x, &t.w, IO_WRITE, 0, 0, 300, 100, model_op(&t.m, 0, 300, 100, true));
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 1);
	/* and what comes behind it keeps its place */
	x = vol_io_new();
	vol_submit(x, &t.w, IO_WRITE, 0, 0, 310, 1, model_op(&t.m, 0, 310, 1, true));
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 2);
	let_segments(&t.w);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	/* one that is larger than the limit still gets on */
	t.w.v->o.max_dirty_bytes = 4096;
	write_one(&t, 5, 20);
	write_one(&t, 5, 20);
	end(&t);
}

static void test_dirty_age(void **state)
{
	struct vol_io *x;
	struct one t;

	(void)state;
	begin(&t, 21);
	t.w.v->o.max_dirty_age_ms = 10000;
	hold_segments(&t.w);
	write_one(&t, 0, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_advance(&t.w, 9000000);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_advance(&t.w, 2000000);
	write_one(&t, 2, 1); /* a WRITE does not wait */
	x = vol_io_new();
	vol_submit(x, &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 1);
	let_segments(&t.w);
	vol_settle(&t.w);
	assert_int_equal(t.w.pending, 0);
	hold_segments(&t.w);
	write_one(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->committed_wno < t.w.v->last_wno);
	end(&t);
}

/* A daemon that is replaced closes the journal's device after the drain, and nothing more. */
static void test_drain_leaves_nothing(void **state)
{
	struct one t;
	uint32_t i, n;

	(void)state;
	begin(&t, 22);
	for (n = 0; n < 30; n++) {
		for (i = 0; i < 1 + testrand_below(20); i++)
			write_one(&t, testrand_below(10) * 256, 256);
		if (testrand_below(2))
			vol_submit(vol_io_new(), &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
		assert_int_equal(volume_drain(t.w.v), 0);
		assert_int_equal(t.w.jdisk->queued, 0);
	}
	assert_true(t.w.v->journal->sb.start > 0);
	end(&t);
}

/* ---- disks that fail ---------------------------------------------------------------------- */

static void test_failed_write_is_final(void **state)
{
	struct one t;

	(void)state;
	begin(&t, 5);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	t.w.jdisk->fail_writes = -EIO;
	write_one(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->journal->state == JOURNAL_FAILED);
	assert_true(t.w.v->committed_wno == t.w.v->last_wno);
	t.w.jdisk->fail_writes = 0;
	write_one(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->committed_wno == t.w.v->last_wno);
	vol_cut(&t.w);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	end(&t);
}

static void test_rot_is_not_the_end(void **state)
{
	uint64_t at;
	struct one t;

	(void)state;
	begin(&t, 6);
	hold_segments(&t.w);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	at = FMT_JOURNAL_RING_OFF + t.w.v->journal->head - 100;
	write_one(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	*jdisk_at(t.w.jdisk, at) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	*jdisk_at(t.w.jdisk, at) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	end(&t);
}

/*
 * The first sector of the group under way does not get there, all others do; then the power goes.
 */
static void cut_without_first_sector(struct vol *w)
{
	struct jdev_req *r = list_first_entry(&w->jdisk->queue, struct jdev_req, link);
	uint32_t at;

	assert_int_equal(w->jdisk->queued, 1);
	assert_int_equal(r->prepare(r), 0);
	for (at = 512; at < r->len; at += 512)
		memcpy(jdisk_at(w->jdisk, r->off + at), (uint8_t *)r->buf + at, 512);
	w->jdisk->gone = true; /* no more than that */
	vol_cut(w);
	w->jdisk->gone = false;
}

/*
 * What was durable before a torn group was in the store, and not in the ring: nothing is missing.
 */
static void test_torn_behind_the_store(void **state)
{
	struct vol_io *x = vol_io_new();
	struct one t;
	uint32_t i;

	(void)state;
	begin(&t, 17);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	write_one(&t, 2, 1);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	assert_int_equal(t.w.v->committed_wno, t.w.v->last_wno);
	assert_true(t.w.v->journal->written < t.w.v->committed_wno);
	hold_segments(&t.w);
	t.w.net.die_drops = true;
	for (i = 0; i < 3; i++)
		write_one(&t, 256 * i, 256);
	vol_submit(x, &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
	assert_true(t.w.jdisk->queued);
	cut_without_first_sector(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	end(&t);
}

/* A pad speaks for no number, but what was acknowledged may lie behind it. */
static void test_rotten_pad(void **state)
{
	const struct journal *j;
	uint64_t lap, at = 0;
	struct one t;
	uint32_t i;

	(void)state;
	begin(&t, 18);
	j = t.w.v->journal;
	lap = j->ring_len;
	t.w.net.die_drops = true;
	for (i = 0; j->head <= lap; i++) {
		if (i == 40) {
			vol_advance(&t.w, 3000000);
			vol_settle(&t.w);
			hold_segments(&t.w);
		}
		write_one(&t, i % 10 * 256, 256);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	for (i = 0; i < j->nr_refs; i++)
		if (j->refs[(j->ref_head + i) % j->cap_refs].pos < lap)
			at = j->refs[(j->ref_head + i) % j->cap_refs].pos;
	assert_true(at > j->sb.start);
	assert_int_equal(j->written, t.w.v->last_wno);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + at + 100) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	*jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF + at + 100) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* A superblock that rots lets its predecessor count, whose records are gone. */
static void test_rotten_superblock(void **state)
{
	uint32_t copy, i;
	struct one t;

	(void)state;
	begin_large(&t, 7);
	for (i = 0; i < 150; i++) {
		write_one(&t, i % 10 * 256, 256);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	fill_ring(&t);
	assert_true(t.w.v->journal->sb.start > SIZE);
	copy = t.w.v->journal->sb_copy;
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	*jdisk_at(t.w.jdisk, copy * FMT_JOURNAL_SB_LEN + 90) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	*jdisk_at(t.w.jdisk, copy * FMT_JOURNAL_SB_LEN + 90) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.w.durable, t.m.ops);
	end(&t);
}

/* ---- whose journal it is -------------------------------------------------------------------- */

static void test_open_journal_is_missed(void **state)
{
	struct jdev *dev;
	struct vol b;
	struct one t;

	(void)state;
	begin(&t, 8);
	hold_segments(&t.w);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	/* here, without its disk */
	dev = t.w.env.journal;
	t.w.env.journal = NULL;
	t.w.opts.flush_local = false;
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	t.w.opts.accept_loss = true;
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	t.w.opts.accept_loss = false;
	/* elsewhere */
	vol_share(&b, &t.w);
	b.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&b, false), -ENOMEDIUM);
	vol_end(&b);
	/* nothing has happened: with its disk it is all there */
	t.w.env.journal = dev;
	t.w.opts.flush_local = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 1, 1);
	vol_cut(&t.w);
	t.w.env.journal = NULL;
	t.w.opts.flush_local = false;
	t.w.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	end(&t);
}

static void test_clean_journal_is_not_missed(void **state)
{
	struct vol b;
	struct one t;

	(void)state;
	begin(&t, 9);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_share(&b, &t.w);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_assert_prefix(&b, &t.m, 1, 1);
	assert_int_equal(vol_write(&b, 0, 2, 1, model_op(&t.m, 0, 2, 1, true)), 0);
	assert_int_equal(vol_detach(&b), 0);
	vol_end(&b);
	/* and comes back as if it were new */
	assert_int_equal(vol_attach(&t.w, false), 0);
	hold_segments(&t.w);
	write_one(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	end(&t);
}

/* Another host took over, with consent: what only the journal has is never mixed into its log. */
static void takeover(bool writes)
{
	uint64_t head;
	struct vol b;
	struct one t;

	begin(&t, 10 + writes);
	write_one(&t, 1, 1);
	let_segments(&t.w);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	hold_segments(&t.w);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	t.w.net.die_drops = true;
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	assert_int_equal(vol_attach(&b, false), 0);
	if (writes)
		assert_int_equal(vol_write(&b, 0, 9, 1, 3), 0);
	assert_int_equal(vol_detach(&b), 0);
	vol_end(&b);
	head = *(const uint64_t *)(const void *)jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_true(head ==
		    *(const uint64_t *)(const void *)jdisk_at(t.w.jdisk, FMT_JOURNAL_RING_OFF));
	end(&t);
}

/* The host that comes back must not stop the one that has taken over. */
static void test_set_aside_quietly(void **state)
{
	struct vol b;
	struct one t;

	(void)state;
	begin(&t, 15);
	hold_segments(&t.w);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	t.w.net.die_drops = true;
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_int_equal(vol_write(&b, 0, 9, 1, 7), 0);
	assert_int_equal(vol_flush(&b), 0);
	assert_int_equal(vol_detach(&b), 0);
	assert_false(b.superseded);
	vol_end(&b);
	/* asked to look, it finds the same in the log */
	t.w.opts.takeover = true;
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	end(&t);
}

/* Another host that had got no further than its head has changed nothing. */
static void test_head_alone_changes_nothing(void **state)
{
	struct vol b;
	struct one t;

	(void)state;
	begin(&t, 16);
	hold_segments(&t.w);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	t.w.net.die_drops = true;
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	hold_segments(&b);
	b.net.die_drops = true;
	assert_int_equal(vol_attach(&b, false), -EINTR); /* its fence never gets there */
	vol_end(&b);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	t.w.opts.takeover = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 1, 1);
	end(&t);
}

static void test_set_aside(void **state)
{
	(void)state;
	takeover(true);
	takeover(false);
}

/* The store went back to what it was before the journal's last clean end. */
static void test_store_rolled_back(void **state)
{
	struct store *then, *now;
	struct one t;

	(void)state;
	begin(&t, 14);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(vol_detach(&t.w), 0);
	assert_int_equal(mem_clone(t.w.mem, &then), 0);
	assert_int_equal(vol_attach(&t.w, false), 0);
	write_one(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(vol_detach(&t.w), 0);
	now = t.w.mem;
	t.w.net.mem = then;
	t.w.file_len = 0; /* nor does the host remember */
	assert_int_equal(vol_attach(&t.w, false), -ESTALE);
	assert_non_null(strstr(t.w.notice, "older image than the journal has seen"));
	t.w.net.mem = now;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	store_close(then);
	end(&t);
}

static void test_not_a_journal(void **state)
{
	struct one t, other;

	(void)state;
	begin(&t, 12);
	write_one(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	jdisk_restore(t.w.jdisk, NULL);
	assert_int_equal(vol_attach(&t.w, false), -ENODATA);
	*jdisk_at(t.w.jdisk, 5) = 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	end(&t);
	begin(&other, 13);
	memset(&t, 0, sizeof(t));
	assert_int_equal(vol_detach(&other.w), 0);
	other.w.jdisk->dev.size = SIZE - 4096;
	assert_int_equal(vol_attach(&other.w, false), -EBADMSG);
	other.w.jdisk->dev.size = SIZE;
	end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_without_the_store),
		cmocka_unit_test(test_flush_cuts_no_batch),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_round_and_round),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_spill),
		cmocka_unit_test(test_spill_and_death),
		cmocka_unit_test(test_spill_without_its_journal),
		cmocka_unit_test(test_lost_and_not_told),
		cmocka_unit_test(test_spill_damaged),
		cmocka_unit_test(test_dirty_bytes),
		cmocka_unit_test(test_dirty_age),
		cmocka_unit_test(test_drain_leaves_nothing),
		cmocka_unit_test(test_failed_write_is_final),
		cmocka_unit_test(test_rot_is_not_the_end),
		cmocka_unit_test(test_torn_behind_the_store),
		cmocka_unit_test(test_rotten_pad),
		cmocka_unit_test(test_rotten_superblock),
		cmocka_unit_test(test_open_journal_is_missed),
		cmocka_unit_test(test_clean_journal_is_not_missed),
		cmocka_unit_test(test_set_aside_quietly),
		cmocka_unit_test(test_head_alone_changes_nothing),
		cmocka_unit_test(test_set_aside),
		cmocka_unit_test(test_store_rolled_back),
		cmocka_unit_test(test_not_a_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
