// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a volume goes about it: what a flush costs, who shares what, what is fetched and what is not
 * copied, and how long bytes stay where a READ was told they are.
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

struct fixture {
	struct vol w;
	struct model m;
};

static void begin(struct fixture *f, uint64_t dev_size)
{
	vol_init(&f->w, 50, 1, dev_size);
	model_init(&f->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&f->w, false), 0);
	vol_settle(&f->w);
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

static struct volume_stats stats(struct fixture *f)
{
	struct volume_stats s;

	volume_get_stats(f->w.v, &s);
	return s;
}

/* A FLUSH with nothing to do is answered on the spot; one with something to do costs one PUT. */
static void test_flush_cost(void **state)
{
	struct vol_io x = { .heap = false };
	struct fixture f;
	unsigned int puts;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	vol_submit(&x, &f.w, IO_FLUSH, 0, 0, 0, 0, 0);
	assert_true(x.done);
	write_blocks(&f, 3, 1);
	puts = f.w.net.puts;
	assert_int_equal(vol_flush(&f.w), 0);
	assert_int_equal(f.w.net.puts, puts + 1);
	vol_submit(&x, &f.w, IO_FLUSH, 0, 0, 0, 0, 0);
	assert_true(x.done);
	assert_true(x.io.dur >= stats(&f).wno);
	end(&f);
}

/* Many flushes at once share a few segments, and none waits for more than two PUTs in a row. */
static void test_flushes_share(void **state)
{
	struct fixture f;
	uint64_t before;
	uint32_t i;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	before = stats(&f).segments_sealed;
	for (i = 0; i < 200; i++)
		vol_submit(vol_io_new(), &f.w, IO_WRITE, IO_F_FUA, 0, i, 1,
			   model_op(&f.m, 0, i, 1, true));
	assert_int_equal(f.w.durable, 0);
	vol_settle(&f.w); /* no time passes */
	assert_int_equal(f.w.durable, 200);
	assert_int_equal(f.w.pending, 0);
	/* the first ones at once, the others as large as a segment may be (64 blocks here) */
	assert_true(stats(&f).segments_sealed - before <= 9);
	end(&f);
}

/* As many segments are on their way as the window has slots, and no more. */
static void test_window_is_used(void **state)
{
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f, 4 * RUN_BLOCKS * 4096ull);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "seg/");
	for (i = 0; i < 2 * 16; i++)
		write_blocks(&f, 32 * i % RUN_BLOCKS, 32); /* two make a segment */
	for (i = 0; i < 4; i++)
		write_blocks(&f, 32 * i, 32);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.nr_held, 16);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	assert_int_equal(vol_flush(&f.w), 0);
	end(&f);
}

/* Segments of data that compresses are as large in the store as others, and shrink again. */
static void test_segments_are_full(void **state)
{
	struct volume_stats s[3];
	struct fixture f;
	uint32_t i, k;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	/* even: compresses, odd: does not; the first segments of each are for learning */
	for (k = 0; k < 2; k++) {
		for (i = 0; i < 200; i++) {
			if (i == 50)
				s[0] = stats(&f);
			assert_int_equal(vol_write(&f.w, 0, 16 * i % RUN_BLOCKS, 16, 2 + k), 0);
			vol_settle(&f.w);
		}
		s[1 + k] = stats(&f);
		s[1 + k].raw_bytes_sealed -= s[0].raw_bytes_sealed;
		s[1 + k].segments_sealed -= s[0].segments_sealed;
	}
	assert_true(s[1].raw_bytes_sealed >=
		    s[1].segments_sealed * (f.w.opts.segment_bytes * 19ull / 10));
	assert_int_equal(s[2].raw_bytes_sealed, s[2].segments_sealed * f.w.opts.segment_bytes);
	end(&f);
}

/*
 * The lowest upload does not end: the others go on up to W slots from it, and no further, though
 * more segments are ready and few uploads are under way.
 */
