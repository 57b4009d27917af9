// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaves of the base map on demand: what an attach fetches and what it does not, what waits for
 * them, what damage costs, and that the account stays exact.
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
#include "volume/vol.h"

#define LEAF EMAP_LEAF_BLOCKS

struct fixture {
	struct vol w;
	struct model m;
	uint32_t blocks;
};

static void begin(struct fixture *f, uint32_t leaves)
{
	memset(f, 0, sizeof(*f));
	f->blocks = leaves * LEAF;
	vol_init(&f->w, 70, 1, f->blocks * 4096ull);
	f->w.opts.checkpoint_segments = 1000;
	f->w.opts.frame_bytes = 128u << 10;
	model_init(&f->m, 1, f->blocks);
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

static void zero(struct fixture *f, uint8_t io_op, uint64_t lba, uint32_t n)
{
	struct vol_io x = { .heap = false };

	vol_submit(&x, &f->w, io_op, 0, 0, lba, n, model_op(&f->m, 0, lba, n, false));
	assert_int_equal(vol_wait(&x), 0);
}

static void attach_again(struct fixture *f)
{
	assert_int_equal(vol_detach(&f->w), 0);
	assert_int_equal(vol_attach(&f->w, false), 0);
}

static uint64_t nr_leaves(const struct vol *w)
{
	struct emap_dev *d = &w->v->base.devs[0];
	uint64_t no, n = 0;

	for (no = 0; emap_next_leaf(d, &no); no++)
		n++;
	return n;
}

/* A volume with an extent per @step blocks, in a checkpoint, attached anew; returns the GETs. */
static unsigned int filled(struct fixture *f, uint32_t leaves, uint32_t step)
{
	unsigned int gets;
	uint64_t i;

	begin(f, leaves);
	f->w.check = false; /* a scan of all that is there after each of so many writes */
	for (i = 0; i < f->blocks; i += step)
		write_blocks(f, i, 1);
	assert_int_equal(vol_detach(&f->w), 0);
	f->w.net.gets = 0;
	assert_int_equal(vol_attach(&f->w, false), 0);
	gets = f->w.net.gets;
	vol_settle(&f->w);
	return gets;
}

/* ---- what is fetched ------------------------------------------------------------------------- */

/*
 * As many GETs for a big map as for a small one, no leaf, and then only those that are touched, and
 * those beside them that the same blocks of the run say all of.
 */
static void test_lazy(void **state)
{
	struct fixture small, big;
	uint8_t buf[2 * 4096];
	unsigned int gets;
	uint64_t known;

	(void)state;
	gets = filled(&small, 2, 64);
	assert_int_equal(filled(&big, 40, 3), gets);
	assert_true(big.w.v->runs.x[0].nr_blocks > 2);
	assert_int_equal(nr_leaves(&big.w), 0);

	/* one GET of a block of the run, one of a frame */
	big.w.net.gets = 0;
	assert_int_equal(vol_read(&big.w, 0, 30 * LEAF + 4, 1, buf), 0);
	assert_int_equal(big.w.net.gets, 1); /* a hole */
	assert_int_equal(vol_read(&big.w, 0, 30 * LEAF + 6, 1, buf), 0);
	assert_int_equal(model_stamp(buf, 0, 30 * LEAF + 6), model_now(&big.m, 0, 30 * LEAF + 6));
	assert_int_equal(big.w.net.gets, 2);
	known = nr_leaves(&big.w);
	assert_true(known > 1 && known < 30);
	/* another leaf that has come along: a GET of the frame, and no more */
	assert_non_null(emap_leaf(&big.w.v->base.devs[0], 31));
	assert_int_equal(vol_read(&big.w, 0, 31 * LEAF + 5, 1, buf), 0);
	assert_int_equal(model_stamp(buf, 0, 31 * LEAF + 5), model_now(&big.m, 0, 31 * LEAF + 5));
	assert_int_equal(big.w.net.gets, 3);
	assert_int_equal(nr_leaves(&big.w), known);
	assert_null(emap_leaf(&big.w.v->base.devs[0], 5));

	/* a write loads what it changes; a flush does not wait for that */
	snprintf(big.w.net.hold, sizeof(big.w.net.hold), "seg/");
	write_blocks(&big, 5 * LEAF + 7, 2);
	assert_int_equal(nr_leaves(&big.w), known);
	big.w.net.hold[0] = 0;
	big.w.net.refuse_gets = -ETIMEDOUT;
	assert_int_equal(vol_flush(&big.w), 0);
	assert_int_equal(vol_read(&big.w, 0, 5 * LEAF + 7, 2, buf), 0);
	assert_int_equal(nr_leaves(&big.w), known);
	big.w.net.refuse_gets = 0;
	vol_advance(&big.w, 10000000);
	vol_settle(&big.w);
	assert_non_null(emap_leaf(&big.w.v->base.devs[0], 5));
	assert_true(nr_leaves(&big.w) > known);
	assert_true(list_empty(&big.w.v->batches));

	/* everything is what it was, and then volume_check() has compared the counts to a scan */
	vol_assert_prefix(&big.w, &big.m, big.m.ops, big.m.ops);
	assert_true(leaves_all_known(big.w.v));
	assert_int_equal(nr_leaves(&big.w), 40);
	end(&small);
	end(&big);
}

/* What no run covers is zero without a GET, and is written without one. */
static void test_uncovered(void **state)
{
	uint8_t buf[4096];
	struct fixture f;

	(void)state;
	begin(&f, 20);
	write_blocks(&f, 8 * LEAF, 4);
	write_blocks(&f, 9 * LEAF, 4);
	attach_again(&f);
	vol_settle(&f.w);
	f.w.net.gets = 0;
	assert_int_equal(vol_read(&f.w, 0, 2 * LEAF, 1, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, 10 * LEAF, 1, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, 9 * LEAF + 4, 1, buf), 0);
	assert_int_equal(f.w.net.gets, 1); /* the last one's leaf has some that is covered */
	f.w.net.gets = 0;
	write_blocks(&f, 12 * LEAF, 1);
	assert_int_equal(vol_flush(&f.w), 0);
	zero(&f, IO_DISCARD, 15 * LEAF, 5 * LEAF);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.gets, 0);
	assert_true(list_empty(&f.w.v->batches));
	attach_again(&f);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/*
 * A frame across two leaves, one of which is not loaded: what is overwritten of it is accounted
 * exactly.
 */
static void test_straddling(void **state)
{
	struct fixture f;
	uint32_t round;

	(void)state;
	for (round = 0; round < 3; round++) {
		begin(&f, 4);
		write_blocks(&f, LEAF - 10, 20);
		write_blocks(&f, 2 * LEAF - 3, 13);
		attach_again(&f);
		write_blocks(&f, round == 1 ? LEAF + 2 : LEAF - 5, 2);
		if (round == 2)
			zero(&f, IO_WRITE_ZEROES, LEAF + 9, LEAF);
		assert_int_equal(vol_flush(&f.w), 0);
		vol_settle(&f.w);
		assert_true(nr_leaves(&f.w) >= 2); /* the neighbour, too */
		attach_again(&f);
		vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
		assert_true(leaves_all_known(f.w.v));
		assert_int_equal(volume_check(f.w.v), 0);
		end(&f);
	}
}

/*
 * Discarding a whole device is answered, flushed and read back without a GET; the account follows,
 * and in memory there is next to nothing of it.
 */
static void test_discard_all(void **state)
{
	struct volume_stats s;
	uint8_t buf[4096];
	struct fixture f;

	(void)state;
	filled(&f, 40, 3);
	f.w.net.gets = 0;
	f.w.net.refuse_gets = -ETIMEDOUT;
	zero(&f, IO_DISCARD, 0, f.blocks);
	assert_int_equal(vol_flush(&f.w), 0);
	assert_int_equal(vol_read(&f.w, 0, 30 * LEAF + 6, 1, buf), 0);
	assert_int_equal(model_stamp(buf, 0, 30 * LEAF + 6), 0);
	assert_int_equal(f.w.net.gets, 0);
	volume_get_stats(f.w.v, &s);
	assert_true(s.live_bytes > 0);
	f.w.net.refuse_gets = 0;
	vol_advance(&f.w, 10000000);
	vol_settle(&f.w);
	assert_true(list_empty(&f.w.v->batches));
	assert_true(f.w.net.gets < 10); /* stretches of the run, not leaf by leaf */
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.live_bytes, 0);
	assert_int_equal(s.mapped_bytes, 0);
	assert_true(f.w.v->base.bytes < 40 * 256);
	attach_again(&f);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* Replay needs no leaf: an attach with segments behind the checkpoint loads none. */
static void test_replay(void **state)
{
	uint64_t i, segments;
	struct fixture f;
	unsigned int gets;

	(void)state;
	gets = filled(&f, 40, 3);
	for (i = 0; i < 40; i++)
		write_blocks(&f, i * LEAF + testrand_below(LEAF - 4), 4);
	zero(&f, IO_DISCARD, 3 * LEAF - 100, LEAF);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_kill(&f.w);
	f.w.net.gets = 0;
	assert_int_equal(vol_attach(&f.w, false), 0);
	segments = f.w.rec.segments_replayed;
	assert_true(segments > 1);
	assert_true(f.w.net.gets <= gets + 20); /* slots looked at ahead */
	assert_int_equal(nr_leaves(&f.w), 0);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	vol_settle(&f.w);
	assert_true(list_empty(&f.w.v->batches));
	assert_int_equal(f.w.v->applied_wno, f.w.v->committed_wno);
	/* dies before they are applied, again and again; then they are, in a checkpoint */
	for (i = 0; i < 3; i++) {
		vol_kill(&f.w);
		assert_int_equal(vol_attach(&f.w, false), 0);
		assert_int_equal(f.w.rec.segments_replayed, segments);
	}
	attach_again(&f);
	assert_int_equal(f.w.rec.segments_replayed, 0);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* Random operations over volumes that are attached again and again. */
static void test_random(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 700; seed < 700 + run_seeds(8); seed++) {
		struct run r;
		uint32_t i;

		run_begin(&r, seed, 1 + seed % 2);
		for (i = 0; i < 600; i++) {
			run_op(&r);
			if (testrand_below(60))
				continue;
			assert_int_equal(vol_flush(&r.w), 0);
			if (testrand_below(2))
				assert_int_equal(vol_detach(&r.w), 0);
			else
				vol_kill(&r.w);
			assert_int_equal(vol_attach(&r.w, false), 0);
			r.w.durable = r.m.ops;
			if (testrand_below(2))
				vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
		}
		vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
		vol_settle(&r.w);
		assert_true(leaves_all_known(r.w.v));
		assert_int_equal(volume_check(r.w.v), 0);
		run_end(&r);
	}
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

/*
 * The store is away: a READ waits for its leaf, others do not; when it comes back, it is answered.
 */
static void test_outage(void **state)
{
	struct vol_io x = { .heap = false };
	uint8_t buf[4096];
	struct fixture f;
	uint32_t i;

	(void)state;
	filled(&f, 10, 64);
	f.w.net.refuse_gets = -ETIMEDOUT;
	vol_submit(&x, &f.w, IO_READ, 0, 0, 3 * LEAF, 1, 0);
	for (i = 0; i < 60; i++)
		vol_step(&f.w);
	assert_false(x.done);
	write_blocks(&f, 4 * LEAF, 1);
	assert_int_equal(vol_read(&f.w, 0, 4 * LEAF, 1, buf), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	assert_false(x.done);
	f.w.net.refuse_gets = 0;
	assert_int_equal(vol_wait(&x), 0);
	volume_release(f.w.v, &x.io);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	/* and a daemon that dies while one waits */
	attach_again(&f);
	f.w.net.refuse_gets = -ETIMEDOUT;
	vol_submit(&x, &f.w, IO_READ, 0, 0, 3 * LEAF, 1, 0);
	vol_step(&f.w);
	vol_kill(&f.w);
	f.w.net.refuse_gets = 0;
	assert_int_equal(vol_attach(&f.w, false), 0);
	end(&f);
}

static uint8_t *run_of(struct fixture *f, size_t *ret_len)
{
	const struct fmt_run_ref *r = &f->w.v->runs.x[0].ref;
	char name[FMT_NAME_MAX];

	fmt_name_run(name, r->version, r->id);
	return mem_object(f->w.mem, name, ret_len);
}

/*
 * A block of a run is damaged: reads of what it may have held fail, others do not; what is
 * overwritten can be read again, and checkpoints go on.
 */
static void test_damage(void **state)
{
	const struct fmt_run_block *b;
	uint64_t from, to, lba;
	uint32_t failed = 0, ok = 0;
	uint8_t buf[4096], *p;
	struct fixture f;
	size_t len;

	(void)state;
	filled(&f, 40, 3);
	assert_true(f.w.v->runs.x[0].nr_blocks > 2);
	b = &f.w.v->runs.x[0].blocks[1];
	from = b->first_lba;
	to = b[1].first_lba;
	p = run_of(&f, &len);
	assert_non_null(p);
	p[b->off + 100] ^= 4;
	for (lba = 0; lba < f.blocks; lba += 101) {
		int err = vol_read(&f.w, 0, lba, 1, buf);

		assert_int_equal(err, lba >= from && lba < to ? -EBADMSG : 0);
		if (!err)
			assert_int_equal(model_stamp(buf, 0, lba), model_now(&f.m, 0, lba));
		failed += !!err;
		ok += !err;
	}
	assert_true(failed && ok);
	assert_non_null(strstr(f.w.notice, "run/"));

	write_blocks(&f, from + 5, 7);
	zero(&f, IO_WRITE_ZEROES, from + 20, 9);
	attach_again(&f); /* flushed, applied, in a checkpoint */
	assert_int_equal(vol_read(&f.w, 0, from + 4, 1, buf), -EBADMSG);
	for (lba = from + 5; lba < from + 12; lba++) {
		assert_int_equal(vol_read(&f.w, 0, lba, 1, buf), 0);
		assert_int_equal(model_stamp(buf, 0, lba), model_now(&f.m, 0, lba));
	}
	assert_int_equal(vol_read(&f.w, 0, from + 12, 1, buf), -EBADMSG);
	assert_int_equal(vol_read(&f.w, 0, from + 20, 1, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, from + 29, 1, buf), -EBADMSG);
	/* repaired, all is there */
	p = run_of(&f, &len);
	p[f.w.v->runs.x[0].blocks[1].off + 100] ^= 4;
	vol_kill(&f.w);
	f.w.check = false; /* the counts were not brought down where nobody knew what died */
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.check = false;
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* Damaged once only, on the way: fetched again, and nobody is told. */
static void test_damage_once(void **state)
{
	uint8_t buf[4096], *p;
	unsigned int notices;
	struct fixture f;
	size_t len;
	uint32_t i;

	(void)state;
	filled(&f, 2, 64);
	p = run_of(&f, &len);
	p[200] ^= 4;
	notices = f.w.notices;
	for (i = 0; i < 2; i++) {
		struct vol_io x = { .heap = false };

		vol_submit(&x, &f.w, IO_READ, 0, 0, 0, 1, 0);
		f.w.net.gets = 0;
		while (f.w.net.gets < 1 && !x.done)
			vol_step(&f.w);
		p[200] ^= i ? 0 : 4; /* whole again, for the second GET */
		assert_int_equal(vol_wait(&x), 0);
		volume_release(f.w.v, &x.io);
	}
	assert_int_equal(f.w.notices, notices);
	assert_int_equal(vol_read(&f.w, 0, 64, 1, buf), 0);
	end(&f);
}

/* The run has gone since the attach: what it held is lost, what was written since is not. */
static void test_run_missing(void **state)
{
	char name[FMT_NAME_MAX];
	struct fixture f;
	uint8_t buf[4096];

	(void)state;
	filled(&f, 4, 64);
	write_blocks(&f, LEAF + 3, 2);
	fmt_name_run(name, f.w.v->runs.x[0].ref.version, f.w.v->runs.x[0].ref.id);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	assert_int_equal(vol_read(&f.w, 0, 0, 1, buf), -EBADMSG);
	assert_int_equal(vol_read(&f.w, 0, LEAF + 3, 1, buf), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_settle(&f.w);
	assert_int_equal(vol_read(&f.w, 0, LEAF + 3, 1, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, LEAF + 6, 1, buf), -EBADMSG);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lazy),	    cmocka_unit_test(test_uncovered),
		cmocka_unit_test(test_straddling),  cmocka_unit_test(test_discard_all),
		cmocka_unit_test(test_replay),	    cmocka_unit_test(test_random),
		cmocka_unit_test(test_outage),	    cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damage_once), cmocka_unit_test(test_run_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
