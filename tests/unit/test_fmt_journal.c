// SPDX-License-Identifier: GPL-2.0-or-later
/* Superblocks and records of the local journal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "format/fmt_journal.h"
#include "lib/hostile.h"
#include "lib/testrand.h"

#define POS    (7ull << 20)
#define BLOCK  FMT_JOURNAL_BLOCK
#define MAX_OP FMT_JOURNAL_MAX_OPS

static const uint8_t uuid[16] = { 9, 8, 7 }, other_uuid[16] = { 9, 8, 6 };
static const uint8_t journal[16] = { 1, 2, 3 }, other_journal[16] = { 1, 2, 4 };
static const uint8_t key[FMT_KEY_LEN] = { 42 }, other_key[FMT_KEY_LEN] = { 43 };

static uint8_t data[FMT_JOURNAL_MAX_BLOCKS][BLOCK];
static const uint8_t *blocks[FMT_JOURNAL_MAX_BLOCKS];
static uint8_t out[FMT_JOURNAL_MAX_LEN];
static uint8_t back_data[FMT_JOURNAL_MAX_BLOCKS][BLOCK];

static int setup(void **state)
{
	(void)state;
	testrand_seed(5);
	for (unsigned int i = 0; i < FMT_JOURNAL_MAX_BLOCKS; i++) {
		for (unsigned int j = 0; j < BLOCK; j++)
			data[i][j] = (uint8_t)testrand_u64();
		blocks[i] = data[i];
	}
	return 0;
}

static void put32(uint8_t *p, uint32_t v)
{
	le32 le = le_32(v);

	memcpy(p, &le, sizeof(le));
}

static void put64(uint8_t *p, uint64_t v)
{
	le64 le = le_64(v);

	memcpy(p, &le, sizeof(le));
}

/* ---- superblock -------------------------------------------------------------------------- */

static struct fmt_journal_sb some_sb(void)
{
	struct fmt_journal_sb s = { .generation = 5,
				    .size = 100ull << 20,
				    .start = 9 * 4096,
				    .start_wno = 77,
				    .epoch = 3,
				    .created_us = 4,
				    .saved_us = 6,
				    .clean = true,
				    .host = "here" };

	memcpy(s.journal, journal, sizeof(s.journal));
	memset(s.start_prev, 8, sizeof(s.start_prev));
	return s;
}

static int open_sb(void *ctx, const void *p, size_t len)
{
	struct fmt_journal_sb want = some_sb(), s;
	int rc;

	/* A superblock has one length, though what is read may go on. */
	if (len != FMT_JOURNAL_SB_LEN && len >= FMT_JOURNAL_SB_LEN)
		return -EBADMSG;
	rc = fmt_journal_sb_open(&s, p, len, uuid, NULL, ctx);
	if (!rc)
		assert_memory_equal(&s, &want, sizeof(s));
	return rc;
}

static void superblock(void **state)
{
	struct fmt_journal_sb s = some_sb(), back;
	uint8_t sb[FMT_JOURNAL_SB_LEN], whose[16];
	void *with_key = (void *)(uintptr_t)key;

	(void)state;
	assert_int_equal(fmt_journal_sb_seal(sb, &s, uuid, key), 0);
	hostile_check(sb, sizeof(sb), open_sb, with_key);
	hostile_check(sb, sizeof(sb), open_sb, NULL);
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), NULL, whose, NULL), 0);
	assert_memory_equal(whose, uuid, sizeof(whose));
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), other_uuid, NULL, key),
			 -EBADMSG);
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, other_key),
			 -EBADMSG);
	/* Forged, with a checksum that fits: without a key that is not seen. */
	sb[112] ^= 1;
	put32(sb + 4088, crc32c(0, sb, 4088));
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, NULL), 0);
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, key), -EBADMSG);
	sb[112] ^= 1;
	sb[8] = 2;
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, key),
			 -EPROTONOSUPPORT);
	memset(sb, 0, sizeof(sb));
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, key), -ENODATA);
	assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb) - 1, uuid, NULL, key), -EBADMSG);
}

