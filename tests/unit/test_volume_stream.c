// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams: what is taken for one, how far it is read ahead, and what waste does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "volume/stream.h"

#define MIB	   256u /* blocks */
#define DEV_BLOCKS (1024u * MIB)
#define MAX_WINDOW (8 * MIB)
#define BUDGET	   (64u * MIB)

/* Follows what is wanted: how much was read ahead in all, and how much may be ahead at most. */
struct follow {
	struct streams s;
	uint64_t wanted, most;
	uint32_t nr_wants;
	uint64_t reach; /* the longest */
};

static void begin(struct follow *f, uint64_t budget)
{
	memset(f, 0, sizeof(*f));
	stream_init(&f->s, budget, MAX_WINDOW);
}

/* True: the READ moved a stream. */
static bool get(struct follow *f, uint64_t lba, uint32_t n)
{
	struct stream *st = stream_read(&f->s, 1, lba, n);
	uint64_t from, ahead = 0;
	uint32_t i, len;

	if (!st)
		return false;
	while (stream_wants(&f->s, st, DEV_BLOCKS, &from, &len)) {
		assert_true(from >= st->next && len && from + len <= DEV_BLOCKS);
		stream_ahead(st, from + len);
		if (stream_shadow(&f->s))
			continue;
		f->wanted += len;
		f->nr_wants++;
		assert_true(len <= STREAM_PIECE);
		if (stream_reach(&f->s, st) > f->reach)
			f->reach = stream_reach(&f->s, st);
	}
	for (i = 0; i < f->s.nr; i++)
		if (f->s.s[i].found && f->s.s[i].head > f->s.s[i].next)
			ahead += f->s.s[i].head - f->s.s[i].next;
	f->most = ahead > f->most ? ahead : f->most;
	return true;
}

static void sequential(struct follow *f, uint64_t lba, uint64_t n, uint32_t step)
{
	uint64_t at;

	for (at = lba; at < lba + n; at += step)
		get(f, at, step);
}

/* The third READ begins it; windows double to 8 MiB; four are ahead; each is wanted once. */
static void test_grows(void **state)
{
	struct follow f;
	uint32_t i;
	uint64_t last = 0;

	(void)state;
	begin(&f, BUDGET);
	assert_false(get(&f, 1000, 1));
	assert_false(get(&f, 1001, 1));
	assert_true(get(&f, 1002, 1));
	assert_int_equal(f.wanted, STREAM_WINDOW_MIN);
	for (i = 3; i < 64 * MIB; i++) {
		get(&f, 1000 + i, 1);
		assert_true(f.reach <= 8 * (last ? last : STREAM_WINDOW_MIN));
		last = f.reach;
		/* no more ahead than eight times what was read on: a short stream wastes little */
		assert_true(f.wanted <= 9ull * i + STREAM_WINDOW_MIN);
	}
	assert_int_equal(f.reach, STREAM_DEPTH * MAX_WINDOW);
	assert_true(f.most <= STREAM_DEPTH * MAX_WINDOW);
	assert_true(f.most > (STREAM_DEPTH - 1) * MAX_WINDOW);
	assert_true(f.wanted <= 64 * MIB + STREAM_DEPTH * MAX_WINDOW);
	assert_true(f.nr_wants < 120);
}

/* It ends where the device does, and big READs or those that overlap are no trouble. */
static void test_edges(void **state)
{
	struct follow f;
	uint32_t i;

	(void)state;
	begin(&f, BUDGET);
	sequential(&f, DEV_BLOCKS - 40 * MIB, 40 * MIB, 256);
	assert_true(f.wanted >= 36 * MIB && f.wanted <= 40 * MIB);
	begin(&f, BUDGET);
	for (i = 0; i < 1000; i++)
		get(&f, i * 24ull, 32);
	assert_true(f.wanted >= 20000);
	/* switched off */
	begin(&f, BUDGET);
	stream_init(&f.s, BUDGET, STREAM_WINDOW_MIN - 1);
	sequential(&f, 0, 4 * MIB, 32);
	assert_int_equal(f.wanted, 0);
}

/* READs of 128 KiB, eight at a time in any order: a stream all the same, and no waste. */
static void test_any_order(void **state)
{
	struct follow f;
	uint32_t order[8], i, j, k, t;

	(void)state;
	testrand_seed(3);
	begin(&f, BUDGET);
	for (i = 0; i < 256; i++) {
		for (j = 0; j < 8; j++)
			order[j] = j;
		for (j = 7; j; j--) {
			k = testrand_below(j + 1);
			t = order[j];
			order[j] = order[k];
			order[k] = t;
		}
		for (j = 0; j < 8; j++)
			get(&f, (uint64_t)i * MIB + order[j] * 32, 32);
	}
	assert_int_equal(f.reach, STREAM_DEPTH * MAX_WINDOW);
	assert_int_equal(f.s.top, f.s.max_level);
	assert_true(f.wanted <= 256 * MIB + STREAM_DEPTH * MAX_WINDOW);
	assert_true(f.wanted >= 250 * MIB);
}

/* Random READs are none, whether spread wide or over 4 MiB; READs with three left out neither. */
static void test_random_is_none(void **state)
{
	struct follow f;
	uint32_t i;

	(void)state;
	testrand_seed(4);
	begin(&f, BUDGET);
	for (i = 0; i < 100000; i++)
		get(&f, testrand_below(DEV_BLOCKS), 1);
	assert_true(f.wanted <= 2 * STREAM_WINDOW_MIN);
	begin(&f, BUDGET);
	for (i = 0; i < 100000; i++)
		get(&f, 5000 + testrand_below(4 * MIB), 1);
	assert_true(f.wanted <= 64 * STREAM_WINDOW_MIN);
	begin(&f, BUDGET);
	for (i = 0; i < 100000; i++)
		get(&f, i * 4ull, 1);
	assert_int_equal(f.wanted, 0);
}

