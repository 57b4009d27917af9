// SPDX-License-Identifier: GPL-2.0-or-later
/* What the image of a volume hangs from: head, manifest, runs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_head.h"
#include "format/fmt_manifest.h"
#include "format/fmt_run.h"
#include "lib/hostile.h"
#include "lib/testrand.h"

static const uint8_t uuid[16] = { 9, 8, 7 }, other_uuid[16] = { 9, 8, 6 };
static const uint8_t key[FMT_KEY_LEN] = { 1 }, other_key[FMT_KEY_LEN] = { 2 };

/* ---- head -------------------------------------------------------------------------------- */

static struct fmt_head some_head(void)
{
	struct fmt_head h = { .version = 5,
			      .epoch = 4,
			      .window = 16,
			      .flags = FMT_HEAD_CLEAN,
			      .keys_version = 1,
			      .manifest_version = 3,
			      .manifest_id = 99,
			      .replay_from = 70,
			      .last_wno = 1234,
			      .floor = 12,
			      .gc_floor = 2,
			      .created_us = 77,
			      .journal_state = FMT_JOURNAL_OPEN,
			      .journal_host = "alpha",
			      .journal_epoch = 3,
			      .journal_pos = 4096 * 1000ull,
			      .host = "beta" };

	memset(h.nonce, 1, sizeof(h.nonce));
	memset(h.manifest_hash, 2, sizeof(h.manifest_hash));
	memset(h.chain, 3, sizeof(h.chain));
	memset(h.journal, 4, sizeof(h.journal));
	memset(h.image_journal, 5, sizeof(h.image_journal));
	memset(h.journal_host_id, 6, sizeof(h.journal_host_id));
	return h;
}

static int open_head(void *ctx, const void *p, size_t len)
{
	const struct fmt_head *want = ctx;
	struct fmt_head h;
	int rc = fmt_head_open(&h, p, len, uuid, 5, key);

	if (!rc)
		assert_memory_equal(&h, want, sizeof(h));
	return rc;
}

static void head(void **state)
{
	struct fmt_head h = some_head(), back;
	uint8_t a[FMT_HEAD_LEN], b[FMT_HEAD_LEN];

	(void)state;
	testrand_seed(1);
	assert_int_equal(fmt_head_seal(a, &h, uuid, key), 0);
	hostile_check(a, sizeof(a), open_head, &h);
	/* Under another name, volume or key it is nothing. */
	assert_int_equal(fmt_head_open(&back, a, sizeof(a), uuid, 6, key), -EBADMSG);
	assert_int_equal(fmt_head_open(&back, a, sizeof(a), other_uuid, 5, key), -EBADMSG);
	assert_int_equal(fmt_head_open(&back, a, sizeof(a), uuid, 5, other_key), -EBADMSG);
	/* Each sealing draws a nonce: two writers that race under one version never share one. */
	assert_int_equal(fmt_head_seal(b, &h, uuid, key), 0);
	assert_memory_not_equal(a + 48, b + 48, 24);
	assert_memory_not_equal(a + 88, b + 88, 384);
}

/* What a later version puts where today nothing is is not ignored, though it is authentic. */
static void head_reserved(void **state)
{
	static const size_t at[] = { 172, 352, 383 };
	const size_t clear = FMT_HEAD_LEN - FMT_BOX_OVERHEAD - 384;
	uint8_t a[FMT_HEAD_LEN], body[384];
	struct fmt_head h = some_head(), back;

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		assert_int_equal(fmt_head_seal(a, &h, uuid, key), 0);
		assert_int_equal(fmt_box_open(body, key, a, clear, a + clear, FMT_HEAD_LEN - clear),
				 0);
		assert_int_equal(body[at[i]], 0);
		fmt_box_seal(a + clear, key, a, clear, body, sizeof(body));
		assert_int_equal(fmt_head_open(&back, a, sizeof(a), uuid, 5, key), 0);
		body[at[i]] = 1;
		fmt_box_seal(a + clear, key, a, clear, body, sizeof(body));
		assert_int_equal(fmt_head_open(&back, a, sizeof(a), uuid, 5, key), -EBADMSG);
	}
}