static void superblock_rules(void **state)
{
	uint8_t sb[FMT_JOURNAL_SB_LEN];
	struct fmt_journal_sb s, back;

	(void)state;
#define REFUSED(change) \
	do { \
		s = some_sb(); \
		change; \
		assert_int_equal(fmt_journal_sb_seal(sb, &s, uuid, key), -EINVAL); \
	} while (0)
	REFUSED(s.size = FMT_JOURNAL_MIN_SIZE - 4096);
	REFUSED(s.size += 512);
	REFUSED(s.size = 1ull << 63);
	REFUSED(s.start += 512);
	REFUSED(s.start = 1ull << 63);
	REFUSED(s.start_wno = 1ull << 63);
	REFUSED(s.generation = 1ull << 63);
	REFUSED(memset(s.journal, 0, sizeof(s.journal)));
	REFUSED(memset(s.host, 'x', sizeof(s.host)));
#undef REFUSED
	/* The same, and more, where only a forger's hand can have put it. */
#define REFUSED(off, v) \
	do { \
		s = some_sb(); \
		assert_int_equal(fmt_journal_sb_seal(sb, &s, uuid, key), 0); \
		put64(sb + (off), v); \
		put32(sb + 4088, crc32c(0, sb, 4088)); \
		assert_int_equal(fmt_journal_sb_open(&back, sb, sizeof(sb), uuid, NULL, NULL), \
				 -EBADMSG); \
	} while (0)
	REFUSED(64, 4096);
	REFUSED(72, 4096);
	REFUSED(80, 100ull << 20);
	REFUSED(88, 1);
	REFUSED(112, ~0ull);
	REFUSED(144, 2);
	REFUSED(144, 1ull << 32);
	REFUSED(152 + 56, ~0ull); /* a name without an end */
	REFUSED(216, 1);
	REFUSED(4048, 1);
#undef REFUSED
}

/* ---- records ----------------------------------------------------------------------------- */

/* A WRITE of two blocks, a DISCARD, a WRITE of one, ZEROES. */
static struct fmt_journal_rec some_rec(struct fmt_journal_op *ops)
{
	static const struct fmt_journal_op some[] = {
		{ .wno = 101, .lba = 5, .dev = 1, .blocks = 2, .kind = FMT_JOURNAL_WRITE },
		{ .wno = 102, .lba = 9, .dev = 0, .blocks = 1 << 30, .kind = FMT_JOURNAL_DISCARD },
		{ .wno = 105,
		  .lba = FMT_MAX_LBA - 1,
		  .dev = 2,
		  .blocks = 1,
		  .kind = FMT_JOURNAL_WRITE },
		{ .wno = 106,
		  .lba = 0,
		  .dev = 2,
		  .blocks = 7,
		  .kind = FMT_JOURNAL_ZEROES,
		  .flags = FMT_JOURNAL_NOUNMAP },
	};
	struct fmt_journal_rec r = { .type = FMT_JOURNAL_OPS,
				     .pos = POS,
				     .epoch = 4,
				     .first = 100,
				     .last = 107,
				     .flushed_to = 99,
				     .store_to = 90,
				     .nr_ops = 4,
				     .nr_blocks = 3,
				     .created_us = 11 };

	memcpy(ops, some, sizeof(some));
	memcpy(r.journal, journal, sizeof(r.journal));
	memset(r.prev, 6, sizeof(r.prev));
	return r;
}

static int seal(struct fmt_journal_rec *r, const struct fmt_journal_op *ops)
{
	return fmt_journal_seal(out, r, ops, blocks, uuid, key);
}

static void same_ops(const struct fmt_journal_op *a, const struct fmt_journal_op *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_true(a[i].wno == b[i].wno && a[i].lba == b[i].lba && a[i].dev == b[i].dev &&
			    a[i].blocks == b[i].blocks && a[i].kind == b[i].kind &&
			    a[i].flags == b[i].flags);
}

/* Opens what seal() left and compares. */
static void opens_as(const struct fmt_journal_rec *r, const struct fmt_journal_op *ops)
{
	struct fmt_journal_op back_ops[MAX_OP];
	struct fmt_journal_rec back;

	memset(&back, 0xff, sizeof(back));
	assert_int_equal(fmt_journal_peek(&back, out, FMT_JOURNAL_HDR_LEN, uuid, journal, r->pos),
			 0);
	assert_memory_equal(&back, r, sizeof(back));
	for (int with = 0; with < 2; with++) {
		memset(&back, 0xff, sizeof(back));
		memset(back_data, 0, sizeof(back_data));
		assert_int_equal(fmt_journal_open(&back, back_ops,
						  with ? (uint8_t *)back_data : NULL, out, r->len,
						  uuid, journal, r->pos, key),
				 0);
		assert_memory_equal(&back, r, sizeof(back));
		same_ops(back_ops, ops, r->nr_ops);
	}
	assert_memory_equal(back_data, data, r->nr_blocks * BLOCK);
}

struct want {
	struct fmt_journal_rec r;
	struct fmt_journal_op ops[4];
};