static void test_window(void **state)
{
	char name[FMT_NAME_MAX];
	struct fixture f;
	uint64_t lowest;
	uint32_t i;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	lowest = stats(&f).next_seq;
	fmt_name_seg(f.w.net.hold, lowest);
	f.w.net.puts = 0;
	for (i = 0; i < 3 * VOL_WINDOW; i++) {
		write_blocks(&f, 64 * i, 64); /* a segment, or half of one if it compresses */
		vol_settle(&f.w);
	}
	assert_true(stats(&f).segments_sealed > VOL_WINDOW);
	assert_int_equal(f.w.net.puts, VOL_WINDOW - 1);
	fmt_name_seg(name, lowest + VOL_WINDOW - 1);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	fmt_name_seg(name, lowest + VOL_WINDOW);
	assert_int_equal(mem_drop(f.w.mem, name), -ENOENT);
	end(&f);
}

/*
 * An idle volume does not touch the store; one with a little data uploads it when it is old enough.
 */
static void test_age(void **state)
{
	struct fixture f;
	unsigned int puts;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	assert_true(volume_deadline_us(f.w.v) == ~0ull);
	write_blocks(&f, 9, 1);
	puts = f.w.net.puts;
	vol_settle(&f.w);
	vol_advance(&f.w, f.w.opts.segment_age_ms * 1000ull - 10);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.puts, puts);
	vol_advance(&f.w, 10);
	vol_settle(&f.w);
	assert_int_equal(f.w.net.puts, puts + 1);
	assert_int_equal(stats(&f).dirty_bytes, 0);
	end(&f);
}

/*
 * READs of one frame share a fetch; frames side by side share a GET; a hit costs none, and no copy.
 */
static void test_fetches(void **state)
{
	struct vol_io x[6];
	struct fixture f;
	uint8_t *buf = malloc(64 * 4096);
	uint32_t i;

	(void)state;
	assert_non_null(buf);
	begin(&f, RUN_BLOCKS * 4096ull);
	stream_init(&f.w.v->streams, 0, 0); /* nothing is read ahead */
	write_blocks(&f, 0, 64); /* odd: does not compress; 8 frames side by side */
	assert_int_equal(vol_flush(&f.w), 0);
	f.w.net.gets = 0;
	for (i = 0; i < 6; i++) {
		x[i].heap = false;
		vol_submit(&x[i], &f.w, IO_READ, 0, 0, i, 1, 0);
	}
	for (i = 0; i < 6; i++) {
		assert_int_equal(vol_wait(&x[i]), 0);
		assert_int_equal(x[i].io.nsegs, 1);
		assert_int_equal(model_stamp((uint8_t *)f.w.arena + f.w.data_off + x[i].segs[0].off,
					     0, i),
				 1);
		volume_release(f.w.v, &x[i].io);
	}
	assert_int_equal(f.w.net.gets, 1);
	assert_int_equal(vol_read(&f.w, 0, 8, 56, buf), 0);
	assert_int_equal(f.w.net.gets, 2);
	vol_submit(&x[0], &f.w, IO_READ, 0, 0, 0, 64, 0);
	assert_true(x[0].done);
	volume_release(f.w.v, &x[0].io);
	assert_int_equal(f.w.net.gets, 2);
	assert_int_equal(stats(&f).bytes[IO_READ], (6 + 56 + 64) * 4096);
	assert_int_equal(stats(&f).bytes[IO_WRITE], 64 * 4096);
	assert_int_equal(stats(&f).cache_misses, 8);
	free(buf);
	end(&f);
}

