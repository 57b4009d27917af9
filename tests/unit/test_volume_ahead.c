// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading ahead in a volume: what it saves, that what somebody waits for goes first, that it never
 * stops a READ, and that nothing else is fetched. volume_check() (V7) runs after each step.
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
#include "lib/testrand.h"
#include "lib/vol.h"
#include "store/mem.h"
#include "volume/vol.h"

#define STEP   32u /* blocks of a READ: 128 KiB */
#define BLOCKS (24u * 256) /* 24 MiB: 6 leaves */
#define READS  (BLOCKS / STEP)
#define FRAME  8u

struct fixture {
	struct vol w;
	struct model m;
	uint8_t *buf;
};

/* A volume that was written from begin to end, attached anew with nothing in its cache. */
static void begin_of(struct fixture *f, uint32_t read_ahead, uint32_t frame)
{
	uint32_t at;

	memset(f, 0, sizeof(*f));
	f->buf = malloc(STEP * 4096);
	assert_non_null(f->buf);
	vol_init(&f->w, 90, 1, BLOCKS * 4096ull);
	f->w.opts.read_ahead = read_ahead;
	f->w.opts.memory = 256u << 20;
	f->w.opts.segment_bytes = 8u << 20;
	f->w.opts.zstd_level = 0;
	f->w.opts.frame_bytes = frame * 4096;
	model_init(&f->m, 1, BLOCKS);
	assert_int_equal(vol_attach(&f->w, false), 0);
	f->w.check = false; /* not of each of these writes */
	for (at = 0; at < BLOCKS; at += STEP)
		assert_int_equal(vol_write(&f->w, 0, at, STEP, model_op(&f->m, 0, at, STEP, true)),
				 0);
	assert_int_equal(vol_detach(&f->w), 0);
	assert_int_equal(vol_attach(&f->w, false), 0);
	f->w.check = true;
	f->w.net.gets = 0;
}

static void begin(struct fixture *f, uint32_t read_ahead)
{
	begin_of(f, read_ahead, FRAME);
}

static void end(struct fixture *f)
{
	vol_end(&f->w);
	model_free(&f->m);
	free(f->buf);
}