static int open_rec(void *ctx, const void *p, size_t len)
{
	struct fmt_journal_op ops[4];
	struct want *w = ctx;
	struct fmt_journal_rec r;
	int rc = fmt_journal_open(&r, ops, (uint8_t *)back_data, p, len, uuid, journal, POS, key);

	if (!rc) {
		assert_memory_equal(&r, &w->r, sizeof(r));
		same_ops(ops, w->ops, r.nr_ops);
	}
	return rc;
}

static void round_trip(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct fmt_journal_rec r = some_rec(ops), back;
	uint8_t first[FMT_JOURNAL_HDR_LEN], hash[FMT_HASH_LEN];

	(void)state;
	assert_int_equal(seal(&r, ops), 0);
	assert_int_equal(r.len, 4096 + 3 * 4096);
	opens_as(&r, ops);
	fmt_hash16(hash, out, FMT_JOURNAL_HDR_LEN);
	assert_memory_equal(hash, r.hash, sizeof(hash));
	/* Not a byte of the plaintext is in it. */
	for (size_t i = 0; i + 16 <= r.len; i++)
		assert_int_not_equal(memcmp(out + i, data[0], 16), 0);
	/* The same once more: another nonce, other bytes. */
	memcpy(first, out, sizeof(first));
	assert_int_equal(seal(&r, ops), 0);
	assert_memory_not_equal(first + 144, out + 144, 16);
	opens_as(&r, ops);

	assert_int_equal(fmt_journal_peek(&back, out, r.len, other_uuid, journal, POS), -EBADMSG);
	assert_int_equal(fmt_journal_peek(&back, out, r.len, uuid, other_journal, POS), -EBADMSG);
	assert_int_equal(fmt_journal_peek(&back, out, r.len, uuid, journal, POS + 4096), -EBADMSG);
	assert_int_equal(fmt_journal_peek(&back, out, FMT_JOURNAL_HDR_LEN - 1, uuid, journal, POS),
			 -EBADMSG);
	assert_int_equal(fmt_journal_open(&back, ops, NULL, out, r.len, uuid, journal, POS,
					  other_key),
			 -EBADMSG);
	assert_int_equal(fmt_journal_open(&back, ops, NULL, out, r.len - 4096, uuid, journal, POS,
					  key),
			 -EBADMSG);
	assert_int_equal(fmt_journal_open(&back, ops, NULL, out, BLOCK, uuid, journal, POS, key),
			 -EBADMSG);
}

/* A full record, a record of one DISCARD, and one with more operations than blocks. */
static void sizes(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct fmt_journal_rec r = some_rec(ops);

	(void)state;
	r.first = 1;
	r.last = MAX_OP;
	r.nr_ops = MAX_OP;
	r.nr_blocks = FMT_JOURNAL_MAX_BLOCKS;
	for (uint32_t i = 0; i < MAX_OP; i++)
		ops[i] = (struct fmt_journal_op){
			.wno = i + 1, .lba = 3 * i, .blocks = 1, .kind = FMT_JOURNAL_WRITE
		};
	assert_int_equal(seal(&r, ops), 0);
	assert_int_equal(r.len, FMT_JOURNAL_MAX_LEN);
	opens_as(&r, ops);

	r.nr_blocks = 1;
	for (uint32_t i = 0; i < MAX_OP; i++)
		ops[i].kind = i == 200 ? FMT_JOURNAL_WRITE : FMT_JOURNAL_DISCARD;
	assert_int_equal(seal(&r, ops), 0);
	assert_int_equal(r.len, 3 * 4096 + 4096);
	opens_as(&r, ops);

	r.nr_ops = 1;
	r.nr_blocks = FMT_JOURNAL_MAX_BLOCKS;
	ops[0].kind = FMT_JOURNAL_WRITE;
	ops[0].blocks = FMT_JOURNAL_MAX_BLOCKS;
	assert_int_equal(seal(&r, ops), 0);
	opens_as(&r, ops);

	r.nr_blocks = 0;
	ops[0].kind = FMT_JOURNAL_DISCARD;
	ops[0].blocks = UINT32_MAX;
	assert_int_equal(fmt_journal_seal(out, &r, ops, NULL, uuid, key), 0);
	assert_int_equal(r.len, 4096);
	opens_as(&r, ops);
}

/* Numbers that nobody was given: there is nothing in it. */
static void no_operations(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct want w = { .r = some_rec(ops) };

	(void)state;
	w.r.nr_ops = w.r.nr_blocks = 0;
	assert_int_equal(fmt_journal_seal(out, &w.r, NULL, NULL, uuid, key), 0);
	assert_int_equal(w.r.len, BLOCK);
	opens_as(&w.r, NULL);
	hostile_check(out, w.r.len, open_rec, &w);
}