/* Bytes that a READ was told of stay until it is released, whatever is written meanwhile. */
static void test_pins(void **state)
{
	struct vol_io a = { .heap = false }, b = { .heap = false };
	struct fixture f;
	uint32_t i, posted;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	write_blocks(&f, 5, 1);
	vol_submit(&a, &f.w, IO_READ, 0, 0, 5, 1, 0); /* from the write extent */
	assert_true(a.done);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_submit(&b, &f.w, IO_READ, 0, 0, 5, 1, 0); /* from the cache */
	assert_int_equal(vol_wait(&b), 0);
	assert_true(a.segs[0].off != b.segs[0].off);
	/* every extent and every slot goes round several times */
	for (i = 0; i < 300; i++) {
		uint8_t buf[8 * 4096];
		uint64_t lba = 256 + 256 * (i % 10);

		write_blocks(&f, lba, 256);
		if (i % 10 == 9)
			assert_int_equal(vol_flush(&f.w), 0);
		assert_int_equal(vol_read(&f.w, 0, lba, 8, buf), 0);
	}
	write_blocks(&f, 5, 1);
	assert_int_equal(vol_flush(&f.w), 0);
	assert_int_equal(model_stamp((uint8_t *)f.w.arena + f.w.data_off + a.segs[0].off, 0, 5), 1);
	assert_int_equal(model_stamp((uint8_t *)f.w.arena + f.w.data_off + b.segs[0].off, 0, 5), 1);
	posted = stats(&f).bufs_posted;
	volume_release(f.w.v, &a.io);
	assert_int_equal(stats(&f).bufs_posted, posted + 1);
	volume_release(f.w.v, &b.io);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/*
 * A terabyte is discarded, twice, in as many requests as the kernel makes of it: little is touched.
 */
static void test_big_discard(void **state)
{
	const uint64_t blocks = 1ull << 28;
	struct vol_io x = { .heap = false };
	struct fixture f;
	uint8_t buf[4096];
	uint64_t lba, map, stored;
	uint32_t i;

	(void)state;
	begin(&f, blocks << 12);
	f.w.check = false;
	for (i = 0; i < 10; i++)
		assert_int_equal(vol_write(&f.w, 0, i * (blocks / 10), 1, 1), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	assert_int_equal(stats(&f).mapped_bytes, 10 * 4096);
	map = stats(&f).map_bytes;
	for (i = 0; i < 2; i++) {
		for (lba = 0; lba < blocks; lba += 1u << 20) {
			vol_submit(&x, &f.w, IO_DISCARD, 0, 0, lba, 1u << 20, 0);
			assert_int_equal(vol_wait(&x), 0);
		}
		assert_true(stats(&f).map_bytes < map + (64u << 10));
		assert_int_equal(vol_read(&f.w, 0, blocks / 10, 1, buf), 0);
		assert_int_equal(model_stamp(buf, 0, blocks / 10), 0);
		assert_int_equal(vol_flush(&f.w), 0);
	}
	assert_int_equal(stats(&f).mapped_bytes, 0);
	assert_int_equal(stats(&f).live_bytes, 0);
	stored = stats(&f).stored_bytes;
	assert_true(stored > 0 && stored < 200000);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(stats(&f).mapped_bytes, 0);
	end(&f);
}

/* Live bytes are exact under overwrites, and the same after a new start from a manifest. */
static void test_accounting(void **state)
{
	struct volume_stats before, after;
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f, RUN_BLOCKS * 4096ull);
	for (i = 0; i < 200; i++) {
		uint32_t lba = testrand_below(RUN_BLOCKS - 40);

		write_blocks(&f, lba, 1 + testrand_below(40));
	}
	assert_int_equal(vol_flush(&f.w), 0);
	before = stats(&f);
	assert_true(before.live_bytes > 0 && before.live_bytes < before.stored_bytes);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	after = stats(&f);
	assert_int_equal(after.live_bytes, before.live_bytes);
	assert_int_equal(after.stored_bytes, before.stored_bytes);
	assert_int_equal(after.mapped_bytes, before.mapped_bytes);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* More operations than the index has entries: held in order, and taken up again. */
static void test_index_full(void **state)
{
	struct fixture f;
	uint32_t i, n;

	(void)state;
	/* more discards than the index has entries, and no FLUSH: held, uploaded, taken up again */
	begin(&f, RUN_BLOCKS * 4096ull);
	f.w.check = false;
	write_blocks(&f, 0, 200);
	n = 60000;
	for (i = 0; i < n; i++)
		vol_submit(vol_io_new(), &f.w, IO_DISCARD, 0, 0, i % 200, 1,
			   model_op(&f.m, 0, i % 200, 1, false));
	assert_true(f.w.pending > 0);
	while (f.w.pending)
		assert_true(vol_step(&f.w));
	assert_int_equal(f.w.acked, n + 1);
	f.w.check = true;
	vol_assert_prefix(&f.w, &f.m, n + 1, n + 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_cost),
		cmocka_unit_test(test_flushes_share),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_big_discard),
		cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_index_full),
		cmocka_unit_test(test_window_is_used),
		cmocka_unit_test(test_segments_are_full),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
