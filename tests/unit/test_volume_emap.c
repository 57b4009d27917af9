// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The extent map against an array of blocks: random sets, punches and look-ups, the invariants
 * after each.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "volume/emap.h"

#define BLOCKS 5000u

/* What a block maps to: a page, a place in a frame, zero, or nothing. */
struct cell {
	uint8_t kind; /* EMAP_ZERO.., 255 = nothing */
	uint64_t where;
	uint64_t wno;
};

static struct cell cells[BLOCKS];
static uint64_t dropped_blocks, set_blocks;

static void on_drop(void *ctx, const struct emap_ext *e)
{
	(void)ctx;
	dropped_blocks += e->nblocks;
}

static uint64_t where(const struct emap_ext *e, uint32_t i)
{
	if (e->kind == EMAP_PAGE)
		return (uint64_t)e->pos + i;
	if (e->kind == EMAP_FRAME)
		return (uint64_t)e->pos << 32 | (e->delta + i);
	return 0;
}

static void set(struct emap *m, struct emap_dev *d, uint64_t lba, uint32_t n, uint64_t wno)
{
	struct emap_ext e = { .kind = testrand_below(3), .wno = wno, .nblocks = n };
	uint32_t i;

	if (n > 32 && e.kind == EMAP_FRAME)
		e.kind = EMAP_PAGE;
	e.pos = testrand_below(1000000);
	if (e.kind == EMAP_FRAME) {
		e.delta = testrand_below(33 - n);
		e.fblocks = 32;
	}
	assert_int_equal(emap_reserve(m, d, lba, n, true), 0);
	emap_set(m, d, lba, &e);
	set_blocks += n;
	for (i = 0; i < n; i++)
		cells[lba + i] = (struct cell){ e.kind, where(&e, i), wno };
}

static void compare(struct emap_dev *d)
{
	struct emap_ext e;
	uint64_t lba, i;

	for (lba = 0; lba < BLOCKS; lba += e.nblocks) {
		bool found = emap_find(d, lba, 1 + testrand_below(BLOCKS - lba), &e);

		assert_true(e.nblocks > 0);
		for (i = 0; i < e.nblocks; i++) {
			const struct cell *c = &cells[lba + i];

			if (!found) {
				assert_int_equal(c->kind, 255);
				continue;
			}
			assert_int_equal(c->kind, e.kind);
			assert_int_equal(c->where, where(&e, i));
			assert_int_equal(c->wno, e.wno);
		}
	}
}

static void test_random(void **state)
{
	struct emap m;
	struct emap_dev *d;
	uint32_t i, k, n;
	uint64_t lba, room, live = 0;

	(void)state;
	testrand_seed(1);
	emap_init(&m, on_drop, NULL);
	assert_int_equal(emap_add_dev(&m, 7, BLOCKS), 0);
	assert_int_equal(emap_add_dev(&m, 3, 1), 0);
	assert_int_equal(emap_add_dev(&m, 7, BLOCKS), -EEXIST);
	assert_null(emap_dev(&m, 5));
	d = emap_dev(&m, 7);
	for (i = 0; i < BLOCKS; i++)
		cells[i].kind = 255;
	for (i = 1; i <= 30000; i++) {
		lba = testrand_below(BLOCKS);
		if (testrand_below(4)) {
			room = EMAP_LEAF_BLOCKS - (lba & (EMAP_LEAF_BLOCKS - 1));
			if (room > BLOCKS - lba)
				room = BLOCKS - lba;
			n = 1 + testrand_below(testrand_below(10) ? 24 : 1024);
			set(&m, d, lba, n < room ? n : room, i);
		} else {
			n = 1 + testrand_below(testrand_below(20) ? 40 : BLOCKS - lba);
			if (n > BLOCKS - lba)
				n = BLOCKS - lba;
			assert_int_equal(emap_reserve(&m, d, lba, n, false), 0);
			emap_punch(&m, d, lba, n);
			for (k = 0; k < n; k++)
				cells[lba + k].kind = 255;
		}
		assert_int_equal(emap_check(&m), 0);
		if (i % 100 == 0)
			compare(d);
	}
	for (i = 0; i < BLOCKS; i++)
		live += cells[i].kind != 255;
	/* every block left by the drop callback */
	assert_int_equal(set_blocks, live + dropped_blocks);
	assert_int_equal(emap_reserve(&m, d, 0, BLOCKS, false), 0);
	emap_punch(&m, d, 0, BLOCKS);
	assert_int_equal(m.extents, 0);
	assert_int_equal(m.blocks, 0);
	assert_null(d->root);
	emap_free(&m);
}

/* A discard of a whole big device costs what it touches; leaves far apart are found in order. */
static void test_sparse(void **state)
{
	static const uint64_t at[] = { 5, 1024ull * 77, 1ull << 30, (1ull << 38) + 3 };
	struct emap_ext e = { .kind = EMAP_PAGE, .nblocks = 1, .pos = 9 };
	struct emap m;
	struct emap_dev *d;
	uint64_t no = 0, before;
	uint32_t i;

	(void)state;
	emap_init(&m, NULL, NULL);
	assert_int_equal(emap_add_dev(&m, 0, 1ull << 40), 0);
	d = emap_dev(&m, 0);
	before = m.bytes;
	for (i = 0; i < 4; i++) {
		assert_int_equal(emap_reserve(&m, d, at[i], 1, true), 0);
		emap_set(&m, d, at[i], &e);
	}
	assert_int_equal(emap_check(&m), 0);
	for (i = 0; i < 4; i++, no++) {
		assert_non_null(emap_next_leaf(d, &no));
		assert_int_equal(no, at[i] >> EMAP_LEAF_SHIFT);
	}
	assert_null(emap_next_leaf(d, &no));
	assert_true(m.bytes < 64u << 10);
	assert_int_equal(emap_reserve(&m, d, 0, 1ull << 40, false), 0);
	emap_punch(&m, d, 0, 1ull << 40);
	assert_int_equal(m.bytes, before);
	emap_free(&m);
}

/* What a reservation has made and nobody used goes away again. */
static void test_unreserve(void **state)
{
	struct emap m;
	struct emap_dev *d;
	uint64_t before;

	(void)state;
	emap_init(&m, NULL, NULL);
	assert_int_equal(emap_add_dev(&m, 0, 1u << 20), 0);
	d = emap_dev(&m, 0);
	before = m.bytes;
	assert_int_equal(emap_reserve(&m, d, 1000, 5000, true), 0);
	assert_true(m.bytes > before);
	emap_unreserve(&m, d, 1000, 5000);
	assert_int_equal(m.bytes, before);
	assert_int_equal(emap_check(&m), 0);
	emap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_unreserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