static void get(struct fixture *f, uint64_t lba, uint32_t n)
{
	uint32_t i;

	assert_int_equal(vol_read(&f->w, 0, lba, n, f->buf), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(model_stamp(f->buf + i * 4096, 0, lba + i),
				 model_now(&f->m, 0, lba + i));
}

static uint32_t length(const struct list_head *l)
{
	const struct list_head *i;
	uint32_t n = 0;

	for (i = l->next; i != l; i = i->next)
		n++;
	return n;
}

/* Three READs from @lba on: a stream. */
static void stream_from(struct fixture *f, uint64_t lba)
{
	uint32_t i;

	for (i = 0; i < 3; i++)
		get(f, lba + i * STEP, STEP);
}

/*
 * Read from begin to end: fewer GETs than READs, each frame fetched once, and the bytes are right.
 */
static void test_sequential(void **state)
{
	struct fixture f;
	unsigned int without, with;
	uint32_t i;

	(void)state;
	begin(&f, 0);
	for (i = 0; i < READS; i++)
		get(&f, i * STEP, STEP);
	without = f.w.net.gets;
	assert_true(without >= READS);
	assert_int_equal(f.w.v->cache.ahead_bytes, 0);
	end(&f);

	begin(&f, 8u << 20);
	for (i = 0; i < READS; i++) {
		get(&f, i * STEP, STEP);
		vol_settle(&f.w);
	}
	with = f.w.net.gets;
	/* GETs of 1 MiB: 24, those of the small windows, and of the map */
	assert_true(with < 60);
	assert_true(f.w.v->cache.ahead_bytes >= (BLOCKS - 8 * STEP) * 4096ull);
	assert_true(f.w.v->cache.ahead_bytes <= BLOCKS * 4096ull);
	assert_int_equal(f.w.v->cache.ahead_used, f.w.v->cache.ahead_bytes);
	assert_int_equal(f.w.v->st.corrupt_frames, 0);
	/* memory of GETs is used again: no more of it than was under way at once (bound: V7) */
	assert_true(f.w.v->nr_bodies > 0);
	/* once more, out of the cache: nothing is fetched */
	f.w.net.gets = 0;
	for (i = 0; i < 8; i++)
		get(&f, BLOCKS / 2 + i * STEP, STEP);
	assert_int_equal(f.w.net.gets, 0);
	end(&f);
}

/* Leaves that another block of the run says are known before the reader comes to them. */
static void test_leaves(void **state)
{
	struct fixture f;
	struct emap_dev *d;
	uint32_t i;

	(void)state;
	begin_of(&f, 8u << 20, 1);
	d = &f.w.v->base.devs[0];
	get(&f, 0, 1);
	vol_settle(&f.w);
	assert_non_null(emap_leaf(d, 0));
	assert_null(emap_leaf(d, 5));
	for (i = 0; i < EMAP_LEAF_BLOCKS + 512; i += STEP)
		get(&f, i, STEP);
	vol_settle(&f.w);
	assert_non_null(emap_leaf(d, 5));
	end(&f);
}

/* Random READs fetch their frames and nothing else. */
static void test_random(void **state)
{
	struct fixture f;
	uint32_t i, misses;

	(void)state;
	begin(&f, 8u << 20);
	get(&f, 0, 1);
	for (i = 0; i < BLOCKS; i += EMAP_LEAF_BLOCKS)
		get(&f, i, 1); /* the map */
	f.w.net.gets = 0;
	misses = f.w.v->st.cache_misses;
	for (i = 0; i < 300; i++)
		get(&f, testrand_below(BLOCKS), 1);
	assert_int_equal(f.w.net.gets, f.w.v->st.cache_misses - misses);
	assert_int_equal(f.w.v->cache.ahead_bytes, 0);
	end(&f);
}

/* Holds GETs of segments back, begins a stream and lets only one of its GETs be under way. */
static void one_under_way(struct fixture *f, struct vol_io *x, uint64_t cap)
{
	uint32_t i;

	for (i = 0; i < 8; i++)
		get(f, i * STEP, STEP);
	vol_settle(&f->w);
	snprintf(f->w.net.hold, sizeof(f->w.net.hold), FMT_PREFIX_SEG);
	f->w.net.hold_op = STORE_GET;
	f->w.v->fetch_cap = cap;
	/* up to the end of what is there; then one that has to wait */
	for (i = 8; !length(&f->w.v->aheads); i++) {
		assert_true(i < 64);
		vol_submit(&x[i], &f->w, IO_READ, 0, 0, i * STEP, STEP, 0);
		vol_settle(&f->w);
	}
}

static void finish(struct fixture *f, struct vol_io *x, uint32_t nr)
{
	uint32_t i;

	f->w.net.hold[0] = 0;
	net_release(&f->w.net);
	for (i = 0; i < nr; i++) {
		if (!x[i].w)
			continue;
		assert_int_equal(vol_wait(&x[i]), 0);
		volume_release(f->w.v, &x[i].io);
	}
}

/* What somebody waits for goes before what is only planned, also if it is just that. */
static void test_demand_first(void **state)
{
	struct vol_io *x = calloc(66, sizeof(*x));
	struct fetch *first;
	struct fixture f;
	struct stream *st = NULL;
	uint32_t i, planned;

	(void)state;
	assert_non_null(x);
	begin(&f, 8u << 20);
	get(&f, BLOCKS - 1, 1); /* the leaf */
	one_under_way(&f, x, 2u << 20);
	planned = length(&f.w.v->aheads);
	first = (struct fetch *)f.w.v->aheads.next;
	assert_true(f.w.v->ahead_bytes <= f.w.v->fetch_cap / 4 * 3);

	/* elsewhere: it is with the store at once */
	i = f.w.net.nr_held;
	vol_submit(&x[64], &f.w, IO_READ, 0, 0, BLOCKS - 200, 1, 0);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.nr_held, i + 1);
	assert_ptr_equal((struct fetch *)f.w.v->aheads.next, first);
	assert_int_equal(length(&f.w.v->aheads), planned);

	/* a frame that is planned: not fetched twice, and no more behind the others */
	for (i = 0; i < f.w.v->streams.nr; i++)
		if (f.w.v->streams.s[i].found)
			st = &f.w.v->streams.s[i];
	assert_non_null(st);
	vol_submit(&x[65], &f.w, IO_READ, 0, 0, st->head - 1, 1, 0);
	vol_settle(&f.w);
	assert_int_equal(length(&f.w.v->aheads), planned - 1);
	finish(&f, x, 66);
	vol_settle(&f.w);
	assert_int_equal(length(&f.w.v->aheads), 0);
	assert_int_equal(f.w.v->fetch_bytes, 0);
	end(&f);
	free(x);
}

