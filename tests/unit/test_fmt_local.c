// SPDX-License-Identifier: GPL-2.0-or-later
/* What lies on this host: the arena's index and the state record. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "format/fmt_arena.h"
#include "format/fmt_state.h"
#include "lib/hostile.h"
#include "lib/testrand.h"

static const uint8_t uuid[16] = { 9, 8, 7 }, other_uuid[16] = { 9, 8, 6 };

static struct fmt_arena some_arena(void)
{
	struct fmt_arena a = { .total_len = 1 << 20,
			       .data_off = 128 << 10,
			       .data_len = 896 << 10,
			       .index_off = 4096,
			       .nr_entries = 1000,
			       .extent_len = 4 << 20,
			       .write_off = 64 << 10,
			       .write_len = 512 << 10,
			       .epoch = 3,
			       .created_us = 5 };

	return a;
}

static int open_arena(void *ctx, const void *p, size_t len)
{
	struct fmt_arena a;

	(void)ctx;
	/* The rest of the page may hold anything. */
	if (len < FMT_ARENA_HDR_LEN)
		return -EBADMSG;
	return fmt_arena_open(&a, p, 1 << 20, uuid);
}

static void arena_header(void **state)
{
	static uint8_t page[FMT_ARENA_HDR_LEN];
	struct fmt_arena a = some_arena(), back;

	(void)state;
	fmt_arena_init(page, &a, uuid);
	memset(&back, 0, sizeof(back));
	assert_int_equal(fmt_arena_open(&back, page, a.total_len, uuid), 0);
	assert_true(back.total_len == a.total_len && back.data_off == a.data_off &&
		    back.data_len == a.data_len && back.index_off == a.index_off &&
		    back.nr_entries == a.nr_entries && back.extent_len == a.extent_len &&
		    back.write_off == a.write_off && back.write_len == a.write_len &&
		    back.epoch == 3 && back.created_us == 5);
	assert_int_equal(fmt_arena_open(&back, page, a.total_len - 1, uuid), -EBADMSG);
	assert_int_equal(fmt_arena_open(&back, page, a.total_len, other_uuid), -EBADMSG);
	for (size_t bit = 0; bit < 8 * 128; bit++) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* A compatible feature of a later version is one, but its checksum then fits. */
		assert_true(open_arena(NULL, page, sizeof(page)) < 0);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
#define REFUSED(change) \
	do { \
		a = some_arena(); \
		change; \
		fmt_arena_init(page, &a, uuid); \
		assert_int_equal(fmt_arena_open(&back, page, 1 << 20, uuid), -EBADMSG); \
	} while (0)
	REFUSED(a.data_off = 4096); /* over the index */
	REFUSED(a.data_len += 4096); /* over the end */
	REFUSED(a.data_len = ~4095ull); /* wraps */
	REFUSED(a.index_off = 0);
	REFUSED(a.nr_entries = UINT32_MAX);
	REFUSED(a.write_len = a.data_len);
	REFUSED(a.write_off = ~4095ull);
	REFUSED(a.extent_len = 0);
	REFUSED(a.extent_len = 100);
	REFUSED(a.total_len = 2 << 20);
#undef REFUSED
}

static void arena_entries(void **state)
{
	struct fmt_arena a = some_arena();
	struct fmt_arena_rec r = { .wno = 77,
				   .lba = 5,
				   .off = 64 << 10,
				   .dev = 2,
				   .blocks = 3,
				   .op = FMT_ARENA_WRITE },
			     back, bad;
	struct fmt_arena_entry e, x;

	(void)state;
	memset(&e, 0, sizeof(e));
	assert_int_equal(fmt_arena_get(&back, &e, &a), 0);
	fmt_arena_set(&e, &r);
	assert_int_equal(fmt_arena_get(&back, &e, &a), 1);
	assert_true(back.wno == 77 && back.lba == 5 && back.off == 64 << 10 && back.dev == 2 &&
		    back.blocks == 3 && back.op == FMT_ARENA_WRITE && !back.flags);
	/* Every flipped bit is seen. One that frees the entry would need 64 of them. */
	for (size_t bit = 0; bit < 8 * sizeof(e); bit++) {
		x = e;
		((uint8_t *)&x)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(fmt_arena_get(&back, &x, &a), -EBADMSG);
	}
	/* Killed while it was written: whatever got there, it is free. */
	x = e;
	x.valid = 0;
	assert_int_equal(fmt_arena_get(&back, &x, &a), 0);
	/* An older record's valid word does not vouch for a newer record. */
	x = e;
	r.wno = 78;
	fmt_arena_set(&x, &r);
	x.valid = e.valid;
	assert_int_equal(fmt_arena_get(&back, &x, &a), -EBADMSG);
	fmt_arena_clear(&e);
	assert_int_equal(fmt_arena_get(&back, &e, &a), 0);
#define REFUSED(change) \
	do { \
		bad = r; \
		change; \
		fmt_arena_set(&e, &bad); \
		assert_int_equal(fmt_arena_get(&back, &e, &a), -EBADMSG); \
	} while (0)
	REFUSED(bad.off = (64 << 10) - 4096); /* the cache's */
	REFUSED(bad.off = (64 << 10) + 1);
	REFUSED(bad.off = (576 << 10) - 2 * 4096); /* leaves the region */
	REFUSED(bad.off = ~4095ull);
	REFUSED(bad.blocks = 0);
	REFUSED(bad.blocks = UINT32_MAX);
	REFUSED(bad.lba = FMT_MAX_LBA - 2);
	REFUSED(bad.op = 0);
	REFUSED(bad.op = 4);
	REFUSED(bad.op = FMT_ARENA_DISCARD); /* has no data */
	REFUSED(bad.op = FMT_ARENA_ZEROES; bad.off = 0; bad.flags = 2);
	REFUSED(bad.flags = FMT_ARENA_NOUNMAP);
	REFUSED(bad.wno = 0);
#undef REFUSED
	bad = r;
	bad.op = FMT_ARENA_ZEROES;
	bad.flags = FMT_ARENA_NOUNMAP;
	bad.off = 0;
	bad.blocks = 1 << 20;
	fmt_arena_set(&e, &bad);
	assert_int_equal(fmt_arena_get(&back, &e, &a), 1);
	assert_int_equal(back.flags, FMT_ARENA_NOUNMAP);
}

static int open_state(void *ctx, const void *p, size_t len)
{
	const struct fmt_state *want = ctx;
	struct fmt_state s;
	int rc = fmt_state_decode(&s, p, len, uuid);

	if (!rc)
		assert_memory_equal(&s, want, sizeof(s));
	return rc;
}

static void local_state(void **state)
{
	struct fmt_state s = { .head_version = 1,
			       .epoch = 2,
			       .keys_version = 3,
			       .commit_seq = 4,
			       .commit_wno = 5,
			       .saved_us = 6,
			       .journal_epoch = 8,
			       .journal_pos = 9 };
	uint8_t out[FMT_STATE_LEN];

	(void)state;
	memset(s.commit_hash, 7, sizeof(s.commit_hash));
	memset(s.journal_tag, 10, sizeof(s.journal_tag));
	fmt_state_encode(out, &s, uuid);
	hostile_check(out, sizeof(out), open_state, &s);
	assert_int_equal(fmt_state_decode(&s, out, sizeof(out), other_uuid), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_header),
		cmocka_unit_test(arena_entries),
		cmocka_unit_test(local_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