static void head_rules(void **state)
{
	uint8_t out[FMT_HEAD_LEN];
	struct fmt_head h;

	(void)state;
#define REFUSED(change) \
	do { \
		h = some_head(); \
		change; \
		assert_int_equal(fmt_head_seal(out, &h, uuid, key), -EINVAL); \
	} while (0)
	REFUSED(h.version = 0);
	REFUSED(h.epoch = 0);
	REFUSED(h.window = 0);
	REFUSED(h.window = FMT_HEAD_MAX_WINDOW + 1);
	REFUSED(h.flags = 2);
	REFUSED(h.keys_version = 0);
	REFUSED(h.journal_state = 3);
	REFUSED(h.journal_state = FMT_JOURNAL_NONE); /* and yet a journal */
	REFUSED(memset(h.journal, 0, 16));
	REFUSED(h.floor = 71);
	REFUSED(memset(h.host, 'x', sizeof(h.host))); /* no end */
	REFUSED(h.manifest_version = 0);
#undef REFUSED
	h = some_head();
	h.manifest_version = h.manifest_id = h.last_wno = 0; /* an empty volume */
	assert_int_equal(fmt_head_seal(out, &h, uuid, key), 0);
}

/* ---- manifest ---------------------------------------------------------------------------- */

static struct fmt_dev devs[] = {
	{ .id = 0, .name = "main", .size = 1ull << 40, .death = ~0ull },
	{ .id = 2, .name = "log", .size = 4096, .flags = FMT_DEV_RO, .birth = 55, .death = 60 },
};

static struct fmt_run_ref runs[] = {
	{ .version = 3,
	  .id = 1,
	  .kind = FMT_RUN_EXTENTS,
	  .level = 2,
	  .len = 5000,
	  .index_off = 4000,
	  .index_len = 1000,
	  .count = 9,
	  .first_dev = 0,
	  .first_lba = 4,
	  .last_dev = 2,
	  .last_lba = 0,
	  .wno_first = 1,
	  .wno_last = 88 },
	{ .version = 3,
	  .id = 2,
	  .kind = FMT_RUN_SEGMENTS,
	  .len = 500,
	  .index_off = 400,
	  .index_len = 100,
	  .count = 1,
	  .first_dev = 1,
	  .first_lba = 4,
	  .last_dev = 1,
	  .last_lba = 4,
	  .wno_first = 1,
	  .wno_last = 88 },
};

static struct fmt_manifest some_manifest(void)
{
	struct fmt_manifest m = { .version = 3,
				  .id = 99,
				  .epoch = 4,
				  .created_us = 5,
				  .replay_from = 70,
				  .last_wno = 1234,
				  .mapped_blocks = 6,
				  .next_dev_id = 3,
				  .nr_devs = 2,
				  .nr_runs = 2,
				  .devs = devs,
				  .runs = runs };

	memset(m.chain, 3, sizeof(m.chain));
	return m;
}

static void same_manifest(const struct fmt_manifest *a, const struct fmt_manifest *b)
{
	assert_true(a->version == b->version && a->id == b->id && a->epoch == b->epoch);
	assert_true(a->created_us == b->created_us && a->replay_from == b->replay_from);
	assert_true(a->last_wno == b->last_wno && a->mapped_blocks == b->mapped_blocks);
	assert_memory_equal(a->chain, b->chain, sizeof(a->chain));
	assert_int_equal(a->next_dev_id, b->next_dev_id);
	assert_int_equal(a->nr_devs, b->nr_devs);
	assert_int_equal(a->nr_runs, b->nr_runs);
	assert_memory_equal(a->devs, b->devs, a->nr_devs * sizeof(*a->devs));
	for (uint32_t i = 0; i < a->nr_runs; i++) {
		const struct fmt_run_ref *x = &a->runs[i], *y = &b->runs[i];

		assert_true(x->version == y->version && x->id == y->id && x->len == y->len);
		assert_true(x->kind == y->kind && x->level == y->level && x->count == y->count);
		assert_memory_equal(x->hash, y->hash, sizeof(x->hash));
		assert_true(x->index_off == y->index_off && x->index_len == y->index_len);
		assert_true(x->first_dev == y->first_dev && x->first_lba == y->first_lba);
		assert_true(x->last_dev == y->last_dev && x->last_lba == y->last_lba);
		assert_true(x->wno_first == y->wno_first && x->wno_last == y->wno_last);
	}
}

