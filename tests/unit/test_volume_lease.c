// SPDX-License-Identifier: GPL-2.0-or-later
/* The lease: its bytes, who is refused, how often it is written, and that nothing rests on it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_lease.h"
#include "lib/hostile.h"
#include "lib/run.h"
#include "store/mem.h"
#include "volume/lease.h"
#include "volume/vol.h"

#define SIZE   (RUN_BLOCKS * 4096ull)
#define MINUTE 60000000ull

static const uint8_t uuid[16] = { 9, 8, 7 }, other_uuid[16] = { 9, 8, 6 };
static const uint8_t key[FMT_KEY_LEN] = { 1 }, other_key[FMT_KEY_LEN] = { 2 };

static int open_lease(void *ctx, const void *p, size_t len)
{
	struct fmt_lease l;

	(void)ctx;
	return fmt_lease_open(&l, p, len, uuid, key);
}

static void test_bytes(void **state)
{
	struct fmt_lease l = { .epoch = 7, .time_us = 123456789, .host = "alpha" }, back;
	uint8_t obj[FMT_LEASE_LEN];

	(void)state;
	memset(l.nonce, 3, sizeof(l.nonce));
	memset(l.host_id, 4, sizeof(l.host_id));
	assert_int_equal(fmt_lease_seal(obj, &l, uuid, key), 0);
	assert_int_equal(fmt_lease_open(&back, obj, sizeof(obj), uuid, key), 0);
	assert_memory_equal(&back, &l, sizeof(l));
	hostile_check(obj, sizeof(obj), open_lease, NULL);
	assert_int_equal(fmt_lease_open(&back, obj, sizeof(obj), other_uuid, key), -EBADMSG);
	assert_int_equal(fmt_lease_open(&back, obj, sizeof(obj), uuid, other_key), -EBADMSG);
	l.host[0] = '\0';
	assert_int_equal(fmt_lease_seal(obj, &l, uuid, key), -EINVAL);
	memset(l.host, 'h', sizeof(l.host));
	assert_int_equal(fmt_lease_seal(obj, &l, uuid, key), -EINVAL);
}

/* Two hosts on one store. */
static void hosts(struct vol *a, struct vol *b, uint64_t seed)
{
	vol_init(a, seed, 1, SIZE);
	strcpy(a->opts.host, "alpha");
	a->opts.host_id[0] = 1;
	vol_share(b, a);
	strcpy(b->opts.host, "beta");
	b->opts.host_id[0] = 2;
}

static bool there(struct vol *w)
{
	size_t len;

	return mem_object(w->mem, "lease", &len);
}

static void refused(struct vol *b, const char *what)
{
	unsigned int puts = b->net.puts;

	assert_int_equal(vol_attach(b, false), -EBUSY);
	assert_non_null(strstr(b->notice, "'alpha'"));
	assert_non_null(strstr(b->notice, what));
	/* the probe's object, which is there already */
	assert_true(b->net.puts - puts <= 1);
}

static void test_who_is_refused(void **state)
{
	struct vol a, b;

	(void)state;
	hosts(&a, &b, 1);
	assert_int_equal(vol_attach(&a, false), 0);
	vol_settle(&a);
	assert_true(there(&a));
	refused(&b, "0 s ago");
	b.now += 14 * MINUTE + 50000000;
	refused(&b, "890 s ago");
	/* clocks that do not agree: as fresh */
	b.now -= 20 * MINUTE;
	refused(&b, "0 s ago");
	assert_false(a.superseded);
	/* the same host comes back at once, after a death and a reboot */
	vol_kill(&a);
	a.file_len = 0;
	assert_int_equal(vol_attach(&a, false), 0);
	vol_settle(&a);
	vol_kill(&a);
	/* nobody has written it for a quarter of an hour */
	b.now = a.now + 15 * MINUTE;
	assert_int_equal(vol_attach(&b, false), 0);
	vol_end(&b);
	vol_end(&a);
}

static void test_takeover(void **state)
{
	struct vol a, b;

	(void)state;
	hosts(&a, &b, 2);
	assert_int_equal(vol_attach(&a, false), 0);
	vol_settle(&a);
	b.opts.takeover = true;
	assert_int_equal(vol_attach(&b, false), 0);
	vol_settle(&b);
	/* now it is the other one's; who has lost the volume does not write it any more */
	assert_int_equal(vol_write(&a, 0, 1, 1, 1), 0);
	vol_flush(&a);
	assert_true(a.superseded);
	a.net.puts = 0;
	vol_advance(&a, 6 * MINUTE);
	vol_settle(&a);
	assert_int_equal(a.net.puts, 0);
	vol_kill(&a);
	assert_int_equal(vol_attach(&a, false), -EBUSY);
	assert_non_null(strstr(a.notice, "'beta'"));
	vol_end(&b);
	vol_end(&a);
}

/* An idle volume: one request in five minutes, and no other. */
static void test_idle(void **state)
{
	struct vol a, b;
	uint32_t i;
	unsigned int before;

	(void)state;
	hosts(&a, &b, 3);
	assert_int_equal(vol_attach(&a, false), 0);
	vol_settle(&a);
	before = a.net.puts + a.net.gets + a.net.lists + a.net.deletes;
	for (i = 0; i < 60 * 60; i++) {
		vol_advance(&a, 1000000);
		vol_settle(&a);
	}
	assert_int_equal(a.net.puts + a.net.gets + a.net.lists + a.net.deletes - before, 12);
	b.now = a.now;
	refused(&b, "s ago");
	vol_end(&b);
	vol_end(&a);
}

static void test_clean_end(void **state)
{
	struct vol a, b;

	(void)state;
	hosts(&a, &b, 4);
	assert_int_equal(vol_attach(&a, false), 0);
	assert_int_equal(vol_write(&a, 0, 1, 1, 1), 0);
	assert_int_equal(vol_detach(&a), 0);
	assert_false(there(&a));
	assert_int_equal(vol_attach(&b, false), 0);
	vol_end(&b);
	vol_end(&a);
}

/* Rubbish, a store that loses it, one that does not take it: served as ever. */
static void test_worth_nothing(void **state)
{
	struct vol a, b;

	(void)state;
	hosts(&a, &b, 5);
	assert_int_equal(mem_set(a.mem, "lease", "rubbish", 7), 0);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_settle(&b);
	assert_int_equal(mem_drop(a.mem, "lease"), 0);
	assert_int_equal(vol_attach(&a, false), 0);
	strcpy(a.net.hold, "lease");
	vol_advance(&a, 6 * MINUTE);
	vol_advance(&a, 6 * MINUTE);
	assert_int_equal(vol_write(&a, 0, 1, 1, 1), 0);
	assert_int_equal(vol_flush(&a), 0);
	vol_end(&b);
	vol_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	  cmocka_unit_test(test_who_is_refused),
		cmocka_unit_test(test_takeover),  cmocka_unit_test(test_idle),
		cmocka_unit_test(test_clean_end), cmocka_unit_test(test_worth_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