static void hostile(void **state)
{
	struct want w;

	(void)state;
	w.r = some_rec(w.ops);
	/* One block, to keep the number of bits small. */
	w.ops[0].blocks = 1;
	w.ops[2].kind = FMT_JOURNAL_ZEROES;
	w.r.nr_blocks = 1;
	assert_int_equal(seal(&w.r, w.ops), 0);
	hostile_check(out, w.r.len, open_rec, &w);
}

static void pad(void **state)
{
	struct fmt_journal_rec r = { .type = FMT_JOURNAL_PAD,
				     .len = 5 * 4096,
				     .pos = POS,
				     .epoch = 4,
				     .flushed_to = 9,
				     .store_to = 9 },
			       back;
	struct want w;

	(void)state;
	memcpy(r.journal, journal, sizeof(r.journal));
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(fmt_journal_seal(out, &r, NULL, NULL, uuid, key), 0);
	assert_int_equal(r.len, 5 * 4096);
	for (size_t i = BLOCK; i < sizeof(out); i++)
		assert_int_equal(out[i], 0xaa);
	opens_as(&r, NULL);
	w.r = r;
	hostile_check(out, BLOCK, open_rec, &w);
	assert_int_equal(fmt_journal_open(&back, NULL, NULL, out, 2 * BLOCK, uuid, journal, POS,
					  key),
			 -EBADMSG);
	assert_int_equal(fmt_journal_open(&back, NULL, NULL, out, BLOCK, uuid, journal, POS,
					  other_key),
			 -EBADMSG);
#define REFUSED(change) \
	do { \
		back = r; \
		change; \
		assert_int_equal(fmt_journal_seal(out, &back, NULL, NULL, uuid, key), -EINVAL); \
	} while (0)
	REFUSED(back.len = 0);
	REFUSED(back.len = 4000);
	REFUSED(back.len = FMT_JOURNAL_MAX_LEN);
	REFUSED(back.first = 1; back.last = 1);
	REFUSED(back.last = 1);
#undef REFUSED
}

static void rules(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct fmt_journal_rec r;

	(void)state;
#define REFUSED(change) \
	do { \
		r = some_rec(ops); \
		change; \
		assert_int_equal(seal(&r, ops), -EINVAL); \
	} while (0)
	REFUSED(r.type = 0);
	REFUSED(r.type = FMT_JOURNAL_SEALED);
	REFUSED(r.type = 4);
	REFUSED(r.pos++);
	REFUSED(r.pos = 1ull << 63);
	REFUSED(memset(r.journal, 0, sizeof(r.journal)));
	REFUSED(r.first = 0);
	REFUSED(r.first = 102); /* the first is before it */
	REFUSED(r.last = 105);
	REFUSED(r.last = 99);
	REFUSED(r.last = 1ull << 63);
	REFUSED(r.store_to = 100); /* beyond what is durable anywhere */
	REFUSED(r.flushed_to = 1ull << 63);
	REFUSED(r.nr_ops = 0);
	REFUSED(r.nr_ops = MAX_OP + 1);
	REFUSED(r.nr_blocks = FMT_JOURNAL_MAX_BLOCKS + 1);
	REFUSED(r.nr_blocks = 2);
	REFUSED(r.nr_blocks = 4);
	REFUSED(ops[1].wno = 101);
	REFUSED(ops[1].wno = 106);
	REFUSED(ops[0].lba = FMT_MAX_LBA - 1);
	REFUSED(ops[0].lba = ~0ull);
	REFUSED(ops[0].blocks = 0; r.nr_blocks = 1);
	REFUSED(ops[0].blocks = 257);
	REFUSED(ops[1].blocks = 0);
	REFUSED(ops[0].kind = 0);
	REFUSED(ops[0].kind = 4);
	REFUSED(ops[0].flags = FMT_JOURNAL_NOUNMAP);
	REFUSED(ops[1].flags = FMT_JOURNAL_NOUNMAP);
	REFUSED(ops[3].flags = 2);
#undef REFUSED
}

/* Changes @n bytes of the sealed header, as one who can make the checksum but not the tag. */
static int changed(const struct fmt_journal_rec *r, size_t off, uint64_t v, size_t n)
{
	struct fmt_journal_rec back;
	le64 le = le_64(v);

	memcpy(out + off, &le, n);
	put32(out + 188, crc32c(0, out, 188));
	return fmt_journal_peek(&back, out, r->len, uuid, journal, POS);
}

