// SPDX-License-Identifier: GPL-2.0-or-later
/* How long ago a writer surely owned its volume: what --stop-after goes by. */
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
#include "store/mem.h"
#include "volume/contact.h"
#include "volume/vol.h"

#define SIZE   (RUN_BLOCKS * 4096ull)
#define SECOND 1000000ull

static void begin(struct vol *w, uint32_t stop_after_s)
{
	vol_init(w, 1, 1, SIZE);
	w->opts.stop_after_ms = stop_after_s * 1000;
	assert_int_equal(vol_attach(w, false), 0);
}

static void store_one(struct vol *w)
{
	assert_int_equal(vol_write(w, 0, 1, 1, 1), 0);
	assert_int_equal(vol_flush(w), 0);
}

static void test_time(void **state)
{
	struct vol w;

	(void)state;
	begin(&w, 10);
	assert_true(contact_ok(w.v)); /* its fence */
	vol_advance(&w, 9 * SECOND);
	assert_true(contact_ok(w.v));
	vol_advance(&w, 1 * SECOND);
	assert_false(contact_ok(w.v));
	store_one(&w);
	assert_true(contact_ok(w.v));
	vol_end(&w);
}

static void test_off(void **state)
{
	struct vol w;

	(void)state;
	begin(&w, 0);
	vol_advance(&w, 100000 * SECOND);
	assert_true(contact_ok(w.v));
	vol_end(&w);
}

/* An object that was sent before the silence says nothing of the time after it was sent. */
static void test_late_answer(void **state)
{
	struct vol_io f = { .heap = false };
	struct vol w;

	(void)state;
	begin(&w, 10);
	assert_int_equal(vol_write(&w, 0, 1, 1, 1), 0);
	strcpy(w.net.hold, "seg/");
	vol_submit(&f, &w, IO_FLUSH, 0, 0, 0, 0, 0);
	vol_settle(&w);
	vol_advance(&w, 3600 * SECOND);
	assert_false(contact_ok(w.v));
	w.net.hold[0] = '\0';
	net_release(&w.net);
	vol_settle(&w);
	/* it is in the store: that FLUSH may be answered, others may not */
	assert_true(f.done && !f.io.res);
	assert_false(contact_ok(w.v));
	store_one(&w);
	assert_true(contact_ok(w.v));
	vol_end(&w);
}

/* Reads are contact, and no proof; nor is a PUT that meets somebody else's object. */
static void test_no_proof(void **state)
{
	struct vol a, b;
	uint8_t block[4096];

	(void)state;
	begin(&a, 10);
	store_one(&a);
	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_advance(&a, 10 * SECOND);
	assert_int_equal(vol_read(&a, 0, 1, 1, block), 0);
	assert_false(contact_ok(a.v));
	assert_int_equal(vol_write(&a, 0, 2, 1, 2), 0);
	assert_int_equal(vol_flush(&a), -EIO);
	assert_true(a.superseded);
	assert_false(contact_ok(a.v));
	vol_end(&b);
	vol_end(&a);
}

/* An object with a gap before it: a successor's fence may lie in the gap. */
static void test_gap(void **state)
{
	struct vol_io f[2] = { { .heap = false }, { .heap = false } };
	char name[FMT_NAME_MAX];
	struct vol w;
	size_t len;

	(void)state;
	begin(&w, 10);
	vol_advance(&w, 10 * SECOND);
	fmt_name_seg(name, w.v->next_seq);
	strcpy(w.net.hold, name);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(vol_write(&w, 0, i, 1, i + 1), 0);
		vol_submit(&f[i], &w, IO_FLUSH, 0, 0, 0, 0, 0);
		vol_settle(&w);
	}
	assert_null(mem_object(w.mem, name, &len));
	fmt_name_seg(name, w.v->next_seq - 1);
	assert_non_null(mem_object(w.mem, name, &len));
	assert_false(contact_ok(w.v));
	w.net.hold[0] = '\0';
	net_release(&w.net);
	assert_int_equal(vol_wait(&f[1]), 0);
	assert_true(f[0].done);
	assert_true(contact_ok(w.v));
	vol_end(&w);
}