static int open_manifest(void *ctx, const void *p, size_t len)
{
	struct fmt_manifest m;
	int rc = fmt_manifest_open(&m, p, len, uuid, 3, 99, ctx, key);

	if (!rc) {
		struct fmt_manifest want = some_manifest();

		same_manifest(&m, &want);
		fmt_manifest_free(&m);
	}
	return rc;
}

static void manifest(void **state)
{
	struct fmt_manifest m = some_manifest(), back;
	uint8_t hash[32];
	struct buf b = BUF_INIT;

	(void)state;
	testrand_seed(2);
	assert_int_equal(fmt_manifest_seal(&b, &m, uuid, key, hash), 0);
	hostile_check(b.data, b.len, open_manifest, NULL);
	assert_int_equal(open_manifest(hash, b.data, b.len), 0);
	hash[0] ^= 1;
	assert_int_equal(open_manifest(hash, b.data, b.len), -EBADMSG);
	assert_int_equal(fmt_manifest_open(&back, b.data, b.len, uuid, 4, 99, NULL, key), -EBADMSG);
	assert_int_equal(fmt_manifest_open(&back, b.data, b.len, uuid, 3, 98, NULL, key), -EBADMSG);
	assert_int_equal(fmt_manifest_open(&back, b.data, b.len, other_uuid, 3, 99, NULL, key),
			 -EBADMSG);
	assert_int_equal(fmt_manifest_open(&back, b.data, b.len, uuid, 3, 99, NULL, other_key),
			 -EBADMSG);
	buf_free(&b);
}

static void manifest_rules(void **state)
{
	struct fmt_dev d[2];
	struct fmt_run_ref r[2];
	struct fmt_manifest m;
	struct buf b = BUF_INIT;
	uint8_t hash[32];

	(void)state;
#define RULE(change, want) \
	do { \
		m = some_manifest(); \
		memcpy(d, devs, sizeof(d)); \
		memcpy(r, runs, sizeof(r)); \
		m.devs = d; \
		m.runs = r; \
		change; \
		assert_int_equal(fmt_manifest_seal(&b, &m, uuid, key, hash), want); \
	} while (0)
	RULE(m.nr_devs = m.nr_runs = 0, 0);
	RULE(m.version = 0, -EINVAL);
	RULE(m.epoch = 0, -EINVAL);
	RULE(m.next_dev_id = 2, -EINVAL);
	RULE(d[1].id = 0, -EINVAL);
	RULE(d[0].size = 0, -EINVAL);
	RULE(d[0].size = 4097, -EINVAL);
	RULE(d[0].flags = 2, -EINVAL);
	RULE(d[0].name[0] = '\0', -EINVAL);
	RULE(memset(d[0].name, 'x', 64), -EINVAL);
	RULE(d[1].birth = 61, -EINVAL);
	RULE(r[0].kind = 3, -EINVAL);
	RULE(r[0].count = 0, -EINVAL);
	RULE(r[0].index_len = 999, -EINVAL);
	RULE(r[0].index_off = 5001, -EINVAL);
	RULE(r[1].first_lba = 5, -EINVAL);
	RULE(r[1].wno_first = 89, -EINVAL);
#undef RULE
	buf_free(&b);
}

