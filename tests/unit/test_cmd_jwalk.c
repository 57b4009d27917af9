// SPDX-License-Identifier: GPL-2.0-or-later
/* The walk over a journal's records that `zerofs journal` does, on journals with damage in them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/cmd_jwalk.h"
#include "lib/tempdir.h"

#define RING	 (FMT_JOURNAL_MIN_SIZE - FMT_JOURNAL_RING_OFF)
#define REC_LEN	 (2u * FMT_JOURNAL_BLOCK) /* one block of payload */
#define MAX_SEEN 64

struct fix {
	char *dir;
	struct fmt_journal_sb sb;
	struct cmd_journal_owner o;
	struct cmd_jwalk w;
	uint8_t prev[FMT_HASH_LEN]; /* of the record that add() made last */
	/* what the walk told: numbers of writes, and 0 for a gap */
	uint64_t seen[MAX_SEEN], from, to;
	unsigned int nr;
};

static int saw_record(void *ctx, const struct fmt_journal_rec *r, const struct fmt_journal_op *ops,
		      const uint8_t *payload)
{
	struct fix *f = ctx;

	assert_int_equal(r->nr_ops, 1);
	assert_true(f->nr < MAX_SEEN);
	for (size_t i = 0; i < FMT_JOURNAL_BLOCK; i++)
		assert_int_equal(payload[i], (uint8_t)ops->wno);
	f->seen[f->nr++] = ops->wno;
	return 0;
}

static int saw_gap(void *ctx, uint64_t from, uint64_t to)
{
	struct fix *f = ctx;

	assert_true(f->nr < MAX_SEEN);
	f->seen[f->nr++] = 0;
	f->from = from;
	f->to = to;
	return 0;
}

static int begin(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	char path[512];

	assert_non_null(f);
	f->dir = tempdir_make();
	snprintf(path, sizeof(path), "%s/j", f->dir);
	f->sb = (struct fmt_journal_sb){ .generation = 1, .size = FMT_JOURNAL_MIN_SIZE };
	memset(f->sb.journal, 0x11, sizeof(f->sb.journal));
	memset(f->o.uuid, 0x22, sizeof(f->o.uuid));
	memset(f->o.key, 0x33, sizeof(f->o.key));
	f->w = (struct cmd_jwalk){ .fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600),
				   .sb = &f->sb,
				   .o = &f->o,
				   .record = saw_record,
				   .gap = saw_gap,
				   .ctx = f };
	assert_true(f->w.fd >= 0);
	assert_int_equal(ftruncate(f->w.fd, FMT_JOURNAL_MIN_SIZE), 0);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fix *f = *state;

	close(f->w.fd);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static off_t place(uint64_t pos)
{
	return (off_t)(FMT_JOURNAL_RING_OFF + pos % RING);
}

/* A record with one block, whose bytes are its number's, after the one that was made last. */
static uint64_t add(struct fix *f, uint64_t pos, uint64_t epoch, uint64_t wno)
{
	static uint8_t out[REC_LEN], data[FMT_JOURNAL_BLOCK];
	const uint8_t *const blocks[] = { data };
	const struct fmt_journal_op op = {
		.wno = wno, .lba = wno, .blocks = 1, .kind = FMT_JOURNAL_WRITE
	};
	struct fmt_journal_rec r = { .type = FMT_JOURNAL_OPS,
				     .pos = pos,
				     .epoch = epoch,
				     .first = wno,
				     .last = wno,
				     .flushed_to = wno - 1,
				     .nr_ops = 1,
				     .nr_blocks = 1 };

	memcpy(r.journal, f->sb.journal, sizeof(r.journal));
	memcpy(r.prev, f->prev, sizeof(r.prev));
	memset(data, (uint8_t)wno, sizeof(data));
	assert_int_equal(fmt_journal_seal(out, &r, &op, blocks, f->o.uuid, f->o.key), 0);
	assert_int_equal(r.len, REC_LEN);
	assert_int_equal(pwrite(f->w.fd, out, r.len, place(pos)), r.len);
	memcpy(f->prev, r.hash, sizeof(f->prev));
	return pos + r.len;
}

static void spoil(struct fix *f, uint64_t pos)
{
	uint8_t b;

	assert_int_equal(pread(f->w.fd, &b, 1, place(pos)), 1);
	b ^= 1;
	assert_int_equal(pwrite(f->w.fd, &b, 1, place(pos)), 1);
}