/* The store is away: nothing is read ahead, and what was gives its slots to a READ. */
static void test_outage(void **state)
{
	struct vol_io *x = calloc(66, sizeof(*x));
	struct fixture f;
	uint32_t i;

	(void)state;
	assert_non_null(x);
	begin(&f, 8u << 20);
	f.w.v->streams.budget = ~0ull; /* as much as there is cache */
	get(&f, BLOCKS - 1, 1); /* the leaf */
	one_under_way(&f, x, 2u << 20);
	f.w.net.refuse_gets = -ETIMEDOUT;
	net_release(&f.w.net);
	f.w.net.hold[0] = 0;
	vol_settle(&f.w);
	assert_int_equal(f.w.v->sio.outage[STORE_GET], -ETIMEDOUT);
	assert_true(length(&f.w.v->aheads) > 0);
	i = length(&f.w.v->fetching);

	/* no more of it goes while a GET fails, though there is memory */
	f.w.v->fetch_cap = 64u << 20;
	vol_submit(&x[65], &f.w, IO_READ, 0, 0, BLOCKS - 400, 1, 0);
	vol_settle(&f.w);
	assert_int_equal(length(&f.w.v->fetching), i + 1);
	assert_true(length(&f.w.v->aheads) > 0);
	i++;

	/* all slots are gone: as many as there are, by hand */
	while (cache_new(&f.w.v->cache, ~0u, 0, FRAME))
		f.w.check = false; /* the pins are nobody's */
	vol_submit(&x[64], &f.w, IO_READ, 0, 0, BLOCKS - 200, 1, 0);
	vol_settle(&f.w);
	assert_true(list_empty(&f.w.v->stalled));
	assert_int_equal(length(&f.w.v->aheads), 0);
	assert_true(length(&f.w.v->fetching) <= i);

	f.w.net.refuse_gets = 0;
	vol_advance(&f.w, 10000000);
	finish(&f, x, 66);
	vol_settle(&f.w);
	assert_int_equal(f.w.v->fetch_bytes, 0);
	assert_int_equal(f.w.v->ahead_bytes, 0);
	assert_int_equal(f.w.v->nr_aheads, 0);
	end(&f);
	free(x);
}

/* READs that wait for memory, of frames that lie side by side: one GET. */
static void test_joined(void **state)
{
	struct vol_io *x = calloc(66, sizeof(*x));
	struct fixture f;
	unsigned int gets;
	uint32_t i;

	(void)state;
	assert_non_null(x);
	begin(&f, 0);
	get(&f, 0, 1);
	f.w.v->fetch_cap = 1;
	gets = f.w.net.gets;
	vol_submit(&x[0], &f.w, IO_READ, 0, 0, 100 * FRAME, 1, 0);
	/* the third of four last, and one that is too far off */
	for (i = 1; i < 5; i++)
		vol_submit(&x[i], &f.w, IO_READ, 0, 0, (110 + (i * 3) % 5) * FRAME, 1, 0);
	vol_submit(&x[5], &f.w, IO_READ, 0, 0, 30 * FRAME, 1, 0);
	finish(&f, x, 6);
	assert_int_equal(f.w.net.gets, gets + 3);
	end(&f);
	free(x);
}