/* A reader in the midst of random ones is still found, and kept. */
static void test_among_random(void **state)
{
	struct follow f;
	uint32_t i, j;

	(void)state;
	testrand_seed(5);
	begin(&f, BUDGET);
	for (i = 0; i < 2000; i++) {
		get(&f, i * 32ull, 32);
		for (j = 0; j < 24; j++)
			get(&f, 400 * MIB + testrand_below(600 * MIB), 1);
	}
	assert_int_equal(f.reach, STREAM_DEPTH * MAX_WINDOW);
	assert_true(f.wanted >= 2000 * 32 - MIB);
	/* once it is a stream, any number of them do not displace it */
	for (i = 2000; i < 2200; i++) {
		get(&f, i * 32ull, 32);
		for (j = 0; j < 1000; j++)
			get(&f, 400 * MIB + testrand_below(600 * MIB), 1);
	}
	assert_true(f.wanted >= 2200 * 32);
}

/* A stream that begins to leave out most blocks is no stream any more. */
static void test_stride(void **state)
{
	struct follow f;
	uint64_t before;
	uint32_t i;

	(void)state;
	begin(&f, BUDGET);
	sequential(&f, 0, 128 * MIB, 32);
	for (i = 0; i < 4000; i++)
		get(&f, 128 * MIB + i * 32ull, 4);
	before = f.wanted;
	for (; i < 24000; i++)
		get(&f, 128 * MIB + i * 32ull, 4);
	/* 20000 * 128 KiB went by: less than 5 % of it */
	assert_true(f.wanted - before < 32000);
}

/*
 * READs of files of 1 MiB in random order: of what is read ahead, two thirds are used; of files of
 * 64 MiB again all.
 */
static void test_waste(void **state)
{
	struct follow f;
	uint64_t wanted, read = 0;
	uint32_t i;

	(void)state;
	testrand_seed(6);
	begin(&f, BUDGET);
	for (i = 0; i < 200; i++)
		sequential(&f, testrand_below(1000) * MIB, MIB, 16);
	wanted = f.wanted;
	for (; i < 1200; i++, read += MIB)
		sequential(&f, testrand_below(1000) * MIB, MIB, 16);
	wanted = f.wanted - wanted;
	assert_true(wanted > 0);
	assert_true(wanted * 2 <= read * 3);
	/* of 128 KiB: nothing at all, in the long run */
	for (i = 0; i < 4000; i++)
		sequential(&f, testrand_below(8000) * 32, 32, 8);
	wanted = f.wanted;
	for (; i < 8000; i++)
		sequential(&f, testrand_below(8000) * 32, 32, 8);
	assert_true(f.wanted - wanted <= 4000 * 32 / 100);
	assert_true(stream_shadow(&f.s));
	/* it comes back, and the windows with it */
	f.reach = 0;
	sequential(&f, 0, 256 * MIB, 32);
	assert_false(stream_shadow(&f.s));
	assert_int_equal(f.reach, STREAM_DEPTH * MAX_WINDOW);
}

/* Many streams share the budget, and all of them get something. */
static void test_budget(void **state)
{
	struct follow f;
	uint64_t at, before;
	uint32_t i;

	(void)state;
	begin(&f, 16 * MIB);
	for (at = 0; at < 60 * MIB; at += 32)
		for (i = 0; i < 8; i++)
			get(&f, i * 100ull * MIB + at, 32);
	assert_true(f.most <= 16 * MIB);
	assert_true(f.wanted >= 8 * 58 * MIB);
	before = f.wanted;
	for (i = 0; i < 8; i++) {
		get(&f, i * 100ull * MIB + at, 256);
		get(&f, i * 100ull * MIB + at + 256, 256);
		assert_true(f.wanted > before);
		before = f.wanted;
	}
	/* more readers than streams */
	begin(&f, 16 * MIB);
	for (at = 0; at < 4 * MIB; at += 32)
		for (i = 0; i < 3 * STREAM_NR; i++)
			get(&f, i * 10ull * MIB + at, 32);
	assert_true(f.most <= 16 * MIB);
	assert_true(f.s.nr_found <= STREAM_MAX);
	/* next to none */
	begin(&f, STREAM_WINDOW_MIN - 1);
	sequential(&f, 0, 8 * MIB, 32);
	assert_int_equal(f.wanted, 0);
}

/*
 * One reader more than there are streams: it displaces none that is read. Whoever reads on when the
 * others have ended is a stream again.
 */
static void test_displaced(void **state)
{
	struct follow f;
	uint64_t at, wanted;
	uint32_t i, k;

	(void)state;
	for (k = 0; k <= STREAM_MAX; k++) {
		begin(&f, BUDGET);
		for (at = 0; at < 4 * MIB; at += 32)
			for (i = 0; i <= STREAM_MAX; i++)
				get(&f, i * 50ull * MIB + at, 32);
		assert_int_equal(f.s.nr_found, STREAM_MAX);
		assert_int_equal(f.s.waste, 0);
		wanted = f.wanted;
		for (; at < 20 * MIB; at += 32)
			get(&f, k * 50ull * MIB + at, 32);
		assert_true(f.wanted - wanted >= 12 * MIB);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),	     cmocka_unit_test(test_edges),
		cmocka_unit_test(test_any_order),    cmocka_unit_test(test_random_is_none),
		cmocka_unit_test(test_among_random), cmocka_unit_test(test_stride),
		cmocka_unit_test(test_waste),	     cmocka_unit_test(test_budget),
		cmocka_unit_test(test_displaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