static void walk(struct fix *f, const uint64_t *want, unsigned int n)
{
	f->nr = 0;
	assert_int_equal(cmd_jwalk_all(&f->w), 0);
	assert_int_equal(f->nr, n);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(f->seen[i], want[i]);
}

#define WALK(f, ...) \
	do { \
		static const uint64_t want_[] = { __VA_ARGS__ }; \
		walk(f, want_, sizeof(want_) / sizeof(want_[0])); \
	} while (0)

static void whole(void **state)
{
	struct fix *f = *state;
	uint64_t pos = 0;

	walk(f, NULL, 0);
	assert_int_equal(f->w.gaps + f->w.records + f->w.first + f->w.last, 0);
	for (uint64_t n = 1; n <= 4; n++)
		pos = add(f, pos, 1, n);
	WALK(f, 1, 2, 3, 4);
	assert_int_equal(f->w.gaps, 0);
	assert_int_equal(f->w.ops, 4);
	assert_int_equal(f->w.data, 4 * FMT_JOURNAL_BLOCK);
	assert_int_equal(f->w.first, 1);
	assert_int_equal(f->w.last, 4);
	assert_int_equal(f->w.end, pos);
}

/* The first, one in the middle, the last: header, table or payload. */
static void damaged(void **state)
{
	static const unsigned int where[] = { 0, 64, 100, 190, 200, REC_LEN - 1 };
	struct fix *f = *state;
	uint64_t pos = 0;

	for (uint64_t n = 1; n <= 5; n++)
		pos = add(f, pos, 1, n);
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		spoil(f, where[i]);
		WALK(f, 0, 2, 3, 4, 5);
		assert_int_equal(f->w.broken_at, 0);
		spoil(f, where[i]);
		spoil(f, 2 * REC_LEN + where[i]);
		WALK(f, 1, 2, 0, 4, 5);
		assert_int_equal(f->w.gaps, 1);
		assert_int_equal(f->w.broken_at, 2 * REC_LEN);
		assert_int_equal(f->from, 2 * REC_LEN);
		assert_int_equal(f->to, 3 * REC_LEN);
		assert_int_equal(f->w.end, pos);
		spoil(f, 3 * REC_LEN);
		WALK(f, 1, 2, 0, 5);
		spoil(f, 3 * REC_LEN);
		spoil(f, 2 * REC_LEN + where[i]);
	}
	/* Of the last one the header tells that there was more. */
	spoil(f, 4 * REC_LEN + 200);
	WALK(f, 1, 2, 3, 4, 0);
	assert_int_equal(f->w.broken_at, 4 * REC_LEN);
	assert_int_equal(f->to, 0);
	cmd_jwalk_chain(&f->w);
	assert_int_equal(f->w.gaps, 0);
	assert_int_equal(f->w.ops, 4);
}

/* What is no record of this journal, or none at this place, does not count behind a gap either. */
static void foreign(void **state)
{
	struct fix *f = *state;
	static uint8_t rec[REC_LEN];

	add(f, 0, 1, 1);
	add(f, REC_LEN, 1, 2);
	add(f, 2 * REC_LEN, 1, 3);
	/* another key */
	f->o.key[0] ^= 1;
	add(f, 3 * REC_LEN, 1, 4);
	f->o.key[0] ^= 1;
	/* another journal */
	f->sb.journal[0] ^= 1;
	add(f, 4 * REC_LEN, 1, 5);
	f->sb.journal[0] ^= 1;
	/* a copy of one, elsewhere */
	assert_int_equal(pread(f->w.fd, rec, REC_LEN, place(2 * REC_LEN)), REC_LEN);
	assert_int_equal(pwrite(f->w.fd, rec, REC_LEN, place(5 * REC_LEN)), REC_LEN);
	spoil(f, REC_LEN);
	WALK(f, 1, 0, 3);
	assert_int_equal(f->w.gaps, 1);
	assert_int_equal(f->w.top, 3 * REC_LEN);
}

