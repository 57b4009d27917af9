// SPDX-License-Identifier: GPL-2.0-or-later
/* A bill's requests are those that the engine makes, and its sums do not overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/bill.h"
#include "lib/vol.h"
#include "volume/checkpoint.h"
#include "volume/lease.h"
#include "volume/volume.h"

#define BLOCKS	    64u
#define SEGMENTS    4u /* between checkpoints */
#define CHECKPOINTS 150u /* long enough for all to be written anew twice */

/* One segment a FLUSH, the same blocks over and over: what a checkpoint asks of the store. */
static void test_engine(void **state)
{
	unsigned int puts, lists, deletes, dead;
	struct volume_stats before, after;
	struct vol w;

	(void)state;
	vol_init(&w, 1, 1, BLOCKS * 4096ull);
	w.opts.checkpoint_segments = SEGMENTS;
	assert_int_equal(vol_attach(&w, false), 0);
	vol_settle(&w);
	volume_get_stats(w.v, &before);
	puts = w.net.puts;
	lists = w.net.lists;
	deletes = w.net.deletes;
	for (uint32_t i = 0; i < SEGMENTS * CHECKPOINTS; i++) {
		assert_int_equal(vol_write(&w, 0, i % BLOCKS, 1, i + 1), 0);
		assert_int_equal(vol_flush(&w), 0);
		vol_settle(&w);
	}
	volume_get_stats(w.v, &after);
	assert_int_equal(after.next_seq - before.next_seq, SEGMENTS * CHECKPOINTS);
	puts = w.net.puts - puts;
	lists = w.net.lists - lists;
	dead = (unsigned int)(after.deleted_segments - before.deleted_segments);
	deletes = w.net.deletes - deletes - dead;
	print_message(
		"%u checkpoints: %u PUT, %u LIST, %u DELETE of their own; %u segments deleted\n",
		CHECKPOINTS, puts - SEGMENTS * CHECKPOINTS, lists, deletes, dead);
	assert_int_equal(puts, CHECKPOINTS * (SEGMENTS + CHECKPOINT_PUTS));
	assert_in_range(lists, CHECKPOINTS * CHECKPOINT_LISTS,
			CHECKPOINTS * CHECKPOINT_LISTS * 11 / 10);
	/* The runs of the last round are still there. */
	assert_in_range(deletes, CHECKPOINTS * CHECKPOINT_DELETES / 2,
			CHECKPOINTS * CHECKPOINT_DELETES);
	assert_in_range(dead, SEGMENTS * CHECKPOINTS * 8 / 10, SEGMENTS * CHECKPOINTS);
	assert_int_equal(vol_detach(&w), 0);
	vol_end(&w);
}

static void test_sums(void **state)
{
	const uint64_t lease = PRICE_MONTH_US / LEASE_PERIOD;
	struct bill_load l = { .hours = 8 };
	char text[BILL_ASSUMED_LEN];
	struct volume_opts o;
	struct price_use u;

	(void)state;
	volume_opts_init(&o);
	assert_int_equal(o.segment_bytes, 8u << 20);
	/* Idle: at most one in five minutes. */
	bill_use(&u, &l, &o);
	assert_int_equal(u.requests[PRICE_PUT], lease);
	assert_int_equal(lease, 8760);
	assert_int_equal(u.requests[PRICE_GET] + u.requests[PRICE_LIST] + u.requests[PRICE_DELETE],
			 0);
	assert_int_equal(u.us, PRICE_MONTH_US);
	/* Little, all the time: a segment every two seconds. 730 hours are 30 days and 10 hours. */
	l = (struct bill_load){ .written = 1, .hours = 24, .size = 5 };
	bill_use(&u, &l, &o);
	assert_int_equal(u.stored, 5);
	assert_int_equal(u.requests[PRICE_PUT], 1314000 + 1314000 / 64 * 4 + lease);
	assert_int_equal(u.requests[PRICE_LIST], 1314000 / 64 * 3);
	/* Much in an hour: full segments. */
	l = (struct bill_load){ .written = 2400ull << 30, .hours = 1, .flushes = 24 };
	bill_use(&u, &l, &o);
	assert_int_equal(u.requests[PRICE_PUT], (2400 * 128 + 24) * 730 / 24 +
							(2400 * 128 + 24) * 730 / 24 / 64 * 4 +
							lease);
	/* A flush of what is not there stores nothing. */
	l = (struct bill_load){ .flushes = 1000000, .hours = 24, .read = 24ull << 30 };
	bill_use(&u, &l, &o);
	assert_int_equal(u.requests[PRICE_PUT], lease);
	assert_int_equal(u.egress, 730ull << 30);
	assert_int_equal(u.requests[PRICE_GET], 730ull << 15);
	/* The most that can be said. */
	l = (struct bill_load){ BILL_BYTES_MAX, BILL_BYTES_MAX, BILL_BYTES_MAX, BILL_FLUSHES_MAX,
				24 };
	bill_use(&u, &l, &o);
	assert_true(u.egress / 30 >= BILL_BYTES_MAX);
	assert_true(u.requests[PRICE_PUT] > 30 * (BILL_BYTES_MAX >> 23));
	bill_assumed(text, &o);
	assert_non_null(strstr(text, "8.0 MiB or 2 s"));
	assert_non_null(strstr(text, "4 PUT and 3 LIST per 64 segments"));
	assert_non_null(strstr(text, "730 hours"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_engine),
		cmocka_unit_test(test_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