/* Sections that a later version adds: skipped, or refused when they say so. */
static void manifest_sections(void **state)
{
	static const uint8_t optional[12] = { 77, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4 };
	static const uint8_t must[8] = { 78, 0, 1, 0, 0, 0, 0, 0 };
	static const uint8_t too_long[8] = { 77, 0, 0, 0, 1, 0, 0, 0 };
	static const uint8_t twice[8] = { 2, 0, 1, 0, 0, 0, 0, 0 };
	struct {
		const uint8_t *add;
		size_t len;
		int want;
	} t[] = {
		{ optional, sizeof(optional), 0 },
		{ must, sizeof(must), -EPROTONOSUPPORT },
		{ too_long, sizeof(too_long), -EBADMSG },
		{ twice, sizeof(twice), -EBADMSG },
		{ optional, 3, -EBADMSG },
	};
	struct fmt_manifest m = some_manifest(), back;
	struct buf b = BUF_INIT, body = BUF_INIT, again = BUF_INIT;
	uint8_t hash[32];

	(void)state;
	assert_int_equal(fmt_manifest_seal(&b, &m, uuid, key, hash), 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t *p;

		buf_reset(&body);
		p = buf_extend(&body, b.len - 56 - FMT_BOX_OVERHEAD);
		assert_non_null(p);
		assert_int_equal(fmt_box_open(p, key, b.data, 56, b.data + 56, b.len - 56), 0);
		buf_put(&body, t[i].add, t[i].len);
		buf_reset(&again);
		buf_put(&again, b.data, 56);
		p = buf_extend(&again, body.len + FMT_BOX_OVERHEAD);
		assert_non_null(p);
		fmt_box_seal(p, key, b.data, 56, body.data, body.len);
		assert_int_equal(fmt_manifest_open(&back, again.data, again.len, uuid, 3, 99, NULL,
						   key),
				 t[i].want);
		if (!t[i].want) {
			same_manifest(&back, &m);
			fmt_manifest_free(&back);
		}
	}
	buf_free(&b);
	buf_free(&body);
	buf_free(&again);
}

/* Seals @body again behind the clear part of @b and opens it. */
static int reseal_manifest(const struct buf *b, const uint8_t *body, size_t len)
{
	struct fmt_manifest m;
	uint8_t *p = malloc(56 + FMT_BOX_OVERHEAD + len);
	int rc;

	assert_non_null(p);
	memcpy(p, b->data, 56);
	fmt_box_seal(p + 56, key, p, 56, body, len);
	rc = fmt_manifest_open(&m, p, 56 + FMT_BOX_OVERHEAD + len, uuid, 3, 99, NULL, key);
	if (!rc)
		fmt_manifest_free(&m);
	free(p);
	return rc;
}