/* Laps: what an earlier one left is not needed, and does not break the chain. */
static void laps(void **state)
{
	struct fix *f = *state;
	uint64_t pos = 0;

	for (uint64_t n = 1; n <= 6; n++)
		pos = add(f, pos, 1, n);
	memset(f->prev, 0, sizeof(f->prev));
	f->sb.start = 2 * RING - REC_LEN;
	pos = f->sb.start;
	for (uint64_t n = 7; n <= 10; n++)
		pos = add(f, pos, 1, n);
	WALK(f, 7, 8, 9, 10);
	assert_int_equal(f->w.gaps, 0);
	spoil(f, 2 * RING);
	WALK(f, 7, 0, 9, 10);
	assert_int_equal(f->w.broken_at, 2 * RING);
	/* A start that is out of date: the ring has been used again from there on. */
	f->sb.start = RING - REC_LEN;
	WALK(f, 0, 7, 0, 9, 10);
	assert_int_equal(f->w.broken_at, RING - REC_LEN);
}

/* What is found comes by position, wherever in the ring it lies. */
static void order(void **state)
{
	struct fix *f = *state;

	f->sb.start = 2 * REC_LEN;
	add(f, 4 * REC_LEN, 1, 1);
	add(f, RING + 2 * REC_LEN, 1, 2);
	WALK(f, 0, 1, 0, 2);
	assert_int_equal(f->w.broken_at, 2 * REC_LEN);
	assert_int_equal(f->w.first, 1);
	assert_int_equal(f->w.last, 2);
}

/* A write that did not end, of an owner that another followed, is no gap. */
static void torn(void **state)
{
	struct fix *f = *state;
	uint64_t pos;

	add(f, 3 * REC_LEN, 1, 90);
	memset(f->prev, 0, sizeof(f->prev));
	pos = add(f, 0, 2, 1);
	add(f, pos, 2, 2);
	WALK(f, 1, 2);
	assert_int_equal(f->w.gaps, 0);
	assert_int_equal(f->w.top, 4 * REC_LEN);
	/* Of the same owner it may have counted. */
	add(f, 5 * REC_LEN, 2, 4);
	WALK(f, 1, 2, 0, 4);
	/* A clean journal holds nothing. */
	f->sb.clean = true;
	f->sb.start = 2 * REC_LEN;
	walk(f, NULL, 0);
	assert_int_equal(f->w.gaps, 0);
}

/* A fresh start leaves every old record behind, whatever was found and whatever was not. */
static void fresh(void **state)
{
	struct fix *f = *state;
	uint64_t old, start;

	/* A broken chain, and a record that lies further on than a ring from the start. */
	add(f, 0, 1, 1);
	add(f, REC_LEN, 1, 2);
	add(f, 3 * RING + 7 * REC_LEN, 1, 3);
	spoil(f, REC_LEN);
	f->nr = 0;
	assert_int_equal(cmd_jwalk_all(&f->w), 0);
	assert_int_equal(f->w.top, 3 * RING + 8 * REC_LEN);
	start = cmd_jwalk_fresh_start(&f->w);
	assert_int_equal(start % RING, 0);
	assert_true(start >= f->w.top);
	f->sb.start = start;
	memset(f->sb.start_prev, 0, sizeof(f->sb.start_prev));
	walk(f, NULL, 0);
	assert_int_equal(f->w.gaps, 0);
	assert_int_equal(f->w.top, start);

	/*
	 * The start that counts is a generation old, its successor's was a ring further, and the
	 * writer a ring beyond that; its last record was not to be read today, and is tomorrow.
	 */
	old = start + RING - REC_LEN;
	f->sb.start = old;
	walk(f, NULL, 0);
	start = cmd_jwalk_fresh_start(&f->w);
	memset(f->prev, 0, sizeof(f->prev));
	add(f, old + 2 * RING - REC_LEN, 1, 4);
	f->sb.start = start;
	walk(f, NULL, 0);
	assert_int_equal(f->w.top, start);
	/* And it is a start like any other. */
	memset(f->prev, 0, sizeof(f->prev));
	add(f, start, 2, 5);
	WALK(f, 5);
	assert_int_equal(f->w.gaps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole, begin, end),
		cmocka_unit_test_setup_teardown(damaged, begin, end),
		cmocka_unit_test_setup_teardown(foreign, begin, end),
		cmocka_unit_test_setup_teardown(laps, begin, end),
		cmocka_unit_test_setup_teardown(order, begin, end),
		cmocka_unit_test_setup_teardown(torn, begin, end),
		cmocka_unit_test_setup_teardown(fresh, begin, end),
	};

	return cmocka_run_group_tests_name("cmd_jwalk", tests, NULL, NULL);
}