static void forged(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct fmt_journal_rec r, back;

	(void)state;
#define CHANGED(off, v, n, rc) \
	do { \
		r = some_rec(ops); \
		assert_int_equal(seal(&r, ops), 0); \
		assert_int_equal(changed(&r, off, v, n), rc); \
		assert_true(fmt_journal_open(&back, ops, NULL, out, r.len, uuid, journal, POS, \
					     key) < 0); \
	} while (0)
	CHANGED(40, 3, 1, -EPROTONOSUPPORT);
	CHANGED(40, 2, 1, -EBADMSG);
	CHANGED(40, 9, 1, -EBADMSG);
	CHANGED(41, 1, 1, -EBADMSG);
	CHANGED(44, 1 << 20, 4, -EBADMSG);
	CHANGED(44, 3 * 4096, 4, -EBADMSG);
	CHANGED(80, 0, 8, -EBADMSG);
	CHANGED(88, 0, 8, -EBADMSG);
	CHANGED(88, ~0ull, 8, -EBADMSG);
	CHANGED(96, 1, 8, -EBADMSG);
	CHANGED(112, 257, 4, -EBADMSG);
	CHANGED(116, ~0u, 4, -EBADMSG);
	CHANGED(176, 100, 4, -EBADMSG);
	CHANGED(184, 1, 4, -EBADMSG);
	/* What peek has no reason to refuse is refused for its tag. */
	CHANGED(72, 5, 8, 0);
	CHANGED(80, 99, 8, 0);
	CHANGED(88, 200, 8, 0);
	CHANGED(96, 98, 8, 0);
	CHANGED(104, 91, 8, 0);
	CHANGED(120, 12, 8, 0);
	CHANGED(128, 7, 8, 0);
	CHANGED(144, 7, 8, 0);
	CHANGED(160, 7, 8, 0);
	CHANGED(180, 7, 4, 0);
#undef CHANGED
}

/* The body may be put together anew, with a checksum that fits: then its tags say no. */
static void swapped_blocks(void **state)
{
	struct fmt_journal_op ops[MAX_OP], back_ops[MAX_OP];
	struct fmt_journal_rec r = some_rec(ops), back;
	uint8_t tmp[BLOCK];

	(void)state;
	assert_int_equal(seal(&r, ops), 0);
	memcpy(tmp, out + BLOCK, BLOCK);
	memcpy(out + BLOCK, out + 2 * BLOCK, BLOCK);
	memcpy(out + 2 * BLOCK, tmp, BLOCK);
	put32(out + 180, crc32c(0, out + 192, r.len - 192));
	put32(out + 188, crc32c(0, out, 188));
	assert_int_equal(fmt_journal_open(&back, back_ops, NULL, out, r.len, uuid, journal, POS,
					  key),
			 -EBADMSG);
}

static void random_bytes(void **state)
{
	struct fmt_journal_op ops[MAX_OP];
	struct fmt_journal_rec r, back;
	struct fmt_journal_sb sb;

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		size_t len = testrand_below(4 * BLOCK);
		uint8_t *p;

		r = some_rec(ops);
		assert_int_equal(seal(&r, ops), 0);
		p = malloc(len + 1);
		assert_non_null(p);
		memcpy(p, out, len < r.len ? len : r.len);
		for (unsigned int i = 1 + testrand_below(6); i && len; i--) {
			/* Mostly in the header, whose checksum then fits all the same. */
			size_t at = testrand_below(testrand_below(4) && len > 192 ? 192 : len);

			p[at] = (uint8_t)testrand_u64();
		}
		if (len >= FMT_JOURNAL_HDR_LEN && testrand_below(4)) {
			fmt_prefix_init((void *)p, FMT_KIND_JOURNAL, uuid);
			memcpy(p + 48, journal, 16);
			put64(p + 64, POS);
			put32(p + 188, crc32c(0, p, 188));
		}
		fmt_journal_peek(&back, p, len, uuid, journal, POS);
		fmt_journal_open(&back, ops, (uint8_t *)back_data, p, len, uuid, journal, POS, key);
		fmt_journal_sb_open(&sb, p, len, NULL, NULL, NULL);
		free(p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(superblock),	 cmocka_unit_test(superblock_rules),
		cmocka_unit_test(round_trip),	 cmocka_unit_test(sizes),
		cmocka_unit_test(no_operations), cmocka_unit_test(hostile),
		cmocka_unit_test(pad),		 cmocka_unit_test(rules),
		cmocka_unit_test(forged),	 cmocka_unit_test(swapped_blocks),
		cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