/*
 * A host with a journal is cut off: for stop_after its disk answers flushes, then none is answered
 * until the store has shown that it was not fenced.
 */
static void test_journal(void **state)
{
	struct vol_io f = { .heap = false };
	struct vol w;

	(void)state;
	vol_init(&w, 1, 1, SIZE);
	vol_journal(&w, 64u << 20);
	w.opts.stop_after_ms = 10000;
	assert_int_equal(vol_attach(&w, false), 0);
	w.net.refuse_puts = -ETIMEDOUT;
	vol_advance(&w, 5 * SECOND);
	assert_int_equal(vol_write(&w, 0, 1, 1, 1), 0);
	assert_int_equal(vol_flush(&w), 0);
	assert_int_equal(w.v->committed_wno, 0);
	vol_advance(&w, 5 * SECOND);
	/* this one was on the journal's disk long ago */
	vol_submit(&f, &w, IO_FLUSH, 0, 0, 0, 0, 0);
	for (int i = 0; i < 20; i++) {
		vol_settle(&w);
		vol_advance(&w, SECOND);
	}
	assert_false(f.done);
	w.net.refuse_puts = 0;
	assert_int_equal(vol_wait(&f), 0);
	/* that PUT was first sent long ago; the next one is fresh */
	assert_int_equal(vol_write(&w, 0, 2, 1, 2), 0);
	assert_int_equal(vol_flush(&w), 0);
	assert_int_equal(w.v->committed_wno, w.v->last_wno);
	w.net.refuse_puts = -ETIMEDOUT;
	assert_int_equal(vol_write(&w, 0, 3, 1, 3), 0);
	assert_int_equal(vol_flush(&w), 0);
	assert_true(w.v->committed_wno < w.v->last_wno);
	vol_end(&w);
}

/*
 * Refused for long: the first try may have been carried out long ago, unseen, so that the last one
 * goes through proves nothing. The next object does.
 */
static void test_after_an_outage(void **state)
{
	struct vol_io f = { .heap = false };
	struct vol w;

	(void)state;
	begin(&w, 10);
	assert_int_equal(vol_write(&w, 0, 1, 1, 1), 0);
	w.net.refuse_puts = -ETIMEDOUT;
	vol_submit(&f, &w, IO_FLUSH, 0, 0, 0, 0, 0);
	for (int i = 0; i < 100; i++) {
		vol_settle(&w);
		vol_advance(&w, SECOND);
	}
	assert_false(f.done);
	assert_false(contact_ok(w.v));
	w.net.refuse_puts = 0;
	assert_int_equal(vol_wait(&f), 0);
	assert_false(contact_ok(w.v));
	store_one(&w);
	assert_true(contact_ok(w.v));
	vol_end(&w);
}

/* One that met itself has been there since some time after it was first sent. */
static void test_answer_lost(void **state)
{
	struct vol_io f = { .heap = false };
	struct vol w;

	(void)state;
	begin(&w, 10);
	vol_advance(&w, 10 * SECOND);
	assert_int_equal(vol_write(&w, 0, 1, 1, 1), 0);
	w.net.lose_pm = 1000;
	vol_submit(&f, &w, IO_FLUSH, 0, 0, 0, 0, 0);
	vol_settle(&w);
	w.net.lose_pm = 0;
	assert_false(contact_ok(w.v));
	assert_int_equal(vol_wait(&f), 0);
	assert_true(contact_ok(w.v));
	vol_advance(&w, 10 * SECOND);
	assert_false(contact_ok(w.v));
	vol_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_no_proof),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_after_an_outage),
		cmocka_unit_test(test_answer_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
