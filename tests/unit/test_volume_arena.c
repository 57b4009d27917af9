// SPDX-License-Identifier: GPL-2.0-or-later
/* The arena: when an extent may be posted again, what the index says, what is adopted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "volume/arena.h"

static const uint8_t uuid[16] = "0123456789abcde";

struct fixture {
	struct fmt_arena geo;
	void *mem;
	struct arena a;
};

static void begin(struct fixture *f)
{
	uint64_t need;

	assert_int_equal(arena_plan(&f->geo, 100ull << 20, 8u << 20, 8, &need), 0);
	f->mem = mmap(NULL, f->geo.total_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(f->mem != MAP_FAILED);
	assert_int_equal(arena_init(&f->a, f->mem, f->geo.total_len, &f->geo, uuid), 0);
}

static void end(struct fixture *f)
{
	arena_free(&f->a);
	munmap(f->mem, f->geo.total_len);
}

static void record(struct arena *a, uint64_t wno, uint64_t off, uint32_t blocks)
{
	struct fmt_arena_rec r = {
		.wno = wno, .lba = 5, .off = off, .blocks = blocks, .op = FMT_ARENA_WRITE
	};

	arena_record(a, &r);
	assert_int_equal(arena_check(a), 0);
}

static void test_plan(void **state)
{
	struct fmt_arena g;
	uint64_t need, memory;

	(void)state;
	assert_int_equal(arena_plan(&g, 10u << 20, 0, 4, &need), -ERANGE);
	assert_int_equal(arena_plan(&g, need, 0, 4, &need), 0);
	assert_int_equal(arena_plan(&g, need - 1, 0, 4, &need), -ERANGE);
	for (memory = 64ull << 20; memory < 1ull << 40; memory = memory * 5 / 4) {
		uint32_t min = 1 + testrand_below(60);

		if (arena_plan(&g, memory, memory / 8, min, &need)) {
			assert_true(need > memory);
			continue;
		}
		assert_true(g.total_len + memory / 8 <= memory);
		assert_true(g.write_len / g.extent_len >= min);
		assert_int_equal(g.write_len % g.extent_len, 0);
		assert_true(g.extent_len >= ARENA_EXTENT_MIN);
		assert_true(g.data_len - g.write_off - g.write_len >= 40u << 20);
		assert_true(g.nr_entries >= g.write_len / 4096);
		assert_true(g.index_off + g.nr_entries * 64ull <= g.data_off);
	}
}

/* An extent goes round only when its queue has left it, no entry names it and no READ pins it. */
static void test_reuse(void **state)
{
	struct fixture f;
	uint32_t x, y, freed, total;

	(void)state;
	begin(&f);
	total = f.a.nr_free;
	assert_true(arena_take(&f.a, &x));
	assert_true(arena_take(&f.a, &y));
	assert_int_equal(arena_use(&f.a, 0, arena_ext_off(&f.a, x) + 8192, 4096, &freed), 0);
	record(&f.a, 10, arena_ext_off(&f.a, x) + 8192, 1);
	arena_pin(&f.a, x);
	assert_int_equal(arena_use(&f.a, 0, arena_ext_off(&f.a, y), 4096, &freed), 0);
	assert_int_equal(freed, ~0u);
	record(&f.a, 11, arena_ext_off(&f.a, y), 1);
	assert_int_equal(f.a.nr_free, total - 2);
	assert_int_equal(arena_trim(&f.a, 10), 0); /* still pinned */
	assert_true(arena_unpin(&f.a, x));
	assert_int_equal(f.a.nr_free, total - 1);
	assert_int_equal(arena_trim(&f.a, 11), 0); /* still the queue's current one */
	assert_int_equal(f.a.nr_free, total - 1);
	assert_true(arena_take(&f.a, &x));
	assert_int_equal(arena_use(&f.a, 0, arena_ext_off(&f.a, x), 4096, &freed), 0);
	assert_int_equal(freed, y);
	assert_int_equal(arena_check(&f.a), 0);
	end(&f);
}

