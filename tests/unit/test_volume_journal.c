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
#include "lib/jworld.h"
#include "lib/run.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/keys.h"
#include "volume/vol.h"

/* ---- what it is for ----------------------------------------------------------------------- */

static void test_flush_without_the_store(void **state)
{
	struct jworld t;

	(void)state;
	jworld_begin(&t, 1);
	jworld_hold(&t.w);
	jworld_write(&t, 7, 3);
	jworld_write(&t, 100, 20);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(t.w.v->committed_wno, 0);
	jworld_write(&t, 8, 1);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_int_equal(t.w.rec.journal_ops, 2);
	assert_false(t.w.rec.adopted);
	vol_assert_prefix(&t.w, &t.m, 2, 3);
	jworld_end(&t);
}

static void test_flush_cuts_no_batch(void **state)
{
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 2);
	for (i = 0; i < 50; i++) {
		jworld_write(&t, i, 1);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	assert_true(t.w.v->st.segments_sealed <= 1);
	assert_true(t.w.v->journal->groups >= 50);
	jworld_end(&t);
}

struct cuts {
	uint64_t cuts, kills, replayed;
};

/* Deaths, losses of power and faults of the network, over and over. Adds to @ret. */
static void cuts_run(uint64_t seed, struct cuts *ret)
{
	uint32_t i, at;
	struct run r;
	int err;

	run_begin_journal(&r, seed, 1 + seed % 2, JWORLD_SIZE);
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
		ret->cuts += power;
		ret->kills += !power;
		ret->replayed += r.w.rec.journal_ops;
		at = vol_assert_prefix(&r.w, &r.m, power ? r.w.durable : r.w.acked, r.m.ops);
		model_cut(&r.m, at);
		r.w.acked = at;
		if (testrand_below(3) == 0)
			vol_assert_store(&r.w, &r.m, 0, r.m.ops);
	}
	r.w.net.refuse_pm = 0;
	r.w.net.lose_pm = 0;
	assert_int_equal(vol_detach(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	run_end(&r);
}

static void test_cuts(void **state)
{
	uint64_t seed, n = run_seeds(4);
	struct cuts all = { 0 };

	(void)state;
	for (seed = 500; seed < 500 + n; seed++)
		cuts_run(seed, &all);
	if (n >= 4) /* of one seed alone nothing is certain */
		assert_true(all.cuts > 12 && all.kills > 4 && all.replayed > 40);
}

/* Enough to go round the ring several times, the store now and then too slow to follow. */
static void test_round_and_round(void **state)
{
	struct jworld t;
	uint32_t i, at;

	(void)state;
	jworld_begin(&t, 3);
	for (i = 0; i < 600; i++) {
		uint32_t n = 1 + testrand_below(IO_MAX_BLOCKS);

		jworld_write(&t, testrand_below(RUN_BLOCKS - n), n);
		if (testrand_below(3) == 0)
			assert_int_equal(vol_flush(&t.w), 0);
		if (testrand_below(100) == 0) {
			vol_cut(&t.w);
			assert_int_equal(vol_attach(&t.w, false), 0);
			at = vol_assert_prefix(&t.w, &t.m, t.w.durable, t.m.ops);
			model_cut(&t.m, at);
		}
	}
	assert_true(t.w.v->journal->head > 3ull * JWORLD_SIZE);
	jworld_end(&t);
}

/* With the store away, until a FLUSH does not come back: the ring is full. */
static uint32_t fill_ring(struct jworld *t)
{
	uint32_t i;

	jworld_hold(&t->w);
	for (i = 0; i < 100 && !t->w.pending; i++) {
		struct vol_io *x = vol_io_new();

		jworld_write(t, i % 10 * 256, 256);
		vol_submit(x, &t->w, IO_FLUSH, 0, 0, 0, 0, t->m.ops);
		vol_settle(&t->w);
	}
	return i;
}

/* Memory for more dirty data than the ring holds. */
static void begin_large(struct jworld *t, uint64_t seed)
{
	jworld_begin(t, seed);
	assert_int_equal(vol_detach(&t->w), 0);
	t->w.opts.memory = 640u << 20;
	assert_int_equal(vol_attach(&t->w, false), 0);
}

/* The ring fills; flushes wait then, and go on when the store is back. */
static void test_full(void **state)
{
	struct jworld t;
	uint32_t n;

	(void)state;
	begin_large(&t, 4);
	n = fill_ring(&t);
	assert_true(n > 40 && n < 70);
	assert_int_equal(t.w.pending, 1);
	jworld_let(&t.w);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(t.w.pending, 0);
	vol_cut(&t.w);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_end(&t);
}

/* ---- disks that fail ---------------------------------------------------------------------- */

static void test_failed_write_is_final(void **state)
{
	struct jworld t;

	(void)state;
	jworld_begin(&t, 5);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	t.w.jdisk->fail_writes = -EIO;
	jworld_write(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->journal->state == JOURNAL_FAILED);
	assert_true(t.w.v->committed_wno == t.w.v->last_wno);
	t.w.jdisk->fail_writes = 0;
	jworld_write(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_true(t.w.v->committed_wno == t.w.v->last_wno);
	vol_cut(&t.w);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	jworld_end(&t);
}

static void test_rot_is_not_the_end(void **state)
{
	uint64_t at;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 6);
	jworld_hold(&t.w);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	at = FMT_JOURNAL_RING_OFF + t.w.v->journal->head - 100;
	jworld_write(&t, 2, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	*jdisk_at(t.w.jdisk, at) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	*jdisk_at(t.w.jdisk, at) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	jworld_end(&t);
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
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 17);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	jworld_write(&t, 2, 1);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	assert_int_equal(t.w.v->committed_wno, t.w.v->last_wno);
	assert_true(t.w.v->journal->written < t.w.v->committed_wno);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	for (i = 0; i < 3; i++)
		jworld_write(&t, 256 * i, 256);
	vol_submit(x, &t.w, IO_FLUSH, 0, 0, 0, 0, t.m.ops);
	assert_true(t.w.jdisk->queued);
	cut_without_first_sector(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	jworld_end(&t);
}

/* A pad speaks for no number, but what was acknowledged may lie behind it. */
static void test_rotten_pad(void **state)
{
	const struct journal *j;
	uint64_t lap, at = 0;
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 18);
	j = t.w.v->journal;
	lap = j->ring_len;
	t.w.net.die_drops = true;
	for (i = 0; j->head <= lap; i++) {
		if (i == 40) {
			vol_advance(&t.w, 3000000);
			vol_settle(&t.w);
			jworld_hold(&t.w);
		}
		jworld_write(&t, i % 10 * 256, 256);
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
	jworld_end(&t);
}

/*
 * Of a pad only the first block was written: what the rest of the lap holds need not be readable,
 * neither when the journal is scanned nor when what it holds is put into the store from there.
 */
static void test_rest_of_a_pad(void **state)
{
	const struct journal_ref *r;
	const struct journal *j;
	uint64_t lap, at, pad = 0;
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 19);
	j = t.w.v->journal;
	lap = j->ring_len;
	t.w.net.die_drops = true;
	for (i = 0; j->head <= lap + (2 << 20); i++) {
		if (i == 40) {
			vol_advance(&t.w, 3000000);
			vol_settle(&t.w);
			jworld_hold(&t.w);
		}
		jworld_write(&t, i % 10 * 256, 256);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	for (i = 0; i < j->nr_refs; i++) {
		r = &j->refs[(j->ref_head + i) % j->cap_refs];
		if (r->pos < lap)
			pad = r->pos;
	}
	assert_true(pad && lap - pad > 2 * FMT_JOURNAL_BLOCK);
	vol_cut(&t.w);
	for (at = pad + FMT_JOURNAL_BLOCK; at < lap; at += FMT_JOURNAL_BLOCK)
		jdisk_spoil(t.w.jdisk, FMT_JOURNAL_RING_OFF + at);
	/* batches of several records, so that one goes on behind the pad */
	t.w.opts.memory = 640u << 20;
	t.w.opts.segment_bytes = 8u << 20;
	t.w.net.hold_skip = 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_true(t.w.rec.journal_ops > 2);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_let(&t.w);
	assert_int_equal(vol_detach(&t.w), 0);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	jworld_end(&t);
}

/* A superblock that rots lets its predecessor count, whose records are gone. */
static void test_rotten_superblock(void **state)
{
	uint32_t copy, i;
	struct jworld t;

	(void)state;
	begin_large(&t, 7);
	for (i = 0; i < 150; i++) {
		jworld_write(&t, i % 10 * 256, 256);
		assert_int_equal(vol_flush(&t.w), 0);
	}
	fill_ring(&t);
	assert_true(t.w.v->journal->sb.start > JWORLD_SIZE);
	copy = t.w.v->journal->sb_copy;
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	*jdisk_at(t.w.jdisk, copy * FMT_JOURNAL_SB_LEN + 90) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	*jdisk_at(t.w.jdisk, copy * FMT_JOURNAL_SB_LEN + 90) ^= 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.w.durable, t.m.ops);
	jworld_end(&t);
}

/* ---- whose journal it is -------------------------------------------------------------------- */

static void test_open_journal_is_missed(void **state)
{
	struct jdev *dev;
	struct vol b;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 8);
	jworld_hold(&t.w);
	jworld_write(&t, 1, 1);
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
	jworld_end(&t);
}