/* A frame that was read ahead is damaged: told, and -EBADMSG for who asks, and for nobody else. */
static void test_damaged(void **state)
{
	struct fixture f;
	struct emap_ext e;
	char name[FMT_NAME_MAX];
	uint8_t *p;
	size_t len;

	(void)state;
	begin(&f, 8u << 20);
	get(&f, 0, 1);
	assert_true(emap_find(&f.w.v->base.devs[0], 3 * STEP + FRAME, 1, &e));
	fmt_name_seg(name, f.w.v->segs.ents[e.owner].rec.seq);
	p = mem_object(f.w.mem, name, &len);
	assert_non_null(p);
	p[e.pos + 20] ^= 1;
	stream_from(&f, 0);
	vol_settle(&f.w);
	assert_int_equal(f.w.v->st.corrupt_frames, 1);
	assert_int_equal(vol_read(&f.w, 0, 3 * STEP + FRAME, 1, f.buf), -EBADMSG);
	get(&f, 3 * STEP, FRAME);
	get(&f, 3 * STEP + 2 * FRAME, STEP);
	end(&f);
}

/* A GET that was planned ahead and that a READ waits for finds memory, whatever is ahead of it. */
static void test_promoted(void **state)
{
	struct vol_io *x = calloc(65, sizeof(*x));
	struct fixture f;
	struct stream *st = NULL;
	uint32_t i;

	(void)state;
	assert_non_null(x);
	begin(&f, 8u << 20);
	one_under_way(&f, x, 2u << 20);
	assert_true(f.w.v->ahead_bytes > 1u << 20);
	for (i = 0; i < f.w.v->streams.nr; i++)
		if (f.w.v->streams.s[i].found)
			st = &f.w.v->streams.s[i];
	assert_non_null(st);
	i = f.w.net.nr_held;
	vol_submit(&x[64], &f.w, IO_READ, 0, 0, st->head - 1, 1, 0);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.nr_held, i + 1);
	assert_true(list_empty(&f.w.v->fetches));
	finish(&f, x, 65);
	vol_settle(&f.w);
	assert_int_equal(f.w.v->fetch_bytes, 0);
	end(&f);
	free(x);
}

/* A block that lies only in the journal. */
static uint64_t in_journal(struct vol *w)
{
	struct emap_ext e;
	uint64_t lba;

	for (lba = BLOCKS / 2; lba < BLOCKS; lba += e.nblocks)
		if (emap_find(&w->v->overlay.devs[0], lba, 256, &e) && e.kind == EMAP_JOURNAL)
			return lba;
	return 0;
}

/* The store hangs: what is in the journal is read all the same, whatever is read ahead. */
static void test_journal(void **state)
{
	struct vol_io *x = calloc(66, sizeof(*x));
	struct fixture f;
	uint64_t lba;
	uint32_t i;

	(void)state;
	assert_non_null(x);
	begin(&f, 8u << 20);
	assert_int_equal(vol_detach(&f.w), 0);
	vol_journal(&f.w, 128u << 20);
	f.w.opts.memory = 150u << 20;
	assert_int_equal(vol_attach(&f.w, false), 0);
	f.w.net.refuse_puts = -ETIMEDOUT;
	for (i = 0; !(lba = in_journal(&f.w)); i++) {
		assert_true(i < 100);
		assert_int_equal(vol_write(&f.w, 0, BLOCKS / 2 + i % 12 * 256, 256,
					   model_op(&f.m, 0, BLOCKS / 2 + i % 12 * 256, 256, true)),
				 0);
	}
	for (i = 0; i < 24; i++)
		get(&f, i * STEP, STEP);
	vol_settle(&f.w);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), FMT_PREFIX_SEG);
	f.w.net.hold_op = STORE_GET;
	for (i = 24; !f.w.v->ahead_bytes; i++) {
		assert_true(i < 64);
		vol_submit(&x[i], &f.w, IO_READ, 0, 0, i * STEP, STEP, 0);
		vol_settle(&f.w);
	}
	/* what is left is less than a record of 1 MiB takes */
	f.w.v->fetch_cap = f.w.v->fetch_bytes + (1u << 20);
	vol_submit(&x[64], &f.w, IO_READ, 0, 0, lba, 1, 0);
	vol_settle(&f.w);
	assert_true(x[64].done);

	/* the same with all memory taken by what READs wait for */
	f.w.v->fetch_cap = 1;
	vol_submit(&x[65], &f.w, IO_READ, 0, 0, lba + 2, 1, 0);
	vol_settle(&f.w);
	assert_true(x[65].done);
	finish(&f, x, 66);
	end(&f);
	free(x);
}

