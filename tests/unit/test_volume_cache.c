// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The frame cache: slots do not overlap, pins hold, what is touched stays, memory goes where it is
 * needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "volume/cache.h"

#define SLAB (CACHE_SLAB_PAGES * 4096u)
#define OFF  (5u << 20)

static struct cache_ent *load(struct cache *c, uint32_t seg, uint32_t pos, uint32_t pages)
{
	struct cache_ent *e = cache_new(c, seg, pos, pages);

	if (e)
		cache_ready(c, e);
	return e;
}

static void test_random(void **state)
{
	struct cache_ent *held[8] = { 0 };
	uint64_t hits = 0;
	struct cache c;
	uint32_t i, k;

	(void)state;
	testrand_seed(3);
	assert_int_equal(cache_init(&c, OFF, 20 * SLAB + 5000), 0);
	for (i = 0; i < 40000; i++) {
		uint32_t pos = testrand_below(400), pages = 1 + pos % 32;
		struct cache_ent *e = cache_find(&c, 1, pos);

		k = testrand_below(8);
		if (held[k]) {
			cache_unpin(&c, held[k]);
			held[k] = NULL;
		}
		if (e) {
			hits++;
			cache_pin(e);
		} else {
			e = cache_new(&c, 1, pos, pages);
			assert_non_null(e);
			assert_true(cache_off(e) >= OFF &&
				    cache_off(e) + pages * 4096u <= OFF + 20 * SLAB);
			if (testrand_below(20))
				cache_ready(&c, e);
			else
				cache_failed(&c, e);
		}
		held[k] = e;
		assert_ptr_equal(cache_at(&c, cache_off(e) + 4096u * testrand_below(pages)), e);
		if (i % 16 == 0)
			assert_int_equal(cache_check(&c), 0);
	}
	assert_true(hits > 1500);
	assert_true(c.evictions > 1000);
	for (k = 0; k < 8; k++)
		if (held[k])
			cache_unpin(&c, held[k]);
	assert_int_equal(cache_check(&c), 0);
	cache_free(&c);
}

/* All pinned: no slot; one given back: one slot. */
static void test_pins(void **state)
{
	struct cache_ent *e[4], *x;
	struct cache c;
	uint32_t i;

	(void)state;
	assert_int_equal(cache_init(&c, OFF, 4 * SLAB), 0);
	for (i = 0; i < 4; i++)
		assert_non_null(e[i] = load(&c, 0, i, 32));
	assert_null(cache_new(&c, 0, 9, 32));
	assert_null(cache_new(&c, 0, 9, 1));
	cache_unpin(&c, e[2]);
	x = cache_new(&c, 0, 9, 1); /* a slab changes its class */
	assert_non_null(x);
	assert_null(cache_find(&c, 0, 2));
	assert_non_null(cache_find(&c, 0, 3));
	assert_null(cache_new(&c, 0, 10, 32));
	assert_int_equal(cache_check(&c), 0);
	/* LOADING keeps its place without pins too */
	cache_unpin(&c, x);
	assert_null(cache_new(&c, 0, 10, 32));
	cache_ready(&c, x);
	assert_non_null(cache_new(&c, 0, 10, 32));
	assert_int_equal(cache_check(&c), 0);
	cache_free(&c);
}

/*
 * What is used again and again survives a scan; and after a change of size the new size gets the
 * memory.
 */
static void test_clock(void **state)
{
	struct cache_ent *e;
	struct cache c;
	uint32_t i, kept = 0;

	(void)state;
	assert_int_equal(cache_init(&c, 0, 64 * SLAB), 0);
	for (i = 0; i < 64 * 4; i++) {
		e = load(&c, 0, i, 8);
		cache_unpin(&c, e);
	}
	for (i = 0; i < 16; i++)
		assert_non_null(cache_find(&c, 0, i));
	for (i = 0; i < 2000; i++) {
		assert_non_null(cache_find(&c, 0, i % 16));
		e = load(&c, 1, i, 8);
		assert_non_null(e);
		cache_unpin(&c, e);
	}
	for (i = 0; i < 16; i++)
		kept += cache_find(&c, 0, i) != NULL;
	assert_int_equal(kept, 16);
	for (i = 0; i < 60000; i++) {
		if (cache_find(&c, 2, i % 1200))
			continue;
		e = load(&c, 2, i % 1200, 1);
		assert_non_null(e);
		cache_unpin(&c, e);
	}
	kept = 0;
	for (i = 0; i < 1200; i++)
		kept += cache_find(&c, 2, i) != NULL;
	assert_int_equal(kept, 1200);
	assert_int_equal(cache_check(&c), 0);
	cache_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