static void test_clean_journal_is_not_missed(void **state)
{
	struct vol b;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 9);
	jworld_write(&t, 1, 1);
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
	jworld_hold(&t.w);
	jworld_write(&t, 3, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 3, 3);
	jworld_end(&t);
}

/* Another host took over, with consent: what only the journal has is never mixed into its log. */
static void takeover(bool writes)
{
	uint64_t head;
	struct vol b;
	struct jworld t;

	jworld_begin(&t, 10 + writes);
	jworld_write(&t, 1, 1);
	jworld_let(&t.w);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	jworld_hold(&t.w);
	jworld_write(&t, 1, 1);
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
	jworld_end(&t);
}

/* Only its journal has what a host has flushed; its power fails; @b may take over. */
static void flushed_and_cut(struct jworld *t, struct vol *b, uint64_t seed)
{
	jworld_begin(t, seed);
	jworld_hold(&t->w);
	jworld_write(t, 1, 1);
	assert_int_equal(vol_flush(&t->w), 0);
	t->w.net.die_drops = true;
	vol_cut(&t->w);
	t->w.net.hold[0] = 0;
	vol_share(b, &t->w);
	b->opts.accept_loss = true;
}

/* The host that comes back must not stop the one that has taken over. */
static void test_set_aside_quietly(void **state)
{
	struct vol b;
	struct jworld t;

	(void)state;
	flushed_and_cut(&t, &b, 15);
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
	jworld_end(&t);
}