/* Nonsense under a right tag (a writer gone wrong): refused or harmless, never a crash. */
static void manifest_garbage(void **state)
{
	struct fmt_manifest m = some_manifest();
	struct buf b = BUF_INIT;
	unsigned int taken = 0, refused = 0;
	uint8_t hash[32], *body, *p;
	size_t len;

	(void)state;
	testrand_seed(12);
	assert_int_equal(fmt_manifest_seal(&b, &m, uuid, key, hash), 0);
	len = b.len - 56 - FMT_BOX_OVERHEAD;
	body = malloc(len);
	p = malloc(len);
	assert_non_null(body);
	assert_non_null(p);
	assert_int_equal(fmt_box_open(body, key, b.data, 56, b.data + 56, b.len - 56), 0);
	for (int i = 0; i < 20000; i++) {
		size_t cut = testrand_below(5) ? len : testrand_below(len);
		int rc;

		memcpy(p, body, len);
		for (uint64_t n = testrand_below(4); n; n--)
			p[testrand_below(len)] = (uint8_t)testrand_u64();
		rc = reseal_manifest(&b, p, cut);
		assert_true(!rc || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
		taken += !rc;
		refused += rc != 0;
	}
	assert_true(taken > 100 && refused > 100);
	free(body);
	free(p);
	buf_free(&b);
}

/* ---- runs -------------------------------------------------------------------------------- */

/* A plausible next extent behind @x. */
static void next_extent(struct fmt_extent *x)
{
	uint64_t end = x->lba + x->blocks;
	uint32_t dev = x->dev;

	memset(x, 0, sizeof(*x));
	x->dev = dev;
	x->lba = end + (testrand_below(3) ? 0 : testrand_below(100000));
	x->birth = 1 + testrand_below(1ull << 40);
	if (!testrand_below(500)) {
		x->dev++;
		x->lba = testrand_below(50);
	}
	x->tomb = !testrand_below(5);
	if (x->tomb) {
		x->blocks = 1 + (uint32_t)testrand_below(1u << 20);
		return;
	}
	x->frame_blocks = (uint8_t)(1 + testrand_below(32));
	x->block = (uint8_t)testrand_below(x->frame_blocks);
	if (x->block > x->lba)
		x->block = 0;
	x->blocks = 1 + (uint32_t)testrand_below(x->frame_blocks - x->block);
	x->codec = (uint8_t)testrand_below(2);
	x->stored_len = x->codec ? 48 + 16 * (uint32_t)testrand_below(200) : 0;
	if (!x->codec || x->stored_len > 32 + x->frame_blocks * 4096u)
		x->stored_len = 32 + x->frame_blocks * 4096u;
	x->frame_off = 304 + (uint32_t)testrand_below(8 << 20);
	x->gc = !testrand_below(4);
	x->seq = testrand_below(1 << 20);
}

static void same_extent(const struct fmt_extent *a, const struct fmt_extent *b)
{
	assert_true(a->dev == b->dev && a->lba == b->lba && a->blocks == b->blocks);
	assert_true(a->birth == b->birth && a->tomb == b->tomb && a->gc == b->gc);
	assert_true(a->seq == b->seq && a->frame_off == b->frame_off && a->codec == b->codec);
	assert_true(a->stored_len == b->stored_len && a->block == b->block &&
		    a->frame_blocks == b->frame_blocks);
}

static struct fmt_extent *make_run(struct buf *b, struct fmt_run_ref *ref, uint32_t n)
{
	struct fmt_run_writer *w = fmt_run_writer_new(uuid, 3, FMT_RUN_EXTENTS, 0, key);
	struct fmt_extent *x = calloc(n, sizeof(*x)), cur;

	assert_non_null(w);
	assert_non_null(x);
	memset(&cur, 0, sizeof(cur));
	for (uint32_t i = 0; i < n; i++) {
		next_extent(&cur);
		x[i] = cur;
		assert_int_equal(fmt_run_add_extent(w, &x[i]), 0);
	}
	assert_int_equal(fmt_run_finish(w, b, ref), 0);
	fmt_run_writer_free(w);
	return x;
}

static void run_round_trip(void **state)
{
	enum { NR = 100000 };
	static struct fmt_extent got[FMT_RUN_BLOCK_RECORDS];
	struct fmt_run_index x, y;
	struct fmt_run_ref ref;
	struct fmt_extent *want;
	struct buf b = BUF_INIT;
	uint32_t at = 0;

	(void)state;
	testrand_seed(7);
	want = make_run(&b, &ref, NR);
	assert_int_equal(ref.count, NR);
	assert_int_equal(ref.len, b.len);
	assert_true(ref.first_dev == want[0].dev && ref.first_lba == want[0].lba);
	assert_true(ref.last_dev == want[NR - 1].dev);
	assert_true(ref.last_lba == want[NR - 1].lba + want[NR - 1].blocks - 1);
	/* With all of it in hand, and with the index alone. */
	assert_int_equal(fmt_run_open(&x, &ref, uuid, b.data, b.len, key), 0);
	assert_int_equal(
		fmt_run_index_open(&y, &ref, uuid, b.data + ref.index_off, ref.index_len, key), 0);
	assert_int_equal(x.nr_blocks, y.nr_blocks);
	assert_true(x.nr_blocks > 10);
	for (uint32_t n = 0; n < x.nr_blocks; n++) {
		assert_int_equal(fmt_run_extents_open(got, &y, n, b.data + x.blocks[n].off,
						      x.blocks[n].len, key),
				 0);
		for (uint32_t i = 0; i < x.blocks[n].count; i++)
			same_extent(&got[i], &want[at++]);
		assert_true(x.blocks[n].len > FMT_RUN_BLOCK - 64 || n + 1 == x.nr_blocks);
	}
	assert_int_equal(at, NR);
	/* One block is not another one. */
	assert_int_equal(fmt_run_extents_open(got, &y, 1, b.data + x.blocks[0].off, x.blocks[0].len,
					      key),
			 -EBADMSG);
	assert_int_equal(fmt_run_extents_open(got, &y, 0, b.data + x.blocks[0].off, x.blocks[0].len,
					      other_key),
			 -EBADMSG);
	assert_int_equal(fmt_run_extents_open(got, &y, y.nr_blocks, b.data, 10, key), -EINVAL);
	fmt_run_index_free(&x);
	fmt_run_index_free(&y);
	free(want);
	buf_free(&b);
}

struct run_ctx {
	struct fmt_run_ref ref;
	bool hash; /* check the whole object's hash, or only tags */
};

static int open_run(void *ctx, const void *p, size_t len)
{
	static struct fmt_extent got[FMT_RUN_BLOCK_RECORDS];
	const struct run_ctx *c = ctx;
	struct fmt_run_index x;
	int rc;

	if (c->hash)
		return fmt_run_open(&x, &c->ref, uuid, p, len, key) ? -EBADMSG :
								      (fmt_run_index_free(&x), 0);
	if (len != c->ref.len || memcmp(p, "ZEROFS", 6))
		return -EBADMSG;
	rc = fmt_run_index_open(&x, &c->ref, uuid, (const uint8_t *)p + c->ref.index_off,
				c->ref.index_len, key);
	if (rc)
		return rc;
	for (uint32_t n = 0; n < x.nr_blocks && !rc; n++)
		rc = fmt_run_extents_open(got, &x, n, (const uint8_t *)p + x.blocks[n].off,
					  x.blocks[n].len, key);
	fmt_run_index_free(&x);
	return rc;
}

static void run_damage(void **state)
{
	struct run_ctx c = { .hash = true };
	struct fmt_run_ref moved;
	struct fmt_run_index x;
	struct buf b = BUF_INIT;
	size_t header = FMT_RUN_HDR_LEN;
	uint8_t *p;

	(void)state;
	testrand_seed(8);
	free(make_run(&b, &c.ref, 30));
	hostile_check(b.data, b.len, open_run, &c);
	/*
	 * Without the hash, as one who fetches the index and single blocks: all but the unread
	 * header.
	 */
	c.hash = false;
	p = b.data;
	for (size_t bit = 8 * header; bit < 8 * b.len; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_run(&c, p, b.len), -EBADMSG);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Under another name, level or kind it does not open. */
#define REFUSED(change) \
	do { \
		moved = c.ref; \
		change; \
		assert_int_equal(fmt_run_index_open(&x, &moved, uuid, p + c.ref.index_off, \
						    c.ref.index_len, key), \
				 -EBADMSG); \
	} while (0)
	REFUSED(moved.id++);
	REFUSED(moved.version++);
	REFUSED(moved.kind = FMT_RUN_SEGMENTS);
	REFUSED(moved.level++);
	REFUSED(moved.count++);
	REFUSED(moved.first_lba++);
	REFUSED(moved.index_off++);
#undef REFUSED
	assert_int_equal(fmt_run_index_open(&x, &c.ref, other_uuid, p + c.ref.index_off,
					    c.ref.index_len, key),
			 -EBADMSG);
	buf_free(&b);
}

/*
 * The same of a block: what is taken is in order, disjoint, within its rules, and where the index
 * says.
 */
static void run_garbage(void **state)
{
	static struct fmt_extent got[FMT_RUN_BLOCK_RECORDS];
	unsigned int taken = 0, refused = 0;
	struct fmt_run_ref ref;
	struct fmt_run_index x;
	struct buf b = BUF_INIT;
	uint8_t aad[FMT_RUN_HDR_LEN + 8], *body, *p, *box;
	size_t len;
	le32 v;

	(void)state;
	testrand_seed(13);
	free(make_run(&b, &ref, 40));
	assert_int_equal(fmt_run_open(&x, &ref, uuid, b.data, b.len, key), 0);
	assert_int_equal(x.nr_blocks, 1);
	len = x.blocks[0].len - FMT_BOX_OVERHEAD;
	body = malloc(len);
	p = malloc(len);
	box = malloc(x.blocks[0].len);
	assert_non_null(body);
	assert_non_null(p);
	assert_non_null(box);
	memcpy(aad, x.hdr, FMT_RUN_HDR_LEN);
	memset(aad + FMT_RUN_HDR_LEN, 0, 4);
	v = le_32(x.blocks[0].count);
	memcpy(aad + FMT_RUN_HDR_LEN + 4, v.b, 4);
	assert_int_equal(fmt_box_open(body, key, aad, sizeof(aad), b.data + x.blocks[0].off,
				      x.blocks[0].len),
			 0);
	for (int i = 0; i < 50000; i++) {
		int rc;

		memcpy(p, body, len);
		for (uint64_t n = testrand_below(4); n; n--)
			p[testrand_below(len)] = (uint8_t)testrand_u64();
		fmt_box_seal(box, key, aad, sizeof(aad), p, len);
		rc = fmt_run_extents_open(got, &x, 0, box, x.blocks[0].len, key);
		assert_true(!rc || rc == -EBADMSG);
		taken += !rc;
		refused += rc != 0;
		for (uint32_t j = 1; !rc && j < x.blocks[0].count; j++)
			assert_true(got[j].dev > got[j - 1].dev ||
				    (got[j].dev == got[j - 1].dev &&
				     got[j].lba >= got[j - 1].lba + got[j - 1].blocks));
	}
	assert_true(taken > 100 && refused > 100);
	fmt_run_index_free(&x);
	free(body);
	free(p);
	free(box);
	buf_free(&b);
}

static void run_rules(void **state)
{
	struct fmt_run_writer *w = fmt_run_writer_new(uuid, 3, FMT_RUN_EXTENTS, 0, key);
	struct fmt_extent x = { .lba = 10,
				.blocks = 4,
				.birth = 1,
				.frame_off = 400,
				.stored_len = 48,
				.frame_blocks = 4,
				.codec = FMT_CODEC_ZSTD,
				.seq = 3 },
			  y;
	struct fmt_segrec s = { .seq = 1 };
	struct fmt_run_ref ref;
	struct buf b = BUF_INIT;

	(void)state;
	assert_non_null(w);
	assert_int_equal(fmt_run_finish(w, &b, &ref), -EINVAL); /* nothing in it */
	assert_int_equal(fmt_run_add_segrec(w, &s), -EINVAL); /* the wrong kind */
#define REFUSED(change) \
	do { \
		y = x; \
		change; \
		assert_int_equal(fmt_run_add_extent(w, &y), -EINVAL); \
	} while (0)
	REFUSED(y.blocks = 0);
	REFUSED(y.blocks = 5);
	REFUSED(y.block = 4);
	REFUSED(y.frame_blocks = 33);
	REFUSED(y.birth = 0);
	REFUSED(y.codec = 2);
	REFUSED(y.codec = FMT_CODEC_RAW);
	REFUSED(y.stored_len = 47);
	REFUSED(y.stored_len = 32);
	REFUSED(y.frame_off = 288);
	REFUSED(y.frame_off = (256u << 20) - 16);
	REFUSED(y.gc = 2);
	REFUSED(y.tomb = 1); /* a tombstone has no place */
	REFUSED(y.lba = FMT_MAX_LBA - 3);
	/* the frame would begin before the device */
	REFUSED(y.lba = 0; y.block = 1; y.blocks = 1);
#undef REFUSED
	assert_int_equal(fmt_run_add_extent(w, &x), 0);
	assert_int_equal(fmt_run_add_extent(w, &x), -EINVAL); /* order */
	y = x;
	y.lba = 13;
	assert_int_equal(fmt_run_add_extent(w, &y), -EINVAL); /* overlap */
	y.lba = 14;
	assert_int_equal(fmt_run_add_extent(w, &y), 0);
	y.dev = 1;
	y.lba = 4;
	assert_int_equal(fmt_run_add_extent(w, &y), 0);
	assert_int_equal(fmt_run_finish(w, &b, &ref), 0);
	assert_int_equal(ref.count, 3);
	fmt_run_writer_free(w);
	buf_free(&b);
}

static struct fmt_segrec some_segrec(uint32_t i)
{
	struct fmt_segrec s = { .gc = i >= 1500,
				.flags = i % 7 ? 0 : FMT_SEGREC_DELETED,
				.seq = 3 * i,
				.epoch = 1 + i / 100,
				.key_gen = 1,
				.table_len = 16 + i,
				.nr_frames = i,
				.data_blocks = 2 * i,
				.live_blocks = i,
				.object_len = 100000 + i,
				.live_bytes = 50000,
				.wno_first = 1 + i,
				.wno_last = 2 * i + 1,
				.created_us = i };

	memset(s.salt, (int)i, sizeof(s.salt));
	memset(s.hash, (int)i + 1, sizeof(s.hash));
	return s;
}

static void segment_table(void **state)
{
	enum { NR = 2000 };
	static struct fmt_segrec got[FMT_RUN_BLOCK_RECORDS];
	struct fmt_run_writer *w = fmt_run_writer_new(uuid, 4, FMT_RUN_SEGMENTS, 1, key);
	struct fmt_segrec s;
	struct fmt_run_index x;
	struct fmt_run_ref ref;
	struct buf b = BUF_INIT;
	uint32_t at = 0;

	(void)state;
	testrand_seed(9);
	assert_non_null(w);
	for (uint32_t i = 0; i < NR; i++) {
		s = some_segrec(i);
		assert_int_equal(fmt_run_add_segrec(w, &s), 0);
		assert_int_equal(fmt_run_add_segrec(w, &s), -EINVAL);
	}
#define REFUSED(change) \
	do { \
		s = some_segrec(NR); \
		change; \
		assert_int_equal(fmt_run_add_segrec(w, &s), -EINVAL); \
	} while (0)
	REFUSED(s.gc = 2);
	REFUSED(s.flags = 2);
	REFUSED(s.epoch = 0);
	REFUSED(s.key_gen = 0);
	REFUSED(s.live_blocks = s.data_blocks + 1);
	REFUSED(s.live_bytes = s.object_len + 1);
	REFUSED(s.wno_first = 0);
	REFUSED(s.wno_first = s.wno_last + 1);
	REFUSED(s.table_len = (uint32_t)s.object_len);
#undef REFUSED
	assert_int_equal(fmt_run_finish(w, &b, &ref), 0);
	fmt_run_writer_free(w);
	assert_true(ref.last_dev == 1 && ref.last_lba == 3 * (NR - 1));
	assert_true(ref.wno_first == 1 && ref.wno_last == 2 * (NR - 1) + 1);
	assert_int_equal(fmt_run_open(&x, &ref, uuid, b.data, b.len, key), 0);
	for (uint32_t n = 0; n < x.nr_blocks; n++) {
		assert_int_equal(fmt_run_segrecs_open(got, &x, n, b.data + x.blocks[n].off,
						      x.blocks[n].len, key),
				 0);
		for (uint32_t i = 0; i < x.blocks[n].count; i++, at++) {
			s = some_segrec(at);
			assert_memory_equal(&got[i], &s, sizeof(s));
		}
	}
	assert_int_equal(at, NR);
	fmt_run_index_free(&x);
	buf_free(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(head),
		cmocka_unit_test(head_reserved),
		cmocka_unit_test(head_rules),
		cmocka_unit_test(manifest),
		cmocka_unit_test(manifest_rules),
		cmocka_unit_test(manifest_sections),
		cmocka_unit_test(manifest_garbage),
		cmocka_unit_test(run_garbage),
		cmocka_unit_test(run_round_trip),
		cmocka_unit_test(run_damage),
		cmocka_unit_test(run_rules),
		cmocka_unit_test(segment_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