/* Overwritten so that of each frame one block is left: what is read ahead takes many slots. */
static void shred(struct fixture *f)
{
	uint32_t at, k;

	f->w.check = false;
	for (k = 1; k < FRAME; k++) {
		for (at = k; at < BLOCKS; at += FRAME)
			assert_int_equal(vol_write(&f->w, 0, at, FRAME - k,
						   model_op(&f->m, 0, at, FRAME - k, true)),
					 0);
		assert_int_equal(vol_flush(&f->w), 0);
	}
	assert_int_equal(vol_detach(&f->w), 0);
	f->w.opts.memory = 150u << 20;
	assert_int_equal(vol_attach(&f->w, false), 0);
	f->w.check = true;
}

/* Bytes of slots that wait for the store and that nobody has asked for. */
static uint64_t loading_ahead(const struct cache *c)
{
	uint64_t bytes = 0;
	uint32_t i, k;

	for (i = 0; i < c->nr_slabs; i++)
		for (k = 0; c->slabs[i].ents && k < c->slabs[i].nr; k++)
			if (c->slabs[i].ents[k].state == CACHE_LOADING && c->slabs[i].ents[k].ahead)
				bytes += 4096ull << c->slabs[i].cls;
	return bytes;
}

/* Slots, not blocks, are what a READ may lack: no more than a quarter waits for the store. */
static void test_slots(void **state)
{
	struct vol_io *x = calloc(64, sizeof(*x));
	struct fixture f;
	uint64_t quarter;
	uint32_t i;

	(void)state;
	assert_non_null(x);
	begin(&f, 8u << 20);
	shred(&f);
	quarter = (uint64_t)f.w.v->cache.nr_slabs * CACHE_SLAB_PAGES * 4096 / 4;
	get(&f, BLOCKS - 1, 1); /* the leaf */
	for (i = 0; i < 32; i++)
		get(&f, i * STEP, STEP);
	vol_settle(&f.w);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), FMT_PREFIX_SEG);
	f.w.net.hold_op = STORE_GET;
	f.w.v->fetch_cap = 1u << 30;
	for (; i < 64; i++) {
		vol_submit(&x[i], &f.w, IO_READ, 0, 0, i * STEP, STEP, 0);
		vol_settle(&f.w);
		assert_true(loading_ahead(&f.w.v->cache) <= quarter);
	}
	assert_true(loading_ahead(&f.w.v->cache) > quarter / 2);
	finish(&f, x, 64);
	vol_settle(&f.w);
	end(&f);
	free(x);
}

/* Who ends or lets go of the volume does not wait for what nobody has asked for. */
static void ends(int (*how)(struct volume *v))
{
	struct fixture f;
	uint32_t i;

	begin(&f, 8u << 20);
	f.w.v->fetch_cap = 2u << 20;
	for (i = 0; length(&f.w.v->aheads) < 3; i++) {
		assert_true(i < READS);
		get(&f, i * STEP, STEP);
	}
	/* what is not under way yet */
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), FMT_PREFIX_SEG);
	f.w.net.hold_op = STORE_GET;
	assert_int_equal(how(f.w.v), 0);
	vol_settle(&f.w);
	assert_true(list_empty(&f.w.v->aheads));
	assert_int_equal(f.w.net.nr_held, 0);
	assert_int_equal(f.w.v->fetch_bytes, 0);
	end(&f);
}

static int let_go(struct volume *v)
{
	volume_ending(v);
	return volume_drain(v);
}

static int lose(struct volume *v)
{
	volume_superseded(v, "a test says so");
	return 0;
}

static void test_ends(void **state)
{
	(void)state;
	ends(volume_detach);
	ends(let_go);
	ends(lose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential), cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_demand_first),
		cmocka_unit_test(test_outage),	   cmocka_unit_test(test_joined),
		cmocka_unit_test(test_damaged),	   cmocka_unit_test(test_ends),
		cmocka_unit_test(test_slots),	   cmocka_unit_test(test_promoted),
		cmocka_unit_test(test_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