/*
 * The fence by which another host has taken over lies behind a checkpoint of his; none can be seen,
 * or a later one, beyond all that the journal holds.
 */
static void test_set_aside_behind_a_checkpoint(void **state)
{
	struct vol b;
	struct jworld t;
	uint64_t sum;

	(void)state;
	flushed_and_cut(&t, &b, 20);
	sum = jdisk_sum(t.w.jdisk);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_write(&b, 0, 9, 1, 7), 0);
	assert_int_equal(vol_detach(&b), 0);
	t.w.opts.takeover = true;
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_end(&b);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_true(jdisk_sum(t.w.jdisk) == sum);
	jworld_end(&t);
}

/* As 'zerofs journal discard' leaves it: empty, from a position on where no record ever was. */
static void discard(struct vol *w)
{
	const uint8_t *key = keys_get(w->kr, KEYS_JOURNAL);
	struct fmt_journal_sb sb[2] = { { 0 } };
	uint32_t i, old;

	for (i = 0; i < 2; i++)
		fmt_journal_sb_open(&sb[i], jdisk_at(w->jdisk, i * FMT_JOURNAL_SB_LEN),
				    FMT_JOURNAL_SB_LEN, keys_uuid(w->kr), NULL, key);
	old = sb[0].generation > sb[1].generation;
	sb[!old].generation++;
	sb[!old].start = 7 * (JWORLD_SIZE - FMT_JOURNAL_RING_OFF);
	memset(sb[!old].start_prev, 0, sizeof(sb[!old].start_prev));
	sb[!old].clean = true;
	assert_int_equal(fmt_journal_sb_seal(jdisk_at(w->jdisk, old * FMT_JOURNAL_SB_LEN),
					     &sb[!old], keys_uuid(w->kr), key),
			 0);
}

static void test_discarded(void **state)
{
	struct vol b;
	struct jworld t;

	(void)state;
	flushed_and_cut(&t, &b, 17);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_detach(&b), 0);
	vol_end(&b);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	discard(&t.w);
	assert_int_equal(vol_attach(&t.w, false), 0);
	model_cut(&t.m, vol_assert_prefix(&t.w, &t.m, 0, 0));
	jworld_hold(&t.w);
	jworld_write(&t, 5, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 1, 1);
	jworld_end(&t);
}