/* Places the kernel was never given. */
static void test_refused_places(void **state)
{
	struct fixture f;
	uint32_t x, y, freed;
	uint64_t at;

	(void)state;
	begin(&f);
	assert_true(arena_take(&f.a, &x));
	assert_true(arena_take(&f.a, &y));
	at = arena_ext_off(&f.a, x);
	assert_int_equal(arena_use(&f.a, 0, 0, 4096, &freed), -EINVAL);
	assert_int_equal(arena_use(&f.a, 0, f.geo.write_off + f.geo.write_len, 4096, &freed),
			 -EINVAL);
	assert_int_equal(arena_use(&f.a, 0, at + 100, 4096, &freed), -EINVAL);
	assert_int_equal(arena_use(&f.a, 0, at + f.geo.extent_len - 4096, 8192, &freed), -EINVAL);
	assert_int_equal(arena_use(&f.a, 0, arena_ext_off(&f.a, 5), 4096, &freed), -EINVAL);
	assert_int_equal(arena_use(&f.a, ARENA_MAX_QUEUES, at, 4096, &freed), -EINVAL);
	assert_int_equal(arena_use(&f.a, 1, at, 4096, &freed), 0);
	assert_int_equal(arena_use(&f.a, 2, at, 4096, &freed), -EINVAL); /* queue 1's */
	assert_int_equal(arena_use(&f.a, 1, arena_ext_off(&f.a, y), 4096, &freed), 0);
	assert_int_equal(freed, x);
	assert_int_equal(arena_use(&f.a, 1, at, 4096, &freed), -EINVAL); /* closed */
	end(&f);
}

/* The index in full, round and round; then adopted from the bytes alone. */
static void test_index_and_adoption(void **state)
{
	struct fmt_arena_rec *recs;
	struct fixture f;
	struct arena b;
	uint64_t wno = 1, low = 1, off;
	uint32_t x, freed, nr, i;
	bool sound;

	(void)state;
	testrand_seed(5);
	begin(&f);
	assert_true(arena_take(&f.a, &x));
	off = arena_ext_off(&f.a, x);
	assert_int_equal(arena_use(&f.a, 0, off, 4096, &freed), 0);
	for (i = 0; i < 3 * f.geo.nr_entries; i++) {
		struct fmt_arena_rec r = {
			.wno = wno++, .lba = i, .blocks = 9, .op = FMT_ARENA_DISCARD
		};

		while (!arena_has_slot(&f.a)) {
			low += testrand_below(f.geo.nr_entries);
			arena_trim(&f.a, low);
		}
		arena_record(&f.a, &r);
	}
	record(&f.a, wno++, off, 1);
	assert_int_equal(arena_adopt(&b, f.mem, f.geo.total_len, uuid, &recs, &nr, &sound), 0);
	assert_true(sound);
	assert_int_equal(nr, f.a.ring_len);
	for (i = 0; i < nr; i++)
		assert_int_equal(recs[i].wno, wno - nr + i);
	assert_int_equal(arena_check(&b), 0);
	assert_int_equal(b.nr_free, b.nr_exts - 1);
	assert_int_equal(arena_trim(&b, wno), 1);
	assert_int_equal(b.nr_free, b.nr_exts);
	arena_free(&b);
	free(recs);
	assert_int_equal(arena_adopt(&b, f.mem, f.geo.total_len, uuid, &recs, &nr, &sound), 0);
	assert_int_equal(nr, 0);
	arena_free(&b);
	free(recs);
	assert_int_equal(arena_adopt(&b, f.mem, f.geo.total_len,
				     (const uint8_t *)"other volume....", &recs, &nr, &sound),
			 -EBADMSG);
	assert_int_equal(arena_adopt(&b, f.mem, 4096, uuid, &recs, &nr, &sound), -EBADMSG);
	end(&f);
}

/* Two writes in one place: one of them is not what was acknowledged. */
static void test_overlap(void **state)
{
	struct fmt_arena_rec *recs;
	struct fixture f;
	struct arena b;
	uint32_t x, freed, nr;
	uint64_t off;
	bool sound;

	(void)state;
	begin(&f);
	assert_true(arena_take(&f.a, &x));
	off = arena_ext_off(&f.a, x);
	assert_int_equal(arena_use(&f.a, 0, off, 4096, &freed), 0);
	record(&f.a, 1, off, 4);
	record(&f.a, 2, off + 3 * 4096, 4);
	assert_int_equal(arena_adopt(&b, f.mem, f.geo.total_len, uuid, &recs, &nr, &sound), 0);
	assert_false(sound);
	arena_free(&b);
	free(recs);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),	       cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_refused_places), cmocka_unit_test(test_index_and_adoption),
		cmocka_unit_test(test_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