/*
 * A disk as it was before its journal was discarded: what it holds is of the history that was given
 * up, though the last fence names it. @other: another host's fence lies between, which the log
 * shows. Else the arena knows that its owner had a younger one.
 */
static void copy_from_before_discard(bool other)
{
	struct jdisk_copy *copy;
	struct vol b;
	struct jworld t;
	uint64_t sum;

	flushed_and_cut(&t, &b, 21 + other);
	copy = jdisk_save(t.w.jdisk);
	sum = jdisk_sum(t.w.jdisk);
	if (other) {
		assert_int_equal(vol_attach(&b, false), 0);
		vol_kill(&b);
	}
	vol_end(&b);
	discard(&t.w);
	t.w.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	model_cut(&t.m, vol_assert_prefix(&t.w, &t.m, 0, 0));
	jworld_hold(&t.w);
	jworld_write(&t, 5, 1);
	if (other)
		vol_cut(&t.w);
	else
		vol_kill(&t.w);
	t.w.net.hold[0] = 0;
	jdisk_restore(t.w.jdisk, copy);
	jdisk_copy_free(copy);
	assert_int_equal(vol_attach(&t.w, true), other ? -EUCLEAN : -ESTALE);
	assert_true(jdisk_sum(t.w.jdisk) == sum);
	/* without it all is there that can be */
	t.w.env.journal = NULL;
	t.w.opts.flush_local = false;
	assert_int_equal(vol_attach(&t.w, true), 0);
	assert_true(other || t.w.rec.adopted);
	vol_assert_prefix(&t.w, &t.m, !other, !other);
	jworld_end(&t);
}

static void test_copy_from_before_discard(void **state)
{
	(void)state;
	copy_from_before_discard(true);
	copy_from_before_discard(false);
}

/* Another host that had got no further than its head has changed nothing. */
static void test_head_alone_changes_nothing(void **state)
{
	struct vol b;
	struct jworld t;

	(void)state;
	flushed_and_cut(&t, &b, 16);
	jworld_hold(&b);
	b.net.die_drops = true;
	assert_int_equal(vol_attach(&b, false), -EINTR); /* its fence never gets there */
	vol_end(&b);
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	t.w.opts.takeover = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 1, 1);
	jworld_end(&t);
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
	struct jworld t;

	(void)state;
	jworld_begin(&t, 14);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	assert_int_equal(vol_detach(&t.w), 0);
	assert_int_equal(mem_clone(t.w.mem, &then), 0);
	assert_int_equal(vol_attach(&t.w, false), 0);
	jworld_write(&t, 2, 1);
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
	jworld_end(&t);
}

static void test_not_a_journal(void **state)
{
	struct jworld t, other;

	(void)state;
	jworld_begin(&t, 12);
	jworld_write(&t, 1, 1);
	assert_int_equal(vol_flush(&t.w), 0);
	vol_cut(&t.w);
	jdisk_restore(t.w.jdisk, NULL);
	assert_int_equal(vol_attach(&t.w, false), -ENODATA);
	*jdisk_at(t.w.jdisk, 5) = 1;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	jworld_end(&t);
	jworld_begin(&other, 13);
	memset(&t, 0, sizeof(t));
	assert_int_equal(vol_detach(&other.w), 0);
	other.w.jdisk->dev.size = JWORLD_SIZE - 4096;
	assert_int_equal(vol_attach(&other.w, false), -EBADMSG);
	other.w.jdisk->dev.size = JWORLD_SIZE;
	jworld_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_without_the_store),
		cmocka_unit_test(test_flush_cuts_no_batch),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_round_and_round),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_failed_write_is_final),
		cmocka_unit_test(test_rot_is_not_the_end),
		cmocka_unit_test(test_torn_behind_the_store),
		cmocka_unit_test(test_rotten_pad),
		cmocka_unit_test(test_rest_of_a_pad),
		cmocka_unit_test(test_rotten_superblock),
		cmocka_unit_test(test_open_journal_is_missed),
		cmocka_unit_test(test_clean_journal_is_not_missed),
		cmocka_unit_test(test_set_aside_quietly),
		cmocka_unit_test(test_set_aside_behind_a_checkpoint),
		cmocka_unit_test(test_discarded),
		cmocka_unit_test(test_copy_from_before_discard),
		cmocka_unit_test(test_head_alone_changes_nothing),
		cmocka_unit_test(test_set_aside),
		cmocka_unit_test(test_store_rolled_back),
		cmocka_unit_test(test_not_a_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
